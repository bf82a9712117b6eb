//! Layer norm over the columns, and its backward pass, one block of rows in panels at a time.
//!
//! `y = (x - mean) * rstd * gain + shift` with `rstd = 1 / sqrt(var + EPSILON)`.

use super::panels::{Panels, padded};
use super::simd::{LANES, Vector, first, lanes_of, vectorised};

/// Added to the variance (GPT-2's value).
pub const EPSILON: f32 = 1e-5;

/// Floats that a row's statistics take: mean and reciprocal deviation.
pub const STATS: usize = 2;

/// Rows whose sums are computed together.
const GROUP: usize = 8;

/// The part that rows `from..from + GROUP` have in each panel of a block of rows, as many as there are.
#[inline(always)]
fn parts(x: Panels<'_>, from: usize) -> impl Iterator<Item = (usize, &[[f32; LANES]])> {
    let (rows, n) = x.shape();
    (0..n.div_ceil(LANES)).map(move |t| (t, &x.panel(t)[from..rows.min(from + GROUP)]))
}

/// Sums of rows, by lanes.
#[inline(always)]
fn totals<V: Vector>(sums: [V; GROUP]) -> [f32; GROUP] {
    sums.map(V::sum)
}

vectorised! {
    /// Forward // y, x (m, n), stats (m, STATS), gain, shift (n)
    pub fn forward<V>(y: &mut [f32], stats: &mut [f32], x: &[f32], gain: &[f32], shift: &[f32]) {
        let n = gain.len();
        let x = Panels::filling(x, n);
        let (m, _) = x.shape();
        let stats = &mut stats.as_chunks_mut::<STATS>().0[..m];
        for (group, stats) in stats.chunks_mut(GROUP).enumerate() {
            let mut sums = [V::splat(0.0); GROUP];
            for (t, part) in parts(x, group * GROUP) {
                for (sum, x) in sums.iter_mut().zip(part) {
                    *sum = sum.add(first(V::load(x), n - t * LANES));
                }
            }
            let means = totals(sums).map(|sum| sum / n as f32);
            let mut squares = [V::splat(0.0); GROUP];
            for (t, part) in parts(x, group * GROUP) {
                for ((square, x), mean) in squares.iter_mut().zip(part).zip(means) {
                    let deviation = V::load(x).sub(V::splat(mean));
                    *square = square.add(first(deviation.mul(deviation), n - t * LANES));
                }
            }
            for ((stats, square), mean) in stats.iter_mut().zip(totals(squares)).zip(means) {
                *stats = [mean, 1.0 / (square / n as f32 + EPSILON).sqrt()];
            }
        }
        for (t, y) in y.chunks_exact_mut(m * LANES).enumerate() {
            let (gain, shift): (V, V) = (lanes_of(gain, t), lanes_of(shift, t));
            for ((y, x), [mean, rstd]) in y.as_chunks_mut().0.iter_mut().zip(x.panel(t)).zip(&*stats) {
                V::load(x).sub(V::splat(*mean)).mul(V::splat(*rstd)).mul_add(gain, shift).store(y);
            }
        }
    }
}

vectorised! {
    /// Backward: `dx = onto + rstd * (g - mean(g) - xhat * mean(g * xhat))` with `g = dy * gain`; the gradients of gain and
    /// shift are added to theirs. // dx, dy, x (m, n), stats (m, STATS), onto (m, n) or empty for zeros
    pub fn backward<V>(
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
        for (group, stats) in stats.chunks(GROUP).enumerate() {
            let from = group * GROUP;
            let (mut sums, mut dots) = ([V::splat(0.0); GROUP], [V::splat(0.0); GROUP]);
            for ((t, x), (_, dy)) in parts(x, from).zip(parts(dy, from)) {
                let gain: V = lanes_of(gain, t);
                let rows = sums.iter_mut().zip(&mut dots).zip(x).zip(dy).zip(stats);
                for ((((sum, dot), x), dy), [mean, rstd]) in rows {
                    let g = first(V::load(dy).mul(gain), n - t * LANES);
                    let normed = V::load(x).sub(V::splat(*mean)).mul(V::splat(*rstd));
                    *sum = sum.add(g);
                    *dot = dot.add(first(g.mul(normed), n - t * LANES));
                }
            }
            let averages = totals(sums).map(|sum| sum / n as f32);
            let dots = totals(dots).map(|sum| sum / n as f32);
            for ((t, x), (_, dy)) in parts(x, from).zip(parts(dy, from)) {
                let gain: V = lanes_of(gain, t);
                let (mut dgains, mut dshifts) = (V::splat(0.0), V::splat(0.0));
                let at = (t * m + from) * LANES;
                let dx = dx[at..at + x.len() * LANES].as_chunks_mut().0;
                let onto = if onto.is_empty() { &[] } else { onto[at..at + x.len() * LANES].as_chunks().0 };
                let rows = dx.iter_mut().zip(x).zip(dy).zip(stats).zip(averages).zip(dots);
                for (i, (((((dx, x), dy), [mean, rstd]), average), dot)) in rows.enumerate() {
                    let (dy, rstd) = (V::load(dy), V::splat(*rstd));
                    let normed = V::load(x).sub(V::splat(*mean)).mul(rstd);
                    dgains = dy.mul_add(normed, dgains);
                    dshifts = dshifts.add(dy);
                    let centred = dy.mul_add(gain, V::splat(-average));
                    let mut value = rstd.mul(normed.mul_add(V::splat(-dot), centred));
                    if let Some(onto) = onto.get(i) {
                        value = value.add(V::load(onto));
                    }
                    value.store(dx);
                }
                let end = n.min((t + 1) * LANES);
                dgain[t * LANES..end].iter_mut().zip(dgains.array()).for_each(|(sum, d)| *sum += d);
                dshift[t * LANES..end].iter_mut().zip(dshifts.array()).for_each(|(sum, d)| *sum += d);
            }
        }
    }
}
