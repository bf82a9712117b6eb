//! The verbs that train nothing: replay, plan, list, completions.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::desk::{self, Desk};
use super::references;
use super::{Exit, lacks_terminal, looks_of, recording_file, user_of};
use crate::app::actions::Mode;
use crate::app::keymap::Keymap;
use crate::cli::{Cli, Listed, Train};
use crate::config::load::load;
use crate::config::shipped;
use crate::experiment::shipped as experiments;
use crate::measurement::WHATS;
use crate::signals;
use crate::tui;
use crate::user_config::UserConfig;
use crate::{method, objective, plan as plans, recording, run_dir, user_config};

/// Shows a recording on the screen.
///
/// # Errors
/// If it can't be read, or there is no terminal.
pub fn replay(args: &Train, name: &str, speed: f64, beside: &[String], follows: bool) -> Result<Exit> {
    let file = recording_file(&args.run_dir, name)?;
    if let Some(why) = lacks_terminal() {
        recording::read(&file)?;
        anyhow::bail!("replay needs a terminal, but {why}; {} holds the events as JSON lines", file.display());
    }
    let helpers = references::load(args, beside)?;
    let user = user_of(args, true)?;
    let looks = looks_of(args, &user)?;
    let opening = desk::opening(file, follows, speed)?;
    let (targets, receiver) = crossbeam_channel::unbounded();
    let signal = signals::forward_to(receiver)?;
    let mut desk = Desk::new(args, signal.clone(), targets)?;
    let must_close = Box::new(move || signal.exit_code().is_some());
    let options =
        tui::Options { looks, user, helpers, export: tui::no_export(), read_only: args.read_only, must_close };
    let outcome = tui::open(options, Some(opening), &mut desk);
    let exit = desk.close();
    outcome?;
    Ok(exit)
}

/// Parameters, memory, FLOPs and speed-up.
///
/// # Errors
/// If the config can't be used.
pub fn plan(name: &str, sets: &[String], json: bool) -> Result<Exit> {
    // A plan needs no text: a config for text may leave it out.
    let mut sets = sets.to_vec();
    if !sets.iter().any(|s| s.starts_with("data.path")) {
        sets.push("data.path=\"-\"".to_owned());
        if load(name, &sets).is_err() {
            sets.pop();
        }
    }
    let config = load(name, &sets)?;
    let plan = plans::plan(&config);
    if json {
        return Ok(Exit::text(serde_json::to_string_pretty(&plan)? + "\n"));
    }
    Ok(Exit::text(plan.to_text(name, &config)))
}

/// Lists what there is.
///
/// # Errors
/// If the run directory can't be read.
pub fn list(args: &Train, what: Listed) -> Result<Exit> {
    let mut text = String::new();
    let mut row = |name: &str, about: &str| {
        let _ = writeln!(text, "{}", format!("{name:<16} {about}").trim_end());
    };
    match what {
        Listed::Actions => return Ok(Exit::text(actions(&user_config::load()?.keymap))),
        Listed::Configs => shipped::SHIPPED.iter().for_each(|(name, text)| row(name, shipped::about(text))),
        Listed::Experiments => {
            experiments::SHIPPED.iter().for_each(|(name, text)| row(name, shipped::about(text)));
        }
        Listed::Methods => method::METHODS.iter().for_each(|m| row(m.name(), m.about())),
        Listed::Objectives => objective::OBJECTIVES.iter().for_each(|o| row(o.name(), o.about())),
        Listed::Measurements => WHATS.iter().for_each(|(_, _, name, about)| row(name, about)),
        Listed::Themes => {
            looks_of(args, &UserConfig::default())?
                .choices()
                .iter()
                .for_each(|choice| row(&choice.name, &choice.about));
        }
        Listed::Runs => {
            for (dir, _) in run_dir::list(&args.run_dir)? {
                let name = dir.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
                row(&name, &summary(&dir.join(recording::FILE)));
            }
        }
        Listed::Recordings => recording::SHIPPED.iter().for_each(|name| row(name, "")),
    }
    Ok(Exit::text(text))
}

/// The table of actions as the user has it: name, keys, sentence.
fn actions(keymap: &Keymap) -> String {
    let mut text = String::new();
    for (title, mode) in [("run", Mode::Run), ("replay", Mode::Replay), ("experiment", Mode::Experiment)] {
        let _ = writeln!(text, "{title}:");
        for row in keymap.all(mode) {
            let keys: Vec<String> = row.keys.iter().map(|key| key.name()).collect();
            let name = format!("{} {}", row.binding.name, row.binding.takes.hint());
            let _ = writeln!(text, "  {:<24} {:<12} {}", name.trim_end(), keys.join(" "), row.binding.help);
        }
    }
    text
}

/// A run in a line.
fn summary(file: &Path) -> String {
    let events = match recording::read(file) {
        Ok(events) => recording::effective(&events),
        Err(error) => return error.to_string(),
    };
    let mut app = crate::app::run::Run::default();
    events.iter().for_each(|event| app.apply(event));
    let full = app.full.last().map_or(String::new(), |f| format!(", full model {:.4} at step {}", f.loss, f.step));
    let state = match (&app.failure, app.ending) {
        (Some(failure), _) => format!("failed: {}", failure.reason),
        (None, Some(ending)) => format!("{ending:?}").to_lowercase(),
        (None, None) => "live, or cut off".to_owned(),
    };
    format!("step {}/{}{full}, {state}", app.step, app.total_steps())
}

/// A completion script.
pub fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "raptr-tui", &mut script);
    Exit::text(String::from_utf8_lossy(&script).into_owned())
}
