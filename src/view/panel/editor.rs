//! The schedule editor: every stage with what it implies, the draft beside the table, and what the draft would change.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Look;
use crate::app::App;
use crate::app::editor::{Column, Editor};
use crate::app::outlook::{Outlook, StageOutlook, When};
use crate::schedule::Stage;
use crate::view::{duration, overlay, plain, short};

/// Columns of the box.
const WIDTH: u16 = 104;

/// A column of the table: its title, its width, and how much it matters (0 is always there).
type Head = (&'static str, u16, u8);

const HEADS: [Head; 11] = [
    ("", 3, 0),
    ("stage", 6, 0),
    ("from step", 10, 2),
    ("steps", 17, 0),
    ("share", 7, 4),
    ("path length", 12, 0),
    ("mean", 7, 6),
    ("FLOPs", 8, 5),
    ("speed-up", 9, 3),
    ("time", 9, 1),
    ("", 8, 1),
];

/// The columns that fit: each one's place in [`HEADS`] and its first cell.
fn columns(width: u16) -> Vec<(usize, u16)> {
    let fitting = (0..=6).rev().find(|rank| HEADS.iter().filter(|h| h.2 <= *rank).map(|h| h.1).sum::<u16>() <= width);
    let mut x = 0;
    let mut chosen = Vec::new();
    for (index, head) in HEADS.iter().enumerate().filter(|(_, h)| h.2 <= fitting.unwrap_or(0)) {
        chosen.push((index, x));
        x += head.1;
    }
    chosen
}

pub(in crate::view) fn draw(app: &App, look: &Look, editor: &Editor, area: Rect, buf: &mut Buffer) {
    let Some(table) = &app.run.schedule else {
        return;
    };
    let (run, theme) = (&app.run, &look.theme);
    let rows = editor.draft().stages.len() as u16;
    let title = format!("Schedule: step {} of {}", run.step, run.total_steps());
    let inner = overlay(look, &title, WIDTH, rows + 9, area, buf);
    if inner.width < 20 || inner.height < 3 {
        return;
    }
    let columns = columns(inner.width.saturating_sub(1));
    let put = |buf: &mut Buffer, x: u16, y: u16, text: &str, style: Style| {
        if x < inner.right() && y < inner.bottom() {
            buf.set_stringn(x, y, plain(look, text), usize::from(inner.right() - x), style);
        }
    };
    let dim = Style::new().fg(theme.dim);
    for (index, x) in &columns {
        put(buf, inner.x + x, inner.y, HEADS[*index].0, dim);
    }
    // What lies under the table is always there: rows scroll with the cursor.
    let room = inner.height.saturating_sub(7).max(1).min(rows);
    let (cursor, column) = editor.cursor();
    let first = (cursor + 1).saturating_sub(usize::from(room));
    let outlooks = run.stages_of(editor.draft());
    for (row, (index, stage)) in outlooks.iter().enumerate().skip(first).take(usize::from(room)).enumerate() {
        let y = inner.y + 1 + row as u16;
        let before = table.stages.get(index).filter(|_| table.stages.len() == outlooks.len());
        for (head, x) in &columns {
            let is_cell = index == cursor && matches!((head, column), (3, Column::Steps) | (5, Column::Length));
            let (text, is_changed) = cell(*head, index, stage, before, is_cell.then(|| editor.typed()).flatten());
            let color = match stage.when {
                _ if is_changed => theme.focus,
                When::Over => theme.dim,
                When::Now if *head == 1 => theme.stage(index),
                _ => theme.text,
            };
            let mut style = Style::new().fg(color);
            if is_changed || stage.when == When::Now {
                style = style.add_modifier(Modifier::BOLD);
            }
            if is_cell {
                style = style.add_modifier(Modifier::REVERSED);
            }
            let columns = usize::from(HEADS[*head].1) - 1;
            let text = if is_cell { format!("{text:<columns$}") } else { text };
            put(buf, inner.x + x, y, &text, style);
        }
        if index == cursor {
            put(buf, inner.x, y, if look.is_ascii() { ">" } else { "▸" }, Style::new().fg(theme.focus));
        }
    }
    let (now, then) = (run.outlook(table), run.outlook(editor.draft()));
    let mut y = inner.y + room + 2;
    put(buf, inner.x + 1, y, &format!("as it stands  {}", whole(&now, None)), Style::new().fg(theme.text));
    y += 1;
    if editor.is_changed() {
        let style = Style::new().fg(theme.focus).add_modifier(Modifier::BOLD);
        put(buf, inner.x + 1, y, &format!("as drafted    {}", whole(&then, Some(&now))), style);
    } else {
        put(buf, inner.x + 1, y, "nothing is drafted", dim);
    }
    y += 1;
    let fixed = "The run keeps its length, and with it its learning rates: what a stage gains, those behind it lose.";
    put(buf, inner.x + 1, y, fixed, dim);
    y += 1;
    if let Some(problem) = editor.problem(run) {
        put(buf, inner.x + 1, y, &problem, Style::new().fg(theme.bad).add_modifier(Modifier::BOLD));
    } else if app.options.is_replay || app.options.read_only {
        put(buf, inner.x + 1, y, "to be looked at only: nothing here can be applied", Style::new().fg(theme.warn));
    }
    let keys = "arrows choose  0-9 type  + - change  u undo  Enter apply  Esc drop";
    put(buf, inner.x + 1, y + 1, keys, Style::new().fg(theme.accent));
}

/// A cell's text, and whether it is drafted.
fn cell(
    head: usize,
    index: usize,
    stage: &StageOutlook,
    before: Option<&Stage>,
    typed: Option<&str>,
) -> (String, bool) {
    let change = |before: Option<u64>, now: u64| match before {
        _ if typed.is_some() => (format!("{}_", typed.unwrap_or_default()), true),
        Some(before) if before != now => (format!("{before} → {now}"), true),
        _ => (now.to_string(), false),
    };
    let still = |text: String| (text, false);
    match head {
        1 => still((index + 1).to_string()),
        2 => still(stage.first.to_string()),
        3 => change(before.map(|s| s.steps), stage.steps),
        4 => still(format!("{:.1}%", 100.0 * stage.share)),
        5 => change(before.map(|s| s.path_length as u64), stage.path_length as u64),
        6 => still(format!("{:.2}", stage.mean)),
        7 => still(short(stage.flops)),
        8 => still(format!("{:.2}x", stage.speed_up)),
        9 => still(stage.seconds.map_or("-".to_owned(), duration)),
        10 => {
            let when = match stage.when {
                When::Over => "done",
                When::Now => "now",
                When::Later => "later",
            };
            still(format!("{when}{}", if stage.by_hand { " ✎" } else { "" }))
        }
        _ => still(String::new()),
    }
}

/// A line about the whole run; with what it is beside another table.
fn whole(it: &Outlook, before: Option<&Outlook>) -> String {
    let points = before.map_or(String::new(), |before| format!(" ({:+.1} points)", 100.0 * (it.saved - before.saved)));
    let later = before.and_then(|before| Some((before.seconds_left?, it.seconds_left?))).map(|(now, then)| {
        let sign = if then < now { '-' } else { '+' };
        format!(" ({sign}{})", duration((then - now).abs()))
    });
    let left = it.seconds_left.map_or("time left unknown".to_owned(), |s| format!("{} left", duration(s)));
    format!(
        "{} FLOPs   saved {:.1}%{points}   {left}{}   speed-up {:.3}x by layers",
        short(it.flops),
        100.0 * it.saved,
        later.unwrap_or_default(),
        it.speed_up
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_most_is_there_at_every_width() {
        let titles = |width| columns(width).into_iter().map(|(i, _)| HEADS[i].0).collect::<Vec<_>>();
        assert_eq!(titles(102).len(), HEADS.len());
        assert_eq!(titles(20), ["", "stage", "steps", "path length"]);
        assert!(titles(78).contains(&"time") && titles(78).contains(&"speed-up") && !titles(78).contains(&"FLOPs"));
    }
}
