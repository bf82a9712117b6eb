//! A block as loops that the compiler turns into vectors: four rows by one panel, which fit the sixteen registers of AVX2
//! and the thirty-two of NEON.

use super::{Block, LANES, further};
use crate::kernels::simd::vectorised;

/// Rows of a block.
pub const ROWS: usize = 4;

/// `ROWS` rows of some panels.
///
/// # Safety
/// The block's operands and its result are as large as it says.
pub unsafe fn rows<const ACROSS: bool>(block: Block, panels: usize) {
    for j in 0..panels {
        if ACROSS { four_across(panel(block, j, panels)) } else { four_along(panel(block, j, panels)) }
    }
}

/// As [`rows`], of one row.
///
/// # Safety
/// As there.
pub unsafe fn row<const ACROSS: bool>(block: Block, panels: usize) {
    for j in 0..panels {
        if ACROSS { one_across(panel(block, j, panels)) } else { one_along(panel(block, j, panels)) }
    }
}

/// Panel `j` of a block by itself.
fn panel(block: Block, j: usize, panels: usize) -> Block {
    Block {
        b: block.b.wrapping_add(j * block.b_panel),
        c: block.c.wrapping_add(j * block.c_panel),
        lanes: if j + 1 == panels { block.lanes } else { LANES },
        onto: further(block.onto, j * block.c_panel),
        bias: further(block.bias, j * LANES),
        ..block
    }
}

vectorised! {
    fn four_along(block: Block) {
        go::<ROWS, false>(block);
    }
}

vectorised! {
    fn four_across(block: Block) {
        go::<ROWS, true>(block);
    }
}

vectorised! {
    fn one_along(block: Block) {
        go::<1, false>(block);
    }
}

vectorised! {
    fn one_across(block: Block) {
        go::<1, true>(block);
    }
}

#[inline(always)]
fn go<const R: usize, const ACROSS: bool>(w: Block) {
    let mut acc = [[0.0f32; LANES]; R];
    let (row, next, step) = if ACROSS { (1, LANES, 0) } else { (LANES, 1, w.a_step - LANES) };
    let (mut a, mut b) = (w.a, w.b);
    let mut depth = w.depth;
    while depth > 0 {
        let run = depth.min(LANES);
        for _ in 0..run {
            // SAFETY: `depth` rows of `b`, and as many elements of `R` rows of `a`, are there.
            let b_row = unsafe { &*b.cast::<[f32; LANES]>() };
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: as above.
                let x = unsafe { *a.add(i * row) };
                for (acc, b) in acc.iter_mut().zip(b_row) {
                    *acc = x.mul_add(*b, *acc);
                }
            }
            (a, b) = (a.wrapping_add(next), b.wrapping_add(LANES));
        }
        a = a.wrapping_add(step);
        depth -= run;
    }
    for (i, acc) in acc.iter().enumerate() {
        for (l, value) in acc.iter().take(w.lanes).enumerate() {
            // SAFETY: these lanes of these rows are the result's; `onto` and `bias` reach as far.
            unsafe {
                let mut value = *value;
                if !w.bias.is_null() {
                    value += *w.bias.add(l);
                }
                if !w.onto.is_null() {
                    value += *w.onto.add(i * w.c_row + l);
                }
                *w.c.add(i * w.c_row + l) = value;
            }
        }
    }
}
