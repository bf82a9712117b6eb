//! Products of bf16 pairs on any processor: widened to f32, then multiplied and added with one rounding.

use super::{Block, Panels, TILE};
use crate::kernels::simd::vectorised;

/// Columns of a tile.
const N: usize = 16;

vectorised! {
    /// Adds to one row of results (16) the products of a row of pairs with a tile.
    fn row_times_tile(acc: &mut [f32; N], a: &[u32; N], b: &[u32; TILE]) {
        for (a, b) in a.iter().zip(b.as_chunks::<N>().0) {
            let (low, high) = (f32::from_bits(a << 16), f32::from_bits(a & 0xffff_0000));
            for (acc, b) in acc.iter_mut().zip(b) {
                *acc = low.mul_add(f32::from_bits(b << 16), *acc);
                *acc = high.mul_add(f32::from_bits(b & 0xffff_0000), *acc);
            }
        }
    }
}

/// One 32 x 32 block of a product.
///
/// # Safety
/// The panels and the block lie inside their buffers.
pub unsafe fn block(c: Block, p: Panels) {
    for i in 0..2 * N {
        for (j, b) in p.b.into_iter().enumerate() {
            // SAFETY: row i of the block has two times 16 elements; nothing else refers to them now.
            let out = unsafe { &mut *c.data.add(i * c.row + j * c.panel).cast::<[f32; N]>() };
            let mut acc = if c.is_added { *out } else { [0.0; N] };
            for segment in 0..p.segments {
                for tile in 0..p.tiles {
                    // SAFETY: the panels hold `segments` runs of `tiles` tiles of 16 x 16 pairs each.
                    let (a, b) = unsafe {
                        let a = p.a[i / N].add(segment * p.a_segment + tile * TILE + i % N * N);
                        (&*a.cast::<[u32; N]>(), &*b.add(segment * p.b_segment + tile * TILE).cast::<[u32; TILE]>())
                    };
                    row_times_tile(&mut acc, a, b);
                }
            }
            *out = acc;
        }
    }
}
