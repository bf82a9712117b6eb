//! Which vector instructions the processor has, and `vectorised!`, which compiles a function once for each kind.
//!
//! A release build without target flags runs anywhere and still uses AVX-512 where it is. All versions give the same bits:
//! the compiler neither contracts nor reorders, fused multiplications are written as `mul_add`, and sums run in
//! [`LANES`] lanes whatever the register's width.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// Lanes of every reduction: one AVX-512 register, two of AVX2, four of NEON.
pub const LANES: usize = 16;

/// A kind of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the build's architecture has. (On x86 that lacks fused multiplication: slow, same bits.)
    Baseline = 1,
    /// AVX2 and FMA.
    Avx2 = 2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512 = 3,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The highest level of this processor, or the one that [`force`] has set.
#[inline]
pub fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Baseline,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => {
            let level = detect();
            force(level);
            level
        }
    }
}

/// Uses `level` from now on, or the processor's highest if that is lower. For tests and benches.
pub fn force(level: Level) {
    LEVEL.store(level.min(detect()) as u8, Ordering::Relaxed);
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    use std::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma")) {
        Level::Baseline
    } else if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
        Level::Avx512
    } else {
        Level::Avx2
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Baseline
}

/// Sixteen lanes as a processor of some [`Level`] holds them: what loops over panels are written in, as compilers turn
/// arrays of sixteen into vectors only by chance. To be used inside functions that `vectorised!` compiles.
pub trait Vector: Copy {
    /// All lanes `x`.
    fn splat(x: f32) -> Self;
    /// From memory.
    fn load(x: &[f32; LANES]) -> Self;
    /// To memory.
    fn store(self, y: &mut [f32; LANES]);
    /// `self + b`.
    fn add(self, b: Self) -> Self;
    /// `self - b`.
    fn sub(self, b: Self) -> Self;
    /// `self * b`.
    fn mul(self, b: Self) -> Self;
    /// `self / b`.
    fn div(self, b: Self) -> Self;
    /// `self * b + c`, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// `if self > b { self } else { b }`.
    fn greater(self, b: Self) -> Self;
    /// `if self < b { self } else { b }`.
    fn less(self, b: Self) -> Self;
    /// `self` with the sign of `b`; `self` is not negative.
    fn with_sign(self, b: Self) -> Self;
    /// 2 to the power of the integer in the low bits of each lane (of -126 to 127).
    fn power_of_two(self) -> Self;

    /// The lanes.
    #[inline(always)]
    fn array(self) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        self.store(&mut array);
        array
    }

    /// The absolute value.
    #[inline(always)]
    fn abs(self) -> Self {
        self.greater(Self::splat(0.0).sub(self))
    }

    /// Adds up the lanes, pairwise.
    #[inline(always)]
    fn sum(self) -> f32 {
        sum(self.array())
    }
}

/// [`Vector`] on any processor.
#[derive(Clone, Copy)]
pub struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn with(self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], b.0[i])))
    }
}

impl Vector for Portable {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        Self(*x)
    }
    #[inline(always)]
    fn store(self, y: &mut [f32; LANES]) {
        *y = self.0;
    }
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        self.with(b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        self.with(b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        self.with(b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        self.with(b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].mul_add(b.0[i], c.0[i])))
    }
    #[inline(always)]
    fn greater(self, b: Self) -> Self {
        self.with(b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn less(self, b: Self) -> Self {
        self.with(b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn with_sign(self, b: Self) -> Self {
        self.with(b, f32::copysign)
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(self.0.map(|x| f32::from_bits(x.to_bits().wrapping_add(127) << 23)))
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// [`Vector`] in registers. Every method is inlined into functions that are compiled for the level, which run only where the
/// processor has it: that is the safety argument of each block here.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Vector};
    use std::arch::x86_64::*;

    /// One register.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    /// Two registers.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);

    impl Vector for Avx512 {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        fn load(x: &[f32; LANES]) -> Self {
            // SAFETY: sixteen values; and as the module says.
            Self(unsafe { _mm512_loadu_ps(x.as_ptr()) })
        }
        #[inline(always)]
        fn store(self, y: &mut [f32; LANES]) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(y.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        fn add(self, b: Self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_add_ps(self.0, b.0) })
        }
        #[inline(always)]
        fn sub(self, b: Self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_sub_ps(self.0, b.0) })
        }
        #[inline(always)]
        fn mul(self, b: Self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_mul_ps(self.0, b.0) })
        }
        #[inline(always)]
        fn div(self, b: Self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_div_ps(self.0, b.0) })
        }
        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_fmadd_ps(self.0, b.0, c.0) })
        }
        #[inline(always)]
        fn greater(self, b: Self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_max_ps(self.0, b.0) })
        }
        #[inline(always)]
        fn less(self, b: Self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_min_ps(self.0, b.0) })
        }
        #[inline(always)]
        fn with_sign(self, b: Self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe { _mm512_or_ps(self.0, _mm512_and_ps(b.0, _mm512_set1_ps(-0.0))) })
        }
        #[inline(always)]
        fn power_of_two(self) -> Self {
            // SAFETY: as the module says.
            Self(unsafe {
                let biased = _mm512_add_epi32(_mm512_castps_si512(self.0), _mm512_set1_epi32(127));
                _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
            })
        }
    }

    impl Avx2 {
        #[inline(always)]
        fn with(self, b: Self, f: impl Fn(__m256, __m256) -> __m256) -> Self {
            Self(f(self.0, b.0), f(self.1, b.1))
        }
    }

    impl Vector for Avx2 {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: as the module says.
            let half = unsafe { _mm256_set1_ps(x) };
            Self(half, half)
        }
        #[inline(always)]
        fn load(x: &[f32; LANES]) -> Self {
            // SAFETY: two times eight values; and as the module says.
            unsafe { Self(_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))) }
        }
        #[inline(always)]
        fn store(self, y: &mut [f32; LANES]) {
            // SAFETY: as above.
            unsafe {
                _mm256_storeu_ps(y.as_mut_ptr(), self.0);
                _mm256_storeu_ps(y.as_mut_ptr().add(8), self.1);
            }
        }
        #[inline(always)]
        fn add(self, b: Self) -> Self {
            // SAFETY: as the module says.
            self.with(b, |a, b| unsafe { _mm256_add_ps(a, b) })
        }
        #[inline(always)]
        fn sub(self, b: Self) -> Self {
            // SAFETY: as the module says.
            self.with(b, |a, b| unsafe { _mm256_sub_ps(a, b) })
        }
        #[inline(always)]
        fn mul(self, b: Self) -> Self {
            // SAFETY: as the module says.
            self.with(b, |a, b| unsafe { _mm256_mul_ps(a, b) })
        }
        #[inline(always)]
        fn div(self, b: Self) -> Self {
            // SAFETY: as the module says.
            self.with(b, |a, b| unsafe { _mm256_div_ps(a, b) })
        }
        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            // SAFETY: as the module says.
            unsafe { Self(_mm256_fmadd_ps(self.0, b.0, c.0), _mm256_fmadd_ps(self.1, b.1, c.1)) }
        }
        #[inline(always)]
        fn greater(self, b: Self) -> Self {
            // SAFETY: as the module says.
            self.with(b, |a, b| unsafe { _mm256_max_ps(a, b) })
        }
        #[inline(always)]
        fn less(self, b: Self) -> Self {
            // SAFETY: as the module says.
            self.with(b, |a, b| unsafe { _mm256_min_ps(a, b) })
        }
        #[inline(always)]
        fn with_sign(self, b: Self) -> Self {
            // SAFETY: as the module says.
            self.with(b, |a, b| unsafe { _mm256_or_ps(a, _mm256_and_ps(b, _mm256_set1_ps(-0.0))) })
        }
        #[inline(always)]
        fn power_of_two(self) -> Self {
            // SAFETY: as the module says.
            self.with(self, |a, _| unsafe {
                let biased = _mm256_add_epi32(_mm256_castps_si256(a), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
            })
        }
    }
}

/// Sums lanes pairwise, in a fixed order.
#[inline(always)]
pub fn sum(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The values of panel `t` of a row of plain values; zeros behind the last.
#[inline(always)]
pub fn lanes_of<V: Vector>(values: &[f32], t: usize) -> V {
    let values = &values[t * LANES..];
    match values.first_chunk() {
        Some(all) => V::load(all),
        None => {
            let mut lanes = [0.0; LANES];
            lanes[..values.len()].copy_from_slice(values);
            V::load(&lanes)
        }
    }
}

/// Sets lanes from `count` on to zero.
#[inline(always)]
pub fn first<V: Vector>(x: V, count: usize) -> V {
    if count >= LANES {
        return x;
    }
    let mut lanes = x.array();
    lanes[count..].fill(0.0);
    V::load(&lanes)
}

/// Defines a function that is compiled for each [`Level`] and takes the processor's at run time. `fn name<V>(..)` may use
/// [`Vector`] `V`, that of the level.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $crate::kernels::simd::vectorised! { $(#[$meta])* $vis fn $name<_V>($($arg: $ty),*) $(-> $ret)? $body }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$v:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, clippy::extra_unused_type_parameters)]
            fn body<$v: $crate::kernels::simd::Vector>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::simd::{Avx2, Avx512};
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body::<Avx2>($($arg),*) }
                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body::<Avx512>($($arg),*) }
                match $crate::kernels::simd::level() {
                    // SAFETY: `level` never exceeds what the processor was detected to have.
                    $crate::kernels::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::kernels::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::kernels::simd::Level::Baseline => {}
                }
            }
            body::<$crate::kernels::simd::Portable>($($arg),*)
        }
    };
}
pub(super) use vectorised;
