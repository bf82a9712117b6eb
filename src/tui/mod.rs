//! The terminal: one loop that owns the app and draws it.
//!
//! Waits for keys, events of the run, and the clock; draws at most 30 times a second and only if something has changed.
//! The trainer never waits for it. `terminal` enters and leaves the screen. Never touches the trainer but by the two
//! channels.

pub mod experiment;
mod input;
pub mod terminal;

use std::time::{Duration, Instant};

use anyhow::Result;
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
        ticked: Instant::now(),
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
    /// When a replay's time was last let pass.
    ticked: Instant,
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
        self.ticked = Instant::now();
        if self.draw().is_err() {
            return Ok(Outcome::TerminalLost);
        }
        loop {
            let frame = if self.has_focus { FRAME } else { FRAME_UNFOCUSED };
            let wait = if self.is_dirty {
                frame.saturating_sub(last_frame.elapsed())
            } else if self.player.as_ref().is_some_and(|p| p.state().is_playing) {
                // Not the rest of a frame: with nothing to draw that is none, and the loop would spin.
                frame
            } else {
                // A still picture needs no frames; a glance at the signals now and then is enough.
                FRAME_UNFOCUSED / 5
            };
            select! {
                recv(keys) -> key => match key {
                    Ok(Ok(input)) => if let Some(outcome) = self.input(&input) { return Ok(outcome) },
                    // Without input the screen could not even be left.
                    Ok(Err(_)) | Err(_) => return Ok(Outcome::TerminalLost),
                },
                recv(events) -> event => match event {
                    Ok(event) => if let Some(outcome) = self.drain(event, events, watch) { return Ok(outcome) },
                    Err(_) => {
                        events = &nothing;
                        if let Some(outcome) = self.tell(Msg::Ended) { return Ok(outcome) }
                    }
                },
                default(wait) => {}
            }
            if (options.must_close)() && (self.commands.is_none() || self.app.has_ended) {
                return Ok(Outcome::Closed);
            }
            self.tick();
            if self.is_dirty && last_frame.elapsed() >= frame {
                if self.draw().is_err() {
                    return Ok(Outcome::TerminalLost);
                }
                last_frame = Instant::now();
            }
        }
    }

    /// Takes in what has arrived, but no longer than a frame can wait. Returns why to leave.
    fn drain(
        &mut self,
        first: Stamped,
        events: &Receiver<Stamped>,
        watch: &mut dyn FnMut(&Stamped),
    ) -> Option<Outcome> {
        let began = Instant::now();
        let mut next = Some(first);
        while let Some(event) = next {
            watch(&event);
            if let Some(outcome) = self.tell(Msg::Event(event)) {
                return Some(outcome);
            }
            next = if began.elapsed() < DRAIN { events.try_recv().ok() } else { None };
        }
        None
    }

    /// Lets a replay's time pass.
    fn tick(&mut self) {
        let passed = std::mem::replace(&mut self.ticked, Instant::now()).elapsed();
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

    fn input(&mut self, input: &Input) -> Option<Outcome> {
        match input {
            Input::Key(event) => {
                let key = input::key(event)?;
                let us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(0);
                self.tell(Msg::Key { key, us })
            }
            Input::FocusLost => {
                self.has_focus = false;
                None
            }
            Input::FocusGained => {
                (self.has_focus, self.is_dirty) = (true, true);
                None
            }
            Input::Resize(..) => {
                (self.has_focus, self.is_dirty) = (true, true);
                // The terminal has cut or moved what was drawn, even if it has its old size again by the next frame.
                self.screen.forget().is_err().then_some(Outcome::TerminalLost)
            }
            Input::Mouse(_) | Input::Paste(_) => None,
        }
    }

    /// Tells the app and does what it wants. Returns why to leave.
    ///
    /// A terminal that is gone is a reason to leave, never an error: the caller must still save the run.
    fn tell(&mut self, msg: Msg) -> Option<Outcome> {
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
                Request::Quit => return Some(Outcome::Left),
                Request::Suspend => {
                    self.screen.leave();
                    // Where the process can't be suspended, the screen just comes back.
                    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP);
                    if self.screen.enter_again().is_err() {
                        return Some(Outcome::TerminalLost);
                    }
                    // A replay stood still as well.
                    self.ticked = Instant::now();
                }
                Request::Redraw => {
                    if self.screen.forget().is_err() {
                        return Some(Outcome::TerminalLost);
                    }
                }
            }
        }
        // Every theme of the table can be read: tests hold them so.
        if self.app.ui.theme != theme
            && let Ok(look) = look(&self.theme, self.app.ui.theme)
        {
            self.look = look;
        }
        None
    }

    fn draw(&mut self) -> Result<()> {
        self.is_dirty = false;
        let (app, look) = (&self.app, &self.look);
        self.screen.draw(|frame| view::draw(frame, app, look))
    }
}
