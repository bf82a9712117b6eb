//! Elementary functions as branch-free polynomials, so that loops over them vectorise. libm's versions don't, and take
//! an eighth of a training step. To be used inside functions that `simd::vectorised` compiles.

use super::simd::Vector;

/// `e^x`, relative error below 3e-7 over the finite range; 0 far below it.
#[inline(always)]
pub fn exp<V: Vector>(x: V) -> V {
    // x = n ln 2 + r, |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7 (remainder below 6e-9). (Comparisons in
    // this order leave NaN what it is.)
    let x = V::splat(88.3).less(V::splat(-87.3).greater(x));
    let shift = V::splat(12_582_912.0); // 1.5 * 2^23: adding it rounds to an integer
    let shifted = x.mul_add(V::splat(std::f32::consts::LOG2_E), shift);
    let n = shifted.sub(shift);
    // ln 2 in two parts, so that the difference keeps its bits.
    let r = n.mul_add(V::splat(2.121_944_4e-4), n.mul_add(V::splat(-0.693_359_4), x));
    let mut p = V::splat(1.0 / 5040.0);
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p.mul_add(r, V::splat(factor));
    }
    // n lies in -126..=127 after the clamp and stands in the low bits of `shifted`.
    p.mul(shifted.power_of_two())
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid<V: Vector>(x: V) -> V {
    let one = V::splat(1.0);
    one.div(one.add(exp(V::splat(0.0).sub(x))))
}

/// The error function, absolute error below 3e-7 (Abramowitz and Stegun 7.1.26 is good to 1.5e-7 in exact arithmetic).
#[inline(always)]
pub fn erf<V: Vector>(x: V) -> V {
    let (zero, one) = (V::splat(0.0), V::splat(1.0));
    let a = x.abs();
    let t = one.div(V::splat(0.327_591_1).mul_add(a, one));
    let mut p = V::splat(1.061_405_4);
    for factor in [-1.453_152, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        p = p.mul_add(t, V::splat(factor));
    }
    let far = exp(zero.sub(a.mul(a)));
    one.sub(p.mul(t).mul(far)).with_sign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::Portable;

    fn exp(x: f32) -> f32 {
        super::exp(Portable::splat(x)).array()[5]
    }

    fn sigmoid(x: f32) -> f32 {
        super::sigmoid(Portable::splat(x)).array()[0]
    }

    fn erf(x: f32) -> f32 {
        super::erf(Portable::splat(x)).array()[15]
    }

    #[test]
    fn exp_and_sigmoid_are_accurate() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let right = f64::from(x).exp();
            assert!((f64::from(exp(x)) / right - 1.0).abs() < 3e-7, "{x}");
            let right = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - right).abs() < 2e-7, "{x}");
        }
        assert!(exp(-1e9) < 1.3e-38 && exp(f32::NEG_INFINITY) < 1.3e-38 && exp(0.0) == 1.0 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn erf_matches_published_values() {
        // NIST Digital Library of Mathematical Functions, table 7.23.
        for (x, value) in [
            (0.0, 0.0),
            (0.2, 0.222_702_6),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (1.5, 0.966_105_1),
            (2.0, 0.995_322_3),
            (3.0, 0.999_977_9),
        ] {
            assert!((erf(x) - value).abs() < 4e-7 && (erf(-x) + value).abs() < 4e-7, "{x}: {}", erf(x));
        }
    }
}
