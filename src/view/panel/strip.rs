//! The strip: layers over steps, the input at the bottom, the newest step at the right.
//!
//! A cell shows two layers by its shape (█ both, ▀ upper, ▄ lower, blank none), and the stage by its colour, so it can be
//! read without colour. Where neither layer existed yet it is ░. Where there are more layers than room, a half cell stands for several and is set if most were active.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::App;

pub(super) struct Strip;

/// Columns for layer numbers.
const LABELS: u16 = 6;

/// Layers per half cell, for a plot of so many rows.
fn group(layers: usize, rows: u16) -> usize {
    layers.div_ceil(2 * usize::from(rows.max(1))).max(1)
}

impl Panel for Strip {
    fn title(&self, app: &App, width: u16) -> String {
        let shown = app.run.paths.len().min(usize::from(width));
        let long = format!("Layers by step: the last {shown} steps, 1 column = 1 step, input at the bottom");
        if long.chars().count() <= usize::from(width) { long } else { format!("Layers, last {shown} steps") }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let layers = app.run.layers();
        if layers == 0 || area.width < LABELS + 2 || area.height < 2 {
            return;
        }
        let (theme, rows) = (&look.theme, area.height - 1);
        let per_half = group(layers, rows);
        let used = (layers.div_ceil(2 * per_half) as u16).min(rows);
        let plot = Rect { x: area.x + LABELS, y: area.y + rows - used, width: area.width - LABELS, height: used };
        labels(app, look, per_half, plot, buf);
        let paths = &app.run.paths;
        let first = paths.len().saturating_sub(usize::from(plot.width));
        let offset = plot.width - (paths.len() - first) as u16;
        let is_on = |path: crate::layer_path::LayerPath, half: usize| {
            let (from, to) = (half * per_half, ((half + 1) * per_half).min(layers));
            let active = (from..to).filter(|&layer| path.is_active(layer)).count();
            to > from && 2 * active >= to - from && active > 0
        };
        let mut before = None;
        let mut free_from = 0;
        for (column, at) in paths.iter().skip(first).enumerate() {
            let x = plot.x + offset + column as u16;
            for row in 0..used {
                let lower = 2 * usize::from(used - 1 - row);
                let symbol = match (is_on(at.path, lower + 1), is_on(at.path, lower), look.is_ascii()) {
                    (true, true, false) => "█",
                    (true, false, false) => "▀",
                    (false, true, false) => "▄",
                    (true, true, true) => "#",
                    (true, false, true) => "'",
                    (false, true, true) => ",",
                    (false, false, _) => " ",
                };
                let is_void = lower * per_half >= at.existing;
                let (symbol, fg) = match (is_void, look.is_ascii()) {
                    (true, false) => ("░", theme.border),
                    (true, true) => (":", theme.border),
                    (false, _) => (symbol, theme.stage(at.stage)),
                };
                buf.set_string(x, plot.y + row, symbol, Style::new().fg(fg));
            }
            if app.crosshair_step() == Some(at.step) {
                let column = Rect { x, y: plot.y, width: 1, height: used };
                buf.set_style(column, Style::new().fg(theme.focus).add_modifier(Modifier::REVERSED));
            }
            // Where a stage begins, its number stands below.
            let is_new = before.is_some_and(|stage| stage != at.stage) || (at.step == 0 && before.is_none());
            before = Some(at.stage);
            let text = format!("{}stage {}", if look.is_ascii() { "^" } else { "╵" }, at.stage + 1);
            if is_new && x >= free_from && x + 8 <= plot.right() {
                buf.set_string(x, plot.bottom(), &text, Style::new().fg(theme.stage(at.stage)));
                free_from = x + text.chars().count() as u16 + 1;
            }
        }
        let last = paths.back().map_or(String::new(), |at| format!("step {}", at.step));
        let x = plot.right().saturating_sub(last.len() as u16);
        if x > free_from {
            buf.set_string(x, plot.bottom(), last, Style::new().fg(theme.dim));
        }
    }
}

fn labels(app: &App, look: &Look, per_half: usize, plot: Rect, buf: &mut Buffer) {
    let theme = &look.theme;
    let layers = app.run.layers();
    let is_fixed = |layer: usize| app.run.stage.expected.get(layer).is_some_and(|p| *p >= 1.0);
    for row in 0..plot.height {
        let lower = 2 * usize::from(plot.height - 1 - row) * per_half;
        let upper = (lower + 2 * per_half).min(layers);
        let text = if upper - lower > 1 { format!("{upper}-{}", lower + 1) } else { upper.to_string() };
        // A dot marks rows that hold a layer which is always active.
        let fixed = (lower..upper).any(is_fixed) && app.run.stage.path_length < layers;
        let mark = if !fixed {
            " "
        } else if look.is_ascii() {
            "*"
        } else {
            "•"
        };
        buf.set_stringn(
            plot.x - LABELS,
            plot.y + row,
            format!("{text:>5}"),
            usize::from(LABELS),
            Style::new().fg(theme.dim),
        );
        buf.set_string(plot.x - 1, plot.y + row, mark, Style::new().fg(theme.accent));
    }
}
