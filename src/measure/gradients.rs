//! Gradients and updates by layer, of the step that comes next: a function of weights and step alone, whether or not
//! the step before was trained in this session.
//!
//! `|g_l|` is the 2-norm over all the layer's parameters, before clipping. The update's ratio is `|dW_l| / |W_l|` over the
//! layer's matrices, with `dW` what AdamW will do (clipping, decay and learning rate included): the update is made and
//! taken back, so that what moves is what the step will move. Vectors are left out: biases begin at 0, and gains of norms at
//! 1 would drown what is learned. A layer that is skipped in the step has no gradient, and an update only where
//! `optimizer.skipped = "zero-grad"` gives it one.

use anyhow::Result;

use super::{Measure, Measured, Next, Subject};
use crate::layer_path::LayerPath;
use crate::measurement::What;
use crate::model::Parameter;

pub(super) struct Gradients;

/// What stands for the parameters outside of the layers: embeddings, outer norms, head.
const OUTSIDE: &str = "outside";

/// The layer (0-based) of a parameter, by its name.
fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("h.")?.split('.').next()?.parse().ok()
}

fn squares(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum()
}

/// Sums of squares of one layer.
#[derive(Clone, Copy, Default)]
struct Sums {
    gradient: f64,
    update: f64,
    weight: f64,
}

impl Measure for Gradients {
    fn what(&self) -> What {
        What::Gradients
    }

    fn measure(&self, subject: &mut Subject<'_>) -> Result<Measured> {
        let Some(Next { micro_batches, subnetwork, rule }) = &subject.next else {
            return Ok(Measured::Impossible("every step is trained: there is no next one".to_owned()));
        };
        if (subject.interrupted)() {
            return Ok(Measured::Interrupted);
        }
        let path = subnetwork.path();
        subject.engine.gradient(micro_batches, subnetwork)?;
        let rule = rule(subject.engine.gradient_norm()?);
        let mut sums = vec![Sums::default(); path.layers() + 1];
        let place = |name: &str| layer_of(name).unwrap_or(path.layers());
        for (name, gradient) in subject.engine.gradients()? {
            sums[place(&name)].gradient += squares(gradient.iter().map(|g| f64::from(*g)));
        }
        let before = subject.engine.parameters()?;
        subject.engine.update(&rule)?;
        for (before, after) in before.iter().zip(subject.engine.parameters()?) {
            add_matrix(&mut sums[place(&before.name)], before, &after);
        }
        subject.engine.set_parameters(before)?;
        let moved = if rule.zero_gradient_for_skipped { subject.whole } else { path };
        let label = |slot: &usize| if *slot == path.layers() { OUTSIDE.to_owned() } else { (slot + 1).to_string() };
        let series = |name: &str, layers: LayerPath, value: &dyn Fn(&Sums) -> f64| {
            let slots: Vec<usize> = layers.active().chain([path.layers()]).collect();
            let values = slots.iter().map(|slot| value(&sums[*slot]) as f32).collect();
            let mut series = subject.series(name, slots.iter().map(label).collect(), values);
            series.path_length = path.path_length();
            series
        };
        let ratio = |s: &Sums| if s.weight > 0.0 { (s.update / s.weight).sqrt() } else { 0.0 };
        Ok(Measured::Series(vec![
            series("gradient norm by layer", path, &|s| s.gradient.sqrt()),
            series("update over weight by layer", moved, &ratio),
        ]))
    }
}

/// Takes in a parameter's update, if it is a matrix.
fn add_matrix(sums: &mut Sums, before: &Parameter, after: &Parameter) {
    if after.shape.len() >= 2 {
        sums.update += squares(before.weight.iter().zip(&after.weight).map(|(b, a)| f64::from(*a) - f64::from(*b)));
        sums.weight += squares(before.weight.iter().map(|b| f64::from(*b)));
    }
}
