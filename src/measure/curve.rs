//! Loss by path length: for each length several fixed layer paths, each on the same fixed batches.
//!
//! Mean and spread are over layer paths, so that the spread says how much it matters which layers are left.

use anyhow::Result;

use super::{Measure, Measured, Subject};
use crate::measurement::{Measurement, What};

pub(super) struct Curve;

impl Measure for Curve {
    fn what(&self) -> What {
        What::Curve
    }

    fn measure(&self, subject: &mut Subject<'_>) -> Result<Measured> {
        let (mut values, mut spreads) = (Vec::new(), Vec::new());
        for &length in subject.lengths {
            let drawn = |index| (subject.subnetwork)(length, subject.fixed, index);
            let subnetworks: Vec<_> = (0..subject.paths as u64).map(drawn).collect();
            let Some((mean, spread)) = subject.losses(subnetworks)? else {
                return Ok(Measured::Interrupted);
            };
            values.push(mean);
            spreads.push(spread);
        }
        let labels = subject.lengths.iter().map(usize::to_string).collect();
        let series = subject.series("loss by path length", labels, values);
        Ok(Measured::Series(vec![Measurement { spreads, ..series }]))
    }
}
