//! `raptr-tui [CONFIG]`: train, on the screen or without one.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use crossbeam_channel::Receiver;

use super::export::exporter;
use super::references;
use super::{Exit, code_of, has_terminal, looks_of, user_of};
use crate::app::Msg;
use crate::cli::Train;
use crate::config::load::{ConfigError, load, parse};
use crate::config::{RunConfig, Source as DataSource};
use crate::event::{Command, Event, Stamped};
use crate::fork as forks;
use crate::run_dir::{self, RunDir};
use crate::session::{self, Job, Scripted, Session};
use crate::signals::{self, StopSignal};
use crate::tui::looks::Looks;
use crate::tui::terminal::mark_survivable_thread;
use crate::tui::{self, Outcome, Source};
use crate::user_config::UserConfig;
use crate::{headless, objective, recording};

/// The shipped config that is trained when none is named.
const DEFAULT_CONFIG: &str = "quickstart";

/// Trains a new run, or goes on with one.
///
/// # Errors
/// For a config, run, or command file that can't be used. What goes wrong later is told by the run's last event.
pub fn train(args: &Train) -> Result<Exit> {
    let is_headless = args.headless || !has_terminal();
    let user = user_of(args, !is_headless)?;
    let looks = looks_of(args, &user)?;
    let script = args.commands.as_deref().map_or(Ok(Vec::new()), read_script)?;
    let helpers = references::load(args, &args.references)?;
    let (job, config) = match (&args.resume, &args.fork) {
        (Some(name), _) => resume(args, name)?,
        (None, Some(spec)) => fork(args, spec)?,
        (None, None) => begin(args)?,
    };
    let Some(run) = job.run() else { anyhow::bail!("a rerun is not trained here") };
    let (name, dir) = (run.name(), run.path().to_owned());
    log_to(&run.log_file())?;
    let session = session::spawn(session::Options {
        job,
        config,
        script,
        with_history: !is_headless,
        on_thread_start: mark_survivable_thread,
    })?;
    let signal = signals::forward(session.commands.clone())?;
    let mut last = None;
    if is_headless {
        let options = headless::Options { json: true, text: !args.quiet };
        last = headless::run(&session.events, &session.commands, options, |_| {});
        session.join();
    } else {
        let outcome = show(args, (user, looks, helpers), &dir, &session, &signal, &mut last);
        if !matches!(outcome, Ok(Outcome::Left)) && !is_end(last.as_ref()) {
            // The screen is gone, the work must not be.
            let _ = session.commands.send(Command::Stop);
            session.events.iter().for_each(|stamped| last = Some(stamped.event));
        }
        session.join();
        outcome?;
    }
    let mut exit = Exit { code: code_of(last.as_ref(), signal.exit_code()), ..Exit::default() };
    match last {
        Some(Event::Failed { reason, last_checkpoint, .. }) => {
            let kept = last_checkpoint
                .map_or(String::new(), |file| format!(" (newest checkpoint: {})", dir.join(file).display()));
            exit.error = Some(format!("{reason}{kept}"));
        }
        Some(Event::Finished { step, ending, .. }) if !is_headless => {
            exit.text = format!(
                "{name}: {ending:?} after {step} steps. Recording, checkpoints and log are in {}\n",
                dir.display()
            );
        }
        _ => {}
    }
    Ok(exit)
}

fn is_end(event: Option<&Event>) -> bool {
    matches!(event, Some(Event::Finished { .. } | Event::Failed { .. }))
}

/// Shows the run until the person leaves; `last` is the last event that was seen.
fn show(
    args: &Train,
    (user, looks, helpers): (UserConfig, Looks, Receiver<Msg>),
    dir: &Path,
    session: &Session,
    signal: &StopSignal,
    last: &mut Option<Event>,
) -> Result<Outcome> {
    let signal = signal.clone();
    let options = tui::Options {
        looks,
        user,
        export: exporter(dir.join(recording::FILE)),
        helpers,
        read_only: args.read_only,
        must_close: Box::new(move || signal.exit_code().is_some()),
    };
    let source = Source::Live { events: session.events.clone(), commands: session.commands.clone() };
    tui::run(options, source, |stamped: &Stamped| {
        if !matches!(stamped.event, Event::Progress { .. }) {
            *last = Some(stamped.event.clone());
        }
    })
}

/// A string as TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// What `--data` sets.
pub(super) fn data_sets(data: Option<&Path>) -> Vec<String> {
    data.map_or_else(Vec::new, |data| {
        vec!["data.source=\"text\"".to_owned(), format!("data.path={}", quoted(&data.display().to_string()))]
    })
}

/// A run must find its text again from wherever it is resumed.
pub(super) fn absolute_paths(config: &mut RunConfig) -> Result<()> {
    if config.data.source == DataSource::Text {
        for path in [&mut config.data.path, &mut config.data.validation_path].into_iter().filter(|p| !p.is_empty()) {
            *path = std::path::absolute(&path).with_context(|| format!("finding {path}"))?.display().to_string();
        }
        let tokenizer = Path::new(&config.data.tokenizer);
        if tokenizer.is_file() {
            config.data.tokenizer = std::path::absolute(tokenizer)?.display().to_string();
        }
    }
    Ok(())
}

/// A new run.
fn begin(args: &Train) -> Result<(Job, RunConfig)> {
    let name = args.config.as_deref().unwrap_or(DEFAULT_CONFIG);
    let mut sets = args.sets.clone();
    sets.extend(data_sets(args.data.as_deref()));
    sets.extend(device_sets(args));
    let mut config = load(name, &sets)?;
    absolute_paths(&mut config)?;
    // The one name that a config's own check can't know.
    if let Err(problem) = objective::find(&config.objective.name) {
        return Err(
            ConfigError { origin: name.to_owned(), problems: vec![format!("`objective.name` {problem}")] }.into()
        );
    }
    let run = RunDir::create(&args.run_dir, args.name.as_deref(), name)?;
    Ok((Job::New(run), config))
}

/// A run that is there already, with its own config.
fn resume(args: &Train, name: &str) -> Result<(Job, RunConfig)> {
    let run = RunDir::open(&args.run_dir, name)?;
    let config = config_of(run.path(), &device_sets(args))?;
    Ok((Job::Resume(run), config))
}

/// A new run from another's checkpoint on.
fn fork(args: &Train, spec: &str) -> Result<(Job, RunConfig)> {
    let (dir, checkpoint) = forks::find(&args.run_dir, spec)?;
    let sets: Vec<String> = args.sets.iter().cloned().chain(device_sets(args)).collect();
    let (parent, config) = (config_of(&dir, &[])?, config_of(&dir, &sets)?);
    let stem = dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let origin = forks::origin(&args.run_dir, dir, checkpoint, &parent, &config)?;
    // As of a file, whose ending is left off: a name may have a dot in it.
    let run = RunDir::create(&args.run_dir, args.name.as_deref(), &format!("{stem}-fork.toml"))?;
    Ok((Job::Fork(run, origin), config))
}

/// The config of the run in a directory, with overrides.
fn config_of(dir: &Path, sets: &[String]) -> Result<RunConfig> {
    let file = dir.join(run_dir::CONFIG);
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    Ok(parse(&file.display().to_string(), &text, sets)?)
}

fn device_sets(args: &Train) -> Vec<String> {
    args.device.iter().map(|device| format!("train.device={}", quoted(device))).collect()
}

/// Commands from a file, one JSON object per line.
fn read_script(file: &Path) -> Result<Vec<Scripted>> {
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(file).with_context(|| format!("--commands: opening {}", file.display()))?))
    };
    let mut script: Vec<Scripted> = Vec::new();
    for (number, line) in reader.lines().enumerate() {
        let line = line.with_context(|| format!("--commands: reading {}", file.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let bad = |problem: String| ConfigError {
            origin: format!("--commands {}, line {}", file.display(), number + 1),
            problems: vec![problem],
        };
        let scripted: Scripted = serde_json::from_str(&line).map_err(|e| bad(e.to_string()))?;
        if script.last().is_some_and(|before| scripted.at_step.unwrap_or(0) < before.at_step.unwrap_or(0)) {
            return Err(
                bad("comes after a later step; commands must stand in the order of their steps".to_owned()).into()
            );
        }
        script.push(scripted);
    }
    Ok(script)
}

/// Log lines go to the run's file, never to the screen.
pub(super) fn log_to(file: &Path) -> Result<()> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("opening {}", file.display()))?;
    // A second call in one process (a test) keeps the first.
    let _ = tracing_subscriber::fmt().with_ansi(false).with_writer(log).try_init();
    Ok(())
}
