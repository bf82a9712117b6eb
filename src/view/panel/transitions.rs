//! What each change of path length did, on one fixed set of batches.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::App;

pub(super) struct Transitions;

impl Panel for Transitions {
    fn title(&self, _: &App, _: &Look, width: u16) -> String {
        let long = "Transitions: loss of the subnetwork on fixed batches";
        if long.len() <= usize::from(width) { long.to_owned() } else { "Transitions".to_owned() }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let theme = &look.theme;
        let arrow = if look.ascii { ">" } else { "→" };
        let head = format!("  step length  before entered    peak   after recovered  full {arrow} full");
        let dim = Style::new().fg(theme.dim);
        buf.set_stringn(area.x, area.y, head, usize::from(area.width), dim);
        if app.run.transitions.is_empty() {
            let text = " none yet: stages change the path length; + - and n do so by hand";
            if area.height > 1 {
                buf.set_stringn(area.x, area.y + 1, text, usize::from(area.width), dim);
            }
            return;
        }
        let rows = usize::from(area.height.saturating_sub(1));
        let all = &app.run.transitions;
        let newest = all.len().saturating_sub(app.ui.scroll.min(all.len().saturating_sub(rows)));
        for (row, t) in all[newest.saturating_sub(rows)..newest].iter().enumerate() {
            let recovered = t.recovered_after.map_or("not yet".to_owned(), |n| match n {
                0 => "at once".to_owned(),
                1 => "1 step".to_owned(),
                n => format!("{n} steps"),
            });
            let text = format!(
                "{:>6} {:>3}{arrow}{:<3} {:>6.4} {:>7.4} {:>7.4} {:>7.4} {recovered:>9} {:.3} {arrow} {:.3}",
                t.at, t.from, t.to, t.before, t.entered, t.peak, t.after, t.full[0], t.full[1]
            );
            let y = area.y + 1 + row as u16;
            buf.set_stringn(area.x, y, text, usize::from(area.width), Style::new().fg(theme.text));
            // A jump of more than a hundredth is worth a look; in bold, so that it shows without colour.
            let is_jump = t.entered > t.before + 0.01;
            let style = Style::new().fg(if is_jump { theme.warn } else { theme.good });
            let style = if is_jump { style.add_modifier(Modifier::BOLD) } else { style };
            if area.width > 32 {
                buf.set_style(Rect { x: area.x + 21, y, width: 8, height: 1 }, style);
            }
        }
    }
}
