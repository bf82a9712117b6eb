//! Attention: launches of `source/attention.cu` and `source/attention_tensor.cu`.

use anyhow::Result;

use super::{Flag, Int, Kernels, Needs, elements, f32s};
#[cfg(doc)]
use crate::gpu::source::Shape;
use crate::gpu::{Kind, Span};

/// Queries or keys of a block of plain attention.
const ATTENTION_WARPS: usize = 4;
/// The same on the tensor cores.
const TILE: usize = 64;

/// A batch for attention.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    /// B
    pub sequences: usize,
    /// T
    pub context: usize,
    /// H, those that are computed.
    pub heads: usize,
    /// Whether a position sees only itself and those before it.
    pub is_causal: bool,
    /// How many leading positions see one another all the same // u32 (B)
    pub prefixes: Option<Span<'a>>,
}

/// Attention. A = heads that are computed times their width.
impl Kernels {
    /// Kernel, grid and how many rows, of attention over queries or keys.
    fn attention(&self, plain: &'static str, tensor: &'static str, h: Heads<'_>) -> (&'static str, [usize; 2]) {
        let (name, rows) = if self.shape.has_tensor_attention() { (tensor, TILE) } else { (plain, ATTENTION_WARPS) };
        (name, [h.context.div_ceil(rows), h.sequences * h.heads])
    }

    fn heads<'a>(h: Heads<'a>) -> [Needs<'a>; 4] {
        let prefixes = Needs::Of(h.prefixes, Kind::U32, h.sequences);
        [prefixes, Int(h.context), Int(h.heads), Flag(h.is_causal)]
    }

    /// Elements of a (B, H, T) buffer, and of an (M, A) one.
    fn sizes(&self, h: Heads<'_>) -> [usize; 2] {
        let statistics = h.sequences * h.heads * h.context;
        [statistics, statistics * self.shape.head]
    }

    /// `out = softmax(q k^T / sqrt(head)) v` of each head // out (M, A), lse (B, H, T), qkv (M, 3A)
    ///
    /// # Errors
    /// If the device fails.
    pub fn attention_forward(&self, out: Span<'_>, lse: Span<'_>, qkv: Span<'_>, h: Heads<'_>) -> Result<()> {
        let [statistics, a] = self.sizes(h);
        let (name, grid) = self.attention("attention_forward", "attention_forward_tensor", h);
        let mut needs = vec![self.store(out, a), f32s(lse, statistics), self.store(qkv, 3 * a)];
        needs.extend(Self::heads(h));
        self.run(name, grid, 128, needs)
    }

    /// The gradient of queries, keys and values // d_qkv, qkv (M, 3A), d_out, out (M, A), lse, delta (scratch) (B, H, T)
    ///
    /// With `d_queries`, where [`Shape::has_loose_attention`], by the quicker way whose last bits differ from time to time //
    /// f32 (M, A), zeros before and behind
    ///
    /// # Errors
    /// If the device fails.
    pub fn attention_backward(
        &self,
        d_qkv: Span<'_>,
        [d_out, out, qkv]: [Span<'_>; 3],
        [lse, delta]: [Span<'_>; 2],
        d_queries: Option<Span<'_>>,
        h: Heads<'_>,
    ) -> Result<()> {
        let [statistics, a] = self.sizes(h);
        let needs =
            vec![f32s(delta, statistics), self.store(d_out, a), self.store(out, a), Int(h.context), Int(h.heads)];
        let rows = [h.context.div_ceil(ATTENTION_WARPS), h.sequences * h.heads];
        self.run("attention_delta", rows, 128, needs)?;
        let read = || {
            let mut needs =
                vec![self.store(d_out, a), self.store(qkv, 3 * a), f32s(lse, statistics), f32s(delta, statistics)];
            needs.extend(Self::heads(h));
            needs
        };
        if let Some(d_queries) = d_queries {
            let mut needs = vec![self.store(d_qkv, 3 * a), f32s(d_queries, a)];
            needs.extend(read());
            let tiles = [h.context.div_ceil(TILE), h.sequences * h.heads];
            self.run("attention_backward_tensor", tiles, 128, needs)?;
            let (rows, width) = (h.sequences * h.context, h.heads * self.shape.head);
            assert!(a < 1 << 32, "{a} elements are counted in 32 bits");
            let needs = vec![self.store(d_qkv, 3 * a), f32s(d_queries, a), Int(rows), Int(width)];
            return self.run("attention_take_queries", elements(a / 4), 256, needs);
        }
        for (plain, tensor) in [
            ("attention_backward_queries", "attention_backward_queries_tensor"),
            ("attention_backward_keys", "attention_backward_keys_tensor"),
        ] {
            let (name, grid) = self.attention(plain, tensor, h);
            let mut needs = vec![self.store(d_qkv, 3 * a)];
            needs.extend(read());
            self.run(name, grid, 128, needs)?;
        }
        Ok(())
    }
}
