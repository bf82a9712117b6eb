//! The stage ribbon: the schedule as a bar, widths by steps, filled up to now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Look;
use crate::app::App;

/// The step that a column stands for; none: it is beside the bar.
pub(in crate::view) fn step_at(app: &App, area: Rect, x: u16) -> Option<u64> {
    let total = app.run.schedule.as_ref()?.total_steps();
    let width = u64::from(area.width.saturating_sub(2));
    let column = u64::from(x.checked_sub(area.x + 1)?);
    (column < width).then(|| column * total / width)
}

pub(in crate::view) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some(schedule) = &app.run.schedule else {
        return;
    };
    let (total, theme) = (schedule.total_steps().max(1), &look.theme);
    let width = u64::from(area.width.saturating_sub(2));
    if width == 0 || area.height == 0 {
        return;
    }
    let column = |step: u64| area.x + 1 + u16::try_from(step.min(total) * width / total).unwrap_or(0);
    let bar = area.y + area.height - 1;
    let target = app.target_stage();
    for (index, stage) in schedule.stages.iter().enumerate().filter(|(_, s)| s.steps > 0) {
        let (from, to) = (column(schedule.start(index)), column(schedule.start(index) + stage.steps));
        let color = theme.stage(index);
        let now = column(app.run.step).clamp(from, to.max(from));
        let [done, open, edge] = if look.is_ascii() { ["#", "-", "|"] } else { ["▆", "▁", "▏"] };
        for x in from..to {
            buf.set_string(x, bar, if x < now { done } else { open }, Style::new().fg(color));
        }
        if index > 0 {
            buf.set_string(from, bar, edge, Style::new().fg(theme.text));
        }
        if area.height < 2 || to <= from {
            continue;
        }
        let length = app.asked_path_length(index).unwrap_or(stage.path_length);
        let pending = if length == stage.path_length { "" } else { "?" };
        let label = if stage.path_length == schedule.layers && pending.is_empty() {
            format!("{} full", index + 1)
        } else {
            format!("{} path {length}{pending}", index + 1)
        };
        let is_now = index == app.run.stage.index;
        let mut style = Style::new().fg(if is_now { theme.text } else { theme.dim });
        if is_now {
            style = style.add_modifier(Modifier::BOLD);
        }
        if app.ui.selected_stage == Some(index) && target == index {
            style = style.add_modifier(Modifier::REVERSED);
        }
        buf.set_stringn(from, area.y, label, usize::from(to - from).saturating_sub(1), style);
    }
    let mark = if look.is_ascii() { "^" } else { "▲" };
    for &step in &app.run.edits {
        let x = column(step).min(area.right().saturating_sub(1));
        buf.set_string(x, bar, mark, Style::new().fg(theme.focus));
    }
}
