//! Sharing work over fixed blocks of rows of several buffers at once.
//!
//! Blocks depend on shapes alone, never on the number of threads, and each is computed by one thread from beginning to
//! end while it is in that thread's cache. Nothing here allocates once each thread's scratch has grown.

use std::cell::RefCell;

use super::buffer::Buffer;

/// A buffer that is shared out block by block.
pub struct Band<'a, T> {
    data: &'a mut [T],
    block: usize,
}

impl<'a, T> Band<'a, T> {
    /// `block` elements per block; the last may have fewer, an empty buffer gives empty blocks.
    pub fn new(data: &'a mut [T], block: usize) -> Self {
        Self { data, block }
    }

    /// Keeps the first `blocks` blocks and returns the others.
    fn split_off(&mut self, blocks: usize) -> Self {
        let data = std::mem::take(&mut self.data);
        let (left, right) = data.split_at_mut((blocks * self.block).min(data.len()));
        self.data = left;
        Self { data: right, block: self.block }
    }
}

/// Calls `f` with the index of each of `count` blocks and that block of every band, in the current pool.
pub fn for_blocks<T: Send, U: Send, const N: usize, const M: usize>(
    count: usize,
    first: [Band<'_, T>; N],
    second: [Band<'_, U>; M],
    f: impl Fn(usize, [&mut [T]; N], [&mut [U]; M]) + Sync,
) {
    go(0, count, first, second, &f);
}

fn go<T: Send, U: Send, const N: usize, const M: usize>(
    start: usize,
    count: usize,
    mut first: [Band<'_, T>; N],
    mut second: [Band<'_, U>; M],
    f: &(impl Fn(usize, [&mut [T]; N], [&mut [U]; M]) + Sync),
) {
    match count {
        0 => {}
        1 => f(start, first.map(|band| band.data), second.map(|band| band.data)),
        _ => {
            let half = count / 2;
            let right_first = first.each_mut().map(|band| band.split_off(half));
            let right_second = second.each_mut().map(|band| band.split_off(half));
            rayon::join(
                || go(start, half, first, second, f),
                || go(start + half, count - half, right_first, right_second, f),
            );
        }
    }
}

/// Memory that a thread keeps for itself from block to block.
#[derive(Default)]
pub struct Scratch {
    floats: [Buffer<f32>; 3],
    packed: Buffer<u32>,
}

impl Scratch {
    /// Three buffers of these lengths (what they hold is of no matter), and the one for packing.
    pub fn take(&mut self, lengths: [usize; 3]) -> ([&mut [f32]; 3], &mut Buffer<u32>) {
        let mut lengths = lengths.into_iter();
        let floats = self.floats.each_mut().map(|buffer| buffer.fit(lengths.next().unwrap_or(0)));
        (floats, &mut self.packed)
    }
}

/// Calls `f` with this thread's scratch. Not to be nested.
pub fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_every_band_is_visited_once() {
        let (mut a, mut b, mut none) = (vec![0u32; 23], vec![0u32; 7], Vec::<u8>::new());
        // Blocks of five rows, of which b has one element each.
        for_blocks(
            5,
            [Band::new(&mut a, 5), Band::new(&mut b, 1)],
            [Band::new(&mut none, 3)],
            |block, [a, b], [none]| {
                assert!(none.is_empty());
                a.iter_mut().chain(b).for_each(|x| *x += block as u32 + 1);
            },
        );
        assert!(a.iter().enumerate().all(|(i, &x)| x as usize == i / 5 + 1));
        assert_eq!(b, [1, 2, 3, 4, 5, 5, 5], "what is left over goes to the last block");
    }
}
