//! The experiment's screen: one loop that owns the board and draws it, as the run's own does.

use std::time::Instant;

use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, never, select};
use crossterm::event::Event as Input;

use super::terminal::Screen;
use super::{DRAIN, FRAME, FRAME_UNFOCUSED, Options, Outcome, input, look};
use crate::app::Request;
use crate::app::experiment::{Board, Msg};
use crate::event::Command;
use crate::experiment_event::ExperimentEvent;
use crate::view::{self, Look};

/// Shows an experiment until the person leaves.
///
/// # Errors
/// If the theme is unknown or the terminal can't be set up.
pub fn run(options: Options, events: &Receiver<ExperimentEvent>, commands: &Sender<Command>) -> Result<Outcome> {
    let look = look(&options.theme, 0)?;
    let screen = Screen::enter()?;
    let (board, began) = (Board::default(), Instant::now());
    let mut shell = Shell { board, look, options, commands, screen, began, is_dirty: true, has_focus: true };
    let outcome = shell.live(events);
    shell.screen.leave();
    outcome
}

struct Shell<'a> {
    board: Board,
    look: Look,
    options: Options,
    commands: &'a Sender<Command>,
    screen: Screen,
    began: Instant,
    is_dirty: bool,
    has_focus: bool,
}

impl Shell<'_> {
    fn live(&mut self, events: &Receiver<ExperimentEvent>) -> Result<Outcome> {
        let keys = input::spawn()?;
        let nothing = never();
        let mut events = events;
        let mut last_frame = Instant::now();
        if self.draw().is_err() {
            return Ok(Outcome::TerminalLost);
        }
        loop {
            let frame = if self.has_focus { FRAME } else { FRAME_UNFOCUSED };
            // A still picture needs no frames; a glance at the signals now and then is enough.
            let wait = if self.is_dirty { frame.saturating_sub(last_frame.elapsed()) } else { FRAME_UNFOCUSED / 5 };
            select! {
                recv(keys) -> key => match key {
                    Ok(Ok(input)) => if let Some(outcome) = self.input(&input) { return Ok(outcome) },
                    // Without input the screen could not even be left.
                    Ok(Err(_)) | Err(_) => return Ok(Outcome::TerminalLost),
                },
                recv(events) -> event => match event {
                    Ok(event) => if let Some(outcome) = self.drain(event, events) { return Ok(outcome) },
                    Err(_) => {
                        events = &nothing;
                        if let Some(outcome) = self.tell(Msg::Ended) { return Ok(outcome) }
                    }
                },
                default(wait) => {}
            }
            if (self.options.must_close)() && self.board.ended.is_some() {
                return Ok(Outcome::Closed);
            }
            if self.is_dirty && last_frame.elapsed() >= frame {
                if self.draw().is_err() {
                    return Ok(Outcome::TerminalLost);
                }
                last_frame = Instant::now();
            }
        }
    }

    /// Takes in what has arrived, but no longer than a frame can wait. Returns why to leave.
    fn drain(&mut self, first: ExperimentEvent, events: &Receiver<ExperimentEvent>) -> Option<Outcome> {
        let began = Instant::now();
        let mut next = Some(first);
        while let Some(event) = next {
            if let Some(outcome) = self.tell(Msg::Event(event)) {
                return Some(outcome);
            }
            next = if began.elapsed() < DRAIN { events.try_recv().ok() } else { None };
        }
        None
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
                self.screen.forget().is_err().then_some(Outcome::TerminalLost)
            }
            Input::Mouse(_) | Input::Paste(_) => None,
        }
    }

    /// Tells the board and does what it wants. Returns why to leave.
    fn tell(&mut self, msg: Msg) -> Option<Outcome> {
        self.is_dirty = true;
        let theme = self.board.theme;
        for request in self.board.update(msg) {
            match request {
                Request::Train(command) => {
                    // If the experiment has ended, its last event says so.
                    let _ = self.commands.send(command);
                }
                Request::Replay(_) => {}
                Request::Quit => return Some(Outcome::Left),
                Request::Suspend => {
                    self.screen.leave();
                    // Where the process can't be suspended, the screen just comes back.
                    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP);
                    if self.screen.enter_again().is_err() {
                        return Some(Outcome::TerminalLost);
                    }
                }
                Request::Redraw => {
                    if self.screen.forget().is_err() {
                        return Some(Outcome::TerminalLost);
                    }
                }
            }
        }
        // Every theme of the table can be read: tests hold them so.
        if self.board.theme != theme
            && let Ok(look) = look(&self.options.theme, self.board.theme)
        {
            self.look = look;
        }
        None
    }

    fn draw(&mut self) -> Result<()> {
        self.is_dirty = false;
        let (board, look) = (&self.board, &self.look);
        self.screen.draw(|frame| view::experiment::draw(frame, board, look))
    }
}
