//! Transposition of tiles of 16 x 16, which AVX-512 turns in registers.
#![allow(unsafe_code)]

use super::simd::{Level, level};

/// Rows and columns of a tile.
pub const SIDE: usize = 16;
/// Elements of a tile.
pub const TILE: usize = SIDE * SIDE;

/// Transposes a tile in place.
#[inline]
pub fn tile(tile: &mut [u32; TILE]) {
    #[cfg(target_arch = "x86_64")]
    if level() == Level::Avx512 {
        // SAFETY: the level says that AVX-512 F is there.
        return unsafe { avx512(tile) };
    }
    for i in 0..SIDE {
        for j in 0..i {
            tile.swap(i * SIDE + j, j * SIDE + i);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(tile: &mut [u32; TILE]) {
    use std::arch::x86_64::*;

    let at = tile.as_mut_ptr();
    // SAFETY: sixteen rows of sixteen elements each.
    let rows: [__m512i; 16] = std::array::from_fn(|i| unsafe { _mm512_loadu_si512(at.add(i * 16).cast()) });
    let mut a = [_mm512_setzero_si512(); 16];
    for i in 0..8 {
        a[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // b[4 q + j]: columns j, j + 4, j + 8, j + 12 of rows 4 q .. 4 q + 4, one column per 128 bits.
    let mut b = [_mm512_setzero_si512(); 16];
    for q in 0..4 {
        b[4 * q] = _mm512_unpacklo_epi64(a[4 * q], a[4 * q + 2]);
        b[4 * q + 1] = _mm512_unpackhi_epi64(a[4 * q], a[4 * q + 2]);
        b[4 * q + 2] = _mm512_unpacklo_epi64(a[4 * q + 1], a[4 * q + 3]);
        b[4 * q + 3] = _mm512_unpackhi_epi64(a[4 * q + 1], a[4 * q + 3]);
    }
    for j in 0..4 {
        let (p, q, r, s) = (b[j], b[4 + j], b[8 + j], b[12 + j]);
        let (even_low, odd_low) = (_mm512_shuffle_i32x4::<0x88>(p, q), _mm512_shuffle_i32x4::<0xdd>(p, q));
        let (even_high, odd_high) = (_mm512_shuffle_i32x4::<0x88>(r, s), _mm512_shuffle_i32x4::<0xdd>(r, s));
        let columns = [
            (j, _mm512_shuffle_i32x4::<0x88>(even_low, even_high)),
            (j + 8, _mm512_shuffle_i32x4::<0xdd>(even_low, even_high)),
            (j + 4, _mm512_shuffle_i32x4::<0x88>(odd_low, odd_high)),
            (j + 12, _mm512_shuffle_i32x4::<0xdd>(odd_low, odd_high)),
        ];
        for (column, values) in columns {
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(at.add(column * 16).cast(), values) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_transposed() {
        let mut bits: [u32; TILE] = std::array::from_fn(|i| i as u32);
        tile(&mut bits);
        assert!((0..TILE).all(|x| bits[x] as usize == x % SIDE * SIDE + x / SIDE));
    }
}
