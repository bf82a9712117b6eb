//! `raptr-tui [CONFIG]`: train, on the screen or without one.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use super::desk::{self, Desk};
use super::references;
use super::{Exit, code_of, has_terminal, looks_of, user_of};
use crate::cli::Train;
use crate::config::load::{ConfigError, load, parse};
use crate::config::{RunConfig, Source as DataSource};
use crate::event::{Command, Event};
use crate::fork as forks;
use crate::run_dir::{self, RunDir};
use crate::session::{self, Job, Scripted};
use crate::signals;
use crate::trainer::checkpoint::Named;
use crate::tui;
use crate::tui::terminal::mark_survivable_thread;
use crate::{headless, model, objective, recording};

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
    if is_headless {
        goes_on(&script)?;
        return without_screen(args, script);
    }
    let (targets, receiver) = crossbeam_channel::unbounded();
    let signal = signals::forward_to(receiver)?;
    let mut desk = Desk::new(args, signal.clone(), targets)?;
    let opening = if is_for_the_runs_screen(args) {
        None
    } else {
        let (job, config) = job(args)?;
        Some(desk.begin(job, config, script)?)
    };
    let must_close = Box::new(move || signal.exit_code().is_some());
    let options =
        tui::Options { looks, user, helpers, export: tui::no_export(), read_only: args.read_only, must_close };
    let outcome = tui::open(options, opening, &mut desk);
    let exit = desk.close();
    outcome?;
    Ok(exit)
}

/// Trains without a screen.
fn without_screen(args: &Train, script: Vec<Scripted>) -> Result<Exit> {
    let (job, config) = job(args)?;
    let Some(run) = job.run() else { anyhow::bail!("a rerun is not trained here") };
    warn_of_threads(&config);
    let dir = run.path().to_owned();
    // If its recording can't be read, the session says so.
    let head = if matches!(job, Job::Resume(_)) { recording::head(&dir.join(recording::FILE)).ok() } else { None };
    let started = head.map(|(started, _)| started);
    log_to(&run.log_file())?;
    let on_thread_start = mark_survivable_thread;
    let session = session::spawn(session::Options { job, config, script, with_history: false, on_thread_start })?;
    let signal = signals::forward(session.commands.clone())?;
    let options = headless::Options { json: true, text: !args.quiet, started };
    let last = headless::run(&session.events, &session.commands, options, |_| {});
    session.join();
    let mut exit = Exit { code: code_of(last.as_ref(), signal.exit_code()), ..Exit::default() };
    exit.error = failure(last.as_ref(), &dir);
    Ok(exit)
}

/// Why a run failed, and where its newest checkpoint lies.
pub(super) fn failure(last: Option<&Event>, dir: &Path) -> Option<String> {
    let Some(Event::Failed { reason, last_checkpoint, .. }) = last else {
        return None;
    };
    let file = last_checkpoint.as_ref();
    let kept = file.map_or_else(String::new, |file| format!(" (newest checkpoint: {})", dir.join(file).display()));
    Some(format!("{reason}{kept}"))
}

/// Whether nothing was asked for where there are runs already: then a person is shown what there is.
fn is_for_the_runs_screen(args: &Train) -> bool {
    let asks = args.config.is_some() || args.resume.is_some() || args.fork.is_some() || args.commands.is_some();
    let sets = !args.sets.is_empty() || args.data.is_some() || args.name.is_some();
    !asks && !sets && args.references.is_empty() && desk::has_runs(&args.run_dir)
}

/// What is to be trained.
fn job(args: &Train) -> Result<(Job, RunConfig)> {
    match (&args.resume, &args.fork) {
        (Some(name), _) => resume(args, name),
        (None, Some(spec)) => fork(args, spec),
        (None, None) => {
            let name = args.config.as_deref().unwrap_or(DEFAULT_CONFIG);
            begin(args, name, &args.sets, args.data.as_deref(), args.name.as_deref())
        }
    }
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
fn begin(
    args: &Train,
    config: &str,
    sets: &[String],
    data: Option<&Path>,
    name: Option<&str>,
) -> Result<(Job, RunConfig)> {
    let sets: Vec<String> = sets.iter().cloned().chain(data_sets(data)).chain(device_sets(args)).collect();
    let origin = config;
    let mut config = load(origin, &sets)?;
    absolute_paths(&mut config)?;
    // The one name that a config's own check can't know.
    if let Err(problem) = objective::find(&config.objective.name) {
        return Err(
            ConfigError { origin: origin.to_owned(), problems: vec![format!("`objective.name` {problem}")] }.into()
        );
    }
    model::find_device(&config)?;
    let run = RunDir::create(&args.run_dir, name, origin)?;
    Ok((Job::New(run), config))
}

/// A new run of a shipped config as it is; one for text trains on the text that the program was called with.
pub(super) fn begin_shipped(args: &Train, config: &str) -> Result<(Job, RunConfig)> {
    let data = args.data.as_deref().filter(|_| load(config, &[]).is_err());
    begin(args, config, &[], data, None)
}

/// A run that is there already, with its own config.
pub(super) fn resume(args: &Train, name: &str) -> Result<(Job, RunConfig)> {
    let run = RunDir::open(&args.run_dir, name)?;
    let config = config_of(run.path(), &device_sets(args))?;
    Ok((Job::Resume(run), config))
}

/// A new run from another's checkpoint on.
fn fork(args: &Train, spec: &str) -> Result<(Job, RunConfig)> {
    let (dir, checkpoint) = forks::find(&args.run_dir, spec)?;
    fork_from(args, args.name.as_deref(), dir, checkpoint, &args.sets)
}

/// A new run from a checkpoint of the run in a directory on.
pub(super) fn fork_from(
    args: &Train,
    name: Option<&str>,
    dir: PathBuf,
    checkpoint: Named,
    sets: &[String],
) -> Result<(Job, RunConfig)> {
    let sets: Vec<String> = sets.iter().cloned().chain(device_sets(args)).collect();
    let (parent, config) = (config_of(&dir, &[])?, config_of(&dir, &sets)?);
    let stem = dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let origin = forks::origin(&args.run_dir, dir, checkpoint, &parent, &config)?;
    model::find_device(&config)?;
    // As of a file, whose ending is left off: a name may have a dot in it.
    let run = RunDir::create(&args.run_dir, name, &format!("{stem}-fork.toml"))?;
    Ok((Job::Fork(run, origin), config))
}

/// The config of the run in a directory, with overrides.
pub(super) fn config_of(dir: &Path, sets: &[String]) -> Result<RunConfig> {
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

/// Refuses commands that leave a run paused which nobody else can resume.
fn goes_on(script: &[Scripted]) -> Result<()> {
    let mut paused = None;
    for scripted in script {
        match scripted.command {
            Command::Pause => paused = Some(scripted.at_step.unwrap_or(0)),
            Command::Resume | Command::Stop | Command::Abort => paused = None,
            _ => {}
        }
    }
    let Some(step) = paused else { return Ok(()) };
    let problem = format!("the run is paused at step {step} and nothing resumes it: add a `resume` or a `stop`");
    Err(ConfigError { origin: "--commands".to_owned(), problems: vec![problem] }.into())
}

/// More threads than cores only wait for each other.
fn warn_of_threads(config: &RunConfig) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if config.train.threads > cores {
        let threads = config.train.threads;
        let _ =
            writeln!(std::io::stderr(), "train.threads is {threads}, but this machine has {cores} cores: that is slow");
    }
}

/// Log lines go to the run's file, never to the screen.
pub(super) fn log_to(file: &Path) -> Result<()> {
    LogFile::default().go_on_in(file)
}

/// Where the program's log lines go: into the file of the run that was begun last. All threads share the one log of a
/// process, hence the lock.
#[derive(Clone, Default)]
pub(super) struct LogFile(Arc<Mutex<Option<File>>>);

impl LogFile {
    /// Goes on in this file.
    ///
    /// # Errors
    /// If it can't be opened.
    pub(super) fn go_on_in(&self, file: &Path) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(file);
        let log = log.with_context(|| format!("opening {}", file.display()))?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
        let own = self.clone();
        // A second call in one process keeps the first, which writes to wherever this says.
        let _ = tracing_subscriber::fmt().with_ansi(false).with_writer(move || own.clone()).try_init();
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_mut().map_or(Ok(bytes.len()), |file| file.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_mut().map_or(Ok(()), File::flush)
    }
}
