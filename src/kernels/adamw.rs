//! The AdamW update and sums of squares, over blocks of elements.

use rayon::prelude::*;

use super::BLOCK;
use super::simd::{LANES, vectorised};

/// The scalar factors of one parameter's update, each rounded once from f64.
#[derive(Clone, Copy, Debug)]
pub struct Factors {
    /// Decay rates of the moments.
    pub betas: [f32; 2],
    /// One minus those.
    pub gains: [f32; 2],
    /// Factor on the weight: 1 - learning rate * decay.
    pub keep: f32,
    /// Learning rate over the first moment's correction.
    pub rate: f32,
    /// One over the root of the second moment's correction.
    pub root: f32,
    /// Added to the root of the corrected second moment.
    pub epsilon: f32,
    /// Factor on the gradient.
    pub scale: f32,
}

/// One update; an empty gradient is one of zeros. // all of one length
pub fn update(weight: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], f: &Factors) {
    let blocks = weight.par_chunks_mut(BLOCK).zip(first.par_chunks_mut(BLOCK)).zip(second.par_chunks_mut(BLOCK));
    if gradient.is_empty() {
        blocks.for_each(|((w, m), v)| without_gradient(w, m, v, f));
    } else {
        blocks.zip(gradient.par_chunks(BLOCK)).for_each(|(((w, m), v), g)| with_gradient(w, m, v, g, f));
    }
}

#[inline(always)]
fn element(w: &mut f32, m: &mut f32, v: &mut f32, g: f32, f: &Factors) {
    *m = f.betas[0].mul_add(*m, f.gains[0] * g);
    *v = f.betas[1].mul_add(*v, f.gains[1] * g * g);
    *w = f.keep.mul_add(*w, -f.rate * *m / v.sqrt().mul_add(f.root, f.epsilon));
}

vectorised! {
    fn with_gradient(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], f: &Factors) {
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
            element(w, m, v, g * f.scale, f);
        }
    }
}

vectorised! {
    fn without_gradient(w: &mut [f32], m: &mut [f32], v: &mut [f32], f: &Factors) {
        for ((w, m), v) in w.iter_mut().zip(m).zip(v) {
            element(w, m, v, 0.0, f);
        }
    }
}

/// The sum of squares, in f64, over blocks that are added up as a tree whose shape depends on the length alone.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let blocks = values.len().div_ceil(BLOCK);
    if blocks <= 1 {
        return block_of_squares(values);
    }
    let (left, right) = values.split_at(blocks / 2 * BLOCK);
    let (left, right) = rayon::join(|| sum_of_squares(left), || sum_of_squares(right));
    left + right
}

vectorised! {
    fn block_of_squares(values: &[f32]) -> f64 {
        let mut lanes = [0.0f64; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(value) * f64::from(value);
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(value) * f64::from(value);
        }
        lanes.iter().sum()
    }
}
