//! The app: what the screen knows, and what keys do to it.
//!
//! `run` is folded from events (but for what the machine's alarms say in its log), so that a live run, a replay and a test
//! show the same; `ui` is what the person at the keyboard has chosen. Never touches candle, a file, a
//! clock, a thread or the trainer: keys and ticks arrive as plain values, wishes leave as [`Request`]s.

pub mod actions;
pub mod alerts;
pub mod argument;
pub mod chart;
pub mod compare;
pub mod editor;
pub mod experiment;
mod figures;
mod fuzzy;
pub mod help;
pub mod history;
mod input;
pub mod keymap;
pub mod keys;
pub mod line;
pub mod log_view;
pub mod machine;
pub mod mouse;
pub mod outlook;
pub mod palette;
pub mod path_levels;
mod perform;
pub mod run;
pub mod runs;
pub mod screen;
mod steering;
pub mod strip_view;
#[cfg(test)]
mod test_run;
pub mod themes;
pub mod ui;
mod update;

use crate::event::{Command, EVALUATING, Stamped};
use actions::Mode;
use alerts::Alarms;
use compare::Reference;
use keymap::{Keymap, Place};
use keys::Key;
use machine::{Machine, Sample};
use run::Run;
pub use screen::{Pane, Screen};
pub use ui::{Overlay, Ui};

/// Something that reaches the app.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    /// An event of the run.
    Event(Stamped),
    /// A key was pressed, at `us` microseconds of the screen's own time.
    Key {
        /// Which.
        key: Key,
        /// When.
        us: u64,
    },
    /// Text was pasted.
    Paste(String),
    /// The mouse did something, at `us` microseconds of the screen's own time.
    Mouse {
        /// What lies under it.
        target: mouse::Target,
        /// What it did.
        gesture: mouse::Gesture,
        /// When.
        us: u64,
    },
    /// Where the replay stands.
    Replay(ReplayState),
    /// Another run to be shown beside this one.
    Reference(Box<Reference>),
    /// What stands along the recording.
    Marks(Vec<ReplayMark>),
    /// Something to tell the person.
    Notice(String),
    /// The screen's own time passes, microseconds: about once a second.
    Tick {
        /// When.
        us: u64,
    },
    /// What was read of the machine.
    Machine(Sample),
    /// The trainer thread has ended; nothing more will come.
    Ended,
    /// Something was found out about runs.
    Runs(runs::News),
}

/// Something the app wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Ask the trainer.
    Train(Command),
    /// Move the replay.
    Replay(Seek),
    /// Leave the screen.
    Quit,
    /// Suspend the process.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Write what a pane shows into files.
    Export(Pane),
    /// Do something with runs.
    Runs(runs::Wish),
}

/// A move in a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seek {
    /// Play or pause.
    Toggle,
    /// So many steps on (or back).
    Steps(i64),
    /// To where so many steps are trained.
    Step(u64),
    /// So many hundredths of the whole.
    Percent(i64),
    /// To a share of the whole.
    Share(f64),
    /// To the next (or previous) stage.
    Stages(i64),
    /// To the beginning.
    Start,
    /// To the end.
    End,
    /// To the end, and stay there as it moves on.
    Follow,
    /// Twice (or half) as fast.
    Speed(i32),
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReplayState {
    /// Whether time passes.
    pub is_playing: bool,
    /// How much faster than it happened.
    pub speed: f64,
    /// Whether it stays at the end as that moves on.
    pub is_following: bool,
    /// Share of the events shown.
    pub share: f64,
    /// How many events there are.
    pub events: usize,
    /// Time of the replay at its own speed, long pauses cut, microseconds.
    pub at_us: u64,
    /// The same at the end.
    pub length_us: u64,
}

/// Something along a recording, at a place among its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayMark {
    /// A stage began.
    Stage {
        /// Where.
        place: usize,
        /// 0-based.
        stage: usize,
    },
    /// A person changed something.
    Hand {
        /// Where.
        place: usize,
    },
    /// The run failed.
    Failure {
        /// Where.
        place: usize,
    },
}

impl ReplayMark {
    /// Where it is.
    pub fn place(self) -> usize {
        match self {
            Self::Stage { place, .. } | Self::Hand { place } | Self::Failure { place } => place,
        }
    }
}

/// Who the screen is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Nothing on the screen may change the run.
    pub read_only: bool,
    /// The events come from a recording.
    pub is_replay: bool,
}

/// What the program has to do with what is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tie {
    /// It trains it.
    #[default]
    Trains,
    /// It only looks on.
    Watches,
    /// Nothing is shown yet.
    Nothing,
}

/// Everything the screen shows.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Folded from events.
    pub run: Run,
    /// Chosen by the person.
    pub ui: Ui,
    /// Other runs beside it.
    pub references: Vec<Reference>,
    /// Commands sent and not yet answered.
    pub pending: Vec<Command>,
    /// Who the screen is for.
    pub options: Options,
    /// Where a replay stands.
    pub replay: Option<ReplayState>,
    /// What stands along its recording.
    pub replay_marks: Vec<ReplayMark>,
    /// What is known of the machine.
    pub machine: Machine,
    /// What is watched beside the events.
    pub alarms: Alarms,
    /// Events that were heard.
    pub heard: u64,
    /// Whether the trainer thread has ended.
    pub has_ended: bool,
    /// Which keys do what.
    pub keymap: Keymap,
    /// What the program has to do with the run.
    pub tie: Tie,
}

impl App {
    /// A screen that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        let (run, ui, keymap, references) = (Run::default(), Ui::default(), Keymap::default(), Vec::new());
        let (pending, replay, replay_marks, has_ended) = (Vec::new(), None, Vec::new(), false);
        let (machine, alarms, tie) = (Machine::default(), Alarms::default(), Tie::default());
        Self {
            run,
            ui,
            references,
            pending,
            options,
            replay,
            replay_marks,
            machine,
            alarms,
            heard: 0,
            has_ended,
            keymap,
            tie,
        }
    }

    /// What is shown.
    pub fn mode(&self) -> Mode {
        if self.options.is_replay { Mode::Replay } else { Mode::Run }
    }

    /// Where a key is pressed now.
    pub fn place(&self) -> Place {
        Place { mode: self.mode(), screen: self.ui.screen, pane: self.pane() }
    }

    /// The pane that has the focus.
    pub fn pane(&self) -> Pane {
        let panes = self.ui.screen.panes();
        panes[self.ui.focus[self.ui.screen.index()] % panes.len()]
    }

    /// Whether the strip begins with the whole run, rather than with the last steps.
    pub fn is_strip_whole(&self) -> bool {
        self.ui.screen == Screen::Layers
    }

    /// Lines that a pane is scrolled by: only the one with the focus is.
    pub fn scroll(&self, pane: Pane) -> usize {
        if self.pane() == pane { self.ui.scroll } else { 0 }
    }

    /// Whether the news of the run's failure lie over the screen.
    pub fn shows_failure(&self) -> bool {
        let is_news = self.run.failure.is_some() && !self.ui.has_read_failure;
        is_news && self.ui.overlay == Overlay::None && self.ui.screen != Screen::Runs
    }

    /// Scrolls the pane with the focus, up if positive. The log and the transitions begin at their ends, other lists at
    /// their tops.
    fn scroll_up(&mut self, by: isize) {
        let by = if matches!(self.pane(), Pane::Log | Pane::Transitions) { by } else { -by };
        self.ui.scroll = self.ui.scroll.saturating_add_signed(by).min(self.scroll_limit());
    }

    /// Whether what comes new comes where the list with the focus begins.
    fn is_newest_first(&self) -> bool {
        matches!(self.pane(), Pane::Log | Pane::Transitions | Pane::Evaluations | Pane::Alerts)
    }

    /// Lines that the pane with the focus can be scrolled by: until its last one is seen, or, where one is chosen or the
    /// newest stands at the bottom, until that is the first one.
    fn scroll_limit(&self) -> usize {
        let seen = match self.pane() {
            Pane::Log | Pane::Transitions | Pane::Measured => 1,
            // A line for the columns' names.
            Pane::Evaluations | Pane::Layers => self.ui.room.rows.saturating_sub(1),
            _ => self.ui.room.rows,
        };
        self.lines().saturating_sub(seen.max(1))
    }

    /// Lines of the pane with the focus.
    fn lines(&self) -> usize {
        match self.pane() {
            Pane::Loss | Pane::Strip | Pane::Machine | Pane::FullLoss | Pane::Runs | Pane::RunDetails => 0,
            Pane::Evaluations => self.run.evaluations.len(),
            Pane::Measured => self.run.measured.get(self.page()).map_or(0, |m| m.labels.len()),
            Pane::Alerts => self.alerts().len(),
            Pane::Layers => self.run.layers(),
            Pane::Transitions => self.run.transitions.len(),
            Pane::Compare => 5 * self.references.len(),
            Pane::Log => self.ui.log.lines(&self.run).len(),
        }
    }

    /// The transition that is looked at: the newest, or one further up if its list is scrolled.
    pub fn selected_transition(&self) -> Option<&crate::event::Transition> {
        let back = self.scroll(Pane::Transitions);
        self.run.transitions.iter().rev().nth(back.min(self.run.transitions.len().saturating_sub(1)))
    }

    /// The page of what was measured.
    pub fn page(&self) -> usize {
        self.ui.page.min(self.run.measured.len().saturating_sub(1))
    }

    /// Whether nothing more will be trained.
    pub fn is_over(&self) -> bool {
        matches!(self.state(), State::Over(_) | State::Failed | State::Lost)
    }

    /// The run's state in a word, with its mark: never by colour alone.
    pub fn state(&self) -> State {
        let asked = |wanted: fn(&Command) -> bool| self.pending.iter().any(wanted);
        if self.tie == Tie::Nothing {
            State::Empty
        } else if self.run.failure.is_some() {
            State::Failed
        } else if let Some(ending) = self.run.ending {
            State::Over(ending)
        } else if self.has_ended && self.replay.is_none_or(|replay| replay.share >= 1.0) {
            State::Lost
        } else if asked(|c| matches!(c, Command::Abort)) {
            State::Aborting
        } else if asked(|c| matches!(c, Command::Stop)) {
            State::Stopping
        } else if asked(|c| matches!(c, Command::Evaluate | Command::EvaluateCurve | Command::Measure { .. }))
            || self.run.progress.as_ref().is_some_and(|(what, ..)| what == EVALUATING)
        {
            State::Evaluating
        } else if self.run.progress.is_some() || self.run.schedule.is_none() {
            State::Preparing
        } else if asked(|c| matches!(c, Command::Pause)) {
            State::Pausing
        } else if self.run.granted > 0 {
            State::Stepping
        } else if self.run.is_paused {
            State::Paused
        } else {
            State::Running
        }
    }
}

/// The run's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No run is open.
    Empty,
    /// The data is being prepared.
    Preparing,
    /// Steps are trained.
    Running,
    /// A pause was asked for.
    Pausing,
    /// No step is trained.
    Paused,
    /// Granted steps are trained.
    Stepping,
    /// An evaluation was asked for.
    Evaluating,
    /// A stop was asked for.
    Stopping,
    /// An abort was asked for.
    Aborting,
    /// Ended in good order.
    Over(crate::event::Ending),
    /// Ended in an error.
    Failed,
    /// The trainer thread ended without a word.
    Lost,
}

impl State {
    /// Mark and word.
    pub fn text(self) -> (&'static str, &'static str) {
        use crate::event::Ending;
        match self {
            Self::Empty => ("○", "NO RUN OPEN"),
            Self::Preparing => ("◌", "PREPARING"),
            Self::Running => ("●", "RUNNING"),
            Self::Pausing => ("◐", "PAUSING…"),
            Self::Paused => ("‖", "PAUSED"),
            Self::Stepping => ("▸", "STEPPING"),
            Self::Evaluating => ("◆", "EVALUATING…"),
            Self::Stopping => ("◐", "STOPPING…"),
            Self::Aborting => ("◐", "ABORTING…"),
            Self::Over(Ending::Completed) => ("✓", "FINISHED"),
            Self::Over(Ending::Stopped) => ("■", "STOPPED"),
            Self::Over(Ending::Aborted) => ("■", "ABORTED"),
            Self::Failed => ("✗", "FAILED"),
            Self::Lost => ("✗", "TRAINER LOST"),
        }
    }
}
