//! The Runs screen: what there is, and beside it, or below it, what is chosen.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::Pane;

pub(super) fn panes(body: Rect) -> Vec<(Pane, Rect)> {
    let [list, details] = if body.width >= 110 {
        let widths = [Constraint::Min(0), Constraint::Length((body.width * 2 / 5).clamp(44, 64))];
        Layout::horizontal(widths).areas(body)
    } else {
        Layout::vertical([Constraint::Min(6), Constraint::Length((body.height * 2 / 5).max(5))]).areas(body)
    };
    vec![(Pane::Runs, list), (Pane::RunDetails, details)]
}
