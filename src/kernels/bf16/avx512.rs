//! Products of bf16 pairs by `vdpbf16ps` (AVX512-BF16: Cooper Lake, Sapphire Rapids, Zen 4 and later).

use std::arch::x86_64::*;

use super::{Block, Panels, TILE};

/// Whether this processor has the instruction.
pub fn is_available() -> bool {
    is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512f")
}

/// One 32 x 32 block of a product: eight rows at a time, in sixteen registers.
///
/// # Safety
/// AVX512-BF16 is available; the panels and the block lie inside their buffers.
#[target_feature(enable = "avx512f,avx512bf16")]
pub unsafe fn block(c: Block, p: Panels) {
    const ROWS: usize = 8;
    for first in (0..32).step_by(ROWS) {
        let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
        if c.is_added {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, acc) in row.iter_mut().enumerate() {
                    // SAFETY: rows 0..32 of 32 elements lie inside the block.
                    *acc = unsafe { _mm512_loadu_ps(c.data.add((first + i) * c.row + j * c.panel)) };
                }
            }
        }
        for segment in 0..p.segments {
            for tile in 0..p.tiles {
                // SAFETY: the panels hold `segments` runs of `tiles` tiles of 16 x 16 pairs each.
                unsafe {
                    let a = p.a[first / 16].add(segment * p.a_segment + tile * TILE + first % 16 * 16);
                    let b = p.b.map(|b| b.add(segment * p.b_segment + tile * TILE));
                    for pair in 0..16 {
                        let b: [__m512bh; 2] =
                            b.map(|b| std::mem::transmute(_mm512_loadu_si512(b.add(pair * 16).cast())));
                        for (i, row) in acc.iter_mut().enumerate() {
                            let a: __m512bh = std::mem::transmute(_mm512_set1_epi32(*a.add(i * 16 + pair) as i32));
                            row[0] = _mm512_dpbf16_ps(row[0], a, b[0]);
                            row[1] = _mm512_dpbf16_ps(row[1], a, b[1]);
                        }
                    }
                }
            }
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, acc) in row.iter().enumerate() {
                // SAFETY: as above.
                unsafe { _mm512_storeu_ps(c.data.add((first + i) * c.row + j * c.panel), *acc) };
            }
        }
    }
}
