//! One transition from near by: the loss of the steps around it, and on fixed batches the new path length's loss as it was
//! measured, against what the old length's was.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::{at_once, loss};
use crate::app::App;
use crate::app::chart::axis::XAxis;
use crate::app::chart::columns::{Choice, Column, columns};
use crate::app::chart::range::Range;
use crate::app::run::Probe;
use crate::event::Transition;
use crate::view::canvas::{Canvas, Layer};
use crate::view::{Look, plain};

/// Steps before the transition, and at least so many after it.
const AROUND: u64 = 50;
/// Columns for the figures of the y axis.
const LABELS: u16 = 7;

pub(super) fn draw(app: &App, look: &Look, t: &Transition, area: Rect, buf: &mut Buffer) {
    let lines = wrapped(figures(app, look, t), usize::from(area.width));
    let head = (lines.len() as u16).min(area.height);
    for (y, line) in lines.into_iter().take(usize::from(head)).enumerate() {
        line.render(Rect { y: area.y + y as u16, height: 1, ..area }, buf);
    }
    let chart = Rect { y: area.y + head, height: area.height - head, ..area };
    if chart.height >= 4 && chart.width >= LABELS + 12 {
        draw_chart(app, look, t, chart, buf);
    }
}

/// What happened: each a few words that stay together.
fn figures(app: &App, look: &Look, t: &Transition) -> Vec<Vec<Span<'static>>> {
    let theme = &look.theme;
    let named = |name: &str, text: String, color: Color| {
        let name = Span::styled(format!(" {name} "), Style::new().fg(theme.dim));
        vec![name, Span::styled(text, Style::new().fg(color))]
    };
    let signed =
        |name: &str, of: f32| named(name, format!("{of:+.4}"), if of > 0.01 { theme.warn } else { theme.good });
    let what = plain(look, &format!(" {}→{} at step {}", t.from, t.to, t.at));
    let mut all = vec![vec![Span::styled(what, Style::new().fg(theme.stage(t.stage)).add_modifier(Modifier::BOLD))]];
    if app.run.changes.iter().any(|c| c.step == t.at && c.by_hand) {
        all.push(vec![Span::styled(" by hand", Style::new().fg(theme.focus))]);
    }
    all.push(named("before", loss(t.before), theme.text));
    all.push(signed("jump", t.entered - t.before));
    all.push(signed("peak", t.peak - t.before));
    all.push(signed("after", t.after - t.before));
    all.push(named("recovered", at_once(t), theme.text));
    if let Some([before, after]) = t.full {
        all.push(signed("full", after - before));
    }
    // The theorem's L1 is the loss with one layer left out, its L2 that of all.
    if t.to == app.run.layers() && t.from + 1 == t.to {
        all.push(named("L2 - L1", format!("{:+.4}", t.entered - t.before), theme.full));
    }
    all
}

/// As many to a line as fit.
fn wrapped(figures: Vec<Vec<Span<'static>>>, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for figure in figures {
        let needed: usize = figure.iter().map(Span::width).sum();
        match lines.last_mut() {
            Some(line) if line.width() + needed <= width => line.spans.extend(figure),
            _ => lines.push(Line::from(figure)),
        }
    }
    lines
}

fn draw_chart(app: &App, look: &Look, t: &Transition, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let run = &app.run;
    let (from, to) = window(app, t);
    let plot = Rect { x: area.x + LABELS, y: area.y, width: area.width - LABELS, height: area.height - 1 };
    let choice = Choice { axis: XAxis::Steps, smoothing: app.ui.chart.smoothing, restarts: true };
    let columns = columns(run, choice, (from as f64, to as f64), usize::from(plot.width) * 2);
    let probes: Vec<&Probe> =
        run.probes.iter().filter(|p| p.path_length == t.to && p.step >= t.at && p.step <= t.step).collect();
    let measured = [t.before, t.entered, t.peak, t.after].into_iter().chain(probes.iter().map(|p| p.loss));
    let smooth = columns.iter().filter_map(|c| c.smooth);
    let Some(range) = Range::of(measured.chain(smooth).map(f64::from), app.ui.chart.is_log) else { return };
    let mut canvas = Canvas::new(plot, look.glyphs);
    let (width, height) = canvas.size();
    let x = |step: u64| {
        let share = step.saturating_sub(from) as f64 / (to - from) as f64;
        (share * f64::from(width - 1)).round() as i32
    };
    let y = |loss: f32| (range.share(f64::from(loss)) * f64::from(height - 1)).round().clamp(-1e6, 1e6) as i32;
    let row = |loss: f32| plot.y + (y(loss) / 4).clamp(0, i32::from(plot.height) - 1) as u16;
    let column = |step: u64| plot.x + (x(step) / 2).clamp(0, i32::from(plot.width) - 1) as u16;
    let [upright, level] = if look.is_ascii() { [":", "-"] } else { ["┊", "┄"] };
    for x in plot.left()..plot.right() {
        buf.set_string(x, row(t.before), level, Style::new().fg(theme.dim));
    }
    for y in plot.top()..plot.bottom() {
        buf.set_string(column(t.at), y, upright, Style::new().fg(theme.stage(t.stage)));
    }
    for (x, column) in columns.iter().enumerate().filter(|(_, c)| c.has_loss()) {
        let ends = [column.low, column.high].map(y);
        canvas.column(x as i32, ends[0], ends[1], Layer::Raw, theme.raw);
    }
    draw_smooth(&columns, &mut canvas, y, theme.smooth);
    for pair in probes.windows(2) {
        let [from, to] = [pair[0], pair[1]].map(|p| (x(p.step), y(p.loss)));
        canvas.line(from, to, Layer::Join, theme.full, |x| x % 3 == 0);
    }
    canvas.render(buf);
    let mark = if look.is_ascii() { "o" } else { "◇" };
    for probe in &probes {
        buf.set_string(column(probe.step), row(probe.loss), mark, Style::new().fg(theme.full));
    }
    let dim = Style::new().fg(theme.dim);
    for (name, value) in [("before", t.before), ("peak", t.peak)] {
        buf.set_stringn(area.x, row(value), format!("{name:>6}"), usize::from(LABELS), dim);
    }
    labels(t, (from, to), plot, column, look, buf);
}

/// From before the transition to its recovery, or as far as it was followed; no further than the next one.
fn window(app: &App, t: &Transition) -> (u64, u64) {
    let followed = t.step.saturating_sub(t.at);
    let recovered = t.recovered_after.map_or(followed, |n| n.saturating_mul(2).min(followed));
    let next = app.run.transitions.iter().map(|other| other.at).find(|at| *at > t.at);
    let end =
        t.at.saturating_add(recovered.max(AROUND))
            .min(next.unwrap_or(u64::MAX))
            .min(app.run.step.max(t.at.saturating_add(2)));
    (t.at.saturating_sub(AROUND), end)
}

fn draw_smooth(columns: &[Column], canvas: &mut Canvas, y: impl Fn(f32) -> i32, color: Color) {
    let mut before = None;
    for (x, smooth) in columns.iter().enumerate().filter_map(|(x, c)| Some((x as i32, c.smooth?))) {
        let now = (x, y(smooth));
        canvas.line(before.unwrap_or(now), now, Layer::Line, color, |_| true);
        before = Some(now);
    }
}

/// Steps before and after the transition.
fn labels(
    t: &Transition,
    (from, to): (u64, u64),
    plot: Rect,
    column: impl Fn(u64) -> u16,
    look: &Look,
    buf: &mut Buffer,
) {
    let dim = Style::new().fg(look.theme.dim);
    let (left, right) = (format!("-{}", t.at - from), format!("+{} steps", to - t.at));
    let y = plot.bottom();
    let x_right = plot.right().saturating_sub(right.len() as u16);
    buf.set_stringn(plot.x, y, &left, usize::from(plot.width), dim);
    buf.set_stringn(x_right, y, &right, usize::from(plot.right() - x_right), dim);
    let zero = column(t.at);
    if zero > plot.x + left.len() as u16 && zero + 1 < x_right {
        buf.set_string(zero, y, "0", dim);
    }
}
