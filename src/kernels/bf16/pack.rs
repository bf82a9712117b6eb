//! Rounding to bf16 and packing into tiles.

use super::{DEPTH, OUTER, TILE, packed_len};
use crate::kernels::panels::{Depth, Panels};
use crate::kernels::simd::{LANES, vectorised};
use crate::kernels::transpose;

/// Which operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The left one: tiles of `[outer][pair]`.
    Left,
    /// The right one: tiles of `[pair][outer]`.
    Right,
}

/// A matrix to be packed: panels or plain rows.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    data: &'a [f32],
    rows: usize,
    width: usize,
    /// Elements from one row to the next.
    row: usize,
    /// Elements from 16 columns to the next 16.
    panel: usize,
}

impl<'a> Source<'a> {
    /// Plain rows, `stride` apart.
    pub fn rows(data: &'a [f32], rows: usize, width: usize, stride: usize) -> Self {
        Self { data, rows, width, row: stride, panel: LANES }
    }

    /// Row `r`'s part of panel `t`, and how many of its lanes count; nothing outside the matrix.
    #[inline(always)]
    fn lanes(&self, r: usize, t: usize) -> &'a [f32] {
        if r >= self.rows || t * LANES >= self.width {
            return &[];
        }
        &self.data[r * self.row + t * self.panel..][..LANES.min(self.width - t * LANES)]
    }
}

impl<'a> From<Panels<'a>> for Source<'a> {
    fn from(panels: Panels<'a>) -> Self {
        let ((rows, width), (data, panel)) = (panels.shape(), panels.layout());
        Self { data, rows, width, row: LANES, panel }
    }
}

/// The nearest bf16 value (ties to even) in the upper half of the result's bits; the lower half is noise. NaN stays NaN.
#[inline(always)]
pub fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    if x.is_nan() { bits | 0x0040_0000 } else { rounded }
}

#[inline(always)]
fn pair(low: f32, high: f32) -> u32 {
    (round(low) >> 16) | (round(high) & 0xffff_0000)
}

/// Up to sixteen values, zeros behind them.
#[inline(always)]
fn sixteen(lanes: &[f32]) -> [f32; LANES] {
    match lanes.try_into() {
        Ok(all) => all,
        Err(_) => std::array::from_fn(|i| lanes.get(i).copied().unwrap_or(0.0)),
    }
}

vectorised! {
    /// Tiles `[outer][pair]`, depth along the source's columns.
    fn along_columns(dst: &mut [u32], src: Source<'_>, depth_tiles: usize) {
        for (index, tile) in dst.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            let (i, t) = (index / depth_tiles, index % depth_tiles);
            for r in 0..OUTER {
                let halves = [0, 1].map(|h| sixteen(src.lanes(i * OUTER + r, 2 * t + h)));
                for (p, out) in tile[r * OUTER..][..OUTER].iter_mut().enumerate() {
                    let half = halves[p / 8];
                    *out = pair(half[2 * p % LANES], half[2 * p % LANES + 1]);
                }
            }
        }
    }
}

vectorised! {
    /// Tiles `[pair][outer]`, depth along the source's rows.
    fn along_rows(dst: &mut [u32], src: Source<'_>, depth_tiles: usize) {
        for (index, tile) in dst.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            let (j, t) = (index / depth_tiles, index % depth_tiles);
            for (p, out) in tile.as_chunks_mut::<OUTER>().0.iter_mut().enumerate() {
                let [low, high] = [0, 1].map(|h| sixteen(src.lanes(t * DEPTH + 2 * p + h, j)));
                for (c, out) in out.iter_mut().enumerate() {
                    *out = pair(low[c], high[c]);
                }
            }
        }
    }
}

/// The same by instructions made for it. (They read and write denormal numbers as zeros.)
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod native {
    use super::{DEPTH, LANES, OUTER, Source, TILE};
    use std::arch::x86_64::*;

    /// What the compiled functions need.
    pub fn is_available() -> bool {
        crate::kernels::simd::level() == crate::kernels::simd::Level::Avx512 && super::super::avx512::is_available()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn load(lanes: &[f32]) -> __m512 {
        let mask = if lanes.len() == LANES { !0 } else { (1 << lanes.len()) - 1 };
        // SAFETY: the mask covers the slice's elements, no more.
        unsafe { _mm512_maskz_loadu_ps(mask, lanes.as_ptr()) }
    }

    /// Thirty-two values as bf16, in order.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn both(first: __m512, second: __m512) -> __m512i {
        // SAFETY: both types are 512 bits of anything.
        unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(second, first)) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub fn along_columns(dst: &mut [u32], src: Source<'_>, depth_tiles: usize) {
        for (index, tile) in dst.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            let (i, t) = (index / depth_tiles, index % depth_tiles);
            for (r, out) in tile.as_chunks_mut::<OUTER>().0.iter_mut().enumerate() {
                let row = i * OUTER + r;
                let pairs = both(load(src.lanes(row, 2 * t)), load(src.lanes(row, 2 * t + 1)));
                // SAFETY: sixteen pairs.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), pairs) };
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub fn along_rows(dst: &mut [u32], src: Source<'_>, depth_tiles: usize) {
        // Word 2 i from the first sixteen, word 2 i + 1 from the second.
        let order: [u16; 32] = std::array::from_fn(|i| (i / 2 + i % 2 * 16) as u16);
        // SAFETY: 64 bytes.
        let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
        for (index, tile) in dst.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            let (j, t) = (index / depth_tiles, index % depth_tiles);
            for (p, out) in tile.as_chunks_mut::<OUTER>().0.iter_mut().enumerate() {
                let row = t * DEPTH + 2 * p;
                let pairs = both(load(src.lanes(row, j)), load(src.lanes(row + 1, j)));
                let pairs = _mm512_permutexvar_epi16(order, pairs);
                // SAFETY: sixteen pairs.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), pairs) };
            }
        }
    }
}

/// Fills the tiles of an operand, padded with zeros to `padded_depth` (which decides where tiles stand) and to whole tiles.
///
/// # Panics
/// If source or destination is too short.
pub fn pack<'a>(dst: &mut [u32], side: Side, depth: Depth, src: impl Into<Source<'a>>, padded_depth: usize) {
    let src = src.into();
    let (outer, contracted) = match depth {
        Depth::Columns => (src.rows, src.width),
        Depth::Rows => (src.width, src.rows),
    };
    assert!(contracted <= padded_depth, "a depth of {contracted} in {padded_depth}");
    let dst = &mut dst[..packed_len(outer, padded_depth)];
    let tiles = padded_depth.div_ceil(DEPTH);
    fill(dst, depth, src, tiles);
    if (side, depth) == (Side::Left, Depth::Rows) || (side, depth) == (Side::Right, Depth::Columns) {
        dst.as_chunks_mut::<TILE>().0.iter_mut().for_each(transpose::tile);
    }
}

#[allow(unsafe_code)]
fn fill(dst: &mut [u32], depth: Depth, src: Source<'_>, tiles: usize) {
    #[cfg(target_arch = "x86_64")]
    if native::is_available() {
        // SAFETY: it is.
        return unsafe {
            match depth {
                Depth::Columns => native::along_columns(dst, src, tiles),
                Depth::Rows => native::along_rows(dst, src, tiles),
            }
        };
    }
    match depth {
        Depth::Columns => along_columns(dst, src, tiles),
        Depth::Rows => along_rows(dst, src, tiles),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::panels::{from_rows, padded};

    #[test]
    fn rounds_to_the_nearest_and_keeps_what_is_not_finite() {
        let upper = |x: f32| f32::from_bits(round(x) & 0xffff_0000);
        assert_eq!(upper(1.0), 1.0);
        // One unit is 2^-7 in [1, 2): ties go to the even neighbour.
        assert_eq!(upper(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(upper(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(upper(-1.0 - 1.1 / 256.0), -1.0 - 1.0 / 128.0);
        assert_eq!(upper(f32::INFINITY), f32::INFINITY);
        assert!(upper(f32::NAN).is_nan() && upper(f32::from_bits(0x7f80_0001)).is_nan());
        assert_eq!(upper(f32::MAX), f32::INFINITY);
    }

    #[test]
    fn panels_and_rows_pack_alike_with_any_instructions() {
        for (rows, width) in [(16, 32), (33, 50), (1, 1), (40, 16)] {
            // Between any two values of bf16, and exactly in the middle.
            let x: Vec<f32> = (0..rows * width).map(|i| f32::from_bits(0x3f80_0000 + i as u32 * 0x2492)).collect();
            let mut panels = vec![f32::NAN; rows * padded(width)];
            from_rows(&mut panels, &x, width);
            for depth in [Depth::Columns, Depth::Rows] {
                let (outer, contracted) = if depth == Depth::Columns { (rows, width) } else { (width, rows) };
                let padded_depth = contracted + 40;
                let tiles = padded_depth.div_ceil(DEPTH);
                let mut all = vec![vec![7; packed_len(outer, padded_depth)]; 3];
                fill(&mut all[0], depth, Source::rows(&x, rows, width, width), tiles);
                fill(&mut all[1], depth, Panels::new(&panels, rows, width).into(), tiles);
                match depth {
                    Depth::Columns => along_columns(&mut all[2], Source::rows(&x, rows, width, width), tiles),
                    Depth::Rows => along_rows(&mut all[2], Source::rows(&x, rows, width, width), tiles),
                }
                assert!(all[0] == all[1] && all[1] == all[2], "({rows}, {width}) {depth:?}");
                for (index, &packed) in all[0].iter().enumerate() {
                    let (tile, at) = (index / TILE, index % TILE);
                    let (o, p) = if depth == Depth::Columns { (at / 16, at % 16) } else { (at % 16, at / 16) };
                    let (o, d) = (tile / tiles * OUTER + o, tile % tiles * DEPTH + 2 * p);
                    let value = |d: usize| match depth {
                        _ if o >= outer || d >= contracted => 0.0,
                        Depth::Columns => x[o * width + d],
                        Depth::Rows => x[d * width + o],
                    };
                    assert_eq!(packed, pair(value(d), value(d + 1)), "({rows}, {width}) {depth:?} {o}, {d}");
                }
            }
        }
    }
}
