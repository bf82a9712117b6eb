//! Layer norm over the last dimension, and its backward pass.
//!
//! `y = (x - mean) * rstd * gain + shift` with `rstd = 1 / sqrt(var + EPSILON)`.

use rayon::prelude::*;

use super::ROWS;
use super::linear::column_sums;
use super::matmul::Store;

/// Added to the variance (GPT-2's value).
pub const EPSILON: f32 = 1e-5;

/// Mean and reciprocal deviation of each row, kept for the backward pass // (m, 2)
pub type Stats = Vec<[f32; 2]>;

/// Forward // y, x (m, n), gain, shift (n), stats (m)
pub fn forward(y: &mut [f32], stats: &mut [[f32; 2]], x: &[f32], gain: &[f32], shift: &[f32]) {
    let n = gain.len();
    let blocks = y.par_chunks_mut(ROWS * n).zip(stats.par_chunks_mut(ROWS)).zip(x.par_chunks(ROWS * n));
    blocks.for_each(|((y, stats), x)| {
        for ((y, stat), x) in y.chunks_exact_mut(n).zip(stats).zip(x.chunks_exact(n)) {
            let mean = x.iter().sum::<f32>() / n as f32;
            let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n as f32;
            let rstd = 1.0 / (variance + EPSILON).sqrt();
            *stat = [mean, rstd];
            for (j, y) in y.iter_mut().enumerate() {
                *y = (x[j] - mean) * rstd * gain[j] + shift[j];
            }
        }
    });
}

/// Backward to the input: `dx = rstd * (g - mean(g) - xhat * mean(g * xhat))` with `g = dy * gain`; added to `dx` if
/// `store` says so // dx, dy, x (m, n)
pub fn backward_input(dx: &mut [f32], dy: &[f32], x: &[f32], stats: &[[f32; 2]], gain: &[f32], store: Store) {
    let n = gain.len();
    let blocks = dx.par_chunks_mut(ROWS * n).zip(dy.par_chunks(ROWS * n)).zip(x.par_chunks(ROWS * n));
    blocks.zip(stats.par_chunks(ROWS)).for_each(|(((dx, dy), x), stats)| {
        let rows = dx.chunks_exact_mut(n).zip(dy.chunks_exact(n)).zip(x.chunks_exact(n)).zip(stats);
        for (((dx, dy), x), &[mean, rstd]) in rows {
            let (mut sum, mut dot) = (0.0f32, 0.0f32);
            for j in 0..n {
                let g = dy[j] * gain[j];
                sum += g;
                dot += g * (x[j] - mean) * rstd;
            }
            let (sum, dot) = (sum / n as f32, dot / n as f32);
            for j in 0..n {
                let value = rstd * (dy[j] * gain[j] - sum - (x[j] - mean) * rstd * dot);
                dx[j] = if store == Store::Add { dx[j] + value } else { value };
            }
        }
    });
}

/// Backward to gain and shift // dgain, dshift (n), dy, x (m, n)
pub fn backward_weight(dgain: &mut [f32], dshift: &mut [f32], dy: &[f32], x: &[f32], stats: &[[f32; 2]], store: Store) {
    let n = dgain.len();
    column_sums(dgain, dy, store, |i, dy, j| dy * (x[i * n + j] - stats[i][0]) * stats[i][1]);
    column_sums(dshift, dy, store, |_, dy, _| dy);
}
