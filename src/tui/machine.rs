//! The machine, read once a second on a thread of its own: a disk that hangs must not hang the screen.
//!
//! What the system doesn't tell is left out; nothing here can fail. Never touches the run.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::graphics::Reader;
use crate::app::machine::Sample;

/// Time between samples.
const EVERY: Duration = Duration::from_secs(1);
/// Linux counts processor time in these, whatever the kernel's own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Samples of this process, of the disk that holds `dir` and of GPU number `gpu`, until nobody listens. None come where no thread can be had.
pub fn spawn(dir: Option<PathBuf>, gpu: Option<usize>) -> Receiver<Sample> {
    let (sender, samples) = bounded(4);
    // The handle isn't needed: the thread ends when the receiver is gone.
    let _ = std::thread::Builder::new().name("machine".to_owned()).spawn(move || {
        let mut before = None;
        let graphics = Reader::new(gpu);
        loop {
            let now = (Instant::now(), processor_seconds());
            let sample = Sample { gpu: graphics.read(), ..read(dir.as_ref(), before, now) };
            before = now.1.map(|seconds| (now.0, seconds));
            // A screen that is suspended takes none; then this one is not worth keeping.
            if matches!(sender.try_send(sample), Err(crossbeam_channel::TrySendError::Disconnected(_))) {
                return;
            }
            std::thread::sleep(EVERY);
        }
    });
    samples
}

fn read(dir: Option<&PathBuf>, before: Option<(Instant, f64)>, now: (Instant, Option<f64>)) -> Sample {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let processors = before.zip(now.1).and_then(|((then, spent), seconds)| {
        let passed = now.0.duration_since(then).as_secs_f64();
        (passed > 0.0).then(|| (seconds - spent) / passed)
    });
    Sample {
        processors,
        processor_count: std::thread::available_parallelism().ok().map(usize::from),
        threads: field(&status, "Threads:"),
        memory: field(&status, "VmRSS:").map(|kib| kib << 10),
        peak_memory: field(&status, "VmHWM:").map(|kib| kib << 10),
        total_memory: field(&memory, "MemTotal:").map(|kib| kib << 10),
        free_disk: dir.and_then(free_disk),
        gpu: None,
    }
}

/// The number behind a name in a file of the kind of `/proc/self/status`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Seconds of processors that this process has used.
fn processor_seconds() -> Option<f64> {
    ticks(&fs::read_to_string("/proc/self/stat").ok()?).map(|ticks| ticks as f64 / TICKS_PER_SECOND)
}

/// Ticks in user and in system mode; the name before them may have spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(unix)]
fn free_disk(dir: &PathBuf) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_disk(_dir: &PathBuf) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_read_as_they_are_written() {
        let status = "Name:\traptr-tui\nVmHWM:\t  612340 kB\nVmRSS:\t  512000 kB\nThreads:\t7\n";
        assert_eq!(
            (field(status, "VmRSS:"), field(status, "Threads:"), field(status, "Vm")),
            (Some(512_000), Some(7), None)
        );
        let stat = "42 (raptr (x) y) S 1 42 42 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 7 0 100 0";
        assert_eq!((ticks(stat), ticks("42 (x"), ticks("")), (Some(300), None, None));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_threads_and_a_disk() {
        let dir = std::env::temp_dir();
        let began = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let sample = read(Some(&dir), Some((began, 0.0)), (Instant::now(), processor_seconds()));
        assert!(sample.memory.unwrap() > 1 << 20 && sample.peak_memory >= sample.memory);
        assert!(sample.total_memory > sample.memory && sample.threads.unwrap() >= 1);
        assert!(
            sample.free_disk.is_some() && sample.processors.unwrap() >= 0.0 && sample.processor_count.unwrap() >= 1
        );
        assert_eq!(read(Some(&PathBuf::from("/no/such/place")), None, (Instant::now(), None)).free_disk, None);
    }
}
