//! Token and position embedding, forward and backward; and the gathering of rows.

use rayon::prelude::*;

use super::panels::{Blocked, Store};
use super::simd::{LANES, vectorised};

/// Rows of the token table whose gradients one thread sums at a time.
const TOKENS: usize = 256;

vectorised! {
    /// `x[i] = tokens[ids[i]] + positions[(first + i) mod T]` of a block of rows // x (m, C) panels, tokens (V, C), positions
    /// (T, C)
    pub fn forward(
        x: &mut [f32],
        ids: &[u32],
        tokens: &[f32],
        positions: &[f32],
        first: usize,
        context: usize,
        width: usize,
    ) {
        for (i, &id) in ids.iter().enumerate() {
            let token = tokens[id as usize * width..][..width].chunks(LANES);
            let position = positions[(first + i) % context * width..][..width].chunks(LANES);
            for (t, (token, position)) in token.zip(position).enumerate() {
                let x = &mut x[(t * ids.len() + i) * LANES..][..token.len()];
                for ((x, t), p) in x.iter_mut().zip(token).zip(position) {
                    *x = t + p;
                }
            }
        }
    }
}

vectorised! {
    /// `sum += x[row]` // sum (C), x (M, C)
    fn add_row(sum: &mut [f32], x: &[f32], shape: Blocked, row: usize) {
        let (first, step) = shape.row(row);
        for (t, sum) in sum.chunks_mut(LANES).enumerate() {
            sum.iter_mut().zip(&x[first + t * step..]).for_each(|(sum, x)| *sum += x);
        }
    }
}

/// Adds each row's gradient to its token's (in order, so that equal ids always add up alike), and sums rows of equal
/// position // dx (B*T, C), dtokens (V, C), dpositions (T, C)
pub fn backward(
    dtokens: &mut [f32],
    dpositions: &mut [f32],
    dx: &[f32],
    shape: Blocked,
    ids: &[u32],
    context: usize,
    positions: Store,
) {
    let width = shape.width;
    dtokens.par_chunks_mut(TOKENS * width).enumerate().for_each(|(block, dtokens)| {
        let first = block * TOKENS;
        for (row, &id) in ids.iter().enumerate() {
            if let Some(d) = (id as usize).checked_sub(first).and_then(|at| dtokens.chunks_exact_mut(width).nth(at)) {
                add_row(d, dx, shape, row);
            }
        }
    });
    if positions == Store::Set {
        dpositions.fill(0.0);
    }
    dpositions[..context * width].par_chunks_mut(width).enumerate().for_each(|(t, d)| {
        for row in (t..shape.rows).step_by(context) {
            add_row(d, dx, shape, row);
        }
    });
}

/// Copies row `from` of `x` to row `to` of `y`.
#[inline(always)]
fn copy_row(y: &mut [f32], y_shape: Blocked, to: usize, x: &[f32], x_shape: Blocked, from: usize) {
    let ((y_first, y_step), (x_first, x_step)) = (y_shape.row(to), x_shape.row(from));
    for t in 0..x_shape.width.div_ceil(LANES) {
        y[y_first + t * y_step..][..LANES].copy_from_slice(&x[x_first + t * x_step..][..LANES]);
    }
}

vectorised! {
    /// `y[i] = x[rows[i]]` // y (P, C), x (M, C)
    pub fn gather(y: &mut [f32], y_shape: Blocked, x: &[f32], x_shape: Blocked, rows: &[usize]) {
        for (i, &row) in rows.iter().enumerate() {
            copy_row(y, y_shape, i, x, x_shape, row);
        }
    }
}

vectorised! {
    /// `dx[rows[i]] = dy[i]`, zero elsewhere; rows are distinct // dx (M, C), dy (P, C)
    pub fn scatter(dx: &mut [f32], dx_shape: Blocked, dy: &[f32], dy_shape: Blocked, rows: &[usize]) {
        dx.fill(0.0);
        for (i, &row) in rows.iter().enumerate() {
            copy_row(dx, dx_shape, row, dy, dy_shape, i);
        }
    }
}
