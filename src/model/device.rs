//! Which device a config's run trains on, and whether this build and this machine have it. Never computes anything.

use anyhow::{Context, Result, bail};
use candle_core::Device;

use super::Engine;
#[cfg(feature = "cuda")]
use super::gpu;
use crate::config::{Architecture, EngineName, RunConfig};

/// That this build and this machine have the device that a config's run trains on: to be asked before a run is begun.
///
/// # Errors
/// Saying what is missing.
pub fn find_device(config: &RunConfig) -> Result<()> {
    match gpu_of(config) {
        Some(number) => find_gpu(number).context("train.device"),
        None if config.train.device == "metal" => metal().map(|_| ()),
        None => Ok(()),
    }
}

/// The number of the NVIDIA GPU that a config's run trains on, if it does.
pub fn gpu_of(config: &RunConfig) -> Option<usize> {
    let is_fast = config.train.engine == EngineName::Fast && config.model.architecture != Architecture::Mlp;
    graphics(&config.train.device).ok().flatten().filter(|_| is_fast)
}

/// The number of the NVIDIA GPU that `train.device` names; none for the CPU. `auto` is the first GPU, where there is one
/// and this build can use it.
pub(super) fn graphics(device: &str) -> Result<Option<usize>> {
    let (kind, number) = device.split_once(':').unwrap_or((device, "0"));
    Ok(match kind {
        "cuda" => Some(number.parse().with_context(|| format!("train.device: {device} names no GPU"))?),
        "auto" if has_gpu() => Some(0),
        _ => None,
    })
}

#[cfg(feature = "cuda")]
fn has_gpu() -> bool {
    crate::gpu::cuda::is_there()
}

#[cfg(not(feature = "cuda"))]
fn has_gpu() -> bool {
    false
}

#[cfg(feature = "cuda")]
fn find_gpu(number: usize) -> Result<()> {
    crate::gpu::cuda::find(number)
}

#[cfg(not(feature = "cuda"))]
fn find_gpu(_: usize) -> Result<()> {
    bail!("this program was built without cuda; build it with --features cuda, or use --device cpu")
}

#[cfg(feature = "cuda")]
pub(super) fn on_gpu(config: &RunConfig, vocabulary: usize, number: usize) -> Result<Box<dyn Engine>> {
    let (m, precision) = (&config.model, config.train.precision);
    let device = crate::gpu::cuda::Cuda::open(number, gpu::shape(m, precision)).context("train.device")?;
    let engine = gpu::Gpu::new(Box::new(device), m, vocabulary, config.seed, precision)?;
    Ok(Box::new(if config.train.deterministic { engine } else { engine.loose() }))
}

#[cfg(not(feature = "cuda"))]
pub(super) fn on_gpu(_: &RunConfig, _: usize, number: usize) -> Result<Box<dyn Engine>> {
    find_gpu(number).context("train.device")?;
    bail!("train.device: no GPU")
}

#[cfg(feature = "metal")]
pub(super) fn metal() -> Result<Device> {
    Device::new_metal(0).context("opening the GPU metal")
}

#[cfg(not(feature = "metal"))]
pub(super) fn metal() -> Result<Device> {
    bail!("train.device: this program was built without metal; build it with --features metal, or use cpu")
}
