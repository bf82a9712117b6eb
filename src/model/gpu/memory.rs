//! What a run takes of a GPU's memory, before anything is allocated: the same lengths that the engine's buffers have.

use anyhow::Error;

use super::batch;
use super::buffer::whole;
use super::input::Input;
use super::layer::{Activations, Geometry, Scratch};
use super::output::{Output, VOCABULARY_UNIT};
use super::state::Places;
use crate::config::{ModelConfig, RunConfig};
use crate::gpu::device::OutOfMemory;
use crate::gpu::launch::Kernels;
use crate::gpu::source::Shape;
use crate::gpu::{Device, Kind};
use crate::model::layout;
use crate::objective;

/// What the driver, the kernels and the libraries take beside our buffers, about (an H200 with CUDA 13: not measured yet).
pub const CONTEXT_BYTES: u64 = 560 << 20;

/// One micro-batch of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub model: &'a ModelConfig,
    pub vocabulary: usize,
    /// How activations are kept, and with which kernels.
    pub shape: Shape,
    pub is_loose: bool,
    pub context: usize,
    /// Share of positions that are predicted.
    pub predicted: f64,
    /// Active layers.
    pub length: usize,
    /// Whether everything is kept for a backward pass.
    pub is_trained: bool,
}

/// Bytes that a run allocates on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Weights, moments, and the copies that products read.
    pub state: u64,
    /// Gradients, activations and everything else of a step.
    pub step: u64,
}

impl Bytes {
    /// With what the driver takes.
    pub fn with_context(self) -> u64 {
        self.state + self.step + CONTEXT_BYTES
    }
}

/// Elements of the groups of parameters: before the layers, of one layer, behind them.
fn groups(m: &ModelConfig, vocabulary: usize) -> [usize; 3] {
    [
        Places::of_shapes(&layout::input_shapes(m, vocabulary), VOCABULARY_UNIT).total,
        Places::of_shapes(&layout::layer_shapes(m), 1).total,
        Places::of_shapes(&layout::output_shapes(m, vocabulary), 1).total,
    ]
}

fn sum(sizes: &[(Kind, usize)]) -> usize {
    sizes.iter().map(|(kind, len)| whole(kind.size() * len)).sum()
}

impl Step<'_> {
    /// Bytes of the state of all parameters.
    fn state_bytes(&self) -> usize {
        let [input, layer, output] = groups(self.model, self.vocabulary);
        let each = 12 + if self.shape.store == Kind::F32 { 0 } else { self.shape.store.size() };
        each * (input + self.model.layers * layer + output)
    }

    /// Bytes of everything else, with so many sequences in a micro-batch.
    fn step_bytes(&self, sequences: usize) -> usize {
        let g = Geometry::new(self.model, self.shape, self.is_loose, sequences, self.context);
        let predicted = ((g.rows() as f64 * self.predicted).ceil() as usize).clamp(1, g.rows());
        let [input, layer, output] = groups(self.model, self.vocabulary);
        let gradients = if self.is_trained { input + self.length * layer + output } else { 0 };
        let squares = [input, output].iter().map(|&n| Kernels::square_blocks(n)).sum::<usize>()
            + self.length * Kernels::square_blocks(layer);
        let slots = if self.is_trained { self.length } else { self.length.min(2) };
        let d = usize::from(self.is_trained) * 4 * g.rows() * g.width;
        4 * gradients
            + whole(8 * squares)
            + slots * sum(&Activations::sizes(&g))
            + sum(&Scratch::sizes(&g))
            + sum(&Input::sizes(&g, self.model))
            + sum(&Output::sizes(&g, self.model, self.vocabulary, predicted))
            + whole(d)
            + batch::most_bytes(g.rows(), sequences).into_iter().map(whole).sum::<usize>()
    }

    fn bytes(&self, sequences: usize) -> Bytes {
        Bytes { state: self.state_bytes() as u64, step: self.step_bytes(sequences) as u64 }
    }

    /// The most sequences that fit into so many bytes, at least 0.
    fn most_sequences(&self, bytes: u64) -> usize {
        let fits = |sequences: usize| self.step_bytes(sequences) as u64 <= bytes;
        // Bytes grow with the sequences.
        let (mut fit, mut above) = (0, 1);
        while fits(above) && above < 1 << 24 {
            (fit, above) = (above, 2 * above);
        }
        while fit + 1 < above {
            let middle = usize::midpoint(fit, above);
            if fits(middle) { fit = middle } else { above = middle }
        }
        fit
    }
}

/// What a config's run allocates on a GPU, with so many active layers at most.
pub fn bytes(config: &RunConfig, vocabulary: usize, length: usize) -> Bytes {
    let shape = super::shape(&config.model, config.train.precision);
    let is_loose = !config.train.deterministic;
    let predicted = objective::find(&config.objective.name).map_or(1.0, |o| o.predicted_share(&config.objective));
    let context = config.model.positions();
    let step = Step { model: &config.model, vocabulary, shape, is_loose, context, predicted, length, is_trained: true };
    step.bytes(config.train.batch)
}

/// An error of memory while the weights were made, as such.
pub(super) fn of_weights(error: Error, device: &dyn Device) -> Error {
    if error.downcast_ref::<OutOfMemory>().is_none() {
        return error;
    }
    error.context(format!("no room on {} for the weights and their moments", device.name()))
}

/// An error of memory in a step of so many sequences a micro-batch, with what would fit into the `room` that was free
/// before anything of the run's was there.
pub(super) fn of_step(error: Error, device: &dyn Device, step: &Step<'_>, sequences: usize, room: u64) -> Error {
    if error.downcast_ref::<OutOfMemory>().is_none() {
        return error;
    }
    let needed = step.bytes(sequences);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let kind = if step.shape.store == Kind::F32 { "f32" } else { "bf16" };
    let most = step.most_sequences(room.saturating_sub(needed.state));
    let advice = match most {
        0 => {
            "not even one sequence would fit: try a smaller model.context or model.width, or train.precision = \"bf16\""
                .to_owned()
        }
        n => format!(
            "train.batch = {n} would fit, with train.accumulate = {} for as many sequences in a step",
            sequences.div_ceil(n)
        ),
    };
    error.context(format!(
        "no room on {} for train.batch = {sequences} sequences of {} positions, {} active layers, in {kind}: {:.2} GiB are \
         needed ({:.2} of them weights and moments), {:.2} were free; {advice}",
        device.name(),
        step.context,
        step.length,
        gib(needed.state + needed.step),
        gib(needed.state),
        gib(room),
    ))
}
