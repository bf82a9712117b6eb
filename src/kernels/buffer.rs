//! Memory whose elements begin at a cache line: a vector register's width then never lies across two lines, which is
//! worth a tenth of a product's speed.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// Words of a cache line.
const WORDS: usize = 16;

/// A cache line.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Line([u32; WORDS]);

/// What a buffer can hold: four bytes, any of which is a value.
pub trait Word: Copy + sealed::Sealed {}
impl Word for f32 {}
impl Word for u32 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// A vector of `f32` or `u32`, aligned to a cache line. Its memory only ever grows.
pub struct Buffer<T> {
    lines: Vec<Line>,
    len: usize,
    words: PhantomData<T>,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), len: 0, words: PhantomData }
    }
}

impl<T: Word> Buffer<T> {
    /// Makes it `n` elements long; what they hold is of no matter. (Zeros when memory is new.)
    pub fn fit(&mut self, n: usize) -> &mut [T] {
        let lines = n.div_ceil(WORDS);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::default());
        }
        self.len = n;
        self
    }
}

impl<T: Word> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold at least `len` words, and any four bytes are a `T`, of lower alignment than a line.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Word> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and any `T` makes a valid word of a line.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_cache_line_and_keeps_what_it_holds() {
        let mut buffer = Buffer::<f32>::default();
        assert!(buffer.is_empty());
        for n in [1, 17, 5, 1000] {
            let slice = buffer.fit(n);
            assert_eq!((slice.len(), slice.as_ptr() as usize % 64), (n, 0));
            slice[n - 1] = n as f32;
        }
        assert_eq!((buffer[16], buffer[4], buffer.len()), (17.0, 5.0, 1000));
    }
}
