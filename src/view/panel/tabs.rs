//! The first line: the run's state, the screens with the keys that choose them, the run's name where it fits.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::Look;
use crate::app::{App, Screen, State};
use crate::event::Ending;
use crate::view::plain;

/// The state's mark and word in the state's colour, and what stands beside it.
fn state(app: &App, look: &Look) -> Vec<Span<'static>> {
    let theme = &look.theme;
    let (mark, word) = app.state().text();
    let color = color(app.state(), look);
    let mark = if look.is_ascii() { "*" } else { mark };
    let bold = |color| Style::new().fg(color).add_modifier(Modifier::BOLD);
    let mut spans = Vec::new();
    let replay = app.replay.filter(|replay| !replay.is_following);
    // In a replay "running" would be what the run was then, not what the screen does now.
    if replay.is_none() || app.state() != State::Running {
        spans.push(Span::styled(format!(" {mark} {} ", plain(look, word)), bold(color)));
    }
    if let Some(replay) = replay {
        let word = if replay.is_playing { "▶ REPLAY" } else { "‖ REPLAY" };
        let word = if look.is_ascii() { "REPLAY" } else { word };
        spans.push(Span::styled(format!(" {word} x{} {:.0}% ", replay.speed, 100.0 * replay.share), bold(theme.focus)));
    } else if app.options.read_only {
        spans.push(Span::styled(" READ-ONLY ", bold(theme.focus)));
    }
    // What calls for a look stands beside the state, wherever one is.
    let new = app.new_alerts();
    if app.alarms.is_stalled() {
        spans.push(Span::styled(plain(look, " ⚠ STALLED "), bold(theme.bad)));
    } else if new > 0 {
        spans.push(Span::styled(plain(look, &format!(" ⚠ {new} ")), bold(theme.bad)));
    }
    spans
}

fn color(state: State, look: &Look) -> Color {
    match state {
        State::Running | State::Over(Ending::Completed) => look.theme.good,
        State::Failed | State::Lost => look.theme.bad,
        _ => look.theme.warn,
    }
}

/// Where each screen's tab stands: its first column and its columns.
pub(in crate::view) fn places(area: Rect) -> impl Iterator<Item = (Screen, u16, u16)> {
    let width = |s: Screen| s.name().len() as u16 + 4;
    let all: u16 = Screen::ALL.into_iter().map(width).sum();
    let mut x = area.right().saturating_sub(all).max(area.x);
    Screen::ALL.into_iter().map(move |screen| {
        let from = x;
        x += width(screen);
        (screen, from, width(screen))
    })
}

pub(in crate::view) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let mut x = area.x;
    let first_tab = places(area).map(|(_, x, _)| x).next().unwrap_or(area.right());
    for span in state(app, look) {
        let (next, _) = buf.set_span(x, area.y, &span, area.right() - x);
        x = next;
    }
    if let Some(started) = &app.run.started {
        let free = usize::from(first_tab.saturating_sub(x + 2));
        let style = Style::new().fg(theme.accent).add_modifier(Modifier::BOLD);
        if Span::raw(&started.run).width() <= free {
            (x, _) = buf.set_stringn(x + 1, area.y, &started.run, free, style);
        }
    }
    if let Some(behind) = &app.ui.runs.behind {
        // What is trained meanwhile, where there is room for it.
        let (mark, _) = behind.state.text();
        let mark = if look.is_ascii() { "*" } else { mark };
        let text = format!(" {mark} {} {}/{} behind ", behind.name, behind.steps.0, behind.steps.1);
        let text = Span::styled(text, Style::new().fg(color(behind.state, look)).add_modifier(Modifier::BOLD));
        if text.width() <= usize::from(first_tab.saturating_sub(x)) {
            buf.set_span(x, area.y, &text, area.right() - x);
        }
    }
    if x >= first_tab {
        return;
    }
    for (screen, x, columns) in places(area) {
        let is_shown = screen == app.ui.screen;
        let style = Style::new().fg(if is_shown { theme.text } else { theme.dim });
        let style = if is_shown { style.add_modifier(Modifier::BOLD | Modifier::REVERSED) } else { style };
        buf.set_stringn(x, area.y, format!(" {} {} ", screen.number(), screen.name()), usize::from(columns), style);
    }
}
