//! The linear layer `y = x W + b` and its backward pass, in either precision, one block of rows at a time.
//!
//! In f32 the products read rows and weights as they stand, but for copies of weights that are wanted transposed. In bf16
//! they read packed copies: of the weight, packed once per pass over a layer ([`Ready`]); of the rows, packed block by
//! block into the thread's scratch; and, for the weight's gradient, of both its factors, kept until all rows are done
//! ([`keep_left`], [`keep_right`]).

pub use crate::config::Precision;

use super::bf16::{self, Layout, Operand, Side};
use super::blocks::{Out, at_least};
use super::matmul::{Store, View, matmul};
use super::simd::vectorised;
use super::{small, transpose};

/// Pairs of bf16 that an operand takes in a precision; 0 in f32, where nothing is packed.
pub fn packed_len(precision: Precision, outer: usize, depth: usize) -> usize {
    if precision == Precision::Bf16 { bf16::packed_len(outer, depth) } else { 0 }
}

/// A copy of a matrix in the form that products with it are quickest in.
#[derive(Default)]
pub struct Copy {
    /// bf16: packed.
    packed: Vec<u32>,
    /// f32: transposed.
    rows: Vec<f32>,
}

/// A matrix that rows are multiplied with.
#[derive(Clone, Copy)]
pub enum Ready<'a> {
    /// As it stands, or a transposed copy.
    F32(View<'a>),
    /// Packed.
    Bf16(Operand<'a>, usize),
}

impl<'a> Ready<'a> {
    /// The (k, n) matrix.
    pub fn new(precision: Precision, copy: &'a mut Copy, weight: &'a [f32], k: usize, n: usize) -> Self {
        match precision {
            Precision::F32 => Self::F32(View::new(weight, k, n)),
            Precision::Bf16 => Self::pack(copy, weight, Layout::Columns, n, k, n),
        }
    }

    /// The transpose of a (k, n) matrix, for products with rows of n.
    pub fn transposed(precision: Precision, copy: &'a mut Copy, weight: &'a [f32], k: usize, n: usize) -> Self {
        match precision {
            Precision::F32 => {
                let rows = at_least(&mut copy.rows, k * n);
                transpose::matrix(rows, weight, n);
                Self::F32(View::new(rows, n, k))
            }
            Precision::Bf16 => Self::pack(copy, weight, Layout::Rows, n, n, k),
        }
    }

    fn pack(copy: &'a mut Copy, data: &[f32], layout: Layout, stride: usize, depth: usize, outer: usize) -> Self {
        let packed = at_least(&mut copy.packed, bf16::packed_len(outer, depth));
        bf16::pack(packed, Side::Right, layout, data, stride, outer, depth, depth);
        Self::Bf16(Operand::new(packed, outer, depth, 1), depth)
    }

    /// `y = x W (+ y)`, by the calling thread // y (m, n), x (m, k)
    pub fn multiply(&self, y: &mut [f32], x: &[f32], scratch: &mut Vec<u32>, store: Store) {
        match *self {
            Self::F32(weight) => {
                let (k, n) = weight.shape();
                let m = x.len() / k;
                matmul(Out::new(y, m, n, n), View::new(x, m, k), weight, store);
            }
            Self::Bf16(weight, k) => {
                let m = x.len() / k;
                let n = y.len() / m;
                let packed = at_least(scratch, bf16::packed_len(m, k));
                bf16::pack(packed, Side::Left, Layout::Rows, x, k, m, k, k);
                bf16::product(Out::new(y, m, n, n), Operand::new(packed, m, k, 1).whole(), weight.whole(), store);
            }
        }
    }
}

/// `c = a b (+ c)` of two small matrices, by the calling thread; in f32, rows of `b` must be contiguous // (m, n) = (m, k)
/// (k, n)
pub fn product(precision: Precision, c: Out<'_>, a: View<'_>, b: View<'_>, scratch: &mut Vec<u32>, store: Store) {
    if precision == Precision::F32 {
        return small::product(c, a, b, store);
    }
    let ((m, k), (_, n)) = (a.shape(), b.shape());
    let (left, right) = (bf16::packed_len(m, k), bf16::packed_len(n, k));
    let (left, right) = at_least(scratch, left + right).split_at_mut(left);
    let (data, stride, is_rows) = a.layout();
    bf16::pack(left, Side::Left, if is_rows { Layout::Rows } else { Layout::Columns }, data, stride, m, k, k);
    let (data, stride, is_rows) = b.layout();
    bf16::pack(right, Side::Right, if is_rows { Layout::Columns } else { Layout::Rows }, data, stride, n, k, k);
    bf16::product(c, Operand::new(left, m, k, 1).whole(), Operand::new(right, n, k, 1).whole(), store);
}

/// `y = x W + b`, plus `residual` unless it is empty, by the calling thread // y (m, n), x (m, k), b (n), residual (m, n)
pub fn forward(y: &mut [f32], x: &[f32], weight: Ready<'_>, bias: &[f32], residual: &[f32], scratch: &mut Vec<u32>) {
    // The product is added onto bias and residual: one pass less over y.
    if residual.is_empty() {
        y.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
    } else {
        bias_and_residual(y, bias, residual);
    }
    weight.multiply(y, x, scratch, Store::Add);
}

vectorised! {
    fn bias_and_residual(y: &mut [f32], bias: &[f32], residual: &[f32]) {
        let n = bias.len();
        for (y, residual) in y.chunks_exact_mut(n).zip(residual.chunks_exact(n)) {
            for ((y, b), r) in y.iter_mut().zip(bias).zip(residual) {
                *y = b + r;
            }
        }
    }
}

vectorised! {
    /// `sums[j] += sum over rows i of y[i, j]`, rows in order // sums (n), y (m, n)
    pub fn add_column_sums(sums: &mut [f32], y: &[f32]) {
        for row in y.chunks_exact(sums.len()) {
            for (sum, y) in sums.iter_mut().zip(row) {
                *sum += y;
            }
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
pub fn keep_left(kept: &mut [u32], rows: &[f32], width: usize, block: usize) {
    keep(kept, Side::Left, rows, width, block);
}

/// As [`keep_left`], of the right factor.
pub fn keep_right(kept: &mut [u32], rows: &[f32], width: usize, block: usize) {
    keep(kept, Side::Right, rows, width, block);
}

fn keep(kept: &mut [u32], side: Side, rows: &[f32], width: usize, block: usize) {
    if !kept.is_empty() {
        bf16::pack(kept, side, Layout::Columns, rows, width, width, rows.len() / width, block);
    }
}

/// One factor of a weight's gradient: all rows as they stand, or packed block by block.
#[derive(Clone, Copy)]
pub struct Factor<'a> {
    /// Used in f32 // (M, width)
    pub rows: &'a [f32],
    /// Used in bf16, as [`keep_left`] or [`keep_right`] filled it.
    pub packed: &'a [u32],
    /// Columns of the rows.
    pub width: usize,
}

/// Rows and columns of a weight's gradient that one thread computes at a time.
const TILE: [usize; 2] = [256, 512];

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
        Self { dw: Out::new(dw, left.width, right.width, right.width), left, right, store }
    }

    /// In how many tiles it is computed.
    fn tiles(&self) -> [usize; 2] {
        [self.left.width.div_ceil(TILE[0]), self.right.width.div_ceil(TILE[1])]
    }

    /// Computes tile `index` of M rows' gradient.
    #[allow(unsafe_code)]
    fn tile(&self, precision: Precision, rows: usize, block: usize, index: usize) {
        let [_, across] = self.tiles();
        let range = |i: usize, size: usize, width: usize| i * size..((i + 1) * size).min(width);
        let (k, n) =
            (range(index / across, TILE[0], self.left.width), range(index % across, TILE[1], self.right.width));
        // SAFETY: tiles of different index don't overlap, and each is computed once.
        let out = unsafe { self.dw.part(k.clone(), n.clone()) };
        match precision {
            Precision::F32 => {
                let left = View::strided(&self.left.rows[k.start..], rows, k.len(), self.left.width);
                let right = View::strided(&self.right.rows[n.start..], rows, n.len(), self.right.width);
                matmul(out, left.t(), right, self.store);
            }
            Precision::Bf16 => {
                let segments = rows.div_ceil(block);
                let left = Operand::new(self.left.packed, self.left.width, block, segments).part(k.start, k.len());
                let right = Operand::new(self.right.packed, self.right.width, block, segments).part(n.start, n.len());
                bf16::product(out, left, right, self.store);
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
