//! The event log: time, step, who, what; the newest at the bottom. On its own screen long lines are wrapped.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::{Look, Panel};
use crate::app::run::{From, Line};
use crate::app::{App, Pane, Screen};
use crate::view::{duration, plain};

pub(super) struct Log;

/// Columns before a line's text: time, step and who; step and who; step and a mark for who.
const TIMED: u16 = 28;
const NAMED: u16 = 17;
const MARKED: u16 = 10;

/// In a word.
fn name(from: From) -> &'static str {
    match from {
        From::Schedule => "schedule",
        From::You => "you",
        From::Run => "run",
        From::Alarm => "ALARM",
    }
}

/// A text in rows of at most so many columns, broken between words where there are any.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut rows = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let width = Span::raw(word.trim_end()).width();
        if used > 0 && used + width > columns {
            rows.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let width = Span::raw(c.to_string()).width();
            if used + width > columns {
                if c == ' ' {
                    continue;
                }
                rows.push(String::new());
                used = 0;
            }
            rows.last_mut().into_iter().for_each(|row| row.push(c));
            used += width;
        }
    }
    rows
}

impl Panel for Log {
    fn title(&self, app: &App, width: u16) -> String {
        let view = &app.ui.log;
        let mut title = "Events".to_owned();
        if let Some(from) = view.from {
            title += &format!(" by {}", name(from).to_lowercase());
        }
        if view.is_typing || !view.text.is_empty() {
            title += &format!(" with \"{}{}\"", view.text.text(), if view.is_typing { "_" } else { "" });
        }
        if view.is_filtered() {
            title += &format!(" ({} of {})", view.lines(&app.run).len(), app.run.log.len());
        }
        if app.scroll(Pane::Log) > 0 {
            title += " (scrolled back)";
        }
        title.chars().take(usize::from(width)).collect()
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let theme = &look.theme;
        let has_screen = app.ui.screen == Screen::Log;
        let lines = app.ui.log.lines(&app.run);
        if lines.is_empty() {
            let text = if app.run.log.is_empty() { "nothing yet" } else { "no such line: Esc shows all" };
            buf.set_stringn(area.x, area.y, text, usize::from(area.width), Style::new().fg(theme.dim));
            return;
        }
        // Where there is room, when it happened, too.
        let left: u16 = match (has_screen, area.width) {
            (true, 60..) => TIMED,
            (_, 60..) | (true, _) => NAMED,
            _ => MARKED,
        };
        let columns = usize::from(area.width.saturating_sub(left)).max(1);
        let newest = lines.len() - app.scroll(Pane::Log).min(lines.len() - 1);
        // From the bottom up, as many as there is room for.
        let mut y = area.bottom();
        for line in lines[..newest].iter().rev() {
            let text = plain(look, &line.text);
            let rows = if has_screen { wrap(&text, columns) } else { vec![text] };
            for (index, row) in rows.iter().enumerate().rev() {
                if y == area.y {
                    return;
                }
                y -= 1;
                let style = Style::new().fg(if line.from == From::Alarm { theme.bad } else { theme.text });
                let style = if line.from == From::Alarm { style.add_modifier(Modifier::BOLD) } else { style };
                let x = area.x + left.min(area.width);
                buf.set_stringn(x, y, row, usize::from(area.right() - x), style);
                if index == 0 {
                    head(line, look, left, Rect { y, height: 1, ..area }, buf);
                }
            }
        }
        // A log that doesn't fill its place begins at the top.
        if y > area.y && newest == lines.len() {
            lift(area, y - area.y, buf);
        }
    }
}

/// Moves what stands in an area up by so many rows.
fn lift(area: Rect, by: u16, buf: &mut Buffer) {
    for y in area.y..area.bottom() {
        for x in area.x..area.right() {
            let below = buf.cell((x, y + by)).filter(|_| y + by < area.bottom()).cloned();
            if let Some(cell) = buf.cell_mut((x, y)) {
                match below {
                    Some(below) => *cell = below,
                    None => {
                        cell.set_symbol(" ");
                    }
                }
            }
        }
    }
}

/// When and who.
fn head(line: &Line, look: &Look, columns: u16, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let color = match line.from {
        From::Schedule | From::Run => theme.dim,
        From::You => theme.focus,
        From::Alarm => theme.bad,
    };
    let mark = match line.from {
        From::Schedule | From::Run => " ",
        From::You => "✎",
        From::Alarm => "⚠",
    };
    let text = match columns {
        TIMED => format!("{:>10} {:>7} {:<8} ", duration(line.us as f64 / 1e6), line.step, name(line.from)),
        NAMED => format!("{:>7} {:<8} ", line.step, name(line.from)),
        _ => format!("{:>7} {} ", line.step, plain(look, mark)),
    };
    buf.set_stringn(area.x, area.y, text, usize::from(area.width), Style::new().fg(color));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_lose_nothing() {
        assert_eq!(wrap("stage 2: path length 8", 10), ["stage 2: ", "path ", "length 8"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("训练 运行", 4), ["训练", "运行"]);
    }
}
