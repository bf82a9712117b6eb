//! The model: one residual stack, two engines behind one interface.
//!
//! Owns the [`Engine`] interface. `fast` is the explicit forward and backward over our kernels (of the theory's residual
//! MLP: `mlp`), `reference` the same models in candle's plain ops with candle's autograd: the oracle. Parameters have the
//! same names, shapes and initial values under both. Never touches a terminal, a channel, a clock or a file.

mod block;
mod device;
mod ends;
pub mod fast;
pub mod gpu;
mod growth;
mod layout;
pub mod mlp;
mod parts;
pub mod reference;
mod sums;

pub use device::{find_device, gpu_of};
pub use growth::grow;
pub use layout::shapes;

pub use crate::optim::{Parameter, UpdateRule};

use anyhow::{Result, bail, ensure};
use candle_core::{DType, Device};

use crate::config::{Architecture, EngineName, ModelConfig, Norm, Precision, RunConfig};
use crate::objective::{Batch, NO_TARGET};
use crate::subnetwork::Subnetwork;

/// What came of a training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The mean loss over the micro-batches, before the update.
    pub loss: f32,
    /// The gradient's 2-norm, before clipping.
    pub gradient_norm: f32,
}

impl Outcome {
    /// Whether both are numbers: else the step has changed nothing.
    pub fn is_finite(self) -> bool {
        self.loss.is_finite() && self.gradient_norm.is_finite()
    }
}

/// Something that can train the model. All losses are means: over predicted tokens, in nats; of an MLP over a batch's
/// values, squared errors.
pub trait Engine: Send {
    /// What computes, for people, as in "cpu, 2 threads, fast".
    fn about(&self) -> String;

    /// The mean loss of the subnetwork on the micro-batches, and its gradient, which stays in the engine. Each
    /// micro-batch weighs the same. Inactive layers take no part: no forward, no backward, no gradient memory.
    ///
    /// # Errors
    /// If a token or target id is outside the vocabulary, or the device fails.
    fn gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32>;

    /// The 2-norm of the gradient at hand, over active parameters.
    fn gradient_norm(&mut self) -> Result<f32>;

    /// AdamW with the gradient at hand.
    fn update(&mut self, rule: &UpdateRule) -> Result<()>;

    /// One whole training step: [`Self::gradient`], clipped to the 2-norm `clip` (0: not at all), and [`Self::update`] with
    /// `rule`. A step whose loss or gradient is not finite changes no weight, nor does any that was asked for behind it.
    /// None: it is under way, and its outcome is the next that [`Self::outcome`] gives. No gradient is at hand then.
    ///
    /// # Errors
    /// As [`Self::gradient`].
    fn train(
        &mut self,
        micro_batches: &[Batch],
        subnetwork: &Subnetwork,
        rule: &UpdateRule,
        clip: f64,
    ) -> Result<Option<Outcome>> {
        let loss = self.gradient(micro_batches, subnetwork)?;
        let outcome = Outcome { loss, gradient_norm: self.gradient_norm()? };
        if outcome.is_finite() {
            self.update(&rule.clipped(clip, outcome.gradient_norm))?;
        }
        Ok(Some(outcome))
    }

    /// Steps that may be under way when another is asked for.
    fn ahead(&self) -> usize {
        0
    }

    /// Waits for the oldest step under way. Behind one that failed no other is under way any more.
    ///
    /// # Errors
    /// If there is none, or the device fails.
    fn outcome(&mut self) -> Result<Outcome> {
        bail!("no step is under way")
    }

    /// The mean loss alone; changes nothing.
    fn loss(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<f32>;

    /// All logits, or the predictions of an MLP; changes nothing // (B*T, V), or (B)
    fn logits(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>>;

    /// The residual stream behind the last active layer, before final norm and head; changes nothing // (B*T, C), or (B, C)
    fn outputs(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>>;

    /// The gradient at hand by parameter name; nothing for parameters of inactive layers. For tests and measurements.
    fn gradients(&mut self) -> Result<Vec<(String, Vec<f32>)>>;

    /// All parameters in model order.
    fn parameters(&self) -> Result<Vec<Parameter>>;

    /// Takes over parameters (same names, order and shapes).
    ///
    /// # Errors
    /// Naming the first parameter that is missing, superfluous or of another shape.
    fn set_parameters(&mut self, parameters: Vec<Parameter>) -> Result<()>;

    /// Checksum of all weights' bits, in model order; equal on every engine for equal weights.
    fn weights_checksum(&self) -> Result<String>;
}

/// The engine that a config asks for, with initial weights from its seed.
///
/// # Errors
/// If the device isn't there or this build can't use it.
pub fn build(config: &RunConfig, vocabulary: usize) -> Result<Box<dyn Engine>> {
    let t = &config.train;
    Ok(match t.engine {
        EngineName::Fast if config.model.architecture == Architecture::Mlp => {
            Box::new(mlp::Mlp::new(&config.model, config.seed, t.threads, t.precision)?)
        }
        EngineName::Fast => match device::graphics(&t.device)? {
            Some(number) => device::on_gpu(config, vocabulary, number)?,
            None => Box::new(fast::Fast::new(&config.model, vocabulary, config.seed, t.threads, t.precision)?),
        },
        EngineName::Reference => {
            let device = match t.device.as_str() {
                "metal" => device::metal()?,
                _ => Device::Cpu,
            };
            Box::new(reference::Reference::new(&config.model, vocabulary, config.seed, device, DType::F32))
        }
    })
}

/// Whether a batch is one of the model's, and the subnetwork as well.
fn check_batch(batch: &Batch, subnetwork: &Subnetwork, m: &ModelConfig, vocabulary: usize) -> Result<()> {
    let path = subnetwork.path();
    let positions = batch.sequences * batch.context;
    ensure!(positions > 0, "an empty batch");
    ensure!(
        batch.inputs.len() == positions && batch.targets.len() == positions && batch.context <= m.context,
        "a batch of {} inputs and {} targets, {} sequences of {} were announced (at most {} fit)",
        batch.inputs.len(),
        batch.targets.len(),
        batch.sequences,
        batch.context,
        m.context
    );
    check_prefixes(batch, m)?;
    ensure!(path.layers() == m.layers, "layer path {path} for a model of {} layers", m.layers);
    if let Some(id) = batch.inputs.iter().find(|&&id| id as usize >= vocabulary) {
        bail!("token {id} is outside the vocabulary of {vocabulary}");
    }
    let outside = |t: i32| t != NO_TARGET && usize::try_from(t).map_or(true, |t| t >= vocabulary);
    if let Some(target) = batch.targets.iter().find(|&&t| outside(t)) {
        bail!("target {target} is outside the vocabulary of {vocabulary}");
    }
    Ok(())
}

/// Whether a batch's prefixes are its sequences' own, and the model one that can have them.
fn check_prefixes(batch: &Batch, m: &ModelConfig) -> Result<()> {
    if batch.prefixes.is_empty() {
        return Ok(());
    }
    ensure!(m.architecture == Architecture::Decoder, "an encoder sees everything: its batches have no prefixes");
    let (given, sequences) = (batch.prefixes.len(), batch.sequences);
    ensure!(given == sequences, "a batch of {given} prefixes and {sequences} sequences");
    if let Some(prefix) = batch.prefixes.iter().find(|&&p| p > batch.context) {
        bail!("a prefix of {prefix} positions in a sequence of {}", batch.context);
    }
    Ok(())
}

/// Bytes that one active layer keeps between its forward and backward pass on `rows` = B*T positions.
pub fn activation_bytes(m: &ModelConfig, precision: Precision, rows: u64) -> u64 {
    let (c, inner) = (m.width as u64, (m.width * m.mlp_ratio) as u64);
    if m.architecture == Architecture::Mlp {
        let norms = if m.norm == Norm::None { 0 } else { c + 2 };
        return 4 * rows * (c + inner + norms);
    }
    // qkv, mixed, the two outputs; the GELU's slope; statistics of rows and heads.
    let always = 6 * c + inner + m.heads as u64 + 4;
    // What the two norms gave under pre-norm, their sums under post-norm.
    let norms = if m.norm == Norm::None { 0 } else { 2 * c };
    rows * match precision {
        Precision::F32 => 4 * (always + norms + inner),
        // The four products' inputs, packed; sums stay.
        Precision::Bf16 => 4 * (always + if m.norm == Norm::Post { norms } else { 0 }) + 2 * (3 * c + inner),
    }
}
