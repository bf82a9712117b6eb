//! The event log: step, who, what; the newest at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::run::From;
use crate::app::{App, Pane};
use crate::view::plain;

pub(super) struct Log;

impl Panel for Log {
    fn title(&self, app: &App, _: u16) -> String {
        if app.scroll(Pane::Log) > 0 { "Events (scrolled back)".to_owned() } else { "Events".to_owned() }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let theme = &look.theme;
        let (log, rows) = (&app.run.log, usize::from(area.height));
        let newest = log.len().saturating_sub(app.scroll(Pane::Log).min(log.len().saturating_sub(rows)));
        for (row, line) in log.range(newest.saturating_sub(rows)..newest).enumerate() {
            let y = area.y + row as u16;
            let (who, color) = match line.from {
                From::Schedule => ("schedule", theme.dim),
                From::You => ("you", theme.focus),
                From::Run => ("run", theme.dim),
                From::Alarm => ("ALARM", theme.bad),
            };
            buf.set_stringn(
                area.x,
                y,
                format!("{:>7} {who:<8} ", line.step),
                usize::from(area.width),
                Style::new().fg(color),
            );
            let style = Style::new().fg(if line.from == From::Alarm { theme.bad } else { theme.text });
            let style = if line.from == From::Alarm { style.add_modifier(Modifier::BOLD) } else { style };
            let at = area.x + 17.min(area.width);
            buf.set_stringn(at, y, plain(look, &line.text), usize::from(area.right() - at), style);
        }
    }
}
