//! The footer: what was just said, or the keys that matter now, from the table of actions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::Look;
use crate::app::actions::{Action, Binding, On, Scope};
use crate::app::keymap::Row;
use crate::app::{App, Pane, Screen, Tie};
use crate::view::plain;

pub(in crate::view) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    if let Some(notice) = &app.ui.notice {
        let style = Style::new().fg(look.theme.focus).add_modifier(Modifier::BOLD);
        buf.set_stringn(area.x + 1, area.y, plain(look, notice), usize::from(area.width.saturating_sub(1)), style);
        return;
    }
    put(&items(app, look, area), look, area, buf);
}

/// Draws the keys of an experiment's screen.
pub(in crate::view) fn keys(
    rows: impl Iterator<Item = Row>,
    is_paused: bool,
    look: &Look,
    area: Rect,
    buf: &mut Buffer,
) {
    put(&placed(rows, None, is_paused, false, look, area), look, area, buf);
}

/// What a click on a column does.
pub(in crate::view) fn at(app: &App, look: &Look, area: Rect, x: u16) -> Option<&'static Binding> {
    let items = if app.ui.notice.is_some() { Vec::new() } else { items(app, look, area) };
    items.into_iter().find(|item| (item.x..item.x + item.width() - 2).contains(&x)).and_then(|item| item.binding)
}

/// The run's keys that matter now.
fn items(app: &App, look: &Look, area: Rect) -> Vec<Item> {
    let (is_over, is_paused) = (app.is_over() || app.tie == Tie::Nothing, app.run.is_paused);
    let rows = app.keymap.here(app.place()).filter(|row| {
        let is_off = row.binding.scope == Scope::Run && (app.options.read_only || is_over);
        !is_off && (row.binding.action != Action::Step || is_paused)
    });
    let is_chart = app.pane() == Pane::Loss && (app.ui.screen == Screen::Loss || app.ui.expanded);
    // What Esc does while something is measured.
    let back = app.keymap.here(app.place()).find(|row| row.binding.action == Action::Back && app.can_cancel());
    placed(rows, back, is_paused && !app.options.is_replay, is_chart, look, area)
}

/// A key and its word, at its place.
struct Item {
    x: u16,
    key: String,
    label: &'static str,
    /// None: a mark that some are left out.
    binding: Option<&'static Binding>,
}

impl Item {
    /// Columns, with the two behind it.
    fn width(&self) -> u16 {
        (Span::raw(&self.key).width() + self.label.len()) as u16 + 3
    }
}

/// Those that have a label: what is meant just here first, the ways to more and out last; those always have a place.
fn placed(
    rows: impl Iterator<Item = Row>,
    back: Option<Row>,
    is_paused: bool,
    is_chart: bool,
    look: &Look,
    area: Rect,
) -> Vec<Item> {
    let item = |row: &Row, label| {
        let key = row.keys.first()?;
        Some(Item { x: 0, key: plain(look, &key.name()), label, binding: Some(row.binding) })
    };
    let (mut here, mut others, mut last) = (Vec::new(), Vec::new(), Vec::new());
    here.extend(back.and_then(|row| item(&row, "give up measuring")));
    for row in rows.filter(|row| !row.binding.label.is_empty()) {
        let label = if is_paused && row.binding.action == Action::Toggle { "resume" } else { row.binding.label };
        let group = match row.binding.action {
            Action::Help | Action::Palette | Action::Quit => &mut last,
            _ if row.binding.on != On::Everywhere => &mut here,
            // They work everywhere, and matter where the chart is large.
            Action::Chart(_) if is_chart => &mut here,
            _ => &mut others,
        };
        group.extend(item(&row, label));
    }
    let reserved: u16 = last.iter().map(Item::width).sum();
    let mut free = area.width.saturating_sub(1).saturating_sub(reserved);
    let all = here.len() + others.len();
    let mut shown = Vec::new();
    for item in here.into_iter().chain(others) {
        if item.width() > free {
            // No later, shorter one steps into its place: what matters less never stands where what matters more does not.
            break;
        }
        free -= item.width();
        shown.push(item);
    }
    if shown.len() < all && free >= 5 {
        shown.push(Item { x: 0, key: plain(look, "…"), label: "", binding: None });
    }
    shown.extend(last);
    let mut x = area.x + 1;
    for item in &mut shown {
        item.x = x;
        x += item.width();
    }
    shown
}

fn put(items: &[Item], look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    for item in items {
        let mut x = item.x;
        let key = Style::new().fg(theme.accent).add_modifier(Modifier::BOLD);
        for (text, style) in [(item.key.as_str(), key), (item.label, Style::new().fg(theme.dim))] {
            if x < area.right() {
                x = buf.set_stringn(x, area.y, text, usize::from(area.right() - x), style).0 + 1;
            }
        }
    }
}
