//! The help: every key of the table with its sentence.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Look;
use crate::app::App;
use crate::app::keys::{Binding, bindings};
use crate::view::plain;

pub(in crate::view) fn draw(app: &App, look: &Look, line: u16, area: Rect, buf: &mut Buffer) {
    let rows: Vec<_> = bindings(app.options.is_replay).collect();
    draw_rows(&rows, look, line, area, buf);
}

/// Draws a table of keys, scrolled down by lines.
pub(in crate::view) fn draw_rows(rows: &[&Binding], look: &Look, line: u16, area: Rect, buf: &mut Buffer) {
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inner = super::super::overlay(look, "Keys   ↑ ↓ scroll, any other key closes", 84, height, area, buf);
    let shown = usize::from(inner.height);
    let first = usize::from(line).min(rows.len().saturating_sub(shown));
    for (row, b) in rows[first..].iter().take(shown).enumerate() {
        let names: Vec<String> = b.keys.iter().map(|key| plain(look, &key.name())).collect();
        let y = inner.y + row as u16;
        let style = Style::new().fg(look.theme.accent).add_modifier(Modifier::BOLD);
        buf.set_stringn(inner.x + 1, y, names.join(" "), 11.min(usize::from(inner.width.saturating_sub(1))), style);
        if inner.width > 13 {
            buf.set_stringn(inner.x + 13, y, b.help, usize::from(inner.width - 13), Style::new().fg(look.theme.text));
        }
    }
}
