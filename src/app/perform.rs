//! What the actions of the table do to the screen, whether a key or a name asked for them. Those that change the run are
//! worked out in `steering`.

use super::actions::{Action, Binding, Scope};
use super::argument::Given;
use super::editor::Editor;
use super::help::Help;
use super::palette::Palette;
use super::runs::asked;
use super::strip_view::StripView;
use super::{App, Overlay, Pane, Request, Screen, Seek, State, Tie};
use crate::event::{Command, What};

/// A second Ctrl-C within this time aborts.
const ABORT_WITHIN_US: u64 = 3_000_000;
/// Lines of a page.
const PAGE: usize = 10;
/// Columns by which the strip is panned.
const PAN: i64 = 10;
/// Factor of one change of the learning rate.
const RATE_STEP: f32 = 1.25;

impl App {
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

    pub(super) fn act(&mut self, action: Action, given: Given, us: u64) -> Vec<Request> {
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
            Action::ScrollUp => self.scroll_up(1),
            Action::ScrollDown => self.scroll_up(-1),
            Action::PageUp if self.ui.screen == Screen::Runs => return self.scroll_in_runs(-(PAGE as isize)),
            Action::PageDown if self.ui.screen == Screen::Runs => return self.scroll_in_runs(PAGE as isize),
            Action::PageUp => self.scroll_up(PAGE as isize),
            Action::PageDown => self.scroll_up(-(PAGE as isize)),
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
            Action::StripFiner => self.zoom_strip(true),
            Action::StripCoarser => self.zoom_strip(false),
            Action::StripOlder => self.pan_strip(PAN),
            Action::StripNewer => self.pan_strip(-PAN),
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

    fn zoom_strip(&mut self, is_finer: bool) {
        let is_whole = self.is_strip_whole();
        self.ui.strip.zoom(&self.run, self.ui.room.strip, is_whole, is_finer);
    }

    fn pan_strip(&mut self, by: i64) {
        let is_whole = self.is_strip_whole();
        self.ui.strip.pan(&self.run, self.ui.room.strip, is_whole, by);
    }

    /// A command that is meant on another screen: what it would be done to is to be seen first.
    pub(super) fn show_where(&mut self, binding: &Binding, screen: Screen) -> Vec<Request> {
        let requests = self.show(screen);
        let row = self.keymap.all(self.mode()).find(|row| row.binding == binding);
        let key = row.and_then(|row| row.keys.first().copied());
        let by = key.map_or_else(|| format!(":{}", binding.name), |key| key.name());
        self.ui.notice = Some(format!("{} is done here, by {by}", binding.name));
        requests
    }

    /// Turns the pages of what was measured, around.
    fn turn(&mut self, by: isize) {
        let pages = self.run.measured.len().max(1) as isize;
        self.ui.page = (self.page() as isize + by).rem_euclid(pages) as usize;
        self.ui.scroll = 0;
    }

    /// Shows a page of what was measured.
    pub(super) fn show_page(&mut self, page: usize) {
        self.show_pane(Screen::Eval, Pane::Measured);
        self.ui.page = page;
    }

    /// Shows a screen with the focus on one of its panes.
    fn show_pane(&mut self, screen: Screen, pane: Pane) {
        self.show(screen);
        self.ui.focus[screen.index()] = screen.panes().iter().position(|p| *p == pane).unwrap_or(0);
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
        self.ui.log.is_typing = false;
        match screen {
            Screen::Runs => return asked(self.ui.runs.enter()),
            Screen::Log => self.see_alerts(),
            _ => {}
        }
        Vec::new()
    }
}
