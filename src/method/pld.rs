//! Progressive layer dropping (Zhang and He 2020): layers are dropped more and more, deeper ones more often.
//!
//! The keep ratio falls from 1 to `theta`: `theta(t) = (1 - theta) exp(-gamma t / T) + theta` at step t of T (the paper's
//! gamma is 100 / T per step). Layer l of L, counted from 1, is kept with `p_l = 1 - (l / L) (1 - theta(t))`, and its two
//! branches are divided by that. Evaluation keeps all layers, unscaled. The gate and the factor have
//! one and the same probability; DeepSpeed's code takes two that are a layer apart.

use super::{Complaint, Context, Edit, Given, LayerShape, Method, MethodConfig, draw};
use crate::rng::Rng;
use crate::schedule::{Row, Schedule};
use crate::subnetwork::Subnetwork;

pub(super) struct Pld;

/// `p_l` of layer `layer` (0-based) at a keep ratio.
fn keep(layer: usize, layers: usize, ratio: f64) -> f64 {
    1.0 - (layer + 1) as f64 / layers as f64 * (1.0 - ratio)
}

/// `theta(t)`.
fn ratio(settings: &MethodConfig, step: u64, total: u64) -> f64 {
    let fallen = (-settings.gamma * step as f64 / total.max(1) as f64).exp();
    (1.0 - settings.theta) * fallen + settings.theta
}

/// The mean of `exp(-gamma t / T)` over steps `first..end`: a geometric series.
fn mean_fallen(gamma: f64, total: u64, first: u64, end: u64) -> f64 {
    let (rate, n) = (gamma / total.max(1) as f64, (end - first) as f64);
    if rate == 0.0 || n == 0.0 {
        return 1.0;
    }
    (-rate * first as f64).exp() * (-rate * n).exp_m1() / (-rate).exp_m1() / n
}

impl Method for Pld {
    fn name(&self) -> &'static str {
        "pld"
    }

    fn about(&self) -> &'static str {
        "progressive layer dropping: from all layers down to theta of them, deeper ones dropped more often"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["theta", "gamma"]
    }

    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        let MethodConfig { theta, gamma, .. } = *given.settings;
        if !(theta > 0.0 && theta <= 1.0) {
            return Err(("method.theta", format!("must lie above 0 and be at most 1, not {theta}")));
        }
        if !(gamma >= 0.0 && gamma.is_finite()) {
            return Err(("method.gamma", format!("must be a number from 0 on, not {gamma}")));
        }
        draw::without_stages(given, "pld", "method.theta and method.gamma")
    }

    fn allows(&self, _now: &Context<'_>, _edit: Edit, _after: &Schedule) -> Result<(), String> {
        Err("pld has no path length: what it drops follows from method.theta and method.gamma".to_owned())
    }

    fn draw(&self, at: &Context<'_>, rng: &mut Rng) -> Subnetwork {
        let path = draw::each(at.layers(), |layer| self.expected(at, layer), rng);
        Subnetwork::new(path).with_factors(path.active().map(|l| (1.0 / self.expected(at, l)) as f32).collect())
    }

    fn expected(&self, at: &Context<'_>, layer: usize) -> f64 {
        keep(layer, at.layers(), ratio(at.settings, at.step, at.schedule.total_steps()))
    }

    fn drifts(&self) -> bool {
        true
    }

    fn mean(&self, settings: &MethodConfig, _shape: LayerShape, schedule: &Schedule, stage: usize) -> Option<f64> {
        let (first, end) = (schedule.start(stage), schedule.start(stage + 1));
        let fallen = mean_fallen(settings.gamma, schedule.total_steps(), first, end);
        let mean = (1.0 - settings.theta) * fallen + settings.theta;
        Some((0..schedule.layers).map(|layer| keep(layer, schedule.layers, mean)).sum())
    }
}
