//! Evaluation: the loss at given path lengths on fixed batches with fixed layer paths.
//!
//! The batches and, for each length, the layer paths are the same whenever it is asked, so two evaluations differ by the
//! weights alone. What an objective has measured beside its loss comes with it. Changes nothing in the trainer.

use anyhow::Result;

use super::{Interrupted, NotFinite, Trainer};
use crate::event::{Event, Measurement, Score};
use crate::method;
use crate::subnetwork::Subnetwork;

impl Trainer {
    /// The loss at each path length over all evaluation batches; none if interrupted. The lengths must lie between the
    /// number of fixed layers and that of the layers that exist.
    ///
    /// # Errors
    /// If the engine fails or a loss is not finite.
    pub fn scores(&mut self, lengths: &[usize], interrupted: Interrupted<'_>) -> Result<Option<Vec<Score>>> {
        self.evaluate(lengths, self.config.evaluation.batches, interrupted)
    }

    /// The loss at each path length over the first `batches` evaluation batches, each batch with a layer path of its own
    /// of exactly that length among the layers that exist; none if interrupted.
    pub(super) fn evaluate(
        &mut self,
        lengths: &[usize],
        batches: usize,
        interrupted: Interrupted<'_>,
    ) -> Result<Option<Vec<Score>>> {
        let mut scores = Vec::with_capacity(lengths.len());
        for &path_length in lengths {
            let mut losses = Vec::with_capacity(batches);
            for (index, batch) in self.evaluation.iter().take(batches).enumerate() {
                if interrupted() {
                    return Ok(None);
                }
                let subnetwork = self.evaluation_subnetwork(path_length, index as u64);
                losses.push(self.engine.loss(batch, &subnetwork)?);
            }
            scores.push(score(path_length, &losses));
        }
        for score in &scores {
            if !score.loss.is_finite() {
                let (k, step) = (score.path_length, self.state.step);
                return Err(NotFinite(format!(
                    "the loss of {k} active layers is not finite in the evaluation before step {step}"
                ))
                .into());
            }
        }
        Ok(Some(scores))
    }

    /// The subnetwork of evaluation batch `index` at a path length.
    fn evaluation_subnetwork(&self, path_length: usize, index: u64) -> Subnetwork {
        method::evaluation_subnetwork(
            self.method,
            &self.context(),
            self.existing(),
            path_length,
            self.config.seed,
            index,
        )
    }

    /// What is measured beside the loss at each path length (on one subnetwork of it, that of the first evaluation batch);
    /// false if interrupted.
    pub(super) fn measure(
        &mut self,
        lengths: &[usize],
        interrupted: Interrupted<'_>,
        events: &mut Vec<Event>,
    ) -> Result<bool> {
        let step = self.state.step;
        for &path_length in lengths {
            let subnetwork = self.evaluation_subnetwork(path_length, 0);
            let Some(coefficients) = &self.coefficients else {
                return Ok(true);
            };
            let Some(values) = coefficients.errors(self.engine.as_mut(), &subnetwork, interrupted)? else {
                return Ok(false);
            };
            if !values.iter().all(|v| v.is_finite()) {
                return Err(NotFinite(format!("the coefficient errors before step {step} are not finite")).into());
            }
            let labels = (1..=values.len()).map(|degree| degree.to_string()).collect();
            let name = "coefficient error by degree".to_owned();
            events.push(Event::Measured(Measurement { step, name, path_length, labels, values }));
        }
        Ok(true)
    }
}

/// Mean and standard deviation over batches.
fn score(path_length: usize, losses: &[f32]) -> Score {
    let n = losses.len().max(1) as f64;
    let mean = losses.iter().map(|&l| f64::from(l)).sum::<f64>() / n;
    let variance = losses.iter().map(|&l| (f64::from(l) - mean).powi(2)).sum::<f64>() / n;
    Score { path_length, loss: mean as f32, spread: variance.sqrt() as f32, batches: losses.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_mean_and_deviation() {
        let s = score(3, &[1.0, 2.0, 3.0, 6.0]);
        assert_eq!((s.path_length, s.loss, s.batches), (3, 3.0, 4));
        assert!((s.spread - 3.5f32.sqrt()).abs() < 1e-6);
    }
}
