//! The masked-token objective of BERT (Devlin et al. 2019, section 3.1, task 1).
//!
//! `mask_share` of the positions are predicted; of these, 80 % are replaced by the mask token, 10 % by a random token and
//! 10 % stay as they are. Special tokens are neither predicted nor drawn.

use super::{Batch, NO_TARGET, Objective};
use crate::config::{Architecture, ObjectiveConfig};
use crate::data::Vocabulary;
use crate::rng::Rng;

pub(super) struct Mlm;

impl Objective for Mlm {
    fn name(&self) -> &'static str {
        "mlm"
    }

    fn about(&self) -> &'static str {
        "masked tokens from all others, 80/10/10 (BERT)"
    }

    fn architecture(&self) -> Architecture {
        Architecture::Encoder
    }

    fn sequence_length(&self, context: usize) -> usize {
        context
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn predicted_share(&self, config: &ObjectiveConfig) -> f64 {
        config.mask_share
    }

    fn check(&self, vocabulary: &Vocabulary) -> Result<(), String> {
        if vocabulary.mask.is_none() {
            return Err("`mlm` needs a tokenizer with a mask token ([MASK] or <mask>)".to_owned());
        }
        if vocabulary.special.len() >= vocabulary.size {
            return Err("`mlm` needs a tokenizer with other than special tokens".to_owned());
        }
        Ok(())
    }

    fn example(
        &self,
        sequence: &[u32],
        vocabulary: &Vocabulary,
        config: &ObjectiveConfig,
        rng: &mut Rng,
        batch: &mut Batch,
    ) {
        let first = batch.inputs.len();
        batch.inputs.extend(sequence);
        batch.targets.extend(std::iter::repeat_n(NO_TARGET, sequence.len()));
        let mut places: Vec<usize> =
            (0..sequence.len()).filter(|&i| !vocabulary.special.contains(&sequence[i])).collect();
        // A sequence of special tokens alone predicts its first.
        if places.is_empty() {
            batch.targets[first] = sequence[0] as i32;
            return;
        }
        let count = ((sequence.len() as f64 * config.mask_share).round() as usize).clamp(1, places.len());
        rng.choose(&mut places, count);
        for &i in &places[..count] {
            batch.targets[first + i] = sequence[i] as i32;
            let kind = rng.below(10);
            if kind < 8 {
                // `check` saw to it that there is a mask.
                batch.inputs[first + i] = vocabulary.mask.unwrap_or(sequence[i]);
            } else if kind == 8 {
                batch.inputs[first + i] = random_token(vocabulary, rng);
            }
        }
    }
}

fn random_token(vocabulary: &Vocabulary, rng: &mut Rng) -> u32 {
    loop {
        let token = rng.below(vocabulary.size as u64) as u32;
        if !vocabulary.special.contains(&token) {
            return token;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, keyed};

    const SEQUENCE: [u32; 20] = [0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 1];

    fn vocabulary() -> Vocabulary {
        Vocabulary { size: 1000, mask: Some(2), special: vec![0, 1, 2], added: vec![] }
    }

    fn example(index: u64, share: f64) -> Batch {
        let config = ObjectiveConfig { mask_share: share, ..ObjectiveConfig::default() };
        let mut batch = Batch { sequences: 1, context: 20, ..Batch::default() };
        Mlm.example(&SEQUENCE, &vocabulary(), &config, &mut keyed(0, Purpose::Mask, 0, index), &mut batch);
        batch
    }

    #[test]
    fn predicts_the_share_and_replaces_eighty_ten_ten() {
        let (mut masked, mut random, mut kept) = (0i32, 0i32, 0i32);
        for index in 0..2000 {
            let batch = example(index, 0.15);
            assert_eq!(batch.predicted(), 3);
            for (i, &target) in batch.targets.iter().enumerate() {
                if target == NO_TARGET {
                    assert_eq!(batch.inputs[i], SEQUENCE[i]);
                    continue;
                }
                assert_eq!(target as u32, SEQUENCE[i]);
                assert!(i != 0 && i != 19, "a special token is predicted");
                match batch.inputs[i] {
                    2 => masked += 1,
                    token if token == SEQUENCE[i] => kept += 1,
                    token => {
                        assert!(token > 2);
                        random += 1;
                    }
                }
            }
        }
        // 6000 draws; four standard deviations.
        assert!((masked - 4800).abs() < 124, "{masked}");
        assert!((random - 600).abs() < 93 && (kept - 600).abs() < 93, "{random} {kept}");
    }

    #[test]
    fn at_least_one_token_is_predicted() {
        assert_eq!(example(0, 0.001).predicted(), 1);
        let mut batch = Batch::default();
        let mut rng = keyed(0, Purpose::Mask, 0, 0);
        Mlm.example(&[0, 1], &vocabulary(), &ObjectiveConfig::default(), &mut rng, &mut batch);
        assert_eq!(batch.targets, [0, NO_TARGET]);
    }

    #[test]
    fn a_tokenizer_without_a_mask_is_refused() {
        assert!(Mlm.check(&Vocabulary { mask: None, ..vocabulary() }).unwrap_err().contains("mask token"));
    }
}
