//! Following a run that another program trains: a thread that reads its recording as it grows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender};

use crate::event::{Event, Stamped};
use crate::player::tape::Tape;
use crate::recording::{self, Follower};
use crate::run_dir;

/// Time between two looks at the file.
const LOOK: Duration = Duration::from_millis(100);

/// What a recording holds, and the events that come as long as somebody trains the run.
///
/// # Errors
/// If the recording can't be read, or the system can't start a thread.
pub(in crate::verbs) fn follow(file: &Path) -> Result<(Tape, Receiver<Stamped>)> {
    let mut held = Tape::default();
    let end = recording::each(file, &mut |stamped| {
        if is_kept(&stamped) {
            held.push(stamped);
        }
    })?;
    let mut follower = Follower::open(file, end)?;
    let (sender, events) = crossbeam_channel::unbounded();
    let dir = file.parent().map_or_else(PathBuf::new, Path::to_owned);
    let run = move || go_on(&dir, &mut follower, &sender);
    std::thread::Builder::new().name("follower".to_owned()).spawn(run).context("starting the following thread")?;
    Ok((held, events))
}

/// Sends what comes until the run is over, nobody trains it any more, or nobody looks on.
fn go_on(dir: &Path, follower: &mut Follower, sender: &Sender<Stamped>) {
    loop {
        // Asked first: what was written before the trainer let go of the run is still read.
        let is_held = run_dir::is_held(dir);
        match follower.read() {
            Ok(events) => {
                let is_over = !is_held;
                if !send(sender, events) || is_over {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!("{error:#}");
                return;
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether somebody still looks on.
fn send(sender: &Sender<Stamped>, events: Vec<Stamped>) -> bool {
    events.into_iter().filter(is_kept).all(|event| sender.send(event).is_ok())
}

/// Whether it tells of the run, rather than of how far something has come.
fn is_kept(stamped: &Stamped) -> bool {
    !matches!(stamped.event, Event::Progress { .. })
}
