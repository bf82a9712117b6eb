//! Layer norm with what stands around it: launches of `source/norm.cu`. M = rows, C = width.

use anyhow::Result;

use super::{Float, Int, Kernels, ROW_WARPS, f32s, maybe_f32s};
use crate::gpu::Span;

/// Rows of a block of [`Kernels::norm_backward`].
const NORM_ROWS: usize = 64;

/// A norm's gain and shift // (C) each
pub type Norm<'a> = [Span<'a>; 2];

/// What [`Kernels::add_norm`] reads and writes; what is `None` is left out.
#[derive(Clone, Copy, Default)]
pub struct AddNorm<'a> {
    /// The residual stream // f32 (M, C)
    pub x: Option<Span<'a>>,
    /// The branch // (M, C)
    pub y: Option<Span<'a>>,
    /// The branch's bias // (C)
    pub bias: Option<Span<'a>>,
    /// Factor on branch and bias.
    pub factor: f32,
    /// Gain and shift.
    pub norm: Option<Norm<'a>>,
    /// `x + factor (y + bias)` // f32 (M, C)
    pub sum: Option<Span<'a>>,
    /// Mean and reciprocal deviation of each row // (M, 2)
    pub stats: Option<Span<'a>>,
    /// The norm of the sum, or the sum // f32 (M, C)
    pub normed: Option<Span<'a>>,
    /// The same, as activations are kept // (M, C)
    pub copy: Option<Span<'a>>,
}

/// What [`Kernels::norm_backward`] reads and writes.
#[derive(Clone, Copy)]
pub struct NormBackward<'a> {
    /// The gradient of the norm's output, as activations are kept or f32 // (M, C)
    pub dy: Span<'a>,
    /// The norm's input // f32 (M, C)
    pub x: Span<'a>,
    /// (M, 2)
    pub stats: Span<'a>,
    /// (C)
    pub gain: Span<'a>,
    /// What else flows into the input's gradient // f32 (M, C)
    pub residual: Option<Span<'a>>,
    /// The input's gradient // f32 (M, C)
    pub dx: Span<'a>,
    /// `factor * dx` // (M, C)
    pub copy: Option<Span<'a>>,
    /// See `copy`.
    pub factor: f32,
}

impl Kernels {
    /// `sum = x + factor (y + bias)`, and its norm // of `rows` rows
    ///
    /// # Errors
    /// If the device fails.
    pub fn add_norm(&self, a: AddNorm<'_>, rows: usize) -> Result<()> {
        let c = self.shape.width;
        let m = rows * c;
        let [gain, shift] = a.norm.map_or([None; 2], |norm| norm.map(Some));
        let needs = vec![
            maybe_f32s(a.x, m),
            self.maybe_store(a.y, m),
            maybe_f32s(a.bias, c),
            Float(a.factor),
            maybe_f32s(gain, c),
            maybe_f32s(shift, c),
            maybe_f32s(a.sum, m),
            maybe_f32s(a.stats, 2 * rows),
            maybe_f32s(a.normed, m),
            self.maybe_store(a.copy, m),
            Int(rows),
        ];
        self.run("add_norm", [rows.div_ceil(ROW_WARPS), 1], ROW_WARPS * 32, needs)
    }

    /// How many rows of three sums [`Self::norm_backward`] writes.
    pub fn norm_blocks(rows: usize) -> usize {
        rows.div_ceil(NORM_ROWS)
    }

    /// A norm's backward pass. Each block's sums for the gradients of gain, shift and the bias before go to `partials` //
    /// (norm_blocks(M), 3, C)
    ///
    /// # Errors
    /// If the device fails.
    pub fn norm_backward(&self, b: NormBackward<'_>, partials: Span<'_>, rows: usize) -> Result<()> {
        let c = self.shape.width;
        let m = rows * c;
        let blocks = Self::norm_blocks(rows);
        let [kept, single] = if b.dy.kind() == self.shape.store { [Some(b.dy), None] } else { [None, Some(b.dy)] };
        let needs = vec![
            self.maybe_store(kept, m),
            maybe_f32s(single, m),
            f32s(b.x, m),
            f32s(b.stats, 2 * rows),
            f32s(b.gain, c),
            maybe_f32s(b.residual, m),
            f32s(b.dx, m),
            self.maybe_store(b.copy, m),
            Float(b.factor),
            f32s(partials, blocks * 3 * c),
            Int(rows),
        ];
        self.run("norm_backward", [blocks, 1], ROW_WARPS * 32, needs)
    }
}
