//! The list of runs, recordings and configs; forks stand below the run they come from.

use std::path::Path;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::{Look, Panel};
use crate::app::App;
use crate::app::runs::Runs as State;
use crate::app::runs::list::{Kind, Place, Row, Standing};
use crate::event::Ending;
use crate::view::plain;

pub(super) struct Runs;

/// A line of the list.
enum Line {
    /// What the rows below are.
    Heading(Kind),
    Row(Place),
}

impl Panel for Runs {
    fn title(&self, app: &App, _: u16) -> String {
        let runs = &app.ui.runs;
        let count = runs.rows.iter().flatten().filter(|row| row.kind == Kind::Run).count();
        match count {
            0 => "Runs".to_owned(),
            1 => format!("1 run in {}", runs.place),
            _ => format!("{count} runs in {}", runs.place),
        }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let runs = &app.ui.runs;
        let dim = Style::new().fg(look.theme.dim);
        let mut area = area;
        if runs.is_typing || !runs.filter.is_empty() {
            filter(runs, look, area, buf);
            (area.y, area.height) = (area.y + 1, area.height - 1);
        }
        if runs.rows.is_none() {
            let text = if runs.is_on { "looking…" } else { "there is nobody here to open others" };
            if area.height > 0 {
                buf.set_stringn(area.x + 1, area.y, plain(look, text), usize::from(area.width.saturating_sub(1)), dim);
            }
            return;
        }
        let (lines, first) = window(runs, usize::from(area.height));
        if lines.is_empty() && area.height > 0 {
            buf.set_stringn(area.x + 1, area.y, "nothing of that", usize::from(area.width.saturating_sub(1)), dim);
        }
        let columns = Columns::of(area.width);
        for (y, line) in (area.y..area.bottom()).zip(&lines[first..]) {
            let place = Rect { y, height: 1, ..area };
            match line {
                Line::Heading(kind) => {
                    let text = match kind {
                        Kind::Run => columns.heading(),
                        Kind::Recording => "recordings".to_owned(),
                        Kind::Config => "configs".to_owned(),
                    };
                    buf.set_stringn(area.x, y, text, usize::from(area.width), dim.add_modifier(Modifier::ITALIC));
                }
                Line::Row(at) => {
                    if let Some(row) = runs.row(*at) {
                        draw_row(row, at.depth, chosen(runs, *at), &columns, look, place, buf);
                    }
                }
            }
        }
    }
}

/// Every line, and which of them is the first that is shown: the chosen row in the middle, as far as the ends allow.
fn window(runs: &State, rows: usize) -> (Vec<Line>, usize) {
    let lines = lines(runs);
    let is_chosen = |line: &Line| matches!(line, Line::Row(place) if chosen(runs, *place));
    let at = lines.iter().position(is_chosen).unwrap_or(0);
    let first = at.saturating_sub(rows / 2).min(lines.len().saturating_sub(rows));
    (lines, first)
}

/// The row under the mouse, as its place in the list.
pub(in crate::view) fn row_at(app: &App, area: Rect, y: u16) -> Option<usize> {
    let runs = &app.ui.runs;
    let filter = u16::from(runs.is_typing || !runs.filter.is_empty());
    let (top, height) = (area.y + filter, area.height.saturating_sub(filter));
    let (lines, first) = window(runs, usize::from(height));
    let row = y.checked_sub(top).filter(|row| *row < height)?;
    match lines.get(first + usize::from(row))? {
        Line::Row(place) => Some(place.row),
        Line::Heading(_) => None,
    }
}

fn chosen(runs: &State, place: Place) -> bool {
    runs.row(place)
        .is_some_and(|row| runs.chosen.as_ref().is_some_and(|(kind, name)| row.kind == *kind && row.name == *name))
}

/// The rows with a heading before each kind.
fn lines(runs: &State) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut last = None;
    for place in runs.shown() {
        let kind = runs.row(place).map(|row| row.kind);
        if let (Some(kind), true) = (kind, kind != last) {
            lines.push(Line::Heading(kind));
            last = Some(kind);
        }
        lines.push(Line::Row(place));
    }
    lines
}

fn filter(runs: &State, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let accent = Style::new().fg(theme.focus).add_modifier(Modifier::BOLD);
    let (before, after) = runs.filter.halves();
    let mut x = area.x;
    let mut put = |text: &str, style: Style| {
        (x, _) = buf.set_stringn(x, area.y, text, usize::from(area.right() - x), style);
    };
    put("/", accent);
    put(before, Style::new().fg(theme.text));
    if runs.is_typing {
        let mut rest = after.chars();
        let under = rest.next().map_or(" ".to_owned(), String::from);
        put(&under, Style::new().fg(theme.text).add_modifier(Modifier::REVERSED));
        put(rest.as_str(), Style::new().fg(theme.text));
    } else {
        put(after, Style::new().fg(theme.text));
    }
}

/// Which columns fit, and how wide the name is.
struct Columns {
    name: usize,
    has_method: bool,
    has_saves: bool,
    has_loss: bool,
    has_age: bool,
}

/// Of the columns beside the name, with the space before each.
const STATE: usize = 13;
const STEPS: usize = 16;
const LOSS: usize = 8;
const SAVES: usize = 7;
const AGE: usize = 8;
const METHOD: usize = 20;

impl Columns {
    fn of(width: u16) -> Self {
        let mut left = usize::from(width).saturating_sub(2 + STATE + STEPS);
        let mut fits = |columns: usize| {
            let does = left >= columns + 18;
            left -= if does { columns } else { 0 };
            does
        };
        let (has_loss, has_age, has_saves, has_method) = (fits(LOSS), fits(AGE), fits(SAVES), fits(METHOD));
        Self { name: left, has_method, has_saves, has_loss, has_age }
    }

    fn heading(&self) -> String {
        let texts = ["state", "steps", "full", "saves", "ago", "method"].map(str::to_owned);
        self.line("  runs", texts)
    }

    /// A line of the columns that fit: name, state, steps, loss, saves, age, method.
    fn line(&self, name: &str, [state, steps, loss, saves, age, method]: [String; 6]) -> String {
        let mut line = format!("{}{state:<STATE$}{steps:>width$}", fitted(name, self.name + 2), width = STEPS - 1);
        let cells = [(self.has_loss, loss, LOSS), (self.has_saves, saves, SAVES), (self.has_age, age, AGE)];
        for (fits, text, width) in cells {
            if fits {
                line += &format!("{text:>width$}");
            }
        }
        if self.has_method {
            line += &format!("  {method}");
        }
        line
    }
}

/// A text in exactly so many columns, cut with an ellipsis.
fn fitted(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let whole = Span::raw(text).width() <= columns.saturating_sub(1);
    for c in text.chars() {
        let wide = Span::raw(c.to_string()).width();
        if used + wide > columns.saturating_sub(if whole { 1 } else { 2 }) {
            break;
        }
        out.push(c);
        used += wide;
    }
    if !whole && columns > 1 {
        out.push('…');
        used += 1;
    }
    out + &" ".repeat(columns.saturating_sub(used))
}

fn draw_row(row: &Row, depth: usize, is_chosen: bool, columns: &Columns, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let mark = match (is_chosen, look.is_ascii()) {
        (true, false) => "▸ ",
        (true, true) => "> ",
        _ => "  ",
    };
    let branch = if depth == 0 { String::new() } else { format!("{}└ ", "  ".repeat(depth - 1)) };
    let branch = if look.is_ascii() { branch.replace('└', "`") } else { branch };
    // The heading says where recordings are; the details say it in full.
    let own = Path::new(&row.name).file_name().filter(|_| row.kind == Kind::Recording);
    let name = format!("{mark}{branch}{}", own.map_or(row.name.as_str().into(), |own| own.to_string_lossy()));
    let text = if row.kind == Kind::Config {
        format!("{}{}", fitted(&name, 18), fitted(&row.about, usize::from(area.width).saturating_sub(18)))
    } else {
        let (symbol, word) = row.standing.text();
        let symbol = if look.is_ascii() { "" } else { symbol };
        let state = format!("{symbol} {word}");
        let steps = format!("{}/{}", row.steps.0, row.steps.1);
        let loss = row.full_loss.map_or("-".to_owned(), |loss| format!("{loss:.3}"));
        let saves = row.saves.map_or("-".to_owned(), |share| format!("{:.0}%", 100.0 * share));
        let age = row.age.map_or_else(String::new, age);
        let method = format!("{} {}", row.method, row.objective);
        columns.line(&name, [state.trim_start().to_owned(), steps, loss, saves, age, method])
    };
    // One column, as what it stands for.
    let text = if look.is_ascii() { text.replace('…', "~") } else { text };
    let style = Style::new().fg(theme.text);
    let style = if is_chosen { style.add_modifier(Modifier::BOLD | Modifier::REVERSED) } else { style };
    if is_chosen {
        buf.set_style(area, style);
    }
    buf.set_stringn(area.x, area.y, plain(look, &text), usize::from(area.width), style);
    if row.kind != Kind::Config && !is_chosen {
        let x = area.x + (columns.name as u16 + 2).min(area.width);
        let state = Rect { x, width: (STATE as u16 - 1).min(area.right() - x), ..area };
        buf.set_style(state, Style::new().fg(color(&row.standing, look)));
    }
}

fn color(standing: &Standing, look: &Look) -> Color {
    let theme = &look.theme;
    match standing {
        Standing::Here | Standing::Live => theme.focus,
        Standing::Over(Ending::Completed) => theme.good,
        Standing::Over(_) | Standing::New => theme.warn,
        Standing::Failed | Standing::CutOff | Standing::Unreadable(_) => theme.bad,
    }
}

/// Seconds in one unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6000 => format!("{} min", seconds / 60),
        6000..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_their_columns_whatever_they_are() {
        for text in ["", "a", "quickstart-12", "深い層の訓練", "e\u{301}e\u{301}"] {
            for columns in 0..20 {
                assert_eq!(Span::raw(fitted(text, columns)).width(), columns, "{text} in {columns}");
            }
        }
        assert_eq!(fitted("quickstart", 8), "quicks… ");
        let ages = [(5, "5 s"), (300, "5 min"), (7200, "2 h"), (86_400 * 3, "3 d")];
        assert!(ages.iter().all(|(seconds, text)| age(*seconds) == *text));
    }
}
