//! Other runs to be drawn beside this one: found at once, read on a thread of their own, sent one by one.

use std::path::PathBuf;

use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, unbounded};

use super::recording_file;
use crate::app::Msg;
use crate::app::compare::{MOST, Reference};
use crate::app::run::Run;
use crate::cli::Train;
use crate::config::load::ConfigError;
use crate::recording;
use crate::tui::terminal::mark_survivable_thread;

/// Reads the runs of those names; what comes back is for the screen.
///
/// # Errors
/// If there are too many, or one isn't there.
pub(super) fn load(args: &Train, names: &[String]) -> Result<Receiver<Msg>> {
    if names.len() > MOST {
        let problem = format!("at most {MOST} runs, not {}: no more can be told apart", names.len());
        return Err(ConfigError { origin: "--compare".to_owned(), problems: vec![problem] }.into());
    }
    let files: Vec<(String, PathBuf)> =
        names.iter().map(|name| Ok((short_name(name), recording_file(&args.run_dir, name)?))).collect::<Result<_>>()?;
    let (sender, receiver) = unbounded();
    if !files.is_empty() {
        std::thread::Builder::new().name("references".to_owned()).spawn(move || {
            mark_survivable_thread();
            read_all(files, &sender);
        })?;
    }
    Ok(receiver)
}

fn read_all(files: Vec<(String, PathBuf)>, sender: &Sender<Msg>) {
    for (name, file) in files {
        let msg = match recording::read(&file) {
            Ok(events) => Msg::Reference(Box::new(Reference { name, run: fold(&events) })),
            Err(error) => Msg::Notice(format!("{error:#}")),
        };
        // A screen that has closed meanwhile needs none.
        if sender.send(msg).is_err() {
            return;
        }
    }
}

/// The run as its recording tells it.
fn fold(events: &[crate::event::Stamped]) -> Run {
    let mut run = Run::default();
    recording::effective(events).iter().for_each(|stamped| run.apply(stamped));
    run
}

/// A run's name: of a path its last part, of a recording's file that of its folder.
fn short_name(name: &str) -> String {
    let path = std::path::Path::new(name);
    let part = |path: &std::path::Path| path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let own = part(path).filter(|stem| stem != "events");
    own.or_else(|| part(path.parent()?)).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_called_by_its_own_name() {
        for (name, expected) in [
            ("base", "base"),
            ("runs/base", "base"),
            ("runs/base/events.jsonl", "base"),
            ("recordings/quickstart.jsonl", "quickstart"),
            ("events.jsonl", "events.jsonl"),
        ] {
            assert_eq!(short_name(name), expected);
        }
    }
}
