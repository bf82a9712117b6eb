//! Signals as commands: SIGINT, SIGTERM and SIGHUP save and stop, a second SIGINT aborts, SIGUSR1 saves.
//!
//! Owns the signal thread and what the exit code must say. Never touches the run: it sends commands like anybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::event::Command;

/// The signal that asked the run to stop, if one did.
#[derive(Clone, Default)]
pub struct StopSignal(Arc<AtomicI32>);

impl StopSignal {
    /// The exit code it calls for: 128 + its number.
    pub fn exit_code(&self) -> Option<u8> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}

/// Turns this process's signals into commands from now on.
///
/// # Errors
/// If the system refuses the handlers.
pub fn forward(commands: Sender<Command>) -> Result<StopSignal> {
    let (sender, targets) = crossbeam_channel::bounded(1);
    let _ = sender.send(commands);
    forward_to(targets)
}

/// The same for a program that trains one run after another: the commands go to whoever came last through the channel.
///
/// # Errors
/// As [`forward`].
pub fn forward_to(targets: Receiver<Sender<Command>>) -> Result<StopSignal> {
    let stop = StopSignal::default();
    let seen = stop.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1]).context("installing signal handlers")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut target: Option<Sender<Command>> = None;
            for signal in signals.forever() {
                let command = match signal {
                    SIGUSR1 => Command::Save,
                    SIGINT if seen.0.load(Ordering::SeqCst) == SIGINT => Command::Abort,
                    _ => Command::Stop,
                };
                if command != Command::Save {
                    seen.0.store(signal, Ordering::SeqCst);
                }
                target = targets.try_iter().last().or(target.take());
                if let Some(target) = &target {
                    // Whoever has ended can't be stopped any more.
                    let _ = target.send(command);
                }
            }
        })
        .context("starting the signal thread")?;
    Ok(stop)
}
