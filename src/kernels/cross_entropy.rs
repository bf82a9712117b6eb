//! Softmax cross entropy of rows of logits, and the exponentials that attention shares.

use super::math::exp;
use super::simd::{LANES, Vector, vectorised};

/// Rows that are worked on together.
pub(super) const GROUP: usize = 16;

vectorised! {
    /// `-ln softmax(logits)[target]` of each row; the logits become their gradient times `scale` if one is given //
    /// losses (m), logits (m, V) panels, targets (m)
    pub fn rows<V>(losses: &mut [f32], logits: &mut [f32], targets: &[usize], vocabulary: usize, scale: Option<f32>) {
        let m = losses.len();
        if !vocabulary.is_multiple_of(LANES) {
            // What stands behind the last column takes no part.
            let last = &mut logits[vocabulary / LANES * m * LANES..];
            for row in last.as_chunks_mut::<LANES>().0 {
                row[vocabulary % LANES..].fill(f32::NEG_INFINITY);
            }
        }
        let at = |i: usize, target: usize| (target / LANES * m + i) * LANES + target % LANES;
        for first in (0..m).step_by(GROUP) {
            let rows = GROUP.min(m - first);
            let (losses, targets) = (&mut losses[first..first + rows], &targets[first..first + rows]);
            for (i, (loss, &target)) in losses.iter_mut().zip(targets).enumerate() {
                *loss = -logits[at(first + i, target)];
            }
            let stats = exponentials::<V>(logits, m, first, rows, 1.0);
            for (loss, (highest, sum)) in losses.iter_mut().zip(&stats) {
                *loss += highest + sum.ln();
            }
            if let Some(scale) = scale {
                let factors = stats.map(|(_, sum)| scale / sum);
                multiply::<V>(logits, m, first, &factors[..rows]);
                for (i, &target) in targets.iter().enumerate() {
                    logits[at(first + i, target)] -= scale;
                }
            }
        }
    }
}

/// The parts that `rows` rows from `first` on have in each panel of m rows.
#[inline(always)]
fn parts(x: &mut [f32], m: usize, first: usize, rows: usize) -> impl Iterator<Item = &mut [[f32; LANES]]> {
    let part = move |panel| -> &mut [[f32; LANES]] {
        let panel: &mut [f32] = panel;
        panel[first * LANES..(first + rows) * LANES].as_chunks_mut().0
    };
    x.chunks_exact_mut(m * LANES).map(part)
}

/// Replaces each value of some rows (at most `GROUP`) by `exp(scale (value - highest))`; returns each row's highest, times
/// the scale (which is positive), and sum. NaN anywhere makes the sum NaN. // x (m, n) panels, of which all lanes count
#[inline(always)]
pub(super) fn exponentials<V: Vector>(
    x: &mut [f32],
    m: usize,
    first: usize,
    rows: usize,
    scale: f32,
) -> [(f32, f32); GROUP] {
    let mut highest = [V::splat(f32::NEG_INFINITY); GROUP];
    for part in parts(x, m, first, rows) {
        for (highest, row) in highest.iter_mut().zip(part) {
            *highest = V::load(row).greater(*highest);
        }
    }
    let tops = highest
        .map(|lanes| scale * lanes.array().into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a }));
    let mut sums = [V::splat(0.0); GROUP];
    for part in parts(x, m, first, rows) {
        for ((sum, top), row) in sums.iter_mut().zip(&tops).zip(part) {
            let value = exp(V::load(row).mul_add(V::splat(scale), V::splat(-*top)));
            value.store(row);
            *sum = sum.add(value);
        }
    }
    std::array::from_fn(|i| (tops[i], sums[i].sum()))
}

/// Multiplies each of some rows by a factor // x (m, n) panels
#[inline(always)]
pub(super) fn multiply<V: Vector>(x: &mut [f32], m: usize, first: usize, factors: &[f32]) {
    for part in parts(x, m, first, factors.len()) {
        for (row, factor) in part.iter_mut().zip(factors) {
            V::load(row).mul(V::splat(*factor)).store(row);
        }
    }
}
