//! The forecast: what the loss would be at each path length that a person could go to now.
//!
//! On the batches and layer paths of a transition's own evaluation, under the fixed layers of the stage that would be
//! entered, so that the forecast of a length *is* the loss that a transition made at once will report.

use anyhow::Result;

use super::{Measure, Measured, Subject, mean_and_spread};
use crate::measurement::{FORECAST, Measurement, What};

pub(super) struct Forecast;

impl Measure for Forecast {
    fn what(&self) -> What {
        What::Forecast
    }

    fn measure(&self, subject: &mut Subject<'_>) -> Result<Measured> {
        let (mut values, mut spreads) = (Vec::new(), Vec::new());
        for &(length, fixed) in subject.candidates {
            let mut losses = Vec::new();
            for (index, batch) in subject.transition_batches.iter().enumerate() {
                if (subject.interrupted)() {
                    return Ok(Measured::Interrupted);
                }
                losses.push(subject.engine.loss(batch, &(subject.subnetwork)(length, fixed, index as u64))?);
            }
            let (mean, spread) = mean_and_spread(&losses);
            values.push(mean);
            spreads.push(spread);
        }
        let labels = subject.candidates.iter().map(|(length, _)| length.to_string()).collect();
        let series = subject.series(FORECAST, labels, values);
        Ok(Measured::Series(vec![Measurement { spreads, ..series }]))
    }
}
