//! GELU, in the tanh form of GPT-2 ("gelu_new") and in the exact form, with its slope.
//!
//! Training keeps the slope instead of the input: the exponential is paid for once.

use std::f32::consts::FRAC_1_SQRT_2;

use super::math::{erf, exp, sigmoid};
use super::simd::{LANES, vectorised};

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

/// `y = gelu(x + bias)` and, unless it is empty, `slope` its derivative, element by element // y, slope, x (m, n) panels, bias (n)
///
/// (The bias is added here rather than before: one pass less over x.)
pub fn forward(kind: Gelu, y: &mut [f32], slope: &mut [f32], x: &[f32], bias: &[f32]) {
    match kind {
        Gelu::Tanh if slope.is_empty() => tanh(y, x, bias),
        Gelu::Tanh => tanh_with_slope(y, slope, x, bias),
        Gelu::Erf if slope.is_empty() => exact(y, x, bias),
        Gelu::Erf => exact_with_slope(y, slope, x, bias),
    }
}

/// `0.5 (1 + tanh z)` of the tanh form.
#[inline(always)]
fn gate(x: f32) -> f32 {
    sigmoid(SLOPE * x * (CUBIC * x).mul_add(x, 1.0))
}

/// The normal distribution function.
#[inline(always)]
fn cumulative(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// The bias of panel `t`; zeros behind the last.
#[inline(always)]
fn lanes(bias: &[f32], t: usize) -> [f32; LANES] {
    std::array::from_fn(|lane| bias.get(t * LANES + lane).copied().unwrap_or(0.0))
}

/// `y = x share(x)`, with the bias on x.
#[inline(always)]
fn values(y: &mut [f32], x: &[f32], bias: &[f32], share: impl Fn(f32) -> f32) {
    let panel = y.len() / bias.len().div_ceil(LANES);
    for (t, (y, x)) in y.chunks_exact_mut(panel).zip(x.chunks_exact(panel)).enumerate() {
        let bias = lanes(bias, t);
        for (y, x) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(x.as_chunks::<LANES>().0) {
            for ((y, x), bias) in y.iter_mut().zip(x).zip(bias) {
                let x = x + bias;
                *y = x * share(x);
            }
        }
    }
}

/// As [`values`], and `slope = slope_of(x, share(x))`.
#[inline(always)]
fn values_and_slopes(
    y: &mut [f32],
    slope: &mut [f32],
    x: &[f32],
    bias: &[f32],
    share: impl Fn(f32) -> f32,
    slope_of: impl Fn(f32, f32) -> f32,
) {
    let panel = y.len() / bias.len().div_ceil(LANES);
    let panels = y.chunks_exact_mut(panel).zip(slope.chunks_exact_mut(panel)).zip(x.chunks_exact(panel));
    for (t, ((y, slope), x)) in panels.enumerate() {
        let bias = lanes(bias, t);
        let (y, slope) = (y.as_chunks_mut::<LANES>().0, slope.as_chunks_mut::<LANES>().0);
        for ((y, slope), x) in y.iter_mut().zip(slope).zip(x.as_chunks::<LANES>().0) {
            for (((y, slope), x), bias) in y.iter_mut().zip(slope).zip(x).zip(bias) {
                let x = x + bias;
                let share = share(x);
                *y = x * share;
                *slope = slope_of(x, share);
            }
        }
    }
}

vectorised! {
    fn tanh(y: &mut [f32], x: &[f32], bias: &[f32]) {
        values(y, x, bias, gate);
    }
}

vectorised! {
    fn tanh_with_slope(y: &mut [f32], slope: &mut [f32], x: &[f32], bias: &[f32]) {
        values_and_slopes(y, slope, x, bias, gate, |x, s| {
            (x * s * (1.0 - s)).mul_add(SLOPE * (3.0 * CUBIC * x).mul_add(x, 1.0), s)
        });
    }
}

vectorised! {
    fn exact(y: &mut [f32], x: &[f32], bias: &[f32]) {
        values(y, x, bias, cumulative);
    }
}

vectorised! {
    fn exact_with_slope(y: &mut [f32], slope: &mut [f32], x: &[f32], bias: &[f32]) {
        // The normal density: 1 / sqrt(2 pi).
        values_and_slopes(y, slope, x, bias, cumulative, |x, s| (x * 0.398_942_3).mul_add(exp(-0.5 * x * x), s));
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
