//! Token and position embedding: launches of `source/embedding.cu`. C = width.

use anyhow::Result;

use super::{Flag, Int, Kernels, ROW_WARPS, f32s, u32s};
use crate::gpu::Span;

impl Kernels {
    /// `x = tokens[id] + positions[t]` // x (M, C), ids u32 (M), each below the vocabulary
    ///
    /// # Errors
    /// If the device fails.
    pub fn embed(&self, x: Span<'_>, ids: Span<'_>, [tokens, positions]: [Span<'_>; 2], context: usize) -> Result<()> {
        let (c, rows) = (self.shape.width, ids.len());
        let needs = vec![
            f32s(x, rows * c),
            u32s(ids, rows),
            f32s(tokens, tokens.len()),
            f32s(positions, context * c),
            Int(rows),
            Int(context),
        ];
        self.run("embed", [rows.div_ceil(ROW_WARPS), 1], ROW_WARPS * 32, needs)
    }

    /// Adds to each token's gradient what flows into its occurrences // d_tokens (V, C), d (M, C), ids u32 (U) distinct,
    /// first (U + 1) into rows (M)
    ///
    /// # Errors
    /// If the device fails.
    pub fn embed_tokens_backward(
        &self,
        d_tokens: Span<'_>,
        d: Span<'_>,
        [ids, first, rows]: [Span<'_>; 3],
    ) -> Result<()> {
        let (c, distinct) = (self.shape.width, ids.len());
        let needs = vec![
            f32s(d_tokens, d_tokens.len()),
            f32s(d, rows.len() * c),
            u32s(ids, distinct),
            u32s(first, distinct + 1),
            u32s(rows, rows.len()),
        ];
        self.run("embed_tokens_backward", [distinct, 1], ROW_WARPS * 32, needs)
    }

    /// Positions' gradients: sums over sequences // d_positions (T, C), d (B, T, C)
    ///
    /// # Errors
    /// If the device fails.
    pub fn embed_positions_backward(
        &self,
        d_positions: Span<'_>,
        d: Span<'_>,
        [sequences, context]: [usize; 2],
        is_added: bool,
    ) -> Result<()> {
        let n = context * self.shape.width;
        let needs = vec![f32s(d_positions, n), f32s(d, sequences * n), Int(sequences), Int(context), Flag(is_added)];
        self.run("embed_positions_backward", [n.div_ceil(256), 1], 256, needs)
    }
}
