//! The stability of a network: how much its output changes when one layer is bypassed.
//!
//! `psi_l = E_x |F_-l(x) - F(x)| / |F(x)|`, with F the residual stream behind the last layer. Stage K - 1 of a schedule that
//! trains random (L - 1)-layer subnetworks minimises `L_1 = mean_l L(F_-l)`, the last stage `L_2 = L(F)`; the paper bounds
//! the gap by the mean of psi, `|L_2 - L_1| <= mu mean_l psi_l` for a head and loss that are relatively mu-Lipschitz (arXiv
//! 2402.05913, theorem 5.3). `theory::stability` has the linear networks of its lemma.

use anyhow::Result;
use serde::Serialize;

use crate::layer_path::LayerPath;
use crate::model::Engine;
use crate::objective::Batch;
use crate::subnetwork::Subnetwork;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stability {
    /// psi of each layer, input side first // (L)
    pub psi: Vec<f64>,
    /// Loss without each layer // (L)
    pub losses_without: Vec<f64>,
    /// Loss of the full model, L_2.
    pub loss: f64,
}

impl Stability {
    /// Mean of psi over the layers: the paper's bound on the gap is a multiple of it.
    pub fn mean_psi(&self) -> f64 {
        mean(self.psi.iter().copied())
    }

    /// `L_1 - L_2`: what the loss of a random (L - 1)-layer subnetwork falls by when the last layer comes in. Positive where
    /// the transition helps.
    pub fn gap(&self) -> f64 {
        mean(self.losses_without.iter().copied()) - self.loss
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    values.sum::<f64>() / n
}

fn norm(row: impl Iterator<Item = f64>) -> f64 {
    row.map(|v| v * v).sum::<f64>().sqrt()
}

/// Mean over rows of `|without - full| / |full|`; rows of zeros in `full` are left out // without, full (M, C)
pub fn relative_change(without: &[f32], full: &[f32], width: usize) -> f64 {
    let rows = without.chunks_exact(width).zip(full.chunks_exact(width)).filter_map(|(without, full)| {
        let change = norm(without.iter().zip(full).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let size = norm(full.iter().map(|v| f64::from(*v)));
        (size > 0.0).then_some(change / size)
    });
    mean(rows.collect::<Vec<_>>().into_iter())
}

/// Mean 2-norm of rows // (M, C)
pub fn mean_norm(rows: &[f32], width: usize) -> f64 {
    mean(rows.chunks_exact(width).map(|row| norm(row.iter().map(|v| f64::from(*v)))))
}

/// Measures the layers of `whole` in a model of `width` on batches, each of equal weight: about `2 L` forward passes for
/// each; none if interrupted. Nothing is rescaled.
///
/// # Errors
/// If the engine fails.
pub fn measure(
    engine: &mut dyn Engine,
    batches: &[Batch],
    whole: LayerPath,
    width: usize,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<Stability>> {
    measure_as(engine, batches, whole, &Subnetwork::new, width, interrupted)
}

/// As [`measure`], of networks with factors: `network` is that of a layer path. F and `F_-l` are those that the losses are
/// of, so that psi goes on to bound their gap.
///
/// # Errors
/// If the engine fails.
pub fn measure_as(
    engine: &mut dyn Engine,
    batches: &[Batch],
    whole: LayerPath,
    network: &dyn Fn(LayerPath) -> Subnetwork,
    width: usize,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<Stability>> {
    let weight = (batches.len().max(1) as f64).recip();
    let layers: Vec<usize> = whole.active().collect();
    let (mut psi, mut losses_without, mut loss) = (vec![0.0; layers.len()], vec![0.0; layers.len()], 0.0);
    for batch in batches {
        let all = network(whole);
        let full = engine.outputs(batch, &all)?;
        loss += weight * f64::from(engine.loss(batch, &all)?);
        for (slot, layer) in layers.iter().enumerate() {
            if interrupted() {
                return Ok(None);
            }
            let others = layers.iter().copied().filter(|l| l != layer);
            let without = network(LayerPath::from_layers(whole.layers(), others));
            psi[slot] += weight * relative_change(&engine.outputs(batch, &without)?, &full, width);
            losses_without[slot] += weight * f64::from(engine.loss(batch, &without)?);
        }
    }
    Ok(Some(Stability { psi, losses_without, loss }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_change_by_hand() {
        // Rows (3, 4) -> (3, 0): 4 / 5. (0, 2) -> (1, 2): 1 / 2. (0, 0): left out.
        let (full, without) = ([3.0, 4.0, 0.0, 2.0, 0.0, 0.0], [3.0, 0.0, 1.0, 2.0, 1.0, 1.0]);
        assert!((relative_change(&without, &full, 2) - 0.65).abs() < 1e-12);
        assert_eq!(relative_change(&full, &full, 2), 0.0);
        assert!((mean_norm(&full, 2) - 7.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_gap_is_the_mean_loss_without_a_layer_over_the_full_ones() {
        let s = Stability { psi: vec![0.5, 0.1], losses_without: vec![3.0, 2.0], loss: 2.25 };
        assert!((s.gap() - 0.25).abs() < 1e-12 && (s.mean_psi() - 0.3).abs() < 1e-12);
    }
}
