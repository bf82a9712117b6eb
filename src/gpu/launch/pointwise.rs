//! Passes over whole matrices, element by element, and sums over their rows: launches of `source/pointwise.cu`.

use anyhow::Result;

use super::{Flag, Float, Int, Kernels, Long, Needs, elements, f32s, maybe_f32s, u32s};
use crate::gpu::{Kind, Span};

/// Whether an exact GELU, or GPT-2's form with tanh.
pub use crate::kernels::gelu::Gelu;

/// Rows of a block of the passes that sum over rows.
const BAND: usize = 64;
/// Columns of such a block.
const BAND_COLUMNS: usize = 256;

impl Kernels {
    /// How many rows of sums the passes that sum over bands of rows write.
    pub fn bands(rows: usize) -> usize {
        rows.div_ceil(BAND)
    }

    fn band_grid(rows: usize, n: usize) -> [usize; 2] {
        [n.div_ceil(BAND_COLUMNS), Self::bands(rows)]
    }

    /// `act = gelu(pre + bias)` // act, pre (M, n), bias (n)
    ///
    /// # Errors
    /// If the device fails.
    pub fn gelu_forward(
        &self,
        kind: Gelu,
        act: Span<'_>,
        pre: Span<'_>,
        bias: Span<'_>,
        [rows, n]: [usize; 2],
    ) -> Result<()> {
        let m = rows * n;
        let is_exact = Flag(kind == Gelu::Erf);
        let needs = vec![self.store(act, m), self.store(pre, m), f32s(bias, n), Int(rows), Int(n), is_exact];
        self.run("gelu_forward", Self::band_grid(rows, n), BAND_COLUMNS / 2, needs)
    }

    /// `d *= gelu'(pre + bias)`, its sums over each band of rows in `partials` // d, pre (M, n), bias (n), partials
    /// (bands(M), n)
    ///
    /// # Errors
    /// If the device fails.
    pub fn gelu_backward(
        &self,
        kind: Gelu,
        d: Span<'_>,
        [pre, bias]: [Span<'_>; 2],
        partials: Span<'_>,
        [rows, n]: [usize; 2],
    ) -> Result<()> {
        let m = rows * n;
        let partials = f32s(partials, Self::bands(rows) * n);
        let is_exact = Flag(kind == Gelu::Erf);
        let needs = vec![self.store(d, m), self.store(pre, m), f32s(bias, n), partials, Int(rows), Int(n), is_exact];
        self.run("gelu_backward", Self::band_grid(rows, n), BAND_COLUMNS / 2, needs)
    }

    /// Sums over each band of rows // d (M, n), partials (bands(M), n)
    ///
    /// # Errors
    /// If the device fails.
    pub fn column_sums(&self, partials: Span<'_>, d: Span<'_>, [rows, n]: [usize; 2]) -> Result<()> {
        let needs = vec![f32s(partials, Self::bands(rows) * n), self.store(d, rows * n), Int(rows), Int(n)];
        self.run("column_sums", Self::band_grid(rows, n), BAND_COLUMNS / 2, needs)
    }

    /// `dx = residual + dy`, `copy = factor * dx`, and the copy's sums over each band of rows // (M, C), partials (bands(M),
    /// C)
    ///
    /// # Errors
    /// If the device fails.
    pub fn add_gradient(
        &self,
        [residual, dx, partials]: [Option<Span<'_>>; 3],
        [dy, copy]: [Option<Span<'_>>; 2],
        factor: f32,
        rows: usize,
    ) -> Result<()> {
        let c = self.shape.width;
        let m = rows * c;
        let needs = vec![
            maybe_f32s(residual, m),
            self.maybe_store(dy, m),
            maybe_f32s(dx, m),
            self.maybe_store(copy, m),
            Float(factor),
            maybe_f32s(partials, Self::bands(rows) * c),
            Int(rows),
            Int(c),
        ];
        self.run("add_gradient", Self::band_grid(rows, c), BAND_COLUMNS / 2, needs)
    }

    /// `to (+)= ` the sum of `count` partial sums of n that begin `stride` apart.
    ///
    /// # Errors
    /// If the device fails.
    pub fn reduce(&self, to: Span<'_>, partials: Span<'_>, [count, stride]: [usize; 2], is_added: bool) -> Result<()> {
        let n = to.len();
        let needs = vec![
            f32s(to, n),
            f32s(partials, (count - 1) * stride + n),
            Int(count),
            Int(stride),
            Int(n),
            Flag(is_added),
        ];
        self.run("reduce", [n.div_ceil(32), 1], 256, needs)
    }

    /// Makes the copy that products read.
    ///
    /// # Errors
    /// If the device fails.
    pub fn cast(&self, to: Span<'_>, from: Span<'_>) -> Result<()> {
        let n = from.len();
        self.run("cast", [n.div_ceil(256), 1], 256, vec![self.store(to, n), f32s(from, n), Long(n)])
    }

    /// `to[i] = from[rows[i]]` // to (P, C), from (M, C), rows (P), each below M
    ///
    /// # Errors
    /// If the device fails.
    pub fn gather_rows(&self, to: Span<'_>, from: Span<'_>, rows: Span<'_>) -> Result<()> {
        let (c, count) = (self.shape.width, rows.len());
        let needs = vec![f32s(to, count * c), f32s(from, from.len()), u32s(rows, count), Int(count), Int(c)];
        self.run("gather_rows", elements(count * c), 256, needs)
    }

    /// The way back // to (M, C), from (P, C), place i32 (M): -1, or a row below P
    ///
    /// # Errors
    /// If the device fails.
    pub fn scatter_rows(&self, to: Span<'_>, from: Span<'_>, place: Span<'_>) -> Result<()> {
        let (c, rows) = (self.shape.width, place.len());
        let place = Needs::Of(Some(place), Kind::I32, rows);
        let needs = vec![f32s(to, rows * c), f32s(from, from.len()), place, Int(rows), Int(c)];
        self.run("scatter_rows", elements(rows * c), 256, needs)
    }

    /// Some rows and columns of a matrix of `width` columns // part (rows.len(), columns.len())
    ///
    /// # Errors
    /// If the device fails.
    pub fn gather_part(&self, part: Span<'_>, whole: Span<'_>, at: [Span<'_>; 2], width: usize) -> Result<()> {
        let n = at[0].len() * at[1].len();
        self.part("gather_part", [f32s(part, n), f32s(whole, whole.len())], at, width)
    }

    /// And back into it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn scatter_part(&self, whole: Span<'_>, part: Span<'_>, at: [Span<'_>; 2], width: usize) -> Result<()> {
        let n = at[0].len() * at[1].len();
        self.part("scatter_part", [f32s(whole, whole.len()), f32s(part, n)], at, width)
    }

    /// The two of them: from one of the matrices to the other, by rows and columns of the whole one.
    fn part(
        &self,
        kernel: &'static str,
        [to, from]: [Needs<'_>; 2],
        [rows, columns]: [Span<'_>; 2],
        width: usize,
    ) -> Result<()> {
        let (r, c) = (rows.len(), columns.len());
        let needs = vec![to, from, u32s(rows, r), u32s(columns, c), Int(r), Int(c), Int(width)];
        self.run(kernel, elements(r * c), 256, needs)
    }
}
