//! The fast engine on a GPU: explicit forward and backward over the kernels of `gpu`.
//!
//! The same loop as the CPU's (`fast`): forward over the active layers, backward over them in reverse, the optimizer over
//! their parameters alone; a skipped layer launches nothing. Weights, moments, activations and gradients stay on the
//! device, in buffers that are kept from step to step, and so is what a step comes to: the host asks for a step, and takes the
//! outcome when it has asked for the next ones (`train`).
//! Knows nothing of schedules, data or files, nor of the device beyond `gpu::Device`.

mod batch;
mod buffer;
mod input;
mod layer;
pub mod memory;
mod norm;
mod output;
mod parts;
mod pass;
mod state;
mod train;

use anyhow::{Context, Result, ensure};

use self::batch::OnDevice;
use self::buffer::{Buffer, download};
use self::input::Input;
use self::layer::{Activations, Geometry, Scratch};
use self::output::{Output, VOCABULARY_UNIT};
use self::parts::Compact;
use self::state::{Gradients, Group};
use self::train::UnderWay;
use super::{Engine, Outcome, Parameter, UpdateRule, check_batch, layout};
use crate::config::{ModelConfig, Precision};
use crate::gpu::launch::Kernels;
use crate::gpu::source::{MOST_WIDTH, Shape};
use crate::gpu::{Device, Kind};
use crate::objective::Batch;
use crate::subnetwork::Subnetwork;

/// The engine.
pub struct Gpu {
    model: ModelConfig,
    vocabulary: usize,
    kernels: Kernels,
    /// Bytes that were free before anything of this was there.
    room: u64,
    input: Group,
    layers: Vec<Group>,
    output: Group,
    work: Work,
    under_way: UnderWay,
    /// Whether the last bits of a gradient may differ from time to time, where that is quicker.
    is_loose: bool,
    graphs: Graphs,
}

/// When a layer's passes are put before the driver as one thing each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graphs {
    /// Where it pays.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
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
    outcome: Buffer, // f32: loss and norm of a step
    control: Buffer, // f32: what an update is told by them
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
        let [room, _] = kernels.device().memory()?;
        let group =
            |names, rows| Group::new(&kernels, names, rows).map_err(|e| memory::of_weights(e, kernels.device()));
        let input = group(layout::input_shapes(model, vocabulary), VOCABULARY_UNIT)?;
        let layers = (0..model.layers).map(|_| group(layout::layer_shapes(model), 1)).collect::<Result<_>>()?;
        let output = group(layout::output_shapes(model, vocabulary), 1)?;
        let mut engine = Self {
            model: model.clone(),
            vocabulary,
            kernels,
            room,
            input,
            layers,
            output,
            work: Work::default(),
            under_way: UnderWay::new(),
            is_loose: false,
            graphs: Graphs::Auto,
        };
        engine.put(&layout::initial(model, vocabulary, seed))?;
        Ok(engine)
    }

    /// With gradients whose last bits may differ from time to time, where that is quicker: in bf16, attention's of heads of at
    /// most 64.
    #[must_use]
    pub fn loose(self) -> Self {
        Self { is_loose: true, ..self }
    }

    /// With a layer's passes as one thing each, or not.
    #[must_use]
    pub fn with_graphs(self, graphs: Graphs) -> Self {
        Self { graphs, ..self }
    }

    /// Whether a layer's passes are put before the driver as one thing each.
    fn is_together(&self, g: &Geometry) -> bool {
        match self.graphs {
            Graphs::Auto => g.is_small(),
            Graphs::Always => true,
            Graphs::Never => false,
        }
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
        Geometry::new(&self.model, self.kernels.shape(), self.is_loose, batch.sequences, batch.context)
    }

    /// An error of memory with what would fit.
    fn told(&self, error: anyhow::Error, batch: &Batch, length: usize, is_trained: bool) -> anyhow::Error {
        let step = memory::Step {
            model: &self.model,
            vocabulary: self.vocabulary,
            shape: self.kernels.shape(),
            is_loose: self.is_loose,
            context: batch.context,
            predicted: batch.predicted() as f64 / batch.inputs.len().max(1) as f64,
            length,
            is_trained,
        };
        memory::of_step(error, self.kernels.device(), &step, batch.sequences, self.room)
    }
}

impl Gpu {
    fn check(&self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<()> {
        ensure!(!micro_batches.is_empty(), "no batch to train on");
        micro_batches.iter().try_for_each(|batch| check_batch(batch, subnetwork, &self.model, self.vocabulary))
    }

    /// Asks for losses and gradient, and the gradient's sum of squares, all into `results`.
    fn ask_gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<()> {
        // No gradient is at hand until this one is whole.
        self.work.gradient = None;
        self.gather(subnetwork)?;
        self.fit_gradients(subnetwork, micro_batches.len())?;
        let scale = 1.0 / micro_batches.len() as f32;
        for (micro, batch) in micro_batches.iter().enumerate() {
            self.loss_and_gradient(batch, subnetwork, scale, micro)?;
        }
        self.square(subnetwork)
    }

    fn try_gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32> {
        self.ask_gradient(micro_batches, subnetwork)?;
        let count = micro_batches.len();
        let results: Vec<f64> = download(self.kernels.device(), self.work.results.span(Kind::F64, 1 + count))?;
        self.work.gradient = Some((subnetwork.clone(), results[0].sqrt()));
        Ok((results[1..].iter().sum::<f64>() / count as f64) as f32)
    }

    fn try_loss(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<f32> {
        let g = self.geometry(batch);
        self.gather(subnetwork)?;
        let last = self.forward(batch, subnetwork, false)?;
        self.take_targets(&g, &batch.targets)?;
        self.work.results.fit(self.kernels.device(), Kind::F64, 2)?;
        let to = self.work.results.span(Kind::F64, 2).part(1..2);
        self.work.output.loss(self.for_head(&g, last), to, None)?;
        Ok(download::<f64>(self.kernels.device(), to)?[0] as f32)
    }

    fn try_logits(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        let g = self.geometry(batch);
        self.gather(subnetwork)?;
        let last = self.forward(batch, subnetwork, false)?;
        // Every row counts.
        self.take_targets(&g, &vec![0; batch.inputs.len()])?;
        self.work.output.logits(self.for_head(&g, last))
    }
}

impl Engine for Gpu {
    fn about(&self) -> String {
        let precision = if self.kernels.shape().store == Kind::Bf16 { ", bf16" } else { "" };
        let is_loose = self.is_loose && self.kernels.shape().has_loose_attention();
        let order = if is_loose { ", not deterministic" } else { "" };
        format!("{}, fast{precision}{order}", self.kernels.device().name())
    }

    fn gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32> {
        self.check(micro_batches, subnetwork)?;
        let length = subnetwork.path().path_length();
        self.try_gradient(micro_batches, subnetwork).map_err(|e| self.told(e, &micro_batches[0], length, true))
    }

    fn gradient_norm(&mut self) -> Result<f32> {
        let (_, norm) = self.work.gradient.as_ref().context("a norm needs a gradient")?;
        Ok(*norm as f32)
    }

    fn update(&mut self, rule: &UpdateRule) -> Result<()> {
        let (subnetwork, _) = self.work.gradient.clone().context("an update needs a gradient")?;
        // Something else may have been evaluated since.
        if self.work.gathered.as_ref() != Some(&subnetwork) {
            self.gather(&subnetwork)?;
        }
        self.ask_update(&subnetwork, rule, false)
    }

    fn train(
        &mut self,
        micro_batches: &[Batch],
        subnetwork: &Subnetwork,
        rule: &UpdateRule,
        clip: f64,
    ) -> Result<Option<Outcome>> {
        self.check(micro_batches, subnetwork)?;
        let length = subnetwork.path().path_length();
        let asked = self.ask_step(micro_batches, subnetwork, rule, clip);
        asked.map_err(|e| self.told(e, &micro_batches[0], length, true)).map(|()| None)
    }

    fn ahead(&self) -> usize {
        train::AHEAD
    }

    fn outcome(&mut self) -> Result<Outcome> {
        self.take_outcome()
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
        ensure!(self.under_way.is_empty(), "steps are under way: take their outcomes first");
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
        ensure!(self.under_way.is_empty(), "steps are under way: take their outcomes first");
        self.work.gradient = None;
        self.put(&parameters)
    }

    fn weights_checksum(&self) -> Result<String> {
        Ok(layout::checksum(self.parameters()?.iter()))
    }
}
