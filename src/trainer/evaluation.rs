//! Evaluation: the loss at given path lengths on fixed batches with fixed layer paths.
//!
//! The batches and, for each length, the layer paths are the same whenever it is asked, so two evaluations differ by the
//! weights alone. Changes nothing in the trainer.

use anyhow::Result;

use super::{Interrupted, NotFinite, Trainer};
use crate::event::Score;
use crate::method;

impl Trainer {
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
                let (at, existing, seed) = (self.context(), self.existing(), self.config.seed);
                let subnetwork =
                    method::evaluation_subnetwork(self.method, &at, existing, path_length, seed, index as u64);
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
