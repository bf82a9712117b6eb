//! The footer: what was just said, or the keys that matter now, from the key table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Look;
use crate::app::App;
use crate::app::keys::{Action, Binding, Scope, bindings};

pub(in crate::view) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    if let Some(notice) = &app.ui.notice {
        let style = Style::new().fg(theme.focus).add_modifier(Modifier::BOLD);
        buf.set_stringn(area.x + 1, area.y, notice, usize::from(area.width - 1), style);
        return;
    }
    let is_over = app.is_over();
    let is_paused = app.run.is_paused;
    let shown = bindings(app.options.is_replay).filter(|b| {
        !b.label.is_empty()
            && !(b.scope == Scope::Run && (app.options.read_only || is_over))
            && (b.action != Action::Step || is_paused)
    });
    let is_resume = is_paused && !app.options.is_replay;
    put_keys(shown, is_resume, look, area, buf);
}

/// Draws the keys that have a label.
pub(in crate::view) fn keys<'a>(
    all: impl Iterator<Item = &'a Binding>,
    is_paused: bool,
    look: &Look,
    area: Rect,
    buf: &mut Buffer,
) {
    put_keys(all.filter(|b| !b.label.is_empty()), is_paused, look, area, buf);
}

fn put_keys<'a>(shown: impl Iterator<Item = &'a Binding>, is_paused: bool, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let right = area.right();
    let label = |b: &Binding| if is_paused && b.action == Action::Toggle { "resume" } else { b.label };
    // Help and quit always fit: they are drawn last, at the right.
    let (last, others): (Vec<_>, Vec<_>) = shown.partition(|b| matches!(b.action, Action::Help | Action::Quit));
    let width = |b: &&Binding| b.keys[0].name().chars().count() + label(b).chars().count() + 3;
    let reserved: usize = last.iter().map(width).sum();
    let mut x = area.x + 1;
    let mut put = |b: &Binding, x: u16| {
        let name = b.keys[0].name();
        buf.set_stringn(
            x,
            area.y,
            &name,
            usize::from(right.saturating_sub(x)),
            Style::new().fg(theme.accent).add_modifier(Modifier::BOLD),
        );
        let at = x + name.chars().count() as u16 + 1;
        if at < right {
            buf.set_stringn(at, area.y, label(b), usize::from(right - at), Style::new().fg(theme.dim));
        }
    };
    for b in others {
        if usize::from(x) + width(&b) + reserved > usize::from(right) {
            break;
        }
        put(b, x);
        x += width(&b) as u16;
    }
    for b in last {
        put(b, x);
        x += width(&b) as u16;
    }
}
