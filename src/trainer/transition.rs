//! Transitions: what a change of path length does to the loss.
//!
//! Before the first step at the new length the trainer evaluates the old length, the new one and the full model with the
//! same weights; then the new length again 1, 2, 4, 8, ... steps later until the window ends. All on the same fixed
//! batches, so the figures carry none of the noise of training batches. Owns the bookkeeping; `evaluation` measures.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Announced, Interrupted, Trainer, full_score};
use crate::event::{Event, Score, Transition, Why};
use crate::method::{self, Context};

/// A transition that is being followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Following {
    so_far: Transition,
    /// The step before which it was last measured.
    measured_at: u64,
}

impl Following {
    /// Takes in the new length's loss, `after` steps behind the transition.
    fn take(&mut self, step: u64, loss: f32) {
        let t = &mut self.so_far;
        self.measured_at = step;
        t.step = step;
        t.after = loss;
        t.peak = t.peak.max(loss);
        if t.recovered_after.is_none() && loss <= t.before {
            t.recovered_after = Some(step - t.at);
        }
    }

    /// Takes in the full model's loss, if it was measured and was there from the beginning.
    fn take_full(&mut self, loss: Option<f32>) {
        if let (Some(full), Some(loss)) = (&mut self.so_far.full, loss) {
            full[1] = loss;
        }
    }
}

/// Whether a transition is measured that many steps behind it: 1, 2, 4, ... and at the window's end.
fn is_probe(after: u64, window: u64) -> bool {
    after > 0 && (after == window || (after < window && after.is_power_of_two()))
}

impl Trainer {
    /// Whether the next step's stage, its path length or the table is new.
    pub(super) fn is_stage_new(&self) -> bool {
        let schedule = &self.state.schedule;
        let stage = schedule.stage_at(self.state.step);
        self.state.announced.as_ref().is_none_or(|before| before.stage != stage || before.schedule != *schedule)
    }

    /// Whether the transition that is being followed is to be measured before the next step, and whether for the last time.
    pub(super) fn probe_due(&self, is_last: bool) -> Option<bool> {
        let following = self.state.following.as_ref()?;
        let (step, window) = (self.state.step, self.config.evaluation.transition_window);
        let after = step - following.so_far.at;
        let is_end = after >= window || is_last;
        (following.measured_at != step && (is_end || is_probe(after, window))).then_some(is_end)
    }

    /// Announces the stage of the next step if it, its path length or the table is new, and measures a transition.
    /// False if interrupted.
    pub(super) fn enter_stage(&mut self, interrupted: Interrupted<'_>, events: &mut Vec<Event>) -> Result<bool> {
        if !self.is_stage_new() {
            return Ok(true);
        }
        let step = self.state.step;
        let schedule = self.state.schedule.clone();
        let stage = schedule.stage_at(step);
        let row = &schedule.stages[stage];
        let path_length = row.path_length;
        let now = Announced { stage, path_length, schedule: schedule.clone() };
        let Some(before) = self.state.announced.replace(now) else {
            events.push(self.stage_entered(step, stage, false));
            return Ok(true);
        };
        let by_hand = before.schedule != schedule;
        events.push(self.stage_entered(step, stage, by_hand));
        // A model that has grown can no longer be measured as it was; it was before.
        let grown = self.state.before_growth.take();
        if before.path_length == path_length || step == 0 || self.config.evaluation.transition_window == 0 {
            return Ok(true);
        }
        let layers = schedule.layers;
        // Each length with the fixed layers that it was, or will be, trained with.
        let (new, old) = ((path_length, row.fixed), (before.path_length, before.fixed(row.fixed)));
        let mut lengths = if grown.is_some() { vec![new] } else { vec![old, new] };
        if lengths.iter().all(|(length, _)| *length != layers) && self.is_whole() {
            lengths.push((layers, row.fixed));
        }
        let batches = self.config.evaluation.transition_batches;
        let Some(scores) = self.evaluate_under(&lengths, batches, interrupted)? else {
            return Ok(false);
        };
        let has_grown = grown.is_some();
        let scores: Vec<Score> = grown.into_iter().chain(scores).collect();
        let full = full_score(&scores, layers).map(|s| s.loss);
        let (old, new) = (scores[0].loss, scores[1].loss);
        // The transition before is cut off where the next begins: its length is now the old one.
        if let Some(mut following) = self.state.following.take() {
            following.take(step, old);
            following.take_full(full);
            events.push(Event::TransitionMeasured(following.so_far));
        }
        let so_far = Transition {
            step,
            at: step,
            stage,
            from: before.path_length,
            to: path_length,
            before: old,
            entered: new,
            peak: new,
            after: new,
            // Where there was none before, nothing can be said about it.
            full: full.filter(|_| !has_grown).map(|full| [full, full]),
            recovered_after: (new <= old).then_some(0),
        };
        self.state.following = Some(Following { so_far, measured_at: step });
        events.push(Event::Evaluated { step, why: Why::Transition, scores });
        Ok(true)
    }

    fn stage_entered(&self, step: u64, stage: usize, by_hand: bool) -> Event {
        let schedule = self.state.schedule.clone();
        let row = &schedule.stages[stage];
        let expected = method::expectation(self.method, &Context { step, ..self.context() });
        Event::StageEntered { step, stage, path_length: row.path_length, by_hand, expected, schedule }
    }

    /// Measures the transition that is being followed, if its turn has come. False if interrupted.
    pub(super) fn probe(
        &mut self,
        is_last: bool,
        interrupted: Interrupted<'_>,
        events: &mut Vec<Event>,
    ) -> Result<bool> {
        let step = self.state.step;
        let (Some(following), Some(is_end)) = (self.state.following.clone(), self.probe_due(is_last)) else {
            return Ok(true);
        };
        let (layers, to) = (self.state.schedule.layers, following.so_far.to);
        // The stage that it led to: one of the same length may have come behind it, with other fixed layers.
        let stages = &self.state.schedule.stages;
        let stage = stages.get(following.so_far.stage).unwrap_or_else(|| self.state.schedule.lookup(step));
        let mut lengths = vec![(to, stage.fixed)];
        if is_end && to != layers && self.is_whole() {
            lengths.push((layers, stage.fixed));
        }
        let batches = self.config.evaluation.transition_batches;
        let Some(scores) = self.evaluate_under(&lengths, batches, interrupted)? else {
            return Ok(false);
        };
        let mut following = following;
        following.take(step, scores[0].loss);
        let full = full_score(&scores, layers).map(|s| s.loss);
        events.push(Event::Evaluated { step, why: Why::Probe, scores });
        following.take_full(full);
        if is_end {
            events.push(Event::TransitionMeasured(following.so_far));
            self.state.following = None;
        } else {
            self.state.following = Some(following);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_come_at_powers_of_two_and_at_the_end() {
        let probes = |window| (0..=window).filter(|&k| is_probe(k, window)).collect::<Vec<_>>();
        assert_eq!(probes(64), [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(probes(20), [1, 2, 4, 8, 16, 20]);
        assert_eq!(probes(1), [1]);
    }

    #[test]
    fn peak_and_recovery_are_kept() {
        let so_far = Transition {
            step: 10,
            at: 10,
            stage: 1,
            from: 6,
            to: 8,
            before: 2.0,
            entered: 2.2,
            peak: 2.2,
            after: 2.2,
            full: Some([2.1, 2.1]),
            recovered_after: None,
        };
        let mut f = Following { so_far, measured_at: 10 };
        for (step, loss) in [(11, 2.3), (12, 2.1), (14, 1.9), (18, 1.8)] {
            f.take(step, loss);
        }
        let t = &f.so_far;
        assert_eq!((t.peak, t.after, t.recovered_after, t.step), (2.3, 1.8, Some(4), 18));
    }
}
