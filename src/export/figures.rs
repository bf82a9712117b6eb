//! A recording as columns of figures, by subject: what tables and charts of it are made from.
//!
//! Owns what each figure is (counts behind a step, FLOPs as the cost model has them, the smoothed loss); how they are
//! written is `csv`'s and `charts`'.

use crate::event::{Event, Measurement, Score, Stamped, Started, Transition, Why};
use crate::layer_path::LayerPath;
use crate::schedule::Schedule;

/// The weight of what was in the smoothed loss, per step.
pub const SMOOTHING: f64 = 0.98;

/// A training step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Steps trained with it.
    pub steps: u64,
    /// Training FLOPs spent with it.
    pub flops: f64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// 0-based.
    pub stage: usize,
    /// Its layers.
    pub path: LayerPath,
    /// The subnetwork's loss.
    pub loss: f32,
    /// The smoothed loss: an exponential average over all steps so far, unbiased from the first on.
    pub smooth: f64,
    /// The learning rate.
    pub learning_rate: f32,
    /// The gradient's norm before clipping.
    pub gradient_norm: f32,
}

/// An evaluation.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Steps trained.
    pub steps: u64,
    /// What asked for it.
    pub why: Why,
    /// One for each path length.
    pub scores: Vec<Score>,
}

/// A layer over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Layer {
    /// Steps it was active in.
    pub active: u64,
    /// The sum over steps of the probability that it is.
    pub expected: f64,
    /// The last of those steps, 0-based.
    pub last: Option<u64>,
}

/// Everything that is exported of a run.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// What is known before the first step.
    pub started: Option<Started>,
    /// Every training step.
    pub steps: Vec<Step>,
    /// Every evaluation.
    pub evaluations: Vec<Evaluation>,
    /// Every series.
    pub measured: Vec<Measurement>,
    /// Every transition.
    pub transitions: Vec<Transition>,
    /// First steps of stages, and the stages.
    pub stages: Vec<(u64, usize)>,
    /// Every layer, input side first.
    pub layers: Vec<Layer>,
    schedule: Option<Schedule>,
    /// The probability of each layer in the next step.
    expected: Vec<f32>,
    /// Whether the next step computes parts of layers alone.
    is_partial: bool,
    flops: f64,
    /// Of the smoothed loss: weighted sum and weight.
    average: (f64, f64),
}

impl Figures {
    /// Takes in an event that holds (none of those that a resume took back).
    pub fn take(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::Started(started) => {
                self.layers = vec![Layer::default(); started.schedule.layers];
                self.schedule = Some(started.schedule.clone());
                self.started = Some((**started).clone());
            }
            Event::StageEntered { step, stage, expected, schedule, .. } => {
                self.schedule = Some(schedule.clone());
                self.expected.clone_from(expected);
                if self.stages.last().is_none_or(|(_, last)| last != stage) {
                    self.stages.push((*step, *stage));
                }
            }
            Event::ExpectationChanged { expected, .. } => self.expected.clone_from(expected),
            Event::PartsDrawn { .. } => self.is_partial = true,
            Event::Stepped { step, stage, path, loss, learning_rate, gradient_norm } => {
                let (loss, learning_rate, gradient_norm) = (*loss, *learning_rate, *gradient_norm);
                self.flops += self.cost(*stage, *path);
                let (sum, weight) = &mut self.average;
                *sum = SMOOTHING * *sum + (1.0 - SMOOTHING) * f64::from(loss);
                *weight = SMOOTHING * *weight + (1.0 - SMOOTHING);
                let (steps, flops, smooth) = (step + 1, self.flops, *sum / *weight);
                let (seconds, stage, path) = (stamped.us as f64 / 1e6, *stage, *path);
                self.steps.push(Step {
                    steps,
                    flops,
                    seconds,
                    stage,
                    path,
                    loss,
                    smooth,
                    learning_rate,
                    gradient_norm,
                });
                for (index, layer) in self.layers.iter_mut().enumerate() {
                    layer.expected += f64::from(self.expected.get(index).copied().unwrap_or(1.0));
                    if path.is_active(index) {
                        layer.active += 1;
                        layer.last = Some(*step);
                    }
                }
            }
            Event::Evaluated { step, why, scores } => {
                self.evaluations.push(Evaluation { steps: *step, why: *why, scores: scores.clone() });
            }
            Event::Measured(m) => self.measured.push(m.clone()),
            Event::TransitionMeasured(t) => self.transitions.push(t.clone()),
            _ => {}
        }
    }

    /// Training FLOPs of the step at hand: where layers are computed in part, what its stage says.
    fn cost(&mut self, stage: usize, path: LayerPath) -> f64 {
        let is_partial = std::mem::take(&mut self.is_partial);
        let row = self.schedule.as_ref().and_then(|s| s.stages.get(stage)).filter(|_| is_partial);
        let worth = row.map_or(path.path_length() as f64, crate::schedule::Stage::mean_length);
        self.started.as_ref().map_or(0.0, |s| s.layer_flops * worth + s.fixed_flops)
    }

    /// How many layers the full model has.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// What a step sees so many of, and how many.
    pub fn items(&self) -> (&str, u64) {
        self.started.as_ref().map_or(("tokens", 0), |s| (s.items.as_str(), s.tokens_per_step))
    }

    /// What losses are measured in.
    pub fn loss_unit(&self) -> &str {
        self.started.as_ref().map_or("nats per token", |s| s.loss_unit.as_str())
    }

    /// The full model's evaluations between steps: steps, loss, spread.
    pub fn full(&self) -> impl Iterator<Item = (u64, Score)> {
        let depth = self.depth();
        let is_regular = |e: &&Evaluation| !matches!(e.why, Why::Transition | Why::Probe);
        self.evaluations.iter().filter(is_regular).filter_map(move |e| {
            let score = e.scores.iter().find(|s| s.path_length == depth)?;
            Some((e.steps, *score))
        })
    }
}
