//! LayerDrop (Fan et al. 2019): every layer is dropped with the same probability in every step, nothing is rescaled.
//!
//! Meant for pruning afterwards: evaluate over path lengths to see how many layers the model can do without.

use super::{Complaint, Context, Edit, Given, LayerShape, Method, MethodConfig, draw};
use crate::rng::Rng;
use crate::schedule::{Row, Schedule};
use crate::subnetwork::Subnetwork;

pub(super) struct LayerDrop;

impl Method for LayerDrop {
    fn name(&self) -> &'static str {
        "layerdrop"
    }

    fn about(&self) -> &'static str {
        "every layer is dropped with probability method.drop, throughout"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["drop"]
    }

    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        let drop = given.settings.drop;
        if !(0.0..1.0).contains(&drop) {
            return Err(("method.drop", format!("must lie between 0 and 1, 1 excluded, not {drop}")));
        }
        draw::without_stages(given, "layerdrop", "method.drop")
    }

    fn allows(&self, _now: &Context<'_>, _edit: Edit, _after: &Schedule) -> Result<(), String> {
        Err("layerdrop has no path length: what it drops follows from method.drop".to_owned())
    }

    fn draw(&self, at: &Context<'_>, rng: &mut Rng) -> Subnetwork {
        draw::each(at.layers(), |layer| self.expected(at, layer), rng).into()
    }

    fn expected(&self, at: &Context<'_>, _layer: usize) -> f64 {
        1.0 - at.settings.drop
    }

    fn mean(&self, settings: &MethodConfig, _shape: LayerShape, schedule: &Schedule, _stage: usize) -> Option<f64> {
        Some(schedule.layers as f64 * (1.0 - settings.drop))
    }
}
