//! The window: the one loop behind every screen. It waits for keys, events and the clock, does what is asked of a window,
//! and draws at most 30 times a second and only if something has changed.
//!
//! Owns the terminal while a screen is shown. What is shown, and where its events come from, is a [`Show`]'s business.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use crossbeam_channel::{Receiver, select};
use crossterm::event::Event as Input;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use super::background::{self, Answer, Heard};
use super::looks::Looks;
use super::terminal::Screen;
use super::{Outcome, input};
use crate::app::Request;
use crate::app::keys::Key;
use crate::app::mouse::Gesture;
use crate::app::themes::Themes;
use crate::faults;
use crate::suspension;
use crate::view::Look;

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// The same for the frame that answers a key.
const FRAME_ANSWERING: Duration = Duration::from_millis(8);
/// The same while the window has not the focus.
const FRAME_UNFOCUSED: Duration = Duration::from_millis(500);
/// A still picture needs no frames; a glance at the signals now and then is enough.
const STILL: Duration = Duration::from_millis(100);
/// Time that events may take up before a frame is due.
const DRAIN: Duration = Duration::from_millis(20);

/// Something that a window shows.
pub(super) trait Show {
    /// What happens to it.
    type Event;

    /// Where its events come from now; asked anew before each wait, so that it may change.
    fn events(&self) -> &Receiver<Self::Event>;

    /// Takes in an event.
    fn take(&mut self, event: Self::Event) -> Vec<Request>;

    /// The channel of [`Self::events`] has closed. From here on that must be another one.
    fn ended(&mut self) -> Vec<Request>;

    /// Takes in a key, pressed at `us` microseconds of the window's own time.
    fn key(&mut self, key: Key, us: u64) -> Vec<Request>;

    /// Takes in pasted text.
    fn paste(&mut self, text: String) -> Vec<Request> {
        let _ = text;
        Vec::new()
    }

    /// Whether it listens to the mouse.
    fn wants_mouse(&self) -> bool {
        false
    }

    /// Takes in what the mouse did at a cell of an area, `us` microseconds of the window's own time.
    fn mouse(&mut self, gesture: Gesture, at: Position, area: Rect, look: &Look, us: u64) -> Vec<Request> {
        let _ = (gesture, at, area, look, us);
        Vec::new()
    }

    /// Does what only it can do: whatever a window itself doesn't know how to.
    fn request(&mut self, request: Request);

    /// Lets time pass. Returns whether that has changed the picture.
    fn tick(&mut self, passed: Duration) -> bool {
        let _ = passed;
        false
    }

    /// Whether the picture changes with time alone.
    fn is_moving(&self) -> bool {
        false
    }

    /// Whether it must close now, as after a signal.
    fn must_close(&self) -> bool;

    /// The themes it lets choose from. The window fills them in where there are none.
    fn themes(&mut self) -> &mut Themes;

    /// Draws it.
    fn draw(&self, frame: &mut Frame<'_>, look: &Look);

    /// It was drawn in an area.
    fn drawn(&mut self, area: Rect, look: &Look) {
        let _ = (area, look);
    }
}

/// A window and its terminal.
pub(super) struct Window {
    screen: Screen,
    looks: Looks,
    /// Index of the theme that is shown.
    theme: usize,
    look: Look,
    /// What the terminal says of its background.
    background: Answer,
    began: Instant,
    /// When time was last let pass.
    ticked: Instant,
    drawn: Instant,
    is_dirty: bool,
    /// Somebody has pressed a key, and waits.
    is_answering: bool,
    has_focus: bool,
}

impl Window {
    /// Takes over the terminal.
    ///
    /// # Errors
    /// If it can't be.
    pub(super) fn open(looks: Looks) -> Result<Self> {
        let (theme, look) = (looks.first(), looks.at(looks.first()));
        if looks.forces_color() {
            crossterm::style::force_color_output(true);
        }
        let screen = Screen::enter()?;
        let background = if looks.is_auto() { background::ask() } else { Answer::default() };
        let now = Instant::now();
        let (began, ticked, drawn) = (now, now, now);
        let (is_dirty, is_answering, has_focus) = (true, false, true);
        Ok(Self { screen, looks, theme, look, background, began, ticked, drawn, is_dirty, is_answering, has_focus })
    }

    /// Shows something until the person leaves, then gives the terminal back.
    ///
    /// A terminal that is gone is a reason to leave, never an error: the caller must still save the run.
    ///
    /// # Errors
    /// If the input can't be read from the start; or if drawing panics, which must cost nobody the run either.
    pub(super) fn show(mut self, show: &mut impl Show) -> Result<Outcome> {
        // Nothing of the window or of what it shows is used behind a panic but to leave.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.live(show)));
        if outcome.is_err() {
            self.screen.was_left();
        }
        self.screen.leave();
        outcome.unwrap_or_else(|_| Err(anyhow!("the screen has failed (see above)")))
    }

    fn live(&mut self, show: &mut impl Show) -> Result<Outcome> {
        let keys = input::spawn()?;
        self.wear(show);
        if self.screen.set_mouse(show.wants_mouse()).is_err() || self.draw(show).is_err() {
            return Ok(Outcome::TerminalLost);
        }
        loop {
            let wait = self.wait(show);
            let left = select! {
                recv(keys) -> key => match key {
                    Ok(Ok(input)) => self.input(&input, show),
                    // Without input the screen could not even be left.
                    Ok(Err(_)) | Err(_) => Some(Outcome::TerminalLost),
                },
                recv(show.events()) -> event => match event {
                    Ok(event) => self.drain(event, show),
                    Err(_) => {
                        let requests = show.ended();
                        self.serve(requests, show)
                    }
                },
                default(wait) => None,
            };
            if let Some(outcome) = left {
                return Ok(outcome);
            }
            if show.must_close() {
                return Ok(Outcome::Closed);
            }
            let passed = std::mem::replace(&mut self.ticked, Instant::now()).elapsed();
            self.is_dirty |= show.tick(passed);
            if self.is_dirty && self.drawn.elapsed() >= self.frame() && self.draw(show).is_err() {
                return Ok(Outcome::TerminalLost);
            }
        }
    }

    /// The least time between two frames now.
    fn frame(&self) -> Duration {
        match (self.is_answering, self.has_focus) {
            (true, _) => FRAME_ANSWERING,
            (false, true) => FRAME,
            (false, false) => FRAME_UNFOCUSED,
        }
    }

    /// The longest time in which nothing need be looked at.
    fn wait(&self, show: &impl Show) -> Duration {
        if self.is_dirty {
            self.frame().saturating_sub(self.drawn.elapsed())
        } else if show.is_moving() {
            // Not the rest of a frame: with nothing to draw that is none, and the loop would spin.
            self.frame()
        } else {
            STILL
        }
    }

    /// Takes in what has arrived, but no longer than a frame can wait. Returns why to leave.
    fn drain<S: Show>(&mut self, first: S::Event, show: &mut S) -> Option<Outcome> {
        let began = Instant::now();
        let mut next = Some(first);
        while let Some(event) = next {
            let requests = show.take(event);
            if let Some(outcome) = self.serve(requests, show) {
                return Some(outcome);
            }
            next = if began.elapsed() < DRAIN { show.events().try_recv().ok() } else { None };
        }
        None
    }

    /// Takes in what the terminal says. Returns why to leave.
    fn input(&mut self, input: &Input, show: &mut impl Show) -> Option<Outcome> {
        match input {
            Input::Key(event) => {
                match self.background.take(event) {
                    Heard::Key => {}
                    Heard::Part => return None,
                    Heard::IsLight(is_light) => {
                        let wanted = self.looks.for_background(is_light);
                        // Unless the person was quicker to choose.
                        if self.theme == self.looks.first() {
                            show.themes().shown = wanted;
                        }
                        return self.serve(Vec::new(), show);
                    }
                }
                let key = input::key(event)?;
                self.is_answering = true;
                let requests = show.key(key, self.us());
                self.serve(requests, show)
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
            Input::Mouse(event) => {
                let gesture = input::gesture(event)?;
                let (at, area) = (Position { x: event.column, y: event.row }, self.screen.area());
                let requests = show.mouse(gesture, at, area, &self.look, self.us());
                self.serve(requests, show)
            }
            Input::Paste(text) => {
                let requests = show.paste(text.clone());
                self.serve(requests, show)
            }
        }
    }

    /// The window's own time in microseconds.
    fn us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Does what is wanted. Returns why to leave.
    fn serve(&mut self, requests: Vec<Request>, show: &mut impl Show) -> Option<Outcome> {
        self.is_dirty = true;
        for request in requests {
            match request {
                Request::Quit => return Some(Outcome::Left),
                Request::Suspend => {
                    self.screen.leave();
                    // Where the process can't be suspended, the screen just comes back.
                    suspension::during(|| {
                        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP);
                    });
                    if self.screen.enter_again().is_err() {
                        return Some(Outcome::TerminalLost);
                    }
                    // Time stood still for what is shown as well.
                    self.ticked = Instant::now();
                }
                Request::Redraw => {
                    faults::panic_in("screen");
                    if self.screen.forget().is_err() {
                        return Some(Outcome::TerminalLost);
                    }
                }
                other => show.request(other),
            }
        }
        self.wear(show);
        self.screen.set_mouse(show.wants_mouse()).is_err().then_some(Outcome::TerminalLost)
    }

    /// Wears the theme that was chosen.
    fn wear(&mut self, show: &mut impl Show) {
        let themes = show.themes();
        if themes.choices.is_empty() {
            *themes = Themes::new(self.looks.choices(), self.theme);
        }
        if themes.shown != self.theme {
            self.theme = themes.shown;
            self.look = self.looks.at(self.theme);
        }
    }

    fn draw(&mut self, show: &mut impl Show) -> Result<()> {
        (self.is_dirty, self.is_answering) = (false, false);
        let look = &self.look;
        self.screen.draw(|frame| show.draw(frame, look))?;
        show.drawn(self.screen.area(), look);
        self.drawn = Instant::now();
        Ok(())
    }
}
