//! Giving memory back: behind all that may still use it, and at no time at which that is forbidden.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, result};

use crate::gpu::device::Release;

/// Frees memory of a context.
pub(super) struct Heap {
    pub context: Arc<CudaContext>,
    pub later: Arc<Later>,
}

/// Memory that nobody holds any more, but which calls that are still being collected may name.
#[derive(Default)]
pub(super) struct Later {
    pub is_collecting: AtomicBool,
    addresses: Mutex<Vec<u64>>,
}

impl Later {
    pub fn addresses(&self) -> MutexGuard<'_, Vec<u64>> {
        // A thread that died while it held them left them as they were.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Release for Heap {
    fn release(&self, address: u64, _: usize) {
        if self.later.is_collecting.load(Ordering::Relaxed) {
            return self.later.addresses().push(address);
        }
        free(&self.context, address);
    }
}

/// Held by whoever captures a stream, and by whoever waits for the whole context: that is forbidden during a capture, even
/// another thread's.
static CAPTURE: Mutex<()> = Mutex::new(());

pub(super) fn no_capture() -> MutexGuard<'static, ()> {
    CAPTURE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn free(context: &CudaContext, address: u64) {
    // Not by a thread that captures: what that drops is freed later.
    let _guard = no_capture();
    // Whatever was asked for before may still use it. Where waiting fails the device is lost, and its memory with it.
    if context.synchronize().is_ok() {
        // SAFETY: `address` came from `malloc_sync`, and is freed once: by `Memory`.
        let _ = unsafe { result::free_sync(address) };
    }
}
