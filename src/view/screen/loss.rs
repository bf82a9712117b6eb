//! The Loss screen: the chart, and what transitions did below it.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::Pane;

pub(super) fn panes(body: Rect) -> Vec<(Pane, Rect)> {
    let heights = [Constraint::Min(8), Constraint::Length((body.height / 4).clamp(5, 10))];
    let [chart, transitions] = Layout::vertical(heights).areas(body);
    vec![(Pane::Loss, chart), (Pane::Transitions, transitions)]
}
