//! Methods: how the layers that train in a step are chosen.
//!
//! Owns the table. A new method is a new file beside this one and a line in [`METHODS`]; the config's check, `list`,
//! error texts and the tests over all methods read the same table. Never touches tensors.

mod full;
mod raptr;

use serde::{Deserialize, Serialize};

use crate::layer_path::LayerPath;
use crate::rng::{Purpose, Rng, keyed};
use crate::schedule::{Schedule, Stage};

/// Whether a step's path length is exact or expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Exactly the stage's path length in every step.
    Exact,
    /// Each layer by itself, so that the length is right on average (the paper's Definition 2).
    Bernoulli,
}

/// A way to choose layer paths.
pub trait Method: Sync {
    /// Its name in configs.
    fn name(&self) -> &'static str;

    /// One line for `list`.
    fn about(&self) -> &'static str;

    /// What is wrong with the path lengths of a schedule under this method: the stage (0-based) and what would be right.
    fn check(&self, schedule: &Schedule) -> Vec<(usize, String)>;

    /// Whether the path length decides anything, so that a person may change it.
    fn is_steerable(&self) -> bool;

    /// The layers active in one step of a stage.
    fn draw(&self, stage: &Stage, sampling: Sampling, rng: &mut Rng) -> LayerPath;

    /// The probability of a layer (0-based) to be active in a step of a stage.
    fn expected(&self, stage: &Stage, layer: usize) -> f64;
}

/// Every method.
pub static METHODS: &[&dyn Method] = &[&raptr::Raptr, &full::Full];

/// The method of that name.
///
/// # Errors
/// A message that lists the known ones.
pub fn find(name: &str) -> Result<&'static dyn Method, String> {
    METHODS.iter().copied().find(|m| m.name() == name).ok_or_else(|| {
        let known: Vec<_> = METHODS.iter().map(|m| m.name()).collect();
        format!("is the unknown method `{name}`; known: {}", known.join(", "))
    })
}

/// The layer path of a training step: a function of (seed, step) and the stage alone.
pub fn layer_path(method: &dyn Method, sampling: Sampling, stage: &Stage, seed: u64, step: u64) -> LayerPath {
    method.draw(stage, sampling, &mut keyed(seed, Purpose::LayerPath, step, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(layers: usize, path_length: usize, fixed: &[usize]) -> Stage {
        Stage::new(10, path_length, LayerPath::from_layers(layers, fixed.iter().copied()))
    }

    #[test]
    fn every_method_draws_what_it_expects() {
        // Visits of each layer against the binomial band of its expected share, for every method and sampling.
        let steps = 4000;
        for method in METHODS {
            for sampling in [Sampling::Exact, Sampling::Bernoulli] {
                for (length, fixed) in [(6, vec![0, 11]), (9, vec![]), (12, vec![0]), (4, vec![3])] {
                    let stage = stage(12, length, &fixed);
                    let mut visits = [0u32; 12];
                    for step in 0..steps {
                        let path = layer_path(*method, sampling, &stage, 5, step);
                        path.active().for_each(|layer| visits[layer] += 1);
                    }
                    for (layer, &n) in visits.iter().enumerate() {
                        let p = method.expected(&stage, layer);
                        let sigma = (steps as f64 * p * (1.0 - p)).sqrt();
                        let off = (f64::from(n) - steps as f64 * p).abs();
                        assert!(off <= 4.5 * sigma + 1e-9, "{} layer {layer}: {n} of {steps}, p {p}", method.name());
                    }
                }
            }
        }
    }

    #[test]
    fn paths_depend_on_seed_and_step_alone() {
        let stage = stage(12, 6, &[0, 11]);
        for method in METHODS {
            let path = |seed, step| layer_path(*method, Sampling::Exact, &stage, seed, step);
            let forward: Vec<_> = (0..50).map(|k| path(1, k)).collect();
            let backward: Vec<_> = (0..50).rev().map(|k| path(1, k)).collect();
            assert!(forward.iter().eq(backward.iter().rev()));
        }
    }

    #[test]
    fn an_unknown_method_is_told_the_known_ones() {
        let message = find("drop").err().unwrap();
        assert!(message.contains("`drop`") && message.contains("raptr") && message.contains("full"), "{message}");
    }
}
