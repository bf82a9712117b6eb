//! The fast engine on a GPU: explicit forward and backward over the kernels of `gpu`.
//!
//! The same loop as the CPU's (`fast`): forward over the active layers, backward over them in reverse, the optimizer over
//! their parameters alone; a skipped layer launches nothing. Weights, moments, activations and gradients stay on the
//! device, in buffers that are kept from step to step; the host waits once per step, for loss and gradient norm together.
//! Knows nothing of schedules, data or files, nor of the device beyond `gpu::Device`.

mod batch;
mod buffer;
mod ends;
mod layer;
pub mod memory;
mod parts;
mod state;

use anyhow::{Context, Result, ensure};

use self::batch::OnDevice;
use self::buffer::{Buffer, download};
use self::ends::{Backward, Input, Output, VOCABULARY_UNIT};
use self::layer::{Activations, Below, Geometry, Layer, Pass, Scratch};
use self::parts::Compact;
use self::state::{Gradients, Group};
use super::{Engine, Parameter, UpdateRule, check_batch, layout};
use crate::config::{ModelConfig, Norm, Precision};
use crate::gpu::device::OutOfMemory;
use crate::gpu::launch::{Heads, Kernels};
use crate::gpu::source::{MOST_WIDTH, Shape};
use crate::gpu::{Device, Kind, Span};
use crate::objective::Batch;
use crate::subnetwork::Subnetwork;

/// The engine.
pub struct Gpu {
    model: ModelConfig,
    vocabulary: usize,
    kernels: Kernels,
    input: Group,
    layers: Vec<Group>,
    output: Group,
    work: Work,
}

/// Buffers that outlive a step.
#[derive(Default)]
struct Work {
    batch: OnDevice,
    input: Input,
    slots: Vec<Activations>,
    /// One per active layer of which only parts are computed.
    compact: Vec<Compact>,
    output: Output,
    scratch: Scratch,
    d: Buffer, // gradient of the residual stream // f32 (M, C)
    input_grads: Gradients,
    /// One per active layer of the last gradient, in order.
    layer_grads: Vec<Gradients>,
    output_grads: Gradients,
    squares: Buffer, // f64, of blocks of gradients
    results: Buffer, // f64: the sum of squares, and each micro-batch's loss
    /// Whose parts `compact` holds.
    gathered: Option<Subnetwork>,
    /// The subnetwork of the gradient at hand, and its norm.
    gradient: Option<(Subnetwork, f64)>,
}

/// What the kernels are compiled for.
pub fn shape(model: &ModelConfig, precision: Precision) -> Shape {
    let store = if precision == Precision::Bf16 { Kind::Bf16 } else { Kind::F32 };
    Shape { width: model.width, head: model.width / model.heads, store }
}

impl Gpu {
    /// The engine with initial weights from the seed, on a device that was opened for [`shape`].
    ///
    /// # Errors
    /// If the model is too wide, or the device has not the memory or fails.
    pub fn new(
        device: Box<dyn Device>,
        model: &ModelConfig,
        vocabulary: usize,
        seed: u64,
        precision: Precision,
    ) -> Result<Self> {
        ensure!(model.width <= MOST_WIDTH, "model.width is {}, on a GPU at most {MOST_WIDTH}", model.width);
        let kernels = Kernels::new(device, shape(model, precision));
        let group = |names, rows| {
            let group = Group::new(&kernels, names, rows);
            group.map_err(|e| memory::explained(e, kernels.device(), "the weights and their moments", None))
        };
        let input = group(layout::input_shapes(model, vocabulary), VOCABULARY_UNIT)?;
        let layers = (0..model.layers).map(|_| group(layout::layer_shapes(model), 1)).collect::<Result<_>>()?;
        let output = group(layout::output_shapes(model, vocabulary), 1)?;
        let mut engine =
            Self { model: model.clone(), vocabulary, kernels, input, layers, output, work: Work::default() };
        engine.put(&layout::initial(model, vocabulary, seed))?;
        Ok(engine)
    }

    /// Bytes of the device's memory that are taken, by this engine and by all else on the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn used_memory(&self) -> Result<u64> {
        let [free, total] = self.kernels.device().memory()?;
        Ok(total - free)
    }

    fn put(&mut self, all: &[Parameter]) -> Result<()> {
        let mut rest = all;
        let groups = std::iter::once(&mut self.input).chain(&mut self.layers).chain([&mut self.output]);
        for group in groups {
            let (own, others) = rest.split_at(group.names().len());
            group.set(&self.kernels, own)?;
            rest = others;
        }
        Ok(())
    }

    fn geometry(&self, batch: &Batch) -> Geometry {
        Geometry::new(&self.model, self.kernels.shape().store, batch.sequences, batch.context)
    }

    /// Bytes of a batch's own part of the memory, in an error.
    fn told(&self, error: anyhow::Error, batch: &Batch, length: usize, is_trained: bool) -> anyhow::Error {
        if error.downcast_ref::<OutOfMemory>().is_none() {
            return error;
        }
        let step = memory::Step {
            model: &self.model,
            vocabulary: self.vocabulary,
            store: self.kernels.shape().store,
            context: batch.context,
            predicted: batch.predicted() as f64 / batch.inputs.len().max(1) as f64,
            length,
            is_trained,
        };
        memory::explained(error, self.kernels.device(), "", Some((&step, batch.sequences)))
    }
}

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
    fn gather(&mut self, subnetwork: &Subnetwork) -> Result<()> {
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
    fn forward(&mut self, batch: &Batch, subnetwork: &Subnetwork, is_kept: bool) -> Result<Option<usize>> {
        let g = self.geometry(batch);
        let slots = if is_kept { subnetwork.path().path_length() } else { 2 };
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
            // Out of the list for as long as it is written and another is read.
            let mut own = std::mem::take(&mut work.slots[slot]);
            let x = last.map_or(work.input.out(&g), |before| work.slots[before].out(&g));
            let done = own.forward(kernels, &of_layer, layer, x, &work.scratch, work.heads(&of_layer));
            work.slots[slot] = own;
            done?;
            last = Some(slot);
        }
        Ok(last)
    }

    /// What the last layer gave // f32 (M, C)
    fn top<'a>(work: &'a Work, g: &Geometry, last: Option<usize>) -> Span<'a> {
        last.map_or(work.input.out(g), |slot| work.slots[slot].out(g))
    }

    /// Loss (into `results`) and gradient of one micro-batch, weighed by `scale`.
    fn loss_and_gradient(&mut self, batch: &Batch, subnetwork: &Subnetwork, scale: f32, micro: usize) -> Result<()> {
        let g = self.geometry(batch);
        let is_added = micro > 0;
        let last = self.forward(batch, subnetwork, true)?;
        let Self { model, vocabulary, kernels, input, layers, output, work } = self;
        let device = kernels.device();
        work.batch.take_targets(device, &batch.targets)?;
        work.d.fit(device, Kind::F32, g.rows() * g.width)?;
        let mut head = std::mem::take(&mut work.output);
        let d = work.d.span(Kind::F32, g.rows() * g.width);
        let backward = Backward { input_grads: &work.input_grads, grads: &work.output_grads, d, scale, is_added };
        let to = work.results.span(Kind::F64, 2 + micro).part(1 + micro..2 + micro);
        let weights = [input.weights(), output.weights()];
        let x = Self::top(work, &g, last);
        let done = head.loss(kernels, &g, model, *vocabulary, weights, x, &work.batch, to, Some(backward));
        work.output = head;
        done?;
        let d = work.d.span(Kind::F32, g.rows() * g.width);
        let active: Vec<_> = Self::active(layers, &work.compact, subnetwork, g).collect();
        for (slot, Active { g: of_layer, layer, .. }) in active.iter().enumerate().rev() {
            let x = slot.checked_sub(1).map_or(work.input.out(&g), |before| work.slots[before].out(&g));
            let below = slot
                .checked_sub(1)
                .map(|slot| Below { factor: active[slot].layer.factor, grads: &work.layer_grads[slot] });
            let heads = work.heads(of_layer);
            let pass = Pass { kernels, g: of_layer, scratch: &work.scratch, heads, is_added };
            let is_prepared = slot + 1 < active.len() && model.norm == Norm::Pre;
            work.slots[slot].backward(pass, *layer, &work.layer_grads[slot], [x, d], is_prepared, below)?;
        }
        work.batch.take_occurrences(device, &batch.inputs, *vocabulary)?;
        let d = work.d.span(Kind::F32, g.rows() * g.width);
        let partials = work.scratch.partials(Kernels::norm_blocks(g.rows()) * 3 * g.width);
        let grads = &work.input_grads;
        work.input.backward(kernels, &g, model, input.weights(), grads, &work.batch, d, partials, is_added)
    }

    /// Makes room for the gradients of a subnetwork, and for the results of so many micro-batches.
    fn fit_gradients(&mut self, subnetwork: &Subnetwork, micro_batches: usize) -> Result<()> {
        let Self { kernels, input, layers, output, work, .. } = self;
        let path = subnetwork.path();
        work.input_grads.fit(kernels, &input.places)?;
        work.output_grads.fit(kernels, &output.places)?;
        if work.layer_grads.len() < path.path_length() {
            work.layer_grads.resize_with(path.path_length(), Gradients::default);
        }
        for (slot, layer) in path.active().enumerate() {
            let places = match subnetwork.parts(slot) {
                Some(_) => work.compact[slot].places(),
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
    fn square(&mut self, subnetwork: &Subnetwork) -> Result<()> {
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

    fn try_gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32> {
        self.gather(subnetwork)?;
        self.fit_gradients(subnetwork, micro_batches.len())?;
        let count = micro_batches.len();
        let scale = 1.0 / count as f32;
        for (micro, batch) in micro_batches.iter().enumerate() {
            self.loss_and_gradient(batch, subnetwork, scale, micro)?;
        }
        self.square(subnetwork)?;
        // The step's one wait.
        let results: Vec<f64> = download(self.kernels.device(), self.work.results.span(Kind::F64, 1 + count))?;
        self.work.gradient = Some((subnetwork.clone(), results[0].sqrt()));
        Ok((results[1..].iter().sum::<f64>() / count as f64) as f32)
    }

    fn try_loss(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<f32> {
        let g = self.geometry(batch);
        self.gather(subnetwork)?;
        let last = self.forward(batch, subnetwork, false)?;
        let Self { model, vocabulary, kernels, input, output, work, .. } = self;
        let device = kernels.device();
        work.batch.take_targets(device, &batch.targets)?;
        work.results.fit(device, Kind::F64, 2)?;
        let mut head = std::mem::take(&mut work.output);
        let to = work.results.span(Kind::F64, 2).part(1..2);
        let (weights, x) = ([input.weights(), output.weights()], Self::top(work, &g, last));
        let done = head.loss(kernels, &g, model, *vocabulary, weights, x, &work.batch, to, None);
        let loss = done.and_then(|()| download::<f64>(device, to));
        work.output = head;
        Ok(loss?[0] as f32)
    }

    fn try_logits(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        let g = self.geometry(batch);
        self.gather(subnetwork)?;
        let last = self.forward(batch, subnetwork, false)?;
        let Self { model, vocabulary, kernels, input, output, work, .. } = self;
        // Every row counts.
        work.batch.take_targets(kernels.device(), &vec![0; batch.inputs.len()])?;
        let mut head = std::mem::take(&mut work.output);
        let (weights, x) = ([input.weights(), output.weights()], Self::top(work, &g, last));
        let logits = head.logits(kernels, &g, model, *vocabulary, weights, x, &work.batch);
        work.output = head;
        logits
    }
}

impl Engine for Gpu {
    fn about(&self) -> String {
        let precision = if self.kernels.shape().store == Kind::Bf16 { ", bf16" } else { "" };
        format!("{}, fast{precision}", self.kernels.device().name())
    }

    fn gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32> {
        ensure!(!micro_batches.is_empty(), "no batch to train on");
        for batch in micro_batches {
            check_batch(batch, subnetwork, &self.model, self.vocabulary)?;
        }
        // No gradient is at hand until this one is whole.
        self.work.gradient = None;
        let length = subnetwork.path().path_length();
        self.try_gradient(micro_batches, subnetwork).map_err(|e| self.told(e, &micro_batches[0], length, true))
    }

    fn gradient_norm(&mut self) -> Result<f32> {
        let (_, norm) = self.work.gradient.as_ref().context("a norm needs a gradient")?;
        Ok(*norm as f32)
    }

    fn update(&mut self, rule: &UpdateRule) -> Result<()> {
        // Something else may have been evaluated since.
        let of = self.work.gradient.as_ref().map(|(subnetwork, _)| subnetwork.clone());
        if of.is_some() && of != self.work.gathered {
            of.map_or(Ok(()), |subnetwork| self.gather(&subnetwork))?;
        }
        let Self { kernels, input, layers, output, work, .. } = self;
        let (subnetwork, _) = work.gradient.as_ref().context("an update needs a gradient")?;
        let path = subnetwork.path();
        input.update(kernels, Some(work.input_grads.all()), rule)?;
        let mut slots = 0..path.path_length();
        for (layer, group) in layers.iter_mut().enumerate() {
            match path.is_active(layer).then(|| slots.next()).flatten() {
                Some(slot) => match subnetwork.parts(slot) {
                    Some(_) => work.compact[slot].update(kernels, group, &work.layer_grads[slot], rule)?,
                    None => group.update(kernels, Some(work.layer_grads[slot].all()), rule)?,
                },
                None if rule.zero_gradient_for_skipped => group.update(kernels, None, rule)?,
                None => {}
            }
        }
        output.update(kernels, Some(work.output_grads.all()), rule)
    }

    fn loss(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<f32> {
        check_batch(batch, subnetwork, &self.model, self.vocabulary)?;
        let length = subnetwork.path().path_length();
        self.try_loss(batch, subnetwork).map_err(|e| self.told(e, batch, length, false))
    }

    fn logits(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        check_batch(batch, subnetwork, &self.model, self.vocabulary)?;
        let length = subnetwork.path().path_length();
        self.try_logits(batch, subnetwork).map_err(|e| self.told(e, batch, length, false))
    }

    fn outputs(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        check_batch(batch, subnetwork, &self.model, self.vocabulary)?;
        self.gather(subnetwork)?;
        let last = self.forward(batch, subnetwork, false)?;
        download(self.kernels.device(), Self::top(&self.work, &self.geometry(batch), last))
    }

    fn gradients(&mut self) -> Result<Vec<(String, Vec<f32>)>> {
        let (subnetwork, _) = self.work.gradient.as_ref().context("no gradient has been computed")?;
        let device = self.kernels.device();
        let named = |prefix: &Group, gradients: &Gradients| -> Result<Vec<(String, Vec<f32>)>> {
            let each = prefix.names().iter().enumerate().map(|(index, (name, shape))| {
                let n = shape.iter().product();
                Ok((name.clone(), download(device, gradients.of(index).part(0..n))?))
            });
            each.collect()
        };
        let mut all = named(&self.input, &self.work.input_grads)?;
        for (slot, layer) in subnetwork.path().active().enumerate() {
            let (group, gradients) = (&self.layers[layer], &self.work.layer_grads[slot]);
            let own = match subnetwork.parts(slot) {
                Some(parts) => parts::widened(&self.kernels, &self.model, parts, group, gradients)?,
                None => named(group, gradients)?,
            };
            all.extend(own.into_iter().map(|(name, gradient)| (format!("h.{layer}.{name}"), gradient)));
        }
        all.extend(named(&self.output, &self.work.output_grads)?);
        Ok(all)
    }

    fn parameters(&self) -> Result<Vec<Parameter>> {
        let mut all = self.input.get(&self.kernels)?;
        for (layer, group) in self.layers.iter().enumerate() {
            let own = group.get(&self.kernels)?.into_iter();
            all.extend(own.map(|p| Parameter { name: format!("h.{layer}.{}", p.name), ..p }));
        }
        all.extend(self.output.get(&self.kernels)?);
        Ok(all)
    }

    fn set_parameters(&mut self, parameters: Vec<Parameter>) -> Result<()> {
        layout::check_fit(&layout::shapes(&self.model, self.vocabulary), &parameters).map_err(anyhow::Error::msg)?;
        self.work.gradient = None;
        self.put(&parameters)
    }

    fn weights_checksum(&self) -> Result<String> {
        Ok(layout::checksum(self.parameters()?.iter()))
    }
}
