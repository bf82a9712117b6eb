//! Measurements of a model beside its loss.
//!
//! Owns the table. Each measurement is a file here, a line in [`MEASURES`] and a line with its name in `measurement`; the
//! command, the cadence, the menu and the tests over all of them read the same tables. Each takes an engine and fixed
//! inputs, changes no parameter, and gives plain numbers. Never touches the loop's state, a file or a clock.

pub mod coefficients;
mod curve;
mod forecast;
mod gradients;
mod norms;
pub mod pruning;
pub mod psi;
mod stability;

use anyhow::Result;

use crate::layer_path::LayerPath;
use crate::measurement::{Measurement, What};
use crate::model::{Engine, UpdateRule};
use crate::objective::Batch;
use crate::subnetwork::Subnetwork;
use coefficients::Coefficients;

/// One way to measure.
pub trait Measure: Sync {
    /// Its line in `measurement::WHATS`.
    fn what(&self) -> What;

    /// Measures.
    ///
    /// # Errors
    /// If the engine fails.
    fn measure(&self, subject: &mut Subject<'_>) -> Result<Measured>;
}

/// Every measurement.
pub static MEASURES: &[&dyn Measure] = &[
    &curve::Curve,
    &forecast::Forecast,
    &stability::Stability,
    &norms::Norms,
    &gradients::Gradients,
    &pruning::Pruning,
    &coefficients::OfDegrees,
];

/// What became of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// It was done.
    Series(Vec<Measurement>),
    /// Somebody could not wait.
    Interrupted,
    /// It makes no sense for this run, or not now: one sentence.
    Impossible(String),
}

/// What is measured, and on what.
pub struct Subject<'a> {
    /// Has the model.
    pub engine: &'a mut dyn Engine,
    /// The layers of the full model.
    pub whole: LayerPath,
    /// Width of the residual stream, C.
    pub width: usize,
    /// Steps trained so far.
    pub step: u64,
    /// Seed of every draw.
    pub seed: u64,
    /// Fixed batches, the evaluation's first.
    pub batches: &'a [Batch],
    /// Layer paths (or sets of dropped layers) of each path length.
    pub paths: usize,
    /// Fixed batches of a transition's evaluations.
    pub transition_batches: &'a [Batch],
    /// The current path length.
    pub current: usize,
    /// Path lengths that can be trained, in order.
    pub lengths: &'a [usize],
    /// The layers that are fixed in the current stage.
    pub fixed: LayerPath,
    /// Path lengths that a change of stage or length by one key would lead to, and the current one, in order; each with
    /// the layers that are fixed in the stage that it is the length of.
    pub candidates: &'a [(usize, LayerPath)],
    /// The fixed subnetwork of a path length under fixed layers with an index: that of evaluation batch `index`.
    pub subnetwork: &'a dyn Fn(usize, LayerPath, u64) -> Subnetwork,
    /// The network of a layer path as an evaluation computes it: with the factors that the method gives its layers.
    pub network: &'a dyn Fn(LayerPath) -> Subnetwork,
    /// The next step, if there is one.
    pub next: Option<Next<'a>>,
    /// Where a polynomial is learned.
    pub coefficients: Option<&'a Coefficients>,
    /// Whether somebody can't wait.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// A training step that has yet to be done.
pub struct Next<'a> {
    /// Its batches.
    pub micro_batches: Vec<Batch>,
    /// Its network.
    pub subnetwork: Subnetwork,
    /// Its update, given the norm of its gradient.
    pub rule: &'a dyn Fn(f32) -> UpdateRule,
}

impl Subject<'_> {
    /// Measures something.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn measure(&mut self, what: What) -> Result<Measured> {
        match MEASURES.iter().find(|m| m.what() == what) {
            Some(measure) => measure.measure(self),
            None => Ok(Measured::Impossible(format!("{} can't be measured", what.name()))),
        }
    }

    /// A series of the full model.
    fn series(&self, name: &str, labels: Vec<String>, values: Vec<f32>) -> Measurement {
        let path_length = self.whole.path_length();
        Measurement { step: self.step, name: name.to_owned(), path_length, labels, values, spreads: Vec::new() }
    }

    /// The path of those layers of the full model whose place (0-based, input side first) is wanted.
    fn part(&self, is_wanted: impl Fn(usize) -> bool) -> LayerPath {
        let kept = self.whole.active().enumerate().filter(|(place, _)| is_wanted(*place)).map(|(_, layer)| layer);
        LayerPath::from_layers(self.whole.layers(), kept)
    }

    /// Mean loss over the batches; none if interrupted.
    fn loss(&mut self, subnetwork: &Subnetwork) -> Result<Option<f32>> {
        let mut losses = Vec::with_capacity(self.batches.len());
        for batch in self.batches {
            if (self.interrupted)() {
                return Ok(None);
            }
            losses.push(self.engine.loss(batch, subnetwork)?);
        }
        Ok(Some(mean_and_spread(&losses).0))
    }

    /// Mean and spread of the loss over subnetworks, each on all batches; none if interrupted. One that comes twice is
    /// computed once.
    fn losses(&mut self, subnetworks: impl IntoIterator<Item = Subnetwork>) -> Result<Option<(f32, f32)>> {
        let mut seen: Vec<(Subnetwork, f32)> = Vec::new();
        let mut losses = Vec::new();
        for subnetwork in subnetworks {
            let known = seen.iter().find(|(s, _)| *s == subnetwork).map(|(_, loss)| *loss);
            let loss = match known {
                Some(loss) => loss,
                None => match self.loss(&subnetwork)? {
                    Some(loss) => loss,
                    None => return Ok(None),
                },
            };
            losses.push(loss);
            seen.push((subnetwork, loss));
        }
        Ok(Some(mean_and_spread(&losses)))
    }
}

/// Mean and standard deviation (of the values themselves, not an estimate for others like them).
pub fn mean_and_spread(values: &[f32]) -> (f32, f32) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    (mean as f32, variance.sqrt() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::WHATS;

    #[test]
    fn every_name_can_be_measured_and_no_other() {
        let names: Vec<What> = WHATS.iter().map(|row| row.0).collect();
        assert_eq!(MEASURES.iter().map(|m| m.what()).collect::<Vec<_>>(), names);
    }

    #[test]
    fn mean_and_spread_by_hand() {
        let (mean, spread) = mean_and_spread(&[1.0, 2.0, 3.0, 6.0]);
        assert!(mean == 3.0 && (spread - 3.5f32.sqrt()).abs() < 1e-6);
    }
}
