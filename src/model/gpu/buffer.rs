//! Buffers on the device that are kept from step to step, and values that are copied there.

use anyhow::Result;
use bytemuck::Pod;

use crate::gpu::{Device, Kind, Memory, Span};

/// Memory that grows to what is asked of it and is then kept.
#[derive(Default)]
pub(super) struct Buffer(Option<Memory>);

/// Bytes that a buffer of so many takes: whole lines of 256.
pub(super) fn whole(bytes: usize) -> usize {
    bytes.next_multiple_of(256)
}

impl Buffer {
    /// Makes room for `len` elements; what it held is lost if it grows.
    pub fn fit(&mut self, device: &dyn Device, kind: Kind, len: usize) -> Result<()> {
        let bytes = whole(len * kind.size());
        if self.0.as_ref().is_none_or(|memory| memory.bytes() < bytes) && bytes > 0 {
            // What was there first makes room for what comes.
            self.0 = None;
            self.0 = Some(device.allocate(bytes)?);
        }
        Ok(())
    }

    /// Its first elements; it must have room for them.
    ///
    /// # Panics
    /// If it hasn't.
    #[allow(clippy::expect_used)] // a buffer is fitted before it is used: a fault of ours, not of the user's
    pub fn span(&self, kind: Kind, len: usize) -> Span<'_> {
        if len == 0 {
            return Span::empty(kind);
        }
        self.0.as_ref().expect("a buffer is fitted before it is used").span(kind, len)
    }

    /// As [`Self::fit`] and [`Self::span`].
    pub fn fitted(&mut self, device: &dyn Device, kind: Kind, len: usize) -> Result<Span<'_>> {
        self.fit(device, kind, len)?;
        Ok(self.span(kind, len))
    }

    /// Copies values there.
    pub fn upload<T: Word>(&mut self, device: &dyn Device, values: &[T]) -> Result<Span<'_>> {
        let span = self.fitted(device, T::KIND, values.len())?;
        device.upload(span, bytemuck::cast_slice(values))?;
        Ok(span)
    }
}

/// What can be copied to the device and back. (The GPU's byte order is that of the machines it is built into.)
pub(super) trait Word: Pod {
    const KIND: Kind;
}

impl Word for f32 {
    const KIND: Kind = Kind::F32;
}

impl Word for f64 {
    const KIND: Kind = Kind::F64;
}

impl Word for u32 {
    const KIND: Kind = Kind::U32;
}

impl Word for i32 {
    const KIND: Kind = Kind::I32;
}

/// Copies values to a span.
pub(super) fn upload<T: Word>(device: &dyn Device, to: Span<'_>, values: &[T]) -> Result<()> {
    device.upload(to.part(0..values.len()), bytemuck::cast_slice(values))
}

/// Waits, and copies values from a span of their kind.
///
/// # Panics
/// If it is of another kind.
pub(super) fn download<T: Word>(device: &dyn Device, from: Span<'_>) -> Result<Vec<T>> {
    assert_eq!(from.kind(), T::KIND);
    let mut values = vec![T::zeroed(); from.len()];
    device.download(from, bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

/// Waits, and copies what was kept as activations are.
pub(super) fn download_kept(device: &dyn Device, from: Span<'_>) -> Result<Vec<f32>> {
    if from.kind() == Kind::F32 {
        return download(device, from);
    }
    let mut halves = vec![0u16; from.len()];
    device.download(from, bytemuck::cast_slice_mut(&mut halves))?;
    Ok(halves.into_iter().map(|half| f32::from_bits(u32::from(half) << 16)).collect())
}
