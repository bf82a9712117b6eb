//! One head's rows in a wide buffer of all heads: as they stand, where they are panels of one block, else copied into panels
//! of their own and back.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use super::panels::{Blocked, Out, Panels, padded};
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
    pub fn elements(&self) -> usize {
        self.rows.len() * padded(self.width)
    }

    /// Whether it is whole panels.
    fn is_aligned(&self) -> bool {
        self.first.is_multiple_of(LANES) && self.width.is_multiple_of(LANES)
    }

    /// Where it begins and how far its panels are apart, if it is whole panels of one block.
    fn in_place(&self, shape: Blocked) -> Option<(usize, usize)> {
        let (first, last) = (self.rows.start, self.rows.end.max(1) - 1);
        let (_, step) = shape.row(first);
        (self.is_aligned() && first / shape.block == last / shape.block).then(|| (shape.at(first, self.first), step))
    }

    /// Calls `f` with where runs of elements stand in the wide buffer and in the part's panels, and how long they are.
    #[inline(always)]
    fn runs(&self, shape: Blocked, mut f: impl FnMut(usize, usize, usize)) {
        let all = self.rows.len();
        let mut done = 0;
        while done < all {
            let row = self.rows.start + done;
            // Rows up to the end of their block stand together in each panel.
            let rows = (shape.block - row % shape.block).min(all - done);
            if self.is_aligned() {
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

/// A part of `x` as it stands, or copied to `own`, which is to hold [`Part::elements`] elements.
pub fn read<'a>(x: &'a [f32], shape: Blocked, part: Part, own: &'a mut [f32]) -> Panels<'a> {
    let (rows, width) = (part.rows.len(), part.width);
    if let Some(at) = part.in_place(shape) {
        return Panels::from(x, at, rows, width);
    }
    gather(own, x, shape, part);
    Panels::new(own, rows, width)
}

vectorised! {
    fn gather(y: &mut [f32], x: &[f32], shape: Blocked, part: Part) {
        part.runs(shape, |from, to, count| y[to..to + count].copy_from_slice(&x[from..from + count]));
    }
}

/// A wide buffer that several threads write parts of.
#[derive(Clone, Copy)]
pub struct Wide<'a> {
    data: *mut f32,
    shape: Blocked,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is an exclusive borrow of its slice, as `&mut [f32]` is; `write` passes on the duty to keep parts disjoint.
unsafe impl Send for Wide<'_> {}
// SAFETY: as above: nothing can be written but by `write`.
unsafe impl Sync for Wide<'_> {}

impl<'a> Wide<'a> {
    /// A buffer of that shape.
    ///
    /// # Panics
    /// If the slice is too short.
    pub fn new(data: &'a mut [f32], shape: Blocked) -> Self {
        assert!(shape.elements() <= data.len(), "{} elements for {shape:?}", data.len());
        Self { data: data.as_mut_ptr(), shape, lifetime: PhantomData }
    }

    /// Calls `f` with what it is to write a part to: the buffer itself, or `own` (of [`Part::elements`] elements), which is
    /// then copied to where it belongs.
    ///
    /// # Panics
    /// If the part exceeds the buffer.
    ///
    /// # Safety
    /// No two parts that are written at the same time overlap.
    pub unsafe fn write(self, part: Part, own: &mut [f32], f: impl FnOnce(Out<'_>)) {
        let shape = self.shape;
        assert!(part.rows.end <= shape.rows && part.first + part.width <= shape.width, "a part exceeds its buffer");
        let (rows, width) = (part.rows.len(), part.width);
        if let Some((first, step)) = part.in_place(shape) {
            // SAFETY: the part lies inside the buffer, and is written here alone.
            return f(unsafe { Out::from(self.data.wrapping_add(first), step, rows, width) });
        }
        f(Out::panels(own, rows, width));
        scatter(self, part, own);
    }
}

vectorised! {
    /// Copies panels to where they belong; [`Wide::write`] has checked the part.
    fn scatter(wide: Wide<'_>, part: Part, x: &[f32]) {
        part.runs(wide.shape, |to, from, count| {
            // SAFETY: `runs` stays inside the part, which lies inside the buffer and which nobody else writes or reads now.
            let y = unsafe { std::slice::from_raw_parts_mut(wide.data.add(to), count) };
            y.copy_from_slice(&x[from..from + count]);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::fp32;
    use super::super::panels::Store;
    use super::*;

    #[test]
    fn what_is_read_comes_back_to_its_place() {
        // Whole panels in one block and across blocks, heads that share a panel, one that lies across two.
        for (rows, width, first, columns) in
            [(20..40, 64, 16, 32), (15..47, 64, 16, 32), (15..47, 40, 12, 10), (3..9, 7, 3, 4)]
        {
            let shape = Blocked { rows: 50, block: 20, width };
            let x: Vec<f32> = (0..shape.elements()).map(|i| i as f32).collect();
            let part = Part { rows: rows.clone(), first, width: columns };
            let is_in_place = rows == (20..40);
            assert_eq!(part.in_place(shape).is_some(), is_in_place);
            let mut own = vec![0.0; part.elements()];
            let head = read(&x, shape, part.clone(), &mut own);
            assert_eq!(head.shape(), (rows.len(), columns));
            for (i, j) in (0..rows.len()).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                assert_eq!(head.panel(j / LANES)[i][j % LANES], x[shape.at(rows.start + i, first + j)]);
            }
            // Back, times one as a matrix.
            let mut one = vec![0.0; columns * padded(columns)];
            let square = Blocked { rows: columns, block: columns, width: columns };
            (0..columns).for_each(|i| one[square.at(i, i)] = 1.0);
            let (mut back, mut spare) = (vec![-1.0; shape.elements()], vec![0.0; part.elements()]);
            let one = Panels::new(&one, columns, columns);
            // SAFETY: the only part.
            unsafe {
                Wide::new(&mut back, shape).write(part, &mut spare, |out| fp32::product(out, head, one, Store::Set));
            }
            for (i, j) in (0..50).flat_map(|i| (0..width).map(move |j| (i, j))) {
                let is_inside = rows.contains(&i) && (first..first + columns).contains(&j);
                let at = shape.at(i, j);
                assert_eq!(back[at], if is_inside { x[at] } else { -1.0 });
            }
        }
    }
}
