//! The help: what can be done, with its keys, narrowed down by what is typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Look;
use crate::app::help::{Entry, Help};
use crate::app::mouse::Target;
use crate::view::{overlay, overlay_place, plain, typing};

/// Columns of the keys, and of the name behind the sentence.
const KEYS: u16 = 13;
const NAME: u16 = 17;

/// Its columns: the names stand there where there is room.
fn width(area: Rect) -> u16 {
    if area.width >= 104 { 102 } else { 84 }
}

fn height(entries: &[Entry]) -> u16 {
    u16::try_from(entries.len()).unwrap_or(u16::MAX).saturating_add(4)
}

/// Whether the mouse is in it.
pub(in crate::view) fn at(entries: &[Entry], area: Rect, x: u16, y: u16) -> Target {
    let is_in = overlay_place(width(area), height(entries), area).contains((x, y).into());
    if is_in { Target::Overlay } else { Target::Nothing }
}

pub(in crate::view) fn draw(help: &Help, entries: &[Entry], look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let title = "Keys   type to search, ↑ ↓ PgUp PgDn scroll, Esc closes";
    let inner = overlay(look, title, width(area), height(entries), area, buf);
    if inner.height < 3 {
        return;
    }
    let label = Style::new().fg(theme.dim);
    let (x, _) = buf.set_stringn(inner.x + 1, inner.y, "search: ", usize::from(inner.width.saturating_sub(1)), label);
    let field = Rect { x, width: inner.right().saturating_sub(x + 1), height: 1, ..inner };
    typing(&help.filter, Style::new().fg(theme.text), field, buf);
    let list = Rect { y: inner.y + 2, height: inner.height - 2, ..inner };
    if entries.is_empty() {
        buf.set_stringn(list.x + 1, list.y, "nothing has all these words", usize::from(list.width - 1), label);
    }
    let shown = usize::from(list.height);
    let first = usize::from(help.line).min(entries.len().saturating_sub(shown));
    for (row, entry) in entries[first..].iter().take(shown).enumerate() {
        let y = list.y + row as u16;
        let mut put = |x: u16, columns: u16, text: &str, style: Style| {
            if x < list.right() {
                buf.set_stringn(x, y, text, usize::from(columns.min(list.right() - x)), style);
            }
        };
        match entry {
            Entry::Title(title) => {
                put(list.x + 1, list.width, title, Style::new().fg(theme.focus).add_modifier(Modifier::BOLD));
            }
            Entry::Row(row) => {
                let names: Vec<String> = row.keys.iter().map(|key| plain(look, &key.name())).collect();
                let keys = if names.is_empty() { format!(":{}", row.binding.name) } else { names.join(" ") };
                let style = Style::new().fg(theme.accent).add_modifier(Modifier::BOLD);
                put(list.x + 1, KEYS - 1, &keys, style);
                put(list.x + 1 + KEYS, list.width, row.binding.help, Style::new().fg(theme.text));
                if inner.width > 84 {
                    // What `:` and the user's config call it.
                    put(list.right().saturating_sub(NAME), NAME, row.binding.name, Style::new().fg(theme.dim));
                }
            }
        }
    }
    // How much lies outside.
    let below = entries.len().saturating_sub(first + shown);
    if first + below > 0 {
        let text = plain(look, &format!(" ↑ {first}  ↓ {below} "));
        let x = inner.right().saturating_sub(text.chars().count() as u16 + 1).max(inner.x);
        buf.set_stringn(x, inner.bottom(), text, usize::from(inner.right() - x), label);
    }
}
