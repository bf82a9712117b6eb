//! What stands where, for every size: drawing and the mouse both ask here.
//!
//! A screen is a file with one function from its body to its panes' places. What holds for every screen is here: the parts
//! around the body, and that a small body, or an expanded pane, shows one pane alone.

mod eval;
mod layers;
mod log;
mod loss;
mod runs;
mod train;

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::{App, Pane, Screen, Tie};

/// The parts that every screen has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// The screens' names, and the run's state.
    pub(super) tabs: Rect,
    /// The run's figures.
    pub(super) header: Rect,
    /// The stage ribbon.
    pub(super) stages: Rect,
    /// The panes.
    pub(super) body: Rect,
    /// Where a replay stands; empty in a live run and on small screens.
    pub(super) scrub: Rect,
    /// Keys and notices.
    pub(super) footer: Rect,
}

impl Parts {
    /// Where they stand.
    pub(super) fn of(app: &App, area: Rect) -> Self {
        let header = if area.width >= 170 || area.height < 24 { 1 } else { 2 };
        let ribbon = if area.height >= 16 { 2 } else { 1 };
        // No run, no figures of it.
        let (header, ribbon) = if app.tie == Tie::Nothing { (0, 0) } else { (header, ribbon) };
        let scrub = u16::from(app.replay.is_some() && area.height >= 20);
        let [tabs, header, stages, body, scrub, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(header),
            Constraint::Length(ribbon),
            Constraint::Min(0),
            Constraint::Length(scrub),
            Constraint::Length(1),
        ])
        .areas(area);
        Self { tabs, header, stages, body, scrub, footer }
    }
}

/// The panes of the screen that is shown, and their places within its body.
pub(super) fn panes(app: &App, body: Rect) -> Vec<(Pane, Rect)> {
    if app.ui.expanded || body.width < 60 || body.height < 14 {
        return vec![(app.pane(), body)];
    }
    match app.ui.screen {
        Screen::Train => train::panes(app, body),
        Screen::Layers => layers::panes(body),
        Screen::Loss => loss::panes(app, body),
        Screen::Eval => eval::panes(app, body),
        Screen::Log => log::panes(app, body),
        Screen::Runs => runs::panes(body),
    }
}
