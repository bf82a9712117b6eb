//! Gradients that are sums over rows (of biases, gains and shifts) of one layer: each block of rows sums for itself, and
//! the blocks are added up in order, so that no bit depends on who computed which.

use super::layout::place;
use crate::kernels::panels::Store;

/// Where a block's sums stand in its row.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    c: usize,
    a: usize,
    inner: usize,
}

/// One block's sums.
pub(super) struct Block<'a> {
    pub qkv: &'a mut [f32],
    pub proj: &'a mut [f32],
    pub up: &'a mut [f32],
    pub down: &'a mut [f32],
    /// Gain and shift.
    pub ln_1: [&'a mut [f32]; 2],
    pub ln_2: [&'a mut [f32]; 2],
}

impl Sums {
    /// Of a stream of width `c`, heads of width `a` together, and a hidden layer of width `inner`.
    pub fn new(c: usize, a: usize, inner: usize) -> Self {
        Self { c, a, inner }
    }

    /// Of qkv, proj, up, down, and gain and shift of both norms.
    fn widths(self) -> [usize; 8] {
        let Self { c, a, inner } = self;
        [3 * a, c, inner, c, c, c, c, c]
    }

    /// Floats of one block.
    pub fn total(self) -> usize {
        self.widths().iter().sum()
    }

    pub fn split(self, mut row: &mut [f32]) -> Block<'_> {
        let [qkv, proj, up, down, gain_1, shift_1, gain_2, shift_2] = self.widths().map(|width| {
            let (one, rest) = std::mem::take(&mut row).split_at_mut(width);
            row = rest;
            one
        });
        Block { qkv, proj, up, down, ln_1: [gain_1, shift_1], ln_2: [gain_2, shift_2] }
    }

    /// Adds up the blocks into the layer's gradients.
    pub fn store(self, grads: &mut [Vec<f32>], blocks: &[f32], has_norms: bool, store: Store) {
        let places = [
            place::QKV + 1,
            place::PROJ + 1,
            place::UP + 1,
            place::DOWN + 1,
            place::LN_1,
            place::LN_1 + 1,
            place::LN_2,
            place::LN_2 + 1,
        ];
        let mut first = 0;
        for (index, (place, width)) in places.into_iter().zip(self.widths()).enumerate() {
            if index < 4 || has_norms {
                reduce(&mut grads[place], blocks, self.total(), first, store);
            }
            first += width;
        }
    }
}

/// `sum = sum over blocks of their columns first..` in order, each block a row of `total` floats.
pub(super) fn reduce(sum: &mut [f32], blocks: &[f32], total: usize, first: usize, store: Store) {
    if store == Store::Set {
        sum.fill(0.0);
    }
    for block in blocks.chunks_exact(total) {
        sum.iter_mut().zip(&block[first..]).for_each(|(sum, value)| *sum += value);
    }
}
