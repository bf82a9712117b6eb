//! The span objective: hidden spans of a text from what is left of it (T5; Raffel et al. 2020, section 3.1.4).
//!
//! `mask_share` of the tokens are hidden in spans of `mean_span` tokens on average. A sentinel takes a span's place; what
//! is predicted is each sentinel with its span, then one sentinel more. Counts are those of `config::denoiser`.

use super::denoise::Denoising;

pub(super) static SPAN: Denoising = Denoising {
    name: "span",
    about: "hidden spans of a text from what is left of it (T5)",
    is_causal: false,
    needs: Some("sentinels"),
};

#[cfg(test)]
mod tests {
    use super::super::denoise::tests::one;
    use super::super::{Batch, NO_TARGET};
    use crate::config::ObjectiveConfig;

    fn config() -> ObjectiveConfig {
        ObjectiveConfig { name: "span".to_owned(), ..ObjectiveConfig::default() }
    }

    #[test]
    fn nine_words_hide_their_last() {
        // T = 11: 9 words hide 1 (1.35) in 1 span: 9 + 2 + 1 = 12 tokens. With one span it stands at the end, as T5's do.
        const NO: i32 = NO_TARGET;
        let batch = one(&config(), 11, 0);
        assert_eq!(batch.inputs, [0, 1, 2, 3, 4, 5, 6, 7, 100, 100, 8]);
        assert_eq!(batch.targets, [NO, NO, NO, NO, NO, NO, NO, NO, 100, 8, 101]);
        assert_eq!(batch.prefixes, [9]);
    }

    /// The text that a sequence was made of, put together again: what is given, each sentinel replaced by what is predicted
    /// behind it. And the number of spans.
    fn restored(batch: &Batch) -> (Vec<u32>, usize) {
        let prefix = batch.prefixes[0];
        let predicted: Vec<u32> = batch.targets.iter().filter(|&&t| t != NO_TARGET).map(|&t| t as u32).collect();
        let spans: Vec<&[u32]> = predicted.split(|&t| t >= 100).skip(1).collect();
        let mut text = Vec::new();
        let mut next = 100;
        for &token in &batch.inputs[..prefix] {
            if token < 100 {
                text.push(token);
                continue;
            }
            assert_eq!(token, next, "sentinels come in order");
            assert!(!spans[token as usize - 100].is_empty());
            text.extend(spans[token as usize - 100]);
            next += 1;
        }
        assert_eq!(
            predicted.iter().filter(|&&t| t >= 100).copied().collect::<Vec<_>>(),
            (100..=next).collect::<Vec<_>>()
        );
        (text, spans.len() - 1)
    }

    #[test]
    fn given_and_predicted_together_are_the_text() {
        // T = 64: 53 words hide 8 (7.95) in 3 spans (8 / 3): 53 + 7 = 60; 54..57 hide 8 or 9 in 3: 57 + 7 = 64; 58 hide 9
        // (8.7) in 3: 65 = T + 1.
        let mut firsts = [0; 60];
        for index in 0..500 {
            let batch = one(&config(), 64, index);
            let (text, spans) = restored(&batch);
            assert_eq!(text, (0..58).collect::<Vec<u32>>());
            assert_eq!((spans, batch.predicted(), batch.prefixes[0]), (3, 9 + 3 + 1, 58 - 9 + 3));
            // What is fed behind the prefix is what was to be predicted before.
            for i in batch.prefixes[0]..64 {
                assert_eq!(batch.inputs[i] as i32, batch.targets[i - 1]);
            }
            firsts[batch.inputs.iter().position(|&t| t == 100).unwrap()] += 1;
        }
        assert!(firsts.iter().filter(|&&n| n > 0).count() > 20, "spans stand in many places");
    }

    #[test]
    fn shares_and_lengths_are_those_that_were_asked_for() {
        // T = 64, half hidden in spans of 5: 55 words hide 28 (27.5 to even) in 6 (5.6), 55 + 13 = 68; 52 hide 26 in 5:
        // 52 + 11 = 63; 53 hide 26 in 5: 64; 54 hide 27 in 5: 65 = T + 1.
        let config = ObjectiveConfig { mask_share: 0.5, mean_span: 5.0, ..config() };
        for index in 0..50 {
            let batch = one(&config, 64, index);
            let (text, spans) = restored(&batch);
            assert_eq!((text.len(), spans, batch.predicted()), (54, 5, 27 + 5 + 1));
        }
    }
}
