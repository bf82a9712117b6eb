//! The Log screen: what happened, and what a person would want to be called for.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::{App, Pane};

pub(super) fn panes(app: &App, body: Rect) -> Vec<(Pane, Rect)> {
    let alerts = (app.alerts().len().max(1) as u16 + 2).min(body.height / 3).max(3);
    let [log, alerts] = Layout::vertical([Constraint::Min(0), Constraint::Length(alerts)]).areas(body);
    vec![(Pane::Log, log), (Pane::Alerts, alerts)]
}
