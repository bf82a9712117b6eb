//! Full training: every layer in every step, the baseline.

use super::{Method, Sampling};
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

    fn check(&self, schedule: &Schedule) -> Vec<(usize, String)> {
        let short = schedule.stages.iter().enumerate().filter(|(_, s)| s.path_length != schedule.layers);
        short
            .map(|(i, stage)| {
                let layers = schedule.layers;
                let length = stage.path_length;
                (i, format!("must be {layers} (all layers) under method full, not {length}; leave the stages out or use raptr"))
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
