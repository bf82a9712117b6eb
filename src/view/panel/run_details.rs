//! What there is to say of the run, recording or config that is chosen, and the questions before it is opened.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::{Look, Panel};
use crate::app::App;
use crate::app::runs::{Checkpoint, Details, Question};
use crate::view::{overlay, plain};

pub(super) struct RunDetails;

/// Columns of the facts' names.
const NAMES: usize = 13;

impl Panel for RunDetails {
    fn title(&self, app: &App, _: u16) -> String {
        app.ui.runs.chosen.as_ref().map_or_else(String::new, |(_, name)| name.clone())
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let runs = &app.ui.runs;
        let Some(details) = runs.chosen_details() else {
            let text = if runs.chosen.is_some() { "reading…" } else { "" };
            let style = Style::new().fg(look.theme.dim);
            buf.set_stringn(area.x + 1, area.y, plain(look, text), usize::from(area.width.saturating_sub(1)), style);
            return;
        };
        let lines = facts(details, usize::from(area.width), look);
        let most = lines.len().saturating_sub(usize::from(area.height));
        let first = app.ui.runs.line.min(most);
        for (y, line) in (area.y..area.bottom()).zip(&lines[first..]) {
            buf.set_line(area.x, y, line, area.width);
        }
    }
}

/// Lines that an area has no room for.
pub(in crate::view) fn beyond(app: &App, look: &Look, area: Rect) -> usize {
    let lines = app.ui.runs.chosen_details().map_or(0, |d| facts(d, usize::from(area.width), look).len());
    lines.saturating_sub(usize::from(area.height))
}

/// The facts in lines of so many columns, wrapped between words.
fn facts(details: &Details, columns: usize, look: &Look) -> Vec<Line<'static>> {
    let (dim, text_style) = (Style::new().fg(look.theme.dim), Style::new().fg(look.theme.text));
    let mut lines = Vec::new();
    for (name, text) in &details.facts {
        let mut label = format!(" {name:<NAMES$}");
        for row in wrapped(&plain(look, text), columns.saturating_sub(NAMES + 2).max(8)) {
            let label = std::mem::replace(&mut label, " ".repeat(NAMES + 1));
            lines.push(Line::from(vec![Span::styled(label, dim), Span::styled(row, text_style)]));
        }
    }
    lines
}

/// A text in rows of at most so many columns; what is longer than a row is cut wherever the row ends.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let width = |text: &str| Span::raw(text.to_owned()).width();
    let mut rows = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let now = rows.last().map_or(0, |row| width(row));
        if now > 0 && now + width(word.trim_end()) > columns {
            rows.push(String::new());
        }
        for c in word.chars() {
            let full = rows.last().is_some_and(|row| width(row) + width(&c.to_string()) > columns);
            if full && c != ' ' {
                rows.push(String::new());
            }
            if let Some(row) = rows.last_mut().filter(|_| !(full && c == ' ')) {
                row.push(c);
            }
        }
    }
    rows
}

/// The question that is asked, over the screen.
pub(in crate::view) fn question(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let runs = &app.ui.runs;
    let details = runs.chosen_details();
    match &runs.question {
        None => {}
        Some(Question::Start(name)) => {
            let mut lines = details.map_or_else(Vec::new, |d| facts(d, 70, look));
            lines.push(Line::raw(""));
            lines.push(key("Enter", "starts it", look));
            lines.push(key("any other key", "doesn't", look));
            show(&format!("Start {name}?"), lines, look, area, buf);
        }
        Some(Question::Resume(name)) => {
            let steps = runs.chosen_row().map_or((0, 0), |row| row.steps);
            let newest = details.and_then(|d| d.checkpoints.last());
            let from = match newest {
                Some(c) => format!("Its newest checkpoint is of step {}; {} steps are left.", c.step, c.left),
                None => format!("It has come to step {} of {}, and has no checkpoint.", steps.0, steps.1),
            };
            let lines = vec![
                Line::raw(format!(" {from}")),
                Line::raw(""),
                key("Enter", "trains it on", look),
                key("v", "shows its recording", look),
                key("any other key", "neither", look),
            ];
            show(&format!("Go on with {name}?"), lines, look, area, buf);
        }
        Some(Question::Fork { run, at, changes }) => {
            let checkpoints = details.map_or(&[][..], |d| &d.checkpoints);
            let mut lines = Vec::new();
            // A window of seven around the chosen one.
            let first = at.saturating_sub(3).min(checkpoints.len().saturating_sub(7));
            for (index, c) in checkpoints.iter().enumerate().skip(first).take(7) {
                lines.push(checkpoint(c, index == *at, look));
            }
            lines.push(Line::raw(""));
            let (before, after) = changes.halves();
            let text = Style::new().fg(look.theme.text);
            let mut rest = after.chars();
            let under = rest.next().map_or(" ".to_owned(), String::from);
            lines.push(Line::from(vec![
                Span::styled(" changes ", Style::new().fg(look.theme.dim)),
                Span::styled(before.to_owned(), text),
                Span::styled(under, text.add_modifier(Modifier::REVERSED)),
                Span::styled(rest.as_str().to_owned(), text),
            ]));
            let hint = " path lengths from there on, as in 9-12, or KEY=VALUE; nothing: as it was";
            lines.push(Line::styled(hint, Style::new().fg(look.theme.dim)));
            lines.push(Line::raw(""));
            lines.push(key("↑ ↓", "another checkpoint", look));
            lines.push(key("Enter", "trains a new run from there", look));
            lines.push(key("Esc", "back", look));
            show(&format!("Fork {run} where?"), lines, look, area, buf);
        }
    }
}

fn checkpoint(c: &Checkpoint, is_chosen: bool, look: &Look) -> Line<'static> {
    let mark = match (is_chosen, look.is_ascii()) {
        (true, false) => "▸",
        (true, true) => ">",
        _ => " ",
    };
    let stage = c.stage.map_or_else(String::new, |stage| format!("stage {stage} begins"));
    let text = format!(" {mark} step {:>8}   {stage:<16} {:>8} steps left", c.step, c.left);
    let style = Style::new().fg(look.theme.text);
    Line::styled(text, if is_chosen { style.add_modifier(Modifier::BOLD | Modifier::REVERSED) } else { style })
}

fn key(name: &str, what: &str, look: &Look) -> Line<'static> {
    let bold = Style::new().fg(look.theme.accent).add_modifier(Modifier::BOLD);
    Line::from(vec![
        Span::styled(format!(" {:<14}", plain(look, name)), bold),
        Span::styled(what.to_owned(), Style::new().fg(look.theme.text)),
    ])
}

fn show(title: &str, lines: Vec<Line<'static>>, look: &Look, area: Rect, buf: &mut Buffer) {
    let inner = overlay(look, title, 78, lines.len() as u16 + 2, area, buf);
    // Where not all of it fits, the keys at its end are what must be seen.
    let first = (lines.len() as u16).saturating_sub(inner.height);
    Paragraph::new(lines).wrap(Wrap { trim: false }).scroll((first, 0)).render(inner, buf);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_wrapped_between_words_and_words_too_long_anywhere() {
        assert_eq!(wrapped("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("", 4), [""]);
        assert!(wrapped("深い層 の訓練は長い", 5).iter().all(|row| Span::raw(row.clone()).width() <= 5));
    }
}
