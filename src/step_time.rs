//! The cost model: the time of a step as `t = a + b n` of its n active layers, fitted to a run's stamps.
//!
//! A pure fold over stamped events, for the screen, replays, the headless summary and whoever compares runs. Wall time depends
//! on the machine, so none of this is ever in an event. Only a step that follows another with nothing in between counts
//! (evaluations, pauses and checkpoints are no training time), and of those of one length only what lies below twice their
//! median: a suspended process or a page fault says nothing about layers.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::event::{Event, Stamped};
use crate::schedule::Schedule;

/// A model that explains less of the variance says more of the noise than of layers.
const LEAST_R2: f64 = 0.5;

/// Recent steps of each path length that are kept.
const RECENT: usize = 64;

/// Times of steps by path length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepTimes {
    lengths: BTreeMap<usize, Times>,
    /// When the last step ended, if nothing has happened since.
    stepped_us: Option<u64>,
}

/// Steps of one path length.
#[derive(Clone, Debug, Default, PartialEq)]
struct Times {
    /// All of them.
    steps: u64,
    /// Microseconds of the newest.
    recent: VecDeque<u64>,
}

impl Times {
    /// Those of the newest that are plausible, in seconds.
    fn plausible(&self) -> Vec<f64> {
        let mut sorted: Vec<u64> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let limit = 2 * sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        self.recent.iter().filter(|us| **us <= limit).map(|us| *us as f64 / 1e6).collect()
    }

    fn mean(&self) -> f64 {
        let seconds = self.plausible();
        seconds.iter().sum::<f64>() / seconds.len().max(1) as f64
    }
}

/// The fitted model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// Seconds of a step without any layer, a.
    pub fixed_seconds: f64,
    /// Seconds that each active layer adds, b.
    pub layer_seconds: f64,
    /// Share of the variance of step times that the model explains.
    pub r2: f64,
    /// Steps it was fitted to.
    pub steps: usize,
    /// `T t_full / sum T_s t_s` over the schedule's stages: how much faster than full training, by this model.
    pub predicted_speed_up: f64,
    /// The same over the steps that were trained, with their measured times.
    pub measured_speed_up: f64,
}

impl Fit {
    /// The fixed cost in layers, a / b.
    pub fn fixed_layers(&self) -> f64 {
        self.fixed_seconds / self.layer_seconds
    }

    /// Seconds of a step with that many active layers.
    pub fn seconds(&self, layers: f64) -> f64 {
        self.fixed_seconds + self.layer_seconds * layers
    }

    /// For people.
    pub fn line(&self) -> String {
        format!(
            "a step of n layers takes {:.2} + {:.2} n ms (r2 {:.3}; the fixed part is worth {:.1} layers); \
             speed-up over full training: {:.3} by the schedule, {:.3} so far",
            1e3 * self.fixed_seconds,
            1e3 * self.layer_seconds,
            self.r2,
            self.fixed_layers(),
            self.predicted_speed_up,
            self.measured_speed_up
        )
    }
}

impl StepTimes {
    /// Takes in one event.
    pub fn take(&mut self, stamped: &Stamped) {
        if stamped.event.is_aside() {
            return;
        }
        let before = self.stepped_us.take();
        let Event::Stepped { path, .. } = &stamped.event else {
            return;
        };
        let times = self.lengths.entry(path.path_length()).or_default();
        times.steps += 1;
        if let Some(before) = before {
            times.recent.push_back(stamped.us.saturating_sub(before));
            if times.recent.len() > RECENT {
                times.recent.pop_front();
            }
        }
        self.stepped_us = Some(stamped.us);
    }

    /// Those of a whole recording.
    pub fn of(events: &[Stamped]) -> Self {
        let mut times = Self::default();
        events.iter().for_each(|stamped| times.take(stamped));
        times
    }

    /// Least squares over the steps; none before two path lengths were timed, if more layers don't take more time, or if a
    /// step without layers would have to take less than no time, by more than a layer's worth: then the machine's speed has
    /// changed between the path lengths, and the line tells of that.
    pub fn fit(&self, schedule: &Schedule) -> Option<Fit> {
        let points: Vec<(f64, f64)> =
            self.lengths.iter().flat_map(|(n, times)| times.plausible().into_iter().map(|t| (*n as f64, t))).collect();
        let count = points.len() as f64;
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (n, t) = (mean(&|p| p.0), mean(&|p| p.1));
        let (nn, nt, tt) =
            (mean(&|p| (p.0 - n).powi(2)), mean(&|p| (p.0 - n) * (p.1 - t)), mean(&|p| (p.1 - t).powi(2)));
        if !(nn > 0.0 && nt > 0.0) {
            return None;
        }
        let layer_seconds = nt / nn;
        let fixed_seconds = t - layer_seconds * n;
        if fixed_seconds < -layer_seconds {
            return None;
        }
        let r2 = nt * nt / (nn * tt);
        if r2 < LEAST_R2 {
            return None;
        }
        let seconds = |n: f64| fixed_seconds + layer_seconds * n;
        let full = seconds(schedule.layers as f64);
        let ratio = |full: f64, spent: f64| if spent > 0.0 { full / spent } else { 1.0 };
        let (mut planned, mut spent, mut whole) = (0.0, 0.0, 0.0);
        for stage in &schedule.stages {
            planned += stage.steps as f64 * seconds(stage.mean_length());
        }
        for times in self.lengths.values().filter(|times| !times.recent.is_empty()) {
            spent += times.steps as f64 * times.mean();
            whole += times.steps as f64 * full;
        }
        Some(Fit {
            fixed_seconds,
            layer_seconds,
            r2,
            steps: points.len(),
            predicted_speed_up: ratio(schedule.total_steps() as f64 * full, planned),
            measured_speed_up: ratio(whole, spent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer_path::LayerPath;
    use crate::schedule::Stage;

    const LAYERS: usize = 12;

    /// Steps of 6, 8, 10 and 12 layers, 100 each, each taking what `time` says, with `other` in between.
    fn run(time: impl Fn(u64, usize) -> u64, other: impl Fn(u64) -> Option<u64>) -> (StepTimes, Schedule) {
        let fixed = LayerPath::from_layers(LAYERS, [0]);
        let stages = [6, 8, 10, 12].map(|n| Stage::new(100, n, fixed)).to_vec();
        let schedule = Schedule { layers: LAYERS, stages };
        let (mut us, mut events) = (0, Vec::new());
        for step in 0..400u64 {
            if let Some(wait) = other(step) {
                us += wait;
                let event = Event::Evaluated { step, why: crate::event::Why::Cadence, scores: Vec::new() };
                events.push(Stamped { seq: 0, us, event });
            }
            let n = schedule.lookup(step).path_length;
            us += time(step, n);
            let path = LayerPath::from_layers(LAYERS, 0..n);
            let event = Event::Stepped { step, stage: 0, path, loss: 1.0, learning_rate: 0.1, gradient_norm: 1.0 };
            events.push(Stamped { seq: 0, us, event });
        }
        (StepTimes::of(&events), schedule)
    }

    #[test]
    fn an_exact_model_is_found_whatever_happens_between_steps() {
        let time = |_, n: usize| 5000 + 2000 * n as u64;
        let calm = run(time, |_| None);
        let busy = run(time, |step| step.is_multiple_of(7).then_some(3_000_000));
        // A suspended process: nothing tells but the time.
        let suspended = run(|step, n| if step % 50 == 9 { 60_000_000 } else { time(step, n) }, |_| None);
        for (times, schedule) in [calm, busy, suspended] {
            let fit = times.fit(&schedule).unwrap();
            assert!((fit.fixed_seconds - 5e-3).abs() < 1e-9 && (fit.layer_seconds - 2e-3).abs() < 1e-9, "{fit:?}");
            assert!((fit.r2 - 1.0).abs() < 1e-9 && (fit.fixed_layers() - 2.5).abs() < 1e-6);
            // By hand: a fixed cost of 2.5 layers makes 1.26 of BERT's 1.333.
            let right = (2.5 + 12.0) / (2.5 + 9.0);
            assert!((fit.predicted_speed_up - right).abs() < 1e-6, "{fit:?}");
            assert!((fit.measured_speed_up - right).abs() < 1e-6, "{fit:?}");
            assert!((fit.seconds(9.0) - 23e-3).abs() < 1e-9 && fit.line().contains("1.261 by the schedule"));
        }
    }

    #[test]
    fn noise_is_fitted_by_least_squares() {
        // The newest 64 steps of each length, in closed form (normal equations) apart from the code.
        let time = |step: u64, n: usize| 4000 + 1500 * n as u64 + step * 7919 % 601;
        let (times, schedule) = run(time, |_| None);
        let points: Vec<(f64, f64)> = (0..400u64)
            .filter(|step| step % 100 >= 36)
            .map(|step| (6.0 + 2.0 * (step / 100) as f64, time(step, 6 + 2 * (step / 100) as usize) as f64 / 1e6))
            .collect();
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(n, t)| of(*n, *t)).sum::<f64>();
        let (c, n, t) = (points.len() as f64, sum(&|n, _| n), sum(&|_, t| t));
        let (nn, nt) = (sum(&|n, _| n * n), sum(&|n, t| n * t));
        let b = (c * nt - n * t) / (c * nn - n * n);
        let a = (t - b * n) / c;
        let off = sum(&|n, t_| (t_ - a - b * n).powi(2)) / sum(&|_, t_| (t_ - t / c).powi(2));
        let fit = times.fit(&schedule).unwrap();
        assert!((fit.layer_seconds - b).abs() < 1e-12 && (fit.fixed_seconds - a).abs() < 1e-12, "{fit:?} {a} {b}");
        assert!((fit.r2 - (1.0 - off)).abs() < 1e-9, "{} {}", fit.r2, 1.0 - off);
        assert_eq!(fit.steps, 256);
    }

    #[test]
    fn one_length_tells_nothing_and_so_do_layers_that_take_no_time() {
        let (mut times, schedule) = run(|_, _| 5000, |_| None);
        assert_eq!(times.fit(&schedule), None);
        // A machine that had less and less time: the line would give steps without layers back 6 of them.
        assert_eq!(run(|_, n| 1000 * n as u64 - 6000 + 1, |_| None).0.fit(&schedule), None);
        times.lengths.retain(|n, _| *n == 6);
        assert_eq!(times.fit(&schedule), None);
        assert_eq!(StepTimes::default().fit(&schedule), None);
    }
}
