//! The alerts, the newest on top.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::{App, Pane};
use crate::view::plain;

pub(super) struct Alerts;

impl Panel for Alerts {
    fn title(&self, app: &App, _: u16) -> String {
        match app.alerts().len() {
            0 => "Alerts".to_owned(),
            n => format!("Alerts ({n})"),
        }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let theme = &look.theme;
        let alerts = app.alerts();
        if alerts.is_empty() {
            let text = "none: no spike, no loss that is no number, no stall, room on the disk";
            buf.set_stringn(area.x, area.y, text, usize::from(area.width), Style::new().fg(theme.dim));
            return;
        }
        let rows = usize::from(area.height);
        let skipped = app.scroll(Pane::Alerts).min(alerts.len().saturating_sub(rows));
        for (row, alert) in alerts.iter().rev().skip(skipped).take(rows).enumerate() {
            let y = area.y + row as u16;
            let style = Style::new().fg(theme.bad).add_modifier(Modifier::BOLD);
            buf.set_stringn(
                area.x,
                y,
                format!("{:>7} {:<11}", alert.step, alert.kind.name()),
                usize::from(area.width),
                style,
            );
            if area.width > 20 {
                let style = Style::new().fg(theme.text);
                buf.set_stringn(area.x + 20, y, plain(look, &alert.text), usize::from(area.width - 20), style);
            }
        }
    }
}
