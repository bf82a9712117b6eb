//! Points of the cube and a polynomial over them: the paper's toy problem (arXiv 2402.05913 v2, section 3).
//!
//! Inputs x are uniform on `{-1, +1}^d`; the target is a sum of parities,
//! `f(x) = sum_S c_S chi_S(x)` with `chi_S(x) = prod_{i in S} x_i`, of which m random sets S have each degree 1..K. The
//! coefficients are standard normal, then scaled so that the target's variance, which is the sum of their squares (parities
//! are orthonormal), is 1: a model that has learned nothing has a mean squared error of 1.
//! (The paper's own scale could not be read.) Nothing is read from anywhere: the polynomial is a function of the seed.

use sha2::{Digest, Sha256};

use super::{Corpus, Split, Vocabulary, hex};
use crate::config::RunConfig;
use crate::rng::{Purpose, Rng, keyed};

/// One term of the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Monomial {
    /// The set S of coordinates, bit i for coordinate i.
    pub set: u64,
    /// c_S
    pub coefficient: f64,
}

impl Monomial {
    /// Coordinates in S.
    pub fn degree(self) -> usize {
        self.set.count_ones() as usize
    }

    /// chi_S at a point (as [`point`] packs it): -1 or +1.
    pub fn parity(self, point: u64) -> f64 {
        // One factor -1 for each coordinate of S that is -1.
        1.0 - 2.0 * f64::from((self.set & !point).count_ones() & 1)
    }
}

/// A point's coordinates as the bits of a word, 1 for +1; as tokens they are 0 for -1, 1 for +1.
pub fn point(tokens: &[u32]) -> u64 {
    tokens.iter().enumerate().fold(0, |point, (i, &token)| point | u64::from(token & 1) << i)
}

/// The target f.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial {
    /// Coordinates of an input, d.
    pub dimension: usize,
    /// Terms by rising degree.
    pub monomials: Vec<Monomial>,
}

impl Polynomial {
    /// `monomials` random ones (or all, where there are fewer) of each degree up to `degrees`, of variance 1 in all.
    pub fn new(seed: u64, dimension: usize, degrees: usize, monomials: usize) -> Self {
        let mut drawn: Vec<Monomial> = Vec::new();
        for degree in 1..=degrees.min(dimension) {
            let first = drawn.len();
            for index in 0..monomials.min(sets(dimension, degree, monomials)) {
                let mut rng = keyed(seed, Purpose::Target, degree as u64, index as u64);
                let set = loop {
                    let set = set(&mut rng, dimension, degree);
                    if drawn[first..].iter().all(|m| m.set != set) {
                        break set;
                    }
                };
                drawn.push(Monomial { set, coefficient: rng.normal() });
            }
        }
        let variance: f64 = drawn.iter().map(|m| m.coefficient * m.coefficient).sum();
        drawn.iter_mut().for_each(|m| m.coefficient /= variance.sqrt());
        Self { dimension, monomials: drawn }
    }

    /// The one that a config names.
    pub fn of(config: &RunConfig) -> Self {
        Self::new(config.seed, config.model.context, config.objective.degrees, config.objective.monomials)
    }

    /// f at a point.
    pub fn value(&self, point: u64) -> f64 {
        self.monomials.iter().map(|m| m.coefficient * m.parity(point)).sum()
    }

    /// The highest degree.
    pub fn degrees(&self) -> usize {
        self.monomials.last().map_or(0, |m| m.degree())
    }
}

/// How many sets of `size` of `n` there are, counted up to `enough`.
fn sets(n: usize, size: usize, enough: usize) -> usize {
    let mut count = 1u128;
    for i in 0..size.min(n - size) as u128 {
        count = count * (n as u128 - i) / (i + 1);
        if count >= enough as u128 {
            return enough;
        }
    }
    count as usize
}

fn set(rng: &mut Rng, dimension: usize, degree: usize) -> u64 {
    let mut coordinates: Vec<usize> = (0..dimension).collect();
    rng.choose(&mut coordinates, degree);
    coordinates[..degree].iter().fold(0, |set, &i| set | 1 << i)
}

/// Points of the cube, each with its target.
pub(super) struct Cube {
    polynomial: Polynomial,
    vocabulary: Vocabulary,
}

impl Cube {
    pub fn new(config: &RunConfig) -> Self {
        Self { polynomial: Polynomial::of(config), vocabulary: Vocabulary { size: 2, ..Vocabulary::default() } }
    }
}

impl Corpus for Cube {
    fn about(&self) -> String {
        let Polynomial { dimension, monomials } = &self.polynomial;
        let (count, degrees) = (monomials.len(), self.polynomial.degrees());
        format!("points of {{-1,+1}}^{dimension}, {count} monomials of degrees 1 to {degrees}")
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn checksum(&self) -> String {
        let mut sha = Sha256::new();
        sha.update((self.polynomial.dimension as u64).to_le_bytes());
        for monomial in &self.polynomial.monomials {
            sha.update(monomial.set.to_le_bytes());
            sha.update(monomial.coefficient.to_le_bytes());
        }
        hex(&sha.finalize()[..8])
    }

    fn sequence(&self, _: Split, rng: &mut Rng, out: &mut [u32]) {
        // Training and evaluation draw from the same distribution; their generators differ.
        let bits = rng.bits();
        out.iter_mut().enumerate().for_each(|(i, token)| *token = (bits >> i & 1) as u32);
    }

    fn polynomial(&self) -> Option<&Polynomial> {
        Some(&self.polynomial)
    }

    fn decode(&self, tokens: &[u32]) -> String {
        tokens.iter().map(|&token| if token == 0 { '-' } else { '+' }).collect()
    }

    fn tokenizer_json(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parity_is_the_product_of_its_coordinates() {
        // x = (+1, -1, -1, +1)
        let x = point(&[1, 0, 0, 1]);
        let parity = |set: u64| Monomial { set, coefficient: 1.0 }.parity(x);
        assert_eq!([parity(0b0001), parity(0b0010), parity(0b0110), parity(0b0111)], [1.0, -1.0, 1.0, 1.0]);
        assert_eq!([parity(0b1110), parity(0b1010), parity(0b0011), parity(0b1001)], [1.0, -1.0, -1.0, 1.0]);
        let f = Polynomial {
            dimension: 4,
            monomials: vec![Monomial { set: 0b0010, coefficient: 0.6 }, Monomial { set: 0b1001, coefficient: -0.8 }],
        };
        assert!((f.value(x) + 1.4).abs() < 1e-12);
        assert_eq!(f.degrees(), 2);
    }

    #[test]
    fn the_target_has_the_monomials_asked_for_and_variance_one() {
        let f = Polynomial::new(3, 12, 5, 20);
        // Of degree 1 there are only twelve.
        let of_degree = |k: usize| f.monomials.iter().filter(|m| m.degree() == k).count();
        assert_eq!([1, 2, 3, 4, 5, 6].map(of_degree), [12, 20, 20, 20, 20, 0]);
        let mut sets: Vec<u64> = f.monomials.iter().map(|m| m.set).collect();
        sets.sort_unstable();
        sets.dedup();
        assert_eq!(sets.len(), 92, "a set was drawn twice");
        // Mean and variance over the whole cube, and a coefficient found again by its definition.
        let n = f64::from(1 << 12);
        let mean = |g: &dyn Fn(u64) -> f64| (0..1u64 << 12).map(g).sum::<f64>() / n;
        assert!(mean(&|x| f.value(x)).abs() < 1e-9);
        assert!((mean(&|x| f.value(x).powi(2)) - 1.0).abs() < 1e-9);
        let one = f.monomials[40];
        assert!((mean(&|x| f.value(x) * one.parity(x)) - one.coefficient).abs() < 1e-9);
    }

    #[test]
    fn it_depends_on_the_seed_alone_and_more_degrees_only_add_terms() {
        assert_eq!(Polynomial::new(1, 20, 5, 20), Polynomial::new(1, 20, 5, 20));
        assert_ne!(Polynomial::new(1, 20, 5, 20), Polynomial::new(2, 20, 5, 20));
        let (few, many) = (Polynomial::new(1, 20, 3, 20), Polynomial::new(1, 20, 5, 20));
        assert!(few.monomials.iter().zip(&many.monomials).all(|(a, b)| a.set == b.set));
        assert_eq!(Polynomial::new(1, 64, 64, 2).monomials.last().unwrap().set, u64::MAX);
    }

    #[test]
    fn points_are_uniform() {
        let cube = Cube::new(&RunConfig::default());
        let mut sums = [0i32; 8];
        for index in 0..4000 {
            let mut tokens = [7; 8];
            cube.sequence(Split::Train, &mut keyed(0, Purpose::Batch, 0, index), &mut tokens);
            assert!(tokens.iter().all(|&t| t < 2));
            sums.iter_mut().zip(tokens).for_each(|(sum, t)| *sum += t as i32);
        }
        // 4000 draws of 1/2: four standard deviations are 126.
        assert!(sums.iter().all(|sum| (sum - 2000).abs() < 126), "{sums:?}");
    }
}
