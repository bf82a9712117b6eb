//! Loss by path length, as bars: what the model would lose with fewer layers.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::Look;
use crate::app::App;
use crate::view::plain;

pub(in crate::view) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((step, scores)) = &app.run.curve else {
        return;
    };
    let theme = &look.theme;
    let height = u16::try_from(scores.len()).unwrap_or(u16::MAX).saturating_add(3);
    let title = format!("Loss by path length after {step} steps");
    let inner = super::super::overlay(look, &title, 72, height, area, buf);
    if inner.height == 0 || inner.width < 30 {
        return;
    }
    let head = plain(look, "length   loss  ±spread");
    buf.set_stringn(inner.x + 1, inner.y, head, usize::from(inner.width - 1), Style::new().fg(theme.dim));
    let low = scores.iter().map(|s| s.loss).fold(f32::INFINITY, f32::min);
    let high = scores.iter().map(|s| s.loss).fold(f32::NEG_INFINITY, f32::max);
    let room = f32::from(inner.width.saturating_sub(27));
    let rows = usize::from(inner.height - 1);
    // The longest paths are the most telling ones where not all fit.
    for (row, score) in scores[scores.len().saturating_sub(rows)..].iter().enumerate() {
        let y = inner.y + 1 + row as u16;
        let is_full = score.path_length == app.run.layers();
        let color = if is_full { theme.full } else { theme.text };
        let text = format!("{:>6} {:>7.4} ±{:.4}", score.path_length, score.loss, score.spread);
        let text = plain(look, &text);
        buf.set_stringn(inner.x + 1, y, text, usize::from(inner.width - 1), Style::new().fg(color));
        let share = if high > low { (score.loss - low) / (high - low) } else { 0.0 };
        let bar = (share * room).round() as usize;
        let symbol = if look.ascii { "=" } else { "━" };
        buf.set_stringn(inner.x + 26, y, symbol.repeat(bar.max(1)), room as usize, Style::new().fg(color));
    }
}
