//! Multi-head attention, forward and backward, each (sequence, head) by itself.
//!
//! A head's queries, keys and values are read where they stand if they are whole panels there. Scores exist only as a tile of `QUERIES` rows
//! per thread; the backward pass computes them again from the kept log-sum-exp of each row. Under a causal mask, keys
//! behind a tile's last row are never touched, but for those of a prefix that all its rows see.
#![allow(unsafe_code)]

use std::ops::Range;

use rayon::prelude::*;

use super::blocks::with_scratch;
use super::cross_entropy::{GROUP, exponentials, multiply};
use super::heads::{Part, Wide, read};
use super::linear::{Precision, product};
use super::math::exp;
use super::panels::{Blocked, Depth, Out, Panels, Store, padded, transposed};
use super::simd::{LANES, first, vectorised};

/// Rows of scores that exist at a time.
const QUERIES: usize = 64;

/// The shape of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Tokens per sequence, T.
    pub context: usize,
    /// Width, C.
    pub width: usize,
    /// Heads, H; they divide the width.
    pub heads: usize,
    /// Whether a position sees only itself and those before it.
    pub causal: bool,
    /// What products are computed in.
    pub precision: Precision,
    /// Rows of a block of the buffers.
    pub block: usize,
}

impl Shape {
    fn head_width(self) -> usize {
        self.width / self.heads
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_width() as f32).sqrt()
    }

    /// Rows `first..last` of queries see keys `0..keys`: whole panels of them, or all.
    fn tiles(self, prefix: usize) -> impl DoubleEndedIterator<Item = (Range<usize>, usize)> {
        let (t, causal) = (self.context, self.causal);
        (0..t.div_ceil(QUERIES)).map(move |i| {
            let (first, last) = (i * QUERIES, ((i + 1) * QUERIES).min(t));
            (first..last, if causal { last.max(padded(prefix)).min(t) } else { t })
        })
    }

    /// The keys that the rows of a tile see.
    fn seen(self, queries: &Range<usize>, keys: usize, prefix: usize) -> Seen {
        if self.causal {
            Seen { first: queries.start + 1, step: 1, least: prefix }
        } else {
            Seen { first: keys, step: 0, least: 0 }
        }
    }

    /// The prefix of a head's sequence: of `prefixes` (B), or none where there are none.
    fn prefix(self, prefixes: &[usize], index: usize) -> usize {
        prefixes.get(index / self.heads).copied().unwrap_or(0)
    }

    /// A buffer of `parts` times C columns, of as many rows as `elements` make.
    fn buffer(self, elements: usize, parts: usize) -> Blocked {
        let width = parts * self.width;
        Blocked { rows: elements / padded(width), block: self.block, width }
    }

    /// One head of one sequence, in part `part` of C columns.
    fn head(self, index: usize, part: usize) -> Part {
        let (sequence, head) = (index / self.heads, index % self.heads);
        let first = sequence * self.context;
        let d = self.head_width();
        Part { rows: first..first + self.context, first: part * self.width + head * d, width: d }
    }

    /// Elements of a head's panels (T, d), of their transpose (d, T), and of a tile of scores.
    fn lengths(self) -> [usize; 3] {
        let (t, d) = (self.context, self.head_width());
        [t * padded(d), d * padded(t), QUERIES.min(t) * padded(t)]
    }
}

/// How many keys the rows of a tile see: row i the first `first + i * step`, and at least `least`.
#[derive(Clone, Copy)]
struct Seen {
    first: usize,
    step: usize,
    least: usize,
}

/// Cuts a buffer into pieces.
fn cut<const N: usize>(mut buffer: &mut [f32], lengths: [usize; N]) -> [&mut [f32]; N] {
    lengths.map(|length| {
        let (piece, rest) = std::mem::take(&mut buffer).split_at_mut(length);
        buffer = rest;
        piece
    })
}

/// Sets what a row doesn't see to `value` // x (m, keys) panels
#[inline(always)]
fn hide(x: &mut [f32], m: usize, seen: Seen, value: f32) {
    let Seen { first, step, least } = seen;
    for (t, panel) in x.chunks_exact_mut(m * LANES).enumerate() {
        // Rows from here on see all of the panel.
        let rows = match ((t + 1) * LANES).saturating_sub(first.max(least)) {
            0 => 0,
            _ if step == 0 => m,
            _ => ((t + 1) * LANES - first).min(m),
        };
        for (i, row) in panel.as_chunks_mut::<LANES>().0.iter_mut().enumerate().take(rows) {
            row[(first + i * step).max(least).saturating_sub(t * LANES).min(LANES)..].fill(value);
        }
    }
}

vectorised! {
    /// Softmax of what each row sees, times `scale`, zeros behind. // scores (m, keys) panels, lse (m)
    fn softmax<V>(scores: &mut [f32], lse: &mut [f32], seen: Seen, scale: f32) {
        let m = lse.len();
        hide(scores, m, seen, f32::NEG_INFINITY);
        for from in (0..m).step_by(GROUP) {
            let rows = GROUP.min(m - from);
            let stats = exponentials::<V>(scores, m, from, rows, scale);
            multiply::<V>(scores, m, from, &stats.map(|(_, sum)| 1.0 / sum)[..rows]);
            for (lse, (highest, sum)) in lse[from..].iter_mut().zip(stats) {
                *lse = highest + sum.ln();
            }
        }
        hide(scores, m, seen, 0.0);
    }
}

vectorised! {
    /// Probabilities from scores, and from their gradients those of the products q k^T, `scale p (dp - delta)`. // p, ds
    /// (m, keys) panels
    fn backward_of_softmax<V>(
        p: &mut [f32],
        ds: &mut [f32],
        lse: &[f32],
        delta: &[f32],
        seen: Seen,
        scale: f32,
    ) {
        let factor = V::splat(scale);
        let m = lse.len();
        for (p, ds) in p.chunks_exact_mut(m * LANES).zip(ds.chunks_exact_mut(m * LANES)) {
            let rows = p.as_chunks_mut::<LANES>().0.iter_mut().zip(ds.as_chunks_mut::<LANES>().0);
            for (((p, ds), lse), delta) in rows.zip(lse).zip(delta) {
                let value = exp(V::load(p).mul_add(factor, V::splat(-*lse)));
                value.store(p);
                factor.mul(value).mul(V::load(ds).sub(V::splat(*delta))).store(ds);
            }
        }
        hide(p, m, seen, 0.0);
        hide(ds, m, seen, 0.0);
    }
}

vectorised! {
    /// `delta[i] = dy[i] . y[i]` // dy, y (m, d)
    fn row_dots<V>(delta: &mut [f32], dy: Panels<'_>, y: Panels<'_>) {
        let (_, d) = y.shape();
        for (i, delta) in delta.iter_mut().enumerate() {
            let mut lanes = V::splat(0.0);
            for t in 0..d.div_ceil(LANES) {
                let products = V::load(&dy.panel(t)[i]).mul(V::load(&y.panel(t)[i]));
                lanes = lanes.add(first(products, d - t * LANES));
            }
            *delta = lanes.sum();
        }
    }
}

/// `y = softmax(q k^T / sqrt(d)) v`. Under a causal mask, each of a sequence's first `prefix` positions sees all of them.
/// // prefixes (B) or none, y (B, T, C), lse (B, H, T), qkv (B, T, 3C)
pub fn forward(shape: Shape, prefixes: &[usize], y: &mut [f32], lse: &mut [f32], qkv: &[f32]) {
    let Shape { context: t, precision, .. } = shape;
    let (d, scale) = (shape.head_width(), shape.scale());
    let all = shape.buffer(qkv.len(), 3);
    let y = Wide::new(y, Blocked { width: shape.width, ..all });
    lse.par_chunks_mut(t).enumerate().with_max_len(1).for_each(|(index, lse)| {
        let [head, turned, tile] = shape.lengths();
        let prefix = shape.prefix(prefixes, index);
        with_scratch(|scratch| {
            let ([buffer, ..], pairs) = scratch.take([4 * head + turned + tile, 0, 0]);
            let [q, k, v, own, k_t, scores] = cut(buffer, [head, head, head, head, turned, tile]);
            let q = read(qkv, all, shape.head(index, 0), q);
            transposed(k_t, read(qkv, all, shape.head(index, 1), k));
            let v = read(qkv, all, shape.head(index, 2), v);
            let k_t = Panels::new(k_t, d, t);
            let mut each_tile = |result: Out<'_>| {
                for (queries, keys) in shape.tiles(prefix) {
                    let rows = queries.len();
                    let scores = &mut scores[..rows * padded(keys)];
                    let (q, k_t, v) = (q.rows(queries.clone()), k_t.columns(0..keys), v.rows(0..keys));
                    product(precision, Out::panels(scores, rows, keys), (q, Depth::Columns), k_t, pairs, Store::Set);
                    let seen = shape.seen(&queries, keys, prefix);
                    softmax(scores, &mut lse[queries.clone()], seen, scale);
                    // SAFETY: one part at a time.
                    let result = unsafe { result.part(queries, 0..d) };
                    let p = Panels::new(scores, rows, keys);
                    product(precision, result, (p, Depth::Columns), v, pairs, Store::Set);
                }
            };
            // SAFETY: this head's columns of this sequence's rows are written here alone.
            unsafe { y.write(shape.head(index, 0), own, &mut each_tile) };
        });
    });
}

/// The gradient of `qkv` // prefixes (B) or none, dqkv (B, T, 3C), dy and y (B, T, C), lse (B, H, T)
pub fn backward(shape: Shape, prefixes: &[usize], dqkv: &mut [f32], dy: &[f32], y: &[f32], lse: &[f32], qkv: &[f32]) {
    let Shape { context: t, precision, .. } = shape;
    let (d, scale) = (shape.head_width(), shape.scale());
    let all = shape.buffer(qkv.len(), 3);
    let narrow = Blocked { width: shape.width, ..all };
    let dqkv = Wide::new(dqkv, all);
    lse.par_chunks(t).enumerate().with_max_len(1).for_each(|(index, lse)| {
        let [head, turned, tile] = shape.lengths();
        let of = |part| shape.head(index, part);
        let prefix = shape.prefix(prefixes, index);
        with_scratch(|scratch| {
            let ([heads, others, delta], pairs) = scratch.take([8 * head, 2 * (turned + tile), QUERIES]);
            let [q, k, v, dy_own, y_own, dq_own, dk_own, dv_own] = cut(heads, [head; 8]);
            let [k_t, v_t, p, ds] = cut(others, [turned, turned, tile, tile]);
            let q = read(qkv, all, of(0), q);
            let k = read(qkv, all, of(1), k);
            let dy = read(dy, narrow, of(0), dy_own);
            let y = read(y, narrow, of(0), y_own);
            transposed(k_t, k);
            transposed(v_t, read(qkv, all, of(2), v));
            let [k_t, v_t] = [&*k_t, v_t].map(|x| Panels::new(x, d, t));
            let mut each_tile = |dq: Out<'_>, dk: Out<'_>, dv: Out<'_>| {
                // The last tile first: it sees all keys, so it stores what the others add to.
                for (queries, keys) in shape.tiles(prefix).rev() {
                    let rows = queries.len();
                    let (p, ds) = (&mut p[..rows * padded(keys)], &mut ds[..rows * padded(keys)]);
                    let [q, dy, y] = [q, dy, y].map(|x| x.rows(queries.clone()));
                    let [k_t, v_t] = [k_t, v_t].map(|x| x.columns(0..keys));
                    product(precision, Out::panels(p, rows, keys), (q, Depth::Columns), k_t, pairs, Store::Set);
                    product(precision, Out::panels(ds, rows, keys), (dy, Depth::Columns), v_t, pairs, Store::Set);
                    let delta = &mut delta[..rows];
                    row_dots(delta, dy, y);
                    let seen = shape.seen(&queries, keys, prefix);
                    backward_of_softmax(p, ds, &lse[queries.clone()], delta, seen, scale);
                    let [p, ds] = [&*p, ds].map(|x| Panels::new(x, rows, keys));
                    let store = if queries.end == t { Store::Set } else { Store::Add };
                    // SAFETY: of each result, one part at a time.
                    let (dq, dk, dv) =
                        unsafe { (dq.part(queries, 0..d), dk.part(0..keys, 0..d), dv.part(0..keys, 0..d)) };
                    product(precision, dq, (ds, Depth::Columns), k.rows(0..keys), pairs, Store::Set);
                    product(precision, dk, (ds, Depth::Rows), q, pairs, store);
                    product(precision, dv, (p, Depth::Rows), dy, pairs, store);
                }
            };
            // SAFETY: this head's columns of this sequence's rows are written here alone, each part by itself.
            unsafe {
                dqkv.write(of(0), dq_own, |dq| {
                    dqkv.write(of(1), dk_own, |dk| dqkv.write(of(2), dv_own, |dv| each_tile(dq, dk, dv)));
                });
            }
        });
    });
}
