//! RaPTr: a random path of the stage's length, the fixed layers always on it.
//!
//! Definition 2 of the paper (arXiv 2402.05913) includes each layer outside the fixed set I by itself with probability
//! `p = (len - |I|) / (L - |I|)`, so that the *expected* length is `len` (sampling = bernoulli). Its Figure 1 skips the
//! same number of layers in each step: a uniform subset of exactly `len` layers (sampling = exact, the default). A first
//! stage of the full model is what the paper's UL2 runs had before the others. Along the axis of width `width` draws.

use super::{Axis, Complaint, Context, Given, LayerShape, Method, MethodConfig, draw, width};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::{Row, Schedule};
use crate::subnetwork::Subnetwork;

pub(super) struct Raptr;

/// The steps of the first stage of the full model, if there is to be one.
fn initial_steps(given: &Given<'_>) -> Result<u64, Complaint> {
    let wanted = given.settings.initial_full;
    if !(wanted >= 0.0 && wanted.is_finite()) {
        return Err(("method.initial_full", format!("must be 0, a share below 1 or a number of steps, not {wanted}")));
    }
    let steps = if wanted < 1.0 { (wanted * given.steps as f64).round() as u64 } else { wanted.round() as u64 };
    let taken: u64 = given.rows.iter().filter_map(|row| row.steps).sum();
    let left = given.steps.saturating_sub(taken);
    if wanted > 0.0 && (steps == 0 || steps >= left) {
        let problem = format!(
            "takes {steps} steps, but must take at least 1 and leave some of the {left} that stages without `steps` divide"
        );
        return Err(("method.initial_full", problem));
    }
    Ok(steps)
}

impl Method for Raptr {
    fn name(&self) -> &'static str {
        "raptr"
    }

    fn about(&self) -> &'static str {
        "random path training: a random subset of layers in each step, growing in stages (arXiv 2402.05913)"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["sampling", "fixed", "scaling", "initial_full", "axis", "groups", "shared"]
    }

    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        width::check(given)?;
        let steps = initial_steps(given)?;
        let whole = draw::whole_run(given);
        let first = (steps > 0).then(|| Row { steps: Some(steps), ..whole.clone() });
        let rows = if given.rows.is_empty() { vec![whole] } else { given.rows.to_vec() };
        let mut rows: Vec<Row> = first.into_iter().chain(rows).collect();
        if given.settings.axis == Axis::Width {
            // No layer is ever skipped, so none needs to be fixed.
            rows.iter_mut().for_each(|row| row.fixed = LayerPath::none(given.layers));
        }
        Ok(rows)
    }

    fn check(&self, settings: &MethodConfig, schedule: &Schedule) -> Vec<(usize, String)> {
        // From the initial full-model stage to the first of the table the length may fall.
        let before = usize::from(settings.initial_full > 0.0);
        draw::falls(schedule)
            .filter(|(i, ..)| *i > before)
            .map(|(i, old, new)| {
                (i - before, format!("must not fall from stage to stage under raptr; {new} comes after {old}"))
            })
            .collect()
    }

    fn notes(&self, _settings: &MethodConfig, schedule: &Schedule) -> Vec<String> {
        let (layers, last) = (schedule.layers, schedule.lookup(schedule.total_steps()).path_length);
        let sentence = || {
            format!(
                "the last stage has {last} of {layers} layers, but the paper ends with the full model; give it \
                 path_length = {layers} to train as it does"
            )
        };
        (last < layers).then(sentence).into_iter().collect()
    }

    fn draw(&self, at: &Context<'_>, rng: &mut Rng) -> Subnetwork {
        match at.settings.axis {
            Axis::Depth => draw::random_subnetwork(at, rng),
            Axis::Width => width::random_parts(at, at.stage().path_length, rng),
        }
    }

    fn expected(&self, at: &Context<'_>, layer: usize) -> f64 {
        match at.settings.axis {
            Axis::Depth => draw::chance(at.stage(), layer),
            Axis::Width => 1.0,
        }
    }

    fn mean(&self, settings: &MethodConfig, shape: LayerShape, schedule: &Schedule, stage: usize) -> Option<f64> {
        let (length, layers) = (schedule.stages[stage].path_length, schedule.layers);
        let worth = width::worth(settings, shape, length, layers);
        (settings.axis == Axis::Width && worth != length as f64).then_some(worth)
    }

    fn evaluation(&self, at: &Context<'_>, existing: usize, path_length: usize, rng: &mut Rng) -> Subnetwork {
        match at.settings.axis {
            Axis::Depth => self.evaluated(at, draw::exact(at.stage().fixed, existing, path_length, rng)),
            Axis::Width => width::random_parts(at, path_length, rng),
        }
    }

    fn evaluated(&self, at: &Context<'_>, path: LayerPath) -> Subnetwork {
        draw::evaluated(at, path)
    }
}
