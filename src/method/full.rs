//! Full training: every layer in every step, the baseline.

use super::Method;
use crate::config::Sampling;
use crate::config::check::Problem;
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::{Schedule, Stage};

pub(super) struct Full;

impl Method for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn about(&self) -> &'static str {
        "every layer in every step: the baseline"
    }

    fn check(&self, schedule: &Schedule) -> Vec<Problem> {
        let short = schedule
            .stages
            .iter()
            .enumerate()
            .filter(|(_, s)| s.path_length != schedule.layers);
        short
            .map(|(i, stage)| Problem {
                key: format!("stage[{}].path_length", i + 1),
                message: format!(
                    "must be {} (all layers) under method full, not {}; leave the stages out or use raptr",
                    schedule.layers, stage.path_length
                ),
            })
            .collect()
    }

    fn is_steerable(&self) -> bool {
        false
    }

    fn draw(&self, stage: &Stage, _sampling: Sampling, _rng: &mut Rng) -> LayerPath {
        LayerPath::full(stage.fixed.layers())
    }

    fn expected(&self, _stage: &Stage, _layer: usize) -> f64 {
        1.0
    }
}
