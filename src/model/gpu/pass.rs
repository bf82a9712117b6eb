//! A pass through the model on the device: forward over the active layers, backward over them in reverse, and the sum of
//! squares of the gradient. What it is asked for, and what is told of it, is the engine's.

use anyhow::Result;

use super::layer::{Activations, Below, Geometry, Layer, Pass};
use super::output::{Backward, Top};
use super::parts::Compact;
use super::state::{Gradients, Group};
use super::{Gpu, Work};
use crate::config::Norm;
use crate::gpu::launch::{Heads, Kernels};
use crate::gpu::{Kind, Span};
use crate::objective::Batch;
use crate::subnetwork::Subnetwork;

impl Work {
    fn heads<'a>(&'a self, g: &Geometry) -> Heads<'a> {
        Heads {
            sequences: g.sequences,
            context: g.context,
            heads: g.heads,
            is_causal: g.is_causal,
            prefixes: self.batch.prefixes(g.sequences),
        }
    }
}

/// A layer that is active, and where its activations and gradients are.
struct Active<'a> {
    slot: usize,
    g: Geometry,
    layer: Layer<'a>,
}

impl Gpu {
    /// Gathers the weights of layers of which only parts are computed.
    pub(super) fn gather(&mut self, subnetwork: &Subnetwork) -> Result<()> {
        let path = subnetwork.path();
        self.work.gathered = None;
        if self.work.compact.len() < path.path_length() {
            self.work.compact.resize_with(path.path_length(), Compact::default);
        }
        for (slot, layer) in path.active().enumerate() {
            if let Some(parts) = subnetwork.parts(slot) {
                self.work.compact[slot].gather(&self.kernels, &self.model, parts, &self.layers[layer])?;
            }
        }
        self.work.gathered = Some(subnetwork.clone());
        Ok(())
    }

    /// The active layers, input side first.
    fn active<'a>(
        layers: &'a [Group],
        compact: &'a [Compact],
        subnetwork: &'a Subnetwork,
        g: Geometry,
    ) -> impl DoubleEndedIterator<Item = Active<'a>> {
        let path: Vec<usize> = subnetwork.path().active().collect();
        path.into_iter().enumerate().map(move |(slot, layer)| {
            let parts = subnetwork.parts(slot);
            let weights = if parts.is_some() { compact[slot].weights() } else { layers[layer].weights() };
            Active { slot, g: g.of_parts(parts), layer: Layer { weights, factor: subnetwork.factor(slot) } }
        })
    }

    /// Runs embedding and active layers; with `is_kept` each layer keeps its activations in a slot of its own, else two
    /// slots take turns. Gives the slot of the last layer.
    pub(super) fn forward(&mut self, batch: &Batch, subnetwork: &Subnetwork, is_kept: bool) -> Result<Option<usize>> {
        let g = self.geometry(batch);
        let slots = if is_kept { subnetwork.path().path_length() } else { 2 };
        let is_together = self.is_together(&g);
        let Self { model, kernels, input, layers, work, .. } = self;
        work.batch.take_inputs(kernels.device(), batch)?;
        // For whole layers: enough for each.
        work.scratch.fit(kernels.device(), &g)?;
        if work.slots.len() < slots {
            work.slots.resize_with(slots, Activations::default);
        }
        work.input.forward(kernels, &g, model, input.weights(), &work.batch)?;
        let mut last: Option<usize> = None;
        for Active { slot, g: of_layer, layer } in Self::active(layers, &work.compact, subnetwork, g) {
            let slot = if is_kept { slot } else { slot % 2 };
            work.slots[slot].fit(kernels.device(), &of_layer)?;
            let (x, heads) = (Self::top(work, &g, last), work.heads(&of_layer));
            kernels.together(is_together, || {
                work.slots[slot].forward(kernels, &of_layer, layer, x, &work.scratch, heads)
            })?;
            last = Some(slot);
        }
        Ok(last)
    }

    /// What the last layer gave // f32 (M, C)
    pub(super) fn top<'a>(work: &'a Work, g: &Geometry, last: Option<usize>) -> Span<'a> {
        last.map_or(work.input.out(g), |slot| work.slots[slot].out(g))
    }

    /// Copies what is predicted, and makes room for the head of it.
    pub(super) fn take_targets(&mut self, g: &Geometry, targets: &[i32]) -> Result<()> {
        let Self { model, vocabulary, kernels, work, .. } = self;
        work.batch.take_targets(kernels.device(), targets)?;
        work.output.fit(kernels.device(), g, model, *vocabulary, work.batch.predicted())
    }

    /// What the head is computed from, behind a forward pass whose last layer is in that slot.
    pub(super) fn for_head<'a>(&'a self, g: &'a Geometry, last: Option<usize>) -> Top<'a> {
        Top {
            kernels: &self.kernels,
            g,
            model: &self.model,
            vocabulary: self.vocabulary,
            input: self.input.weights(),
            output: self.output.weights(),
            x: Self::top(&self.work, g, last),
            batch: &self.work.batch,
        }
    }

    /// Loss (into `results`) and gradient of one micro-batch, weighed by `scale`.
    pub(super) fn loss_and_gradient(
        &mut self,
        batch: &Batch,
        subnetwork: &Subnetwork,
        scale: f32,
        micro: usize,
    ) -> Result<()> {
        let g = self.geometry(batch);
        let (is_added, is_together) = (micro > 0, self.is_together(&g));
        let last = self.forward(batch, subnetwork, true)?;
        self.take_targets(&g, &batch.targets)?;
        self.work.d.fit(self.kernels.device(), Kind::F32, g.rows() * g.width)?;
        let Self { model, kernels, layers, work, .. } = &*self;
        let d = work.d.span(Kind::F32, g.rows() * g.width);
        let backward = Backward { input_grads: &work.input_grads, grads: &work.output_grads, d, scale, is_added };
        let to = work.results.span(Kind::F64, 2 + micro).part(1 + micro..2 + micro);
        work.output.loss(self.for_head(&g, last), to, Some(backward))?;
        let active: Vec<_> = Self::active(layers, &work.compact, subnetwork, g).collect();
        for (slot, Active { g: of_layer, layer, .. }) in active.iter().enumerate().rev() {
            let before = slot.checked_sub(1);
            let x = Self::top(work, &g, before);
            let below = before.map(|slot| Below { factor: active[slot].layer.factor, grads: &work.layer_grads[slot] });
            let heads = work.heads(of_layer);
            let pass = Pass { kernels, g: of_layer, scratch: &work.scratch, heads, is_added };
            let is_prepared = slot + 1 < active.len() && model.norm == Norm::Pre;
            let grads = &work.layer_grads[slot];
            kernels
                .together(is_together, || work.slots[slot].backward(pass, *layer, grads, [x, d], is_prepared, below))?;
        }
        self.work.batch.take_occurrences(self.kernels.device(), &batch.inputs, self.vocabulary)?;
        let Self { model, kernels, input, work, .. } = &*self;
        let d = work.d.span(Kind::F32, g.rows() * g.width);
        let partials = work.scratch.partials(Kernels::norm_blocks(g.rows()) * 3 * g.width);
        let grads = &work.input_grads;
        work.input.backward(kernels, &g, model, input.weights(), grads, &work.batch, d, partials, is_added)
    }

    /// Makes room for the gradients of a subnetwork, and for the results of so many micro-batches.
    pub(super) fn fit_gradients(&mut self, subnetwork: &Subnetwork, micro_batches: usize) -> Result<()> {
        let Self { kernels, input, layers, output, work, .. } = self;
        let path = subnetwork.path();
        work.input_grads.fit(kernels, &input.places)?;
        work.output_grads.fit(kernels, &output.places)?;
        if work.layer_grads.len() < path.path_length() {
            work.layer_grads.resize_with(path.path_length(), Gradients::default);
        }
        for (slot, layer) in path.active().enumerate() {
            let places = match subnetwork.parts(slot) {
                Some(_) => {
                    work.compact[slot].fit_update(kernels, &layers[layer])?;
                    work.compact[slot].places()
                }
                None => &layers[layer].places,
            };
            work.layer_grads[slot].fit(kernels, places)?;
        }
        work.results.fit(kernels.device(), Kind::F64, 1 + micro_batches)
    }

    /// All gradients at hand, flat.
    fn flat_gradients<'a>(work: &'a Work, subnetwork: &Subnetwork) -> impl Iterator<Item = Span<'a>> {
        let layers = work.layer_grads[..subnetwork.path().path_length()].iter().map(Gradients::all);
        std::iter::once(work.input_grads.all()).chain(layers).chain([work.output_grads.all()])
    }

    /// The sum of squares of all gradients, into the first result.
    pub(super) fn square(&mut self, subnetwork: &Subnetwork) -> Result<()> {
        let Self { kernels, work, .. } = self;
        let blocks: usize = Self::flat_gradients(work, subnetwork).map(|g| Kernels::square_blocks(g.len())).sum();
        work.squares.fit(kernels.device(), Kind::F64, blocks)?;
        let squares = work.squares.span(Kind::F64, blocks);
        let mut first = 0;
        for gradient in Self::flat_gradients(work, subnetwork) {
            let blocks = Kernels::square_blocks(gradient.len());
            kernels.squares(squares.part(first..first + blocks), gradient)?;
            first += blocks;
        }
        kernels.sum_partials(work.results.span(Kind::F64, 1), squares)
    }
}
