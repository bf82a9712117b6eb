//! What was measured, a page for each series: labels, values, spreads, and bars that can be read without colour. Where there
//! is room the pages behind the chosen one stand beside it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::{App, Pane};
use crate::event::Measurement;
use crate::measurement::number;
use crate::view::plain;

pub(super) struct Measured;

impl Panel for Measured {
    fn title(&self, app: &App, width: u16) -> String {
        let pages = app.run.measured.len();
        if pages == 0 {
            return "Measurements".to_owned();
        }
        let long = format!("Measurements: {} of {pages}, arrows turn", app.page() + 1);
        if long.chars().count() <= usize::from(width) { long } else { format!("{}/{pages}", app.page() + 1) }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let measured = &app.run.measured;
        if measured.is_empty() {
            let text = if app.options.is_replay { "nothing yet" } else { "nothing yet: M measures" };
            buf.set_stringn(area.x, area.y, text, usize::from(area.width), Style::new().fg(look.theme.dim));
            return;
        }
        // The chosen page first, then the pages behind it, as many as there is room for.
        let columns = (area.width / LEAST_WIDTH).clamp(1, 3);
        let width = area.width / columns;
        let (mut column, mut y) = (0, area.y);
        for offset in 0..measured.len() {
            let m = &measured[(app.page() + offset) % measured.len()];
            let height = u16::try_from(m.labels.len()).unwrap_or(u16::MAX).saturating_add(1);
            if y > area.y && y.saturating_add(height) > area.bottom() {
                (column, y) = (column + 1, area.y);
            }
            if column == columns {
                return;
            }
            let place = Rect { x: area.x + column * width, y, width, height: height.min(area.bottom() - y) };
            let line = if offset == 0 { app.scroll(Pane::Measured) } else { 0 };
            page(app, look, m, line, offset == 0, place, buf);
            y = y.saturating_add(height + 1);
            if y >= area.bottom() {
                (column, y) = (column + 1, area.y);
            }
        }
    }
}

/// Columns that a series has at least, where there are several side by side.
const LEAST_WIDTH: u16 = 46;

/// A series under its name.
fn page(app: &App, look: &Look, m: &Measurement, line: usize, is_chosen: bool, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let age = match app.run.step.saturating_sub(m.step) {
        0 => "now".to_owned(),
        n => format!("{n} steps ago"),
    };
    let style = Style::new().fg(if is_chosen { theme.accent } else { theme.text }).add_modifier(Modifier::BOLD);
    let room = usize::from(area.width.saturating_sub(1));
    let (x, _) = buf.set_stringn(area.x, area.y, plain(look, &m.name), room, style);
    let left = usize::from((area.x + room as u16).saturating_sub(x));
    buf.set_stringn(x, area.y, format!("  {age}"), left, Style::new().fg(theme.dim));
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), width: room as u16, ..area };
    series(app, look, m, line, below, buf);
}

/// Where bars begin: at 0, or at the lowest value where that would leave nothing to tell them apart by.
fn origin(values: &[f32]) -> f32 {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if low > 0.5 * high || low < 0.0 { low } else { 0.0 }
}

fn series(app: &App, look: &Look, m: &Measurement, line: usize, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let rows = usize::from(area.height);
    let first = line.min(m.labels.len().saturating_sub(rows));
    let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let text = |i: usize| {
        let spread = m.spreads.get(i).map_or(String::new(), |s| format!(" ±{}", number(*s)));
        format!("{}{spread}", number(m.values[i]))
    };
    let count = m.labels.len().min(m.values.len());
    let label_width = wide(&mut m.labels.iter().map(|l| l.chars().count()));
    let text_width = wide(&mut (0..count).map(|i| text(i).chars().count()));
    let begin = area.x + 1 + (label_width + text_width + 3) as u16;
    let room = f32::from(area.right().saturating_sub(begin + 1));
    let low = origin(&m.values);
    let spread = |i: usize| m.spreads.get(i).copied().unwrap_or(0.0);
    // Bars have room for their spreads.
    let high = (0..count).map(|i| m.values[i] + spread(i)).fold(f32::NEG_INFINITY, f32::max);
    let cells = |value: f32| if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) * room } else { 0.0 };
    let full = app.run.layers().to_string();
    for (row, i) in (first..count).take(rows).enumerate() {
        let y = area.y + row as u16;
        // The row of the full model, where rows are path lengths.
        let is_full = m.labels[i] == full && m.name.ends_with("path length");
        let color = if is_full { theme.full } else { theme.text };
        let label = format!("{:>label_width$}  {:<text_width$}", m.labels[i], text(i));
        let style = Style::new().fg(color);
        let style = if is_full { style.add_modifier(Modifier::BOLD) } else { style };
        buf.set_stringn(area.x + 1, y, plain(look, &label), usize::from(area.width.saturating_sub(1)), style);
        if begin < area.right() && room > 0.0 {
            let bar = cells(m.values[i]).round().max(1.0) as usize;
            let [full, beyond, from, to] =
                if look.is_ascii() { ["=", "-", "[", "]"] } else { ["━", "─", "├", "┤"] };
            buf.set_stringn(begin, y, full.repeat(bar), room as usize, Style::new().fg(color));
            if spread(i) > 0.0 {
                // One standard deviation to each side.
                let at = |value: f32| (cells(value).round() as u16).min(room as u16 - 1);
                let (low, high) = (at(m.values[i] - spread(i)), at(m.values[i] + spread(i)));
                let style = Style::new().fg(theme.dim);
                (bar as u16..high).for_each(|x| buf.set_string(begin + x, y, beyond, style));
                buf.set_string(begin + low, y, from, Style::new().fg(theme.text));
                buf.set_string(begin + high, y, to, Style::new().fg(theme.text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_where_they_tell_something() {
        assert_eq!(origin(&[0.2, 0.9]), 0.0);
        assert_eq!(origin(&[5.0, 5.2]), 5.0);
        assert_eq!(origin(&[-0.1, 0.4]), -0.1);
    }
}
