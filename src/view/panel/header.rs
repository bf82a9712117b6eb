//! The header: step, stage, path length, losses, speed, time left. What doesn't fit is left out, the least
//! important first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::Look;
use crate::app::{App, State};
use crate::view::{duration, plain, short};

/// A figure: how important (0 first), its label, its value, its colour.
struct Figure {
    rank: u8,
    label: &'static str,
    value: String,
    color: Color,
}

pub(in crate::view) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let figures = figures(app, look);
    // One line takes what fits in order of rank; a second takes the rest.
    let (mut lines, mut left) = (Vec::new(), figures);
    for _ in 0..area.height {
        let (now, rest) = fit(left, usize::from(area.width));
        lines.push(now);
        left = rest;
    }
    for (y, figures) in lines.into_iter().enumerate() {
        let mut spans = Vec::new();
        for f in figures {
            if !f.label.is_empty() {
                spans.push(Span::styled(format!(" {}", f.label), Style::new().fg(look.theme.dim)));
            }
            let style = Style::new().fg(f.color).add_modifier(Modifier::BOLD);
            spans.push(Span::styled(format!(" {} ", f.value), style));
        }
        let row = Rect { y: area.y + y as u16, height: 1, ..area };
        Line::from(spans).render(row, buf);
    }
}

fn width(f: &Figure) -> usize {
    let label = if f.label.is_empty() { 0 } else { f.label.chars().count() + 1 };
    Span::raw(&f.value).width() + 2 + label
}

/// Those that fit, chosen by rank, in their order; and those that don't.
fn fit(figures: Vec<Figure>, columns: usize) -> (Vec<Figure>, Vec<Figure>) {
    let mut order: Vec<usize> = (0..figures.len()).collect();
    order.sort_by_key(|&i| figures[i].rank);
    let (mut used, mut chosen) = (0, vec![false; figures.len()]);
    for i in order {
        if used + width(&figures[i]) <= columns {
            used += width(&figures[i]);
            chosen[i] = true;
        }
    }
    let mut chosen = chosen.into_iter();
    figures.into_iter().partition(|_| chosen.next().unwrap_or(false))
}

fn figures(app: &App, look: &Look) -> Vec<Figure> {
    let (run, theme) = (&app.run, &look.theme);
    let mut all = Vec::new();
    let mut add = |rank, label, value: String, color| all.push(Figure { rank, label, value, color });
    if let Some((what, done, total)) = &run.progress {
        let share = if *total > 0 { format!(" {:.0}%", 100.0 * *done as f64 / *total as f64) } else { String::new() };
        add(1, "", format!("{what}{share}"), theme.text);
    }
    let Some(started) = &run.started else {
        return all;
    };
    add(1, "step", format!("{}/{}", run.step, run.total_steps()), theme.text);
    let stages = run.schedule.as_ref().map_or(0, |s| s.stages.len());
    add(3, "stage", format!("{}/{stages}", run.stage.index + 1), theme.stage(run.stage.index));
    let asked = app.asked_path_length(run.stage.index).filter(|n| *n != run.stage.path_length);
    // Hollow until the trainer has done it.
    let asked = asked.map_or(String::new(), |n| plain(look, &format!("→({n})")));
    let hand = if run.stage.by_hand { "✎" } else { "" };
    let hand = if look.is_ascii() && run.stage.by_hand { "!" } else { hand };
    add(2, "path", format!("{}{asked}/{}{hand}", run.stage.path_length, run.layers()), theme.text);
    if let Some((loss, _, rate, norm)) = run.last {
        add(5, "loss", format!("{loss:.3}"), theme.text);
        if let Some(smooth) = run.history.smoothed(app.ui.chart.smoothing) {
            add(2, "ema", format!("{smooth:.3}"), theme.smooth);
        }
        let scale = run.learning_rate_scale.filter(|s| *s != 1.0).map_or(String::new(), |s| format!(" x{s:.2}"));
        add(10, "lr", format!("{rate:.2e}{scale}"), theme.text);
        add(11, "|g|", format!("{norm:.2}"), theme.text);
    }
    if !run.is_whole() {
        add(3, "full", "not yet".to_owned(), theme.dim);
    } else if let Some(full) = run.full.last() {
        let floor = started.floor.map_or(String::new(), |f| format!(" (floor {:+.0}%)", 100.0 * (full.loss / f - 1.0)));
        add(3, "full", format!("{:.3}{floor}", full.loss), theme.full);
    }
    if let Some(rate) = run.tokens_per_second() {
        add(6, if started.items == "tokens" { "tok/s" } else { "items/s" }, short(rate), theme.text);
    }
    if let Some(eta) = run.eta_seconds().filter(|_| matches!(app.state(), State::Running | State::Evaluating)) {
        add(4, "eta", duration(eta), theme.text);
    }
    // FLOPs and time differ: both, where both are known.
    let time = run
        .step_time()
        .map_or(String::new(), |fit| format!(", {:.1}% time", 100.0 * (1.0 - 1.0 / fit.measured_speed_up)));
    add(9, "saved", format!("{:.1}% FLOPs{time}", 100.0 * run.saved()), theme.text);
    all
}
