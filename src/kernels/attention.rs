//! Multi-head attention, forward and backward, each (sequence, head) by itself.
//!
//! Scores exist only as a tile of `QUERIES` rows per thread; the backward pass computes them again from the kept
//! log-sum-exp of each row. Under a causal mask, keys behind a tile's last row are never touched.
#![allow(unsafe_code)]

use rayon::prelude::*;

use super::blocks::{Out, with_scratch};
use super::cross_entropy::exponentials;
use super::linear::{Precision, product};
use super::math::exp;
use super::matmul::{Store, View};
use super::simd::{lane_sum, vectorised};
use super::transpose;

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
}

impl Shape {
    fn head_width(self) -> usize {
        self.width / self.heads
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_width() as f32).sqrt()
    }

    /// Rows `first..last` of queries see keys `0..keys`.
    fn tiles(self) -> impl DoubleEndedIterator<Item = (usize, usize, usize)> {
        let (t, causal) = (self.context, self.causal);
        (0..t.div_ceil(QUERIES)).map(move |i| {
            let (first, last) = (i * QUERIES, ((i + 1) * QUERIES).min(t));
            (first, last, if causal { last } else { t })
        })
    }

    /// Rows `first..last` of query (0), key (1) or value (2) of one head, in one sequence's rows of `q | k | v`.
    fn part(self, qkv: &[f32], part: usize, head: usize, first: usize, last: usize) -> View<'_> {
        let (d, c) = (self.head_width(), self.width);
        View::strided(&qkv[first * 3 * c + part * c + head * d..], last - first, d, 3 * c)
    }

    /// The transpose of one head's keys (1) or values (2) // y (d, T)
    fn transpose(self, y: &mut [f32], qkv: &[f32], part: usize, head: usize) {
        let (d, c) = (self.head_width(), self.width);
        transpose::small(y, &qkv[part * c + head * d..], self.context, d, 3 * c);
    }
}

vectorised! {
    /// Softmax of each row's first entries times `scale`, zeros behind: row i sees `seen + i * step` of `keys`. // scores
    /// (m, keys), lse (m)
    fn softmax(scores: &mut [f32], lse: &mut [f32], keys: usize, seen: usize, step: usize, scale: f32) {
        for (i, (row, lse)) in scores.chunks_exact_mut(keys).zip(lse).enumerate() {
            let (row, hidden) = row.split_at_mut(seen + i * step);
            row.iter_mut().for_each(|s| *s *= scale);
            let (highest, sum) = exponentials(row);
            let inverse = 1.0 / sum;
            row.iter_mut().for_each(|s| *s *= inverse);
            hidden.fill(0.0);
            *lse = highest + sum.ln();
        }
    }
}

vectorised! {
    /// Probabilities from scores, and from their gradients those of the products q k^T, `scale p (dp - delta)`. // p, ds
    /// (m, keys)
    fn backward_of_softmax(
        p: &mut [f32],
        ds: &mut [f32],
        lse: &[f32],
        delta: &[f32],
        keys: usize,
        seen: usize,
        step: usize,
        scale: f32,
    ) {
        let rows = p.chunks_exact_mut(keys).zip(ds.chunks_exact_mut(keys)).zip(lse).zip(delta);
        for (i, (((p, ds), lse), delta)) in rows.enumerate() {
            let seen = seen + i * step;
            for (p, ds) in p[..seen].iter_mut().zip(&mut ds[..seen]) {
                *p = exp(p.mul_add(scale, -lse));
                *ds = scale * *p * (*ds - delta);
            }
            p[seen..].fill(0.0);
            ds[seen..].fill(0.0);
        }
    }
}

vectorised! {
    /// `delta[i] = dy[i] . y[i]` of one head // rows of C, of which `d` from `first` on count
    fn row_dots(delta: &mut [f32], dy: &[f32], y: &[f32], width: usize, first: usize, d: usize) {
        for ((delta, dy), y) in delta.iter_mut().zip(dy.chunks(width)).zip(y.chunks(width)) {
            let (dy, y) = (&dy[first..first + d], &y[first..first + d]);
            *delta = lane_sum(d, |j| dy[j] * y[j]);
        }
    }
}

/// `y = softmax(q k^T / sqrt(d)) v` // y (B, T, C), lse (B, H, T), qkv (B, T, 3C)
pub fn forward(shape: Shape, y: &mut [f32], lse: &mut [f32], qkv: &[f32]) {
    let Shape { context: t, width: c, heads, causal, precision } = shape;
    let (d, scale) = (shape.head_width(), shape.scale());
    let y = Out::new(y, qkv.len() / (3 * c), c, c);
    lse.par_chunks_mut(t).enumerate().with_max_len(1).for_each(|(index, lse)| {
        let (sequence, head) = (index / heads, index % heads);
        let qkv = &qkv[sequence * t * 3 * c..][..t * 3 * c];
        with_scratch(|scratch| {
            let ([scores, k_t, _], pairs) = scratch.take([QUERIES.min(t) * t, d * t, 0]);
            shape.transpose(k_t, qkv, 1, head);
            for (first, last, keys) in shape.tiles() {
                let (q, k_t) = (shape.part(qkv, 0, head, first, last), View::strided(k_t, d, keys, t));
                let (rows, scores) = (last - first, &mut scores[..(last - first) * keys]);
                product(precision, Out::new(scores, rows, keys, keys), q, k_t, pairs, Store::Set);
                let (seen, step) = if causal { (first + 1, 1) } else { (keys, 0) };
                softmax(scores, &mut lse[first..last], keys, seen, step, scale);
                // SAFETY: these rows and columns belong to this sequence, head and tile alone.
                let out = unsafe { y.part(sequence * t + first..sequence * t + last, head * d..(head + 1) * d) };
                let (p, v) = (View::new(scores, rows, keys), shape.part(qkv, 2, head, 0, keys));
                product(precision, out, p, v, pairs, Store::Set);
            }
        });
    });
}

/// The gradient of `qkv` // dqkv (B, T, 3C), dy and y (B, T, C), lse (B, H, T)
pub fn backward(shape: Shape, dqkv: &mut [f32], dy: &[f32], y: &[f32], lse: &[f32], qkv: &[f32]) {
    let Shape { context: t, width: c, heads, causal, precision } = shape;
    let (d, scale) = (shape.head_width(), shape.scale());
    let dqkv = Out::new(dqkv, qkv.len() / (3 * c), 3 * c, 3 * c);
    lse.par_chunks(t).enumerate().with_max_len(1).for_each(|(index, lse)| {
        let (sequence, head) = (index / heads, index % heads);
        let qkv = &qkv[sequence * t * 3 * c..][..t * 3 * c];
        let (dy, y) = (&dy[sequence * t * c..][..t * c], &y[sequence * t * c..][..t * c]);
        let gradient = |part: usize, first: usize, last: usize| {
            let at = part * c + head * d;
            // SAFETY: these columns of these rows belong to this sequence and head alone, which one thread computes; the
            // three parts are used one after the other.
            unsafe { dqkv.part(sequence * t + first..sequence * t + last, at..at + d) }
        };
        with_scratch(|scratch| {
            let tile = QUERIES.min(t) * t;
            let ([tiles, transposed, delta], pairs) = scratch.take([2 * tile, 2 * d * t, QUERIES.min(t)]);
            let ((p, ds), (k_t, v_t)) = (tiles.split_at_mut(tile), transposed.split_at_mut(d * t));
            shape.transpose(k_t, qkv, 1, head);
            shape.transpose(v_t, qkv, 2, head);
            // The last tile first: it sees all keys, so it stores what the others add to.
            for (first, last, keys) in shape.tiles().rev() {
                let rows = last - first;
                let (p, ds) = (&mut p[..rows * keys], &mut ds[..rows * keys]);
                let (q, k) = (shape.part(qkv, 0, head, first, last), shape.part(qkv, 1, head, 0, keys));
                let [k_t, v_t] = [&*k_t, &*v_t].map(|x| View::strided(x, d, keys, t));
                let dy_tile = View::strided(&dy[first * c + head * d..], rows, d, c);
                product(precision, Out::new(p, rows, keys, keys), q, k_t, pairs, Store::Set);
                product(precision, Out::new(ds, rows, keys, keys), dy_tile, v_t, pairs, Store::Set);
                let delta = &mut delta[..rows];
                row_dots(delta, &dy[first * c..], &y[first * c..], c, head * d, d);
                let (seen, step) = if causal { (first + 1, 1) } else { (keys, 0) };
                backward_of_softmax(p, ds, &lse[first..last], delta, keys, seen, step, scale);
                let (p, ds) = (View::new(p, rows, keys), View::new(ds, rows, keys));
                let store = if last == t { Store::Set } else { Store::Add };
                product(precision, gradient(0, first, last), ds, k, pairs, Store::Set);
                product(precision, gradient(1, 0, keys), ds.t(), q, pairs, store);
                product(precision, gradient(2, 0, keys), p.t(), dy_tile, pairs, store);
            }
        });
    });
}
