//! The terminal: shows a run, live or recorded.
//!
//! `window` owns the one loop that waits and draws, `terminal` enters and leaves the screen; here is what a run's screen
//! does with what comes. The trainer never waits for it. Never touches the trainer but by the two channels.

pub mod experiment;
mod input;
pub mod terminal;
mod window;

use std::time::Duration;

use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, never};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use crate::app::keys::Key;
use crate::app::mouse::Gesture;
use crate::app::{self, App, Msg, Request};
use crate::event::{Command, Stamped};
use crate::player::Player;
use crate::user_config::UserConfig;
use crate::view::glyphs::Glyphs;
use crate::view::theme::{self, Depth, THEMES};
use crate::view::{self, Look};
use window::{Show, Window};

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
        events: Vec<Stamped>,
        /// How much faster than it happened.
        speed: f64,
    },
}

/// How the screen looks and what it may do.
pub struct Options {
    /// What the user has set; a theme, at least.
    pub user: UserConfig,
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
/// If the theme is unknown or the terminal can't be set up.
pub fn run(options: Options, source: Source, watch: impl FnMut(&Stamped)) -> Result<Outcome> {
    let window = Window::open(options.user.theme())?;
    let (events, commands, player) = match source {
        Source::Live { events, commands } => (events, Some(commands), None),
        Source::Replay { events, speed } => (never(), None, Some(Player::new(events, speed))),
    };
    let app_options = app::Options { read_only: options.read_only || player.is_some(), is_replay: player.is_some() };
    let mut app = App::new(app_options);
    (app.keymap, app.ui.is_mouse_off) = (options.user.keymap.clone(), !options.user.mouse);
    window.show(&mut Shell { app, options, events, commands, player, watch })
}

/// The look for a theme, `further` places behind the named one.
fn look(theme: &str, further: usize) -> Result<Look> {
    let named = THEMES.iter().position(|(name, _)| *name == theme);
    let name = named.map_or(theme, |at| THEMES[(at + further) % THEMES.len()].0);
    let is_linux_console = std::env::var("TERM").is_ok_and(|term| term == "linux");
    let glyphs = if is_linux_console { Glyphs::Ascii } else { Glyphs::Braille };
    Ok(Look { theme: theme::find(name, depth()).map_err(anyhow::Error::msg)?, glyphs })
}

/// How many colours the terminal says it has.
fn depth() -> Depth {
    let is = |name: &str, wanted: &[&str]| std::env::var(name).is_ok_and(|v| wanted.iter().any(|w| v.contains(w)));
    if is("COLORTERM", &["truecolor", "24bit"]) {
        Depth::True
    } else if is("TERM", &["256", "direct"]) {
        Depth::Indexed
    } else {
        Depth::Sixteen
    }
}

struct Shell<W> {
    app: App,
    options: Options,
    events: Receiver<Stamped>,
    commands: Option<Sender<Command>>,
    player: Option<Player>,
    watch: W,
}

impl<W> Shell<W> {
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
                    self.app.run = app::run::Run::default();
                    player.shown().iter().for_each(|event| self.app.run.apply(event));
                }
                self.show_replay();
            }
            _ => {}
        }
    }

    /// Lets a replay's time pass.
    fn tick(&mut self, passed: Duration) -> bool {
        let Some(player) = &mut self.player else {
            return false;
        };
        let us = u64::try_from(passed.as_micros()).unwrap_or(0);
        let fresh = player.tick(us);
        fresh.iter().for_each(|event| self.app.run.apply(event));
        let has_changed = !fresh.is_empty();
        self.show_replay() | has_changed
    }

    fn is_moving(&self) -> bool {
        self.player.as_ref().is_some_and(|p| p.state().is_playing)
    }

    fn must_close(&self) -> bool {
        (self.options.must_close)() && (self.commands.is_none() || self.app.has_ended)
    }

    fn theme(&self) -> usize {
        self.app.ui.theme
    }

    fn draw(&self, frame: &mut Frame<'_>, look: &Look) {
        view::draw(frame, &self.app, look);
    }
}
