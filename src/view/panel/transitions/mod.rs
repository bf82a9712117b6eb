//! What each change of path length did, on one fixed set of batches: a list, and beside or below it, where there is room,
//! the chosen one from near by.

mod inspector;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::{App, Pane};
use crate::event::Transition;

pub(super) struct Transitions;

impl Panel for Transitions {
    fn title(&self, _: &App, width: u16) -> String {
        let long = "Transitions: loss of the subnetwork on fixed batches";
        if long.len() <= usize::from(width) { long.to_owned() } else { "Transitions".to_owned() }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let (list, near) = places(area);
        draw_list(app, look, list, buf);
        if let Some(t) = app.selected_transition()
            && let Some(near) = near
        {
            inspector::draw(app, look, t, near, buf);
        }
    }
}

/// The list, and what is left for one from near by.
fn places(area: Rect) -> (Rect, Option<Rect>) {
    let whole: u16 = HEADS.iter().map(|(_, width)| *width as u16).sum();
    let narrow = HEADS.iter().take(NARROW).map(|(_, width)| *width as u16).sum::<u16>();
    let list = if area.width >= whole + LEAST.0 { whole } else { narrow };
    if area.width >= list + LEAST.0 && area.height >= LEAST.1 {
        let [left, right] = Layout::horizontal([Constraint::Length(list + 2), Constraint::Min(0)]).areas(area);
        return (left, Some(right));
    }
    if area.height >= LEAST.1 + 4 {
        let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(2)]).areas(area);
        return (top, Some(bottom));
    }
    (area, None)
}

fn draw_list(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let arrow = if look.is_ascii() { ">" } else { "→" };
    let dim = Style::new().fg(theme.dim);
    let columns = columns(area.width);
    let head = HEADS.iter().take(columns).map(|(head, width)| format!("{head:>width$}")).collect::<String>();
    buf.set_stringn(area.x, area.y, head, usize::from(area.width), dim);
    if app.run.transitions.is_empty() {
        let text = " none yet: stages change the path length; + - and n do so by hand";
        if area.height > 1 {
            buf.set_stringn(area.x, area.y + 1, text, usize::from(area.width), dim);
        }
        return;
    }
    let rows = usize::from(area.height.saturating_sub(1));
    let all = &app.run.transitions;
    // The newest at the bottom, unless the chosen one is further up.
    let back = app.scroll(Pane::Transitions).min(all.len() - 1);
    let end = all.len() - back.saturating_sub(rows.saturating_sub(1));
    let first = end.saturating_sub(rows);
    for (row, t) in all[first..end].iter().enumerate() {
        let y = area.y + 1 + row as u16;
        // A jump of more than a hundredth is worth a look; in bold, so that it shows without colour.
        let is_jump = t.entered > t.before + 0.01;
        let jump = Style::new().fg(if is_jump { theme.warn } else { theme.good });
        let jump = if is_jump { jump.add_modifier(Modifier::BOLD) } else { jump };
        let mut x = area.x;
        for (column, (text, (_, width))) in texts(t, arrow).into_iter().zip(HEADS).take(columns).enumerate() {
            let style = if column == ENTERED { jump } else { Style::new().fg(theme.text) };
            let room = usize::from(area.right().saturating_sub(x));
            x = buf.set_stringn(x, y, format!("{text:>width$}"), room, style).0;
        }
        if app.pane() == Pane::Transitions && first + row == all.len() - 1 - back {
            let mark = if look.is_ascii() { ">" } else { "▸" };
            buf.set_string(area.x, y, mark, Style::new().fg(theme.focus));
        }
    }
}

/// Head and width of every column, the most important first.
const HEADS: &[(&str, usize)] = &[
    ("step", 7),
    ("length", 7),
    ("before", 7),
    ("entered", 8),
    ("peak", 7),
    ("after", 7),
    ("recovered", 11),
    ("full was", 9),
    ("now", 7),
];

/// Columns of the list where one is shown from near by beside it.
const NARROW: usize = 5;

/// Columns and rows that a look from near by takes at least.
const LEAST: (u16, u16) = (48, 7);

/// The column whose jump is marked.
const ENTERED: usize = 3;

/// How many whole columns fit: half a number would be another number.
fn columns(width: u16) -> usize {
    let ends = HEADS.iter().scan(0, |end, (_, width)| {
        *end += width;
        Some(*end)
    });
    ends.take_while(|end| *end <= usize::from(width)).count()
}

/// At most six characters up to 99: a large vocabulary begins above ten.
fn loss(value: f32) -> String {
    if value < 10.0 { format!("{value:.4}") } else { format!("{value:.3}") }
}

/// How long it took to be as low as before.
fn at_once(t: &Transition) -> String {
    t.recovered_after.map_or("not yet".to_owned(), |n| match n {
        0 => "at once".to_owned(),
        1 => "1 step".to_owned(),
        n => format!("{n} steps"),
    })
}

fn texts(t: &Transition, arrow: &str) -> [String; 9] {
    let recovered = at_once(t);
    // A model that grew was not there before.
    let full = |i: usize| t.full.map_or("-".to_owned(), |full| format!("{:.3}", full[i]));
    [
        t.at.to_string(),
        format!("{}{arrow}{}", t.from, t.to),
        loss(t.before),
        loss(t.entered),
        loss(t.peak),
        loss(t.after),
        recovered,
        full(0),
        full(1),
    ]
}
