//! How well a network has learned each degree of a polynomial.
//!
//! `chat_S = E_x[F(x) chi_S(x)]` is what the network F has of the monomial S; the error of a degree is
//! `sum_S (chat_S - c_S)^2 / sum_S c_S^2` over its monomials: 1 for a network that knows nothing of them, 0 for one that has
//! learned them. The expectation is over all `2^d` inputs up to d = 16. Beyond that it is over
//! [`SAMPLES`] fixed points, and `chat_S - c_S` is taken as the mean of `(F(x) - f(x)) chi_S(x)`, which has the right
//! expectation because parities are orthonormal, and a variance that vanishes as F learns.

use anyhow::{Result, ensure};

use super::{Measure, Measured, Subject};
use crate::data::polynomial::{Polynomial, point};
use crate::measurement::{Measurement, What};
use crate::model::Engine;
use crate::objective::Batch;
use crate::rng::{Purpose, keyed};
use crate::subnetwork::Subnetwork;

/// Most coordinates for which every input is visited.
const EXACT_UP_TO: usize = 16;

/// Points that stand for all inputs where there are too many: the error of a degree is overestimated by
/// `m MSE / (SAMPLES sum_S c_S^2)` on average, below 0.001 for the shipped config once the loss is below 0.1.
pub const SAMPLES: u64 = 1 << 14;

/// Points that go through the network at a time.
const ROWS: usize = 1024;

/// The fixed inputs and the polynomial.
pub struct Coefficients {
    polynomial: Polynomial,
    batches: Vec<Batch>,
}

/// The error of each degree at the current path length and of the full model.
pub(super) struct OfDegrees;

impl Measure for OfDegrees {
    fn what(&self) -> What {
        What::Coefficients
    }

    fn measure(&self, subject: &mut Subject<'_>) -> Result<Measured> {
        let Some(coefficients) = subject.coefficients else {
            return Ok(Measured::Impossible("only the objective polynomial has coefficients".to_owned()));
        };
        let mut series = Vec::new();
        for length in [subject.current, subject.whole.path_length()] {
            let subnetwork = (subject.subnetwork)(length, subject.fixed, 0);
            let Some(values) = coefficients.errors(subject.engine, &subnetwork, subject.interrupted)? else {
                return Ok(Measured::Interrupted);
            };
            series.push(Coefficients::series(subject.step, length, values));
        }
        // Of two that are one, one will do.
        series.dedup();
        Ok(Measured::Series(series))
    }
}

impl Coefficients {
    /// The error of each degree of a subnetwork of a path length, as a measurement.
    pub fn series(step: u64, path_length: usize, values: Vec<f32>) -> Measurement {
        let labels = (1..=values.len()).map(|degree| degree.to_string()).collect();
        let name = "coefficient error by degree".to_owned();
        Measurement { step, name, path_length, labels, values, spreads: Vec::new() }
    }

    /// For a polynomial; the seed decides the points where not all are visited.
    pub fn new(polynomial: &Polynomial, seed: u64) -> Self {
        let d = polynomial.dimension;
        let points: Vec<u64> = if d <= EXACT_UP_TO {
            (0..1 << d).collect()
        } else {
            (0..SAMPLES).map(|index| keyed(seed, Purpose::EvaluationBatch, 1, index).bits()).collect()
        };
        let batches = points.chunks(ROWS).map(|points| Batch {
            sequences: points.len(),
            context: d,
            inputs: points.iter().flat_map(|x| (0..d).map(move |i| (x >> i & 1) as u32)).collect(),
            values: points.iter().map(|&x| polynomial.value(x) as f32).collect(),
            ..Batch::default()
        });
        Self { batches: batches.collect(), polynomial: polynomial.clone() }
    }

    /// The error of each degree, from 1 on, of the subnetwork; none if interrupted.
    ///
    /// # Errors
    /// If the engine fails, or doesn't give one number for each point.
    pub fn errors(
        &self,
        engine: &mut dyn Engine,
        subnetwork: &Subnetwork,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<f32>>> {
        let mut predictions = Vec::new();
        for batch in &self.batches {
            if interrupted() {
                return Ok(None);
            }
            let of_batch = engine.logits(batch, subnetwork)?;
            ensure!(of_batch.len() == batch.sequences, "{} predictions for a batch", of_batch.len());
            predictions.extend(of_batch);
        }
        Ok(Some(self.errors_of(&predictions)))
    }

    /// The error of each degree, from 1 on, of a function with these values at the points: the squared distance of its
    /// coefficients to the polynomial's, over the squares of those. What it has beside the polynomial's monomials counts for
    /// nothing where all inputs are visited: parities are orthogonal.
    fn errors_of(&self, values: &[f32]) -> Vec<f32> {
        let monomials = &self.polynomial.monomials;
        let mut sums = vec![0.0; monomials.len()];
        let points = self.batches.iter().flat_map(|batch| batch.inputs.chunks_exact(batch.context));
        for (tokens, value) in points.zip(values) {
            let x = point(tokens);
            let off = f64::from(*value) - self.polynomial.value(x);
            sums.iter_mut().zip(monomials).for_each(|(sum, m)| *sum += off * m.parity(x));
        }
        let count = values.len();
        let mut errors = vec![(0.0, 0.0); self.polynomial.degrees()];
        for (sum, monomial) in sums.iter().zip(monomials) {
            let (off, all) = &mut errors[monomial.degree() - 1];
            *off += (sum / count as f64).powi(2);
            *all += monomial.coefficient.powi(2);
        }
        errors.into_iter().map(|(off, all)| (off / all) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_error_is_that_of_its_coefficients() {
        let polynomial = Polynomial::new(5, 8, 3, 12);
        let coefficients = Coefficients::new(&polynomial, 1);
        // Degree 1 at half, degree 2 left out, degree 3 as it is and half as much again; beside it what isn't the target's.
        let scale = |degree: usize| [0.5, 0.0, 1.5][degree - 1];
        let value = |x: u64| {
            let own: f64 = polynomial.monomials.iter().map(|m| scale(m.degree()) * m.coefficient * m.parity(x)).sum();
            let all_eight = if (x & 0xff).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
            (own + 0.7 + 0.3 * all_eight) as f32
        };
        let points = coefficients.batches.iter().flat_map(|batch| batch.inputs.chunks_exact(batch.context));
        let values: Vec<f32> = points.map(|tokens| value(point(tokens))).collect();
        assert_eq!(values.len(), 256);
        let errors = coefficients.errors_of(&values);
        for (error, wanted) in errors.iter().zip([0.25, 1.0, 0.25]) {
            assert!((error - wanted).abs() < 1e-5, "{errors:?}");
        }
    }
}
