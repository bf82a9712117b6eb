//! Pinned host memory that small copies to the GPU pass through, so that nobody waits for them.
#![allow(unsafe_code)]

use anyhow::{Result, anyhow};
use cudarc::driver::result;

/// Bytes of it.
const ROOM: usize = 16 << 20;

/// What was copied since the stream was last waited for, one behind the other.
pub(super) struct Staging {
    address: *mut u8,
    used: usize,
}

impl Default for Staging {
    fn default() -> Self {
        Self { address: std::ptr::null_mut(), used: 0 }
    }
}

impl Staging {
    /// Keeps the bytes until the stream has been waited for; none if there is no room.
    ///
    /// # Errors
    /// If the system has no memory to be pinned.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<&'static [u8]>> {
        if bytes.len() > ROOM - self.used {
            return Ok(None);
        }
        if self.address.is_null() {
            // SAFETY: a plain allocation, freed once, in `close`.
            let room = unsafe { result::malloc_host(ROOM, 0) };
            self.address = room.map_err(|e| anyhow!("no pinned memory for copies to the GPU: {e:?}"))?.cast();
        }
        // SAFETY: there is room (above). The slice lives as long as the allocation does, and nobody writes there before
        // `reset`, which is called when the stream has been waited for.
        let kept = unsafe {
            let to = self.address.add(self.used);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            std::slice::from_raw_parts(to, bytes.len())
        };
        self.used += bytes.len().next_multiple_of(64).min(ROOM - self.used);
        Ok(Some(kept))
    }

    /// The stream has been waited for.
    pub fn reset(&mut self) {
        self.used = 0;
    }

    /// Gives the memory back.
    pub fn close(&mut self) {
        if !self.address.is_null() {
            // SAFETY: ours, and the stream has been waited for.
            let _ = unsafe { result::free_host(self.address.cast()) };
            self.address = std::ptr::null_mut();
        }
    }
}
