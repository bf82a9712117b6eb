//! The stability of each layer, and L1 against L2: what the paper's theory says of the last transition.

use anyhow::Result;

use super::psi;
use super::{Measure, Measured, Subject};
use crate::measurement::What;

pub(super) struct Stability;

impl Measure for Stability {
    fn what(&self) -> What {
        What::Stability
    }

    fn measure(&self, subject: &mut Subject<'_>) -> Result<Measured> {
        let layers: Vec<usize> = subject.whole.active().collect();
        let (whole, network) = (subject.whole, subject.network);
        let Some(found) =
            psi::measure_as(subject.engine, subject.batches, whole, network, subject.width, subject.interrupted)?
        else {
            return Ok(Measured::Interrupted);
        };
        let numbers = || layers.iter().map(|layer| (layer + 1).to_string()).collect::<Vec<_>>();
        let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
        // L1 is the mean loss with one layer left out, L2 that of the full model: stages K - 1 and K of the theory.
        let gap = [
            ("L1", found.loss + found.gap()),
            ("L2", found.loss),
            ("L1 - L2", found.gap()),
            ("mean psi", found.mean_psi()),
            ("mean psi sqrt(L)", found.mean_psi() * (layers.len() as f64).sqrt()),
        ];
        let labels = gap.iter().map(|(label, _)| (*label).to_owned()).collect();
        Ok(Measured::Series(vec![
            subject.series("psi by layer", numbers(), narrow(&found.psi)),
            subject.series("loss without each layer", numbers(), narrow(&found.losses_without)),
            subject.series("stability", labels, narrow(&gap.map(|(_, value)| value))),
        ]))
    }
}
