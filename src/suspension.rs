//! Time in which the process was suspended from its own screen: the system's clocks go on meanwhile, a run's must not.
//!
//! Owns that sum. Never suspends anything itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static TOTAL: Mutex<Duration> = Mutex::new(Duration::ZERO);

fn lock() -> MutexGuard<'static, Duration> {
    // A sum is whole whatever happened to whoever held it.
    TOTAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the process has been suspended so far. Waits while it is just coming back, so that nobody reads a clock that
/// the suspension still has to be taken off.
pub fn total() -> Duration {
    *lock()
}

/// Suspends the process by `stop`, which returns once it goes on, and counts how long that took.
pub fn during(stop: impl FnOnce()) {
    let mut total = lock();
    let began = Instant::now();
    stop();
    *total += began.elapsed();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspension_is_counted_and_seen_only_when_it_is_over() {
        let before = total();
        let wait = Duration::from_millis(30);
        let reader = std::sync::mpsc::channel();
        during(|| {
            let sender = reader.0.clone();
            std::thread::spawn(move || sender.send(total()));
            assert!(reader.1.recv_timeout(wait).is_err(), "nobody reads meanwhile");
        });
        assert!(total() >= before + wait);
        assert!(reader.1.recv().unwrap() >= before + wait);
    }
}
