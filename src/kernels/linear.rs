//! The linear layer `y = x W + b` and its backward pass, in either precision, one block of rows at a time.
//!
//! Rows are panels in both precisions. In f32 the products read them as they stand, and weights as a copy in panels, made
//! once per pass over a layer ([`Ready`]). In bf16 they read packed copies: of the weight; of the rows, packed block by
//! block into the thread's scratch; and, for the weight's gradient, of both its factors, kept until all rows are done
//! ([`keep_left`], [`keep_right`]).

pub use crate::config::Precision;

use super::bf16::{self, Operand, Side, Source};
use super::buffer::Buffer;
use super::fp32::{self, Ahead};
use super::panels::{self, Depth, Onto, Out, Panels, Store, padded};
use super::simd::{LANES, vectorised};

/// Pairs of bf16 that an operand takes in a precision; 0 in f32, where nothing is packed.
pub fn packed_len(precision: Precision, outer: usize, depth: usize) -> usize {
    if precision == Precision::Bf16 { bf16::packed_len(outer, depth) } else { 0 }
}

/// A copy of a matrix in the form that products with it are quickest in.
#[derive(Default)]
pub struct Copy {
    /// bf16: packed.
    packed: Buffer<u32>,
    /// f32: panels.
    panels: Buffer<f32>,
}

/// A matrix that rows are multiplied with.
#[derive(Clone, Copy)]
pub enum Ready<'a> {
    /// Panels.
    F32(Panels<'a>),
    /// Packed.
    Bf16(Operand<'a>, usize),
}

impl<'a> Ready<'a> {
    /// The (k, n) matrix.
    pub fn new(precision: Precision, copy: &'a mut Copy, weight: &'a [f32], k: usize, n: usize) -> Self {
        match precision {
            Precision::F32 => {
                let y = copy.panels.fit(k * padded(n));
                panels::from_rows(y, weight, n);
                Self::F32(Panels::new(y, k, n))
            }
            Precision::Bf16 => Self::pack(copy, Depth::Rows, Source::rows(weight, k, n, n), k, n),
        }
    }

    /// The transpose of a (k, n) matrix, for products with rows of n.
    pub fn transposed(precision: Precision, copy: &'a mut Copy, weight: &'a [f32], k: usize, n: usize) -> Self {
        match precision {
            Precision::F32 => {
                let y = copy.panels.fit(n * padded(k));
                panels::from_transposed_rows(y, weight, n);
                Self::F32(Panels::new(y, n, k))
            }
            Precision::Bf16 => Self::pack(copy, Depth::Columns, Source::rows(weight, k, n, n), n, k),
        }
    }

    fn pack(copy: &'a mut Copy, along: Depth, source: Source<'_>, depth: usize, outer: usize) -> Self {
        let packed = copy.packed.fit(bf16::packed_len(outer, depth));
        bf16::pack(packed, Side::Right, along, source, depth);
        Self::Bf16(Operand::new(packed, outer, depth, 1), depth)
    }

    /// `y = x W + onto`, by the calling thread // y (m, n), x (m, k)
    pub fn multiply<'b>(&self, y: &mut [f32], x: Panels<'_>, scratch: &mut Buffer<u32>, onto: impl Into<Onto<'b>>) {
        self.multiply_then(y, x, scratch, onto, |_, _| {});
    }

    /// As [`Self::multiply`]; calls `after` with the first column and the panels of each few panels that are done, while
    /// they are in cache.
    pub fn multiply_then<'b>(
        &self,
        y: &mut [f32],
        x: Panels<'_>,
        scratch: &mut Buffer<u32>,
        onto: impl Into<Onto<'b>>,
        after: impl FnMut(usize, &mut [f32]),
    ) {
        let (m, k) = x.shape();
        match *self {
            Self::F32(weight) => fp32::product_then(y, x, weight, onto, after),
            Self::Bf16(weight, depth) => {
                assert_eq!(k, depth, "inner dimensions of a product");
                let packed = scratch.fit(bf16::packed_len(m, k));
                bf16::pack(packed, Side::Left, Depth::Columns, x, k);
                bf16::product_then(y, Operand::new(packed, m, k, 1).whole(), weight.whole(), onto, after);
            }
        }
    }
}

/// `c = a b (+ c)` of two small matrices, or, contracting over the rows of `a`, `c = a^T b (+ c)`; by the calling thread
/// // c (m, n), a (m, k) or (k, m), b (k, n)
pub fn product(
    precision: Precision,
    c: Out<'_>,
    (a, depth): (Panels<'_>, Depth),
    b: Panels<'_>,
    scratch: &mut Buffer<u32>,
    store: Store,
) {
    if precision == Precision::F32 {
        return match depth {
            Depth::Columns => fp32::product(c, a, b, store),
            Depth::Rows => fp32::product_of_transposed(c, a, b, store, Ahead::default()),
        };
    }
    let ((m, n), (k, _)) = (c.shape(), b.shape());
    let (left, right) = (bf16::packed_len(m, k), bf16::packed_len(n, k));
    let (left, right) = scratch.fit(left + right).split_at_mut(left);
    bf16::pack(left, Side::Left, depth, a, k);
    bf16::pack(right, Side::Right, Depth::Rows, b, k);
    bf16::product(c, Operand::new(left, m, k, 1).whole(), Operand::new(right, n, k, 1).whole(), store);
}

/// `y = x W + b`, plus `residual` unless it is empty, by the calling thread // y (m, n), x (m, k), b (n), residual (m, n)
pub fn forward(
    y: &mut [f32],
    x: Panels<'_>,
    weight: Ready<'_>,
    bias: &[f32],
    residual: &[f32],
    scratch: &mut Buffer<u32>,
) {
    weight.multiply(y, x, scratch, Onto { store: Store::Set, bias, residual });
}

vectorised! {
    /// `sums[j] += sum over rows i of y[i, j]`, rows in order // sums (n), y (m, n)
    pub fn add_column_sums<V>(sums: &mut [f32], y: Panels<'_>) {
        for (t, sums) in sums.chunks_mut(LANES).enumerate() {
            let lanes = y.panel(t).iter().fold(V::splat(0.0), |lanes, row| lanes.add(V::load(row)));
            sums.iter_mut().zip(lanes.array()).for_each(|(sum, lane)| *sum += lane);
        }
    }
}

vectorised! {
    /// `y = a + b`, element by element.
    pub fn add(y: &mut [f32], a: &[f32], b: &[f32]) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a + b;
        }
    }
}

/// Keeps a block of rows as a part of the left factor of a weight's gradient, `left^T right`: rows become depth, padded to
/// `block` of them. Does nothing if nothing is to be kept (an empty `kept`). // rows (up to block, width)
pub fn keep_left(kept: &mut [u32], rows: Panels<'_>, block: usize) {
    keep(kept, Side::Left, rows, block);
}

/// As [`keep_left`], of the right factor.
pub fn keep_right(kept: &mut [u32], rows: Panels<'_>, block: usize) {
    keep(kept, Side::Right, rows, block);
}

fn keep(kept: &mut [u32], side: Side, rows: Panels<'_>, block: usize) {
    if !kept.is_empty() {
        bf16::pack(kept, side, Depth::Rows, rows, block);
    }
}

/// One factor of a weight's gradient: all rows in blocks of panels, or packed block by block.
#[derive(Clone, Copy)]
pub struct Factor<'a> {
    /// Used in f32 // (M, width)
    pub rows: &'a [f32],
    /// Used in bf16, as [`keep_left`] or [`keep_right`] filled it.
    pub packed: &'a [u32],
    /// Columns of the rows.
    pub width: usize,
}

impl<'a> Factor<'a> {
    /// The block of rows that begins at row `first`, in f32.
    fn block(&self, rows: usize, block: usize, first: usize) -> Panels<'a> {
        let rows = (rows - first).min(block);
        Panels::new(&self.rows[first * padded(self.width)..], rows, self.width)
    }
}

/// Rows and columns of a weight's gradient that one thread computes at a time.
const TILE: usize = 256;

/// `dw = left^T right (+ dw)` // dw (k, n), left (M, k), right (M, n)
pub struct WeightGradient<'a> {
    dw: Out<'a>,
    left: Factor<'a>,
    right: Factor<'a>,
    store: Store,
}

impl<'a> WeightGradient<'a> {
    /// The gradient that is to be stored in or added to `dw`.
    pub fn new(dw: &'a mut [f32], left: Factor<'a>, right: Factor<'a>, store: Store) -> Self {
        Self { dw: Out::rows(dw, left.width, right.width, right.width), left, right, store }
    }

    /// In how many tiles it is computed, down and across.
    fn tiles(&self) -> [usize; 2] {
        [&self.left, &self.right].map(|factor| factor.width.div_ceil(TILE))
    }

    /// Computes tile `index` of M rows' gradient.
    #[allow(unsafe_code)]
    fn tile(&self, precision: Precision, rows: usize, block: usize, index: usize) {
        let [_, across] = self.tiles();
        let range = |i: usize, width: usize| i * TILE..((i + 1) * TILE).min(width);
        let (k, n) = (range(index / across, self.left.width), range(index % across, self.right.width));
        // SAFETY: tiles of different index don't overlap, and each is computed once.
        let part = || unsafe { self.dw.part(k.clone(), n.clone()) };
        match precision {
            Precision::F32 => {
                for first in (0..rows).step_by(block) {
                    let both = |first| {
                        let left = self.left.block(rows, block, first).columns(k.clone());
                        (left, self.right.block(rows, block, first).columns(n.clone()))
                    };
                    let (left, right) = both(first);
                    let ahead = if first + block < rows {
                        let (left, right) = both(first + block);
                        Ahead([left.all(), right.all()])
                    } else {
                        Ahead::default()
                    };
                    let store = if first == 0 { self.store } else { Store::Add };
                    fp32::product_of_transposed(part(), left, right, store, ahead);
                }
            }
            Precision::Bf16 => {
                let segments = rows.div_ceil(block);
                let left = Operand::new(self.left.packed, self.left.width, block, segments).part(k.start, k.len());
                let right = Operand::new(self.right.packed, self.right.width, block, segments).part(n.start, n.len());
                bf16::product(part(), left, right, self.store);
            }
        }
    }
}

/// Computes gradients of weights from `rows` rows (packed in blocks of `block`), tile by tile in the current pool.
pub fn weight_gradients<const N: usize>(
    precision: Precision,
    rows: usize,
    block: usize,
    gradients: [WeightGradient<'_>; N],
) {
    use rayon::prelude::*;

    let counts: [usize; N] = std::array::from_fn(|i| gradients[i].tiles().iter().product());
    (0..counts.iter().sum()).into_par_iter().with_max_len(1).for_each(|mut index: usize| {
        for (gradient, count) in gradients.iter().zip(counts) {
            if index < count {
                return gradient.tile(precision, rows, block, index);
            }
            index -= count;
        }
    });
}
