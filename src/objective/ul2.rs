//! UL2's mixture of denoisers (Tay et al. 2022, section 3.1 and table 1).
//!
//! Each sequence draws one of seven denoisers by the weights of `mixture`: two regular ones (R), the sequential one (S:
//! the end from the beginning) and four extreme ones (X). Its mode's token stands in front. Spans are drawn as T5 does.

use super::denoise::Denoising;

pub(super) static UL2: Denoising = Denoising {
    name: "ul2",
    about: "short spans, long spans and ends in turn, told by a token [R], [X] or [S] (UL2)",
    is_causal: false,
    needs: Some("sentinels and modes"),
};

#[cfg(test)]
mod tests {
    use super::super::NO_TARGET;
    use super::super::denoise::tests::{one, vocabulary};
    use crate::config::ObjectiveConfig;

    fn config() -> ObjectiveConfig {
        ObjectiveConfig { name: "ul2".to_owned(), ..ObjectiveConfig::default() }
    }

    /// Alone one of the seven.
    fn only(index: usize) -> ObjectiveConfig {
        let mut mixture = [0.0; 7];
        mixture[index] = 2.5;
        ObjectiveConfig { mixture, ..config() }
    }

    #[test]
    fn each_denoiser_alone_in_nine_positions() {
        const NO: i32 = NO_TARGET;
        // R (3, .15): mode, 6 words of which 1 (0.9) is hidden in 1 span, 3 sentinels: 10 tokens. Two sentinels 100 and
        // 101, so modes are 102, 103, 104. At this size one span stands for each of R, and X (64, .15) is as they are.
        for (index, mode) in [(0, 102), (1, 102), (5, 104)] {
            let batch = one(&only(index), 9, 0);
            assert_eq!(batch.inputs, [mode, 0, 1, 2, 3, 4, 100, 100, 5], "{index}");
            assert_eq!(batch.targets, [NO, NO, NO, NO, NO, NO, 100, 5, 101], "{index}");
            assert_eq!(batch.prefixes, [7]);
        }
        // X (3, .5), (8, .5), (64, .5): 3 of the 6 words in one span.
        for index in [3, 4, 6] {
            let batch = one(&only(index), 9, 0);
            assert_eq!(batch.inputs, [104, 0, 1, 2, 100, 100, 3, 4, 5], "{index}");
            assert_eq!(batch.targets, [NO, NO, NO, NO, 100, 3, 4, 5, 101], "{index}");
            assert_eq!(batch.prefixes, [5]);
        }
        // S: mode and 9 words, of which 1..=3 are predicted (2 on average); no sentinels, modes are 100, 101, 102.
        for index in 0..20 {
            let batch = one(&only(2), 9, index);
            assert_eq!(batch.inputs, [101, 0, 1, 2, 3, 4, 5, 6, 7]);
            let expected = match batch.prefixes[0] {
                9 => [NO, NO, NO, NO, NO, NO, NO, NO, 8],
                8 => [NO, NO, NO, NO, NO, NO, NO, 7, 8],
                7 => [NO, NO, NO, NO, NO, NO, 6, 7, 8],
                other => panic!("a prefix of {other}"),
            };
            assert_eq!(batch.targets, expected);
        }
    }

    #[test]
    fn the_mixture_has_its_rates() {
        // In 400 positions each denoiser shows itself by its mode and the numbers of predicted tokens and sentinels.
        let kind = |config: &ObjectiveConfig, index: u64| {
            let batch = one(config, 400, index);
            let added = &vocabulary(config, 400).added;
            let modes = added.len() - 3;
            let mode = added[modes..].iter().position(|&m| m == batch.inputs[0]).unwrap();
            let sentinels = batch.targets.iter().filter(|&&t| added.iter().any(|&a| a as i32 == t)).count();
            if mode == 1 { (mode, 0, 0) } else { (mode, batch.predicted(), sentinels) }
        };
        // By hand, for T = 400, a stream of at most 401: n words, h hidden, s spans, 1 + n + 2 s + 1 tokens.
        // (3, .15): n 363, h 54, s 18 (401). (8, .15): n 385, h 58, s 7 (401). (3, .5): n 299, h 150, s 50 (401).
        // (8, .5): n 355, h 178, s 22 (401). (64, .15): n 397, h 60, s 1 (401). (64, .5): n 393, h 196, s 3 (401).
        let expected = [(0, 54, 18), (0, 58, 7), (1, 0, 0), (2, 150, 50), (2, 178, 22), (2, 60, 1), (2, 196, 3)].map(
            |(m, h, s)| {
                if m == 1 { (m, 0, 0) } else { (m, h + s + 1, s + 1) }
            },
        );
        let count = |config: &ObjectiveConfig, draws: u64| {
            let mut counts = [0u64; 7];
            for index in 0..draws {
                let kind = kind(config, index);
                let at = expected.iter().position(|e| *e == kind);
                counts[at.unwrap_or_else(|| panic!("{kind:?} is none of the seven"))] += 1;
            }
            counts
        };
        let within = |counts: [u64; 7], p: [f64; 7], draws: f64| {
            for (count, p) in counts.iter().zip(p) {
                let deviation = (draws * p * (1.0 - p)).sqrt();
                assert!((*count as f64 - draws * p).abs() <= 4.0 * deviation, "{counts:?} {p}");
            }
        };
        within(count(&config(), 7000), [1.0 / 7.0; 7], 7000.0);
        let mixture = [1.0, 0.0, 4.0, 0.0, 2.0, 0.0, 1.0];
        let uneven = ObjectiveConfig { mixture, ..config() };
        within(count(&uneven, 4000), mixture.map(|w| w / 8.0), 4000.0);
    }

    #[test]
    fn the_planned_number_of_predicted_tokens_is_the_drawn_one() {
        let draws = 3000;
        let counts: Vec<f64> = (0..draws).map(|i| one(&config(), 128, i).predicted() as f64).collect();
        let mean = counts.iter().sum::<f64>() / draws as f64;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / draws as f64;
        let planned = config().predicted_share_of(128) * 128.0;
        assert!((mean - planned).abs() < 4.0 * (variance / draws as f64).sqrt(), "{mean} {planned}");
    }
}
