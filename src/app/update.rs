//! What messages do to the app: the pure update.

use super::actions::{Action, Binding, Mode, Scope};
use super::argument::Given;
use super::editor::{self, Editor};
use super::help::Help;
use super::keymap::Place;
use super::keys::Key;
use super::palette::{Outcome, Palette};
use super::runs::asked;
use super::strip_view::StripView;
use super::{App, Msg, Overlay, Pane, Request, Screen, Seek, State, Tie};
use crate::event::{Command, Event, What};
use crate::measurement::WHATS;

/// A second Ctrl-C within this time aborts.
const ABORT_WITHIN_US: u64 = 3_000_000;
/// Lines of a page.
const PAGE: usize = 10;
/// Columns by which the strip is panned.
const PAN: i64 = 10;
/// Factor of one change of the learning rate.
const RATE_STEP: f32 = 1.25;

impl App {
    /// Takes in a message; what must be done outside comes back.
    pub fn update(&mut self, msg: Msg) -> Vec<Request> {
        match msg {
            Msg::Event(stamped) => {
                if let Event::Applied { command, .. } | Event::Refused { command, .. } = &stamped.event
                    && let Some(at) = self.pending.iter().position(|c| c == command)
                {
                    self.pending.remove(at);
                    if let Event::Refused { reason, .. } = &stamped.event {
                        self.ui.notice = Some(format!("refused: {reason}"));
                    }
                    if let Command::Measure { what } = command
                        && self.ui.asked.take_if(|asked| asked == what).is_some()
                    {
                        self.ui.shows_next = matches!(stamped.event, Event::Applied { .. });
                    }
                }
                self.heard += 1;
                self.run.apply(&stamped);
                if let Overlay::Schedule(editor) = &mut self.ui.overlay {
                    editor.follow(&self.run);
                }
                self.show_what_was_asked(&stamped.event);
                self.leave_if_over()
            }
            Msg::Key { key, us } => self.key(key, us),
            Msg::Mouse { target, gesture, us } => self.mouse(target, gesture, us),
            Msg::Paste(text) => {
                self.paste(&text);
                Vec::new()
            }
            Msg::Replay(state) => {
                self.replay = Some(state);
                Vec::new()
            }
            Msg::Marks(marks) => {
                self.replay_marks = marks;
                Vec::new()
            }
            Msg::Notice(notice) => {
                self.ui.notice = Some(notice);
                Vec::new()
            }
            Msg::Reference(reference) => {
                self.compare_with(*reference);
                Vec::new()
            }
            Msg::Runs(news) => self.take_news(news),
            Msg::Tick { us } => {
                self.tick(us);
                Vec::new()
            }
            Msg::Machine(sample) => {
                self.sample(sample);
                Vec::new()
            }
            Msg::Ended => {
                self.has_ended = true;
                self.leave_if_over()
            }
        }
    }

    /// Opens the page of a series that a person asked for, once it is there, unless something else lies over the screen.
    fn show_what_was_asked(&mut self, event: &Event) {
        if let Some(page) = self.run.page_of(event)
            && std::mem::take(&mut self.ui.shows_next)
            && self.ui.overlay == Overlay::None
        {
            self.show_page(page);
        }
    }

    fn leave_if_over(&self) -> Vec<Request> {
        if self.ui.is_leaving && self.is_over() { vec![Request::Quit] } else { Vec::new() }
    }

    fn key(&mut self, key: Key, us: u64) -> Vec<Request> {
        self.ui.notice = None;
        if self.ui.themes.is_open() {
            self.ui.themes.key(key);
            return self.key_of_the_program(key, us).unwrap_or_default();
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
        if self.ui.log.is_typing {
            if let Some(requests) = self.key_of_the_program(key, us) {
                return requests;
            }
            self.ui.log.key(key);
            self.ui.scroll = 0;
            return Vec::new();
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

    /// Does what a row of the table says, asked for by a key or by its name, if it may be done.
    pub(super) fn perform(&mut self, binding: &Binding, given: Given, us: u64) -> Vec<Request> {
        if binding.scope == Scope::Run {
            if self.options.read_only {
                self.ui.notice = Some("read-only: keys that change the run are off".to_owned());
                return Vec::new();
            }
            if self.tie == Tie::Nothing {
                self.ui.notice = Some("no run is open; 6 shows what there is".to_owned());
                return Vec::new();
            }
            if self.is_over() {
                self.ui.notice = Some("the run is over; q leaves".to_owned());
                return Vec::new();
            }
        }
        self.act(binding.action, given, us)
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

    /// A command that is meant on another screen: what it would be done to is to be seen first.
    fn show_where(&mut self, binding: &Binding, screen: Screen) -> Vec<Request> {
        let requests = self.show(screen);
        let row = self.keymap.all(self.mode()).find(|row| row.binding == binding);
        let key = row.and_then(|row| row.keys.first().copied());
        let by = key.map_or_else(|| format!(":{}", binding.name), |key| key.name());
        self.ui.notice = Some(format!("{} is done here, by {by}", binding.name));
        requests
    }

    /// Pasted text is typed where something is being typed; elsewhere it would press keys at random.
    fn paste(&mut self, text: &str) {
        match &mut self.ui.overlay {
            Overlay::Palette(palette) => palette.paste(text),
            Overlay::Help(help) => help.filter.insert(text),
            _ if self.ui.screen == Screen::Runs && self.ui.runs.paste(text) => {}
            _ if self.ui.log.is_typing => self.ui.log.text.insert(text),
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

    /// Turns the pages of what was measured, around.
    fn turn(&mut self, by: isize) {
        let pages = self.run.measured.len().max(1) as isize;
        self.ui.page = (self.page() as isize + by).rem_euclid(pages) as usize;
        self.ui.scroll = 0;
    }

    /// Shows a page of what was measured.
    fn show_page(&mut self, page: usize) {
        self.show_pane(Screen::Eval, Pane::Measured);
        self.ui.page = page;
    }

    /// Shows a screen with the focus on one of its panes.
    fn show_pane(&mut self, screen: Screen, pane: Pane) {
        self.show(screen);
        self.ui.focus[screen.index()] = screen.panes().iter().position(|p| *p == pane).unwrap_or(0);
    }

    /// Asks for a measurement in order to look at it.
    fn measure(&mut self, what: What) -> Vec<Request> {
        self.ui.asked = Some(what);
        self.train(Command::Measure { what })
    }

    /// Asks before a change of stage, with a forecast of what it does to the loss under way.
    fn ask(&mut self, command: Command) -> Vec<Request> {
        self.ui.overlay = Overlay::Confirm(command);
        let forecast = Command::Measure { what: What::Forecast };
        let is_known = self.run.forecast().is_some_and(|m| m.step == self.run.step);
        if is_known || self.pending.contains(&forecast) { Vec::new() } else { self.train(forecast) }
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

    /// Asks the trainer, and remembers to have asked.
    fn train(&mut self, command: Command) -> Vec<Request> {
        self.pending.push(command);
        vec![Request::Train(command)]
    }

    fn act(&mut self, action: Action, given: Given, us: u64) -> Vec<Request> {
        let steps = if let Given::Whole(n) = given { n } else { 1 };
        match action {
            Action::Toggle if self.options.is_replay => return vec![Request::Replay(Seek::Toggle)],
            Action::Toggle => {
                // What was asked last counts, not yet answered though it may be.
                let asked = self.pending.iter().rev().find(|c| matches!(c, Command::Pause | Command::Resume));
                let is_paused = asked.map_or(self.run.is_paused, |c| *c == Command::Pause);
                return self.train(if is_paused { Command::Resume } else { Command::Pause });
            }
            Action::Step => return self.train(Command::Step { steps }),
            Action::Longer => return self.lengthen(1),
            Action::Shorter => return self.lengthen(-1),
            Action::PathLength => {
                if let Given::PathLength(length, stage) = given {
                    return self.set_path_length(stage.unwrap_or_else(|| self.target_stage()), length);
                }
            }
            Action::SelectNext => self.select(1),
            Action::SelectPrevious => self.select(-1),
            Action::SelectStage => {
                if let Given::Whole(stage) = given {
                    self.ui.selected_stage = Some(stage as usize).filter(|s| *s > self.run.stage.index);
                }
            }
            Action::Schedule => {
                self.ui.overlay = Editor::open(&self.run, self.target_stage()).map_or(Overlay::None, Overlay::Schedule);
            }
            Action::NextStage => return self.ask(Command::NextStage),
            Action::PreviousStage => return self.ask(Command::PreviousStage),
            Action::Evaluate => return self.train(Command::Evaluate),
            Action::Curve => return self.measure(What::Curve),
            Action::Measure => match given {
                Given::What(what) => return self.measure(what),
                _ => self.ui.overlay = Overlay::Menu,
            },
            Action::Save => return self.train(Command::Save),
            Action::Faster => return self.scale_rate(RATE_STEP),
            Action::Slower => return self.scale_rate(1.0 / RATE_STEP),
            Action::Rate => {
                if let Given::Factor(scale) = given {
                    return self.train(Command::SetLearningRateScale { scale });
                }
            }
            Action::Note => {
                if let Given::Note(text) = given {
                    return self.train(Command::Note { text });
                }
            }
            Action::Show(screen) => return self.show(screen),
            Action::Runs(act) => return self.act_on_runs(act),
            Action::FocusNext => self.focus(1),
            Action::FocusPrevious => self.focus(self.ui.screen.panes().len() - 1),
            Action::Expand => self.ui.expanded = !self.ui.expanded,
            Action::Back if self.ui.screen == Screen::Runs && self.ui.runs.back() => {}
            Action::Back if self.can_cancel() => return self.train(Command::Cancel),
            Action::Back if self.pane() == Pane::Log && self.ui.log.is_filtered() => self.ui.log.clear(),
            Action::Back if self.ui.selected_stage.is_some() => self.ui.selected_stage = None,
            Action::Back if self.ui.chart.crosshair.is_some() => self.ui.chart.crosshair = None,
            Action::Back => self.ui.expanded = false,
            Action::ScrollUp if self.ui.screen == Screen::Runs => return self.scroll_in_runs(-1),
            Action::ScrollDown if self.ui.screen == Screen::Runs => return self.scroll_in_runs(1),
            Action::ScrollUp => self.ui.scroll = (self.ui.scroll + 1).min(self.scroll_limit()),
            Action::ScrollDown => self.ui.scroll = self.ui.scroll.saturating_sub(1),
            Action::PageUp if self.ui.screen == Screen::Runs => return self.scroll_in_runs(-(PAGE as isize)),
            Action::PageDown if self.ui.screen == Screen::Runs => return self.scroll_in_runs(PAGE as isize),
            Action::PageUp => self.ui.scroll = (self.ui.scroll + PAGE).min(self.scroll_limit()),
            Action::PageDown => self.ui.scroll = self.ui.scroll.saturating_sub(PAGE),
            Action::Chart(action) => self.act_on_chart(action),
            Action::Theme => match given {
                Given::Whole(at) => self.ui.themes.shown = at as usize,
                _ => self.ui.themes.next(),
            },
            Action::Themes => self.ui.themes.open(),
            Action::Export => {
                self.ui.notice = Some("exporting".to_owned());
                return vec![Request::Export(self.pane())];
            }
            Action::PageOn => self.turn(1),
            Action::PageBack => self.turn(-1),
            Action::LogFrom => {
                self.ui.log.next();
                self.ui.scroll = 0;
            }
            Action::LogSearch => {
                self.show_pane(Screen::Log, Pane::Log);
                self.ui.log.is_typing = true;
            }
            Action::StripFiner => self.ui.strip.zoom(&self.run, self.is_strip_whole(), true),
            Action::StripCoarser => self.ui.strip.zoom(&self.run, self.is_strip_whole(), false),
            Action::StripOlder => self.ui.strip.pan(&self.run, self.is_strip_whole(), PAN),
            Action::StripNewer => self.ui.strip.pan(&self.run, self.is_strip_whole(), -PAN),
            Action::StripReset => self.ui.strip = StripView::default(),
            Action::Help => self.ui.overlay = Overlay::Help(Help::default()),
            Action::Palette => {
                self.ui.overlay = Overlay::Palette(Palette::default());
                // For the commands that take a run's name.
                return if self.ui.runs.rows.is_none() { asked(self.ui.runs.enter()) } else { Vec::new() };
            }
            Action::Compare => {
                if let Given::Whole(row) = given {
                    return self.compare_row(row as usize);
                }
            }
            Action::Mouse => {
                self.ui.is_mouse_off = !self.ui.is_mouse_off;
                let text = if self.ui.is_mouse_off {
                    "the mouse is the terminal's: it selects text"
                } else {
                    "the mouse works here; Shift selects text"
                };
                self.ui.notice = Some(text.to_owned());
            }
            Action::Quit => return self.quit(),
            Action::Interrupt => return self.interrupt(us),
            Action::Suspend => return vec![Request::Suspend],
            Action::Redraw => return vec![Request::Redraw],
            Action::FrameOn => return vec![Request::Replay(Seek::Steps(steps as i64))],
            Action::FrameBack => return vec![Request::Replay(Seek::Steps(-(steps as i64)))],
            Action::Goto => return vec![Request::Replay(Seek::Step(steps))],
            Action::JumpOn => return vec![Request::Replay(Seek::Percent(5))],
            Action::JumpBack => return vec![Request::Replay(Seek::Percent(-5))],
            Action::StageOn => return vec![Request::Replay(Seek::Stages(1))],
            Action::StageBack => return vec![Request::Replay(Seek::Stages(-1))],
            Action::Start => return vec![Request::Replay(Seek::Start)],
            Action::Follow => return vec![Request::Replay(Seek::Follow)],
            Action::End => return vec![Request::Replay(Seek::End)],
            Action::SpeedUp => return vec![Request::Replay(Seek::Speed(1))],
            Action::SpeedDown => return vec![Request::Replay(Seek::Speed(-1))],
        }
        Vec::new()
    }

    /// Whether an evaluation is under way that Esc gives up.
    pub fn can_cancel(&self) -> bool {
        let is_asked = |c: &Command| matches!(c, Command::Evaluate | Command::EvaluateCurve | Command::Measure { .. });
        let is_under_way = self.state() == State::Evaluating && self.pending.iter().any(is_asked);
        is_under_way && !self.options.read_only && !self.pending.contains(&Command::Cancel)
    }

    fn quit(&mut self) -> Vec<Request> {
        if self.is_idle() {
            return self.return_or_quit();
        }
        self.ui.overlay = Overlay::Quit;
        Vec::new()
    }

    fn interrupt(&mut self, us: u64) -> Vec<Request> {
        if self.is_idle() {
            return self.return_or_quit();
        }
        self.ui.is_leaving = true;
        let is_second =
            self.ui.interrupted_us.replace(us).is_some_and(|before| us.saturating_sub(before) <= ABORT_WITHIN_US);
        if is_second {
            return self.train(Command::Abort);
        }
        self.ui.notice = Some("saving and stopping; Ctrl-C again aborts".to_owned());
        self.train(Command::Stop)
    }

    fn focus(&mut self, by: usize) {
        let focus = &mut self.ui.focus[self.ui.screen.index()];
        *focus = (*focus + by) % self.ui.screen.panes().len();
        self.ui.scroll = 0;
    }

    pub(super) fn show(&mut self, screen: Screen) -> Vec<Request> {
        (self.ui.screen, self.ui.scroll, self.ui.expanded) = (screen, 0, false);
        match screen {
            Screen::Runs => return asked(self.ui.runs.enter()),
            Screen::Log => self.see_alerts(),
            _ => {}
        }
        Vec::new()
    }

    /// The stage whose path length +/- change.
    pub fn target_stage(&self) -> usize {
        self.ui.selected_stage.filter(|s| *s > self.run.stage.index).unwrap_or(self.run.stage.index)
    }

    /// The path length a stage has or was asked to have.
    pub fn asked_path_length(&self, stage: usize) -> Option<usize> {
        let asked = self.pending.iter().rev().find_map(|c| match c {
            Command::SetPathLength { stage: s, path_length } if *s == stage => Some(*path_length),
            _ => None,
        });
        asked.or_else(|| Some(self.run.schedule.as_ref()?.stages.get(stage)?.path_length))
    }

    fn lengthen(&mut self, by: isize) -> Vec<Request> {
        let stage = self.target_stage();
        let Some(length) = self.asked_path_length(stage).and_then(|n| n.checked_add_signed(by)) else {
            return Vec::new();
        };
        self.set_path_length(stage, length)
    }

    /// Whether a stage can have a path length; at the ends the trainer would only say no.
    ///
    /// # Errors
    /// A sentence, if not.
    pub(super) fn check_path_length(&self, stage: usize, length: usize) -> Result<(), String> {
        let row = self.run.schedule.as_ref().and_then(|s| s.stages.get(stage));
        let (shortest, longest) = (row.map_or(1, |s| s.fixed.path_length().max(1)), self.run.layers());
        if (shortest..=longest).contains(&length) {
            return Ok(());
        }
        Err(format!("path lengths lie between {shortest} and {longest}"))
    }

    fn set_path_length(&mut self, stage: usize, path_length: usize) -> Vec<Request> {
        match self.check_path_length(stage, path_length) {
            Ok(()) => self.train(Command::SetPathLength { stage, path_length }),
            Err(problem) => {
                self.ui.notice = Some(problem);
                Vec::new()
            }
        }
    }

    fn select(&mut self, by: isize) {
        let stages = self.run.schedule.as_ref().map_or(0, |s| s.stages.len());
        let now = self.run.stage.index;
        let chosen = self.target_stage().saturating_add_signed(by).clamp(now, stages.saturating_sub(1).max(now));
        self.ui.selected_stage = (chosen > now).then_some(chosen);
    }

    fn scale_rate(&mut self, by: f32) -> Vec<Request> {
        let asked = self.pending.iter().rev().find_map(|c| match c {
            Command::SetLearningRateScale { scale } => Some(*scale),
            _ => None,
        });
        let scale = asked.or(self.run.learning_rate_scale).unwrap_or(1.0) * by;
        // Back at 1 exactly, not nearly.
        let scale = if (scale - 1.0).abs() < 1e-3 { 1.0 } else { scale };
        self.train(Command::SetLearningRateScale { scale })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::actions::ACTIONS;
    use super::*;
    use crate::event::{Ending, Stamped};
    use crate::layer_path::LayerPath;
    use crate::schedule::{Schedule, Stage};

    fn app() -> App {
        let mut app = App::new(Options::default());
        let fixed = LayerPath::from_layers(12, [0, 11]);
        let stages = [6, 8, 12].map(|path_length| Stage::new(10, path_length, fixed)).to_vec();
        let schedule = Schedule { layers: 12, stages };
        event(
            &mut app,
            Event::StageEntered {
                step: 0,
                stage: 0,
                path_length: 6,
                by_hand: false,
                expected: vec![0.5; 12],
                schedule,
            },
        );
        app
    }

    fn event(app: &mut App, event: Event) -> Vec<Request> {
        app.update(Msg::Event(Stamped { seq: 0, us: 0, event }))
    }

    fn press(app: &mut App, key: Key) -> Vec<Request> {
        app.update(Msg::Key { key, us: 0 })
    }

    #[test]
    fn a_command_is_pending_until_it_is_answered() {
        let mut app = app();
        assert_eq!(press(&mut app, Key::Char(' ')), [Request::Train(Command::Pause)]);
        assert_eq!(app.state(), State::Pausing);
        event(&mut app, Event::Applied { step: 3, command: Command::Pause });
        assert_eq!((app.state(), app.pending.len()), (State::Paused, 0));
        assert_eq!(press(&mut app, Key::Char(' ')), [Request::Train(Command::Resume)]);
        let reason = "no".to_owned();
        event(&mut app, Event::Refused { step: 3, command: Command::Resume, reason });
        assert!(app.pending.is_empty() && app.ui.notice.as_ref().unwrap().contains("refused: no"));
    }

    #[test]
    fn path_lengths_of_this_and_later_stages() {
        let mut app = app();
        let set = |stage, path_length| vec![Request::Train(Command::SetPathLength { stage, path_length })];
        assert_eq!(press(&mut app, Key::Char('+')), set(0, 7));
        assert_eq!(press(&mut app, Key::Char('+')), set(0, 8), "counts on from what was asked");
        press(&mut app, Key::Char(']'));
        press(&mut app, Key::Char(']'));
        assert_eq!(press(&mut app, Key::Char('+')), []);
        assert!(app.ui.notice.as_ref().unwrap().contains("between 2 and 12"));
        assert_eq!(press(&mut app, Key::Char('-')), set(2, 11));
        press(&mut app, Key::Esc);
        assert_eq!(press(&mut app, Key::Char('-')), set(0, 7));
    }

    #[test]
    fn stages_are_changed_only_once_confirmed() {
        let mut app = app();
        let forecast = Request::Train(Command::Measure { what: What::Forecast });
        assert_eq!(press(&mut app, Key::Char('n')), [forecast]);
        assert_eq!(press(&mut app, Key::Char('x')), []);
        assert_eq!(press(&mut app, Key::Char('n')), [], "one forecast is under way already");
        assert_eq!(press(&mut app, Key::Char('y')), [Request::Train(Command::NextStage)]);
        assert_eq!(press(&mut app, Key::Char('.')), [Request::Train(Command::Step { steps: 1 })]);
    }

    #[test]
    fn each_screen_keeps_its_focus() {
        let mut app = app();
        press(&mut app, Key::Tab);
        assert_eq!((app.ui.screen, app.pane()), (Screen::Train, Pane::Strip));
        press(&mut app, Key::Char('3'));
        assert_eq!((app.ui.screen, app.pane()), (Screen::Loss, Pane::Loss));
        press(&mut app, Key::Tab);
        assert_eq!(app.pane(), Pane::Transitions);
        press(&mut app, Key::Char('1'));
        assert_eq!((app.ui.screen, app.pane()), (Screen::Train, Pane::Strip));
    }

    fn series(name: &str) -> Event {
        let (labels, values) = (vec!["1".to_owned(), "2".to_owned()], vec![0.5, 0.25]);
        let (name, spreads) = (name.to_owned(), Vec::new());
        Event::Measured(crate::event::Measurement { step: 0, name, path_length: 12, labels, values, spreads })
    }

    #[test]
    fn what_was_asked_for_is_shown_and_pages_are_turned() {
        let mut app = app();
        assert_eq!(press(&mut app, Key::Char('M')), []);
        let norms = Command::Measure { what: What::Norms };
        assert_eq!(press(&mut app, Key::Char('r')), [Request::Train(norms)]);
        assert_eq!((app.state(), &app.ui.overlay), (State::Evaluating, &Overlay::None));
        event(&mut app, series("by the cadence"));
        assert_eq!(app.ui.screen, Screen::Train, "nobody asked for that");
        event(&mut app, Event::Applied { step: 0, command: norms });
        assert_eq!(app.ui.screen, Screen::Train);
        event(&mut app, series("norms"));
        assert_eq!((app.ui.screen, app.pane(), app.ui.page), (Screen::Eval, Pane::Measured, 1));
        event(&mut app, series("more of it"));
        assert_eq!(app.ui.page, 1);
        for (key, page) in [(Key::Right, 2), (Key::Right, 0), (Key::Left, 2), (Key::Left, 1)] {
            press(&mut app, key);
            assert_eq!(app.ui.page, page);
        }
        press(&mut app, Key::Up);
        press(&mut app, Key::Up);
        assert_eq!(app.scroll(Pane::Measured), 1, "no further than its last line");
        press(&mut app, Key::Char('1'));
        // A refusal shows its reason, not the next series that comes.
        press(&mut app, Key::Char('M'));
        press(&mut app, Key::Char('d'));
        let command = Command::Measure { what: What::Coefficients };
        event(&mut app, Event::Refused { step: 0, command, reason: "no".to_owned() });
        event(&mut app, series("by the cadence"));
        assert_eq!(app.ui.screen, Screen::Train);
        // A newer series takes the place of the older.
        assert_eq!(app.run.measured.len(), 3);
    }

    #[test]
    fn esc_gives_up_an_evaluation_once() {
        let mut app = app();
        assert_eq!(press(&mut app, Key::Esc), []);
        press(&mut app, Key::Char('E'));
        assert_eq!(press(&mut app, Key::Esc), [Request::Train(Command::Cancel)]);
        assert_eq!(press(&mut app, Key::Esc), []);
        event(&mut app, Event::Refused { step: 0, command: Command::Evaluate, reason: "cut short".to_owned() });
        event(&mut app, Event::Applied { step: 0, command: Command::Cancel });
        assert_eq!((app.state(), app.pending.len()), (State::Running, 0));
    }

    #[test]
    fn leaving_waits_for_the_run_to_end() {
        let mut app = app();
        assert_eq!(press(&mut app, Key::Char('q')), []);
        assert_eq!(press(&mut app, Key::Char('s')), [Request::Train(Command::Stop)]);
        event(&mut app, Event::Applied { step: 3, command: Command::Stop });
        let over = Event::Finished { step: 3, ending: Ending::Stopped, weights: String::new() };
        assert_eq!(event(&mut app, over), [Request::Quit]);
    }

    #[test]
    fn a_second_interrupt_aborts_if_it_comes_soon() {
        let mut app = app();
        let interrupt = |app: &mut App, us| app.update(Msg::Key { key: Key::Ctrl('c'), us });
        assert_eq!(interrupt(&mut app, 0), [Request::Train(Command::Stop)]);
        assert_eq!(interrupt(&mut app, 5_000_000), [Request::Train(Command::Stop)]);
        assert_eq!(interrupt(&mut app, 6_000_000), [Request::Train(Command::Abort)]);
    }

    #[test]
    fn a_read_only_screen_and_a_replay_change_nothing() {
        for options in [Options { read_only: true, is_replay: false }, Options { read_only: true, is_replay: true }] {
            let mut app = App { options, ..app() };
            for binding in ACTIONS.iter().filter(|b| b.scope == Scope::Run && !b.keys.is_empty()) {
                let requests = press(&mut app, binding.keys[0]);
                assert!(!requests.iter().any(|r| matches!(r, Request::Train(_))), "{binding:?}");
                assert_eq!(app.ui.overlay, Overlay::None);
            }
        }
    }

    #[test]
    fn the_end_of_the_trainer_without_a_word_is_shown() {
        let mut app = app();
        app.update(Msg::Ended);
        assert_eq!(app.state(), State::Lost);
        assert_eq!(press(&mut app, Key::Char('q')), [Request::Quit]);
    }
}
