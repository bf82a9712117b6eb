//! Small copies from the GPU that are waited for later: a place in pinned host memory and an event for each.
#![allow(unsafe_code)]

use anyhow::{Result, anyhow, ensure};
use cudarc::driver::{result, sys};

use super::driver;
use crate::gpu::Span;
use crate::gpu::device::MOST_REQUESTED;

/// Places that were made, and those of them that nobody waits for.
#[derive(Default)]
pub(super) struct Requests {
    places: Vec<Place>,
    free: Vec<usize>,
}

struct Place {
    /// Pinned, [`MOST_REQUESTED`] bytes.
    address: *mut u8,
    bytes: usize,
    /// Behind the copy.
    event: sys::CUevent,
}

impl Place {
    fn new() -> Result<Self> {
        // Waiting sleeps: the host has other things to do than to watch.
        let flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC;
        let event = result::event::create(flags).map_err(driver("making an event"))?;
        // SAFETY: a plain allocation, freed once, in `close`.
        let room = unsafe { result::malloc_host(MOST_REQUESTED, 0) };
        let address = room.map_err(|e| anyhow!("no pinned memory for copies from the GPU: {e:?}"))?.cast();
        Ok(Self { address, bytes: 0, event })
    }
}

impl Requests {
    /// Asks for a copy behind what the stream was asked for before.
    ///
    /// # Safety
    /// The context must be bound, and the stream alive.
    pub unsafe fn ask(&mut self, from: Span<'_>, stream: sys::CUstream) -> Result<usize> {
        ensure!(from.bytes() <= MOST_REQUESTED, "{} bytes are too many for a request", from.bytes());
        if self.free.is_empty() {
            self.places.push(Place::new()?);
            self.free.push(self.places.len() - 1);
        }
        let number = self.free[self.free.len() - 1];
        let place = &mut self.places[number];
        place.bytes = from.bytes();
        // SAFETY: nobody looks at a free place, and nobody will at this one before its event; the span is within memory
        // that is alive, and the rest by our own contract.
        unsafe {
            let to = std::slice::from_raw_parts_mut(place.address, place.bytes);
            result::memcpy_dtoh_async(to, from.address(), stream).map_err(driver("copying from it"))?;
            result::event::record(place.event, stream).map_err(driver("recording an event"))?;
        }
        self.free.pop();
        Ok(number)
    }

    /// Waits for a copy, and gives it.
    pub fn take(&mut self, number: usize) -> Result<Vec<u8>> {
        let place = &self.places[number];
        // SAFETY: the event is alive; behind it the copy is whole, and nobody writes there before the place is asked for again.
        let bytes = unsafe {
            result::event::synchronize(place.event).map_err(driver("computing"))?;
            std::slice::from_raw_parts(place.address, place.bytes).to_vec()
        };
        self.free.push(number);
        Ok(bytes)
    }

    /// Gives everything back; the stream must have been waited for.
    pub fn close(&mut self) {
        self.free.clear();
        for place in self.places.drain(..) {
            // SAFETY: ours, and not used again.
            unsafe {
                let _ = result::event::destroy(place.event);
                let _ = result::free_host(place.address.cast());
            }
        }
    }
}
