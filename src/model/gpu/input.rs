//! What stands before the layers on the GPU: the embedding, with its norm where it has one.

use anyhow::Result;

use super::batch::OnDevice;
use super::buffer::Buffer;
use super::layer::{Geometry, Sizes};
use super::norm;
use super::state::{Gradients, Weights};
use crate::config::ModelConfig;
use crate::gpu::launch::{AddNorm, Kernels, NormBackward};
use crate::gpu::{Device, Kind, Span};
use crate::model::ends::{LN_EMBED, WPE, WTE};
use crate::model::layout::has_embedding_norm;

/// The embedding's buffers.
#[derive(Default)]
pub(super) struct Input {
    sum: Buffer, // before the norm, where there is one // (M, C)
    stats: Buffer,
    x: Buffer, // what the first layer sees // (M, C)
}

impl Input {
    pub fn sizes(g: &Geometry, m: &ModelConfig) -> Sizes<3> {
        let (n, has_norm) = (g.rows() * g.width, usize::from(has_embedding_norm(m)));
        [(Kind::F32, has_norm * n), (Kind::F32, has_norm * 2 * g.rows()), (Kind::F32, n)]
    }

    fn fit(&mut self, device: &dyn Device, g: &Geometry, m: &ModelConfig) -> Result<()> {
        let all = [&mut self.sum, &mut self.stats, &mut self.x];
        all.into_iter().zip(Self::sizes(g, m)).try_for_each(|(buffer, (kind, len))| buffer.fit(device, kind, len))
    }

    /// What the first active layer sees // f32 (M, C)
    pub fn out(&self, g: &Geometry) -> Span<'_> {
        self.x.span(Kind::F32, g.rows() * g.width)
    }

    pub fn forward(
        &mut self,
        kernels: &Kernels,
        g: &Geometry,
        m: &ModelConfig,
        w: Weights<'_>,
        batch: &OnDevice,
    ) -> Result<()> {
        self.fit(kernels.device(), g, m)?;
        let tables = [w.single(WTE), w.single(WPE)];
        let x = self.out(g);
        if !has_embedding_norm(m) {
            return kernels.embed(x, batch.inputs(), tables, g.context);
        }
        let rows = g.rows();
        let (sum, stats) = (self.sum.span(Kind::F32, rows * g.width), self.stats.span(Kind::F32, 2 * rows));
        kernels.embed(sum, batch.inputs(), tables, g.context)?;
        let norm = Some([w.single(LN_EMBED), w.single(LN_EMBED + 1)]);
        let all = AddNorm { x: Some(sum), norm, stats: Some(stats), normed: Some(x), ..AddNorm::default() };
        kernels.add_norm(all, rows)
    }

    /// The gradients; that of the token table is added to the head's // d f32 (M, C)
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &self,
        kernels: &Kernels,
        g: &Geometry,
        m: &ModelConfig,
        w: Weights<'_>,
        grads: &Gradients,
        batch: &OnDevice,
        d: Span<'_>,
        partials: Span<'_>,
        is_added: bool,
    ) -> Result<()> {
        let rows = g.rows();
        if has_embedding_norm(m) {
            let x = self.sum.span(Kind::F32, rows * g.width);
            let stats = self.stats.span(Kind::F32, 2 * rows);
            let gain = w.single(LN_EMBED);
            let backward = NormBackward { dy: d, x, stats, gain, residual: None, dx: d, copy: None, factor: 0.0 };
            let own = [grads.of(LN_EMBED), grads.of(LN_EMBED + 1)];
            norm::backward(kernels, backward, own, None, partials, rows, is_added)?;
        }
        kernels.embed_tokens_backward(grads.of(WTE), d, batch.occurrences())?;
        let positions = grads.of(WPE);
        if !is_added {
            // Positions that this batch hasn't.
            kernels.device().clear(positions.part(g.context * g.width..positions.len()))?;
        }
        kernels.embed_positions_backward(positions, d, [g.sequences, g.context], is_added)
    }
}
