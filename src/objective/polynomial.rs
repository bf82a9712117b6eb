//! Regression on a polynomial over the cube: the theory's objective.
//!
//! A sequence is a point of `{-1, +1}^d`, a token for each coordinate; its one target is a real number, which the data
//! knows. The loss is the mean squared error.

use super::{Batch, Objective};
use crate::config::{Architecture, ObjectiveConfig};
use crate::data::Vocabulary;
use crate::rng::Rng;

pub(super) struct Polynomial;

impl Objective for Polynomial {
    fn name(&self) -> &'static str {
        "polynomial"
    }

    fn about(&self) -> &'static str {
        "a sum of parities on {-1,+1}^d, learned by a residual MLP (the theory's)"
    }

    fn architecture(&self) -> Architecture {
        Architecture::Mlp
    }

    fn loss_unit(&self) -> &'static str {
        "mean squared error"
    }

    fn items(&self) -> &'static str {
        "points"
    }

    fn sequence_length(&self, context: usize) -> usize {
        context
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn check(&self, _vocabulary: &Vocabulary) -> Result<(), String> {
        Ok(())
    }

    fn example(&self, sequence: &[u32], _: &Vocabulary, _: &ObjectiveConfig, _: &mut Rng, batch: &mut Batch) {
        // No token is predicted; the value stands in the batch already.
        batch.inputs.extend(sequence);
    }
}
