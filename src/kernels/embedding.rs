//! Token and position embedding, forward and backward; and the gathering of rows.

use rayon::prelude::*;

use super::matmul::Store;

/// Rows of the token table whose gradients one thread sums at a time.
const TOKENS: usize = 256;

/// `x[i] = tokens[ids[i]] + positions[(first + i) mod T]` of a block of rows // x (m, C), tokens (V, C), positions (T, C)
pub fn forward(
    x: &mut [f32],
    ids: &[u32],
    tokens: &[f32],
    positions: &[f32],
    first: usize,
    context: usize,
    width: usize,
) {
    for (i, (x, &id)) in x.chunks_exact_mut(width).zip(ids).enumerate() {
        let token = &tokens[id as usize * width..][..width];
        let position = &positions[(first + i) % context * width..][..width];
        for ((x, t), p) in x.iter_mut().zip(token).zip(position) {
            *x = t + p;
        }
    }
}

/// Adds each row's gradient to its token's (in order, so that equal ids always add up alike), and sums rows of equal
/// position // dx (B*T, C), dtokens (V, C), dpositions (T, C)
pub fn backward(
    dtokens: &mut [f32],
    dpositions: &mut [f32],
    dx: &[f32],
    ids: &[u32],
    context: usize,
    width: usize,
    positions: Store,
) {
    dtokens.par_chunks_mut(TOKENS * width).enumerate().for_each(|(block, dtokens)| {
        let first = block * TOKENS;
        for (dx, &id) in dx.chunks_exact(width).zip(ids) {
            if let Some(d) = (id as usize).checked_sub(first).and_then(|row| dtokens.chunks_exact_mut(width).nth(row)) {
                d.iter_mut().zip(dx).for_each(|(d, dx)| *d += dx);
            }
        }
    });
    if positions == Store::Set {
        dpositions.fill(0.0);
    }
    dpositions[..context * width].par_chunks_mut(width).enumerate().for_each(|(t, d)| {
        for row in dx.chunks_exact(width).skip(t).step_by(context) {
            d.iter_mut().zip(row).for_each(|(d, dx)| *d += dx);
        }
    });
}

/// `y[i] = x[rows[i]]` // y (P, C), x (M, C)
pub fn gather(y: &mut [f32], x: &[f32], rows: &[usize], width: usize) {
    for (y, &row) in y.chunks_exact_mut(width).zip(rows) {
        y.copy_from_slice(&x[row * width..(row + 1) * width]);
    }
}

/// `dx[rows[i]] = dy[i]`, zero elsewhere; rows are distinct // dx (M, C), dy (P, C)
pub fn scatter(dx: &mut [f32], dy: &[f32], rows: &[usize], width: usize) {
    dx.fill(0.0);
    for (dy, &row) in dy.chunks_exact(width).zip(rows) {
        dx[row * width..(row + 1) * width].copy_from_slice(dy);
    }
}
