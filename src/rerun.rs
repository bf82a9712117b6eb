//! Rerun: train a recorded run again with its recorded commands and find the first difference.
//!
//! Owns the commands' extraction and the comparison. Saving and stopping are not compared (a rerun keeps nothing and
//! stops nowhere on the way), the weights at each recorded checkpoint and at the end are. Never trains: a session does.

use std::collections::{HashMap, VecDeque};

use crate::event::{Command, Ending, Event, Stamped, was_cut_short};
use crate::recording;
use crate::session::Scripted;

/// The commands of a recording, for the session that trains it again.
pub fn script(recorded: &[Stamped]) -> Vec<Scripted> {
    let events = recording::own(recorded);
    let mut script = Vec::new();
    let mut end = None;
    for (index, stamped) in events.iter().enumerate() {
        match &stamped.event {
            Event::Applied { step, command: Command::Stop | Command::Abort } => {
                // A run that was taken up again did not end here.
                let resumed = events[index..].iter().any(|s| matches!(s.event, Event::Resumed { .. }));
                end = (!resumed).then_some(*step);
            }
            Event::Resumed { .. } => {
                // Whoever stopped a paused run and took it up again finds it running.
                if is_paused(&script) {
                    script.push(Scripted { at_step: step_of(&stamped.event), command: Command::Resume });
                }
                end = None;
            }
            Event::Refused { reason, .. } if was_cut_short(reason) => {}
            Event::Applied { step, command } | Event::Refused { step, command, .. } => {
                script.push(Scripted { at_step: Some(*step), command: *command });
            }
            Event::Finished { .. } | Event::Failed { .. } => {}
            _ => {}
        }
    }
    let is_whole = events.iter().rev().any(|s| matches!(s.event, Event::Finished { ending: Ending::Completed, .. }));
    if !is_whole {
        // What was recorded ends in the middle: so does the rerun.
        let last = events.iter().rev().find_map(|s| match s.event {
            Event::Stepped { step, .. } => Some(step + 1),
            _ => None,
        });
        script.push(Scripted { at_step: end.or(last).or(Some(0)), command: Command::Abort });
    }
    script
}

fn is_paused(script: &[Scripted]) -> bool {
    let last = script.iter().rev().find(|s| matches!(s.command, Command::Pause | Command::Resume));
    last.is_some_and(|s| s.command == Command::Pause)
}

fn step_of(event: &Event) -> Option<u64> {
    match event {
        Event::Resumed { step, .. } => Some(*step),
        _ => None,
    }
}

/// How close losses must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Closeness {
    /// To the bit: the same build on the same kind of processor.
    Bits,
    /// Relative; weights are not compared. Other processors round otherwise.
    Within(f32),
}

/// Compares a rerun's events with a recording's as they come.
pub struct Comparer {
    expected: VecDeque<Event>,
    /// Checksums by what they are of: a checkpoint's name, or the end and its step.
    weights: HashMap<String, String>,
    closeness: Closeness,
    /// Whether a person resumed the recorded run after stopping it paused: the added resume is in the rerun alone.
    compared: u64,
    steps: u64,
    checksums: u64,
    difference: Option<String>,
}

/// What a rerun showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Events that were compared and equal.
    pub events: u64,
    /// Training steps among them.
    pub steps: u64,
    /// Weight checksums that were compared and equal.
    pub checksums: u64,
    /// The first difference, if any.
    pub difference: Option<String>,
}

impl Comparer {
    /// Compares with a recording.
    pub fn new(recorded: &[Stamped], closeness: Closeness) -> Self {
        let events = recording::own(recorded);
        let mut weights = HashMap::new();
        for stamped in &events {
            if let Some((of, _, sum)) = checksum(&stamped.event) {
                weights.insert(of, sum.to_owned());
            }
        }
        let expected = events.into_iter().map(|s| s.event).filter(is_compared).collect();
        Self { expected, weights, closeness, compared: 0, steps: 0, checksums: 0, difference: None }
    }

    /// Takes in the rerun's next event.
    pub fn take(&mut self, event: &Event) {
        if self.difference.is_some() {
            return;
        }
        if let Some((of, step, weights)) = checksum(event) {
            self.take_weights(&of, step, weights);
        }
        if !is_compared(event) {
            return;
        }
        let Some(expected) = self.expected.front() else {
            return;
        };
        if is_same(expected, event, self.closeness) {
            self.compared += 1;
            self.steps += u64::from(matches!(event, Event::Stepped { .. }));
            self.expected.pop_front();
        } else if !matches!(event, Event::Applied { command: Command::Resume, .. }) {
            self.difference = Some(format!("recorded {}\n   rerun {}", text(expected), text(event)));
        }
    }

    fn take_weights(&mut self, of: &str, step: u64, weights: &str) {
        if self.closeness != Closeness::Bits {
            return;
        }
        match self.weights.get(of) {
            Some(sum) if sum == weights => self.checksums += 1,
            Some(sum) => {
                self.difference = Some(format!("weights after {step} steps: recorded {sum}, rerun {weights}"));
            }
            None => {}
        }
    }

    /// What was found; call it when the rerun has ended.
    pub fn report(mut self) -> Report {
        if let (None, Some(expected)) = (&self.difference, self.expected.front()) {
            self.difference = Some(format!("recorded {}\n   rerun ended before that", text(expected)));
        }
        Report { events: self.compared, steps: self.steps, checksums: self.checksums, difference: self.difference }
    }
}

/// What weights an event tells of (at one step there may be those before the model grew and those behind), the steps
/// trained, and their checksum.
fn checksum(event: &Event) -> Option<(String, u64, &str)> {
    match event {
        Event::Saved { step, file, weights } => Some((file.clone(), *step, weights)),
        Event::Finished { step, weights, .. } => Some((format!("the end, {step}"), *step, weights)),
        _ => None,
    }
}

/// Whether an event must recur in a rerun.
fn is_compared(event: &Event) -> bool {
    match event {
        Event::Saved { .. } | Event::Resumed { .. } | Event::Finished { .. } | Event::Progress { .. } => false,
        Event::Applied { command, .. } => !matches!(command, Command::Stop | Command::Abort),
        Event::Refused { reason, .. } => !was_cut_short(reason),
        _ => true,
    }
}

fn is_same(a: &Event, b: &Event, closeness: Closeness) -> bool {
    let near = |x: f32, y: f32| match closeness {
        Closeness::Bits => x.to_bits() == y.to_bits(),
        Closeness::Within(tolerance) => (x - y).abs() <= tolerance * x.abs().max(y.abs()),
    };
    match (a, b) {
        (Event::Started(a), Event::Started(b)) => {
            let weights = closeness != Closeness::Bits || a.weights == b.weights;
            weights
                && a.schedule == b.schedule
                && a.parameters == b.parameters
                && a.data_checksum == b.data_checksum
                && a.tokens_per_step == b.tokens_per_step
        }
        (
            Event::Stepped { step, stage, path, loss, learning_rate, gradient_norm },
            Event::Stepped {
                step: step2,
                stage: stage2,
                path: path2,
                loss: loss2,
                learning_rate: rate2,
                gradient_norm: norm2,
            },
        ) => {
            (step, stage, path) == (step2, stage2, path2)
                && near(*loss, *loss2)
                && near(*learning_rate, *rate2)
                // The norm is the most sensitive figure: it may be further off.
                && (closeness != Closeness::Bits || near(*gradient_norm, *norm2))
        }
        (Event::Evaluated { step, why, scores }, Event::Evaluated { step: step2, why: why2, scores: scores2 }) => {
            let same = |(a, b): (&crate::event::Score, &crate::event::Score)| {
                a.path_length == b.path_length && near(a.loss, b.loss) && a.batches == b.batches
            };
            (step, why, scores.len()) == (step2, why2, scores2.len()) && scores.iter().zip(scores2).all(same)
        }
        (Event::Measured(a), Event::Measured(b)) => {
            // Many of them are sums of small differences: what is nearly nothing need only be nearly nothing.
            let small = |x: f32, y: f32| closeness != Closeness::Bits && (x - y).abs() < 1e-3;
            let same = |x: &[f32], y: &[f32]| {
                x.len() == y.len() && x.iter().zip(y).all(|(x, y)| near(*x, *y) || small(*x, *y))
            };
            (a.step, &a.name, a.path_length, &a.labels) == (b.step, &b.name, b.path_length, &b.labels)
                && same(&a.values, &b.values)
                && same(&a.spreads, &b.spreads)
        }
        (Event::Forked(a), Event::Forked(b)) => {
            // Where it comes from is told by its weights.
            a.step == b.step && (closeness != Closeness::Bits || a.weights == b.weights)
        }
        (Event::TransitionMeasured(a), Event::TransitionMeasured(b)) => {
            let place = (a.step, a.at, a.stage, a.from, a.to) == (b.step, b.at, b.stage, b.from, b.to);
            let losses = [(a.before, b.before), (a.entered, b.entered), (a.peak, b.peak), (a.after, b.after)];
            place && losses.into_iter().all(|(x, y)| near(x, y))
        }
        _ => a == b,
    }
}

fn text(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_else(|_| format!("{event:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::CUT_SHORT;

    fn stamp(events: Vec<Event>) -> Vec<Stamped> {
        events.into_iter().enumerate().map(|(i, event)| Stamped { seq: i as u64, us: 0, event }).collect()
    }

    fn stepped(step: u64, loss: f32) -> Event {
        let path = "11".parse().unwrap();
        Event::Stepped { step, stage: 0, path, loss, learning_rate: 0.1, gradient_norm: 1.0 }
    }

    fn applied(step: u64, command: Command) -> Event {
        Event::Applied { step, command }
    }

    fn compare(recorded: Vec<Event>, rerun: &[Event], closeness: Closeness) -> Report {
        let mut comparer = Comparer::new(&stamp(recorded), closeness);
        rerun.iter().for_each(|e| comparer.take(e));
        comparer.report()
    }

    #[test]
    fn the_first_difference_is_told() {
        let good = [stepped(0, 1.0), stepped(1, 2.0)];
        let report = compare(good.to_vec(), &good, Closeness::Bits);
        assert_eq!((report.events, report.steps, report.difference), (2, 2, None));
        let off = [stepped(0, 1.0), stepped(1, 2.0000002)];
        let difference = compare(good.to_vec(), &off, Closeness::Bits).difference.unwrap();
        assert!(difference.contains("2.0000002") && difference.contains("\"step\":1"), "{difference}");
        assert_eq!(compare(good.to_vec(), &off, Closeness::Within(1e-5)).difference, None);
        assert!(compare(good.to_vec(), &good[..1], Closeness::Bits).difference.unwrap().contains("ended before"));
    }

    #[test]
    fn weights_are_compared_where_both_saved() {
        let saved = |weights: &str| Event::Saved { step: 1, file: "f".into(), weights: weights.into() };
        let recorded = vec![stepped(0, 1.0), saved("aa")];
        assert_eq!(compare(recorded.clone(), &[stepped(0, 1.0), saved("aa")], Closeness::Bits).checksums, 1);
        assert!(compare(recorded, &[stepped(0, 1.0), saved("ab")], Closeness::Bits).difference.is_some());
    }

    #[test]
    fn commands_come_back_at_their_steps_and_a_stop_that_was_taken_up_again_does_not() {
        let cut = Event::Refused { step: 2, command: Command::Evaluate, reason: CUT_SHORT.into() };
        let resumed = Event::Resumed { step: 2, keep: 99, file: String::new(), damaged: Vec::new() };
        let done = Event::Finished { step: 4, ending: Ending::Completed, weights: String::new() };
        let events = vec![
            stepped(0, 1.0),
            applied(1, Command::NextStage),
            stepped(1, 1.0),
            cut,
            applied(2, Command::Stop),
            resumed,
            stepped(2, 1.0),
            applied(3, Command::Save),
            stepped(3, 1.0),
            done,
        ];
        let at = |step, command| Scripted { at_step: Some(step), command };
        assert_eq!(script(&stamp(events.clone())), [at(1, Command::NextStage), at(3, Command::Save)]);
        // Without its end the rerun ends where the recording does.
        assert_eq!(script(&stamp(events[..3].to_vec())), [at(1, Command::NextStage), at(2, Command::Abort)]);
    }
}
