//! The linear layer `y = x W + b (+ residual)` and its backward pass.

use rayon::prelude::*;

use super::matmul::{Store, View, matmul};
use super::{COLUMNS, ROWS};

/// `y = x W + b`, plus `residual` where given // y (m, n), x (m, k), W (k, n), b (n), residual (m, n)
pub fn forward(y: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], residual: Option<&[f32]>) {
    let n = bias.len();
    let (m, k) = (y.len() / n, weight.len() / n);
    // The product is added onto bias and residual: one pass less over y.
    y.par_chunks_mut(ROWS * n).enumerate().for_each(|(block, rows)| {
        for (i, row) in rows.chunks_exact_mut(n).enumerate() {
            match residual {
                Some(residual) => {
                    let at = (block * ROWS + i) * n;
                    for ((y, b), r) in row.iter_mut().zip(bias).zip(&residual[at..at + n]) {
                        *y = b + r;
                    }
                }
                None => row.copy_from_slice(bias),
            }
        }
    });
    matmul(y, View::new(x, m, k), View::new(weight, k, n), Store::Add);
}

/// `dx = dy W^T` // dx (m, k), dy (m, n), W (k, n)
pub fn backward_input(dx: &mut [f32], dy: &[f32], weight: &[f32], n: usize) {
    let (m, k) = (dy.len() / n, weight.len() / n);
    matmul(dx, View::new(dy, m, n), View::new(weight, k, n).t(), Store::Set);
}

/// `dW = x^T dy`, `db = column sums of dy` // dW (k, n), db (n), x (m, k), dy (m, n)
pub fn backward_weight(dweight: &mut [f32], dbias: &mut [f32], x: &[f32], dy: &[f32], store: Store) {
    let n = dbias.len();
    let (m, k) = (dy.len() / n, dweight.len() / n);
    matmul(dweight, View::new(x, m, k).t(), View::new(dy, m, n), store);
    column_sums(dbias, dy, store, |_, value, _| value);
}

/// `sums[j] = sum over rows i of f(i, y[i, j], j)`. Each block of columns is summed over all rows in order, so the result
/// does not depend on how blocks are shared out.
pub fn column_sums(sums: &mut [f32], y: &[f32], store: Store, f: impl Fn(usize, f32, usize) -> f32 + Sync) {
    let n = sums.len();
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, sums)| {
        let first = block * COLUMNS;
        let mut acc = [0.0f32; COLUMNS];
        for (i, row) in y.chunks_exact(n).enumerate() {
            for (j, value) in row[first..first + sums.len()].iter().enumerate() {
                acc[j] += f(i, *value, first + j);
            }
        }
        for (sum, acc) in sums.iter_mut().zip(acc) {
            *sum = if store == Store::Add { *sum + acc } else { acc };
        }
    });
}
