//! The command palette: the line in the footer's place, and above it what it could mean.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;
use ratatui::widgets::{Clear, Widget};

use super::Look;
use crate::app::App;
use crate::app::palette::{Palette, Suggestion};
use crate::view::{frame_of, plain, typing};

/// The most suggestions that are shown at once.
const SHOWN: u16 = 10;
/// The widest box.
const WIDEST: u16 = 110;

pub(in crate::view) fn draw(app: &App, palette: &Palette, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let line = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
    Clear.render(line, buf);
    buf.set_style(line, theme.base());
    let (x, _) = buf.set_stringn(line.x, line.y, " :", usize::from(line.width), Style::new().fg(theme.accent));
    let field = Rect { x, width: line.right().saturating_sub(x + 1), ..line };
    let end = typing(&palette.line, Style::new().fg(theme.text).add_modifier(Modifier::BOLD), field, buf);
    let hint = palette.hint(app);
    if end < line.right() {
        buf.set_stringn(end, line.y, hint, usize::from(line.right() - end), Style::new().fg(theme.dim));
    }
    let suggestions = palette.suggestions(app);
    let errors = u16::from(palette.error.is_some());
    let rows = (suggestions.len() as u16).min(SHOWN).min(area.height.saturating_sub(3 + errors));
    let height = rows + errors + 2;
    if rows + errors == 0 || area.height < height + 1 {
        return;
    }
    let place = Rect { y: line.y - height, width: area.width.min(WIDEST), height, ..area };
    Clear.render(place, buf);
    buf.set_style(place, theme.base());
    // Nothing is chosen by an empty line.
    let is_chosen = !palette.line.text().trim().is_empty() || palette.chosen > 0;
    let chosen = palette.chosen.min(suggestions.len().saturating_sub(1));
    let title = match suggestions.len() {
        n if n > usize::from(rows) && rows > 0 => {
            format!("{}/{n}   Enter does it, Tab completes, Esc leaves", chosen + 1)
        }
        _ => "Enter does it, Tab completes, Esc leaves".to_owned(),
    };
    let block = frame_of(look, title, true);
    let inner = block.inner(place);
    block.render(place, buf);
    let first = (chosen + 1).saturating_sub(usize::from(rows));
    let shown = suggestions.iter().enumerate().skip(first).take(usize::from(rows));
    // Columns by the longest of all, so that nothing moves as one scrolls.
    let named = suggestions.iter().map(|s| Span::raw(&s.text).width() + s.hint.len() + 1).max().unwrap_or(0) as u16;
    for (at, suggestion) in shown {
        let row = Rect { y: inner.y + (at - first) as u16, height: 1, ..inner };
        draw_one(suggestion, is_chosen && at == chosen, named.min(34), look, row, buf);
    }
    if let Some(error) = &palette.error {
        let style = Style::new().fg(theme.bad).add_modifier(Modifier::BOLD);
        buf.set_stringn(
            inner.x + 1,
            inner.bottom() - 1,
            plain(look, error),
            usize::from(inner.width.saturating_sub(1)),
            style,
        );
    }
}

fn draw_one(suggestion: &Suggestion, is_chosen: bool, named: u16, look: &Look, row: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let mark = if look.is_ascii() { ">" } else { "▸" };
    let strong = if is_chosen { Modifier::BOLD | Modifier::REVERSED } else { Modifier::empty() };
    let mut put = |x: u16, columns: u16, text: &str, style: Style| -> u16 {
        if x >= row.right() {
            return x;
        }
        buf.set_stringn(x, row.y, text, usize::from(columns.min(row.right() - x)), style).0
    };
    put(row.x, 1, if is_chosen { mark } else { " " }, Style::new().fg(theme.focus));
    let mut x = row.x + 1;
    for (at, c) in (0u32..).zip(suggestion.text.chars()) {
        let fits = suggestion.marks.contains(&at);
        let style = Style::new().fg(if fits { theme.accent } else { theme.text }).add_modifier(strong);
        let style = if fits { style.add_modifier(Modifier::UNDERLINED | Modifier::BOLD) } else { style };
        x = put(x, 2, c.encode_utf8(&mut [0; 4]), style);
    }
    put(x + 1, row.width, suggestion.hint, Style::new().fg(theme.dim));
    let key = plain(look, &suggestion.key);
    let key_at = row.x + 2 + named;
    put(key_at, 9, &key, Style::new().fg(theme.accent).add_modifier(Modifier::BOLD));
    put(
        key_at + if suggestion.key.is_empty() && suggestion.hint.is_empty() && named < 16 { 2 } else { 10 },
        row.width,
        &suggestion.about,
        Style::new().fg(theme.text),
    );
}
