//! The strip: layers over steps, the input at the bottom, the newest step at the right.
//!
//! Where a column is one step, a cell shows two layers by its shape (█ both, ▀ upper, ▄ lower, blank none). Where it is
//! more, the cell's shade says in what share of the steps they were active (· none, ░▒▓ more, █ always). The stage is told by
//! colour, so all can be read without. Where neither layer existed yet it is ╳. Where there are more layers than room, a
//! cell stands for several; where there is room enough, each layer has a row of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::App;
use crate::app::path_levels::Visits;
use crate::app::strip_view::Shown;
use crate::view::short;

pub(super) struct Strip;

/// Columns for layer numbers.
pub(in crate::view) const LABELS: u16 = 6;

/// How layers are laid out on rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    /// Layers per half cell.
    per_half: usize,
    /// Halves per cell: 1 where each layer has rows of its own.
    halves: usize,
    /// Rows for each cell's worth of layers.
    high: u16,
    /// Rows in all.
    used: u16,
}

impl Rows {
    /// For a plot of so many rows.
    fn of(layers: usize, rows: u16) -> Self {
        let rows = rows.max(1);
        if layers <= usize::from(rows) {
            let high = (rows / layers.max(1) as u16).clamp(1, 3);
            return Self { per_half: 1, halves: 1, high, used: high * layers as u16 };
        }
        let per_half = layers.div_ceil(2 * usize::from(rows)).max(1);
        Self { per_half, halves: 2, high: 1, used: (layers.div_ceil(2 * per_half) as u16).min(rows) }
    }

    /// The layers (0-based, from..to) of a row, counted from the top.
    fn layers(self, row: u16, layers: usize) -> (usize, usize) {
        let lower = usize::from((self.used - 1 - row) / self.high) * self.per_half * self.halves;
        (lower, (lower + self.per_half * self.halves).min(layers))
    }
}

impl Panel for Strip {
    fn title(&self, app: &App, width: u16) -> String {
        let columns = usize::from(width.saturating_sub(LABELS));
        let shown = app.ui.strip.shown(&app.run, columns, app.is_strip_whole(), app.crosshair_step());
        let (Some(first), Some(last)) = (shown.columns.first(), shown.columns.last()) else {
            return "Layers by step".to_owned();
        };
        let end = last.step + last.steps;
        let scale = match shown.steps {
            1 => "1 column = 1 step".to_owned(),
            n => format!("{} steps together, shade = share active", short(n as f64)),
        };
        let titles = match shown.back {
            0 if shown.steps == 1 => {
                let n = shown.columns.len();
                vec![
                    format!("Layers by step: the last {n} steps, {scale}, input at the bottom"),
                    format!("Layers, last {n} steps"),
                ]
            }
            _ => vec![
                format!("Layers by step: steps {} to {}, {scale}, input at the bottom", first.step, end - 1),
                format!("Layers, steps {} to {} by {}s, shade = share", first.step, end - 1, shown.steps),
                format!("Layers, steps {} to {} by {}s", first.step, end - 1, shown.steps),
            ],
        };
        let fits = |title: &String| title.chars().count() <= usize::from(width);
        titles.into_iter().find(fits).unwrap_or_else(|| "Layers".to_owned())
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let layers = app.run.layers();
        if layers == 0 || area.width < LABELS + 2 || area.height < 2 {
            return;
        }
        let (theme, height) = (&look.theme, area.height - 1);
        let rows = Rows::of(layers, height);
        let plot =
            Rect { x: area.x + LABELS, y: area.y + height - rows.used, width: area.width - LABELS, height: rows.used };
        labels(app, look, rows, plot, buf);
        let shown = app.ui.strip.shown(&app.run, usize::from(plot.width), app.is_strip_whole(), app.crosshair_step());
        // Whoever scrolled back sees the end of the kept past at the left.
        let mut before = None;
        let mut free_from = 0;
        for (column, visits) in shown.columns.iter().enumerate() {
            let (x, end) = place(&shown, column, plot);
            for row in 0..rows.used {
                let (symbol, is_void) = glyph(visits, rows, row, layers, shown.steps > 1, look.is_ascii());
                let fg =
                    if is_void || symbol == "·" || symbol == "." { theme.border } else { theme.stage(visits.stage) };
                for x in x..end {
                    buf.set_string(x, plot.y + row, symbol, Style::new().fg(fg));
                }
            }
            // The crosshair of the chart, in the column that its step is in.
            if app.crosshair_step().is_some_and(|step| (visits.step..visits.step + visits.steps).contains(&step)) {
                let cells = Rect { x, y: plot.y, width: end - x, height: plot.height };
                buf.set_style(cells, Style::new().add_modifier(Modifier::REVERSED));
            }
            // Where a stage begins, its number stands below.
            let is_new = before.is_some_and(|stage| stage != visits.stage) || (visits.step == 0 && before.is_none());
            before = Some(visits.stage);
            let text = format!("{}stage {}", if look.is_ascii() { "^" } else { "╵" }, visits.stage + 1);
            if is_new && x >= free_from && x + 8 <= plot.right() {
                buf.set_string(x, plot.bottom(), &text, Style::new().fg(theme.stage(visits.stage)));
                free_from = x + text.chars().count() as u16 + 1;
            }
        }
        let last = shown.columns.last().map_or(String::new(), |v| format!("step {}", v.step + v.steps - 1));
        let x = plot.right().saturating_sub(last.len() as u16);
        if x > free_from {
            buf.set_string(x, plot.bottom(), last, Style::new().fg(theme.dim));
        }
    }
}

/// Where a column begins and ends. The whole run has the whole width, whatever power of 2 its columns are; other
/// columns are a cell each and end at the right.
fn place(shown: &Shown, column: usize, plot: Rect) -> (u16, u16) {
    let (count, width) = (shown.columns.len().max(1), usize::from(plot.width));
    let is_whole = shown.steps > 1 && shown.back == 0 && shown.columns.first().is_some_and(|c| c.step == 0);
    let edge = |column: usize| if is_whole { column * width / count } else { column + width.saturating_sub(count) };
    (plot.x + edge(column) as u16, plot.x + edge(column + 1) as u16)
}

/// A cell, and whether none of its layers exist.
fn glyph(visits: &Visits, rows: Rows, row: u16, layers: usize, is_summed: bool, ascii: bool) -> (&'static str, bool) {
    let (lower, upper) = rows.layers(row, layers);
    if lower >= visits.existing {
        return (if ascii { "x" } else { "╳" }, true);
    }
    if is_summed || rows.halves == 1 {
        let share = visits.share(lower, upper);
        let symbols = if ascii { [".", ":", "+", "*", "#"] } else { ["·", "░", "▒", "▓", "█"] };
        // Only what never was is nothing, and only what always was is all.
        let step = match share {
            s if s <= 0.0 => 0,
            s if s >= 1.0 => 4,
            s => 1 + (s * 3.0) as usize,
        };
        return (symbols[step.min(4)], false);
    }
    let is_on = |from: usize| {
        let share = visits.share(from, (from + rows.per_half).min(upper));
        from < upper && share >= 0.5
    };
    let symbol = match (is_on(lower + rows.per_half), is_on(lower), ascii) {
        (true, true, false) => "█",
        (true, false, false) => "▀",
        (false, true, false) => "▄",
        (true, true, true) => "#",
        (true, false, true) => "'",
        (false, true, true) => ",",
        (false, false, _) => " ",
    };
    (symbol, false)
}

fn labels(app: &App, look: &Look, rows: Rows, plot: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let layers = app.run.layers();
    let is_fixed = |layer: usize| app.run.stage.expected.get(layer).is_some_and(|p| *p >= 1.0);
    for row in 0..plot.height {
        let (lower, upper) = rows.layers(row, layers);
        // A layer of several rows has its number beside the middle one.
        if (plot.height - 1 - row) % rows.high != rows.high / 2 {
            continue;
        }
        let range = format!("{upper}-{}", lower + 1);
        // Where both numbers don't fit, the upper one.
        let text = if upper - lower > 1 && range.len() < usize::from(LABELS) { range } else { upper.to_string() };
        // A dot marks rows that hold a layer which is always active.
        let fixed = (lower..upper).any(is_fixed) && app.run.stage.path_length < layers;
        let mark = if !fixed {
            " "
        } else if look.is_ascii() {
            "*"
        } else {
            "•"
        };
        let y = plot.y + row;
        buf.set_stringn(plot.x - LABELS, y, format!("{text:>5}"), usize::from(LABELS), Style::new().fg(theme.dim));
        let style = Style::new().fg(theme.accent).add_modifier(Modifier::BOLD);
        buf.set_string(plot.x - 1, y, mark, style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_stands_on_a_row_and_rows_fit() {
        for layers in 1..=128 {
            for height in 1..=40 {
                let rows = Rows::of(layers, height);
                assert!(rows.used <= height && rows.used > 0, "{layers} {height} {rows:?}");
                let mut seen = vec![false; layers];
                for row in 0..rows.used {
                    let (from, to) = rows.layers(row, layers);
                    assert!(from < to, "{layers} {height} {row} {rows:?}");
                    seen[from..to].fill(true);
                }
                assert!(seen.into_iter().all(|s| s), "{layers} {height} {rows:?}");
                // The input is at the bottom.
                assert_eq!(rows.layers(rows.used - 1, layers).0, 0);
            }
        }
    }

    #[test]
    fn the_whole_run_has_the_whole_width_and_no_column_is_lost() {
        let visits = |step: u64| Visits { step, steps: 4, stage: 0, existing: 2, active: vec![4, 1] };
        let plot = Rect { x: 3, y: 0, width: 10, height: 2 };
        let places = |from: u64, count: u64, back: usize| -> Vec<_> {
            let shown = Shown { steps: 4, back, columns: (from..from + count).map(|i| visits(4 * i)).collect() };
            (0..shown.columns.len()).map(|column| place(&shown, column, plot)).collect()
        };
        assert_eq!(places(0, 4, 0), [(3, 5), (5, 8), (8, 10), (10, 13)]);
        assert_eq!(places(0, 10, 0), (3..13).map(|x| (x, x + 1)).collect::<Vec<_>>());
        assert_eq!(places(2, 3, 0), [(10, 11), (11, 12), (12, 13)], "its newest part is a cell each");
        assert_eq!(places(0, 2, 5), [(11, 12), (12, 13)]);
    }

    #[test]
    fn shades_tell_shares_and_halves_tell_layers() {
        let rows = Rows { per_half: 1, halves: 1, high: 1, used: 5 };
        let visits = Visits { step: 0, steps: 12, stage: 0, existing: 5, active: vec![12, 11, 6, 1, 0] };
        let all: String = (0..5).map(|row| glyph(&visits, rows, row, 5, true, false).0).collect();
        assert_eq!(all, "·░▒▓█");
        let all: String = (0..5).map(|row| glyph(&visits, rows, row, 5, true, true).0).collect();
        assert_eq!(all, ".:+*#");
        let rows = Rows { per_half: 1, halves: 2, high: 1, used: 2 };
        let one = Visits { step: 0, steps: 1, stage: 0, existing: 4, active: vec![1, 0, 1, 1] };
        assert_eq!([0, 1].map(|row| glyph(&one, rows, row, 4, false, false).0), ["█", "▄"]);
        let young = Visits { existing: 2, ..one };
        assert_eq!([0, 1].map(|row| glyph(&young, rows, row, 4, false, false)), [("╳", true), ("▄", false)]);
    }
}
