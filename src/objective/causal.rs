//! The causal objective: each token from those before it.

use super::{Batch, Objective};
use crate::config::{Architecture, ObjectiveConfig};
use crate::data::Vocabulary;
use crate::rng::Rng;

pub(super) struct Causal;

impl Objective for Causal {
    fn name(&self) -> &'static str {
        "causal"
    }

    fn about(&self) -> &'static str {
        "each token from those before it (GPT)"
    }

    fn architecture(&self) -> Architecture {
        Architecture::Decoder
    }

    fn sequence_length(&self, context: usize) -> usize {
        context + 1
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn check(&self, _vocabulary: &Vocabulary) -> Result<(), String> {
        Ok(())
    }

    fn example(&self, sequence: &[u32], _: &Vocabulary, _: &ObjectiveConfig, _: &mut Rng, batch: &mut Batch) {
        batch.inputs.extend(&sequence[..sequence.len() - 1]);
        batch.targets.extend(sequence[1..].iter().map(|&token| token as i32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, keyed};

    #[test]
    fn targets_are_the_inputs_shifted_by_one() {
        let vocabulary = Vocabulary { size: 10, mask: None, special: vec![], added: vec![] };
        let mut batch = Batch::default();
        let mut rng = keyed(0, Purpose::Mask, 0, 0);
        Causal.example(&[5, 6, 7, 8], &vocabulary, &ObjectiveConfig::default(), &mut rng, &mut batch);
        assert_eq!((batch.inputs, batch.targets), (vec![5, 6, 7], vec![6, 7, 8]));
    }
}
