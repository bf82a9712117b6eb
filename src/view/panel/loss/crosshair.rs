//! The crosshair: an upright line at a step, and its exact figures in the corner that is further away.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::lines::swatch;
use super::plot::Plot;
use crate::app::App;
use crate::app::chart::axis::XAxis;
use crate::app::chart::readout::{Readout, readout};
use crate::view::{Look, duration, short};

pub(super) fn draw(app: &App, look: &Look, plot: &Plot, buf: &mut Buffer) {
    let Some(readout) = readout(app) else { return };
    let theme = &look.theme;
    let area = plot.area;
    let column = plot.column(readout.x);
    if let Some(x) = column {
        for y in area.top()..area.bottom() {
            if let Some(cell) = buf.cell_mut((x, y)) {
                if cell.symbol() == " " {
                    cell.set_symbol(if look.is_ascii() { "|" } else { "│" });
                }
                cell.set_fg(theme.focus);
            }
        }
        // Its place on the axis, in the axis's unit and in the place of what stood there.
        let text = match app.ui.chart.axis {
            XAxis::Steps => format!(" {} ", readout.steps.0),
            XAxis::Time => format!(" {} ", duration(readout.x)),
            _ => format!(" {} ", short(readout.x)),
        };
        let width = text.len() as u16;
        let from = x.saturating_sub(width / 2).max(area.x).min(area.right().saturating_sub(width).max(area.x));
        let style = Style::new().fg(theme.focus).add_modifier(Modifier::BOLD | Modifier::REVERSED);
        buf.set_stringn(from, area.bottom(), text, usize::from(area.right() - from), style);
    }
    let lines = lines(app, look, &readout);
    let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16;
    let height = lines.len() as u16;
    // A line of figures at least; the chart itself is worth more than a box that hides it.
    if width + 2 > area.width {
        return;
    }
    let height = height.min(area.height.div_ceil(2).max(4)).min(area.height);
    let is_left = column.is_some_and(|x| x >= area.x + area.width / 2);
    let x = if is_left { area.x } else { area.right() - width };
    let place = Rect { x, y: area.y, width, height };
    Clear.render(place, buf);
    buf.set_style(place, theme.base());
    for (y, line) in lines.into_iter().take(usize::from(height)).enumerate() {
        line.render(Rect { y: area.y + y as u16, height: 1, ..place }, buf);
    }
}

/// The figures, the most important first.
fn lines(app: &App, look: &Look, r: &Readout) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let dim = |text: &str| Span::styled(format!(" {text:<6}"), Style::new().fg(theme.dim));
    let value = |text: String, color| Span::styled(format!("{text} "), Style::new().fg(color));
    let of_step = match r.steps {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    let mut first = vec![dim("step"), value(of_step, theme.focus)];
    match app.ui.chart.axis {
        XAxis::Steps => {}
        XAxis::Time => first.push(value(format!("at {}", duration(r.x)), theme.text)),
        axis => first.push(value(format!("{} {}", short(r.x), axis.name(&app.run)), theme.text)),
    }
    let mut lines = vec![Line::from(first)];
    let raw = match r.loss {
        None => value("not finite".to_owned(), theme.bad),
        Some((low, high)) if low == high => value(loss(low), theme.text),
        Some((low, high)) => value(format!("{} to {}", loss(low), loss(high)), theme.text),
    };
    lines.push(Line::from(vec![dim("loss"), raw]));
    if let Some(smooth) = r.smooth {
        lines.push(Line::from(vec![dim("ema"), value(loss(smooth), theme.smooth)]));
    }
    if let Some((step, full)) = r.full {
        lines.push(Line::from(vec![
            dim("full"),
            value(loss(full), theme.full),
            value(format!("after {step}"), theme.dim),
        ]));
    }
    if let Some((stage, length)) = r.stage {
        let color = theme.stage(stage);
        let at = format!("{}, path length {length} of {}", stage + 1, app.run.layers());
        lines.push(Line::from(vec![dim("stage"), value(at, color)]));
    }
    if let Some(path) = r.path.filter(|p| p.layers() <= 48) {
        lines.push(Line::from(vec![dim("path"), value(path.to_string(), theme.text)]));
    }
    for other in &r.references {
        let Some(reference) = app.references.get(other.index) else { continue };
        let (dashes, style) = swatch(look, other.index);
        let name: String = reference.name.chars().take(16).collect();
        let mut spans = vec![Span::styled(format!(" {dashes} {name} "), style)];
        match (other.smooth, other.full) {
            (None, None) => spans.push(value("not so far".to_owned(), theme.dim)),
            (smooth, full) => {
                spans.extend(smooth.map(|s| value(format!("ema {}", loss(s)), theme.text)));
                spans.extend(full.map(|f| value(format!("full {}", loss(f as f32)), theme.text)));
            }
        }
        lines.push(Line::from(spans));
    }
    lines
}

/// As many digits as a float has.
fn loss(value: f32) -> String {
    if value.abs() >= 1e5 || (value != 0.0 && value.abs() < 1e-4) {
        format!("{value:.4e}")
    } else {
        format!("{value:.5}")
    }
}
