//! Multi-head attention, forward and backward, each sequence by itself.
//!
//! Scores of one head exist only while that head is at work (a T x T tile per thread); the backward pass computes them
//! again from the kept log-sum-exp of each row.

use rayon::prelude::*;

use super::math::exp;
use super::matmul::{Store, Threads, View, matmul_strided};

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
}

impl Shape {
    fn head_width(self) -> usize {
        self.width / self.heads
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_width() as f32).sqrt()
    }

    /// How many positions row `i` sees.
    fn seen(self, i: usize) -> usize {
        if self.causal { i + 1 } else { self.context }
    }

    /// Query, key and value of one head as (T, head width) views into one sequence's rows of `q | k | v`.
    fn heads<'a>(self, qkv: &'a [f32], head: usize) -> [View<'a>; 3] {
        let (d, c) = (self.head_width(), self.width);
        [0, 1, 2].map(|part| View::strided(&qkv[part * c + head * d..], self.context, d, 3 * c))
    }
}

/// `y = softmax(q k^T / sqrt(d)) v` // y (B, T, C), lse (B, H, T), qkv (B, T, 3C)
pub fn forward(shape: Shape, y: &mut [f32], lse: &mut [f32], qkv: &[f32]) {
    let Shape { context: t, width: c, heads, .. } = shape;
    let d = shape.head_width();
    let sequences = y.par_chunks_mut(t * c).zip(lse.par_chunks_mut(heads * t)).zip(qkv.par_chunks(t * 3 * c));
    sequences.for_each_init(
        || vec![0.0f32; t * t],
        |scores, ((y, lse), qkv)| {
            for head in 0..heads {
                let [q, k, v] = shape.heads(qkv, head);
                matmul_strided(scores, t, q, k.t(), shape.scale(), Store::Set, Threads::One);
                for (i, row) in scores.chunks_exact_mut(t).enumerate() {
                    let (seen, hidden) = row.split_at_mut(shape.seen(i));
                    let highest = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let mut sum = 0.0;
                    for s in seen.iter_mut() {
                        *s = exp(*s - highest);
                        sum += *s;
                    }
                    let inverse = 1.0 / sum;
                    seen.iter_mut().for_each(|s| *s *= inverse);
                    hidden.fill(0.0);
                    lse[head * t + i] = highest + sum.ln();
                }
                matmul_strided(&mut y[head * d..], c, View::new(scores, t, t), v, 1.0, Store::Set, Threads::One);
            }
        },
    );
}

/// The gradient of `qkv` // dqkv (B, T, 3C), dy and y (B, T, C), lse (B, H, T)
pub fn backward(shape: Shape, dqkv: &mut [f32], dy: &[f32], y: &[f32], lse: &[f32], qkv: &[f32]) {
    let Shape { context: t, width: c, heads, .. } = shape;
    let d = shape.head_width();
    let outputs = dy.par_chunks(t * c).zip(y.par_chunks(t * c));
    let inputs = lse.par_chunks(heads * t).zip(qkv.par_chunks(t * 3 * c));
    let sequences = dqkv.par_chunks_mut(t * 3 * c).zip(outputs).zip(inputs);
    sequences.for_each_init(
        || (vec![0.0f32; t * t], vec![0.0f32; t * t]),
        |(p, ds), ((dqkv, (dy, y)), (lse, qkv))| {
            for head in 0..heads {
                let [q, k, v] = shape.heads(qkv, head);
                let dy_head = View::strided(&dy[head * d..], t, d, c);
                matmul_strided(p, t, q, k.t(), shape.scale(), Store::Set, Threads::One);
                matmul_strided(ds, t, dy_head, v.t(), 1.0, Store::Set, Threads::One);
                for i in 0..t {
                    let at = i * c + head * d;
                    let delta: f32 = dy[at..at + d].iter().zip(&y[at..at + d]).map(|(a, b)| a * b).sum();
                    let (row, drow) = (&mut p[i * t..(i + 1) * t], &mut ds[i * t..(i + 1) * t]);
                    let seen = shape.seen(i);
                    let lse = lse[head * t + i];
                    for (p, ds) in row[..seen].iter_mut().zip(&mut drow[..seen]) {
                        *p = exp(*p - lse);
                        *ds = *p * (*ds - delta);
                    }
                    row[seen..].fill(0.0);
                    drow[seen..].fill(0.0);
                }
                let (p, ds) = (View::new(p, t, t), View::new(ds, t, t));
                let scale = shape.scale();
                let mut gradient = |part: usize, a: View<'_>, b: View<'_>, scale: f32| {
                    let at = part * c + head * d;
                    matmul_strided(&mut dqkv[at..], 3 * c, a, b, scale, Store::Set, Threads::One);
                };
                gradient(0, ds, k, scale);
                gradient(1, ds.t(), q, scale);
                gradient(2, p.t(), dy_head, 1.0);
            }
        },
    );
}
