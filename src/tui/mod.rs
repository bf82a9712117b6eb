//! The terminal: shows a run, live or recorded.
//!
//! `window` owns the one loop that waits and draws, `terminal` enters and leaves the screen; here is what a run's screen
//! does with what comes. The trainer never waits for it. Never touches the trainer but by the two channels.

mod background;
pub mod cast;
pub mod experiment;
mod input;
pub mod looks;
pub mod terminal;
mod window;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, never};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use crate::app::keys::Key;
use crate::app::mouse::Gesture;
use crate::app::themes::Themes;
use crate::app::{self, App, Msg, Pane, Request};
use crate::event::{Command, Stamped};
use crate::player::Player;
use crate::player::tape::Tape;
use crate::user_config::UserConfig;
use crate::view::{self, Look};
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
    },
    /// A recording.
    Replay {
        /// Its events.
        tape: Tape,
        /// How much faster than it happened.
        speed: f64,
    },
}

/// How the screen looks and what it may do.
pub struct Options {
    /// What the user has set.
    pub user: UserConfig,
    /// The themes, and the one to begin with.
    pub looks: Looks,
    /// Writes what a pane shows into files, and says where in a sentence. May take its time.
    pub export: Arc<dyn Fn(Pane) -> String + Send + Sync>,
    /// What helpers that were begun before tell the screen, as other runs to be drawn beside this one.
    pub helpers: Receiver<Msg>,
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
    let window = Window::open(options.looks.clone())?;
    let (events, commands, player) = match source {
        Source::Live { events, commands } => (events, Some(commands), None),
        Source::Replay { tape, speed } => (never(), None, Some(Player::new(tape, speed))),
    };
    let app_options = app::Options { read_only: options.read_only || player.is_some(), is_replay: player.is_some() };
    let mut app = App::new(app_options);
    (app.keymap, app.ui.is_mouse_off) = (options.user.keymap.clone(), !options.user.mouse);
    if let Some(player) = &player {
        app.update(Msg::Marks(player.marks()));
    }
    let told = crossbeam_channel::unbounded();
    window.show(&mut Shell { app, options, events, commands, player, told, watch })
}

struct Shell<W> {
    app: App,
    options: Options,
    events: Receiver<Stamped>,
    commands: Option<Sender<Command>>,
    player: Option<Player>,
    /// What helpers tell the app, once they are done.
    told: (Sender<Msg>, Receiver<Msg>),
    watch: W,
}

impl<W> Shell<W> {
    /// Exports what a pane shows, on a thread of its own: a long recording takes seconds to read.
    fn export(&self, pane: Pane) {
        let (export, told) = (Arc::clone(&self.options.export), self.told.0.clone());
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
            self.app.update(msg);
        });
        is_any
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

impl<W: FnMut(&Stamped)> Show for Shell<W> {
    type Event = Stamped;

    fn events(&self) -> &Receiver<Stamped> {
        &self.events
    }

    fn take(&mut self, event: Stamped) -> Vec<Request> {
        (self.watch)(&event);
        self.app.update(Msg::Event(event))
    }

    fn ended(&mut self) -> Vec<Request> {
        self.events = never();
        self.app.update(Msg::Ended)
    }

    fn key(&mut self, key: Key, us: u64) -> Vec<Request> {
        self.app.update(Msg::Key { key, us })
    }

    fn paste(&mut self, text: String) -> Vec<Request> {
        self.app.update(Msg::Paste(text))
    }

    fn wants_mouse(&self) -> bool {
        !self.app.ui.is_mouse_off
    }

    fn mouse(&mut self, gesture: Gesture, at: Position, area: Rect, look: &Look, us: u64) -> Vec<Request> {
        let target = view::hit(&self.app, look, area, at.x, at.y);
        self.app.update(Msg::Mouse { target, gesture, us })
    }

    fn request(&mut self, request: Request) {
        match (request, &self.commands, &mut self.player) {
            (Request::Train(command), Some(commands), _) => {
                // If the trainer has gone, its last event says so.
                let _ = commands.send(command);
            }
            (Request::Replay(seek), _, Some(player)) => {
                if player.seek(seek) {
                    self.app.run = player.run();
                }
                self.show_replay();
            }
            (Request::Export(pane), ..) => self.export(pane),
            _ => {}
        }
    }

    /// Lets a replay's time pass.
    fn tick(&mut self, passed: Duration) -> bool {
        let was_told = self.listen();
        let Some(player) = &mut self.player else {
            return was_told;
        };
        let us = u64::try_from(passed.as_micros()).unwrap_or(0);
        let fresh = player.tick(us);
        let has_changed = !fresh.is_empty();
        if fresh.len() > FOLD_AT_MOST {
            self.app.run = player.run();
        } else {
            player.events(fresh).for_each(|event| self.app.run.apply(&event));
        }
        self.show_replay() | has_changed | was_told
    }

    fn is_moving(&self) -> bool {
        self.player.as_ref().is_some_and(|p| p.state().is_playing)
    }

    fn must_close(&self) -> bool {
        (self.options.must_close)() && (self.commands.is_none() || self.app.has_ended)
    }

    fn themes(&mut self) -> &mut Themes {
        &mut self.app.ui.themes
    }

    fn draw(&self, frame: &mut Frame<'_>, look: &Look) {
        view::draw(frame, &self.app, look);
    }
}
