//! The Layers screen: layers over steps, and each layer's figures beside them.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::Pane;

pub(super) fn panes(body: Rect) -> Vec<(Pane, Rect)> {
    // Beside each other, unless one of them would be left too little.
    if body.width < 100 {
        let [strip, layers] = Layout::vertical([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(body);
        return vec![(Pane::Strip, strip), (Pane::Layers, layers)];
    }
    let widths = [Constraint::Min(0), Constraint::Length((body.width / 2).clamp(50, 90))];
    let [strip, layers] = Layout::horizontal(widths).areas(body);
    vec![(Pane::Strip, strip), (Pane::Layers, layers)]
}
