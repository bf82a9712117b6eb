//! Pinned host memory that small copies to the GPU pass through, so that nobody waits for them: a ring.
#![allow(unsafe_code)]

use std::collections::VecDeque;

use anyhow::{Result, anyhow};
use cudarc::driver::result;

/// Bytes of it.
const ROOM: usize = 16 << 20;

/// What was copied and may still be read, one behind the other.
pub(super) struct Staging {
    address: *mut u8,
    ring: Ring,
}

impl Default for Staging {
    fn default() -> Self {
        Self { address: std::ptr::null_mut(), ring: Ring::default() }
    }
}

impl Staging {
    /// Keeps the bytes until the stream has passed them; none if there is no room.
    ///
    /// # Errors
    /// If the system has no memory to be pinned.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<&'static [u8]>> {
        let Some(at) = self.ring.take(bytes.len()) else {
            return Ok(None);
        };
        if self.address.is_null() {
            // SAFETY: a plain allocation, freed once, in `close`.
            let room = unsafe { result::malloc_host(ROOM, 0) };
            self.address = room.map_err(|e| anyhow!("no pinned memory for copies to the GPU: {e:?}"))?.cast();
        }
        // SAFETY: `at` and all bytes behind it lie in the ring. The slice lives as long as the allocation does, and nobody
        // writes there before the ring gives the place out again, which it does when the stream has passed it.
        let kept = unsafe {
            let to = self.address.add(at);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            std::slice::from_raw_parts(to, bytes.len())
        };
        Ok(Some(kept))
    }

    /// A request was made of the stream: whoever has waited for it knows that all before has been read.
    pub fn mark(&mut self, request: usize) {
        self.ring.marks.push_back((request, self.ring.head));
    }

    /// That request was waited for.
    pub fn passed(&mut self, request: usize) {
        self.ring.passed(request);
    }

    /// The stream has been waited for.
    pub fn reset(&mut self) {
        self.ring.tail = self.ring.head;
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

/// Which places are taken, counted in bytes since the beginning.
#[derive(Default)]
struct Ring {
    /// Where the next one begins.
    head: usize,
    /// Before it, all are free.
    tail: usize,
    /// Requests, and the head at that time.
    marks: VecDeque<(usize, usize)>,
}

impl Ring {
    /// A place for so many bytes, all of them before the ring's end.
    fn take(&mut self, bytes: usize) -> Option<usize> {
        let size = bytes.next_multiple_of(64);
        let rest = ROOM - self.head % ROOM;
        let start = if size > rest { self.head + rest } else { self.head };
        if size > ROOM || start + size - self.tail > ROOM {
            return None;
        }
        self.head = start + size;
        Some(start % ROOM)
    }

    fn passed(&mut self, request: usize) {
        let Some(place) = self.marks.iter().position(|(number, _)| *number == request) else {
            return;
        };
        // What was asked for before has been passed as well.
        for (_, head) in self.marks.drain(..=place) {
            self.tail = self.tail.max(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_is_given_out_before_it_was_passed() {
        let mut ring = Ring::default();
        let part = ROOM / 4;
        assert_eq!([0; 3].map(|_| ring.take(part).unwrap()), [0, part, 2 * part]);
        ring.marks.push_back((7, ring.head));
        assert_eq!(ring.take(part - 1), Some(3 * part));
        assert_eq!(ring.take(1), None, "it is full");
        ring.marks.push_back((3, ring.head));
        ring.passed(7);
        assert_eq!(ring.take(3 * part), Some(0));
        assert_eq!(ring.take(1), None);
        ring.passed(3);
        // Not in two pieces around the end.
        assert_eq!(ring.take(2 * part), None);
        assert_eq!(ring.take(part), Some(3 * part));
        assert_eq!(ring.take(ROOM + 1), None);
    }

    #[test]
    fn a_request_that_was_passed_frees_all_before_it() {
        let mut ring = Ring::default();
        for request in 0..3 {
            ring.take(ROOM / 4).unwrap();
            ring.marks.push_back((request, ring.head));
        }
        ring.passed(2);
        assert_eq!((ring.tail, ring.marks.len()), (ring.head, 0));
        // A number is used again.
        ring.take(64).unwrap();
        ring.marks.push_back((2, ring.head));
        ring.passed(2);
        assert_eq!(ring.tail, ring.head);
    }
}
