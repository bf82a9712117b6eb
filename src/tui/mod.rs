//! The terminal: shows a run, live or recorded.
//!
//! `window` owns the one loop that waits and draws, `terminal` enters and leaves the screen; here is what a run's screen
//! does with what comes. The trainer never waits for it. Never touches the trainer but by the two channels.

mod background;
pub mod cast;
mod desk;
pub mod experiment;
mod graphics;
mod input;
pub mod looks;
mod machine;
pub mod terminal;
mod window;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, never};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use crate::app::keys::Key;
use crate::app::mouse::Gesture;
use crate::app::runs::Wish;
use crate::app::themes::Themes;
use crate::app::{App, Msg, Pane, Request, Tie};
use crate::event::{Command, Stamped};
use crate::player::tape::Tape;
use crate::player::{Growth, Player};
use crate::user_config::UserConfig;
use crate::view::{self, Look};
pub use desk::{Desk, Opening};
use desk::{Shown, Watching};
use looks::Looks;
use window::{Show, Window};

/// More events than this between two frames of a replay are not folded one by one: the player has snapshots.
const FOLD_AT_MOST: usize = 4096;

/// Where the events come from.
pub enum Source {
    /// A live run.
    Live {
        /// What happens.
        events: Receiver<Stamped>,
        /// What is asked.
        commands: Sender<Command>,
        /// The folder that it is kept in, to see how much room its disk has left.
        dir: Option<PathBuf>,
        /// The number of the GPU that it uses, to see what that does.
        gpu: Option<usize>,
    },
    /// A recording, whole or still growing: another program trains its run.
    Replay {
        /// Its events.
        tape: Tape,
        /// How much faster than it happened.
        speed: f64,
        /// What happens from then on, if it grows: it is then shown from its end on.
        growth: Option<Receiver<Stamped>>,
    },
}

/// Writes what a pane shows into files, and says where in a sentence. May take its time.
pub type Export = Arc<dyn Fn(Pane) -> String + Send + Sync>;

/// Nothing to be written.
pub fn no_export() -> Export {
    Arc::new(|_| "there is nothing to export".to_owned())
}

/// How the screen looks and what it may do.
pub struct Options {
    /// What the user has set.
    pub user: UserConfig,
    /// The themes, and the one to begin with.
    pub looks: Looks,
    /// What helpers that were begun before tell the screen, as other runs to be drawn beside this one.
    pub helpers: Receiver<Msg>,
    /// The export of a source that brings none of its own.
    pub export: Export,
    /// Nothing on the screen may change the run.
    pub read_only: bool,
    /// Asked now and then: must the screen close (a signal has come)?
    pub must_close: Box<dyn Fn() -> bool>,
}

/// Why the screen was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The person left, or the run is over and they had asked to.
    Left,
    /// A signal came.
    Closed,
    /// The terminal is gone.
    TerminalLost,
}

/// Shows a run until the person leaves. `watch` sees every event.
///
/// # Errors
/// If the terminal can't be set up.
pub fn run(options: Options, source: Source, watch: impl FnMut(&Stamped)) -> Result<Outcome> {
    let opening = Opening { source, export: Arc::clone(&options.export) };
    open(options, Some(opening), Watching(watch))
}

/// Shows a run, or, without any, what there is to open, until the person leaves; the desk opens others.
///
/// # Errors
/// As [`run`].
pub fn open(options: Options, opening: Option<Opening>, desk: impl Desk) -> Result<Outcome> {
    let window = Window::open(options.looks.clone())?;
    let mut shown = Shown::of(opening, &options);
    (shown.app.keymap, shown.app.ui.is_mouse_off) = (options.user.keymap.clone(), !options.user.mouse);
    shown.app.ui.runs.is_on = desk.is_manned();
    let told = crossbeam_channel::unbounded();
    let mut shell = Shell { shown, behind: None, options, told, desk, passed: Duration::ZERO };
    if shell.shown.app.tie == Tie::Nothing {
        shell.serve(Wish::List);
    }
    window.show(&mut shell)
}

/// Lets a replay's time pass, and shows what has come. Returns whether anything has.
fn play(player: &mut Player, app: &mut App, us: u64) -> bool {
    let fresh = player.tick(us);
    let is_any = !fresh.is_empty();
    if fresh.len() > FOLD_AT_MOST {
        app.show_run(player.run());
    } else {
        app.show_events(player.events(fresh));
    }
    is_any
}

struct Shell<D> {
    shown: Shown,
    /// A run that is trained while something else is shown.
    behind: Option<Shown>,
    options: Options,
    /// What helpers tell the app, once they are done.
    told: (Sender<Msg>, Receiver<Msg>),
    desk: D,
    /// Time that has passed.
    passed: Duration,
}

impl<D: Desk> Shell<D> {
    /// Exports what a pane shows, on a thread of its own: a long recording takes seconds to read.
    fn export(&self, pane: Pane) {
        let (export, told) = (Arc::clone(&self.shown.export), self.told.0.clone());
        let started = std::thread::Builder::new().name("export".to_owned()).spawn(move || {
            terminal::mark_survivable_thread();
            // Whoever has left needs no answer.
            let _ = told.send(Msg::Notice(export(pane)));
        });
        if let Err(error) = started {
            let _ = self.told.0.send(Msg::Notice(format!("not exported: {error}")));
        }
    }

    /// Hands on what helpers have told. Returns whether there was anything.
    fn listen(&mut self) -> bool {
        let all: Vec<Msg> = self.told.1.try_iter().chain(self.options.helpers.try_iter()).collect();
        let is_any = !all.is_empty();
        all.into_iter().for_each(|msg| {
            self.shown.app.update(msg);
        });
        is_any
    }
}

impl Shown {
    /// Takes in what has happened to the run that is trained here, or to one whose recording grows.
    fn take(&mut self, event: Stamped) -> Vec<Request> {
        let Some(player) = &mut self.player else {
            return self.app.update(Msg::Event(event));
        };
        let requests = match player.extend(event) {
            Growth::Unseen => Vec::new(),
            Growth::Seen(event) => self.app.update(Msg::Event(*event)),
            Growth::Anew(run) => {
                self.app.show_run(*run);
                Vec::new()
            }
        };
        // An event adds a mark or takes some back, never both.
        if player.marks().len() != self.app.replay_marks.len() {
            self.app.update(Msg::Marks(player.marks().to_vec()));
        }
        self.show_replay();
        requests
    }

    fn show_replay(&mut self) -> bool {
        let Some(state) = self.player.as_ref().map(Player::state) else {
            return false;
        };
        let is_new = self.app.replay != Some(state);
        if is_new {
            self.app.update(Msg::Replay(state));
        }
        is_new
    }
}

impl<D: Desk> Show for Shell<D> {
    type Event = Stamped;

    fn events(&self) -> &Receiver<Stamped> {
        &self.shown.events
    }

    fn take(&mut self, event: Stamped) -> Vec<Request> {
        if self.shown.commands.is_some() {
            self.desk.watch(&event);
        }
        self.shown.take(event)
    }

    fn ended(&mut self) -> Vec<Request> {
        self.shown.events = never();
        self.shown.player.iter_mut().for_each(Player::ended);
        self.shown.show_replay();
        self.shown.app.update(Msg::Ended)
    }

    fn key(&mut self, key: Key, us: u64) -> Vec<Request> {
        self.shown.app.update(Msg::Key { key, us })
    }

    fn paste(&mut self, text: String) -> Vec<Request> {
        self.shown.app.update(Msg::Paste(text))
    }

    fn wants_mouse(&self) -> bool {
        !self.shown.app.ui.is_mouse_off
    }

    fn mouse(&mut self, gesture: Gesture, at: Position, area: Rect, look: &Look, us: u64) -> Vec<Request> {
        let target = view::hit(&self.shown.app, look, area, at.x, at.y);
        self.shown.app.update(Msg::Mouse { target, gesture, us })
    }

    fn request(&mut self, request: Request) {
        match (request, &self.shown.commands, &mut self.shown.player) {
            (Request::Runs(wish), ..) => self.serve(wish),
            (Request::Train(command), Some(commands), _) => {
                // If the trainer has gone, its last event says so.
                let _ = commands.send(command);
            }
            (Request::Replay(seek), _, Some(player)) => {
                if player.seek(seek) {
                    self.shown.app.show_run(player.run());
                }
                self.shown.show_replay();
            }
            (Request::Export(pane), ..) => self.export(pane),
            _ => {}
        }
    }

    /// Lets a replay's time pass.
    fn tick(&mut self, passed: Duration) -> bool {
        self.passed += passed;
        let was_told = self.listen() | self.look_behind();
        let Some(player) = &mut self.shown.player else {
            let Ok(sample) = self.shown.samples.try_recv() else {
                return was_told;
            };
            let us = u64::try_from(self.passed.as_micros()).unwrap_or(u64::MAX);
            self.shown.app.update(Msg::Machine(sample));
            self.shown.app.update(Msg::Tick { us });
            return true;
        };
        let us = u64::try_from(passed.as_micros()).unwrap_or(0);
        let has_changed = play(player, &mut self.shown.app, us);
        self.shown.show_replay() | has_changed | was_told
    }

    fn is_moving(&self) -> bool {
        self.shown.player.as_ref().is_some_and(|p| p.state().is_playing)
    }

    fn must_close(&self) -> bool {
        let is_trained = self.shown.is_trained() || self.behind.as_ref().is_some_and(Shown::is_trained);
        (self.options.must_close)() && !is_trained
    }

    fn themes(&mut self) -> &mut Themes {
        &mut self.shown.app.ui.themes
    }

    fn draw(&self, frame: &mut Frame<'_>, look: &Look) {
        view::draw(frame, &self.shown.app, look);
    }

    fn drawn(&mut self, area: Rect, look: &Look) {
        self.shown.app.ui.room = view::room(&self.shown.app, look, area);
    }
}
