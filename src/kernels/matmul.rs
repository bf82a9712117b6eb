//! Matrix products through the `gemm` crate: the one place where kernels are unsafe.
#![allow(unsafe_code)]

use gemm::Parallelism;

use super::blocks::Out;

/// A matrix as a view into a slice: element (i, j) stands at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// The index behind the last element of a view; 0 if it has none.
fn extent(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 }
}

impl<'a> View<'a> {
    /// Rows of `cols` elements, one every `row_stride`.
    ///
    /// # Panics
    /// If the slice is too short for it.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(extent(rows, cols, row_stride, 1) <= data.len(), "a ({rows}, {cols}) view exceeds its slice");
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// Contiguous rows.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// (rows, columns).
    pub fn shape(self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The slice, the distance between neighbours that aren't adjacent, and whether those of one row are adjacent.
    pub(super) fn layout(self) -> (&'a [f32], usize, bool) {
        if self.col_stride == 1 { (self.data, self.row_stride, true) } else { (self.data, self.col_stride, false) }
    }

    /// The transposed matrix, without moving anything.
    pub fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// What becomes of the destination's old values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// They are overwritten.
    Set,
    /// The product is added to them.
    Add,
}

/// `c = a b (+ c)`, by the calling thread // (m, n) = (m, k) (k, n)
///
/// # Panics
/// If the shapes don't fit.
pub fn matmul(mut c: Out<'_>, a: View<'_>, b: View<'_>, store: Store) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner dimensions of a product");
    let (rows, cols, row_stride) = c.shape();
    assert_eq!((m, n), (rows, cols), "shape of a product");
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: `View` guarantees that every element (i, j) of `a` and `b` lies inside its slice, `Out` the same for `c`, which
    // is borrowed exclusively, so it overlaps neither; its elements are distinct. All strides fit `isize`, as slices do.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.data(),
            1,
            row_stride as isize,
            store == Store::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = crate::rng::keyed(seed, crate::rng::Purpose::InitialWeights, 0, 0);
        (0..n).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn products_of_any_layout_are_right() {
        let (m, n, k) = (7, 5, 9);
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let expected =
            |i: usize, j: usize| (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum::<f64>();
        let at: Vec<f32> = (0..k * m).map(|x| a[(x % m) * k + x / m]).collect();
        for view in [View::new(&a, m, k), View::new(&at, k, m).t()] {
            let mut c = vec![1.0; m * n];
            matmul(Out::new(&mut c, m, n, n), view, View::new(&b, k, n), Store::Add);
            for (x, value) in c.iter().enumerate() {
                assert!((f64::from(*value) - 1.0 - expected(x / n, x % n)).abs() < 1e-5);
            }
        }
        // Into every second block of a wider destination, leaving the rest alone.
        let mut wide = vec![-1.0; m * 2 * n];
        let out = Out::new(&mut wide, m, n, 2 * n);
        matmul(out, View::new(&a, m, k), View::new(&b, k, n), Store::Set);
        for (x, value) in wide.iter().enumerate() {
            let (i, j) = (x / (2 * n), x % (2 * n));
            let right = if j < n { expected(i, j) } else { -1.0 };
            assert!((f64::from(*value) - right).abs() < 1e-5);
        }
    }

    #[test]
    #[should_panic(expected = "exceeds")]
    fn a_view_too_large_for_its_slice_is_refused() {
        View::new(&[0.0; 5], 2, 3);
    }
}
