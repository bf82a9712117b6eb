//! The session: a live run's trainer thread, events out, commands in.
//!
//! Owns the thread, the clock that stamps events, the recording, and the order in which commands reach the trainer. Each
//! event is recorded before it is sent; the thread never waits for whoever reads the other end. Never draws.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::config::load::ConfigError;
use crate::data::{self, Corpus, DataError};
use crate::event::{Cause, Command, EVALUATING, Ending, Event, Forked, Stamped};
use crate::faults;
use crate::fork::Origin;
use crate::recording::{self, Writer};
use crate::run_dir::{self, RunDir};
use crate::suspension;
use crate::trainer::checkpoint::{self, Folder, NoStore, Store};
use crate::trainer::{NotFinite, Trainer};

/// What to train.
pub enum Job {
    /// A new run in an empty directory.
    New(RunDir),
    /// The run in the directory, from its newest checkpoint on.
    Resume(RunDir),
    /// A new run in an empty directory, from another's checkpoint on.
    Fork(RunDir, Origin),
    /// The config alone: nothing is written, and live commands but stop and abort are passed over.
    Rerun(String),
    /// The same from the checkpoint that a fork began with.
    RerunFork {
        /// The run's name.
        name: String,
        /// The checkpoint's folder.
        checkpoint: PathBuf,
        /// What its recording says of where it comes from.
        forked: Forked,
    },
}

impl Job {
    /// The directory of a run that is made for it.
    fn new_run(&self) -> Option<&RunDir> {
        if let Self::New(run) | Self::Fork(run, _) = self { Some(run) } else { None }
    }

    /// The run's directory, where there is one.
    pub fn run(&self) -> Option<&RunDir> {
        if let Self::Resume(run) = self { Some(run) } else { self.new_run() }
    }
}

/// A command with the step it is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scripted {
    /// The step before which it takes effect; none: as soon as possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_step: Option<u64>,
    /// The command.
    #[serde(flatten)]
    pub command: Command,
}

/// A live run.
pub struct Session {
    /// What happens.
    pub events: Receiver<Stamped>,
    /// What is asked.
    pub commands: Sender<Command>,
    thread: JoinHandle<()>,
}

impl Session {
    /// Waits for the trainer thread to end.
    pub fn join(self) {
        drop(self.commands);
        // The thread catches its own panics, so there is nothing to learn from the result.
        let _ = self.thread.join();
    }
}

/// How to run a job.
pub struct Options {
    /// What to train, and with what.
    pub job: Job,
    /// The config of the run.
    pub config: RunConfig,
    /// Commands that are known beforehand, in order.
    pub script: Vec<Scripted>,
    /// Whether a resumed run's earlier events are sent first, for a screen.
    pub with_history: bool,
    /// Called first on the trainer thread.
    pub on_thread_start: fn(),
}

/// Starts the trainer thread.
///
/// # Errors
/// If the system can't start one.
pub fn spawn(options: Options) -> Result<Session> {
    let (event_sender, events) = crossbeam_channel::unbounded();
    let (commands, command_receiver) = crossbeam_channel::unbounded();
    let thread = std::thread::Builder::new().name("trainer".to_owned()).spawn(move || {
        (options.on_thread_start)();
        let mut recorder = Recorder::new(event_sender);
        let inbox = Inbox::new(command_receiver, options.script.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&options, &inbox, &mut recorder)));
        let (cause, reason) = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => (cause_of(&error), format!("{error:#}")),
            Err(panic) => (Cause::Error, format!("the trainer panicked: {}", panic_text(panic.as_ref()))),
        };
        tracing::error!("{reason}");
        if let (Some(run), None) = (options.job.new_run(), &recorder.writer) {
            // Nothing was trained or recorded: an empty run would only be in the way.
            let _ = fs::remove_dir_all(run.path());
        }
        recorder.fail(cause, reason);
    });
    Ok(Session { events, commands, thread: thread.context("starting the trainer thread")? })
}

fn run(options: &Options, inbox: &Inbox, recorder: &mut Recorder) -> Result<()> {
    let config = &options.config;
    let corpus = match open_data(config, inbox, recorder) {
        Ok(corpus) => corpus,
        Err(error) if error.is::<data::Interrupted>() => {
            // Nothing was trained, so there is nothing to keep.
            if let Some(run) = options.job.new_run() {
                let _ = fs::remove_dir_all(run.path());
            }
            return recorder.emit(Event::Finished { step: 0, ending: Ending::Aborted, weights: String::new() });
        }
        Err(error) => return Err(error),
    };
    let store: Box<dyn Store> = match options.job.run() {
        Some(run) => Box::new(Folder::open(run.path(), config.checkpoint.keep)?),
        None => Box::new(NoStore),
    };
    let tokenizer = corpus.tokenizer_json();
    let mut trainer = Trainer::new(config.clone(), corpus, store)?;
    match &options.job {
        Job::New(run) => {
            write_run_files(run, config, tokenizer.as_deref())?;
            recorder.record(Writer::create(run.path())?);
            recorder.emit(trainer.started(&run.name())?)?;
        }
        Job::Resume(run) => resume(run, &mut trainer, recorder, options.with_history)?,
        Job::Fork(run, origin) => {
            fork(run, origin, &mut trainer, recorder, options.with_history, &mut |run| {
                write_run_files(run, config, tokenizer.as_deref())
            })?;
        }
        Job::Rerun(name) => recorder.emit(trainer.started(name)?)?,
        Job::RerunFork { name, checkpoint, forked } => {
            recorder.emit(trainer.started(name)?)?;
            let snapshot = read_checkpoint(checkpoint)?;
            let events = snapshot.state.events;
            trainer.fork(snapshot, &forked.file, events, false)?;
            recorder.emit(Event::Forked(Forked { weights: trainer.weights_checksum()?, ..forked.clone() }))?;
        }
    }
    let is_rerun = options.job.run().is_none();
    trainer.on_progress(recorder.teller());
    while !trainer.is_over() {
        let interrupted = || inbox.has(Command::cuts_short);
        if let Some(command) = inbox.next(trainer.state().step, trainer.is_waiting(), is_rerun) {
            tracing::info!(step = trainer.state().step, ?command, "command");
            if command == Command::Save {
                faults::panic_in("trainer");
            }
            trainer.apply(command, &interrupted, &mut |event| recorder.emit(event))?;
        } else {
            trainer.advance(&interrupted, &mut |event| recorder.emit(event))?;
        }
    }
    recorder.sync()
}

fn open_data(config: &RunConfig, inbox: &Inbox, recorder: &mut Recorder) -> Result<Box<dyn Corpus>> {
    data::open(config, &mut |progress| {
        if inbox.has(Command::is_urgent) {
            return ControlFlow::Break(());
        }
        let event = Event::Progress { what: progress.what.to_owned(), done: progress.done, total: progress.total };
        // Progress is not recorded, so it can't fail.
        let _ = recorder.emit(event);
        ControlFlow::Continue(())
    })
}

fn write_run_files(run: &RunDir, config: &RunConfig, tokenizer: Option<&str>) -> Result<()> {
    let write = |file: &Path, text: &str| fs::write(file, text).with_context(|| format!("writing {}", file.display()));
    write(&run.config_file(), &config.to_toml())?;
    tokenizer.map_or(Ok(()), |json| write(&run.path().join("tokenizer.json"), json))
}

/// Loads the newest whole checkpoint and takes up the recording behind it.
fn resume(run: &RunDir, trainer: &mut Trainer, recorder: &mut Recorder, with_history: bool) -> Result<()> {
    let events = recording::read(&run.path().join(recording::FILE))?;
    if let (Some(Event::Started(then)), Event::Started(now)) = (events.first().map(|s| &s.event), trainer.started("")?)
        && then.data_checksum != now.data_checksum
    {
        let (then, now) = (&then.data, now.data);
        return Err(DataError::new(format!(
            "the data or its tokenizer has changed since the run began: {then} then, {now} now"
        ))
        .into());
    }
    let found = checkpoint::newest(run.path()).map_err(|e| DataError::new(format!("{e:#}")))?;
    found.damaged.iter().for_each(|what| tracing::warn!("passed over: {what}"));
    let keep = recording::keep(&events, found.snapshot.state.events, &found.file);
    let step = found.snapshot.state.step;
    trainer.resume(found.snapshot, &found.file, keep).map_err(|e| DataError::new(format!("{e:#}")))?;
    recorder.go_on(Writer::append(run.path())?, keep, events.last().map_or(0, |s| s.us));
    if with_history {
        recording::effective(&events).into_iter().filter(|s| s.seq < keep).for_each(|s| recorder.send(s));
    }
    trainer.resumed(Event::Resumed { step, keep, file: found.file, damaged: found.damaged }, &mut |e| recorder.emit(e))
}

/// A checkpoint that is asked for by name must be whole.
fn read_checkpoint(dir: &Path) -> Result<checkpoint::Snapshot> {
    checkpoint::read(dir).map_err(|e| DataError::new(format!("{e:#}")).into())
}

/// Makes the run's files, copies what happened before into its recording, and loads the parent's checkpoint.
fn fork(
    run: &RunDir,
    origin: &Origin,
    trainer: &mut Trainer,
    recorder: &mut Recorder,
    with_history: bool,
    write_files: &mut dyn FnMut(&RunDir) -> Result<()>,
) -> Result<()> {
    let events = recording::read(&origin.dir.join(recording::FILE))?;
    let started = trainer.started(&run.name())?;
    if let (Some(Event::Started(then)), Event::Started(now)) = (events.first().map(|s| &s.event), &started)
        && then.data_checksum != now.data_checksum
    {
        return Err(DataError::new(format!(
            "the data or its tokenizer has changed since the parent began: {} then, {} now",
            then.data, now.data
        ))
        .into());
    }
    let snapshot = read_checkpoint(&origin.dir.join(&origin.file))?;
    let keep = recording::keep(&events, snapshot.state.events, &origin.file);
    let mut before: Vec<Stamped> = recording::effective(&events).into_iter().filter(|s| s.seq < keep).collect();
    if before.len() as u64 != keep {
        return Err(DataError::new(format!(
            "the recording of {} lacks events from before {}",
            origin.parent, origin.file
        ))
        .into());
    }
    before[0].event = started;
    let step = snapshot.state.step;
    trainer.fork(snapshot, &origin.file, keep, origin.own_table)?;
    write_files(run)?;
    let mut writer = Writer::create(run.path())?;
    before.iter().try_for_each(|s| writer.write(s))?;
    recorder.go_on(writer, keep, before.last().map_or(0, |s| s.us));
    let shown = if with_history { before.len() } else { 1 };
    before.into_iter().take(shown).for_each(|s| recorder.send(s));
    let (parent, file, changes) = (origin.parent.clone(), origin.file.clone(), origin.changes.clone());
    let forked = Forked { parent, step, file, weights: trainer.weights_checksum()?, changes };
    let name = run.path().join(run_dir::FORKED);
    fs::write(&name, serde_json::to_vec_pretty(&forked)?).with_context(|| format!("writing {}", name.display()))?;
    trainer.forked(forked, &mut |e| recorder.emit(e))
}

fn cause_of(error: &anyhow::Error) -> Cause {
    if error.is::<ConfigError>() {
        Cause::Config
    } else if error.is::<NotFinite>() {
        Cause::Diverged
    } else if error.is::<DataError>() || error.is::<recording::Unreadable>() {
        Cause::Unreadable
    } else {
        Cause::Error
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Time between two words about an evaluation's progress.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Microseconds of this session and earlier ones, but for those in which the process was suspended.
fn elapsed_us(began: Instant, earlier_us: u64) -> u64 {
    let suspended = suspension::total();
    let own = began.elapsed().saturating_sub(suspended);
    earlier_us.saturating_add(u64::try_from(own.as_micros()).unwrap_or(u64::MAX))
}

/// Stamps, records and sends events.
struct Recorder {
    sender: Sender<Stamped>,
    writer: Option<Writer>,
    /// Shared with whoever tells of progress in between.
    seq: Rc<Cell<u64>>,
    began: Instant,
    /// Wall time of earlier sessions.
    earlier_us: u64,
    step: u64,
    last_checkpoint: Option<String>,
}

impl Recorder {
    fn new(sender: Sender<Stamped>) -> Self {
        Self {
            sender,
            writer: None,
            seq: Rc::default(),
            // What was suspended before this session is no part of it.
            began: Instant::now().checked_sub(suspension::total()).unwrap_or_else(Instant::now),
            earlier_us: 0,
            step: 0,
            last_checkpoint: None,
        }
    }

    fn record(&mut self, writer: Writer) {
        self.writer = Some(writer);
    }

    fn go_on(&mut self, writer: Writer, seq: u64, earlier_us: u64) {
        self.record(writer);
        self.seq.set(seq);
        self.earlier_us = earlier_us;
    }

    fn emit(&mut self, event: Event) -> Result<()> {
        let stamped = Stamped { seq: self.seq.get(), us: elapsed_us(self.began, self.earlier_us), event };
        match &stamped.event {
            Event::Stepped { step, .. } => self.step = step + 1,
            Event::Saved { file, .. } | Event::Resumed { file, .. } => self.last_checkpoint = Some(file.clone()),
            _ => {}
        }
        if stamped.event.is_recorded() {
            if let Some(writer) = &mut self.writer {
                writer.write(&stamped)?;
                if matches!(stamped.event, Event::Saved { .. }) {
                    writer.sync()?;
                }
            }
            self.seq.set(self.seq.get() + 1);
        }
        self.send(stamped);
        Ok(())
    }

    /// Tells how far an evaluation has come, but not at every batch. Such events are never recorded.
    fn teller(&self) -> impl FnMut(u64, u64) + 'static {
        let (sender, seq, began, earlier_us) = (self.sender.clone(), Rc::clone(&self.seq), self.began, self.earlier_us);
        let mut told = Instant::now();
        move |done, total| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let event = Event::Progress { what: EVALUATING.to_owned(), done, total };
                let _ = sender.send(Stamped { seq: seq.get(), us: elapsed_us(began, earlier_us), event });
            }
        }
    }

    fn send(&self, stamped: Stamped) {
        // Nobody may be left to read it; the run goes on, and the recording has it.
        let _ = self.sender.send(stamped);
    }

    fn sync(&mut self) -> Result<()> {
        self.writer.as_mut().map_or(Ok(()), Writer::sync)
    }

    /// The last event of a run that failed. It reaches the screen even where the recording can't take it.
    fn fail(&mut self, cause: Cause, reason: String) {
        let event = || Event::Failed {
            step: self.step,
            cause,
            reason: reason.clone(),
            last_checkpoint: self.last_checkpoint.clone(),
        };
        let failed = event();
        if let Err(error) = self.emit(failed.clone()) {
            tracing::error!("{error:#}");
            self.send(Stamped { seq: self.seq.get(), us: self.earlier_us, event: failed });
        }
    }
}

/// Commands that have arrived or were scripted, in order.
struct Inbox {
    receiver: Receiver<Command>,
    arrived: RefCell<VecDeque<Command>>,
    script: RefCell<VecDeque<Scripted>>,
}

impl Inbox {
    fn new(receiver: Receiver<Command>, script: Vec<Scripted>) -> Self {
        Self { receiver, arrived: RefCell::default(), script: RefCell::new(script.into()) }
    }

    fn drain(&self) {
        loop {
            match self.receiver.try_recv() {
                Ok(command) => self.arrived.borrow_mut().push_back(command),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Whether a command of some kind waits.
    fn has(&self, is_such: fn(Command) -> bool) -> bool {
        self.drain();
        self.arrived.borrow().iter().any(|c| is_such(*c))
    }

    /// The next command to be applied before `step`. Blocks for one if the trainer is waiting; none if it may go on.
    fn next(&self, step: u64, is_waiting: bool, urgent_only: bool) -> Option<Command> {
        let is_due = |s: &Scripted| s.at_step.is_none_or(|at| at <= step);
        if self.script.borrow().front().is_some_and(is_due) {
            return self.script.borrow_mut().pop_front().map(|s| s.command);
        }
        loop {
            self.drain();
            while let Some(command) = self.arrived.borrow_mut().pop_front() {
                if command.is_urgent() || !urgent_only {
                    return Some(command);
                }
            }
            if !is_waiting {
                return None;
            }
            match self.receiver.recv() {
                Ok(command) => self.arrived.borrow_mut().push_back(command),
                // Everybody who could resume it has gone.
                Err(_) => return Some(Command::Stop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripted_commands_come_at_their_step_and_urgent_ones_are_seen() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let script = vec![
            Scripted { at_step: None, command: Command::Save },
            Scripted { at_step: Some(3), command: Command::Pause },
        ];
        let inbox = Inbox::new(receiver, script);
        assert_eq!(inbox.next(0, false, false), Some(Command::Save));
        assert_eq!(inbox.next(0, false, false), None);
        sender.send(Command::Evaluate).unwrap();
        assert!(!inbox.has(Command::cuts_short));
        sender.send(Command::Cancel).unwrap();
        assert!(inbox.has(Command::cuts_short) && !inbox.has(Command::is_urgent), "no reason to stop reading data");
        sender.send(Command::Stop).unwrap();
        assert!(inbox.has(Command::is_urgent));
        assert_eq!(inbox.next(3, true, false), Some(Command::Pause));
        assert_eq!(inbox.next(3, true, true), Some(Command::Stop), "a rerun passes over live commands");
        drop(sender);
        assert_eq!(inbox.next(3, true, false), Some(Command::Stop));
    }

    #[test]
    fn a_scripted_command_is_flat_json() {
        let text = r#"{"at_step":120,"command":"set_path_length","stage":1,"path_length":9}"#;
        let scripted: Scripted = serde_json::from_str(text).unwrap();
        assert_eq!(scripted.at_step, Some(120));
        assert_eq!(scripted.command, Command::SetPathLength { stage: 1, path_length: 9 });
        assert_eq!(serde_json::to_string(&scripted).unwrap(), text);
    }
}
