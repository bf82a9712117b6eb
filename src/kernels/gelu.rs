//! GELU, in the tanh form of GPT-2 ("gelu_new") and in the exact form, with its slope.
//!
//! Training keeps the slope instead of the input: the exponential is paid for once.

use std::f32::consts::FRAC_1_SQRT_2;

use super::math::{erf, exp, sigmoid};
use super::simd::{LANES, Vector, lanes_of, vectorised};

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

/// Replaces `x` by `gelu(x + bias)` and, unless it is empty, sets `slope` to its derivative, element by element // slope, x
/// (m, n) panels, bias (n)
///
/// (The bias is added here rather than before: one pass less over x.)
pub fn forward(kind: Gelu, x: &mut [f32], slope: &mut [f32], bias: &[f32]) {
    match kind {
        Gelu::Tanh if slope.is_empty() => tanh(x, bias),
        Gelu::Tanh => tanh_with_slope(x, slope, bias),
        Gelu::Erf if slope.is_empty() => exact(x, bias),
        Gelu::Erf => exact_with_slope(x, slope, bias),
    }
}

/// By what share of itself `x` is kept, and the slope: of the tanh form, or of the exact one.
#[inline(always)]
fn share_and_slope<V: Vector, const EXACT: bool>(x: V) -> (V, V) {
    let one = V::splat(1.0);
    if EXACT {
        // The normal distribution function, and its density times x: 1 / sqrt(2 pi).
        let share = V::splat(0.5).mul(one.add(erf(x.mul(V::splat(FRAC_1_SQRT_2)))));
        let density = exp(V::splat(-0.5).mul(x).mul(x));
        return (share, x.mul(V::splat(0.398_942_3)).mul_add(density, share));
    }
    // 0.5 (1 + tanh z) and its derivative.
    let share = sigmoid(V::splat(SLOPE).mul(x).mul(V::splat(CUBIC).mul(x).mul_add(x, one)));
    let inner = V::splat(SLOPE).mul(V::splat(3.0 * CUBIC).mul(x).mul_add(x, one));
    (share, x.mul(share).mul(one.sub(share)).mul_add(inner, share))
}

#[inline(always)]
fn values<V: Vector, const EXACT: bool>(x: &mut [f32], bias: &[f32]) {
    let panel = x.len() / bias.len().div_ceil(LANES);
    for (t, x) in x.chunks_exact_mut(panel).enumerate() {
        let bias: V = lanes_of(bias, t);
        for x in x.as_chunks_mut().0 {
            let value = V::load(x).add(bias);
            value.mul(share_and_slope::<V, EXACT>(value).0).store(x);
        }
    }
}

#[inline(always)]
fn values_and_slopes<V: Vector, const EXACT: bool>(x: &mut [f32], slope: &mut [f32], bias: &[f32]) {
    let panel = x.len() / bias.len().div_ceil(LANES);
    for (t, (x, slope)) in x.chunks_exact_mut(panel).zip(slope.chunks_exact_mut(panel)).enumerate() {
        let bias: V = lanes_of(bias, t);
        for (x, slope) in x.as_chunks_mut().0.iter_mut().zip(slope.as_chunks_mut().0) {
            let value = V::load(x).add(bias);
            let (share, of_x) = share_and_slope::<V, EXACT>(value);
            value.mul(share).store(x);
            of_x.store(slope);
        }
    }
}

vectorised! {
    fn tanh<V>(x: &mut [f32], bias: &[f32]) {
        values::<V, false>(x, bias);
    }
}

vectorised! {
    fn tanh_with_slope<V>(x: &mut [f32], slope: &mut [f32], bias: &[f32]) {
        values_and_slopes::<V, false>(x, slope, bias);
    }
}

vectorised! {
    fn exact<V>(x: &mut [f32], bias: &[f32]) {
        values::<V, true>(x, bias);
    }
}

vectorised! {
    fn exact_with_slope<V>(x: &mut [f32], slope: &mut [f32], bias: &[f32]) {
        values_and_slopes::<V, true>(x, slope, bias);
    }
}

vectorised! {
    /// `dy *= slope`, element by element.
    pub fn backward(dy: &mut [f32], slope: &[f32]) {
        for (dy, slope) in dy.iter_mut().zip(slope) {
            *dy *= slope;
        }
    }
}
