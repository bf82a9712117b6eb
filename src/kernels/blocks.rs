//! Sharing work over fixed blocks: of rows of several buffers at once, or of parts of one result.
//!
//! Blocks depend on shapes alone, never on the number of threads, and each is computed by one thread from beginning to
//! end while it is in that thread's cache. Nothing here allocates once each thread's scratch has grown.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

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

/// A row-major result that several threads may write disjoint parts of.
pub struct Out<'a> {
    data: *mut f32,
    rows: usize,
    cols: usize,
    stride: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: an `Out` is an exclusive borrow of what it covers, as `&mut [f32]` is; `part` passes on the duty to keep parts
// disjoint.
unsafe impl Send for Out<'_> {}
// SAFETY: as above: through a shared reference nothing can be written but by `part`.
unsafe impl Sync for Out<'_> {}

impl<'a> Out<'a> {
    /// Rows of `cols` elements, one every `stride`.
    ///
    /// # Panics
    /// If the slice is too short, or rows overlap.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        let extent = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * stride + cols };
        assert!(stride >= cols && extent <= data.len(), "a ({rows}, {cols}) result exceeds its slice");
        Self { data: data.as_mut_ptr(), rows, cols, stride, lifetime: PhantomData }
    }

    /// A part of it.
    ///
    /// # Panics
    /// If the part exceeds it.
    ///
    /// # Safety
    /// No two parts that are in use at the same time overlap.
    pub unsafe fn part(&self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "a part exceeds its result");
        // SAFETY: the part's first element lies inside, or at the end where the part is empty.
        let data = unsafe { self.data.add(rows.start * self.stride + cols.start) };
        Self { data, rows: rows.len(), cols: cols.len(), stride: self.stride, lifetime: PhantomData }
    }

    pub(super) fn data(&mut self) -> *mut f32 {
        self.data
    }

    /// (rows, columns, stride).
    pub(super) fn shape(&self) -> (usize, usize, usize) {
        (self.rows, self.cols, self.stride)
    }
}

/// Memory that a thread keeps for itself from block to block.
#[derive(Default)]
pub struct Scratch {
    first: Vec<f32>,
    second: Vec<f32>,
    third: Vec<f32>,
    packed: Vec<u32>,
}

impl Scratch {
    /// Three buffers of at least these lengths, cut to them (what they hold is of no matter), and the one for packing.
    pub fn take(&mut self, lengths: [usize; 3]) -> ([&mut [f32]; 3], &mut Vec<u32>) {
        let Self { first, second, third, packed } = self;
        let [a, b, c] = lengths;
        ([at_least(first, a), at_least(second, b), at_least(third, c)], packed)
    }
}

/// A buffer that only ever grows, cut to `n`; what it held is of no matter.
pub fn at_least<T: Clone + Default>(buffer: &mut Vec<T>, n: usize) -> &mut [T] {
    if buffer.len() < n {
        buffer.resize(n, T::default());
    }
    &mut buffer[..n]
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

    #[test]
    #[should_panic(expected = "exceeds")]
    fn a_result_larger_than_its_slice_is_refused() {
        Out::new(&mut [0.0; 5], 2, 3, 3);
    }
}
