//! The Train screen: the run at a glance, all panes or the most important.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::{App, Pane};

pub(super) fn panes(app: &App, body: Rect) -> Vec<(Pane, Rect)> {
    let layers = app.run.layers().max(1) as u16;
    // With its frame and the steps below, two layers to a row.
    let every_layer = layers.div_ceil(2) + 3;
    let strip_height = every_layer.min(body.height * 2 / 5).max(5);
    if body.width < 100 || body.height < 24 {
        // A list has a place where the chart and every layer keep theirs, or where it has the focus.
        let is_low = body.height < every_layer + 10;
        if is_low && matches!(app.pane(), Pane::Loss | Pane::Strip) {
            let strip = every_layer.min(body.height.saturating_sub(7)).max(5);
            let [chart, strip] = Layout::vertical([Constraint::Min(0), Constraint::Length(strip)]).areas(body);
            return vec![(Pane::Loss, chart), (Pane::Strip, strip)];
        }
        let heights = [Constraint::Min(7), Constraint::Length(strip_height), Constraint::Length(5)];
        let [chart, strip, list] = Layout::vertical(heights).areas(body);
        // The last place shows whichever list has the focus.
        let shown = match app.pane() {
            Pane::Layers => Pane::Layers,
            Pane::Transitions => Pane::Transitions,
            Pane::Machine => Pane::Machine,
            _ => Pane::Log,
        };
        return vec![(Pane::Loss, chart), (Pane::Strip, strip), (shown, list)];
    }
    let lists = Constraint::Length((body.height / 4).clamp(7, 12));
    let [top, bottom] = Layout::vertical([Constraint::Min(0), lists]).areas(body);
    let [left, right] = Layout::horizontal([Constraint::Percentage(64), Constraint::Percentage(36)]).areas(top);
    let [chart, strip] = Layout::vertical([Constraint::Min(8), Constraint::Length(strip_height)]).areas(left);
    let widths = [Constraint::Min(0), Constraint::Length(72.min(bottom.width * 3 / 5))];
    let [log, transitions] = Layout::horizontal(widths).areas(bottom);
    // The machine takes what the layers don't need, and a few rows in any case.
    let machine = right.height.saturating_sub(layers + 2).clamp(6, 12);
    let [right, machine] = Layout::vertical([Constraint::Min(0), Constraint::Length(machine)]).areas(right);
    vec![
        (Pane::Loss, chart),
        (Pane::Strip, strip),
        (Pane::Layers, right),
        (Pane::Machine, machine),
        (Pane::Log, log),
        (Pane::Transitions, transitions),
    ]
}
