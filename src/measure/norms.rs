//! Norms of the residual stream by depth: before the first layer, and behind each.
//!
//! With a norm on every branch's input (pre-norm) the stream of a random network grows as the root of the depth
//! (arXiv 2402.05913, section 5); where it grows faster, later layers matter less and less.

use anyhow::Result;

use super::psi::mean_norm;
use super::{Measure, Measured, Subject};
use crate::measurement::What;
use crate::subnetwork::Subnetwork;

pub(super) struct Norms;

impl Measure for Norms {
    fn what(&self) -> What {
        What::Norms
    }

    fn measure(&self, subject: &mut Subject<'_>) -> Result<Measured> {
        let (batches, layers) = (subject.batches, subject.whole.path_length());
        let mut norms = vec![0.0; layers + 1];
        // The stream of the full model, so the factors are the full model's at every depth.
        let whole = (subject.network)(subject.whole);
        for batch in batches {
            for (depth, sum) in norms.iter_mut().enumerate() {
                if (subject.interrupted)() {
                    return Ok(Measured::Interrupted);
                }
                let factors = (0..depth).map(|slot| whole.factor(slot)).collect();
                let first = Subnetwork::new(subject.part(|place| place < depth)).with_factors(factors);
                let rows = subject.engine.outputs(batch, &first)?; // (M, C)
                *sum += mean_norm(&rows, subject.width) / batches.len() as f64;
            }
        }
        let labels = (0..=layers).map(|depth| depth.to_string()).collect();
        let values = norms.into_iter().map(|v| v as f32).collect();
        Ok(Measured::Series(vec![subject.series("norm of the residual stream by depth", labels, values)]))
    }
}
