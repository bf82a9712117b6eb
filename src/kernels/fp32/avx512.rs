//! A block in AVX-512 registers: eight rows by up to three panels, 24 sums.

use std::arch::x86_64::*;

use super::{Block, LANES};

/// Rows of a block.
pub const ROWS: usize = 8;

/// Computes `R` rows of one to three panels.
///
/// # Safety
/// AVX-512 F is there; the block's operands and its result are as large as it says.
#[target_feature(enable = "avx512f")]
pub unsafe fn block<const R: usize, const ACROSS: bool>(block: Block, panels: usize) {
    // SAFETY: the caller's.
    unsafe {
        match panels {
            1 => go::<R, 1, ACROSS>(block),
            2 => go::<R, 2, ACROSS>(block),
            _ => go::<R, 3, ACROSS>(block),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn go<const R: usize, const N: usize, const ACROSS: bool>(w: Block) {
    let mut acc = [[_mm512_setzero_ps(); N]; R];
    let (row, next, step) = if ACROSS { (1, LANES, 0) } else { (LANES, 1, w.a_step - LANES) };
    let (mut a, mut b, mut ahead) = (w.a, w.b, w.ahead);
    let mut depth = w.depth;
    while depth > 0 {
        let run = depth.min(LANES);
        for _ in 0..N {
            _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
            ahead = ahead.wrapping_add(LANES);
        }
        for _ in 0..run {
            // SAFETY: `depth` rows of every panel of `b`, and as many elements of `R` rows of `a`, are there.
            unsafe {
                let rows: [__m512; N] = std::array::from_fn(|j| _mm512_loadu_ps(b.add(j * w.b_panel)));
                for (i, acc) in acc.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a.add(i * row));
                    for (acc, row) in acc.iter_mut().zip(rows) {
                        *acc = _mm512_fmadd_ps(x, row, *acc);
                    }
                }
            }
            (a, b) = (a.wrapping_add(next), b.wrapping_add(LANES));
        }
        a = a.wrapping_add(step);
        depth -= run;
    }
    let last: __mmask16 = (0xffff_u32 >> (LANES - w.lanes)) as __mmask16;
    for j in 0..N {
        let mask = if j + 1 == N { last } else { !0 };
        // SAFETY: the mask leaves alone what lies behind the result's last column.
        unsafe {
            let bias =
                if w.bias.is_null() { _mm512_setzero_ps() } else { _mm512_maskz_loadu_ps(mask, w.bias.add(j * LANES)) };
            for (i, acc) in acc.iter().enumerate() {
                let at = j * w.c_panel + i * w.c_row;
                let mut value = acc[j];
                if !w.bias.is_null() {
                    value = _mm512_add_ps(value, bias);
                }
                if !w.onto.is_null() {
                    value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, w.onto.add(at)));
                }
                _mm512_mask_storeu_ps(w.c.add(at), mask, value);
            }
        }
    }
}
