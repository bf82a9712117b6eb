//! What keys and pasted text mean: whatever lies on top has them first, then the table of actions.

use super::actions::{Action, Mode};
use super::argument::Given;
use super::editor::{self, Editor};
use super::keymap::Place;
use super::keys::Key;
use super::palette::{Outcome, Palette};
use super::{App, Overlay, Request, Screen};
use crate::event::Command;
use crate::measurement::WHATS;

impl App {
    pub(super) fn key(&mut self, key: Key, us: u64) -> Vec<Request> {
        self.ui.notice = None;
        if self.shows_failure() {
            self.ui.has_read_failure = true;
            if matches!(key, Key::Esc | Key::Enter) {
                return Vec::new();
            }
        }
        if self.ui.themes.is_open() {
            if let Some(requests) = self.key_of_the_program(key, us) {
                return requests;
            }
            self.ui.themes.key(key);
            return Vec::new();
        }
        match std::mem::take(&mut self.ui.overlay) {
            Overlay::None => {}
            Overlay::Help(help) => {
                if let Some(requests) = self.key_of_the_program(key, us) {
                    return requests;
                }
                let lines = self.help_entries(&help).len();
                self.ui.overlay = help.key(key, lines).map_or(Overlay::None, Overlay::Help);
                return Vec::new();
            }
            Overlay::Palette(palette) => {
                return self.key_of_the_program(key, us).unwrap_or_else(|| self.key_in_palette(key, palette, us));
            }
            Overlay::Confirm(command) => {
                if matches!(key, Key::Char('y') | Key::Enter) {
                    return self.train(command);
                }
                return self.key_of_the_program(key, us).unwrap_or_default();
            }
            Overlay::Quit => return self.key_in_quit(key, us),
            Overlay::Schedule(editor) => return self.key_in_editor(key, editor, us),
            Overlay::Menu => return self.key_in_menu(key, us),
        }
        if self.ui.log.is_typing && self.ui.screen == Screen::Log {
            if let Some(requests) = self.key_of_the_program(key, us) {
                return requests;
            }
            self.ui.log.key(key);
            self.ui.scroll = 0;
            return Vec::new();
        }
        let is_asked = self.ui.screen == Screen::Runs && (self.ui.runs.is_typing || self.ui.runs.question.is_some());
        if is_asked && let Some(requests) = self.key_of_the_program(key, us) {
            return requests;
        }
        if let Some(requests) = self.key_in_runs(key) {
            return requests;
        }
        let Some(binding) = self.keymap.find(key, self.place()) else {
            let live = Place { mode: Mode::Run, ..self.place() };
            if self.options.is_replay && self.keymap.find(key, live).is_some() {
                self.ui.notice = Some("this is a recording: it can't be changed".to_owned());
            }
            return Vec::new();
        };
        self.perform(binding, Given::Nothing, us)
    }

    pub(super) fn key_in_palette(&mut self, key: Key, palette: Palette, us: u64) -> Vec<Request> {
        let line = palette.line.clone();
        match palette.key(key, self) {
            Outcome::Stays(palette) => self.ui.overlay = Overlay::Palette(palette),
            Outcome::Closes => {}
            Outcome::Does(binding, given) => {
                self.remember_line(line.text());
                if let (0, Some(screen)) = (self.place().rank(binding), binding.on.screen()) {
                    return self.show_where(binding, screen);
                }
                return self.perform(binding, given, us);
            }
        }
        Vec::new()
    }

    /// Pasted text is typed where something is being typed; elsewhere it would press keys at random.
    pub(super) fn paste(&mut self, text: &str) {
        match &mut self.ui.overlay {
            Overlay::Palette(palette) => palette.paste(text),
            Overlay::Help(help) => help.filter.insert(text),
            _ if self.ui.screen == Screen::Runs && self.ui.runs.paste(text) => {}
            _ if self.ui.log.is_typing && self.ui.screen == Screen::Log => self.ui.log.text.insert(text),
            _ => self.ui.notice = Some("pasted text is only taken where something is typed, as behind :".to_owned()),
        }
    }

    fn key_in_editor(&mut self, key: Key, editor: Editor, us: u64) -> Vec<Request> {
        if let Some(requests) = self.key_of_the_program(key, us) {
            self.ui.overlay = Overlay::Schedule(editor);
            return requests;
        }
        match editor.key(key, &self.run) {
            editor::Outcome::Stays(editor) => self.ui.overlay = Overlay::Schedule(editor),
            editor::Outcome::Closes => {}
            editor::Outcome::Applies(_) if self.options.read_only || self.is_over() => {
                self.ui.notice = Some("the schedule can't be changed here: the draft was dropped".to_owned());
            }
            editor::Outcome::Applies(commands) => {
                let changes =
                    if commands.len() == 1 { "a change".to_owned() } else { format!("{} changes", commands.len()) };
                self.ui.notice = Some(format!("asked for {changes} of the schedule"));
                return commands.into_iter().flat_map(|c| self.train(c)).collect();
            }
        }
        Vec::new()
    }

    fn key_in_menu(&mut self, key: Key, us: u64) -> Vec<Request> {
        match WHATS.iter().find(|(_, its, ..)| key == Key::Char(*its)) {
            Some((what, ..)) => self.measure(*what),
            None => self.key_of_the_program(key, us).unwrap_or_default(),
        }
    }

    fn key_in_quit(&mut self, key: Key, us: u64) -> Vec<Request> {
        match key {
            Key::Char('s') | Key::Enter => {
                self.ui.is_leaving = true;
                self.train(Command::Stop)
            }
            Key::Char('a') => {
                self.ui.is_leaving = true;
                self.train(Command::Abort)
            }
            _ => self.key_of_the_program(key, us).unwrap_or_default(),
        }
    }

    /// Ctrl-C and its like work wherever one is, though not letters where one types. Any other key has closed what lay over
    /// the screen, and that was all.
    fn key_of_the_program(&mut self, key: Key, us: u64) -> Option<Vec<Request>> {
        let action = self.keymap.find(key, self.place()).map(|b| b.action)?;
        let is_meant = matches!(action, Action::Interrupt | Action::Suspend | Action::Redraw);
        (is_meant && !matches!(key, Key::Char(_))).then(|| {
            let overlay = std::mem::take(&mut self.ui.overlay);
            let requests = self.act(action, Given::Nothing, us);
            self.ui.overlay = overlay;
            requests
        })
    }
}
