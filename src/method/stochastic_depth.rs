//! Stochastic depth (Huang et al. 2016): deeper layers survive less often; evaluation weighs each by its survival.
//!
//! Layer l of L, counted from 1, survives with `rho_l = 1 - (l / L) (1 - rho_L)`. Training rescales nothing; evaluation
//! of the full model multiplies each layer's branches by `rho_l`.

use super::{Complaint, Context, Edit, Given, LayerShape, Method, MethodConfig, draw};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::{Row, Schedule};
use crate::subnetwork::Subnetwork;

pub(super) struct StochasticDepth;

fn survival(settings: &MethodConfig, layer: usize, layers: usize) -> f64 {
    1.0 - (layer + 1) as f64 / layers as f64 * (1.0 - settings.survival)
}

impl Method for StochasticDepth {
    fn name(&self) -> &'static str {
        "stochastic-depth"
    }

    fn about(&self) -> &'static str {
        "deeper layers survive less often, down to method.survival; evaluation weighs each by its survival"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["survival"]
    }

    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        let last = given.settings.survival;
        if !(last > 0.0 && last <= 1.0) {
            return Err(("method.survival", format!("must lie above 0 and be at most 1, not {last}")));
        }
        draw::without_stages(given, "stochastic-depth", "method.survival")
    }

    fn allows(&self, _now: &Context<'_>, _edit: Edit, _after: &Schedule) -> Result<(), String> {
        Err("stochastic-depth has no path length: what it drops follows from method.survival".to_owned())
    }

    fn draw(&self, at: &Context<'_>, rng: &mut Rng) -> Subnetwork {
        draw::each(at.layers(), |layer| self.expected(at, layer), rng).into()
    }

    fn expected(&self, at: &Context<'_>, layer: usize) -> f64 {
        survival(at.settings, layer, at.layers())
    }

    fn mean(&self, settings: &MethodConfig, _shape: LayerShape, schedule: &Schedule, _stage: usize) -> Option<f64> {
        Some((0..schedule.layers).map(|layer| survival(settings, layer, schedule.layers)).sum())
    }

    fn evaluated(&self, at: &Context<'_>, path: LayerPath) -> Subnetwork {
        let whole = Subnetwork::new(path);
        // A subnetwork is evaluated as it is trained.
        if !path.is_full() {
            return whole;
        }
        whole.with_factors((0..at.layers()).map(|l| survival(at.settings, l, at.layers()) as f32).collect())
    }
}
