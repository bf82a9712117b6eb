//! The curves: each step's range dim, the smoothed line bright, evaluations of the full model as diamonds lightly joined,
//! other runs dashed with their names where they end.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use super::plot::Plot;
use crate::app::App;
use crate::app::chart::columns::Column;
use crate::app::run::Run;
use crate::view::Look;
use crate::view::canvas::{Canvas, Layer};
use crate::view::theme::Theme;

/// The colour of a reference: none of this run's.
pub(super) fn series(theme: &Theme, index: usize) -> Color {
    let taken = [theme.smooth, theme.full, theme.raw];
    let mut free = theme.stages.iter().filter(|c| !taken.contains(c)).cycle();
    free.nth(index % theme.stages.len().max(1)).copied().unwrap_or(theme.text)
}

/// Dots set and left out of a reference's dashes: references are told apart without colour too.
const DASHES: [(i32, i32); 6] = [(4, 2), (2, 2), (1, 2), (6, 2), (3, 4), (1, 4)];

/// How a reference is marked in a list: its colour, and its dashes as they look.
pub(in crate::view) fn swatch(look: &Look, index: usize) -> (&'static str, Style) {
    let dashes = if look.is_ascii() {
        ["--", "- ", "..", "-=", "- ", ". "]
    } else {
        ["╍╍", "╌╌", "┈┈", "━╍", "╍ ", "┈ "]
    };
    (dashes[index % dashes.len()], Style::new().fg(series(&look.theme, index)))
}

pub(super) fn draw(app: &App, look: &Look, plot: &Plot, buf: &mut Buffer) {
    let theme = &look.theme;
    let mut canvas = Canvas::new(plot.area, look.glyphs);
    draw_raw(plot, &mut canvas, theme.raw);
    for (index, columns) in plot.references.iter().enumerate() {
        let (set, out) = DASHES[index % DASHES.len()];
        let is_drawn = |x: i32| x.rem_euclid(set + out) < set;
        draw_smooth(plot, columns, &mut canvas, Layer::Reference, series(theme, index), is_drawn);
    }
    let fulls = fulls(app, &app.run, plot);
    for pair in fulls.windows(2) {
        canvas.line(pair[0], pair[1], Layer::Join, theme.full, |x| x % 3 == 0);
    }
    draw_smooth(plot, &plot.columns, &mut canvas, Layer::Line, theme.smooth, |_| true);
    canvas.render(buf);
    for (index, reference) in app.references.iter().enumerate() {
        let mark = if look.is_ascii() { "o" } else { "◇" };
        put_marks(plot, &self::fulls(app, &reference.run, plot), mark, series(theme, index), buf);
    }
    put_marks(plot, &fulls, if look.is_ascii() { "O" } else { "◆" }, theme.full, buf);
    put_names(app, look, plot, buf);
    let gap = if look.is_ascii() { "X" } else { "✗" };
    for (x, _) in plot.columns.iter().enumerate().filter(|(_, c)| c.is_bad) {
        let style = Style::new().fg(theme.bad).add_modifier(Modifier::BOLD);
        buf.set_string(plot.area.x + (x / 2) as u16, plot.area.y, gap, style);
    }
}

fn draw_raw(plot: &Plot, canvas: &mut Canvas, color: Color) {
    let mut before: Option<(i32, &Column)> = None;
    for (x, column) in plot.columns.iter().enumerate() {
        let x = x as i32;
        if column.is_bad && !column.has_loss() {
            before = None;
        }
        if !column.has_loss() {
            continue;
        }
        let (low, high) = (plot.y(f64::from(column.low)), plot.y(f64::from(column.high)));
        canvas.column(x, low, high, Layer::Raw, color);
        // Steps that are further apart than dots are joined.
        if let Some((from, last)) = before
            && x - from > 1
        {
            canvas.line((from, plot.y(f64::from(last.high))), (x, high), Layer::Raw, color, |_| true);
        }
        before = Some((x, column));
    }
}

fn draw_smooth(
    plot: &Plot,
    columns: &[Column],
    canvas: &mut Canvas,
    layer: Layer,
    color: Color,
    is_drawn: impl Fn(i32) -> bool,
) {
    let mut before = None;
    for (x, column) in columns.iter().enumerate() {
        // Nothing joins the two sides of a gap.
        if column.is_bad && !column.has_loss() {
            before = None;
        }
        let Some(smooth) = column.smooth else { continue };
        let now = (x as i32, plot.y(f64::from(smooth)));
        canvas.line(before.unwrap_or(now), now, layer, color, &is_drawn);
        before = Some(now);
    }
}

/// Evaluations as dots, the nearest on either side of what is shown included.
fn fulls(app: &App, run: &Run, plot: &Plot) -> Vec<(i32, i32)> {
    let axis = app.ui.chart.axis;
    let first = run.full.partition_point(|f| axis.of_full(run, f) < plot.ends.0).saturating_sub(1);
    let mut dots = Vec::new();
    for full in &run.full[first..] {
        let x = axis.of_full(run, full);
        dots.push((plot.x(x), plot.y(f64::from(full.loss))));
        if x > plot.ends.1 {
            break;
        }
    }
    dots
}

fn put_marks(plot: &Plot, dots: &[(i32, i32)], mark: &str, color: Color, buf: &mut Buffer) {
    let (width, height) = plot.dots();
    for &(x, y) in dots.iter().filter(|(x, y)| (0..width).contains(x) && (0..height).contains(y)) {
        let (x, y) = (plot.area.x + (x / 2) as u16, plot.area.y + (y / 4) as u16);
        buf.set_string(x, y, mark, Style::new().fg(color));
    }
}

/// Each reference's name where its line ends, one to a row.
fn put_names(app: &App, look: &Look, plot: &Plot, buf: &mut Buffer) {
    let mut taken: Vec<u16> = Vec::new();
    for (index, (reference, columns)) in app.references.iter().zip(&plot.references).enumerate() {
        let Some((x, smooth)) = columns.iter().enumerate().rev().find_map(|(x, c)| Some((x, c.smooth?))) else {
            continue;
        };
        let Some(row) = plot.row(f64::from(smooth)) else { continue };
        let name: String = reference.name.chars().take(usize::from(plot.area.width / 3)).collect();
        let name = format!(" {name} ");
        let width = ratatui::text::Span::raw(&name).width() as u16;
        // Above the line, else below, so that the line itself stays to be seen.
        let rows = [row.checked_sub(1), Some(row + 1), Some(row), row.checked_sub(2), Some(row + 2)];
        let is_free = |y: &u16| (plot.area.top()..plot.area.bottom()).contains(y) && !taken.contains(y);
        let Some(y) = rows.into_iter().flatten().find(is_free) else { continue };
        taken.push(y);
        let end = plot.area.x + (x / 2) as u16;
        let from = (end + 1).saturating_sub(width).max(plot.area.x);
        let style = Style::new().fg(series(&look.theme, index));
        buf.set_stringn(from, y, name, usize::from(plot.area.right() - from), style);
    }
}
