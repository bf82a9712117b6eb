//! An experiment as the screen knows it: its runs as a table, and the run that is being trained.
//!
//! Folded from experiment events alone; the run within is an [`App`] of its own, folded from the run's events. Keys and
//! wishes are plain values, as in the app. Never touches a file, a clock, a thread or the trainer.

use super::actions::{Action, Mode};
use super::help::{Entry, Help};
use super::keymap::{Keymap, Place};
use super::keys::Key;
use super::themes::Themes;
use super::{App, Options, Pane, Request, Screen, State};
use crate::event::{Command, EVALUATING, Event};
use crate::experiment_event::{ExperimentEvent, RunRow, RunState};

/// A second Ctrl-C within this aborts, microseconds.
const TWICE_US: u64 = 3_000_000;

/// A run in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is.
    pub run: RunRow,
    /// How it stands.
    pub state: RunState,
}

/// The runs of an arm at a training length: a line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Training length, steps.
    pub horizon: u64,
    /// The arm's name.
    pub arm: String,
    /// Its learning rate, once that is known.
    pub learning_rate: Option<f64>,
    /// Rows on which the learning rate is chosen.
    pub tuning: Vec<usize>,
    /// Rows of the seeds that are reported.
    pub seeds: Vec<usize>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// Every run is done: the table of results, as text.
    Finished(String),
    /// It was left.
    Stopped,
    /// It can't go on: why.
    Failed(String),
    /// The thread ended without a word.
    Lost,
}

/// Something that reaches the board.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // handed on once, and almost always an event
pub enum Msg {
    /// Something happened.
    Event(ExperimentEvent),
    /// A key was pressed, at `us` microseconds of the screen's own time.
    Key {
        /// Which.
        key: Key,
        /// When.
        us: u64,
    },
    /// The experiment's thread has ended.
    Ended,
}

/// Everything that the experiment's screen shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    /// The experiment's name.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// Every run.
    pub rows: Vec<Row>,
    /// The table's lines.
    pub groups: Vec<Group>,
    /// The run that is being trained, or was last.
    pub current: Option<usize>,
    /// That run.
    pub run: App,
    /// How it ended; none while it goes on.
    pub ended: Option<Ended>,
    /// Lines by which the table is scrolled away from where the current run is.
    pub scroll: i64,
    /// The list of keys, if it is shown.
    pub help: Option<Help>,
    /// Which keys do what.
    pub keymap: Keymap,
    /// The themes there are, and the one that is shown.
    pub themes: Themes,
    /// A stop was asked for.
    pub is_leaving: bool,
    interrupted_us: Option<u64>,
    /// Wall time and FLOPs of what was trained before our eyes.
    measured: (f64, f64),
    /// Wall time of the current run's last event, microseconds of its own.
    last_us: Option<u64>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            name: String::new(),
            question: String::new(),
            rows: Vec::new(),
            groups: Vec::new(),
            current: None,
            run: App::new(Options::default()),
            ended: None,
            scroll: 0,
            help: None,
            keymap: Keymap::default(),
            themes: Themes::default(),
            is_leaving: false,
            interrupted_us: None,
            measured: (0.0, 0.0),
            last_us: None,
        }
    }
}

impl Board {
    /// Takes in what happened.
    pub fn apply(&mut self, event: &ExperimentEvent) {
        match event {
            ExperimentEvent::Begun { name, question, rows } => {
                (self.name, self.question) = (name.clone(), question.clone());
                self.rows = rows.iter().map(|run| Row { run: run.clone(), state: RunState::Waiting }).collect();
                self.groups = groups(rows);
            }
            ExperimentEvent::Tuned { arm, horizon, learning_rate } => {
                if let Some(group) = self.groups.iter_mut().find(|g| g.arm == *arm && g.horizon == *horizon) {
                    group.learning_rate = *learning_rate;
                }
            }
            ExperimentEvent::Run { row, state, .. } => {
                if let Some(row) = self.rows.get_mut(*row) {
                    row.state = *state;
                }
                if *state == RunState::Running {
                    self.current = Some(*row);
                    let ui = self.run.ui.clone();
                    self.run = App { ui, ..App::new(Options::default()) };
                    self.last_us = None;
                }
            }
            ExperimentEvent::Of { row, stamped } => {
                let us = self.last_us.replace(stamped.us);
                let is_prepared = matches!(&stamped.event, Event::Progress { what, .. } if what != EVALUATING);
                if is_prepared || matches!(stamped.event, Event::Resumed { .. }) {
                    self.last_us = None;
                } else if let (Some(us), Some(row)) = (us, self.rows.get(*row)) {
                    self.measured.0 += stamped.us.saturating_sub(us) as f64;
                    if matches!(stamped.event, Event::Stepped { .. }) {
                        self.measured.1 += row.run.flops / row.run.steps.max(1) as f64;
                    }
                }
                self.run.update(super::Msg::Event(stamped.clone()));
            }
            ExperimentEvent::Finished { table } => self.ended = Some(Ended::Finished(table.clone())),
            ExperimentEvent::Stopped => self.ended = Some(Ended::Stopped),
            ExperimentEvent::Failed { reason } => self.ended = Some(Ended::Failed(reason.clone())),
        }
    }

    /// Takes in whatever reaches the screen; returns what it wants done.
    pub fn update(&mut self, msg: Msg) -> Vec<Request> {
        match msg {
            Msg::Event(event) => self.apply(&event),
            Msg::Ended if self.ended.is_none() => self.ended = Some(Ended::Lost),
            Msg::Ended => {}
            Msg::Key { key, us } => return self.key(key, us),
        }
        if self.is_leaving && self.ended.is_some() { vec![Request::Quit] } else { Vec::new() }
    }

    fn key(&mut self, key: Key, us: u64) -> Vec<Request> {
        let action = self.keymap.find(key, self.place()).map(|b| b.action);
        if self.themes.is_open() {
            self.themes.key(key);
            return if action == Some(Action::Interrupt) { self.leave(true, us) } else { Vec::new() };
        }
        if let Some(help) = self.help.take() {
            if action == Some(Action::Interrupt) {
                return self.leave(true, us);
            }
            let lines = self.help_entries(&help).len();
            self.help = help.key(key, lines);
            return Vec::new();
        }
        match action {
            Some(Action::Quit) => self.leave(false, us),
            Some(Action::Interrupt) => self.leave(true, us),
            Some(Action::Toggle) => self.toggle(),
            Some(Action::Suspend) => vec![Request::Suspend],
            Some(Action::Redraw) => vec![Request::Redraw],
            Some(Action::Help) => {
                self.help = Some(Help::default());
                Vec::new()
            }
            Some(Action::Theme) => {
                self.themes.next();
                Vec::new()
            }
            Some(Action::Themes) => {
                self.themes.open();
                Vec::new()
            }
            Some(Action::Chart(action)) => {
                self.run.act_on_chart(action);
                Vec::new()
            }
            Some(Action::ScrollUp) => self.scroll_by(-1),
            Some(Action::ScrollDown) => self.scroll_by(1),
            Some(Action::Back) => {
                self.scroll = 0;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Where keys are pressed.
    pub fn place(&self) -> Place {
        Place { mode: Mode::Experiment, screen: Screen::Train, pane: Pane::Loss }
    }

    /// The help's lines.
    pub fn help_entries(&self, help: &Help) -> Vec<Entry> {
        help.entries(&self.keymap, self.place())
    }

    fn scroll_by(&mut self, lines: i64) -> Vec<Request> {
        let limit = self.groups.len() as i64;
        self.scroll = (self.scroll + lines).clamp(-limit, limit);
        Vec::new()
    }

    /// Leaves at once if all is over; otherwise once the run that is being trained was saved. A second Ctrl-C aborts.
    fn leave(&mut self, is_interrupt: bool, us: u64) -> Vec<Request> {
        if self.ended.is_some() {
            return vec![Request::Quit];
        }
        let before = if is_interrupt { self.interrupted_us.replace(us) } else { None };
        let command = match before {
            Some(before) if us.saturating_sub(before) <= TWICE_US => Command::Abort,
            _ => Command::Stop,
        };
        let is_asked = self.is_leaving && command == Command::Stop;
        self.is_leaving = true;
        if is_asked { Vec::new() } else { vec![self.ask(command)] }
    }

    fn toggle(&mut self) -> Vec<Request> {
        if self.ended.is_some() || self.is_leaving {
            return Vec::new();
        }
        let asked = self.run.pending.iter().rev().find(|c| matches!(c, Command::Pause | Command::Resume));
        let is_paused = asked.map_or(self.run.run.is_paused, |c| *c == Command::Pause);
        vec![self.ask(if is_paused { Command::Resume } else { Command::Pause })]
    }

    fn ask(&mut self, command: Command) -> Request {
        self.run.pending.push(command);
        Request::Train(command)
    }

    /// How it stands: mark and word.
    pub fn state(&self) -> (&'static str, &'static str) {
        match &self.ended {
            Some(Ended::Finished(_)) => ("✓", "FINISHED"),
            Some(Ended::Stopped) => ("■", "STOPPED"),
            Some(Ended::Failed(_)) => ("✗", "FAILED"),
            Some(Ended::Lost) => ("✗", "TRAINER LOST"),
            None if self.is_leaving => ("◐", "SAVING…"),
            None => match self.run.state() {
                // Between two runs.
                State::Over(_) | State::Failed | State::Lost => ("●", "RUNNING"),
                state => state.text(),
            },
        }
    }

    /// Runs that are done.
    pub fn done(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.state, RunState::Done { .. } | RunState::Diverged)).count()
    }

    /// A run for people: the directory's name holds a rate that may not be the chosen one yet.
    pub fn row_name(&self, row: usize) -> String {
        let Some(run) = self.rows.get(row).map(|row| &row.run) else { return String::new() };
        let chosen = self.groups.iter().find(|g| g.arm == run.arm && g.horizon == run.horizon);
        let rate = run.learning_rate.or_else(|| chosen.and_then(|g| g.learning_rate));
        let rate = rate.map_or(String::new(), |rate| format!(" rate {rate:e}"));
        let what = if run.is_tuning { "tuning".to_owned() } else { format!("seed {}", run.seed) };
        format!("{} {} steps{rate} {what}", run.arm, run.steps)
    }

    /// Seconds until the last run is done, from the FLOPs that are left and how fast those before our eyes went.
    pub fn eta_seconds(&self) -> Option<f64> {
        let (us, flops) = self.measured;
        if flops <= 0.0 || self.ended.is_some() {
            return None;
        }
        let left = self.rows.iter().map(|row| match row.state {
            RunState::Waiting => row.run.flops,
            RunState::Running => {
                let share = self.run.run.step as f64 / row.run.steps.max(1) as f64;
                row.run.flops * (1.0 - share.min(1.0))
            }
            RunState::Done { .. } | RunState::Diverged => 0.0,
        });
        Some(left.sum::<f64>() / flops * us / 1e6)
    }

    /// The mean final loss of a group's seeds so far.
    pub fn mean(&self, group: &Group) -> Option<f64> {
        let losses: Vec<f64> = group
            .seeds
            .iter()
            .filter_map(|&row| match self.rows[row].state {
                RunState::Done { loss } => Some(loss),
                _ => None,
            })
            .collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    }

    /// The table's line that the current run belongs to.
    pub fn current_group(&self) -> usize {
        let is_in =
            |group: &Group| self.current.is_some_and(|row| group.tuning.contains(&row) || group.seeds.contains(&row));
        self.groups.iter().position(is_in).unwrap_or(0)
    }
}

fn groups(rows: &[RunRow]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, run) in rows.iter().enumerate() {
        let place = groups.iter().position(|g| g.arm == run.arm && g.horizon == run.horizon).unwrap_or_else(|| {
            let (horizon, arm) = (run.horizon, run.arm.clone());
            groups.push(Group { horizon, arm, learning_rate: None, tuning: Vec::new(), seeds: Vec::new() });
            groups.len() - 1
        });
        let group = &mut groups[place];
        if run.is_tuning {
            group.tuning.push(at);
        } else {
            group.seeds.push(at);
            group.learning_rate = run.learning_rate;
        }
    }
    // An arm that isn't tuned has no row before the first seed's; the table keeps the definition's order.
    let order = |g: &Group| g.seeds.first().copied().unwrap_or(usize::MAX);
    groups.sort_by_key(order);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamped;

    fn row(arm: &str, seed: u64, is_tuning: bool) -> RunRow {
        RunRow {
            name: format!("{arm}-{seed}"),
            arm: arm.to_owned(),
            horizon: 10,
            seed,
            learning_rate: is_tuning.then_some(1e-3),
            is_tuning,
            steps: 10,
            flops: 100.0,
        }
    }

    fn board() -> Board {
        let rows =
            vec![row("a", 0, true), row("a", 1, false), row("b", 1, false), row("a", 2, false), row("b", 2, false)];
        let mut board = Board::default();
        board.apply(&ExperimentEvent::Begun { name: "e".into(), question: "?".into(), rows });
        board
    }

    fn stepped(row: usize, step: u64, us: u64) -> ExperimentEvent {
        let path = "11".parse().unwrap();
        let event = Event::Stepped { step, stage: 0, path, loss: 1.0, learning_rate: 0.1, gradient_norm: 1.0 };
        ExperimentEvent::Of { row, stamped: Stamped { seq: step, us, event } }
    }

    fn run(row: usize, state: RunState) -> ExperimentEvent {
        ExperimentEvent::Run { row, state, from_earlier: false }
    }

    #[test]
    fn runs_are_folded_into_lines_of_arms() {
        let mut board = board();
        let lines: Vec<_> = board.groups.iter().map(|g| (g.arm.as_str(), &g.tuning[..], &g.seeds[..])).collect();
        assert_eq!(lines, [("a", &[0][..], &[1, 3][..]), ("b", &[][..], &[2, 4][..])]);
        board.apply(&run(0, RunState::Done { loss: 3.0 }));
        board.apply(&ExperimentEvent::Tuned { arm: "a".into(), horizon: 10, learning_rate: Some(1e-3) });
        board.apply(&run(1, RunState::Done { loss: 2.0 }));
        board.apply(&run(3, RunState::Done { loss: 4.0 }));
        board.apply(&run(2, RunState::Diverged));
        let group = board.groups[0].clone();
        assert_eq!((board.mean(&group), board.done(), group.learning_rate), (Some(3.0), 4, Some(1e-3)));
        assert_eq!(board.mean(&board.groups[1].clone()), None);
        assert_eq!(board.row_name(3), "a 10 steps rate 1e-3 seed 2");
    }

    #[test]
    fn the_time_left_follows_flops() {
        let mut board = board();
        board.apply(&run(0, RunState::Running));
        assert_eq!(board.eta_seconds(), None);
        // Two steps of a second each: 10 FLOPs a second (the first has no event before it).
        for step in 0..3 {
            board.apply(&stepped(0, step, (step + 1) * 1_000_000));
        }
        // 70 FLOPs of this run and 400 of the others at 10 a second.
        assert!((board.eta_seconds().unwrap() - 47.0).abs() < 1e-9, "{:?}", board.eta_seconds());
    }

    #[test]
    fn leaving_waits_until_the_run_was_saved() {
        let mut board = board();
        let key = |board: &mut Board, key, us| board.update(Msg::Key { key, us });
        assert_eq!(key(&mut board, Key::Char(' '), 0), [Request::Train(Command::Pause)]);
        assert_eq!(key(&mut board, Key::Char(' '), 0), [Request::Train(Command::Resume)]);
        assert_eq!(key(&mut board, Key::Char('q'), 0), [Request::Train(Command::Stop)]);
        assert!(key(&mut board, Key::Char('q'), 0).is_empty() && board.state().1 == "SAVING…");
        assert_eq!(board.update(Msg::Event(ExperimentEvent::Stopped)), [Request::Quit]);
        let mut board = self::board();
        assert_eq!(key(&mut board, Key::Ctrl('c'), 5), [Request::Train(Command::Stop)]);
        assert_eq!(key(&mut board, Key::Ctrl('c'), 6), [Request::Train(Command::Abort)]);
        let mut board = self::board();
        assert!(board.update(Msg::Ended).is_empty());
        assert_eq!((board.ended.clone(), key(&mut board, Key::Char('q'), 0)), (Some(Ended::Lost), vec![Request::Quit]));
    }
}
