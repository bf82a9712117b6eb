//! What happened along the way: changes of path length as upright lines with the length at their top, changes by hand as
//! triangles on the axis, the entropy floor where it is known. What is planned is drawn too where it is in view.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Style};

use super::plot::Plot;
use crate::app::App;
use crate::view::Look;

/// An upright line.
struct Boundary {
    x: f64,
    color: Color,
    label: String,
    is_planned: bool,
}

/// Below the curves.
pub(super) fn draw(app: &App, look: &Look, plot: &Plot, buf: &mut Buffer) {
    let theme = &look.theme;
    for boundary in boundaries(app, look).iter().filter(|b| b.x > 0.0) {
        let Some(x) = plot.column(boundary.x) else { continue };
        let line = match (look.is_ascii(), boundary.is_planned) {
            (true, false) => ":",
            (true, true) => ".",
            (false, false) => "┊",
            (false, true) => "·",
        };
        for y in plot.area.top()..plot.area.bottom() {
            buf.set_string(x, y, line, Style::new().fg(boundary.color));
        }
    }
    if let Some(floor) = app.run.started.as_ref().and_then(|s| s.floor)
        && let Some(y) = plot.row(f64::from(floor))
    {
        for x in plot.area.left()..plot.area.right() {
            buf.set_string(x, y, if look.is_ascii() { "-" } else { "┄" }, Style::new().fg(theme.floor));
        }
    }
}

/// Above the curves, where there is room.
pub(super) fn draw_labels(app: &App, look: &Look, plot: &Plot, buf: &mut Buffer) {
    let theme = &look.theme;
    let area = plot.area;
    if let Some(floor) = app.run.started.as_ref().and_then(|s| s.floor)
        && let Some(row) = plot.row(f64::from(floor))
    {
        let (text, x, y) = (format!("entropy floor {floor:.3}"), area.x + 1, row.saturating_sub(1).max(area.y));
        let fits = usize::from(area.width) > text.len() + 2 && area.height > 4;
        let is_free = (x..x + text.len() as u16).all(|x| buf.cell((x, y)).is_some_and(|c| c.symbol() == " "));
        if fits && is_free {
            buf.set_string(x, y, text, Style::new().fg(theme.floor));
        }
    }
    let all = boundaries(app, look);
    let mut free_from = area.left();
    for (index, boundary) in all.iter().enumerate() {
        // What began left of the window still holds at its left edge.
        let next = all.get(index + 1);
        let is_before = boundary.x <= plot.ends.0 && next.is_none_or(|next| next.x > plot.ends.0);
        let column = if is_before { Some(area.left()) } else { plot.column(boundary.x).map(|x| x + 1) };
        let Some(x) = column.filter(|x| *x >= free_from) else { continue };
        // Up to the next one, and not a part of a number.
        let end = next.and_then(|next| plot.column(next.x)).unwrap_or(area.right());
        let room = usize::from(end.saturating_sub(x));
        let short = boundary.label.trim_start_matches("path ");
        let Some(text) = [boundary.label.as_str(), short].into_iter().find(|t| t.chars().count() <= room) else {
            continue;
        };
        buf.set_string(x, area.y, text, Style::new().fg(boundary.color));
        free_from = x + text.chars().count() as u16 + 1;
    }
    let mark = if look.is_ascii() { "^" } else { "▲" };
    let axis = app.ui.chart.axis;
    let by_hand = app.run.changes.iter().filter(|c| c.by_hand).map(|c| c.step);
    for step in by_hand.chain(app.run.edits.iter().copied()) {
        if let Some(x) = plot.column(axis.at(&app.run, step)) {
            buf.set_string(x, area.bottom(), mark, Style::new().fg(theme.focus));
        }
    }
}

/// Changes so far, and those that the schedule has in store.
fn boundaries(app: &App, look: &Look) -> Vec<Boundary> {
    let (run, axis) = (&app.run, app.ui.chart.axis);
    let label = |length: usize| if length == run.layers() { "full".to_owned() } else { format!("path {length}") };
    let mut all: Vec<Boundary> = Vec::new();
    for change in run.changes.iter().filter(|c| c.from != c.to || c.step == 0) {
        let (x, color) = (axis.at(run, change.step), look.theme.stage(change.stage));
        all.push(Boundary { x, color, label: label(change.to), is_planned: false });
    }
    let Some(schedule) = &run.schedule else { return all };
    for (index, stage) in schedule.stages.iter().enumerate().filter(|(_, s)| s.steps > 0) {
        let start = schedule.start(index);
        if start > run.step {
            let x = axis.at(run, start);
            all.push(Boundary { x, color: look.theme.dim, label: label(stage.path_length), is_planned: true });
        }
    }
    all
}
