//! The experiment's screen: arms by seeds as a table, and the loss of the run that is being trained.
//!
//! Pure, as the rest of the view. When all is done the table of results takes the place of both.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::{LEAST, Look, draw_pane, duration, frame_of, panel, plain};
use crate::app::Pane;
use crate::app::experiment::{Board, Ended, Group};
use crate::experiment_event::RunState;

/// Columns of a seed's cell.
const CELL: usize = 9;

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, board: &Board, look: &Look) {
    let area = frame.area();
    let buf = frame.buffer_mut();
    buf.set_style(area, look.theme.base());
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (_, word) = board.state();
        let line = format!("{} {}/{} runs", plain(look, word), board.done(), board.rows.len());
        let lines = vec![Line::raw(line), Line::raw("screen too small; training goes on")];
        return Paragraph::new(lines).style(look.theme.base()).render(area, buf);
    }
    let [header, body, footer] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    draw_header(board, look, header, buf);
    let is_paused = board.run.run.is_paused;
    panel::footer::keys(board.keymap.here(board.place()), is_paused, look, footer, buf);
    match &board.ended {
        Some(Ended::Finished(table)) => draw_results(board, look, table, body, buf),
        Some(Ended::Failed(reason)) => draw_failure(look, reason, body, buf),
        _ => draw_live(board, look, body, buf),
    }
    if board.themes.is_open() {
        panel::themes::draw(&board.themes, look, area, buf);
    }
    if let Some(help) = &board.help {
        panel::help::draw(help, &board.help_entries(help), look, area, buf);
    }
}

fn draw_header(board: &Board, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let bold = |text: String, color: Color| Span::styled(text, Style::new().fg(color).add_modifier(Modifier::BOLD));
    let dim = |text: &str| Span::styled(text.to_owned(), Style::new().fg(theme.dim));
    let (mark, word) = board.state();
    let mark = if look.is_ascii() { "*" } else { mark };
    let color = match &board.ended {
        Some(Ended::Failed(_) | Ended::Lost) => theme.bad,
        Some(Ended::Stopped) => theme.warn,
        Some(Ended::Finished(_)) => theme.good,
        None if word == "RUNNING" => theme.good,
        None => theme.warn,
    };
    let mut first = vec![
        bold(format!(" {mark} {}  ", plain(look, word)), color),
        bold(board.name.clone(), theme.accent),
        dim("  runs "),
        bold(format!("{}/{}", board.done(), board.rows.len()), theme.text),
    ];
    if let Some(seconds) = board.eta_seconds() {
        first.extend([dim("  eta "), bold(duration(seconds), theme.text)]);
    }
    let mut second = vec![dim(" now ")];
    if let (Some(row), None) = (board.current, &board.ended) {
        second.push(bold(board.row_name(row), theme.text));
        let total = board.rows[row].run.steps;
        second.extend([dim("  step "), bold(format!("{}/{total}", board.run.run.step), theme.text)]);
        if let Some(full) = board.run.run.full.last() {
            second.extend([dim("  full "), bold(format!("{:.4}", full.loss), theme.full)]);
        }
    } else {
        second = vec![Span::styled(format!(" {}", plain(look, &board.question)), Style::new().fg(theme.dim))];
    }
    Line::from(first).render(Rect { height: 1, ..area }, buf);
    Line::from(second).render(Rect { y: area.y + 1, height: 1, ..area }, buf);
}

fn draw_live(board: &Board, look: &Look, area: Rect, buf: &mut Buffer) {
    let lines = table_lines(board);
    // The table gets what it needs, but leaves the chart half.
    let wanted = lines as u16 + 3;
    let height = wanted.min(area.height / 2).max(6.min(area.height));
    let [table, chart] = Layout::vertical([Constraint::Length(height), Constraint::Min(0)]).areas(area);
    draw_table(board, look, table, buf);
    if chart.height >= 5 {
        draw_pane(&board.run, look, Pane::Loss, chart, buf);
    }
}

/// Lines of the table: one per group, and one per training length where there are several.
fn table_lines(board: &Board) -> usize {
    let horizons = horizons(board);
    board.groups.len() + if horizons > 1 { horizons } else { 0 }
}

fn horizons(board: &Board) -> usize {
    let mut all: Vec<u64> = board.groups.iter().map(|g| g.horizon).collect();
    all.dedup();
    all.len()
}

fn draw_table(board: &Board, look: &Look, area: Rect, buf: &mut Buffer) {
    let seeds = board.groups.iter().map(|g| g.seeds.len()).max().unwrap_or(0);
    let block = frame_of(look, "Full model's final loss by arm and seed".to_owned(), false);
    let inner = block.inner(area);
    block.render(area, buf);
    let name = board.groups.iter().map(|g| g.arm.chars().count()).max().unwrap_or(3).clamp(3, 18);
    let columns = usize::from(inner.width);
    // Arm, rate, mean, then as many seeds as fit.
    let room = columns.saturating_sub(name + 1 + CELL * 2) / CELL;
    let shown = seeds.min(room.max(1));
    let dim = Style::new().fg(look.theme.dim);
    let mut head = format!(" {:<name$}{:>CELL$}{:>CELL$}", "arm", "rate", "mean");
    for seed in 1..=shown {
        head.push_str(&format!("{:>CELL$}", format!("seed {seed}")));
    }
    if shown < seeds {
        head.push_str(&plain(look, " …"));
    }
    buf.set_stringn(inner.x, inner.y, head, columns, dim);
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut at_group = Vec::new();
    let is_split = horizons(board) > 1;
    let mut horizon = None;
    for group in &board.groups {
        if is_split && horizon != Some(group.horizon) {
            horizon = Some(group.horizon);
            lines.push(Line::styled(format!(" {} steps", group.horizon), dim));
        }
        at_group.push(lines.len());
        lines.push(group_line(board, look, group, name, shown));
    }
    let height = usize::from(inner.height.saturating_sub(1));
    let current = at_group.get(board.current_group()).copied().unwrap_or(0);
    let limit = lines.len().saturating_sub(height) as i64;
    let first = (current as i64 - height as i64 / 2).clamp(0, limit);
    let first = (first + board.scroll).clamp(0, limit) as usize;
    for (y, line) in lines.into_iter().skip(first).take(height).enumerate() {
        let row = Rect { y: inner.y + 1 + y as u16, height: 1, ..inner };
        line.render(row, buf);
    }
}

fn group_line<'a>(board: &Board, look: &Look, group: &Group, name: usize, shown: usize) -> Line<'a> {
    let theme = &look.theme;
    let is_current = board.groups.get(board.current_group()) == Some(group) && board.current.is_some();
    let style = Style::new().fg(if is_current { theme.focus } else { theme.accent });
    let arm: String = group.arm.chars().take(name).collect();
    let mark = if is_current && look.is_ascii() {
        ">"
    } else if is_current {
        "▸"
    } else {
        " "
    };
    let mut spans = vec![Span::styled(format!("{mark}{arm:<name$}"), style)];
    let tried =
        group.tuning.iter().filter(|&&row| !matches!(board.rows[row].state, RunState::Waiting | RunState::Running));
    let is_tuning = group.tuning.iter().any(|&row| board.rows[row].state == RunState::Running);
    let rate = match group.learning_rate {
        Some(rate) => format!("{rate:.1e}"),
        None if is_tuning => format!("try {}/{}", tried.count() + 1, group.tuning.len()),
        None => plain(look, "…"),
    };
    spans.push(Span::styled(format!("{rate:>CELL$}"), Style::new().fg(theme.dim)));
    let mean = board.mean(group).map_or_else(String::new, |loss| format!("{loss:.4}"));
    spans.push(Span::styled(format!("{mean:>CELL$}"), Style::new().fg(theme.full).add_modifier(Modifier::BOLD)));
    for &row in group.seeds.iter().take(shown) {
        let (text, color) = cell(board, look, row);
        spans.push(Span::styled(format!("{text:>CELL$}"), Style::new().fg(color)));
    }
    Line::from(spans)
}

/// A run in a cell: never told by colour alone.
fn cell(board: &Board, look: &Look, row: usize) -> (String, Color) {
    let theme = &look.theme;
    match board.rows[row].state {
        RunState::Waiting => ((if look.is_ascii() { "." } else { "·" }).to_owned(), theme.dim),
        RunState::Running => {
            let share = board.run.run.step as f64 / board.rows[row].run.steps.max(1) as f64;
            let mark = if look.is_ascii() { ">" } else { "▸" };
            (format!("{mark}{:.0}%", 100.0 * share.min(1.0)), theme.focus)
        }
        RunState::Done { loss } => (format!("{loss:.4}"), theme.good),
        RunState::Diverged => ("diverged".to_owned(), theme.bad),
    }
}

fn draw_results(board: &Board, look: &Look, table: &str, area: Rect, buf: &mut Buffer) {
    let block = frame_of(look, "Results   ↑ ↓ scroll".to_owned(), true);
    let inner = block.inner(area);
    block.render(area, buf);
    let lines: Vec<&str> = table.lines().collect();
    let limit = lines.len().saturating_sub(usize::from(inner.height)) as i64;
    let first = board.scroll.clamp(0, limit) as usize;
    for (y, line) in lines.iter().skip(first).take(usize::from(inner.height)).enumerate() {
        let style = Style::new().fg(if line.starts_with("==") { look.theme.accent } else { look.theme.text });
        buf.set_stringn(inner.x + 1, inner.y + y as u16, plain(look, line), usize::from(inner.width - 1), style);
    }
}

fn draw_failure(look: &Look, reason: &str, area: Rect, buf: &mut Buffer) {
    let block = frame_of(look, "The experiment has failed".to_owned(), true);
    let inner = block.inner(area);
    block.render(area, buf);
    let text = format!("{reason}\n\nWhat was trained is kept; the same command goes on.");
    Paragraph::new(plain(look, &text))
        .style(Style::new().fg(look.theme.bad))
        .wrap(Wrap { trim: false })
        .render(inner, buf);
}
