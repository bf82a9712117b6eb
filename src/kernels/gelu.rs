//! GELU, in the tanh form of GPT-2 ("gelu_new") and in the exact form, forward and backward.

use std::f32::consts::FRAC_1_SQRT_2;

use rayon::prelude::*;

use super::BLOCK;
use super::math::{erf, exp, sigmoid};

/// Which GELU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`
    Tanh,
    /// `0.5 x (1 + erf(x / sqrt(2)))`
    Erf,
}

const CUBIC: f32 = 0.044_715;
/// `2 sqrt(2/pi)`: `0.5 (1 + tanh z) = sigmoid(2 z)`.
const SLOPE: f32 = 1.595_769;

/// `y = gelu(x)`, element by element.
pub fn forward(kind: Gelu, y: &mut [f32], x: &[f32]) {
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| match kind {
        Gelu::Tanh => y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * sigmoid(SLOPE * (x + CUBIC * x * x * x))),
        Gelu::Erf => y.iter_mut().zip(x).for_each(|(y, &x)| *y = 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))),
    });
}

/// `dy *= gelu'(x)`, element by element.
pub fn backward(kind: Gelu, dy: &mut [f32], x: &[f32]) {
    dy.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(dy, x)| match kind {
        Gelu::Tanh => dy.iter_mut().zip(x).for_each(|(dy, &x)| {
            let s = sigmoid(SLOPE * (x + CUBIC * x * x * x));
            *dy *= s + x * s * (1.0 - s) * SLOPE * (1.0 + 3.0 * CUBIC * x * x);
        }),
        Gelu::Erf => dy.iter_mut().zip(x).for_each(|(dy, &x)| {
            // The normal density: 1 / sqrt(2 pi).
            *dy *= 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)) + x * 0.398_942_3 * exp(-0.5 * x * x);
        }),
    });
}
