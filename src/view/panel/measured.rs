//! What was measured, a page for each series: labels, values, spreads, and bars that can be read without colour. The last
//! page is the time of a step.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Look;
use crate::app::App;
use crate::event::Measurement;
use crate::measurement::number;
use crate::view::{overlay, plain};

/// Columns of the box.
const WIDTH: u16 = 76;

pub(in crate::view) fn draw(app: &App, look: &Look, page: usize, line: u16, area: Rect, buf: &mut Buffer) {
    let pages = app.pages();
    let turn = format!("(page {}/{}, arrows turn)", page + 1, pages.max(1));
    match app.run.measured.get(page) {
        Some(m) => {
            let title = format!("{} after {} steps  {turn}", m.name, m.step);
            let height = u16::try_from(m.labels.len()).unwrap_or(u16::MAX).saturating_add(2);
            let inner = overlay(look, &title, WIDTH, height, area, buf);
            series(app, look, m, line, inner, buf);
        }
        None => step_time(app, look, &turn, area, buf),
    }
}

/// Where bars begin: at 0, or at the lowest value where that would leave nothing to tell them apart by.
fn origin(values: &[f32]) -> f32 {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if low > 0.5 * high || low < 0.0 { low } else { 0.0 }
}

fn series(app: &App, look: &Look, m: &Measurement, line: u16, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let rows = usize::from(area.height);
    let first = usize::from(line).min(m.labels.len().saturating_sub(rows));
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
    let high = m.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
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
            let share = if high > low { (m.values[i] - low) / (high - low) } else { 0.0 };
            let bar = (share * room).round().max(1.0) as usize;
            let symbol = if look.is_ascii() { "=" } else { "━" };
            buf.set_stringn(begin, y, symbol.repeat(bar), room as usize, Style::new().fg(color));
        }
    }
}

fn step_time(app: &App, look: &Look, turn: &str, area: Rect, buf: &mut Buffer) {
    let lines = match app.run.step_time() {
        Some(fit) => vec![
            format!("a step of n layers takes a + b n (least squares over {} recent steps)", fit.steps),
            format!("a   {:>8.3} ms   worth {:.1} layers", 1e3 * fit.fixed_seconds, fit.fixed_layers()),
            format!("b   {:>8.3} ms a layer", 1e3 * fit.layer_seconds),
            format!("r2  {:>8.3}", fit.r2),
            String::new(),
            "speed-up over training the full model for as many steps".to_owned(),
            format!(
                "{:>8.3}  by the schedule and layers alone",
                app.run.schedule.as_ref().map_or(1.0, |s| s.speed_up())
            ),
            format!("{:>8.3}  by the schedule and this model", fit.predicted_speed_up),
            format!("{:>8.3}  measured so far", fit.measured_speed_up),
        ],
        None => vec![
            "Nothing yet: M measures, and the time of a step is known".to_owned(),
            "once two path lengths were trained.".to_owned(),
        ],
    };
    let height = lines.len() as u16 + 2;
    let inner = overlay(look, &format!("time of a step  {turn}"), WIDTH, height, area, buf);
    for (row, text) in lines.iter().take(usize::from(inner.height)).enumerate() {
        let room = usize::from(inner.width.saturating_sub(1));
        buf.set_stringn(inner.x + 1, inner.y + row as u16, text, room, Style::new().fg(look.theme.text));
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
