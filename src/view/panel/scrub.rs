//! The scrub bar: where a replay stands in its recording, with the stages and what was done by hand along the way.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::Look;
use crate::app::{App, ReplayMark, ReplayState};
use crate::view::duration;

/// Columns for the time at each end.
const TIME: u16 = 9;
/// Columns for the mark and the speed.
const SPEED: u16 = 8;

/// Where the bar itself stands.
pub(in crate::view) fn bar(area: Rect) -> Rect {
    let left = (SPEED + TIME).min(area.width);
    let width = area.width.saturating_sub(left + TIME);
    Rect { x: area.x + left, width, ..area }
}

/// The share of the recording that a column of the screen stands for, if it is one of the bar's.
pub(in crate::view) fn share(area: Rect, x: u16) -> Option<f64> {
    let bar = bar(area);
    let is_there = bar.width > 1 && (bar.left()..bar.right()).contains(&x);
    is_there.then(|| f64::from(x - bar.x) / f64::from(bar.width - 1))
}

pub(in crate::view) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some(state) = app.replay else { return };
    let (theme, bar) = (&look.theme, bar(area));
    if area.height == 0 || bar.width < 4 {
        return;
    }
    // A short recording's time in tenths: whole seconds would stand still.
    let is_short = state.length_us < 60_000_000;
    let seconds = |us: u64| match us as f64 / 1e6 {
        s if is_short => format!("{s:.1} s"),
        s => duration(s),
    };
    let strong = Style::new().fg(theme.focus).add_modifier(Modifier::BOLD);
    buf.set_stringn(area.x + 1, area.y, how(state, look), usize::from(SPEED), strong);
    let at = format!("{:>8} ", seconds(state.at_us));
    buf.set_stringn(bar.x - TIME, area.y, at, usize::from(TIME), Style::new().fg(theme.text));
    let length = format!(" {:<8}", seconds(state.length_us));
    buf.set_stringn(bar.right(), area.y, length, usize::from(TIME), Style::new().fg(theme.dim));
    let glyphs = if look.is_ascii() {
        ["=", "-", "+", "+", "^", "x", "O"]
    } else {
        ["━", "─", "╋", "┼", "▲", "✗", "●"]
    };
    let [played, open, tick_played, tick_open, hand, failure, head] = glyphs;
    let column = |share: f64| bar.x + (share.clamp(0.0, 1.0) * f64::from(bar.width - 1)).round() as u16;
    let now = column(state.share);
    let events = state.events.max(1) as f64;
    let mut put = |x: u16, symbol: &str, color: Color| {
        buf.set_string(x, bar.y, symbol, Style::new().fg(color));
    };
    for x in bar.left()..bar.right() {
        let (symbol, color) = if x < now { (played, theme.accent) } else { (open, theme.border) };
        put(x, symbol, color);
    }
    for mark in &app.replay_marks {
        let x = column(mark.place() as f64 / events);
        match *mark {
            ReplayMark::Stage { stage: 0, .. } => {}
            ReplayMark::Stage { stage, .. } => {
                put(x, if x < now { tick_played } else { tick_open }, theme.stage(stage));
            }
            ReplayMark::Hand { .. } => put(x, hand, theme.focus),
            ReplayMark::Failure { .. } => put(x, failure, theme.bad),
        }
    }
    buf.set_string(now, bar.y, head, strong);
}

/// Whether time passes, and how fast.
fn how(state: ReplayState, look: &Look) -> String {
    let mark = match (state.is_following, state.is_playing, look.is_ascii()) {
        (true, ..) => return "follow".to_owned(),
        (_, true, true) => ">",
        (_, false, true) => "||",
        (_, true, false) => "▶",
        (_, false, false) => "‖",
    };
    format!("{mark} x{}", state.speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_the_bar_is_a_share_of_the_recording() {
        let area = Rect { x: 2, y: 5, width: 118, height: 1 };
        let bar = bar(area);
        assert_eq!((share(area, bar.left()), share(area, bar.right() - 1)), (Some(0.0), Some(1.0)));
        assert_eq!((share(area, bar.left() - 1), share(area, bar.right())), (None, None));
        let middle = share(area, bar.left() + bar.width / 2).unwrap();
        assert!((middle - 0.5).abs() < 0.01);
        assert_eq!(share(Rect { width: 17, ..area }, 18), None);
    }
}
