//! The Loss screen: the chart, below it what transitions did, and other runs beside this one.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::{App, Pane};

pub(super) fn panes(app: &App, body: Rect) -> Vec<(Pane, Rect)> {
    let heights = [Constraint::Min(8), Constraint::Length((body.height * 2 / 5).clamp(5, 12))];
    let [chart, below] = Layout::vertical(heights).areas(body);
    // One alone has room to look at a transition from near by; both stand there once there is something to compare.
    let alone = match app.pane() {
        Pane::Compare => Some(Pane::Compare),
        Pane::Transitions => Some(Pane::Transitions),
        _ if body.width < 110 || app.references.is_empty() => {
            Some(if app.references.is_empty() { Pane::Transitions } else { Pane::Compare })
        }
        _ => None,
    };
    if let Some(pane) = alone {
        return vec![(Pane::Loss, chart), (pane, below)];
    }
    let widths = [Constraint::Fill(1), Constraint::Length(70.min(below.width / 2 + 10))];
    let [transitions, compare] = Layout::horizontal(widths).areas(below);
    vec![(Pane::Loss, chart), (Pane::Transitions, transitions), (Pane::Compare, compare)]
}
