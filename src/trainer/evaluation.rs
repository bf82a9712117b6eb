//! Evaluation: the loss at given path lengths on fixed batches with fixed layer paths.
//!
//! The batches and, for each length, the layer paths are the same whenever it is asked, so two evaluations differ by the
//! weights alone. What an objective has measured beside its loss comes with it. Changes nothing in the trainer.

use anyhow::Result;

use super::{Interrupted, NotFinite, Trainer};
use crate::event::{Event, Score};
use crate::layer_path::LayerPath;
use crate::measure::coefficients::Coefficients;
use crate::measure::mean_and_spread;
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

    /// As [`Self::evaluate_under`], under the current stage's fixed layers.
    pub(super) fn evaluate(
        &mut self,
        lengths: &[usize],
        batches: usize,
        interrupted: Interrupted<'_>,
    ) -> Result<Option<Vec<Score>>> {
        let fixed = self.state.schedule.lookup(self.state.step).fixed;
        let lengths: Vec<_> = lengths.iter().map(|&length| (length, fixed)).collect();
        self.evaluate_under(&lengths, batches, interrupted)
    }

    /// The loss at each path length, under the fixed layers of the stage that it is a length of, over the first `batches`
    /// evaluation batches, each batch with a layer path of its own of exactly that length among the layers that exist;
    /// none if interrupted.
    pub(super) fn evaluate_under(
        &mut self,
        lengths: &[(usize, LayerPath)],
        batches: usize,
        interrupted: Interrupted<'_>,
    ) -> Result<Option<Vec<Score>>> {
        let mut scores = Vec::with_capacity(lengths.len());
        for &(path_length, fixed) in lengths {
            let mut losses = Vec::with_capacity(batches);
            for (index, batch) in self.evaluation.iter().take(batches).enumerate() {
                if interrupted() {
                    return Ok(None);
                }
                if let Some(tell) = &mut self.progress {
                    tell((scores.len() * batches + index) as u64, (lengths.len() * batches) as u64);
                }
                let subnetwork = self.evaluation_subnetwork(path_length, fixed, index as u64);
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

    /// The subnetwork of evaluation batch `index` at a path length under a stage's fixed layers.
    fn evaluation_subnetwork(&self, path_length: usize, fixed: LayerPath, index: u64) -> Subnetwork {
        method::evaluation_subnetwork(
            self.method,
            &self.context(),
            fixed,
            self.existing(),
            path_length,
            self.config.seed,
            index,
        )
    }

    /// What is measured beside the loss at each path length (on one subnetwork of it, that of the first evaluation batch);
    /// false if interrupted.
    pub(super) fn coefficients(
        &mut self,
        lengths: &[usize],
        interrupted: Interrupted<'_>,
        events: &mut Vec<Event>,
    ) -> Result<bool> {
        let step = self.state.step;
        for &path_length in lengths {
            let fixed = self.state.schedule.lookup(step).fixed;
            let subnetwork = self.evaluation_subnetwork(path_length, fixed, 0);
            let Some(coefficients) = &self.coefficients else {
                return Ok(true);
            };
            let Some(values) = coefficients.errors(self.engine.as_mut(), &subnetwork, interrupted)? else {
                return Ok(false);
            };
            if !values.iter().all(|v| v.is_finite()) {
                return Err(NotFinite(format!("the coefficient errors before step {step} are not finite")).into());
            }
            events.push(Event::Measured(Coefficients::series(step, path_length, values)));
        }
        Ok(true)
    }
}

/// Mean and standard deviation over batches.
fn score(path_length: usize, losses: &[f32]) -> Score {
    let (loss, spread) = mean_and_spread(losses);
    Score { path_length, loss, spread, batches: losses.len() }
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
