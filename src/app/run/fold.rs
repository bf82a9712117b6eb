//! How events change the run, one by one, and the figures that follow from them.

use super::{Change, Evaluation, Failure, From, Line, Measured, PathAt, Probe, Run, StageNow};
use crate::app::alerts::{Alert, Kind, MOST, SpikeWatch};
use crate::app::history::Spent;
use crate::event::{
    Cause, Command, EVALUATING, Ending, Event, Measurement, Score, Stamped, Started, Transition, Why, was_cut_short,
};
use crate::layer_path::LayerPath;
use crate::schedule::Schedule;

/// Recent layer paths that are kept.
const PATHS: usize = 1024;
/// Log lines that are kept.
const LINES: usize = 2000;
/// Evaluations that are kept with all their losses.
const EVALUATIONS: usize = 1000;
/// Evaluations and transitions that are kept.
const MARKS: usize = 4096;
/// Steps over which speed is averaged.
const RECENT: usize = 32;

impl Run {
    /// Takes in one event.
    pub fn apply(&mut self, stamped: &Stamped) {
        self.us = self.us.max(stamped.us);
        let is_aside = stamped.event.is_aside();
        if let Event::Stepped { .. } = &stamped.event
            && !std::mem::take(&mut self.is_partial)
        {
            self.parts = Default::default();
        }
        let stepped_us = if is_aside { None } else { self.stepped_us.take() };
        // An evaluation, a checkpoint, a pause each ends in an event of its own, so what lies between a step and the event
        // before it is the step.
        let since =
            if is_aside { 0 } else { stamped.us.saturating_sub(std::mem::replace(&mut self.counted_us, stamped.us)) };
        self.step_times.take(stamped);
        if !matches!(stamped.event, Event::Progress { .. }) {
            self.progress.take_if(|(what, ..)| what == EVALUATING);
        }
        match &stamped.event {
            Event::Progress { what, done, total } => self.progress = Some((what.clone(), *done, *total)),
            Event::Started(started) => self.start(started),
            Event::Forked(forked) => {
                // As a resume: nobody is there yet who paused it.
                (self.is_paused, self.granted) = (false, 0);
                self.forked = Some(forked.clone());
                let step = forked.step;
                self.say(step, From::You, format!("forked from {} after {step} steps", forked.parent));
                forked.changes.iter().for_each(|change| self.say(step, From::You, change.clone()));
            }
            Event::Resumed { step, file, damaged, .. } => {
                self.progress = None;
                (self.ending, self.failure) = (None, None);
                // As the trainer does: nobody is there yet to resume it.
                (self.is_paused, self.granted) = (false, 0);
                self.last_checkpoint = Some(file.clone());
                damaged.iter().for_each(|what| self.say(*step, From::Alarm, format!("passed over: {what}")));
                self.say(*step, From::Run, format!("resumed from {file}"));
            }
            Event::StageEntered { step, stage, path_length, by_hand, expected, schedule } => {
                self.enter(*step, *stage, *path_length, *by_hand, expected, schedule);
            }
            Event::Grown { step, from, to, copies, .. } => {
                self.existing = Some(*to);
                let text = match from {
                    0 => format!("the first {to} layers exist; no full model yet"),
                    _ => {
                        let copied = copies.active().map(|layer| (layer + 1).to_string()).collect::<Vec<_>>();
                        format!("grown from {from} to {to} layers; copies: {}", copied.join(" "))
                    }
                };
                self.say(*step, From::Schedule, text);
            }
            Event::PartsDrawn { heads, columns, .. } => {
                self.parts = (heads.clone(), columns.clone());
                self.is_partial = true;
            }
            Event::ExpectationChanged { expected, .. } => self.stage.expected_now.clone_from(expected),
            Event::ScheduleEdited { step, schedule } => {
                self.schedule = Some(schedule.clone());
                if self.edits.len() < MARKS {
                    self.edits.push(*step);
                }
            }
            Event::Stepped { step, path, loss, learning_rate, gradient_norm, stage } => {
                self.last = Some((*loss, *path, *learning_rate, *gradient_norm));
                self.step(*step, *stage, *path, *loss);
                self.active_us += since;
                let flops = self.step_flops(self.worth(*stage, *path));
                if let Some(before) = stepped_us {
                    // Only between two steps with nothing in between: evaluations and pauses are no training time.
                    self.recent.push_back((stamped.us.saturating_sub(before), flops));
                    if self.recent.len() > RECENT {
                        self.recent.pop_front();
                    }
                }
                self.stepped_us = Some(stamped.us);
            }
            Event::Evaluated { step, why, scores } => self.evaluated(*step, *why, scores),
            Event::Measured(m) => {
                let text = format!("{} {}/{}  {}", m.name, m.path_length, self.layers(), m.line());
                self.say(m.step, From::Run, text);
                self.remember(m.clone());
            }
            Event::TransitionMeasured(t) => self.transition(t),
            Event::Applied { step, command } => self.applied(*step, *command),
            Event::Refused { step, command, reason } => {
                let how = if was_cut_short(reason) { "" } else { "refused, " };
                self.say(*step, From::You, format!("{}: {how}{reason}", command.words()));
            }
            Event::Saved { step, file, .. } => {
                self.last_checkpoint = Some(file.clone());
                self.say(*step, From::Run, format!("saved {file}"));
            }
            Event::Finished { step, ending, .. } => {
                self.progress = None;
                self.ending = Some(*ending);
                let text = match ending {
                    Ending::Completed => "every step is trained",
                    Ending::Stopped => "stopped and saved",
                    Ending::Aborted => "aborted without saving",
                };
                self.say(*step, From::Run, text.to_owned());
            }
            Event::Failed { step, cause, reason, last_checkpoint } => {
                self.progress = None;
                if *cause == Cause::Diverged && self.history.last().is_none_or(|bucket| bucket.last() < *step) {
                    self.history.take(*step, f32::NAN, self.spent());
                }
                let last_checkpoint = last_checkpoint.clone();
                self.failure = Some(Failure { cause: *cause, reason: reason.clone(), last_checkpoint });
                match cause {
                    Cause::Diverged => self.alert(*step, Kind::NotFinite, reason.clone()),
                    _ => self.say(*step, From::Alarm, reason.clone()),
                }
            }
        }
    }

    pub(in crate::app) fn say(&mut self, step: u64, from: From, text: String) {
        self.log.push_back(Line { step, us: self.us, from, text });
        if self.log.len() > LINES {
            self.log.pop_front();
        }
    }

    /// A line in the log, and in the list of alerts.
    fn alert(&mut self, step: u64, kind: Kind, text: String) {
        self.say(step, From::Alarm, text.clone());
        if self.alerts.len() == MOST {
            self.alerts.remove(0);
        }
        self.alerts.push(Alert { step, kind, text });
    }

    fn start(&mut self, started: &Started) {
        let layers = started.schedule.layers;
        self.progress = None;
        self.schedule = Some(started.schedule.clone());
        self.visits = vec![0; layers];
        self.last_seen = vec![None; layers];
        self.say(0, From::Run, format!("{} {} on {}", started.method, started.objective, started.device));
        self.started = Some(started.clone());
    }

    fn enter(
        &mut self,
        step: u64,
        index: usize,
        path_length: usize,
        by_hand: bool,
        expected: &[f32],
        schedule: &Schedule,
    ) {
        let visits = vec![0; schedule.layers];
        let (expected, expected_now) = (expected.to_vec(), expected.to_vec());
        self.stage = StageNow { index, path_length, by_hand, expected, expected_now, steps: 0, visits };
        // Another path length, another loss.
        self.spikes = SpikeWatch::default();
        self.schedule = Some(schedule.clone());
        let last = self.changes.last();
        let from = last.map_or(0, |change| change.to);
        if last.is_none_or(|change| (change.stage, change.to) != (index, path_length)) {
            self.history.restart();
        }
        if self.changes.len() < MARKS {
            self.changes.push(Change { step, stage: index, from, to: path_length, by_hand });
        }
        let (stages, layers) = (schedule.stages.len(), schedule.layers);
        let from = if by_hand { From::You } else { From::Schedule };
        self.say(step, from, format!("stage {}/{stages}, path length {path_length} of {layers}", index + 1));
    }

    fn step(&mut self, step: u64, stage: usize, path: LayerPath, loss: f32) {
        self.step = step + 1;
        self.granted = self.granted.saturating_sub(1);
        self.history.take(step, loss, self.spent());
        if let Some((mean, limit)) = self.spikes.take(loss) {
            let text = format!("spike: loss {loss:.4}; the mean is {mean:.4}, the limit {limit:.4}");
            self.alert(step, Kind::Spike, text);
        }
        let at = PathAt { step, stage, path, existing: self.existing.unwrap_or(path.layers()) };
        self.path_levels.take(&at);
        self.paths.push_back(at);
        if self.paths.len() > PATHS {
            self.paths.pop_front();
        }
        self.stage.steps += 1;
        let steps = self.stage.steps as f32;
        for (mean, now) in self.stage.expected.iter_mut().zip(&self.stage.expected_now) {
            *mean += (now - *mean) / steps;
        }
        for layer in path.active() {
            for visits in [&mut self.visits, &mut self.stage.visits] {
                if let Some(n) = visits.get_mut(layer) {
                    *n += 1;
                }
            }
            if let Some(seen) = self.last_seen.get_mut(layer) {
                *seen = Some(step);
            }
        }
        self.flops.0 += self.step_flops(self.worth(stage, path));
        self.flops.1 += self.step_flops(path.layers() as f64);
    }

    /// What was spent on training so far.
    pub fn spent(&self) -> Spent {
        Spent { flops: self.flops.0, us: self.active_us }
    }

    /// Layers' worth of work of the step at hand: where layers are computed in part, what its stage says.
    fn worth(&self, stage: usize, path: LayerPath) -> f64 {
        let row = self.schedule.as_ref().and_then(|s| s.stages.get(stage)).filter(|_| !self.parts.0.is_empty());
        row.map_or(path.path_length() as f64, crate::schedule::Stage::mean_length)
    }

    /// Training FLOPs of a step with that many active layers.
    pub(in crate::app) fn step_flops(&self, path_length: f64) -> f64 {
        self.started.as_ref().map_or(0.0, |s| s.layer_flops * path_length + s.fixed_flops)
    }

    fn evaluated(&mut self, step: u64, why: Why, scores: &[Score]) {
        let layers = self.layers();
        if let Some(full) = scores.iter().find(|s| s.path_length == layers)
            && why != Why::Transition
            && why != Why::Probe
        {
            let spent = self.spent();
            self.full.push(Measured { step, loss: full.loss, spent });
            if self.full.len() > MARKS {
                // Thin out the older half.
                let mut index = 0;
                self.full.retain(|_| {
                    index += 1;
                    index > MARKS / 2 || index % 2 == 0
                });
            }
        }
        if why != Why::Transition && why != Why::Probe {
            self.evaluations.push_back(Evaluation { step, why, scores: scores.to_vec() });
            if self.evaluations.len() > EVALUATIONS {
                self.evaluations.pop_front();
            }
        }
        match why {
            Why::Curve => {
                self.remember(curve(step, layers, scores));
                self.say(step, From::You, "evaluated over path lengths".to_owned());
            }
            Why::Command | Why::Final | Why::Cadence => {
                let each: Vec<String> =
                    scores.iter().map(|s| format!("{}/{layers} {:.4}", s.path_length, s.loss)).collect();
                let from = if why == Why::Command { From::You } else { From::Run };
                self.say(step, from, format!("evaluation  {}", each.join("  ")));
            }
            Why::Transition | Why::Probe => {
                let is_entry = why == Why::Transition;
                let probe = |s: &Score| Probe { step, path_length: s.path_length, loss: s.loss, is_entry };
                self.probes.extend(scores.iter().map(probe));
                self.probes.drain(..self.probes.len().saturating_sub(MARKS));
            }
        }
    }

    /// Keeps the newest series of its name.
    fn remember(&mut self, m: Measurement) {
        match self.measured.iter_mut().find(|old| old.name == m.name) {
            Some(old) => *old = m,
            None => self.measured.push(m),
        }
    }

    /// The page of the series that an event has brought.
    pub fn page_of(&self, event: &Event) -> Option<usize> {
        let name = match event {
            Event::Measured(m) => m.name.as_str(),
            Event::Evaluated { why: Why::Curve, .. } => CURVE,
            _ => return None,
        };
        self.measured.iter().position(|m| m.name == name)
    }

    fn transition(&mut self, t: &Transition) {
        let recovered = t.recovery();
        let text = format!("path length {} to {}: {:.4} to {:.4}, {recovered}", t.from, t.to, t.before, t.after);
        self.say(t.step, From::Run, text);
        if self.transitions.len() == MARKS {
            self.transitions.remove(0);
        }
        self.transitions.push(t.clone());
    }

    fn applied(&mut self, step: u64, command: Command) {
        match command {
            Command::Pause => (self.is_paused, self.granted) = (true, 0),
            Command::Resume => (self.is_paused, self.granted) = (false, 0),
            Command::Step { steps } => self.granted = self.granted.saturating_add(steps),
            Command::SetLearningRateScale { scale } => self.learning_rate_scale = Some(scale),
            _ => {}
        }
        self.say(step, From::You, command.words());
    }
}

/// The series that evaluations over path lengths become.
const CURVE: &str = "loss by path length";

/// An evaluation over path lengths as a series.
fn curve(step: u64, layers: usize, scores: &[Score]) -> Measurement {
    Measurement {
        step,
        name: CURVE.to_owned(),
        path_length: layers,
        labels: scores.iter().map(|s| s.path_length.to_string()).collect(),
        values: scores.iter().map(|s| s.loss).collect(),
        spreads: scores.iter().map(|s| s.spread).collect(),
    }
}
