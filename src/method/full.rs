//! Full training: every layer in every step, the baseline.

use super::{Context, Edit, Method, MethodConfig};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::Schedule;
use crate::subnetwork::Subnetwork;

pub(super) struct Full;

impl Method for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn about(&self) -> &'static str {
        "every layer in every step: the baseline"
    }

    fn keys(&self) -> &'static [&'static str] {
        // Fixed layers are what evaluations over path lengths keep.
        &["fixed"]
    }

    fn check(&self, _settings: &MethodConfig, schedule: &Schedule) -> Vec<(usize, String)> {
        let short = schedule.stages.iter().enumerate().filter(|(_, s)| s.path_length != schedule.layers);
        short
            .map(|(i, stage)| {
                let layers = schedule.layers;
                let length = stage.path_length;
                (i, format!("must be {layers} (all layers) under method full, not {length}; leave the stages out or use raptr"))
            })
            .collect()
    }

    fn allows(&self, _now: &Context<'_>, _edit: Edit, _after: &Schedule) -> Result<(), String> {
        Err("method full trains every layer in every step".to_owned())
    }

    fn draw(&self, at: &Context<'_>, _rng: &mut Rng) -> Subnetwork {
        LayerPath::full(at.layers()).into()
    }

    fn expected(&self, _at: &Context<'_>, _layer: usize) -> f64 {
        1.0
    }
}
