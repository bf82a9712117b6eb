//! The Layers screen: layers over steps, and each layer's figures beside them.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::Pane;

pub(super) fn panes(body: Rect) -> Vec<(Pane, Rect)> {
    let widths = [Constraint::Min(0), Constraint::Length((body.width * 2 / 5).clamp(30, 60))];
    let [strip, layers] = Layout::horizontal(widths).areas(body);
    vec![(Pane::Strip, strip), (Pane::Layers, layers)]
}
