//! Rounding to bf16 and packing into tiles.

use super::{DEPTH, OUTER, TILE, packed_len};
use crate::kernels::simd::vectorised;
use crate::kernels::transpose;

/// Which operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The left one: tiles of `[outer][pair]`.
    Left,
    /// The right one: tiles of `[pair][outer]`.
    Right,
}

/// How the source stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// (outer, depth): neighbours in memory are neighbours in depth.
    Rows,
    /// (depth, outer).
    Columns,
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

vectorised! {
    /// Tiles `[outer][pair]` of a source (outer, depth); only full tiles of rows, `depth_tiles` of `stride` tiles a row.
    fn pack_rows(dst: &mut [u32], src: &[f32], src_stride: usize, outer_tiles: usize, full: usize, tiles: usize) {
        for i in 0..outer_tiles {
            let panel = &mut dst[i * tiles * TILE..][..full * TILE];
            for r in 0..OUTER {
                let row = &src[(i * OUTER + r) * src_stride..][..full * DEPTH];
                for (tile, values) in panel.as_chunks_mut::<TILE>().0.iter_mut().zip(row.as_chunks::<DEPTH>().0) {
                    for p in 0..DEPTH / 2 {
                        tile[r * (DEPTH / 2) + p] = pair(values[2 * p], values[2 * p + 1]);
                    }
                }
            }
        }
    }
}

vectorised! {
    /// Tiles `[pair][outer]` of a source (depth, outer); only full tiles.
    fn pack_columns(dst: &mut [u32], src: &[f32], src_stride: usize, outer_tiles: usize, full: usize, tiles: usize) {
        for t in 0..full {
            for p in 0..DEPTH / 2 {
                let first = &src[(t * DEPTH + 2 * p) * src_stride..][..outer_tiles * OUTER];
                let second = &src[(t * DEPTH + 2 * p + 1) * src_stride..][..outer_tiles * OUTER];
                let both = first.as_chunks::<OUTER>().0.iter().zip(second.as_chunks::<OUTER>().0);
                for (j, (low, high)) in both.enumerate() {
                    let out = &mut dst[(j * tiles + t) * TILE + p * OUTER..][..OUTER];
                    for c in 0..OUTER {
                        out[c] = pair(low[c], high[c]);
                    }
                }
            }
        }
    }
}

/// Fills the tiles of an operand of `outer` rows or columns and `depth`, padded with zeros to `padded_depth` (which decides
/// where tiles stand) and to whole tiles.
///
/// # Panics
/// If source or destination is too short.
#[allow(clippy::too_many_arguments)]
pub fn pack(
    dst: &mut [u32],
    side: Side,
    layout: Layout,
    src: &[f32],
    src_stride: usize,
    outer: usize,
    depth: usize,
    padded_depth: usize,
) {
    assert!(depth <= padded_depth);
    let dst = &mut dst[..packed_len(outer, padded_depth)];
    let tiles = padded_depth.div_ceil(DEPTH);
    let (full_outer, full_depth) = (outer / OUTER, depth / DEPTH);
    match layout {
        Layout::Rows => pack_rows(dst, src, src_stride, full_outer, full_depth, tiles),
        Layout::Columns => pack_columns(dst, src, src_stride, full_outer, full_depth, tiles),
    }
    // Tiles at the edges, element by element.
    for (index, tile) in dst.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
        let (i, t) = (index / tiles, index % tiles);
        if i >= full_outer || t >= full_depth {
            let at = |o: usize, d: usize| {
                let (o, d) = (i * OUTER + o, t * DEPTH + d);
                if o >= outer || d >= depth {
                    return 0.0;
                }
                match layout {
                    Layout::Rows => src[o * src_stride + d],
                    Layout::Columns => src[d * src_stride + o],
                }
            };
            for (x, value) in tile.iter_mut().enumerate() {
                let (o, p) = match layout {
                    Layout::Rows => (x / OUTER, x % OUTER),
                    Layout::Columns => (x % OUTER, x / OUTER),
                };
                *value = pair(at(o, 2 * p), at(o, 2 * p + 1));
            }
        }
    }
    if (side, layout) == (Side::Left, Layout::Columns) || (side, layout) == (Side::Right, Layout::Rows) {
        dst.as_chunks_mut::<TILE>().0.iter_mut().for_each(transpose::tile);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
