//! What the mouse does: the view says what lies under it, here is what comes of that.

use super::actions::{Binding, Mode};
use super::argument::Given;
use super::keys::Key;
use super::runs::Act;
use super::{App, Overlay, Pane, Request, Screen, Seek};

/// A second click on a pane within this time, microseconds, expands it.
const TWICE_US: u64 = 400_000;
/// Lines that the wheel scrolls by.
const WHEEL: usize = 3;
/// What a turn of the wheel makes of the width of what a chart shows.
const WHEEL_ZOOM: f64 = 0.8;
/// Behind this share of a chart's width the mouse is at its end.
const TAIL: f64 = 0.95;

/// Something that the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// The left button went down.
    Click,
    /// The mouse moved with the left button held down.
    Drag,
    /// The wheel was turned away from the hand.
    WheelUp,
    /// The wheel was turned towards the hand.
    WheelDown,
}

/// What lies under the mouse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A screen's name.
    Tab(Screen),
    /// A pane, and how far along the inner width (a chart's: of its curves) and height, as shares.
    Pane(Pane, [f64; 2]),
    /// A row of the Runs screen, by its place in the list.
    Run(usize),
    /// The stage ribbon: the step there.
    Ribbon(u64),
    /// The scrub bar: the share of the recording there.
    Scrub(f64),
    /// A key in the footer.
    Footer(&'static Binding),
    /// A suggestion of the palette.
    Suggestion(usize),
    /// Some other part of what lies over the screen.
    Overlay,
    /// Nothing that answers.
    Nothing,
}

impl App {
    /// Takes in what the mouse did; `us` is the screen's own time.
    pub(super) fn mouse(&mut self, target: Target, gesture: Gesture, us: u64) -> Vec<Request> {
        let is_wheel = matches!(gesture, Gesture::WheelUp | Gesture::WheelDown);
        match (target, gesture) {
            (Target::Suggestion(at), Gesture::Click) => {
                if let Overlay::Palette(mut palette) = std::mem::take(&mut self.ui.overlay) {
                    palette.chosen = at;
                    return self.key_in_palette(Key::Enter, palette, us);
                }
            }
            (Target::Overlay | Target::Suggestion(_), Gesture::WheelUp | Gesture::WheelDown) => {
                self.wheel_in_overlay(gesture)
            }
            (Target::Overlay | Target::Suggestion(_), _) => {}
            // Beside what can be left without an answer a click leaves it.
            (_, Gesture::Click) if matches!(self.ui.overlay, Overlay::Help(_) | Overlay::Palette(_)) => {
                self.ui.overlay = Overlay::None;
            }
            _ if self.ui.overlay != Overlay::None => {}
            // A question on the Runs screen wants an answer by key.
            _ if self.ui.screen == Screen::Runs && self.ui.runs.question.is_some() => {}
            (Target::Tab(screen), Gesture::Click) => return self.show(screen),
            (Target::Footer(binding), Gesture::Click) => {
                self.ui.notice = None;
                return self.perform(binding, Given::Nothing, us);
            }
            (Target::Ribbon(step), Gesture::Click | Gesture::Drag) => return self.at_ribbon(step, gesture),
            (Target::Scrub(share), Gesture::Click | Gesture::Drag) => {
                return vec![Request::Replay(Seek::Share(share))];
            }
            (Target::Scrub(_), Gesture::WheelUp) => return vec![Request::Replay(Seek::Percent(1))],
            (Target::Scrub(_), Gesture::WheelDown) => return vec![Request::Replay(Seek::Percent(-1))],
            // A second click opens, as Enter does.
            (Target::Run(row), Gesture::Click) => {
                let is_second = self.in_pane(Pane::Runs, [0.0; 2], gesture, us);
                let chosen = self.choose_row(row);
                return if is_second && chosen.is_empty() { self.act_on_runs(Act::Open) } else { chosen };
            }
            (Target::Run(_), _) if !is_wheel => {}
            (Target::Run(_) | Target::Pane(Pane::Runs | Pane::RunDetails, _), _) if is_wheel => {
                self.give_focus(if let Target::Pane(pane, _) = target { pane } else { Pane::Runs });
                return self.scroll_in_runs(if gesture == Gesture::WheelUp { -1 } else { 1 });
            }
            (Target::Pane(pane, at), gesture) => {
                let is_second = self.in_pane(pane, at, gesture, us);
                self.ui.expanded ^= is_second;
            }
            _ => {}
        }
        Vec::new()
    }

    /// The ribbon moves a replay; in a run it chooses the stage that is changed.
    fn at_ribbon(&mut self, step: u64, gesture: Gesture) -> Vec<Request> {
        if self.mode() == Mode::Replay {
            return vec![Request::Replay(Seek::Step(step))];
        }
        let Some(schedule) = self.run.schedule.as_ref().filter(|_| gesture == Gesture::Click) else {
            return Vec::new();
        };
        let stage =
            (0..schedule.stages.len()).rev().find(|&s| schedule.stages[s].steps > 0 && schedule.start(s) <= step);
        self.ui.selected_stage = stage.filter(|s| *s > self.run.stage.index);
        Vec::new()
    }

    /// Gives a pane of the screen the focus. Returns whether it had it.
    fn give_focus(&mut self, pane: Pane) -> bool {
        let had_focus = self.pane() == pane;
        if let Some(place) = self.ui.screen.panes().iter().position(|p| *p == pane).filter(|_| !had_focus) {
            self.ui.focus[self.ui.screen.index()] = place;
            self.ui.scroll = 0;
        }
        had_focus
    }

    /// Gives a pane the focus; then the wheel scrolls it, or zooms the chart where the mouse is, and a click on a chart that
    /// had the focus shows that step's figures. Returns whether it was a second click soon after the first.
    fn in_pane(&mut self, pane: Pane, at: [f64; 2], gesture: Gesture, us: u64) -> bool {
        let had_focus = self.give_focus(pane);
        let is_chart = pane == Pane::Loss;
        match gesture {
            Gesture::WheelUp if is_chart => self.wheel_on_chart(at[0], WHEEL_ZOOM),
            Gesture::WheelDown if is_chart => self.wheel_on_chart(at[0], 1.0 / WHEEL_ZOOM),
            Gesture::WheelUp => self.scroll_up(WHEEL as isize),
            Gesture::WheelDown => self.scroll_up(-(WHEEL as isize)),
            Gesture::Click => {
                let before = self.ui.clicked.replace((pane, us));
                if before.is_some_and(|(p, then)| p == pane && us.saturating_sub(then) <= TWICE_US) {
                    self.ui.clicked = None;
                    return true;
                }
                if is_chart && had_focus {
                    self.point_at_chart(at[0]);
                }
            }
            Gesture::Drag if is_chart && had_focus => self.point_at_chart(at[0]),
            Gesture::Drag => {}
        }
        false
    }

    /// Zooms where the mouse is. At the end of a chart that follows the run it goes on to follow it.
    fn wheel_on_chart(&mut self, share: f64, factor: f64) {
        if self.ui.chart.window.follows() && share > TAIL {
            self.ui.chart.window = self.ui.chart.window.zoomed(factor, None, &self.chart_bounds());
        } else {
            self.zoom_chart(share, factor);
        }
    }

    fn wheel_in_overlay(&mut self, gesture: Gesture) {
        let is_up = gesture == Gesture::WheelUp;
        match std::mem::take(&mut self.ui.overlay) {
            Overlay::Help(help) => {
                let lines = self.help_entries(&help).len();
                self.ui.overlay =
                    Overlay::Help(help.scrolled(if is_up { -(WHEEL as i32) } else { WHEEL as i32 }, lines));
            }
            Overlay::Palette(mut palette) => {
                let last = palette.suggestions(self).len().saturating_sub(1);
                palette.chosen = palette.chosen.saturating_add_signed(if is_up { -1 } else { 1 }).min(last);
                self.ui.overlay = Overlay::Palette(palette);
            }
            other => self.ui.overlay = other,
        }
    }
}
