//! The menu of measurements: the table of their names, a key for each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Look;
use crate::measurement::WHATS;
use crate::view::overlay;

pub(in crate::view) fn draw(look: &Look, area: Rect, buf: &mut Buffer) {
    let longest = WHATS.iter().map(|(_, _, _, about)| about.len() as u16).max().unwrap_or(0);
    let inner = overlay(look, "Measure   any other key closes", longest + 22, WHATS.len() as u16 + 2, area, buf);
    for (row, (_, key, name, about)) in WHATS.iter().take(usize::from(inner.height)).enumerate() {
        let y = inner.y + row as u16;
        let room = |x: u16| usize::from(inner.right().saturating_sub(x));
        let key_style = Style::new().fg(look.theme.accent).add_modifier(Modifier::BOLD);
        buf.set_stringn(inner.x + 1, y, key.to_string(), room(inner.x + 1), key_style);
        for (x, text) in [(inner.x + 4, *name), (inner.x + 18, *about)] {
            if x < inner.right() {
                buf.set_stringn(x, y, text, room(x), Style::new().fg(look.theme.text));
            }
        }
    }
}
