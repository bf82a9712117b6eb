//! The Log screen: what happened.

use ratatui::layout::Rect;

use crate::app::Pane;

pub(super) fn panes(body: Rect) -> Vec<(Pane, Rect)> {
    vec![(Pane::Log, body)]
}
