//! The full model's loss over steps, as evaluated: its own chart, since training losses are those of subnetworks.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Look, Panel};
use crate::app::App;
use crate::event::EVALUATING;
use crate::view::canvas::{Canvas, Layer};
use crate::view::plain;

pub(super) struct FullLoss;

/// Up to so many evaluations all determine the scale; of more, a tenth of them, the first, don't.
const FEW: usize = 9;
/// Columns for the values at the left.
const LABELS: u16 = 8;

impl Panel for FullLoss {
    fn title(&self, app: &App, width: u16) -> String {
        if let Some((what, done, total)) = app.run.progress.as_ref().filter(|(what, ..)| what == EVALUATING) {
            let esc = if app.can_cancel() { ", Esc gives up" } else { "" };
            let text = format!("{what} batch {done} of {total}{esc}");
            return text.chars().take(usize::from(width)).collect();
        }
        let Some(last) = app.run.full.last() else {
            return "Full model's loss".to_owned();
        };
        let unit = app.run.started.as_ref().map_or("", |s| s.loss_unit.as_str());
        let best = app.run.full.iter().map(|m| m.loss).fold(f32::INFINITY, f32::min);
        let titles = [
            format!("Full model's loss: {:.4}, best {best:.4} ({unit})", last.loss),
            format!("Full model's loss: {:.4}", last.loss),
        ];
        let fits = |title: &String| title.chars().count() <= usize::from(width);
        titles.into_iter().find(fits).unwrap_or_else(|| "Full loss".to_owned())
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let (run, theme) = (&app.run, &look.theme);
        if area.width < LABELS + 4 || area.height < 3 {
            return;
        }
        if let Some((_, done, total)) = run.progress.as_ref().filter(|(what, ..)| what == EVALUATING) {
            let filled = (f64::from(area.width) * *done as f64 / (*total).max(1) as f64) as usize;
            let symbol = if look.is_ascii() { "=" } else { "━" };
            buf.set_stringn(
                area.x,
                area.bottom() - 1,
                symbol.repeat(filled),
                usize::from(area.width),
                Style::new().fg(theme.accent),
            );
        }
        if run.full.is_empty() {
            let text = if run.is_whole() { "not evaluated yet" } else { "there is no full model yet" };
            buf.set_stringn(area.x, area.y, text, usize::from(area.width), Style::new().fg(theme.dim));
            return;
        }
        let floor = run.started.as_ref().and_then(|s| s.floor);
        let losses = || run.full.iter().map(|m| m.loss).chain(floor);
        let low = losses().fold(f32::INFINITY, f32::min);
        // The untrained model's loss would press all others flat: what lies above the scale stands at its top edge.
        let first = if run.full.len() > FEW { run.full.len() / 10 } else { 0 };
        let high = run.full[first..].iter().map(|m| m.loss).chain(floor).fold(f32::NEG_INFINITY, f32::max);
        // A flat line stands in the middle.
        let margin = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-6);
        let (low, high) = (low - margin, high + margin);
        let plot = Rect { x: area.x + LABELS, width: area.width - LABELS, height: area.height - 1, ..area };
        let mut canvas = Canvas::new(plot, look.glyphs);
        let (width, height) = canvas.size();
        let total = run.total_steps().max(1) as f64;
        let x = |step: u64| (step as f64 / total * f64::from(width - 1)).round() as i32;
        let y = |loss: f32| (f64::from((high - loss) / (high - low)) * f64::from(height - 1)).round().max(0.0) as i32;
        if let Some(floor) = floor {
            (0..width).step_by(4).for_each(|x| canvas.dot(x, y(floor), Layer::Raw, theme.floor));
        }
        for step in run.changes.iter().filter(|c| c.step > 0 && c.from != c.to).map(|c| c.step) {
            (0..height).step_by(3).for_each(|y| canvas.dot(x(step), y, Layer::Raw, theme.border));
        }
        for pair in run.full.windows(2) {
            canvas.line(
                (x(pair[0].step), y(pair[0].loss)),
                (x(pair[1].step), y(pair[1].loss)),
                Layer::Line,
                theme.full,
                |_| true,
            );
        }
        canvas.render(buf);
        for m in &run.full {
            let mark = if m.loss > high { "▲" } else { "◆" };
            let (column, row) = ((x(m.step) / 2) as u16, (y(m.loss) / 4) as u16);
            if column < plot.width && row < plot.height {
                buf.set_string(plot.x + column, plot.y + row, plain(look, mark), Style::new().fg(theme.full));
            }
        }
        let dim = Style::new().fg(theme.dim);
        let value = |share: f32| high - (high - low) * share;
        let rows = plot.height - 1;
        for row in [0, rows / 2, rows] {
            let share = if rows == 0 { 0.5 } else { f32::from(row) / f32::from(rows) };
            buf.set_string(area.x, plot.y + row, format!("{:>7.3}", value(share)), dim);
        }
        buf.set_string(plot.x, plot.bottom(), "0", dim);
        let end = format!("step {}", run.total_steps());
        if usize::from(plot.width) > end.len() + 2 {
            buf.set_string(plot.right() - end.len() as u16, plot.bottom(), end, dim);
        }
    }
}
