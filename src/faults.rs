//! Faults on demand: what must be survived is made to happen, so that tests of the whole program can see it survived.
//!
//! `RAPTR_TEST_PANIC=screen` lets the screen panic when it is drawn anew (Ctrl-L), `RAPTR_TEST_PANIC=trainer` the trainer
//! when a checkpoint is asked for. Nobody but a test sets it.

/// Panics if the environment asks for it here.
///
/// # Panics
/// That is what it is for.
pub fn panic_in(place: &str) {
    assert!(std::env::var_os("RAPTR_TEST_PANIC").is_none_or(|v| v != place), "asked to panic in the {place}");
}
