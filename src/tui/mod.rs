//! The terminal: one loop that owns the app and draws it.
//!
//! Waits for keys, events of the run, and the clock; draws at most 30 times a second and only if something has changed.
//! The trainer never waits for it. `terminal` enters and leaves the screen. Never touches the trainer but by the two
//! channels.

mod input;
pub mod terminal;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, never, select};
use crossterm::event::Event as Input;

use crate::app::{self, App, Msg, Request};
use crate::event::{Command, Stamped};
use crate::player::Player;
use crate::view::theme::{self, Depth, THEMES};
use crate::view::{self, Look};
use terminal::Screen;

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// The same while the window has not the focus.
const FRAME_UNFOCUSED: Duration = Duration::from_millis(500);
/// Time that events may take up before a frame is due.
const DRAIN: Duration = Duration::from_millis(20);

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
    /// Name of the theme.
    pub theme: String,
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
pub fn run(options: Options, source: Source, mut watch: impl FnMut(&Stamped)) -> Result<Outcome> {
    let look = look(&options.theme, 0)?;
    let (events, commands, player) = match source {
        Source::Live { events, commands } => (events, Some(commands), None),
        Source::Replay { events, speed } => (never(), None, Some(Player::new(events, speed))),
    };
    let app_options = app::Options { read_only: options.read_only || player.is_some(), is_replay: player.is_some() };
    let screen = Screen::enter()?;
    let mut shell = Shell {
        app: App::new(app_options),
        look,
        theme: options.theme.clone(),
        commands,
        player,
        screen,
        began: Instant::now(),
        is_dirty: true,
        has_focus: true,
    };
    let outcome = shell.live(&options, &events, &mut watch);
    shell.screen.leave();
    outcome
}

/// The look for a theme, `further` places behind the named one.
fn look(theme: &str, further: usize) -> Result<Look> {
    let named = THEMES.iter().position(|(name, _)| *name == theme);
    let name = named.map_or(theme, |at| THEMES[(at + further) % THEMES.len()].0);
    let is_linux_console = std::env::var("TERM").is_ok_and(|term| term == "linux");
    Ok(Look { theme: theme::find(name, depth()).map_err(anyhow::Error::msg)?, ascii: is_linux_console })
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

struct Shell {
    app: App,
    look: Look,
    theme: String,
    commands: Option<Sender<Command>>,
    player: Option<Player>,
    screen: Screen,
    began: Instant,
    is_dirty: bool,
    has_focus: bool,
}

impl Shell {
    fn live(
        &mut self,
        options: &Options,
        events: &Receiver<Stamped>,
        watch: &mut dyn FnMut(&Stamped),
    ) -> Result<Outcome> {
        let keys = input::spawn()?;
        let nothing = never();
        let mut events = events;
        let mut last_frame = Instant::now();
        let mut last_tick = Instant::now();
        self.draw()?;
        loop {
            let frame = if self.has_focus { FRAME } else { FRAME_UNFOCUSED };
            // A still picture needs no frames; a glance at the signals now and then is enough.
            let is_moving = self.is_dirty || self.player.as_ref().is_some_and(|p| p.state().is_playing);
            let wait = if is_moving { frame.saturating_sub(last_frame.elapsed()) } else { FRAME_UNFOCUSED / 5 };
            select! {
                recv(keys) -> key => match key {
                    Ok(Ok(input)) => if let Some(outcome) = self.input(&input)? { return Ok(outcome) },
                    // Without input the screen could not even be left.
                    Ok(Err(_)) | Err(_) => return Ok(Outcome::TerminalLost),
                },
                recv(events) -> event => match event {
                    Ok(event) => if self.drain(event, events, watch)? { return Ok(Outcome::Left) },
                    Err(_) => {
                        events = &nothing;
                        if self.tell(Msg::Ended)? { return Ok(Outcome::Left) }
                    }
                },
                default(wait) => {}
            }
            if (options.must_close)() && (self.commands.is_none() || self.app.has_ended) {
                return Ok(Outcome::Closed);
            }
            self.tick(last_tick.elapsed());
            last_tick = Instant::now();
            if self.is_dirty && last_frame.elapsed() >= frame {
                if self.draw().is_err() {
                    return Ok(Outcome::TerminalLost);
                }
                last_frame = Instant::now();
            }
        }
    }

    /// Takes in what has arrived, but no longer than a frame can wait. True to leave.
    fn drain(&mut self, first: Stamped, events: &Receiver<Stamped>, watch: &mut dyn FnMut(&Stamped)) -> Result<bool> {
        let began = Instant::now();
        let mut next = Some(first);
        while let Some(event) = next {
            watch(&event);
            if self.tell(Msg::Event(event))? {
                return Ok(true);
            }
            next = if began.elapsed() < DRAIN { events.try_recv().ok() } else { None };
        }
        Ok(false)
    }

    /// Lets a replay's time pass.
    fn tick(&mut self, passed: Duration) {
        let Some(player) = &mut self.player else {
            return;
        };
        let us = u64::try_from(passed.as_micros()).unwrap_or(0);
        for event in player.tick(us) {
            self.app.run.apply(event);
            self.is_dirty = true;
        }
        self.show_replay();
    }

    fn show_replay(&mut self) {
        let Some(state) = self.player.as_ref().map(Player::state) else {
            return;
        };
        if self.app.replay != Some(state) {
            self.app.update(Msg::Replay(state));
            self.is_dirty = true;
        }
    }

    fn input(&mut self, input: &Input) -> Result<Option<Outcome>> {
        match input {
            Input::Key(event) => {
                let Some(key) = input::key(event) else {
                    return Ok(None);
                };
                let us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(0);
                Ok(self.tell(Msg::Key { key, us })?.then_some(Outcome::Left))
            }
            Input::FocusLost => {
                self.has_focus = false;
                Ok(None)
            }
            Input::FocusGained | Input::Resize(..) => {
                (self.has_focus, self.is_dirty) = (true, true);
                Ok(None)
            }
            Input::Mouse(_) | Input::Paste(_) => Ok(None),
        }
    }

    /// Tells the app and does what it wants. True to leave.
    fn tell(&mut self, msg: Msg) -> Result<bool> {
        self.is_dirty = true;
        let theme = self.app.ui.theme;
        for request in self.app.update(msg) {
            match request {
                Request::Train(command) => {
                    if let Some(commands) = &self.commands {
                        // If the trainer has gone, its last event says so.
                        let _ = commands.send(command);
                    }
                }
                Request::Replay(seek) => {
                    if let Some(player) = &mut self.player
                        && player.seek(seek)
                    {
                        self.app.run = app::run::Run::default();
                        player.shown().iter().for_each(|event| self.app.run.apply(event));
                    }
                    self.show_replay();
                }
                Request::Quit => return Ok(true),
                Request::Suspend => {
                    self.screen.leave();
                    signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)
                        .context("suspending")?;
                    self.screen.enter_again()?;
                }
                Request::Redraw => self.screen.forget()?,
            }
        }
        if self.app.ui.theme != theme {
            self.look = look(&self.theme, self.app.ui.theme)?;
        }
        Ok(false)
    }

    fn draw(&mut self) -> Result<()> {
        self.is_dirty = false;
        let (app, look) = (&self.app, &self.look);
        self.screen.draw(|frame| view::draw(frame, app, look))
    }
}
