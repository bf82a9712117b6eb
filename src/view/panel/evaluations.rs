//! The evaluations: when, why, the full model's loss with its change and the best so far, and other path lengths.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::run::Evaluation;
use crate::app::{App, Pane};
use crate::view::plain;

pub(super) struct Evaluations;

/// The loss of the full model, where it was evaluated.
fn full(evaluation: &Evaluation, layers: usize) -> Option<f32> {
    evaluation.scores.iter().find(|s| s.path_length == layers).map(|s| s.loss)
}

/// The other path lengths, as many as there is room for.
fn others(evaluation: &Evaluation, layers: usize) -> String {
    let each = evaluation.scores.iter().filter(|s| s.path_length != layers);
    each.map(|s| format!("{}: {:.4}", s.path_length, s.loss)).collect::<Vec<_>>().join("  ")
}

impl Panel for Evaluations {
    fn title(&self, app: &App, width: u16) -> String {
        let long = format!("Evaluations ({}), loss by path length", app.run.evaluations.len());
        if long.chars().count() <= usize::from(width) { long } else { "Evaluations".to_owned() }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let (run, theme, layers) = (&app.run, &look.theme, app.run.layers());
        let put = |buf: &mut Buffer, y: u16, text: &str, style: Style| {
            buf.set_stringn(area.x, y, plain(look, text), usize::from(area.width), style);
        };
        if run.evaluations.is_empty() {
            let text = if app.options.is_replay { "none yet" } else { "none yet: E evaluates now" };
            return put(buf, area.y, text, Style::new().fg(theme.dim));
        }
        put(buf, area.y, "     step   full     change           path lengths", Style::new().fg(theme.dim));
        let rows = usize::from(area.height - 1);
        let best = run.evaluations.iter().filter_map(|e| full(e, layers)).fold(f32::INFINITY, f32::min);
        // The newest on top; what doesn't fit is reached by scrolling down.
        let skipped = app.scroll(Pane::Evaluations).min(run.evaluations.len().saturating_sub(rows.max(1)));
        for row in 0..rows.min(run.evaluations.len() - skipped) {
            let index = run.evaluations.len() - 1 - skipped - row;
            let evaluation = &run.evaluations[index];
            let now = full(evaluation, layers);
            let before = run.evaluations.range(..index).rev().find_map(|e| full(e, layers));
            let change = now.zip(before).map_or(String::new(), |(now, before)| format!("{:+.4}", now - before));
            let is_best = now.is_some_and(|loss| loss <= best);
            let mark = match (is_best, look.is_ascii()) {
                (true, false) => "★",
                (true, true) => "*",
                (false, _) => " ",
            };
            let text = format!(
                "{:>9}  {:>7} {mark} {change:>8}  {:<10} {}",
                evaluation.step,
                now.map_or("-".to_owned(), |loss| format!("{loss:.4}")),
                evaluation.why.word(),
                others(evaluation, layers)
            );
            let style = Style::new().fg(if is_best { theme.full } else { theme.text });
            let style = if is_best { style.add_modifier(Modifier::BOLD) } else { style };
            put(buf, area.y + 1 + row as u16, &text, style);
        }
    }
}
