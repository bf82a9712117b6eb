//! The machine as the screen knows it: what `tui` has read of it, over the last minutes.
//!
//! Plain values; a replay has none. Never reads anything itself.

use std::collections::VecDeque;

/// Samples that are kept.
const KEPT: usize = 120;

/// What was read at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Processors' worth of work of this process since the sample before: 1 is one processor, wholly.
    pub processors: Option<f64>,
    /// Processors there are.
    pub processor_count: Option<usize>,
    /// Threads of this process.
    pub threads: Option<u64>,
    /// Bytes of memory that this process holds.
    pub memory: Option<u64>,
    /// The most it ever held.
    pub peak_memory: Option<u64>,
    /// Bytes of memory of the machine.
    pub total_memory: Option<u64>,
    /// Bytes that are free where the run's folder is.
    pub free_disk: Option<u64>,
    /// The GPU that the run uses.
    pub gpu: Option<Gpu>,
}

/// What a GPU does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gpu {
    /// Bytes of its memory that are taken, by whomever.
    pub memory: Option<u64>,
    /// Bytes of memory that it has.
    pub total_memory: Option<u64>,
    /// The share of the time in which it computed something.
    pub utilisation: Option<f64>,
    /// Degrees Celsius.
    pub temperature: Option<u32>,
}

/// What is known of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// Samples, oldest first.
    pub samples: VecDeque<Sample>,
}

impl Machine {
    /// Takes in a sample.
    pub fn take(&mut self, sample: Sample) {
        self.samples.push_back(sample);
        if self.samples.len() > KEPT {
            self.samples.pop_front();
        }
    }

    /// The newest sample.
    pub fn now(&self) -> Option<&Sample> {
        self.samples.back()
    }
}
