//! Each layer's activity in this stage against its expectation: a sampler that is off shows here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::{App, Pane};

pub(super) struct Layers;

impl Panel for Layers {
    fn title(&self, app: &App, width: u16) -> String {
        if !app.run.parts.0.is_empty() {
            return "Parts of each layer in the last step".chars().take(usize::from(width)).collect();
        }
        let steps = app.run.stage.steps;
        let titles = [
            format!("Activity in this stage ({steps} steps), │ expected"),
            format!("Activity in {steps} steps, │ expected"),
        ];
        let fits = |title: &String| title.chars().count() <= usize::from(width);
        titles.into_iter().find(fits).unwrap_or_else(|| "Activity".to_owned())
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let (run, theme) = (&app.run, &look.theme);
        let layers = run.layers();
        let rows = usize::from(area.height);
        if layers == 0 || area.width < 16 {
            return;
        }
        // The output side on top; what doesn't fit is reached by scrolling.
        let scrolled = app.scroll(Pane::Layers).min(layers.saturating_sub(rows));
        let now = run.last.map(|(_, path, ..)| path);
        let bar = area.width.saturating_sub(4 + 3 + 16);
        for row in 0..rows.min(layers) {
            let layer = layers - 1 - row - scrolled;
            let y = area.y + row as u16;
            let is_on = now.is_some_and(|path| path.is_active(layer));
            let exists = run.exists(layer);
            let mark = match (is_on, look.is_ascii()) {
                _ if !exists => {
                    if look.is_ascii() {
                        "x"
                    } else {
                        "╳"
                    }
                }
                (true, false) => "■",
                (true, true) => "#",
                (false, false) => "·",
                (false, true) => ".",
            };
            let color = theme.stage(run.stage.index);
            buf.set_string(area.x, y, format!("{:>3} ", layer + 1), Style::new().fg(theme.dim));
            buf.set_string(area.x + 4, y, mark, Style::new().fg(if is_on { color } else { theme.dim }));
            if !exists {
                // Nothing to be drawn or expected: it will be a copy of a layer below.
                let style = Style::new().fg(theme.dim);
                buf.set_stringn(area.x + 6, y, "does not exist yet", usize::from(area.width - 6), style);
                continue;
            }
            if let (Some(heads), Some(columns)) = (run.parts.0.get(layer), run.parts.1.get(layer)) {
                let text = format!("heads {heads}  MLP {columns}");
                let style = Style::new().fg(color);
                buf.set_stringn(area.x + 6, y, text, usize::from(area.width - 6), style);
                continue;
            }
            let expected = run.stage.expected.get(layer).copied().unwrap_or(0.0);
            let steps = run.stage.steps.max(1) as f64;
            let visits = run.stage.visits.get(layer).copied().unwrap_or(0);
            let share = visits as f64 / steps;
            let is_off = run.is_off(layer);
            let filled = (share * f64::from(bar)).round() as u16;
            let goal = ((f64::from(expected) * f64::from(bar)).round() as u16).min(bar.saturating_sub(1));
            for x in 0..bar {
                let [full, empty, tick] = if look.is_ascii() { ["=", " ", "|"] } else { ["━", "─", "│"] };
                let (symbol, fg) = if x == goal && expected < 1.0 {
                    (tick, theme.text)
                } else if x < filled {
                    (full, if is_off { theme.bad } else { color })
                } else {
                    (empty, theme.border)
                };
                buf.set_string(area.x + 6 + x, y, symbol, Style::new().fg(fg));
            }
            let text = if expected >= 1.0 {
                format!("{:>4.0}%  always", 100.0 * share)
            } else {
                format!("{:>4.0}% of{:>3.0}%", 100.0 * share, 100.0 * expected)
            };
            let (mark, fg) = if is_off { ("!", theme.bad) } else { ("", theme.text) };
            let style = Style::new().fg(fg);
            let style = if is_off { style.add_modifier(Modifier::BOLD) } else { style };
            buf.set_stringn(area.x + 7 + bar, y, format!("{text}{mark}"), usize::from(area.width - 7 - bar), style);
        }
    }
}
