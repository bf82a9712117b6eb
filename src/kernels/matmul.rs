//! Matrix products through the `gemm` crate: the one place where kernels are unsafe.
#![allow(unsafe_code)]

use gemm::Parallelism;

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

/// How many threads work on one product. The result is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The calling one.
    One,
    /// The current rayon pool's.
    Pool,
}

/// `c = scale * a b (+ c)` // (m, n) = (m, k) (k, n); c's rows stand `row_stride` apart.
///
/// # Panics
/// If the shapes don't fit or `c` is too short.
pub fn matmul_strided(
    c: &mut [f32],
    row_stride: usize,
    a: View<'_>,
    b: View<'_>,
    scale: f32,
    store: Store,
    threads: Threads,
) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner dimensions of a product");
    assert!(row_stride >= n && extent(m, n, row_stride, 1) <= c.len(), "a ({m}, {n}) product exceeds its slice");
    if m == 0 || n == 0 {
        return;
    }
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::Pool => Parallelism::Rayon(0),
    };
    // SAFETY: `View` guarantees that every element (i, j) of `a` and `b` lies inside its slice, the assertion above the
    // same for `c`; `c` is borrowed exclusively, so it overlaps neither; its elements are distinct since
    // `row_stride >= n`. All strides fit `isize`, as slices do.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
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
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `c = a b (+ c)` with contiguous rows, in the current pool.
///
/// # Panics
/// As [`matmul_strided`].
pub fn matmul(c: &mut [f32], a: View<'_>, b: View<'_>, store: Store) {
    matmul_strided(c, b.cols, a, b, 1.0, store, Threads::Pool);
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
            matmul(&mut c, view, View::new(&b, k, n), Store::Add);
            for (x, value) in c.iter().enumerate() {
                assert!((f64::from(*value) - 1.0 - expected(x / n, x % n)).abs() < 1e-5);
            }
        }
        // Into every second block of a wider destination, leaving the rest alone.
        let mut wide = vec![-1.0; m * 2 * n];
        matmul_strided(&mut wide, 2 * n, View::new(&a, m, k), View::new(&b, k, n), 0.5, Store::Set, Threads::One);
        for (x, value) in wide.iter().enumerate() {
            let (i, j) = (x / (2 * n), x % (2 * n));
            let right = if j < n { 0.5 * expected(i, j) } else { -1.0 };
            assert!((f64::from(*value) - right).abs() < 1e-5);
        }
    }

    #[test]
    #[should_panic(expected = "exceeds")]
    fn a_view_too_large_for_its_slice_is_refused() {
        View::new(&[0.0; 5], 2, 3);
    }
}
