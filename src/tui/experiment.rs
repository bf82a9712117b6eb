//! The experiment's screen: the board in the window.

use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, never};
use ratatui::Frame;

use super::window::{Show, Window};
use super::{Options, Outcome};
use crate::app::Request;
use crate::app::experiment::{Board, Msg};
use crate::app::keys::Key;
use crate::app::themes::Themes;
use crate::event::Command;
use crate::experiment_event::ExperimentEvent;
use crate::view::{self, Look};

/// Shows an experiment until the person leaves.
///
/// # Errors
/// If the terminal can't be set up.
pub fn run(options: Options, events: &Receiver<ExperimentEvent>, commands: &Sender<Command>) -> Result<Outcome> {
    let window = Window::open(options.looks.clone())?;
    let mut board = Board::default();
    board.keymap.clone_from(&options.user.keymap);
    window.show(&mut Shell { board, options, events: events.clone(), commands })
}

struct Shell<'a> {
    board: Board,
    options: Options,
    events: Receiver<ExperimentEvent>,
    commands: &'a Sender<Command>,
}

impl Show for Shell<'_> {
    type Event = ExperimentEvent;

    fn events(&self) -> &Receiver<ExperimentEvent> {
        &self.events
    }

    fn take(&mut self, event: ExperimentEvent) -> Vec<Request> {
        self.board.update(Msg::Event(event))
    }

    fn ended(&mut self) -> Vec<Request> {
        self.events = never();
        self.board.update(Msg::Ended)
    }

    fn key(&mut self, key: Key, us: u64) -> Vec<Request> {
        self.board.update(Msg::Key { key, us })
    }

    fn request(&mut self, request: Request) {
        if let Request::Train(command) = request {
            // If the experiment has ended, its last event says so.
            let _ = self.commands.send(command);
        }
    }

    fn must_close(&self) -> bool {
        (self.options.must_close)() && self.board.ended.is_some()
    }

    fn themes(&mut self) -> &mut Themes {
        &mut self.board.themes
    }

    fn draw(&self, frame: &mut Frame<'_>, look: &Look) {
        view::experiment::draw(frame, &self.board, look);
    }
}
