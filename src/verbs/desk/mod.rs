//! The desk behind the screen: fetches what the Runs screen asks for, and trains what it asks to be trained.
//!
//! Owns the sessions of one program, of which one trains at a time, and the thread that looks into directories so that
//! the screen never waits for a disk. Never draws.

mod details;
mod follow;
mod scan;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, Sender};

use super::export::{exporter, tape};
use super::train::{self, LogFile};
use super::{Exit, code_of, recording_file};
use crate::app::compare::Reference;
use crate::app::run::Run;
use crate::app::runs::list::Kind;
use crate::app::runs::{News, Wish};
use crate::cli::Train;
use crate::config::RunConfig;
use crate::event::{Command, Ending, Event, Stamped};
use crate::session::{self, Job, Scripted, Session};
use crate::signals::StopSignal;
use crate::trainer::checkpoint;
use crate::tui::terminal::mark_survivable_thread;
use crate::tui::{Opening, Source};
use crate::{fork, model, recording, run_dir};
pub(super) use follow::follow;

/// A run that this program trains, or has trained.
struct Trained {
    session: Session,
    name: String,
    dir: PathBuf,
    last: Option<Event>,
}

impl Trained {
    fn is_over(&self) -> bool {
        matches!(self.last, Some(Event::Finished { .. } | Event::Failed { .. }))
    }
}

/// Serves the screen.
pub(super) struct Desk<'a> {
    args: &'a Train,
    log: LogFile,
    signal: StopSignal,
    /// Whom signals go to.
    targets: Sender<Sender<Command>>,
    trained: Option<Trained>,
    /// How earlier runs of this program have ended.
    before: String,
    asks: Sender<Ask>,
    news: Receiver<News>,
}

/// What the looking thread is asked.
enum Ask {
    /// For the list; the run that is trained here stands in this directory.
    List(Option<PathBuf>),
    Look(Kind, String),
    Compare(String, PathBuf),
}

impl<'a> Desk<'a> {
    /// A desk without a run.
    ///
    /// # Errors
    /// If the system can't start the thread that looks.
    pub(super) fn new(args: &'a Train, signal: StopSignal, targets: Sender<Sender<Command>>) -> Result<Self> {
        let (asks, asked) = crossbeam_channel::unbounded();
        let (teller, news) = crossbeam_channel::unbounded();
        let runs = args.run_dir.clone();
        let look = move || look(&runs, &asked, &teller);
        std::thread::Builder::new().name("looker".to_owned()).spawn(look).context("starting the looking thread")?;
        let (log, before) = (LogFile::default(), String::new());
        Ok(Self { args, log, signal, targets, trained: None, before, asks, news })
    }

    /// Begins to train.
    ///
    /// # Errors
    /// If another run is still being trained, or the trainer thread can't be started.
    pub(super) fn begin(&mut self, job: Job, config: RunConfig, script: Vec<Scripted>) -> Result<Opening> {
        let Some(run) = job.run() else { bail!("a rerun is not trained here") };
        let (name, dir) = (run.name(), run.path().to_owned());
        self.log.go_on_in(&run.log_file())?;
        let on_thread_start = mark_survivable_thread;
        let gpu = model::gpu_of(&config);
        let session = session::spawn(session::Options { job, config, script, with_history: true, on_thread_start })?;
        // The signal thread lives as long as the program.
        let _ = self.targets.send(session.commands.clone());
        let file = dir.join(recording::FILE);
        let (events, commands) = (session.events.clone(), session.commands.clone());
        let source = Source::Live { events, commands, dir: Some(dir.clone()), gpu };
        if let Some(before) = self.trained.replace(Trained { session, name, dir, last: None }) {
            self.before += &summary(&before);
            before.session.join();
        }
        Ok(Opening { source, export: exporter(file) })
    }

    /// Refuses while a run is being trained.
    fn is_free(&self) -> Result<()> {
        match &self.trained {
            Some(t) if !t.is_over() => {
                bail!("{} is being trained here; one run at a time: stop it first (6, Enter, q)", t.name)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, wish: Wish) -> Result<Option<Opening>> {
        let told = "the thread that looks into directories has ended";
        match wish {
            Wish::List => {
                let here = self.trained.as_ref().filter(|t| !t.is_over()).map(|t| t.dir.clone());
                self.asks.send(Ask::List(here)).context(told)?;
            }
            Wish::Look(kind, name) => self.asks.send(Ask::Look(kind, name)).context(told)?,
            Wish::Replay(_, name) => {
                let file = recording_file(&self.args.run_dir, &name)?;
                return opening(file, false, 1.0).map(Some);
            }
            Wish::Start(name) => {
                self.is_free()?;
                let (job, config) = train::begin_shipped(self.args, &name)?;
                return self.begin(job, config, Vec::new()).map(Some);
            }
            Wish::Resume(name) => {
                self.is_free()?;
                let (job, config) = train::resume(self.args, &name)?;
                return self.begin(job, config, Vec::new()).map(Some);
            }
            Wish::Fork { run, file, changes } => {
                self.is_free()?;
                let (job, config) = self.fork(&run, &file, &changes)?;
                return self.begin(job, config, Vec::new()).map(Some);
            }
            Wish::Compare(_, name) => {
                let file = recording_file(&self.args.run_dir, &name)?;
                self.asks.send(Ask::Compare(name, file)).context(told)?;
            }
            Wish::Return => {}
        }
        Ok(None)
    }

    fn fork(&self, run: &str, file: &str, changes: &str) -> Result<(Job, RunConfig)> {
        let dir = run_dir::find(&self.args.run_dir, run)?;
        let all = checkpoint::list(&dir)?;
        let named = all.into_iter().find(|c| c.file == file).with_context(|| format!("{run} has no longer {file}"))?;
        let parent = train::config_of(&dir, &[])?;
        let mut sets = Vec::new();
        for word in changes.split_whitespace() {
            if word.contains('=') {
                sets.push(word.to_owned());
                continue;
            }
            let lengths: Result<Vec<usize>, _> = word.split('-').map(str::parse).collect();
            let lengths = lengths.ok().with_context(|| {
                format!("`{word}` is neither path lengths from there on, as in 9-12, nor KEY=VALUE")
            })?;
            let state = checkpoint::state(&dir.join(file))?;
            sets.push(fork::stages(&parent, &state.schedule, state.step, &lengths));
        }
        train::fork_from(self.args, None, dir, named, &sets)
    }

    /// Ends what is still being trained, once the screen has been left, and says how everything ended.
    pub(super) fn close(mut self) -> Exit {
        let Some(mut trained) = self.trained.take() else {
            return Exit { code: self.signal.exit_code().unwrap_or(0), ..Exit::default() };
        };
        if !trained.is_over() {
            // The screen is gone, the work must not be.
            let _ = trained.session.commands.send(Command::Stop);
            for stamped in &trained.session.events {
                keep(&mut trained.last, &stamped.event);
            }
        }
        let mut exit = Exit { code: code_of(trained.last.as_ref(), self.signal.exit_code()), ..Exit::default() };
        exit.text = self.before + &summary(&trained);
        exit.error = train::failure(trained.last.as_ref(), &trained.dir);
        trained.session.join();
        exit
    }
}

impl crate::tui::Desk for Desk<'_> {
    fn wish(&mut self, wish: Wish) -> Result<Option<Opening>, String> {
        self.open(wish).map_err(|error| format!("{error:#}"))
    }

    fn news(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    fn watch(&mut self, stamped: &Stamped) {
        if let Some(trained) = &mut self.trained {
            keep(&mut trained.last, &stamped.event);
        }
    }
}

/// Keeps the last event that tells how a run stands.
fn keep(last: &mut Option<Event>, event: &Event) {
    if !matches!(event, Event::Progress { .. }) {
        *last = Some(event.clone());
    }
}

/// A line for the terminal once the screen has been left.
fn summary(trained: &Trained) -> String {
    let (name, dir) = (&trained.name, trained.dir.display());
    match &trained.last {
        Some(Event::Finished { step: 0, ending: Ending::Aborted, .. }) => String::new(),
        Some(Event::Finished { step, ending, .. }) => {
            format!("{name}: {ending:?} after {step} steps. Recording, checkpoints and log are in {dir}\n")
        }
        _ => String::new(),
    }
}

/// A recording to be shown; of a run that is being trained, and whenever `follows` says so, as it grows.
///
/// # Errors
/// If it can't be read.
pub(super) fn opening(file: PathBuf, follows: bool, speed: f64) -> Result<Opening> {
    let (tape, growth) = if follows || file.parent().is_some_and(run_dir::is_held) {
        let (tape, growth) = follow(&file)?;
        (tape, Some(growth))
    } else {
        (tape(&file)?, None)
    };
    let source = Source::Replay { tape, speed, growth };
    Ok(Opening { source, export: exporter(file) })
}

/// The looking thread: answers until nobody asks any more. Of several wishes for details only the last counts.
fn look(runs: &Path, asked: &Receiver<Ask>, teller: &Sender<News>) {
    for first in asked {
        let mut waiting = vec![first];
        waiting.extend(asked.try_iter());
        let last_look = waiting.iter().rposition(|ask| matches!(ask, Ask::Look(..)));
        for (index, ask) in waiting.into_iter().enumerate() {
            let news = match ask {
                Ask::List(here) => match scan::rows(runs, here.as_deref()) {
                    Ok(rows) => News::Listed { place: runs.display().to_string(), rows },
                    Err(error) => News::Refused(format!("{error:#}")),
                },
                Ask::Look(kind, name) if Some(index) == last_look => {
                    News::Details(Box::new(details::details(runs, kind, &name)))
                }
                Ask::Look(..) => continue,
                Ask::Compare(name, file) => match tape(&file) {
                    Ok(tape) => {
                        let mut run = Run::default();
                        tape.range(0..tape.len()).for_each(|event| run.apply(&event));
                        News::Compared(Box::new(Reference { name, run }))
                    }
                    Err(error) => News::Refused(format!("{error:#}")),
                },
            };
            if teller.send(news).is_err() {
                return;
            }
        }
    }
}

/// Whether there is any run to be listed.
pub(super) fn has_runs(runs: &Path) -> bool {
    fs::read_dir(runs).is_ok_and(|entries| entries.flatten().any(|e| e.path().join(recording::FILE).is_file()))
}
