//! The Eval screen: the full model's loss over steps and every evaluation, and beside them what was measured.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::{App, Pane};

pub(super) fn panes(app: &App, body: Rect) -> Vec<(Pane, Rect)> {
    if body.width < 100 {
        let heights = [Constraint::Percentage(35), Constraint::Percentage(65)];
        let [chart, below] = Layout::vertical(heights).areas(body);
        // The last place shows what was measured, unless nothing was or the focus is elsewhere.
        let has_pages = app.pane() == Pane::Measured && !app.run.measured.is_empty();
        let shown = if has_pages { Pane::Measured } else { Pane::Evaluations };
        return vec![(Pane::FullLoss, chart), (shown, below)];
    }
    if app.run.measured.is_empty() {
        let [left, table] = Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(body);
        let [chart, measured] = Layout::vertical([Constraint::Min(0), Constraint::Length(3)]).areas(left);
        return vec![(Pane::FullLoss, chart), (Pane::Evaluations, table), (Pane::Measured, measured)];
    }
    let [left, right] = Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(body);
    let [chart, table] = Layout::vertical([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(left);
    vec![(Pane::FullLoss, chart), (Pane::Evaluations, table), (Pane::Measured, right)]
}
