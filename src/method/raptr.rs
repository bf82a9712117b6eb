//! RaPTr: a random path of the stage's length, the fixed layers always on it.
//!
//! Definition 2 of the paper (arXiv 2402.05913) includes each layer outside the fixed set I by itself with probability
//! `p = (len - |I|) / (L - |I|)`, so that the *expected* length is `len` (sampling = bernoulli). Its Figure 1 skips the
//! same number of layers in each step: a uniform subset of exactly `len` layers (sampling = exact, the default).

use super::{Method, Sampling};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::{Schedule, Stage};

pub(super) struct Raptr;

/// The probability of a layer outside the fixed set to be active.
fn inclusion(stage: &Stage) -> f64 {
    let (fixed, layers) = (stage.fixed.path_length(), stage.fixed.layers());
    if fixed == layers {
        return 1.0;
    }
    (stage.path_length as f64 - fixed as f64) / (layers - fixed) as f64
}

impl Method for Raptr {
    fn name(&self) -> &'static str {
        "raptr"
    }

    fn about(&self) -> &'static str {
        "random path training: a random subset of layers in each step, growing in stages (arXiv 2402.05913)"
    }

    fn check(&self, schedule: &Schedule) -> Vec<(usize, String)> {
        let lengths = schedule.stages.iter().map(|s| s.path_length);
        let pairs = lengths.clone().zip(lengths.skip(1)).enumerate();
        pairs
            .filter(|(_, (before, after))| after < before)
            .map(|(i, (before, after))| {
                (i + 1, format!("must not fall from stage to stage under raptr; {after} comes after {before}"))
            })
            .collect()
    }

    fn is_steerable(&self) -> bool {
        true
    }

    fn draw(&self, stage: &Stage, sampling: Sampling, rng: &mut Rng) -> LayerPath {
        let layers = stage.fixed.layers();
        let mut path = stage.fixed;
        let mut others: Vec<usize> = (0..layers).filter(|&layer| !stage.fixed.is_active(layer)).collect();
        match sampling {
            Sampling::Exact => {
                let count = stage.path_length.saturating_sub(stage.fixed.path_length()).min(others.len());
                rng.choose(&mut others, count);
                others.truncate(count);
            }
            Sampling::Bernoulli => {
                let p = inclusion(stage);
                others.retain(|_| rng.happens(p));
            }
        }
        others.into_iter().for_each(|layer| path.insert(layer));
        path
    }

    fn expected(&self, stage: &Stage, layer: usize) -> f64 {
        if stage.fixed.is_active(layer) { 1.0 } else { inclusion(stage) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, keyed};

    fn stage(layers: usize, path_length: usize) -> Stage {
        Stage::new(1, path_length, LayerPath::from_layers(layers, [0, layers - 1]))
    }

    #[test]
    fn inclusion_probabilities_are_the_papers() {
        // PAPER.md section 1.2: L = 12 and 24, first and last layer fixed.
        for (layers, length, p) in [
            (12, 6, 0.4),
            (12, 8, 0.6),
            (12, 10, 0.8),
            (12, 12, 1.0),
            (24, 12, 0.4545),
            (24, 16, 0.6364),
            (24, 20, 0.8182),
        ] {
            assert!((inclusion(&stage(layers, length)) - p).abs() < 1e-4);
        }
    }

    #[test]
    fn exact_paths_have_the_length_and_the_fixed_layers() {
        for length in 2..=12 {
            for step in 0..200 {
                let mut rng = keyed(9, Purpose::LayerPath, step, 0);
                let path = Raptr.draw(&stage(12, length), Sampling::Exact, &mut rng);
                assert_eq!(path.path_length(), length);
                assert!(path.is_active(0) && path.is_active(11));
            }
        }
    }

    #[test]
    fn every_exact_subset_is_equally_likely() {
        // 6 layers, 2 fixed, 2 of the 4 others: 6 subsets. Chi-square with 5 degrees of freedom, 99.9 % point 20.5.
        let n = 6000;
        let mut counts = std::collections::HashMap::new();
        for step in 0..n {
            let mut rng = keyed(4, Purpose::LayerPath, step, 0);
            *counts.entry(Raptr.draw(&stage(6, 4), Sampling::Exact, &mut rng)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        let chi: f64 = counts.values().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 20.5, "{chi}");
    }
}
