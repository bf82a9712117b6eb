//! Each layer's activity in this stage against its expectation, with the band of three standard deviations: a sampler that
//! is off shows here. Where there is room, what else is known of each layer beside it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::run::Run;
use crate::app::{App, Pane};
use crate::measurement::number;

pub(super) struct Layers;

/// Columns before the bar: number and mark.
const LEFT: u16 = 6;
/// Columns of the share and its expectation.
const SHARES: u16 = 13;
/// The least bar.
const LEAST_BAR: u16 = 10;

/// A column beside the bar: its title, its width, its text for a layer (0-based).
type Column = (&'static str, u16, fn(&Run, usize) -> String);

/// In the order in which room is given.
const COLUMNS: [Column; 5] = [
    ("run", 6, whole_run),
    ("last", 7, last_seen),
    ("|g|", 10, |run, layer| measured(run, "gradient norm by layer", layer)),
    ("psi", 10, |run, layer| measured(run, "psi by layer", layer)),
    ("dw/w", 10, |run, layer| measured(run, "update over weight by layer", layer)),
];

/// Share of all steps so far.
fn whole_run(run: &Run, layer: usize) -> String {
    let visits = run.visits.get(layer).copied().unwrap_or(0);
    format!("{:.0}%", 100.0 * visits as f64 / run.step.max(1) as f64)
}

/// Steps since it was last active.
fn last_seen(run: &Run, layer: usize) -> String {
    match run.last_seen.get(layer).copied().flatten() {
        Some(seen) if seen + 1 == run.step => "now".to_owned(),
        Some(seen) => format!("-{}", (run.step - 1).saturating_sub(seen)),
        None => "never".to_owned(),
    }
}

/// The newest value of a series that has one for each layer.
fn measured(run: &Run, name: &str, layer: usize) -> String {
    let series = run.measured.iter().find(|m| m.name == name);
    series.and_then(|m| m.value(&(layer + 1).to_string())).map_or(String::new(), number)
}

/// The columns that fit, of those that have anything to tell.
fn columns(run: &Run, width: u16) -> Vec<Column> {
    let mut left = width.saturating_sub(LEFT + SHARES + LEAST_BAR);
    let mut chosen = Vec::new();
    for column in COLUMNS {
        let tells = (0..run.layers()).any(|layer| !column.2(run, layer).is_empty());
        if tells && column.1 <= left {
            left -= column.1;
            chosen.push(column);
        }
    }
    chosen
}

/// The bar's cells that the share fills, and those of the expectation and of the ends of its band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bar {
    filled: u16,
    expected: u16,
    band: (u16, u16),
}

impl Bar {
    /// Of a share out of `steps` steps, each with the expected probability.
    fn of(share: f64, expected: f64, steps: u64, width: u16) -> Self {
        let spread = 3.0 * (expected * (1.0 - expected) / steps.max(1) as f64).sqrt();
        let cell = |x: f64| ((x.clamp(0.0, 1.0) * f64::from(width)).round() as u16).min(width.saturating_sub(1));
        let filled = (share.clamp(0.0, 1.0) * f64::from(width)).round() as u16;
        Self { filled, expected: cell(expected), band: (cell(expected - spread), cell(expected + spread)) }
    }

    fn symbol(self, x: u16, ascii: bool) -> &'static str {
        let is_filled = x < self.filled;
        let (low, high) = self.band;
        match () {
            () if x == self.expected => {
                if ascii {
                    "|"
                } else if low < x && x < high {
                    "┼"
                } else {
                    "│"
                }
            }
            () if x == low => {
                if ascii {
                    "["
                } else {
                    "├"
                }
            }
            () if x == high => {
                if ascii {
                    "]"
                } else {
                    "┤"
                }
            }
            () if is_filled => {
                if ascii {
                    "="
                } else {
                    "━"
                }
            }
            () => {
                if ascii {
                    " "
                } else {
                    "─"
                }
            }
        }
    }
}

impl Panel for Layers {
    fn title(&self, app: &App, width: u16) -> String {
        if !app.run.parts.0.is_empty() {
            return "Parts of each layer in the last step".chars().take(usize::from(width)).collect();
        }
        let steps = app.run.stage.steps;
        let titles = [
            format!("Activity in this stage ({steps} steps), ├┼┤ expected ± 3 sigma"),
            format!("Activity in {steps} steps, ├┼┤ expected"),
        ];
        let fits = |title: &String| title.chars().count() <= usize::from(width);
        titles.into_iter().find(fits).unwrap_or_else(|| "Activity".to_owned())
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let (run, theme) = (&app.run, &look.theme);
        let layers = run.layers();
        if layers == 0 || area.width < 16 {
            return;
        }
        // A column without its name says nothing: none where the last layer would have to go for the names.
        let beside = if usize::from(area.height) == layers { Vec::new() } else { columns(run, area.width) };
        let beside_width: u16 = beside.iter().map(|c| c.1).sum();
        let bar = area.width.saturating_sub(LEFT + SHARES + 2 + beside_width);
        // A line for the columns' names, where there are any.
        let head = u16::from(!beside.is_empty());
        let mut x = area.right() - beside_width;
        for (title, width, _) in &beside {
            if head > 0 {
                let columns = usize::from(*width);
                let text = format!("{title:>columns$}");
                buf.set_stringn(x, area.y, text, usize::from(area.right() - x), Style::new().fg(theme.dim));
            }
            x += width;
        }
        // The output side on top; what doesn't fit is reached by scrolling.
        let rows = usize::from(area.height - head);
        let scrolled = app.scroll(Pane::Layers).min(layers.saturating_sub(rows));
        for row in 0..rows.min(layers) {
            let layer = layers - 1 - row - scrolled;
            let y = area.y + head + row as u16;
            self.line(app, look, layer, bar, Rect { y, height: 1, ..area }, buf);
            if !run.exists(layer) || run.parts.0.get(layer).is_some() {
                continue;
            }
            let mut x = area.right() - beside_width;
            for (_, width, text) in &beside {
                let text = format!("{:>1$}", text(run, layer), usize::from(*width));
                buf.set_stringn(x, y, text, usize::from(area.right() - x), Style::new().fg(theme.text));
                x += width;
            }
        }
    }
}

impl Layers {
    /// Number, mark, bar and shares of a layer.
    fn line(&self, app: &App, look: &Look, layer: usize, bar: u16, area: Rect, buf: &mut Buffer) {
        let (run, theme, y) = (&app.run, &look.theme, area.y);
        let is_on = run.last.is_some_and(|(_, path, ..)| path.is_active(layer));
        let exists = run.exists(layer);
        let mark = match (exists, is_on) {
            (false, _) => ["╳", "x"],
            (true, true) => ["■", "#"],
            (true, false) => ["·", "."],
        };
        let color = theme.stage(run.stage.index);
        buf.set_string(area.x, y, format!("{:>3} ", layer + 1), Style::new().fg(theme.dim));
        let fg = if is_on { color } else { theme.dim };
        buf.set_string(area.x + 4, y, mark[usize::from(look.is_ascii())], Style::new().fg(fg));
        let room = usize::from(area.width.saturating_sub(LEFT));
        if !exists {
            // Nothing to be drawn or expected: it will be a copy of a layer below.
            buf.set_stringn(area.x + LEFT, y, "does not exist yet", room, Style::new().fg(theme.dim));
            return;
        }
        if let (Some(heads), Some(columns)) = (run.parts.0.get(layer), run.parts.1.get(layer)) {
            let text = format!("heads {heads}  MLP {columns}");
            buf.set_stringn(area.x + LEFT, y, text, room, Style::new().fg(color));
            return;
        }
        let expected = f64::from(run.stage.expected.get(layer).copied().unwrap_or(0.0));
        let visits = run.stage.visits.get(layer).copied().unwrap_or(0);
        let share = visits as f64 / run.stage.steps.max(1) as f64;
        let is_off = run.is_off(layer);
        let marks = Bar::of(share, expected, run.stage.steps, bar);
        let is_certain = expected >= 1.0;
        for x in 0..bar {
            let is_mark = !is_certain && (x == marks.expected || x == marks.band.0 || x == marks.band.1);
            let fg = match () {
                () if is_mark => theme.text,
                () if x < marks.filled => {
                    if is_off {
                        theme.bad
                    } else {
                        color
                    }
                }
                () => theme.border,
            };
            let symbol = match (is_certain, look.is_ascii()) {
                (false, _) => marks.symbol(x, look.is_ascii()),
                (true, true) => {
                    if x < marks.filled {
                        "="
                    } else {
                        " "
                    }
                }
                (true, false) => {
                    if x < marks.filled {
                        "━"
                    } else {
                        "─"
                    }
                }
            };
            buf.set_string(area.x + LEFT + x, y, symbol, Style::new().fg(fg));
        }
        let text = if is_certain {
            format!("{:>4.0}%  always", 100.0 * share)
        } else {
            format!("{:>4.0}% of{:>3.0}%", 100.0 * share, 100.0 * expected)
        };
        let (mark, fg) = if is_off { ("!", theme.bad) } else { ("", theme.text) };
        let style = Style::new().fg(fg);
        let style = if is_off { style.add_modifier(Modifier::BOLD) } else { style };
        let from = area.x + LEFT + 1 + bar;
        if from < area.right() {
            buf.set_stringn(from, y, format!("{text}{mark}"), usize::from(area.right() - from), style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_is_three_standard_deviations_of_the_share() {
        // p = 0.5 of 100 steps: sigma 0.05, so 0.35 to 0.65.
        let bar = Bar::of(0.6, 0.5, 100, 20);
        assert_eq!(bar, Bar { filled: 12, expected: 10, band: (7, 13) });
        let drawn = |ascii| (0..20).map(|x| bar.symbol(x, ascii)).collect::<String>();
        assert_eq!(drawn(false), "━━━━━━━├━━┼━─┤──────");
        assert_eq!(drawn(true), "=======[==|= ]      ");
        // Nothing known yet: anything goes. Certain: no band.
        assert_eq!(Bar::of(0.0, 0.5, 0, 20).band, (0, 19));
        assert_eq!(Bar::of(1.0, 1.0, 9, 20).band, (19, 19));
    }
}
