//! The runner: trains an experiment's runs one after the other, each an ordinary run, and goes on where it was left.
//!
//! Owns the order, the choice of learning rates, and what becomes of each run's directory. A finished run is never trained
//! again; one that was cut off goes on from its checkpoint, or anew if it has none. Everything that is said of a run is
//! read from its recording, so that an interrupted experiment and an uninterrupted one say the same. Never draws.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, Sender, select};

use super::definition::{Experiment, Planned};
use super::dir::ExperimentDir;
use super::figures::{Figures, State};
use super::output;
use super::results::{self, Results};
use super::text;
use crate::event::{Cause, Command, Ending, Event};
use crate::experiment_event::{ExperimentEvent, RunRow, RunState};
use crate::plan::plan;
use crate::recording;
use crate::run_dir::RunDir;
use crate::session::{self, Job, Session};
use crate::trainer::checkpoint;

/// A live experiment.
pub struct Live {
    /// What happens.
    pub events: Receiver<ExperimentEvent>,
    /// What is asked: pause, resume, save, stop, abort.
    pub commands: Sender<Command>,
    thread: JoinHandle<Result<Outcome>>,
}

/// How an experiment ended.
#[derive(Debug)]
pub enum Outcome {
    /// Every run is done.
    Completed(Box<Results>),
    /// It was left.
    Stopped,
}

impl Live {
    /// Waits for the end.
    ///
    /// # Errors
    /// What made it fail.
    pub fn join(self) -> Result<Outcome> {
        drop(self.commands);
        self.thread.join().unwrap_or_else(|_| bail!("the experiment's thread panicked"))
    }
}

/// Starts the thread that trains the runs. `on_thread_start` is called first on it and on each trainer thread.
///
/// # Errors
/// If the system can't start one.
pub fn spawn(experiment: Experiment, dir: ExperimentDir, on_thread_start: fn()) -> Result<Live> {
    let (event_sender, events) = crossbeam_channel::unbounded();
    let (commands, command_receiver) = crossbeam_channel::unbounded();
    let thread = std::thread::Builder::new().name("experiment".to_owned()).spawn(move || {
        on_thread_start();
        let rows = rows(&experiment);
        let mut runner = Runner {
            experiment: &experiment,
            dir: &dir,
            commands: command_receiver,
            events: event_sender,
            on_thread_start,
            rows: rows.iter().enumerate().map(|(at, row)| (key(row), at)).collect(),
            done: HashMap::new(),
            is_paused: false,
            is_leaving: Cell::new(false),
        };
        let begun =
            ExperimentEvent::Begun { name: experiment.name.clone(), question: experiment.question.clone(), rows };
        runner.tell(begun);
        let outcome = runner.run();
        match &outcome {
            Ok(Outcome::Completed(results)) => runner.tell(ExperimentEvent::Finished { table: text::table(results) }),
            Ok(Outcome::Stopped) => runner.tell(ExperimentEvent::Stopped),
            Err(error) => runner.tell(ExperimentEvent::Failed { reason: format!("{error:#}") }),
        }
        outcome
    });
    Ok(Live { events, commands, thread: thread.context("starting the experiment's thread")? })
}

/// Which row a run is: its learning rate may not be known yet.
type Key = (String, u64, u64, Option<u64>);

fn key(row: &RunRow) -> Key {
    (row.arm.clone(), row.horizon, row.seed, row.learning_rate.filter(|_| row.is_tuning).map(f64::to_bits))
}

/// Every run in the order of training: by horizon, each arm's tuning, then seed by seed through the arms, so that a table
/// of one seed is there early.
fn rows(experiment: &Experiment) -> Vec<RunRow> {
    let mut rows = Vec::with_capacity(experiment.runs());
    for horizon in 0..experiment.horizons.len() {
        let row = |run: &Planned, learning_rate: Option<f64>, is_tuning: bool| RunRow {
            name: run.name.clone(),
            arm: experiment.arms[run.arm].name.clone(),
            horizon: experiment.horizons[horizon],
            seed: run.seed,
            learning_rate,
            is_tuning,
            steps: run.config.train.steps,
            flops: plan(&run.config).flops,
        };
        for arm in 0..experiment.arms.len() {
            rows.extend(experiment.tuning(arm, horizon).iter().map(|run| row(run, Some(run.learning_rate), true)));
        }
        for seed in 1..=experiment.seeds {
            for (arm, a) in experiment.arms.iter().enumerate() {
                let only = Some(a.learning_rates[0]).filter(|_| a.learning_rates.len() == 1);
                let run = experiment.run(arm, horizon, a.learning_rates[0], seed);
                rows.push(row(&run, only, false));
            }
        }
    }
    rows
}

struct Runner<'a> {
    experiment: &'a Experiment,
    dir: &'a ExperimentDir,
    commands: Receiver<Command>,
    events: Sender<ExperimentEvent>,
    on_thread_start: fn(),
    rows: HashMap<Key, usize>,
    done: HashMap<String, Figures>,
    /// A pause that was asked for holds for the next run as well.
    is_paused: bool,
    /// A stop was asked for: it holds even if it reached a run that had just ended.
    is_leaving: Cell<bool>,
}

/// A run's figures, or the wish to leave.
enum Ran {
    Done(Box<Figures>),
    Left,
}

impl Runner<'_> {
    fn tell(&self, event: ExperimentEvent) {
        // Nobody may be left to read it; the runs go on, and their recordings have it.
        let _ = self.events.send(event);
    }

    fn run(&mut self) -> Result<Outcome> {
        let e = self.experiment;
        let mut chosen = HashMap::new();
        for horizon in 0..e.horizons.len() {
            for arm in 0..e.arms.len() {
                let mut tried = Vec::new();
                for run in e.tuning(arm, horizon) {
                    let Ran::Done(figures) = self.figures(&run, true)? else { return Ok(Outcome::Stopped) };
                    tried.push((run.learning_rate, figures.final_loss()));
                }
                let rate = if tried.is_empty() { Some(e.arms[arm].learning_rates[0]) } else { results::best(&tried) };
                if !tried.is_empty() {
                    let (arm, horizon) = (e.arms[arm].name.clone(), e.horizons[horizon]);
                    self.tell(ExperimentEvent::Tuned { arm, horizon, learning_rate: rate });
                }
                // Where every rate diverged the lowest is reported, and will say so.
                chosen.insert((arm, horizon), rate.unwrap_or(e.arms[arm].learning_rates[0]));
            }
            for seed in 1..=e.seeds {
                for arm in 0..e.arms.len() {
                    let run = e.run(arm, horizon, chosen[&(arm, horizon)], seed);
                    let Ran::Done(_) = self.figures(&run, false)? else { return Ok(Outcome::Stopped) };
                }
            }
        }
        // A stop that came behind the last run must not go unheard, but there is nothing left to be stopped.
        let Some(results) = Results::of(e, &|run| self.done.get(&run.name), &mut || self.wants_to_leave())? else {
            return Ok(Outcome::Stopped);
        };
        output::write(self.dir, &results)?;
        Ok(Outcome::Completed(Box::new(results)))
    }

    fn wants_to_leave(&self) -> bool {
        if self.commands.try_iter().any(Command::is_urgent) {
            self.is_leaving.set(true);
        }
        self.is_leaving.get()
    }

    /// A run's figures: from its recording, once it has been trained.
    fn figures(&mut self, run: &Planned, is_tuning: bool) -> Result<Ran> {
        if self.wants_to_leave() {
            return Ok(Ran::Left);
        }
        let arm = &self.experiment.arms[run.arm].name;
        let rate = is_tuning.then(|| run.learning_rate.to_bits());
        let row = self.rows.get(&(arm.clone(), self.experiment.horizons[run.horizon], run.seed, rate)).copied();
        let row = row.unwrap_or(0);
        let place = self.dir.path().join(&run.name);
        let mut from_earlier = true;
        let figures = loop {
            let found = read(&place, run)?;
            match found {
                Some(figures) if figures.state != State::Unfinished => break figures,
                _ if !from_earlier => bail!("the run {} ended without being finished", place.display()),
                _ => {}
            }
            self.tell(ExperimentEvent::Run { row, state: RunState::Running, from_earlier: false });
            if !self.train(run, &place, row)? {
                return Ok(Ran::Left);
            }
            from_earlier = false;
        };
        let state = match figures.final_loss() {
            Some(loss) => RunState::Done { loss },
            None => RunState::Diverged,
        };
        self.tell(ExperimentEvent::Run { row, state, from_earlier });
        self.done.insert(run.name.clone(), figures.clone());
        Ok(Ran::Done(Box::new(figures)))
    }

    /// Trains a run to its end, from its newest checkpoint if it has one. False if it was left before.
    fn train(&mut self, run: &Planned, place: &Path, row: usize) -> Result<bool> {
        let job = if checkpoint::newest(place).is_ok() && place.join(recording::FILE).is_file() {
            Job::Resume(RunDir::open(self.dir.path(), &run.name)?)
        } else {
            if place.exists() {
                // Cut off before its first checkpoint: the same run is trained anew.
                if place.join(recording::FILE).is_file() {
                    // Refuses if another process trains it.
                    drop(RunDir::open(self.dir.path(), &run.name)?);
                }
                fs::remove_dir_all(place).with_context(|| format!("removing {}", place.display()))?;
            }
            Job::New(RunDir::create(self.dir.path(), Some(&run.name), "")?)
        };
        let session = session::spawn(session::Options {
            job,
            config: run.config.clone(),
            script: Vec::new(),
            with_history: true,
            on_thread_start: self.on_thread_start,
        })?;
        if self.is_paused {
            let _ = session.commands.send(Command::Pause);
        }
        let last = self.follow(&session, row);
        session.join();
        match last {
            Some(Event::Finished { ending: Ending::Completed, .. })
            | Some(Event::Failed { cause: Cause::Diverged, .. }) => Ok(true),
            Some(Event::Finished { .. }) => Ok(false),
            Some(Event::Failed { cause, reason, .. }) => Err(failure(cause, format!("run {}: {reason}", run.name))),
            _ => bail!("the trainer of run {} ended without a word", run.name),
        }
    }

    /// Passes events on one way and commands the other until the run ends. Returns the last event.
    fn follow(&mut self, session: &Session, row: usize) -> Option<Event> {
        let mut last = None;
        let nobody = crossbeam_channel::never();
        let mut commands = &self.commands;
        loop {
            select! {
                recv(session.events) -> stamped => match stamped {
                    Ok(stamped) => {
                        last = Some(stamped.event.clone());
                        self.tell(ExperimentEvent::Of { row, stamped });
                    }
                    Err(_) => return last,
                },
                recv(commands) -> command => match command {
                    Ok(command) => {
                        match command {
                            Command::Pause => self.is_paused = true,
                            Command::Resume => self.is_paused = false,
                            Command::Stop | Command::Abort => self.is_leaving.set(true),
                            _ => {}
                        }
                        // If the trainer has gone, its last event says so.
                        let _ = session.commands.send(command);
                    }
                    // Whoever could ask has gone; that alone ends nothing.
                    Err(_) => commands = &nobody,
                },
            }
        }
    }
}

/// The error that a failed run's cause calls for: the process's exit code depends on its kind.
fn failure(cause: Cause, reason: String) -> anyhow::Error {
    match cause {
        Cause::Config => {
            crate::config::load::ConfigError { origin: "experiment".to_owned(), problems: vec![reason] }.into()
        }
        Cause::Unreadable => crate::data::DataError::new(reason).into(),
        Cause::Error | Cause::Diverged => anyhow::anyhow!(reason),
    }
}

/// What a run's recording says; none if it has none yet.
fn read(place: &Path, run: &Planned) -> Result<Option<Figures>> {
    let file = place.join(recording::FILE);
    if fs::metadata(&file).map_or(0, |meta| meta.len()) == 0 {
        return Ok(None);
    }
    // A recording whose very first line is torn tells nothing: the run is trained anew.
    let Ok(events) = recording::read(&file) else { return Ok(None) };
    let figures = Figures::of(&events)?;
    let config: Option<crate::config::RunConfig> = toml::from_str(&figures.config).ok();
    if config.as_ref() != Some(&run.config) {
        bail!("{} holds a run of another config; move it away, or use another --run-dir", place.display());
    }
    Ok(Some(figures))
}
