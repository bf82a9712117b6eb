//! Layer norm over the columns, and its backward pass, one block of rows in panels at a time.
//!
//! `y = (x - mean) * rstd * gain + shift` with `rstd = 1 / sqrt(var + EPSILON)`.

use super::panels::{Panels, padded};
use super::simd::{LANES, sum, vectorised};

/// Added to the variance (GPT-2's value).
pub const EPSILON: f32 = 1e-5;

/// Floats that a row's statistics take: mean and reciprocal deviation.
pub const STATS: usize = 2;

/// Adds the first `count` values to lanes.
#[inline(always)]
fn accumulate(lanes: &mut [f32; LANES], values: [f32; LANES], count: usize) {
    if count >= LANES {
        lanes.iter_mut().zip(values).for_each(|(lane, value)| *lane += value);
    } else {
        lanes.iter_mut().zip(values).take(count).for_each(|(lane, value)| *lane += value);
    }
}

/// The sixteen values at `at`.
#[inline(always)]
fn sixteen(data: &[f32], at: usize) -> &[f32; LANES] {
    &data[at..at + LANES].as_chunks().0[0]
}

/// The sixteen lanes of `values` at panel `t`; zeros behind the last.
#[inline(always)]
fn lanes(values: &[f32], t: usize) -> [f32; LANES] {
    let values = &values[t * LANES..];
    match values.first_chunk() {
        Some(all) => *all,
        None => std::array::from_fn(|lane| values.get(lane).copied().unwrap_or(0.0)),
    }
}

vectorised! {
    /// Forward // y, x (m, n), stats (m, STATS), gain, shift (n)
    pub fn forward(y: &mut [f32], stats: &mut [f32], x: &[f32], gain: &[f32], shift: &[f32]) {
        let n = gain.len();
        let x = Panels::filling(x, n);
        let (m, _) = x.shape();
        let (data, step) = x.layout();
        let panels = n.div_ceil(LANES);
        let stats = &mut stats.as_chunks_mut::<STATS>().0[..m];
        for (i, stats) in stats.iter_mut().enumerate() {
            let mut sums = [0.0; LANES];
            for t in 0..panels {
                accumulate(&mut sums, *sixteen(data, i * LANES + t * step), n - t * LANES);
            }
            let mean = sum(sums) / n as f32;
            let mut squares = [0.0; LANES];
            for t in 0..panels {
                let deviations = sixteen(data, i * LANES + t * step).map(|x| (x - mean) * (x - mean));
                accumulate(&mut squares, deviations, n - t * LANES);
            }
            *stats = [mean, 1.0 / (sum(squares) / n as f32 + EPSILON).sqrt()];
        }
        for (t, y) in y.chunks_exact_mut(m * LANES).enumerate() {
            let (gain, shift) = (lanes(gain, t), lanes(shift, t));
            for ((y, x), [mean, rstd]) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(x.panel(t)).zip(&*stats) {
                for (((y, x), gain), shift) in y.iter_mut().zip(x).zip(gain).zip(shift) {
                    *y = ((x - mean) * rstd).mul_add(gain, shift);
                }
            }
        }
    }
}

vectorised! {
    /// Backward: `dx = onto + rstd * (g - mean(g) - xhat * mean(g * xhat))` with `g = dy * gain`; the gradients of gain and
    /// shift are added to theirs. // dx, dy, x (m, n), stats (m, STATS), onto (m,
    /// n) or empty for zeros
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
        let m = dx.len() / padded(n);
        let (x, dy) = (Panels::new(x, m, n), Panels::new(dy, m, n));
        let stats = &stats.as_chunks::<STATS>().0[..m];
        let ((x_data, step), (dy_data, _)) = (x.layout(), dy.layout());
        // Rows in groups, so that their means need no memory but the stack's.
        for first in (0..m).step_by(GROUP) {
            let rows = GROUP.min(m - first);
            let mut means = [[0.0f32; 2]; GROUP];
            for (i, means) in means.iter_mut().enumerate().take(rows) {
                let [mean, rstd] = stats[first + i];
                let (mut sums, mut dots) = ([0.0; LANES], [0.0; LANES]);
                for t in 0..n.div_ceil(LANES) {
                    let at = (first + i) * LANES + t * step;
                    let (dy, x, gain) = (sixteen(dy_data, at), sixteen(x_data, at), lanes(gain, t));
                    let (mut g, mut of_normed) = ([0.0; LANES], [0.0; LANES]);
                    for lane in 0..LANES {
                        g[lane] = dy[lane] * gain[lane];
                        of_normed[lane] = g[lane] * ((x[lane] - mean) * rstd);
                    }
                    accumulate(&mut sums, g, n - t * LANES);
                    accumulate(&mut dots, of_normed, n - t * LANES);
                }
                *means = [sum(sums) / n as f32, sum(dots) / n as f32];
            }
            for t in 0..n.div_ceil(LANES) {
                let gains = lanes(gain, t);
                let (mut dgains, mut dshifts) = ([0.0f32; LANES], [0.0f32; LANES]);
                let from = t * step + first * LANES;
                                let dx = dx[from..from + rows * LANES].as_chunks_mut::<LANES>().0;
                let all = dx.iter_mut().zip(&dy.panel(t)[first..]).zip(&x.panel(t)[first..]).zip(&stats[first..]).zip(&means);
                for ((((dx, dy), x), [mean, rstd]), [average, dot]) in all {
                    for lane in 0..LANES {
                        let normed = (x[lane] - mean) * rstd;
                        dgains[lane] = dy[lane].mul_add(normed, dgains[lane]);
                        dshifts[lane] += dy[lane];
                        dx[lane] = rstd * ((-normed).mul_add(*dot, dy[lane].mul_add(gains[lane], -average)));
                    }
                }
                if !onto.is_empty() {
                    for (dx, onto) in dx.as_flattened_mut().iter_mut().zip(&onto[from..]) {
                        *dx += onto;
                    }
                }
                let end = n.min((t + 1) * LANES);
                dgain[t * LANES..end].iter_mut().zip(dgains).for_each(|(sum, d)| *sum += d);
                dshift[t * LANES..end].iter_mut().zip(dshifts).for_each(|(sum, d)| *sum += d);
            }
        }
    }
}

/// Rows whose means the backward pass holds at a time.
const GROUP: usize = 32;
