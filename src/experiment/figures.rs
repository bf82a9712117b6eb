//! What a run's recording says of it in figures: its loss over steps, FLOPs and time.
//!
//! Folded from events alone, so that it is the same for a run of an experiment and for any other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Cause, Ending, Event, Measurement, Stamped, Why};
use crate::recording;

/// Training of so many steps in three measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Steps.
    pub steps: u64,
    /// FLOPs of the active layers alone (the paper's rule: nothing else is counted).
    pub layer_flops: f64,
    /// FLOPs of everything: layers, attention, head.
    pub flops: f64,
    /// Seconds of training: for each path length (or worth of a step in part) its steps times the median of their durations. Evaluations,
    /// checkpoints and pauses are left out, and a machine that was busy for a while hardly counts.
    pub seconds: f64,
}

/// The full model's loss after so much training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What it took.
    #[serde(flatten)]
    pub spent: Spent,
    /// In the run's unit, validation text.
    pub loss: f64,
}

/// How a run ended, as far as its recording goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Every step was trained.
    Completed,
    /// The loss was not finite; it can't be trained further.
    Diverged,
    /// It is live, was stopped, or was cut off.
    Unfinished,
}

/// Numbers that were measured on the full model beside its loss, in the order of a series' labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Steps trained by then.
    pub steps: u64,
    /// One for each label.
    pub values: Vec<f64>,
}

/// A measurement of the full model over the run, as in "coefficient error by degree".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What is measured.
    pub name: String,
    /// What each value is of.
    pub labels: Vec<String>,
    /// Oldest first.
    pub readings: Vec<Reading>,
}

/// A run in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The method's name.
    pub method: String,
    /// Layers of the full model.
    pub layers: usize,
    /// What losses are measured in.
    pub loss_unit: String,
    /// How it ended.
    pub state: State,
    /// The whole training so far.
    pub spent: Spent,
    /// The full model's loss, oldest first.
    pub curve: Vec<Point>,
    /// What was measured beside it on the full model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Series>,
    /// The lowest loss that any model can have, where that is known.
    pub floor: Option<f64>,
    /// Checksum of the data.
    pub data: String,
    /// Checksum of the initial weights.
    pub initial_weights: String,
    /// The config, as TOML.
    #[serde(skip)]
    pub config: String,
}

impl Figures {
    /// From a recording as it was written (what a resume took back is left out here).
    ///
    /// # Errors
    /// If it doesn't begin with a `started` event.
    pub fn of(recorded: &[Stamped]) -> anyhow::Result<Self> {
        let events = recording::effective(recorded);
        let Some(Event::Started(started)) = events.first().map(|s| &s.event) else {
            anyhow::bail!("the recording doesn't begin with a `started` event");
        };
        let layers = started.schedule.layers;
        let worths = worths(&events);
        let medians = medians(&events, &worths);
        let mut worths = worths.into_iter();
        let mut figures = Self {
            method: started.method.clone(),
            layers,
            loss_unit: started.loss_unit.clone(),
            state: State::Unfinished,
            spent: Spent::default(),
            curve: Vec::new(),
            measured: Vec::new(),
            floor: started.floor.map(f64::from),
            data: started.data_checksum.clone(),
            initial_weights: started.weights.clone(),
            config: started.config.clone(),
        };
        for stamped in &events {
            match &stamped.event {
                Event::Stepped { .. } => {
                    let worth = worths.next().unwrap_or_default();
                    let layer_flops = started.layer_flops * worth;
                    let spent = &mut figures.spent;
                    spent.steps += 1;
                    spent.layer_flops += layer_flops;
                    spent.flops += layer_flops + started.fixed_flops;
                    spent.seconds += medians.get(&worth.to_bits()).copied().unwrap_or(0.0);
                }
                Event::Evaluated { why: Why::Cadence | Why::Final | Why::Command, scores, .. } => {
                    if let Some(full) = scores.iter().find(|score| score.path_length == layers) {
                        // Evaluated again at the same step: the same number.
                        if figures.curve.last().is_none_or(|p| p.spent.steps < figures.spent.steps) {
                            figures.curve.push(Point { spent: figures.spent, loss: f64::from(full.loss) });
                        }
                    }
                }
                Event::Measured(m) if m.path_length == layers => figures.read(m),
                Event::Finished { ending: Ending::Completed, .. } => figures.state = State::Completed,
                Event::Failed { cause: Cause::Diverged, .. } => figures.state = State::Diverged,
                Event::Resumed { .. } => figures.state = State::Unfinished,
                _ => {}
            }
        }
        Ok(figures)
    }

    /// Takes in a measurement of the full model.
    fn read(&mut self, m: &Measurement) {
        let at = self.measured.iter().position(|series| series.name == m.name).unwrap_or_else(|| {
            let (name, labels) = (m.name.clone(), m.labels.clone());
            self.measured.push(Series { name, labels, readings: Vec::new() });
            self.measured.len() - 1
        });
        let series = &mut self.measured[at];
        if series.labels != m.labels {
            // Something else goes by that name from here on.
            (series.labels, series.readings) = (m.labels.clone(), Vec::new());
        }
        // Measured again at the same step: the same numbers.
        if series.readings.last().is_none_or(|last| last.steps < m.step) {
            series.readings.push(Reading { steps: m.step, values: m.values.iter().map(|&v| f64::from(v)).collect() });
        }
    }

    /// The series of that name.
    pub fn series(&self, name: &str) -> Option<&Series> {
        self.measured.iter().find(|series| series.name == name)
    }

    /// The step of the first evaluation of the full model, if there was none before training began: a model that grows
    /// isn't whole before.
    pub fn whole_from(&self) -> Option<u64> {
        self.curve.first().map(|point| point.spent.steps).filter(|&steps| steps > 0)
    }

    /// The last measured loss of the full model.
    pub fn last_loss(&self) -> Option<f64> {
        self.curve.last().map(|point| point.loss)
    }

    /// The last loss of a run that was trained to its end.
    pub fn final_loss(&self) -> Option<f64> {
        if self.state == State::Completed { self.last_loss() } else { None }
    }

    /// The loss where `measure` is `at`, on the straight line between the two evaluations around it; none outside.
    pub fn loss_at(&self, measure: impl Fn(&Spent) -> f64, at: f64) -> Option<f64> {
        let x = |point: &Point| measure(&point.spent);
        if let Some(point) = self.curve.iter().find(|p| x(p) == at) {
            return Some(point.loss);
        }
        let pair = self.curve.windows(2).find(|pair| x(&pair[0]) < at && at < x(&pair[1]))?;
        let share = (at - x(&pair[0])) / (x(&pair[1]) - x(&pair[0]));
        Some(pair[0].loss + share * (pair[1].loss - pair[0].loss))
    }
}

/// Layers' worth of work of each step: its path length, or, where layers were computed in part, what its stage says.
fn worths(events: &[Stamped]) -> Vec<f64> {
    let (mut schedule, mut is_partial, mut all) = (None, false, Vec::new());
    for stamped in events {
        match &stamped.event {
            Event::StageEntered { schedule: now, .. } => schedule = Some(now),
            Event::PartsDrawn { .. } => is_partial = true,
            Event::Stepped { stage, path, .. } => {
                let row = schedule.and_then(|s| s.stages.get(*stage)).filter(|_| is_partial);
                all.push(row.map_or(path.path_length() as f64, crate::schedule::Stage::mean_length));
                is_partial = false;
            }
            _ => {}
        }
    }
    all
}

/// The median duration of a step by its worth (its bits), seconds. A step's duration is the time from the event before it:
/// evaluations, checkpoints and pauses end in events of their own.
fn medians(events: &[Stamped], worths: &[f64]) -> BTreeMap<u64, f64> {
    let mut durations: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let told: Vec<&Stamped> = events.iter().filter(|s| !s.event.is_aside()).collect();
    let steps = told.windows(2).filter(|pair| matches!(pair[1].event, Event::Stepped { .. }));
    for (pair, worth) in steps.zip(worths) {
        durations.entry(worth.to_bits()).or_default().push(pair[1].us.saturating_sub(pair[0].us));
    }
    let median = |mut all: Vec<u64>| {
        all.sort_unstable();
        let n = all.len();
        (all[(n - 1) / 2] + all[n / 2]) as f64 / 2e6
    };
    durations.into_iter().map(|(worth, all)| (worth, median(all))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Command, Score, Started};
    use crate::schedule::Schedule;

    fn recording(events: Vec<(u64, Event)>) -> Vec<Stamped> {
        let started = Started {
            format: 1,
            version: String::new(),
            run: "r".into(),
            method: "raptr".into(),
            objective: "causal".into(),
            loss_unit: "nats per token".into(),
            items: "tokens".into(),
            device: String::new(),
            data: String::new(),
            schedule: Schedule { layers: 4, stages: Vec::new() },
            parameters: 1,
            tokens_per_step: 1,
            layer_flops: 10.0,
            fixed_flops: 3.0,
            floor: Some(0.5),
            data_checksum: "d".into(),
            weights: "w".into(),
            config: String::new(),
        };
        let mut all = vec![(0, Event::Started(Box::new(started)))];
        all.extend(events);
        all.into_iter().enumerate().map(|(seq, (us, event))| Stamped { seq: seq as u64, us, event }).collect()
    }

    fn step(step: u64, path: &str) -> Event {
        let path = path.parse().unwrap();
        Event::Stepped { step, stage: 0, path, loss: 1.0, learning_rate: 0.1, gradient_norm: 1.0 }
    }

    fn evaluated(step: u64, full: f32) -> Event {
        let score = |path_length, loss| Score { path_length, loss, spread: 0.0, batches: 1 };
        Event::Evaluated { step, why: Why::Cadence, scores: vec![score(2, 9.0), score(4, full)] }
    }

    #[test]
    fn steps_flops_and_time_are_counted_as_by_hand() {
        let second = 1_000_000;
        let figures = Figures::of(&recording(vec![
            (second, evaluated(0, 4.0)),
            (3 * second, step(0, "1001")),
            // What is told on the way to a step is told with it.
            (4 * second, Event::ExpectationChanged { step: 1, expected: Vec::new() }),
            (4 * second, step(1, "1001")),
            // A pause of 90 s ends in an event and is no training.
            (94 * second, Event::Applied { step: 2, command: Command::Resume }),
            (95 * second, step(2, "1011")),
            (99 * second, evaluated(3, 2.0)),
            (104 * second, step(3, "1111")),
            (104 * second, evaluated(4, 1.0)),
        ]))
        .unwrap();
        // Path length 2: 2 s and 1 s, median 1.5; length 3: 1 s; length 4: 5 s.
        let spent = Spent { steps: 4, layer_flops: 110.0, flops: 122.0, seconds: 9.0 };
        assert_eq!((figures.spent, figures.state), (spent, State::Unfinished));
        let points: Vec<(u64, f64, f64)> =
            figures.curve.iter().map(|p| (p.spent.steps, p.spent.flops, p.loss)).collect();
        assert_eq!(points, [(0, 0.0, 4.0), (3, 79.0, 2.0), (4, 122.0, 1.0)]);
        // A third of the way from 79 to 122 FLOPs; and at a point itself.
        let at = |flops| figures.loss_at(|s| s.flops, flops);
        assert!((at(79.0 + 43.0 / 4.0).unwrap() - 1.75).abs() < 1e-12);
        assert_eq!((at(79.0), at(122.0), at(123.0)), (Some(2.0), Some(1.0), None));
        assert_eq!((figures.last_loss(), figures.final_loss()), (Some(1.0), None));
    }

    #[test]
    fn measurements_of_the_full_model_become_series() {
        let measured = |step, path_length, labels: &[&str], values: &[f32]| {
            let labels: Vec<&str> = labels.to_vec();
            // As a recording has it.
            let json = serde_json::json!({ "event": "measured", "step": step, "name": "error", "path_length": path_length,
                "labels": labels, "values": values });
            (1, serde_json::from_value(json).unwrap())
        };
        let figures = Figures::of(&recording(vec![
            measured(0, 2, &["1", "2"], &[9.0, 9.0]),
            measured(0, 4, &["1", "2"], &[1.0, 2.0]),
            (1, step(0, "1111")),
            measured(1, 4, &["1", "2"], &[0.5, 0.25]),
            measured(1, 4, &["1", "2"], &[0.5, 0.25]),
        ]))
        .unwrap();
        let series = figures.series("error").unwrap();
        let readings: Vec<(u64, &[f64])> = series.readings.iter().map(|r| (r.steps, &r.values[..])).collect();
        assert_eq!(readings, [(0, &[1.0, 2.0][..]), (1, &[0.5, 0.25][..])]);
        assert_eq!((series.labels.len(), figures.series("other")), (2, None));
    }

    #[test]
    fn a_model_that_grows_has_no_loss_before_it_is_whole() {
        let of_two = |step| {
            let scores = vec![Score { path_length: 2, loss: 9.0, spread: 0.0, batches: 1 }];
            Event::Evaluated { step, why: Why::Cadence, scores }
        };
        let figures = Figures::of(&recording(vec![
            (1, of_two(0)),
            (2, step(0, "1100")),
            (3, step(1, "1100")),
            (4, evaluated(2, 2.0)),
            (5, step(2, "1111")),
            (6, evaluated(3, 1.0)),
        ]))
        .unwrap();
        assert_eq!((figures.whole_from(), figures.curve.len(), figures.last_loss()), (Some(2), 2, Some(1.0)));
        // Two steps of two layers and one of four, each with 3 for the head; nothing is known before 46.
        assert_eq!(figures.spent.flops, 89.0);
        let at = |flops| figures.loss_at(|s| s.flops, flops);
        assert_eq!((at(0.0), at(45.0), at(46.0), at(67.5), at(90.0)), (None, None, Some(2.0), Some(1.5), None));
    }

    #[test]
    fn a_resume_takes_back_what_was_lost() {
        let mut events = recording(vec![(1, step(0, "1111")), (2, step(1, "1111")), (3, step(2, "1111"))]);
        let resumed = Event::Resumed { step: 1, keep: 2, file: String::new(), damaged: Vec::new() };
        events.push(Stamped { seq: 2, us: 9, event: resumed });
        events.push(Stamped { seq: 3, us: 10, event: step(1, "1111") });
        let done = Event::Finished { step: 2, ending: Ending::Completed, weights: String::new() };
        events.push(Stamped { seq: 4, us: 10, event: done });
        let figures = Figures::of(&events).unwrap();
        assert_eq!((figures.spent.steps, figures.state), (2, State::Completed));
    }
}
