//! The layout of activations: a matrix as panels of 16 columns, each holding its part of all rows, row after row.
//!
//! One layout serves every product, so nothing is packed: a panel's rows are vectors to multiply with (as a right
//! operand), and its elements stand together when they are broadcast (as a left operand, as it is or transposed).
//! Activations of many rows are cut into blocks of rows, each block a matrix of its own. The last panel is padded to 16
//! columns; what stands there is anything, and is never read as a value.
//!
//! [`Panels`] is what is read, [`Out`] what is written: panels, or plain rows (of gradients of weights).
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::simd::{LANES, vectorised};
use super::transpose;

/// Columns that panels of `width` columns take.
pub fn padded(width: usize) -> usize {
    width.next_multiple_of(LANES)
}

/// Panels that can be read.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    data: &'a [f32],
    rows: usize,
    width: usize,
    /// Elements from one panel to the next.
    step: usize,
}

impl<'a> Panels<'a> {
    /// `rows` rows of `width` columns.
    ///
    /// # Panics
    /// If the slice is too short for them.
    pub fn new(data: &'a [f32], rows: usize, width: usize) -> Self {
        assert!(rows * padded(width) <= data.len(), "({rows}, {width}) panels exceed their slice");
        Self { data, rows, width, step: rows * LANES }
    }

    /// A block of rows of `width` columns that fills the slice.
    pub fn filling(data: &'a [f32], width: usize) -> Self {
        Self::new(data, data.len() / padded(width), width)
    }

    /// `rows` rows of `width` columns from where `first` says, panels `step` apart.
    ///
    /// # Panics
    /// If the slice is too short for them.
    pub(super) fn from(data: &'a [f32], (first, step): (usize, usize), rows: usize, width: usize) -> Self {
        let data = &data[first..];
        assert!((width.div_ceil(LANES).max(1) - 1) * step + rows * LANES <= data.len(), "panels exceed their slice");
        Self { data, rows, width, step }
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn rows(self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        let first = (rows.start * LANES).min(self.data.len());
        Self { data: &self.data[first..], rows: rows.len(), ..self }
    }

    /// Some of the columns.
    ///
    /// # Panics
    /// If there are fewer, or they don't begin with a panel.
    pub fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.start.is_multiple_of(LANES) && columns.end <= self.width, "{columns:?} of {}", self.width);
        let first = (columns.start / LANES * self.step).min(self.data.len());
        Self { data: &self.data[first..], width: columns.len(), ..self }
    }

    /// (rows, columns).
    pub fn shape(self) -> (usize, usize) {
        (self.rows, self.width)
    }

    /// The slice and the elements from one panel to the next.
    pub(super) fn layout(self) -> (&'a [f32], usize) {
        (self.data, self.step)
    }

    /// All that its panels and what lies between them take.
    pub fn all(self) -> &'a [f32] {
        let panels = self.width.div_ceil(LANES);
        &self.data[..(panels.max(1) - 1) * self.step + self.rows * LANES]
    }

    /// The rows of panel `t`.
    #[inline(always)]
    pub fn panel(self, t: usize) -> &'a [[f32; LANES]] {
        self.data[t * self.step..][..self.rows * LANES].as_chunks().0
    }
}

/// A result that several threads may write disjoint parts of: panels or plain rows.
pub struct Out<'a> {
    data: *mut f32,
    rows: usize,
    cols: usize,
    /// Elements from one row to the next.
    row: usize,
    /// Elements from one panel to the next.
    panel: usize,
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
    pub fn rows(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        let extent = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * stride + cols };
        assert!(stride >= cols && extent <= data.len(), "a ({rows}, {cols}) result exceeds its slice");
        Self { data: data.as_mut_ptr(), rows, cols, row: stride, panel: LANES, lifetime: PhantomData }
    }

    /// Panels.
    ///
    /// # Panics
    /// If the slice is too short.
    pub fn panels(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert!(rows * padded(cols) <= data.len(), "a ({rows}, {cols}) result exceeds its slice");
        Self { data: data.as_mut_ptr(), rows, cols, row: LANES, panel: rows * LANES, lifetime: PhantomData }
    }

    /// `rows` rows of `cols` columns from `data` on, panels `panel` apart.
    ///
    /// # Safety
    /// All of them can be written, and nothing else refers to them while this is in use.
    pub(super) unsafe fn from(data: *mut f32, panel: usize, rows: usize, cols: usize) -> Self {
        Self { data, rows, cols, row: LANES, panel, lifetime: PhantomData }
    }

    /// A part of it, from a panel's first column on.
    ///
    /// # Panics
    /// If the part exceeds it, or doesn't begin with a panel.
    ///
    /// # Safety
    /// No two parts that are in use at the same time overlap.
    pub unsafe fn part(&self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols && cols.start.is_multiple_of(LANES));
        // SAFETY: the part's first element lies inside, or at the end where the part is empty.
        let data = unsafe { self.data.add(rows.start * self.row + cols.start / LANES * self.panel) };
        Self { data, rows: rows.len(), cols: cols.len(), ..*self }
    }

    /// Its first element.
    pub(super) fn data(&mut self) -> *mut f32 {
        self.data
    }

    /// (rows, columns).
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Elements from one row and one panel to the next.
    pub(super) fn steps(&self) -> (usize, usize) {
        (self.row, self.panel)
    }
}

/// `y` as the panels of a product's result (m, n), and what the product is to call with the number of a first panel and how
/// many of them are done: it hands their first column and the panels themselves to `after`, while they are in cache.
///
/// # Panics
/// If the slice is too short.
pub(super) fn strip_by_strip<'a>(
    y: &'a mut [f32],
    m: usize,
    n: usize,
    mut after: impl FnMut(usize, &mut [f32]),
) -> (Out<'a>, impl FnMut(usize, usize)) {
    let out = Out::panels(y, m, n);
    let (data, panels) = (out.data, n.div_ceil(LANES));
    let done = move |t: usize, count: usize| {
        assert!(t + count <= panels, "panels {t}+{count} of {panels}");
        // SAFETY: these panels lie inside `y`, which is borrowed exclusively; the product that says so is done with them.
        after(t * LANES, unsafe { std::slice::from_raw_parts_mut(data.add(t * m * LANES), count * m * LANES) });
    };
    (out, done)
}

/// What a product contracts over in an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Its columns: rows are the outer dimension.
    Columns,
    /// Its rows.
    Rows,
}

/// What becomes of the destination's old values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// They are overwritten.
    Set,
    /// The result is added to them.
    Add,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub struct Onto<'a> {
    /// The old values, or nothing.
    pub store: Store,
    /// To every row; or empty. // (n)
    pub bias: &'a [f32],
    /// Laid out as the result is; or empty. Only with `Store::Set`. // (m, n)
    pub residual: &'a [f32],
}

impl Onto<'_> {
    /// Whether it fits a result that isn't empty.
    ///
    /// # Panics
    /// If bias or residual are shorter than it.
    pub(super) fn check(&self, c: &Out<'_>) {
        let (bias, n) = (self.bias.len(), c.cols);
        assert!(bias == 0 || bias == n, "a bias of {bias} for {n} columns");
        let extent = (n - 1) / LANES * c.panel + (n - 1) % LANES + (c.rows - 1) * c.row + 1;
        assert!(self.residual.is_empty() || self.residual.len() >= extent, "a residual shorter than its product");
    }
}

impl From<Store> for Onto<'_> {
    fn from(store: Store) -> Self {
        Self { store, bias: &[], residual: &[] }
    }
}

/// A matrix of `rows` rows, in blocks of `block` rows, each of which is panels. (The last block may be shorter.)
#[derive(Clone, Copy, Debug)]
pub struct Blocked {
    /// All rows.
    pub rows: usize,
    /// Rows of a block.
    pub block: usize,
    /// Columns.
    pub width: usize,
}

impl Blocked {
    /// Elements it takes.
    pub fn elements(self) -> usize {
        self.rows * padded(self.width)
    }

    /// Where the first panel's part of a row begins, and the elements from there to the next panel's.
    pub fn row(self, row: usize) -> (usize, usize) {
        let first = row / self.block * self.block;
        let rows = (self.rows - first).min(self.block);
        (first * padded(self.width) + (row - first) * LANES, rows * LANES)
    }

    /// The element at (row, column).
    pub fn at(self, row: usize, column: usize) -> usize {
        let (first, step) = self.row(row);
        first + column / LANES * step + column % LANES
    }
}

vectorised! {
    /// Copies plain rows into panels // y (m, n) panels, x (m, n)
    pub fn from_rows(y: &mut [f32], x: &[f32], width: usize) {
        let rows = x.len() / width;
        for (i, x) in x.chunks_exact(width).enumerate() {
            let (whole, rest) = x.as_chunks::<LANES>();
            for (t, x) in whole.iter().enumerate() {
                y[(t * rows + i) * LANES..][..LANES].copy_from_slice(x);
            }
            if !rest.is_empty() {
                y[(whole.len() * rows + i) * LANES..][..rest.len()].copy_from_slice(rest);
            }
        }
    }
}

/// Copies panels into plain rows // y (m, n), x (m, n) panels
pub fn to_rows(y: &mut [f32], x: Panels<'_>) {
    let (_, width) = x.shape();
    for t in 0..width.div_ceil(LANES) {
        for (y, x) in y.chunks_exact_mut(width).zip(x.panel(t)) {
            let y = &mut y[t * LANES..width.min((t + 1) * LANES)];
            y.copy_from_slice(&x[..y.len()]);
        }
    }
}

/// The bits of up to sixteen rows of sixteen values, a row every `stride`; zeros where there are fewer columns.
#[inline(always)]
fn bits_of(x: &[f32], stride: usize, rows: usize, columns: usize) -> [u32; transpose::TILE] {
    let mut bits = [0; transpose::TILE];
    for (r, bits) in bits.as_chunks_mut::<LANES>().0.iter_mut().enumerate().take(rows) {
        match x[r * stride..].first_chunk::<LANES>() {
            Some(row) if columns == LANES => *bits = row.map(f32::to_bits),
            _ => bits.iter_mut().zip(&x[r * stride..][..columns]).for_each(|(b, x)| *b = x.to_bits()),
        }
    }
    bits
}

/// Puts the first rows of a tile.
#[inline(always)]
fn put_bits(y: &mut [f32], bits: &[u32; transpose::TILE]) {
    y.iter_mut().zip(bits).for_each(|(y, b)| *y = f32::from_bits(*b));
}

/// Copies the transpose of plain rows into panels, in the current pool // y (n, m) panels, x (m, n)
pub fn from_transposed_rows(y: &mut [f32], x: &[f32], n: usize) {
    let m = x.len() / n;
    // Panel t of y holds rows 16 t .. 16 t + 16 of x, one per lane.
    y[..n * padded(m)].par_chunks_mut(n * LANES).zip(x.par_chunks(LANES * n)).for_each(|(y, x)| turn_rows(y, x, n));
}

vectorised! {
    /// One panel of [`from_transposed_rows`].
    fn turn_rows(y: &mut [f32], x: &[f32], n: usize) {
        for (j, y) in y.chunks_mut(transpose::TILE).enumerate() {
            let mut bits = bits_of(&x[j * LANES..], n, x.len() / n, LANES.min(n - j * LANES));
            transpose::tile(&mut bits);
            put_bits(y, &bits);
        }
    }
}

vectorised! {
    /// Copies the transpose of panels into panels, by the calling thread // y (n, m) panels, x (m, n)
    pub fn transposed(y: &mut [f32], x: Panels<'_>) {
        let (m, n) = x.shape();
        let y = &mut y[..n * padded(m)];
        for t in 0..n.div_ceil(LANES) {
            let columns = LANES.min(n - t * LANES);
            for (j, rows) in x.panel(t).chunks(LANES).enumerate() {
                let mut bits = bits_of(rows.as_flattened(), LANES, rows.len(), LANES);
                transpose::tile(&mut bits);
                put_bits(&mut y[(j * n + t * LANES) * LANES..][..columns * LANES], &bits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_panels_and_rows_again_in_every_way() {
        for (m, n) in [(1, 1), (16, 32), (37, 18), (3, 50)] {
            let x: Vec<f32> = (0..m * n).map(|i| i as f32).collect();
            let mut panels = vec![-1.0; m * padded(n)];
            from_rows(&mut panels, &x, n);
            let blocked = Blocked { rows: m, block: m, width: n };
            assert!((0..m * n).all(|i| panels[blocked.at(i / n, i % n)] == x[i]), "({m}, {n})");
            let view = Panels::new(&panels, m, n);
            let mut back = vec![-1.0; m * n];
            to_rows(&mut back, view);
            assert_eq!(back, x);
            // Both transpositions, and back.
            for way in 0..2 {
                let mut turned = vec![-1.0; n * padded(m)];
                match way {
                    0 => from_transposed_rows(&mut turned, &x, n),
                    _ => transposed(&mut turned, view),
                }
                let turned_rows = &mut vec![-1.0; n * m];
                to_rows(turned_rows, Panels::new(&turned, n, m));
                assert!((0..n * m).all(|i| turned_rows[i] == x[i % m * n + i / m]), "({m}, {n}) way {way}");
            }
        }
    }

    #[test]
    fn blocks_are_panels_one_after_the_other() {
        // 5 rows of 17 columns in blocks of 3: two panels of 3 rows, then two of 2.
        let blocked = Blocked { rows: 5, block: 3, width: 17 };
        assert_eq!(blocked.elements(), 5 * 32);
        assert_eq!((blocked.at(2, 3), blocked.at(2, 16)), (2 * 16 + 3, 3 * 16 + 2 * 16));
        assert_eq!((blocked.at(3, 0), blocked.at(4, 16)), (3 * 32, 3 * 32 + 2 * 16 + 16));
    }

    #[test]
    #[should_panic(expected = "exceed")]
    fn panels_too_large_for_their_slice_are_refused() {
        Panels::new(&[0.0; 47], 3, 2);
    }

    #[test]
    #[should_panic(expected = "exceeds")]
    fn a_result_larger_than_its_slice_is_refused() {
        Out::rows(&mut [0.0; 5], 2, 3, 3);
    }
}
