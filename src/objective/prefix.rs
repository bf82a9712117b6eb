//! The prefix objective: the end of a text from its beginning, which is seen from both sides.
//!
//! The number of predicted tokens is uniform with the mean `predicted_share` (UL2's S-denoiser without its token; Raffel
//! et al. 2020, section 3.2.1, "prefix LM").

use super::denoise::Denoising;

pub(super) static PREFIX: Denoising = Denoising {
    name: "prefix",
    about: "the end of a text from its beginning, which sees itself whole (prefix LM)",
    is_causal: true,
    needs: None,
};

#[cfg(test)]
mod tests {
    use super::super::NO_TARGET;
    use super::super::denoise::tests::one;
    use crate::config::ObjectiveConfig;

    fn config(share: f64) -> ObjectiveConfig {
        ObjectiveConfig { name: "prefix".to_owned(), predicted_share: share, ..ObjectiveConfig::default() }
    }

    #[test]
    fn the_end_is_predicted_and_the_rest_is_prefix() {
        // Nine words 0..9 in eight positions; of at most 2 * 2 - 1 = 3 predicted ones, each number comes up.
        const NO: i32 = NO_TARGET;
        let by_prefix = [
            (6, [NO, NO, NO, NO, NO, 6, 7, 8]),
            (7, [NO, NO, NO, NO, NO, NO, 7, 8]),
            (8, [NO, NO, NO, NO, NO, NO, NO, 8]),
        ];
        let mut seen = [false; 3];
        for index in 0..50 {
            let batch = one(&config(0.25), 8, index);
            assert_eq!(batch.inputs, [0, 1, 2, 3, 4, 5, 6, 7]);
            let at = by_prefix.iter().position(|(prefix, _)| *prefix == batch.prefixes[0]).unwrap();
            assert_eq!(batch.targets, by_prefix[at].1);
            seen[at] = true;
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn the_predicted_share_is_uniform_around_its_mean() {
        // 65 words, a quarter 16: 1..=31, variance (31^2 - 1) / 12 = 80. Four standard deviations of the mean of 4000.
        let counts: Vec<usize> = (0..4000).map(|index| one(&config(0.25), 64, index).predicted()).collect();
        let mean = counts.iter().sum::<usize>() as f64 / 4000.0;
        assert!((mean - 16.0).abs() < 4.0 * (80.0f64 / 4000.0).sqrt(), "{mean}");
        assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&1), Some(&31)));
        // At a half, anything but the first word.
        let counts: Vec<usize> = (0..4000).map(|index| one(&config(0.5), 64, index).predicted()).collect();
        assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&1), Some(&63)));
    }
}
