//! Layer norm over the last dimension, and its backward pass, one block of rows at a time.
//!
//! `y = (x - mean) * rstd * gain + shift` with `rstd = 1 / sqrt(var + EPSILON)`.

use super::simd::{lane_sum, vectorised};

/// Added to the variance (GPT-2's value).
pub const EPSILON: f32 = 1e-5;

/// Floats that a row's statistics take: mean and reciprocal deviation.
pub const STATS: usize = 2;

vectorised! {
    /// Forward // y, x (m, n), stats (m, STATS), gain, shift (n)
    pub fn forward(y: &mut [f32], stats: &mut [f32], x: &[f32], gain: &[f32], shift: &[f32]) {
        let n = gain.len();
        let shift = &shift[..n];
        for ((y, stat), x) in y.chunks_exact_mut(n).zip(stats.chunks_exact_mut(STATS)).zip(x.chunks_exact(n)) {
            let mean = lane_sum(n, |j| x[j]) / n as f32;
            let variance = lane_sum(n, |j| (x[j] - mean) * (x[j] - mean)) / n as f32;
            let rstd = 1.0 / (variance + EPSILON).sqrt();
            stat[0] = mean;
            stat[1] = rstd;
            for j in 0..n {
                y[j] = ((x[j] - mean) * rstd).mul_add(gain[j], shift[j]);
            }
        }
    }
}

vectorised! {
    /// Backward: `dx = onto + rstd * (g - mean(g) - xhat * mean(g * xhat))` with `g = dy * gain`; the gradients of gain and
    /// shift are added to theirs. // dx, dy, x (m, n), stats (m, STATS), onto (m, n) or empty for zeros
    pub fn backward(
        dx: &mut [f32],
        dgain: &mut [f32],
        dshift: &mut [f32],
        dy: &[f32],
        x: &[f32],
        stats: &[f32],
        gain: &[f32],
        onto: &[f32],
    ) {
        let n = gain.len();
        let (dgain, dshift) = (&mut dgain[..n], &mut dshift[..n]);
        let rows = dx.chunks_exact_mut(n).zip(dy.chunks_exact(n)).zip(x.chunks_exact(n)).zip(stats.chunks_exact(STATS));
        for (i, (((dx, dy), x), stat)) in rows.enumerate() {
            let (mean, rstd) = (stat[0], stat[1]);
            let average = lane_sum(n, |j| dy[j] * gain[j]) / n as f32;
            let dot = lane_sum(n, |j| dy[j] * gain[j] * ((x[j] - mean) * rstd)) / n as f32;
            for j in 0..n {
                let normed = (x[j] - mean) * rstd;
                dgain[j] = dy[j].mul_add(normed, dgain[j]);
                dshift[j] += dy[j];
                dx[j] = rstd * ((-normed).mul_add(dot, dy[j].mul_add(gain[j], -average)));
            }
            if !onto.is_empty() {
                let onto = &onto[i * n..][..n];
                for j in 0..n {
                    dx[j] += onto[j];
                }
            }
        }
    }
}
