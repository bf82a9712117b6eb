//! The pruning curve: the loss of the full model with k layers dropped, whatever the training kept fixed. What is left is
//! computed as an evaluation would, with the factors that the method gives it.
//!
//! Three ways to drop: at random (several draws), evenly spaced (for half of the layers that is every other one), and from
//! the output side (what is left are the first layers).

use anyhow::Result;

use super::{Measure, Measured, Subject};
use crate::measurement::{Measurement, What};
use crate::rng::{Purpose, keyed};

pub(super) struct Pruning;

/// The places (0-based of `layers`, input side first, in order) of `k` layers drawn to be dropped.
pub fn random(layers: usize, k: usize, seed: u64, draw: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..layers).collect();
    let k = k.min(layers);
    keyed(seed, Purpose::DroppedLayers, k as u64, draw).choose(&mut places, k);
    places.truncate(k);
    places.sort_unstable();
    places
}

/// The places of `k` dropped layers, each in the middle of an equal share of the depth: every other one for `layers / 2`.
pub fn evenly_spaced(layers: usize, k: usize) -> Vec<usize> {
    (0..k.min(layers)).map(|i| (2 * i + 1) * layers / (2 * k)).collect()
}

/// The places of the last `k` layers.
pub fn from_the_output(layers: usize, k: usize) -> Vec<usize> {
    (layers.saturating_sub(k)..layers).collect()
}

impl Measure for Pruning {
    fn what(&self) -> What {
        What::Pruning
    }

    fn measure(&self, subject: &mut Subject<'_>) -> Result<Measured> {
        let (layers, seed, draws) = (subject.whole.path_length(), subject.seed, subject.paths as u64);
        let Some(whole) = subject.loss(&(subject.network)(subject.whole))? else {
            return Ok(Measured::Interrupted);
        };
        let names = [
            "loss with layers dropped at random",
            "loss with evenly spaced layers dropped",
            "loss with the last layers dropped",
        ];
        // Nothing dropped is the same for all three; one layer is always left.
        let mut found = names.map(|_| vec![(whole, 0.0)]);
        for k in 1..layers {
            let drawn = (0..draws).map(|draw| random(layers, k, seed, draw)).collect();
            let ways: [Vec<Vec<usize>>; 3] = [drawn, vec![evenly_spaced(layers, k)], vec![from_the_output(layers, k)]];
            for (found, dropped) in found.iter_mut().zip(ways) {
                let left = |dropped: &Vec<usize>| (subject.network)(subject.part(|place| !dropped.contains(&place)));
                let left: Vec<_> = dropped.iter().map(left).collect();
                let Some(one) = subject.losses(left)? else {
                    return Ok(Measured::Interrupted);
                };
                found.push(one);
            }
        }
        let series = names.iter().zip(found).enumerate().map(|(way, (name, found))| {
            let labels = (0..layers).map(|k| k.to_string()).collect();
            let values = found.iter().map(|(mean, _)| *mean).collect();
            let spreads = if way == 0 { found.iter().map(|(_, spread)| *spread).collect() } else { Vec::new() };
            Measurement { spreads, ..subject.series(name, labels, values) }
        });
        Ok(Measured::Series(series.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_layers_are_those_promised() {
        assert_eq!(evenly_spaced(12, 6), [1, 3, 5, 7, 9, 11], "every other one");
        assert_eq!(evenly_spaced(12, 3), [2, 6, 10]);
        assert_eq!(evenly_spaced(12, 1), [6]);
        assert_eq!(evenly_spaced(5, 4), [0, 1, 3, 4]);
        assert_eq!(evenly_spaced(4, 0), [0usize; 0]);
        assert_eq!(from_the_output(6, 2), [4, 5]);
        assert_eq!(from_the_output(6, 0), [0usize; 0]);
        for layers in 1..30 {
            for k in 0..=layers {
                for places in [evenly_spaced(layers, k), from_the_output(layers, k), random(layers, k, 3, 1)] {
                    assert_eq!(places.len(), k);
                    assert!(places.windows(2).all(|w| w[0] < w[1]) && places.iter().all(|p| *p < layers));
                }
            }
        }
    }

    #[test]
    fn random_drops_are_uniform_over_all_layers_and_keyed() {
        let n = 6000u64;
        let mut counts = [0; 6];
        for draw in 0..n {
            random(6, 2, 1, draw).into_iter().for_each(|place| counts[place] += 1);
        }
        // Binomial(6000, 1/3): three and a half standard deviations are 128.
        assert!(counts.iter().all(|c: &i32| (c - 2000).abs() < 128), "{counts:?}");
        assert_eq!(random(9, 4, 1, 2), random(9, 4, 1, 2));
        assert!((0..20).any(|draw| random(9, 4, 1, draw) != random(9, 4, 2, draw)));
    }
}
