//! Questions and bad news, in a box over the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::Look;
use crate::app::App;
use crate::event::{Command, What};
use crate::view::plain;

fn show(look: &Look, title: &str, lines: Vec<String>, height: u16, area: Rect, buf: &mut Buffer) {
    let inner = super::super::overlay(look, title, 64, height, area, buf);
    let inner = Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(2), ..inner };
    let lines: Vec<Line<'_>> = lines.iter().flat_map(|l| l.split('\n')).map(Line::raw).collect();
    Paragraph::new(lines).wrap(Wrap { trim: false }).style(Style::new().fg(look.theme.text)).render(inner, buf);
}

pub(in crate::view) fn confirm(app: &App, look: &Look, command: Command, area: Rect, buf: &mut Buffer) {
    let Some(schedule) = &app.run.schedule else {
        return;
    };
    let now = app.run.stage.index;
    let length = |stage: Option<usize>| stage.and_then(|s| schedule.stages.get(s)).map_or(0, |s| s.path_length);
    let left = (schedule.start(now + 1)).saturating_sub(app.run.step);
    let what = match command {
        Command::NextStage => format!(
            "End stage {} now? Its {left} steps left go to the next,\nat path length {} instead of {}.",
            now + 1,
            length((now + 1..schedule.stages.len()).find(|&s| schedule.stages[s].steps > 0)),
            app.run.stage.path_length
        ),
        Command::PreviousStage => format!(
            "Go back to path length {}\nfor half of the {left} steps left in stage {}?",
            length((0..now).rev().find(|&s| schedule.stages[s].steps > 0)),
            now + 1
        ),
        other => format!("{}?", other.words()),
    };
    let mut lines = vec![what, String::new()];
    lines.extend(forecast(app).into_iter().map(|line| plain(look, &line)));
    lines.push("y  yes      any other key  no".to_owned());
    let height = lines.len() as u16 + 3;
    show(look, "Sure?", lines, height, area, buf);
}

/// What the loss would be at each path length, as far as it is known; an old forecast says how old it is.
fn forecast(app: &App) -> Vec<String> {
    let is_coming = app.pending.contains(&Command::Measure { what: What::Forecast });
    let Some(forecast) = app.run.forecast().filter(|m| !is_coming || m.step == app.run.step) else {
        let text = if is_coming { "Forecast of the loss: computing…" } else { "" };
        return if text.is_empty() { Vec::new() } else { vec![text.to_owned(), String::new()] };
    };
    let now = forecast.value(&app.run.stage.path_length.to_string());
    let each = forecast.labels.iter().zip(&forecast.values).map(|(label, loss)| {
        let change = match now {
            _ if *label == app.run.stage.path_length.to_string() => "now".to_owned(),
            Some(now) => format!("{:+.3}", loss - now),
            None => String::new(),
        };
        let name = if *label == app.run.layers().to_string() { "full" } else { label };
        format!("{name:>4}: {loss:.3} {change:<6}")
    });
    let each: Vec<String> = each.collect();
    let when = match app.run.step - forecast.step.min(app.run.step) {
        0 => "now".to_owned(),
        1 => "one step ago".to_owned(),
        n => format!("{n} steps ago"),
    };
    let rows = each.chunks(3).map(|row| row.join("  "));
    std::iter::once(format!("Loss by path length, forecast {when}:")).chain(rows).chain([String::new()]).collect()
}

pub(in crate::view) fn quit(look: &Look, area: Rect, buf: &mut Buffer) {
    let lines = [
        "s  save and stop (go on later with --resume latest)",
        "a  abort without saving",
        "",
        "any other key goes on training",
    ];
    show(look, "Leave?", lines.map(str::to_owned).to_vec(), 6, area, buf);
}

pub(in crate::view) fn failure(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some(failure) = &app.run.failure else {
        return;
    };
    let kept = match &failure.last_checkpoint {
        Some(file) => format!("The newest checkpoint is {file}."),
        None => "No checkpoint had been written yet.".to_owned(),
    };
    let rows = (failure.reason.chars().count() / 58) as u16 + 6;
    show(
        look,
        "The run has failed",
        vec![failure.reason.clone(), String::new(), kept, "q leaves, any other key closes this".to_owned()],
        rows,
        area,
        buf,
    );
}
