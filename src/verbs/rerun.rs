//! `raptr-tui rerun`: train a recorded run again and report the first difference.

use std::path::Path;

use anyhow::{Context, Result};

use super::export::exporter;
use super::{Exit, has_terminal, looks_of, recording_file, user_of};
use crate::cli::Train;
use crate::config::load::parse;
use crate::data::DataError;
use crate::event::{Event, Stamped};
use crate::rerun::{Closeness, Comparer, Report, script};
use crate::session::{self, Job};
use crate::tui::terminal::mark_survivable_thread;
use crate::tui::{self, Source};
use crate::{headless, model, recording, signals};

/// What trains a recording again: the whole run, or a fork from the checkpoint that it began with.
fn job(file: &Path, run: &str, events: &[Stamped]) -> Result<Job> {
    let name = run.to_owned();
    let own = recording::own(events);
    let Some(forked) = own.iter().find_map(|s| if let Event::Forked(f) = &s.event { Some(f.clone()) } else { None })
    else {
        return Ok(Job::Rerun(name));
    };
    let saved =
        own.iter().find_map(|s| if let Event::Saved { file, .. } = &s.event { Some(file.clone()) } else { None });
    let checkpoint = saved.map(|saved| file.with_file_name(saved)).filter(|checkpoint| checkpoint.is_dir());
    match checkpoint {
        Some(checkpoint) => Ok(Job::RerunFork { name, checkpoint, forked }),
        None => Err(DataError::new(format!(
            "{} is a fork of {} at step {}, and the checkpoint that it began with no longer lies beside it; it can't be trained again",
            file.display(),
            forked.parent,
            forked.step
        ))
        .into()),
    }
}

/// Trains a recording's config again with its commands, comparing every event.
///
/// # Errors
/// If the recording or its config can't be read.
pub fn rerun(args: &Train, name: &str, is_headless: bool) -> Result<Exit> {
    let file = recording_file(&args.run_dir, name)?;
    let events = recording::read(&file)?;
    let started = match events.first().map(|s| &s.event) {
        Some(Event::Started(started)) => started,
        _ => anyhow::bail!("{} doesn't begin with a `started` event", file.display()),
    };
    let config = parse(&format!("the config in {}", file.display()), &started.config, &[])?;
    model::find_device(&config).with_context(|| format!("{} was recorded on {}", file.display(), started.device))?;
    let job = job(&file, &started.run, &events)?;
    let on_thread_start = mark_survivable_thread;
    let gpu = model::gpu_of(&config);
    let is_loose = !config.train.deterministic;
    let options = session::Options { job, config, script: script(&events), with_history: false, on_thread_start };
    let then = started.device.clone();
    let session = session::spawn(options)?;
    let signal = signals::forward(session.commands.clone())?;
    let mut comparer = Comparer::new(&events, Closeness::Bits);
    let (mut failure, mut device) = (None, None);
    let mut watch = |stamped: &Stamped| {
        match &stamped.event {
            Event::Failed { reason, .. } => failure = Some(reason.clone()),
            Event::Started(started) => device = Some(started.device.clone()),
            _ => {}
        }
        comparer.take(&stamped.event);
    };
    if is_headless || !has_terminal() {
        headless::run(
            &session.events,
            &session.commands,
            headless::Options { json: false, text: !args.quiet, started: None },
            watch,
        );
    } else {
        let closed = signal.clone();
        let user = user_of(args, true)?;
        let looks = looks_of(args, &user)?;
        let options = tui::Options {
            looks,
            user,
            export: exporter(file.clone()),
            helpers: crossbeam_channel::never(),
            read_only: true,
            must_close: Box::new(move || closed.exit_code().is_some()),
        };
        let (events, commands) = (session.events.clone(), session.commands.clone());
        let source = Source::Live { events, commands, dir: None, gpu };
        tui::run(options, source, &mut watch).context("showing the rerun")?;
        // What had arrived when the screen was left, and the rest if there is any.
        session.events.try_iter().for_each(|stamped| watch(&stamped));
    }
    session.join();
    let report = comparer.report();
    let code = signal.exit_code().unwrap_or(u8::from(report.difference.is_some()));
    let name = file.display();
    let Report { events, steps, checksums, difference } = report;
    let equal = format!("{events} events ({steps} steps) and {checksums} weight checksums equal");
    Ok(match (difference, failure) {
        (None, None) => Exit { code, text: format!("rerun of {name}: identical, {equal}\n"), error: None },
        (None, Some(reason)) => Exit {
            code,
            text: format!("rerun of {name}: identical, {equal}; it failed as recorded: {reason}\n"),
            error: None,
        },
        (Some(difference), failure) => {
            let failure = failure.map_or(String::new(), |reason| format!("\n   the rerun failed: {reason}"));
            let other = device.filter(|now| *now != then).map_or(String::new(), |now| {
                format!("\n   it was recorded on \"{then}\" and ran on \"{now}\": bits are the same on one kind of device only")
            });
            let loose = if is_loose {
                "\n   its train.deterministic is false: on a GPU no run is the same to the bit"
            } else {
                ""
            };
            Exit {
                code,
                text: String::new(),
                error: Some(format!("rerun of {name} differs after {equal}:\n{difference}{failure}{other}{loose}")),
            }
        }
    })
}
