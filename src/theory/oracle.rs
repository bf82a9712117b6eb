//! Values that the stability lemma's table is held against: simulated independently of this program.
//!
//! Mean psi over layers at width 96 and random initialisation, over six seeds, and its deviation from seed to seed (numpy,
//! apart from this program). Tests and `experiment stability` read the same numbers.

use super::stability::Network;

/// Width of the networks that were simulated, d.
pub const WIDTH: usize = 96;
/// Seeds that the means are over.
pub const SEEDS: u64 = 6;
/// Depths, L.
pub const DEPTHS: [usize; 5] = [6, 12, 24, 48, 96];

/// Mean psi at each of [`DEPTHS`], and the deviation of a single seed's (16 to 40 seeds).
const VALUES: [(Network, [f64; 5], [f64; 5]); 3] = [
    (Network::ResidualAndNorm, [0.507, 0.428, 0.337, 0.254, 0.182], [0.023, 0.023, 0.015, 0.016, 0.012]),
    (Network::NormAlone, [1.42, 1.40, 1.41, 1.39, 1.37], [0.035, 0.037, 0.032, 0.041, 0.054]),
    (Network::ResidualAlone, [0.71, 0.72, 0.74, 0.73, 0.76], [0.024, 0.029, 0.045, 0.053, 0.084]),
];

/// One of the values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oracle {
    /// Mean psi.
    pub mean: f64,
    /// Its deviation from seed to seed.
    pub spread: f64,
}

impl Oracle {
    /// How far a mean over so many other seeds may lie from it: four standard errors of the difference, and the last digit
    /// that was written down.
    pub fn tolerance(self, seeds: u64) -> f64 {
        let variance = 1.0 / SEEDS as f64 + 1.0 / seeds.max(1) as f64;
        4.0 * self.spread * variance.sqrt() + 0.005
    }
}

/// The value for a network of a width and depth, if it was simulated.
pub fn oracle(network: Network, width: usize, layers: usize) -> Option<Oracle> {
    let at = DEPTHS.iter().position(|&depth| depth == layers).filter(|_| width == WIDTH)?;
    let (_, means, spreads) = VALUES.iter().find(|(n, ..)| *n == network)?;
    Some(Oracle { mean: means[at], spread: spreads[at] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_simulated_has_no_value() {
        let found = oracle(Network::ResidualAndNorm, 96, 24).unwrap();
        assert_eq!((found.mean, found.spread), (0.337, 0.015));
        assert_eq!(oracle(Network::ResidualAndNorm, 96, 25), None);
        assert_eq!(oracle(Network::ResidualAndNorm, 95, 24), None);
        // By hand: 4 x .015 x sqrt(2 / 6) + .005.
        assert!((found.tolerance(6) - 0.0396410).abs() < 1e-6);
    }
}
