//! Softmax cross entropy of rows of logits.

use rayon::prelude::*;

use super::math::exp;

/// `-ln softmax(logits)[target]` of each row; the logits become their gradient times `scale` if one is given //
/// losses (P), logits (P, V), targets (P)
pub fn rows(losses: &mut [f32], logits: &mut [f32], targets: &[usize], vocabulary: usize, scale: Option<f32>) {
    losses.par_iter_mut().zip(logits.par_chunks_mut(vocabulary)).zip(targets).for_each(|((loss, logits), &target)| {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let of_target = logits[target];
        // Eight sums side by side, in a fixed order: quicker and more exact than one.
        let mut sums = [0.0f32; 8];
        let mut chunks = logits.chunks_exact_mut(8);
        for chunk in &mut chunks {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *value = exp(*value - highest);
                *sum += *value;
            }
        }
        let mut sum = sums.iter().sum::<f32>();
        for value in chunks.into_remainder() {
            *value = exp(*value - highest);
            sum += *value;
        }
        *loss = highest - of_target + sum.ln();
        if let Some(scale) = scale {
            let factor = scale / sum;
            logits.iter_mut().for_each(|value| *value *= factor);
            logits[target] -= scale;
        }
    });
}
