//! Small f32 products inside one thread, as attention has them by the thousand: no packing, no allocation.
//!
//! The right operand's rows are contiguous and are read a register's width at a time; elements of the left one are
//! broadcast. Each element of the result sums over k in order, so how a product is cut changes no bit.
#![allow(unsafe_code)]

use super::blocks::Out;
use super::matmul::{Store, View};
use super::simd::{LANES, vectorised};

/// Rows of a block that stays in registers, two registers wide.
const ROWS: usize = 8;
const COLUMNS: usize = 2 * LANES;

/// `c = a b (+ c)`, by the calling thread // (m, n) = (m, k) (k, n)
///
/// # Panics
/// If the shapes don't fit, or neighbours in a row of `b` aren't adjacent.
pub fn product(mut c: Out<'_>, a: View<'_>, b: View<'_>, store: Store) {
    let ((m, k), (depth, n)) = (a.shape(), b.shape());
    let (rows, cols, stride) = c.shape();
    assert_eq!((m, n, k), (rows, cols, depth), "shapes of a product");
    let (b, b_row, is_rows) = b.layout();
    assert!(is_rows, "the right operand of a small product must have contiguous rows");
    let (a, a_other, is_rows) = a.layout();
    let (a_row, a_col) = if is_rows { (a_other, 1) } else { (1, a_other) };
    let rows = Rows { data: c.data(), stride, n, is_added: store == Store::Add };
    let factors = Factors { a, a_row, a_col, b, b_row, k };
    let whole = m / ROWS * ROWS;
    for i in (0..whole).step_by(ROWS) {
        eight_rows(rows.from(i), factors.from(i));
    }
    for i in whole..m {
        one_row(rows.from(i), factors.from(i));
    }
}

/// What is multiplied: element (i, l) of `a` at `i * a_row + l * a_col`, row l of `b` at `l * b_row`.
#[derive(Clone, Copy)]
struct Factors<'a> {
    a: &'a [f32],
    a_row: usize,
    a_col: usize,
    b: &'a [f32],
    b_row: usize,
    /// What is summed over.
    k: usize,
}

impl Factors<'_> {
    /// With `a` from row `i` on.
    fn from(self, i: usize) -> Self {
        Self { a: &self.a[i * self.a_row..], ..self }
    }

    /// Sums the first `R` rows by `N` columns of the product from column `j` on.
    #[inline(always)]
    fn sums<const R: usize, const N: usize>(&self, j: usize) -> [[f32; N]; R] {
        let Self { a, a_row, a_col, b, b_row, k } = *self;
        let mut acc = [[0.0f32; N]; R];
        assert!((R - 1) * a_row + (k - 1) * a_col < a.len() && (k - 1) * b_row + j + N <= b.len());
        for l in 0..k {
            // SAFETY: l < k and r < R, so by the assertion above these lie inside `a` and `b`.
            let (a, b) = unsafe { (a.as_ptr().add(l * a_col), &*b.as_ptr().add(l * b_row + j).cast::<[f32; N]>()) };
            for (r, acc) in acc.iter_mut().enumerate() {
                // SAFETY: as above.
                let a = unsafe { *a.add(r * a_row) };
                for (acc, b) in acc.iter_mut().zip(b) {
                    *acc = a.mul_add(*b, *acc);
                }
            }
        }
        acc
    }
}

/// Rows of an exclusively borrowed result. (Not slices: what lies between two rows may be another thread's.)
#[derive(Clone, Copy)]
struct Rows {
    data: *mut f32,
    stride: usize,
    n: usize,
    is_added: bool,
}

impl Rows {
    /// What begins at row `i`, which must be one of the result's.
    fn from(self, i: usize) -> Self {
        Self { data: self.data.wrapping_add(i * self.stride), ..self }
    }

    /// Puts `N` elements of row `r` from column `j` on.
    #[inline(always)]
    fn put<const N: usize>(&self, r: usize, j: usize, values: [f32; N]) {
        debug_assert!(j + N <= self.n);
        // SAFETY: callers pass rows and columns of the result, which is borrowed exclusively while `product` runs.
        let row = unsafe { &mut *self.data.add(r * self.stride + j).cast::<[f32; N]>() };
        for (c, value) in row.iter_mut().zip(values) {
            *c = if self.is_added { *c + value } else { value };
        }
    }
}

/// `R` rows of the result, by ever narrower strips of columns.
#[inline(always)]
fn by_strips<const R: usize>(c: Rows, f: Factors<'_>) {
    let j = strips::<R, COLUMNS>(c, f, 0);
    let j = strips::<R, LANES>(c, f, j);
    let j = strips::<R, { LANES / 4 }>(c, f, j);
    strips::<R, 1>(c, f, j);
}

/// All strips of `N` columns from `j` on; returns where they end.
#[inline(always)]
fn strips<const R: usize, const N: usize>(c: Rows, f: Factors<'_>, mut j: usize) -> usize {
    while j + N <= c.n {
        for (r, row) in f.sums::<R, N>(j).into_iter().enumerate() {
            c.put(r, j, row);
        }
        j += N;
    }
    j
}

vectorised! {
    fn eight_rows(c: Rows, f: Factors<'_>) {
        by_strips::<ROWS>(c, f);
    }
}

vectorised! {
    fn one_row(c: Rows, f: Factors<'_>) {
        by_strips::<1>(c, f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_any_shape_are_right() {
        let number = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 16.0;
        for (m, n, k) in [(8, 32, 4), (1, 1, 1), (19, 70, 13), (64, 64, 128), (9, 31, 3)] {
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let at: Vec<f32> = (0..m * k).map(|x| a[x % m * k + x / m]).collect();
            let b: Vec<f32> = (0..k * n).map(|i| number(i + 7)).collect();
            for view in [View::new(&a, m, k), View::new(&at, k, m).t()] {
                let stride = n + 2;
                let mut c = vec![0.25; m * stride];
                product(Out::new(&mut c, m, n, stride), view, View::new(&b, k, n), Store::Add);
                for (x, &value) in c.iter().enumerate() {
                    let (i, j) = (x / stride, x % stride);
                    let sum = |j: usize| (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum::<f64>();
                    let right = 0.25 + if j < n { sum(j) } else { 0.0 };
                    assert!((f64::from(value) - right).abs() < 1e-3, "({m}, {n}, {k}) at {i}, {j}: {value} {right}");
                }
            }
        }
    }
}
