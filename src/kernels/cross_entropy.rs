//! Softmax cross entropy of rows of logits.

use super::math::exp;
use super::simd::{LANES, sum, vectorised};

vectorised! {
    /// `-ln softmax(logits)[target]` of each row; the logits become their gradient times `scale` if one is given //
    /// losses (P), logits (P, V), targets (P)
    pub fn rows(losses: &mut [f32], logits: &mut [f32], targets: &[usize], vocabulary: usize, scale: Option<f32>) {
        for ((loss, logits), &target) in losses.iter_mut().zip(logits.chunks_exact_mut(vocabulary)).zip(targets) {
            let of_target = logits[target];
            let (highest, sum) = exponentials(logits);
            *loss = highest - of_target + sum.ln();
            if let Some(scale) = scale {
                let factor = scale / sum;
                logits.iter_mut().for_each(|value| *value *= factor);
                logits[target] -= scale;
            }
        }
    }
}

/// Replaces each value by `exp(value - highest)`; returns the highest and the sum. NaN anywhere makes the sum NaN.
#[inline(always)]
pub(super) fn exponentials(row: &mut [f32]) -> (f32, f32) {
    let mut highest = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (h, value) in highest.iter_mut().zip(chunk) {
            *h = if *value > *h { *value } else { *h };
        }
    }
    let mut top = f32::NEG_INFINITY;
    for value in highest.iter().chain(rest) {
        top = if *value > top { *value } else { top };
    }
    let mut sums = [0.0f32; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *value = exp(*value - top);
            *sum += *value;
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *value = exp(*value - top);
        *sum += *value;
    }
    (top, sum(sums))
}
