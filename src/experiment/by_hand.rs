//! Results made up by hand, for the tests of what is made of results. Trains nothing.

use super::definition::Role;
use super::figures::{Figures, Point, Spent, State};
use super::results::{ArmResult, RunResult, SpeedUp, against};
use super::statistics::summary;

/// What a run spends that isn't told otherwise.
pub const SPENT: Spent = Spent { steps: 100, layer_flops: 90.0, flops: 100.0, seconds: 1.0 };

/// A run that ended with a loss, or diverged; it was evaluated at its end alone.
pub fn figures(loss: Option<f64>, spent: Spent) -> Figures {
    Figures {
        method: "full".to_owned(),
        layers: 12,
        loss_unit: "nats".to_owned(),
        state: if loss.is_some() { State::Completed } else { State::Diverged },
        spent,
        curve: loss.map(|loss| Point { spent, loss }).into_iter().collect(),
        measured: Vec::new(),
        floor: None,
        data: "text".to_owned(),
        initial_weights: "weights".to_owned(),
        config: String::new(),
    }
}

/// An arm by its final losses on seeds 1, 2, ..., none where it diverged; a shallower one has 6 layers, others 12.
pub fn arm(name: &str, role: Role, losses: &[Option<f64>]) -> ArmResult {
    let run = |(at, loss): (usize, &Option<f64>)| RunResult {
        name: format!("{name}-seed{}", at + 1),
        seed: at as u64 + 1,
        figures: figures(*loss, SPENT),
    };
    let finished: Vec<f64> = losses.iter().flatten().copied().collect();
    ArmResult {
        name: name.to_owned(),
        role,
        method: "full".to_owned(),
        layers: if role == Role::Shallower { 6 } else { 12 },
        steps: 100,
        learning_rate: 1e-3,
        tuning: Vec::new(),
        loss: summary(&finished),
        diverged: losses.len() - finished.len(),
        spent: SPENT,
        speed_up: SpeedUp { layers: 1.0, all: 1.0, time: 1.0 },
        same_start: None,
        to_baseline: None,
        equal_flops: None,
        runs: losses.iter().enumerate().map(run).collect(),
    }
}

/// The arms, each but the first compared with it.
pub fn compared<const N: usize>(mut arms: [ArmResult; N]) -> [ArmResult; N] {
    let baseline = arms[0].clone();
    arms[1..].iter_mut().for_each(|arm| arm.to_baseline = against(&arm.runs, &baseline.runs));
    arms
}
