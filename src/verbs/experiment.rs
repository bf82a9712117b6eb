//! `raptr-tui experiment`: train an experiment's runs, on the screen or without one, and print its table.
#![allow(clippy::print_stderr)] // text for people is this file's business

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;

use super::train::{absolute_paths, data_sets, log_to};
use super::{Exit, has_terminal, looks_of, user_of};
use crate::app::experiment::Board;
use crate::cli::Train;
use crate::event::Command;
use crate::experiment::definition::{self, Experiment};
use crate::experiment::dir::ExperimentDir;
use crate::experiment::runner::{self, Live, Outcome};
use crate::experiment::{stability, text};
use crate::experiment_event::{ExperimentEvent, RunState};
use crate::signals;
use crate::tui;
use crate::tui::terminal::mark_survivable_thread;
use crate::view;

/// What was asked for.
pub struct Asked<'a> {
    /// A shipped experiment or a file.
    pub name: &'a str,
    /// Seeds, instead of the experiment's own.
    pub seeds: Option<u64>,
    /// Keys for every arm.
    pub sets: &'a [String],
    /// Text for every arm.
    pub data: Option<PathBuf>,
    /// The results as JSON.
    pub json: bool,
    /// No screen.
    pub headless: bool,
}

/// Trains what is left of an experiment and prints its table.
///
/// # Errors
/// For an experiment that can't be used or a run that failed (a diverged one is a result, not a failure).
pub fn experiment(args: &Train, asked: &Asked<'_>) -> Result<Exit> {
    let user = user_of(args, !asked.headless && has_terminal())?;
    let looks = looks_of(args, &user)?;
    let mut sets = asked.sets.to_vec();
    sets.extend(data_sets(asked.data.as_deref()));
    let (name, text) = definition::source(asked.name)?;
    if stability::is_it(&name, &text)? {
        return measure_stability(args, asked, &name, &text);
    }
    let mut experiment = Experiment::parse(&name, &text, &sets)?;
    if let Some(seeds) = asked.seeds {
        experiment = experiment.with_seeds(seeds)?;
    }
    experiment.arms.iter_mut().try_for_each(|arm| absolute_paths(&mut arm.config))?;
    let dir = ExperimentDir::open(&args.run_dir, &experiment)?;
    let place = dir.path().to_owned();
    log_to(&place.join("raptr.log"))?;
    let live = runner::spawn(experiment, dir, mark_survivable_thread)?;
    let signal = signals::forward(live.commands.clone())?;
    if asked.headless || !has_terminal() {
        follow(&live, !args.quiet);
    } else {
        let closed = signal.clone();
        let options = tui::Options {
            looks,
            user,
            export: Arc::new(|_| String::new()),
            helpers: crossbeam_channel::never(),
            read_only: false,
            must_close: Box::new(move || closed.exit_code().is_some()),
        };
        let shown = tui::experiment::run(options, &live.events, &live.commands);
        // The screen is gone, the work must not be: the run that is being trained is saved.
        let _ = live.commands.send(Command::Stop);
        live.events.iter().for_each(drop);
        shown?;
    }
    let outcome = live.join()?;
    let code = signal.exit_code();
    Ok(match outcome {
        // A signal behind the last run came too late to stop anything.
        Outcome::Completed(results) => Exit::text(if asked.json {
            serde_json::to_string_pretty(&*results)? + "\n"
        } else {
            format!(
                "{}\nIn {}: results.json, results.txt, *.svg, and the runs\n",
                text::table(&results),
                place.display()
            )
        }),
        Outcome::Stopped => Exit {
            code: code.unwrap_or(0),
            text: String::new(),
            error: Some(format!(
                "left before its end; what was trained is in {}, the same command goes on",
                place.display()
            )),
        },
    })
}

/// The experiment that has no runs: measures, prints its tables, and keeps them.
fn measure_stability(args: &Train, asked: &Asked<'_>, name: &str, text: &str) -> Result<Exit> {
    let mut sets = asked.sets.to_vec();
    sets.extend(data_sets(asked.data.as_deref()).into_iter().map(|set| format!("transformer.set.{set}")));
    sets.extend(asked.seeds.map(|seeds| format!("transformer.seeds={seeds}")));
    let definition = stability::Definition::parse(name, text, &sets)?;
    let dir = ExperimentDir::without_runs(&args.run_dir, name)?;
    log_to(&dir.path().join("raptr.log"))?;
    let (commands, asked_of_us) = crossbeam_channel::unbounded();
    let signal = signals::forward(commands)?;
    let interrupted = || signal.exit_code().is_some() || asked_of_us.try_iter().any(Command::is_urgent);
    if !args.quiet {
        let _ = writeln!(io::stderr(), "{name}: {}", definition.question);
    }
    let began = Instant::now();
    let results = stability::run(&definition, &interrupted, &mut |what, done, all| {
        if !args.quiet {
            // A closed stderr must not end the experiment.
            let _ = writeln!(io::stderr(), "[{done}/{all}] {what} ({:.1} s)", began.elapsed().as_secs_f64());
        }
    })?;
    let Some(results) = results else {
        return Ok(Exit {
            code: signal.exit_code().unwrap_or(1),
            text: String::new(),
            error: Some("left before its end; nothing was kept, the same command begins anew".to_owned()),
        });
    };
    results.write(&dir, text)?;
    Ok(Exit::text(if asked.json {
        serde_json::to_string_pretty(&results)? + "\n"
    } else {
        format!("{}\nIn {}: results.json, results.txt, *.svg\n", results.to_text(), dir.path().display())
    }))
}

/// Tells what happens on stderr until the experiment ends.
fn follow(live: &Live, is_on: bool) {
    let mut board = Board::default();
    let mut began = Instant::now();
    for event in &live.events {
        board.apply(&event);
        let line = match &event {
            ExperimentEvent::Begun { name, question, rows } => Some(format!("{name}: {question} ({} runs)", rows.len())),
            ExperimentEvent::Tuned { arm, horizon, learning_rate } => Some(match learning_rate {
                Some(rate) => format!("{arm} at {horizon} steps: learning rate {rate:e}"),
                None => format!("{arm} at {horizon} steps: every learning rate diverged"),
            }),
            ExperimentEvent::Run { state: RunState::Running, .. } => {
                began = Instant::now();
                None
            }
            ExperimentEvent::Run { row, state, from_earlier } => {
                let what = match state {
                    RunState::Done { loss } => format!("{loss:.4}"),
                    _ => "diverged".to_owned(),
                };
                let (name, done, all) = (board.row_name(*row), board.done(), board.rows.len());
                let left = board.eta_seconds().map_or(String::new(), |s| format!(", about {} left", view::duration(s)));
                let how = if *from_earlier {
                    "from earlier".to_owned()
                } else {
                    format!("{:.1} s{left}", began.elapsed().as_secs_f64())
                };
                Some(format!("[{done}/{all}] {name}: {what} ({how})"))
            }
            ExperimentEvent::Of { .. }
            | ExperimentEvent::Finished { .. }
            | ExperimentEvent::Stopped
            // The caller reports the failure, once.
            | ExperimentEvent::Failed { .. } => None,
        };
        if let (Some(line), true) = (line, is_on) {
            // A closed stderr must not end the experiment.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}
