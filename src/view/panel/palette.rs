//! The command palette: the line in the footer's place, and above it what it could mean.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;
use ratatui::widgets::{Clear, Widget};

use super::Look;
use crate::app::App;
use crate::app::mouse::Target;
use crate::app::palette::{Palette, Suggestion};
use crate::view::{frame_of, plain, typing};

/// The most suggestions that are shown at once.
const SHOWN: u16 = 10;
/// The widest box.
const WIDEST: u16 = 110;

/// Where the box stands, and which suggestions are in it.
struct Shown {
    place: Rect,
    /// Suggestions that are shown.
    rows: u16,
    first: usize,
    all: usize,
    chosen: usize,
}

impl Shown {
    /// None: nothing to show, or no room.
    fn of(suggestions: usize, palette: &Palette, area: Rect) -> Option<Self> {
        let errors = u16::from(palette.error.is_some());
        let rows = (suggestions as u16).min(SHOWN).min(area.height.saturating_sub(3 + errors));
        let height = rows + errors + 2;
        if rows + errors == 0 || area.height < height + 1 {
            return None;
        }
        let place = Rect { y: area.bottom() - 1 - height, width: area.width.min(WIDEST), height, ..area };
        let chosen = palette.chosen.min(suggestions.saturating_sub(1));
        Some(Self { place, rows, first: (chosen + 1).saturating_sub(usize::from(rows)), all: suggestions, chosen })
    }
}

/// What a click does.
pub(in crate::view) fn at(app: &App, palette: &Palette, area: Rect, x: u16, y: u16) -> Target {
    match Shown::of(palette.suggestions(app).len(), palette, area) {
        Some(shown) if shown.place.contains((x, y).into()) => {
            let row = y.wrapping_sub(shown.place.y + 1);
            if row < shown.rows { Target::Suggestion(shown.first + usize::from(row)) } else { Target::Overlay }
        }
        _ if y + 1 >= area.bottom() => Target::Overlay,
        _ => Target::Nothing,
    }
}

pub(in crate::view) fn draw(app: &App, palette: &Palette, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let line = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
    Clear.render(line, buf);
    buf.set_style(line, theme.base());
    let (x, _) = buf.set_stringn(line.x, line.y, " :", usize::from(line.width), Style::new().fg(theme.accent));
    let field = Rect { x, width: line.right().saturating_sub(x + 1), ..line };
    let end = typing(&palette.line, Style::new().fg(theme.text).add_modifier(Modifier::BOLD), field, buf);
    if end < line.right() {
        buf.set_stringn(end, line.y, palette.hint(app), usize::from(line.right() - end), Style::new().fg(theme.dim));
    }
    let suggestions = palette.suggestions(app);
    let Some(Shown { place, rows, first, all, chosen }) = Shown::of(suggestions.len(), palette, area) else {
        return;
    };
    Clear.render(place, buf);
    buf.set_style(place, theme.base());
    // Nothing is chosen by an empty line.
    let is_chosen = !palette.line.text().trim().is_empty() || palette.chosen > 0;
    let keys = "Enter does it, Tab completes, Esc leaves";
    let title = if all > usize::from(rows) { format!("{}/{all}   {keys}", chosen + 1) } else { keys.to_owned() };
    let block = frame_of(look, title, true);
    let inner = block.inner(place);
    block.render(place, buf);
    // Columns by the longest of all, so that nothing moves as one scrolls.
    let named = suggestions.iter().map(|s| Span::raw(&s.text).width() + s.hint.len() + 1).max().unwrap_or(0);
    let keyed = suggestions.iter().map(|s| Span::raw(plain(look, &s.key)).width()).max().unwrap_or(0);
    let columns = [named.min(34) as u16 + 2, if keyed > 0 { keyed as u16 + 2 } else { 0 }];
    for (at, suggestion) in suggestions.iter().enumerate().skip(first).take(usize::from(rows)) {
        let row = Rect { y: inner.y + (at - first) as u16, height: 1, ..inner };
        draw_one(suggestion, is_chosen && at == chosen, columns, look, row, buf);
    }
    if let Some(error) = &palette.error {
        let style = Style::new().fg(theme.bad).add_modifier(Modifier::BOLD);
        let room = usize::from(inner.width.saturating_sub(1));
        buf.set_stringn(inner.x + 1, inner.bottom() - 1, plain(look, error), room, style);
    }
}

fn draw_one(s: &Suggestion, is_chosen: bool, columns: [u16; 2], look: &Look, row: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let mark = if look.is_ascii() { ">" } else { "▸" };
    let strong = if is_chosen { Modifier::BOLD | Modifier::REVERSED } else { Modifier::empty() };
    let mut put = |x: u16, text: &str, style: Style| -> u16 {
        if x >= row.right() {
            return x;
        }
        buf.set_stringn(x, row.y, text, usize::from(row.right() - x), style).0
    };
    put(row.x, if is_chosen { mark } else { " " }, Style::new().fg(theme.focus));
    let mut x = row.x + 1;
    for (at, c) in (0u32..).zip(s.text.chars()) {
        let fits = s.marks.contains(&at);
        let style = Style::new().fg(if fits { theme.accent } else { theme.text }).add_modifier(strong);
        let style = if fits { style.add_modifier(Modifier::UNDERLINED | Modifier::BOLD) } else { style };
        x = put(x, c.encode_utf8(&mut [0; 4]), style);
    }
    put(x + 1, s.hint, Style::new().fg(theme.dim));
    let key_at = row.x + 1 + columns[0];
    put(key_at, &plain(look, &s.key), Style::new().fg(theme.accent).add_modifier(Modifier::BOLD));
    put(key_at + columns[1], &s.about, Style::new().fg(theme.text));
}
