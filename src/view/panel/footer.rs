//! The footer: what was just said, or the keys that matter now, from the table of actions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::Look;
use crate::app::App;
use crate::app::actions::{Action, On, Scope};
use crate::app::keymap::Row;
use crate::view::plain;

pub(in crate::view) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    if let Some(notice) = &app.ui.notice {
        let style = Style::new().fg(look.theme.focus).add_modifier(Modifier::BOLD);
        buf.set_stringn(area.x + 1, area.y, plain(look, notice), usize::from(area.width.saturating_sub(1)), style);
        return;
    }
    let (is_over, is_paused) = (app.is_over(), app.run.is_paused);
    let rows = app.keymap.here(app.place()).filter(|row| {
        let is_off = row.binding.scope == Scope::Run && (app.options.read_only || is_over);
        !is_off && (row.binding.action != Action::Step || is_paused)
    });
    keys(rows, is_paused && !app.options.is_replay, look, area, buf);
}

/// A key and its word.
struct Item {
    key: String,
    label: &'static str,
}

impl Item {
    fn width(&self) -> usize {
        Span::raw(&self.key).width() + self.label.len() + 3
    }
}

/// Draws the keys that have a label: what is meant just here first, the ways to more and out last; those always fit.
pub(in crate::view) fn keys(
    rows: impl Iterator<Item = Row>,
    is_paused: bool,
    look: &Look,
    area: Rect,
    buf: &mut Buffer,
) {
    let (mut here, mut others, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows.filter(|row| !row.binding.label.is_empty()) {
        let Some(key) = row.keys.first() else { continue };
        let label = if is_paused && row.binding.action == Action::Toggle { "resume" } else { row.binding.label };
        let group = match row.binding.action {
            Action::Help | Action::Palette | Action::Quit => &mut last,
            _ if row.binding.on != On::Everywhere => &mut here,
            _ => &mut others,
        };
        group.push(Item { key: plain(look, &key.name()), label });
    }
    let reserved: usize = last.iter().map(Item::width).sum();
    let (mut x, mut free) = (area.x + 1, usize::from(area.width.saturating_sub(1)).saturating_sub(reserved));
    let mut is_cut = false;
    let mut shown = Vec::new();
    for item in here.into_iter().chain(others) {
        // No later, shorter one steps into its place: what matters less never stands where what matters more does not.
        is_cut |= item.width() > free;
        if !is_cut {
            free -= item.width();
            shown.push(item);
        }
    }
    let theme = &look.theme;
    let mut put = |x: u16, text: &str, style: Style| -> u16 {
        if x >= area.right() {
            return x;
        }
        buf.set_stringn(x, area.y, text, usize::from(area.right() - x), style).0
    };
    let key_style = Style::new().fg(theme.accent).add_modifier(Modifier::BOLD);
    for item in &shown {
        x = put(x, &item.key, key_style);
        x = put(x + 1, item.label, Style::new().fg(theme.dim)) + 2;
    }
    if is_cut && free >= 3 {
        x = put(x, &plain(look, "…"), Style::new().fg(theme.dim)) + 2;
    }
    for item in &last {
        x = put(x, &item.key, key_style);
        x = put(x + 1, item.label, Style::new().fg(theme.dim)) + 2;
    }
}
