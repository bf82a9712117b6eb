//! One head's rows: out of a wide buffer of all heads, in blocks of panels, into panels of their own, and back.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use super::panels::{Blocked, padded};
use super::simd::{LANES, vectorised};

/// Columns `first..first + width` of rows `rows`.
#[derive(Clone)]
pub struct Part {
    /// Of the wide buffer.
    pub rows: Range<usize>,
    /// The first column.
    pub first: usize,
    /// Columns.
    pub width: usize,
}

impl Part {
    /// Elements of the panels that hold it.
    pub fn len(&self) -> usize {
        self.rows.len() * padded(self.width)
    }

    /// Calls `f` with where runs of elements stand in the wide buffer and in the part's panels, and how long they are.
    #[inline(always)]
    fn runs(&self, shape: Blocked, mut f: impl FnMut(usize, usize, usize)) {
        let all = self.rows.len();
        let is_aligned = self.first.is_multiple_of(LANES) && self.width.is_multiple_of(LANES);
        let mut done = 0;
        while done < all {
            let row = self.rows.start + done;
            // Rows up to the end of their block stand together in each panel.
            let rows = (shape.block - row % shape.block).min(all - done);
            if is_aligned {
                for t in 0..self.width / LANES {
                    f(shape.at(row, self.first + t * LANES), (t * all + done) * LANES, rows * LANES);
                }
            } else {
                for (i, column) in (0..rows).flat_map(|i| (0..self.width).map(move |column| (i, column))) {
                    let (t, lane) = (column / LANES, column % LANES);
                    f(shape.at(row + i, self.first + column), (t * all + done + i) * LANES + lane, 1);
                }
            }
            done += rows;
        }
    }
}

vectorised! {
    /// Copies a part of `x`, times `factor`, into panels of its own.
    pub fn gather(y: &mut [f32], x: &[f32], shape: Blocked, part: Part, factor: f32) {
        part.runs(shape, |from, to, count| {
            for (y, x) in y[to..to + count].iter_mut().zip(&x[from..from + count]) {
                *y = x * factor;
            }
        });
    }
}

/// A wide buffer that several threads write parts of.
#[derive(Clone, Copy)]
pub struct Wide<'a> {
    data: *mut f32,
    shape: Blocked,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is an exclusive borrow of its slice, as `&mut [f32]` is; `scatter` passes on the duty to keep parts disjoint.
unsafe impl Send for Wide<'_> {}
// SAFETY: as above: nothing can be written but by `scatter`.
unsafe impl Sync for Wide<'_> {}

impl<'a> Wide<'a> {
    /// A buffer of that shape.
    ///
    /// # Panics
    /// If the slice is too short.
    pub fn new(data: &'a mut [f32], shape: Blocked) -> Self {
        assert!(shape.len() <= data.len(), "{} elements for {shape:?}", data.len());
        Self { data: data.as_mut_ptr(), shape, lifetime: PhantomData }
    }

    /// Copies panels, times `factor`, to where they belong.
    ///
    /// # Panics
    /// If the part exceeds the buffer.
    ///
    /// # Safety
    /// No two parts that are written at the same time overlap.
    pub unsafe fn scatter(self, part: Part, x: &[f32], factor: f32) {
        let shape = self.shape;
        assert!(part.rows.end <= shape.rows && part.first + part.width <= shape.width, "a part exceeds its buffer");
        put(self, part, x, factor);
    }
}

vectorised! {
    /// As [`Wide::scatter`], which has checked the part.
    fn put(wide: Wide<'_>, part: Part, x: &[f32], factor: f32) {
        part.runs(wide.shape, |to, from, count| {
            // SAFETY: `runs` stays inside the part, which lies inside the buffer and which nobody else writes or reads now.
            let y = unsafe { std::slice::from_raw_parts_mut(wide.data.add(to), count) };
            for (y, x) in y.iter_mut().zip(&x[from..from + count]) {
                *y = x * factor;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_comes_back_to_its_place() {
        // Whole panels, and heads that share a panel or lie across two; rows across three blocks.
        for (width, first, columns) in [(64, 16, 32), (40, 12, 10), (7, 3, 4)] {
            let shape = Blocked { rows: 50, block: 20, width };
            let x: Vec<f32> = (0..shape.len()).map(|i| i as f32).collect();
            let part = Part { rows: 15..47, first, width: columns };
            let mut head = vec![0.0; part.len()];
            gather(&mut head, &x, shape, part.clone(), 2.0);
            let own = Blocked { rows: 32, block: 32, width: columns };
            for (i, j) in (0..32).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                assert_eq!(head[own.at(i, j)], 2.0 * x[shape.at(15 + i, first + j)]);
            }
            let mut back = vec![-1.0; shape.len()];
            // SAFETY: the only part.
            unsafe { Wide::new(&mut back, shape).scatter(part, &head, 0.5) };
            let mut written = 0;
            for (i, j) in (0..50).flat_map(|i| (0..width).map(move |j| (i, j))) {
                let is_inside = (15..47).contains(&i) && (first..first + columns).contains(&j);
                let at = shape.at(i, j);
                assert_eq!(back[at], if is_inside { x[at] } else { -1.0 });
                written += usize::from(is_inside);
            }
            assert_eq!(written, 32 * columns);
        }
    }
}
