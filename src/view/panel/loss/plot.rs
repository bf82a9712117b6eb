//! Where a loss at a place of the x axis lies on the panel: the plot's area, its two ranges, its columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::App;
use crate::app::chart::axis::XAxis;
use crate::app::chart::columns::{Column, columns};
use crate::app::chart::range::{Range, extremes};
use crate::app::chart::ticks::{self, Tick};
use crate::app::chart::window::Window;
use crate::view::Look;

/// Columns for the figures of the y axis: no fewer and no more.
const LABELS: std::ops::RangeInclusive<u16> = 5..=9;

/// A chart on its area.
pub(super) struct Plot {
    /// The cells of the curves.
    pub area: Rect,
    /// Left of it: figures and the axis.
    pub labels: u16,
    /// Left and right end.
    pub ends: (f64, f64),
    pub range: Range,
    /// This run's, one per dot.
    pub columns: Vec<Column>,
    /// Each reference's.
    pub references: Vec<Vec<Column>>,
    y_ticks: Vec<Tick>,
}

impl Plot {
    /// None if there is nothing to be drawn.
    pub fn new(app: &App, area: Rect) -> Option<Self> {
        if app.run.history.is_empty() && app.run.full.is_empty() {
            return None;
        }
        let height = area.height - 1;
        let (mut labels, mut plot) = (*LABELS.start(), None);
        // Figures may need more room than was thought; then there are fewer columns.
        for _ in 0..2 {
            let width = area.width.checked_sub(labels + 1).filter(|w| *w >= 4)?;
            let place = Rect { x: area.x + labels + 1, y: area.y, width, height };
            let now = Self::with(app, place, labels);
            let needed = now.y_ticks.iter().map(|t| t.label.len() as u16 + 1).max().unwrap_or(0);
            let needed = needed.clamp(*LABELS.start(), *LABELS.end());
            let fits = needed <= labels;
            plot = Some(now);
            if fits {
                break;
            }
            labels = needed;
        }
        plot
    }

    fn with(app: &App, area: Rect, labels: u16) -> Self {
        let view = &app.ui.chart;
        let (ends, count) = (app.chart_ends(), usize::from(area.width) * 2);
        let own = columns(&app.run, view.choice(), ends, count);
        let references: Vec<Vec<Column>> =
            app.references.iter().map(|r| columns(&r.run, view.choice(), ends, count)).collect();
        let range = range(app, ends, &own, &references);
        let y_ticks = if view.is_log {
            let (low, high) = range.ends();
            ticks::logarithmic(low, high, usize::from(area.height / 2).max(2))
        } else {
            ticks::linear(range.ends().0, range.ends().1, usize::from(area.height / 3).max(2), 0.0)
        };
        Self { area, labels, ends, range, columns: own, references, y_ticks }
    }

    /// Dots across and down.
    pub fn dots(&self) -> (i32, i32) {
        (i32::from(self.area.width) * 2, i32::from(self.area.height) * 4)
    }

    /// The dot's column of a place on the x axis; it may lie outside.
    pub fn x(&self, x: f64) -> i32 {
        let share = (x - self.ends.0) / (self.ends.1 - self.ends.0);
        (share * f64::from(self.dots().0 - 1)).round().clamp(-1e6, 1e6) as i32
    }

    /// The dot's row of a loss; it may lie outside.
    pub fn y(&self, loss: f64) -> i32 {
        (f64::from(self.dots().1 - 1) * self.range.share(loss)).round().clamp(-1e6, 1e6) as i32
    }

    /// The cell's column of a place on the x axis, if it is shown.
    pub fn column(&self, x: f64) -> Option<u16> {
        let dot = self.x(x);
        (0..self.dots().0).contains(&dot).then(|| self.area.x + (dot / 2) as u16)
    }

    /// The cell's row of a loss, if it is shown.
    pub fn row(&self, loss: f64) -> Option<u16> {
        let dot = self.y(loss);
        (0..self.dots().1).contains(&dot).then(|| self.area.y + (dot / 4) as u16)
    }

    /// Both axes with their ticks.
    pub fn draw_axes(&self, app: &App, look: &Look, buf: &mut Buffer) {
        let dim = Style::new().fg(look.theme.dim);
        let [upright, corner, flat, left, down] =
            if look.is_ascii() { ["|", "+", "-", "+", "+"] } else { ["│", "└", "─", "┤", "┴"] };
        let (area, axis_x) = (self.area, self.area.x - 1);
        for y in area.top()..area.bottom() {
            buf.set_string(axis_x, y, upright, dim);
        }
        for tick in &self.y_ticks {
            if let Some(y) = self.row(tick.value) {
                buf.set_string(axis_x, y, left, dim);
                let width = usize::from(self.labels);
                buf.set_stringn(axis_x - self.labels, y, format!("{:>width$}", tick.label), width, dim);
            }
        }
        let y = area.bottom();
        buf.set_string(axis_x, y, corner, dim);
        for x in area.left()..area.right() {
            buf.set_string(x, y, flat, dim);
        }
        let mut free_from = area.left();
        for tick in self.x_ticks(app) {
            let Some(x) = self.column(tick.value) else { continue };
            let width = tick.label.chars().count() as u16;
            let from = x.saturating_sub(width / 2).max(area.left()).min(area.right().saturating_sub(width));
            if from >= free_from {
                buf.set_string(x, y, down, dim);
                buf.set_stringn(from, y, &tick.label, usize::from(area.right() - from), dim);
                free_from = from + width + 2;
            }
        }
        let name = app.ui.chart.axis.name(&app.run);
        buf.set_stringn(axis_x - self.labels, y, name, usize::from(self.labels), dim);
    }

    fn x_ticks(&self, app: &App) -> Vec<Tick> {
        let most = usize::from(self.area.width / 9).clamp(2, 16);
        let (from, to) = self.ends;
        match app.ui.chart.axis {
            XAxis::Steps => ticks::linear(from, to, most, 1.0),
            XAxis::Tokens | XAxis::Flops => ticks::linear(from, to, most, 0.0),
            XAxis::Time => ticks::time(from, to, most),
        }
    }
}

/// The y axis's range: that of what is shown.
fn range(app: &App, ends: (f64, f64), own: &[Column], references: &[Vec<Column>]) -> Range {
    let view = &app.ui.chart;
    // The first steps fall so steeply that they would flatten all that follows: once there are others to look at, the
    // scale is made for those, and the beginning leaves through the top.
    let is_whole = ends.0 <= 0.0 && view.window.follows();
    let skipped = if app.run.step > 100 && !view.is_log && is_whole { 0.1 } else { 0.0 };
    let from = ends.0 + (ends.1 - ends.0) * skipped;
    let settled = |columns: &[Column]| {
        let first = (columns.len() as f64 * skipped) as usize;
        extremes(&columns[first.min(columns.len())..], view.is_robust)
    };
    let is_shown = |x: f64| x >= from && x <= ends.1;
    let full = app.run.full.iter().filter(|f| is_shown(view.axis.of_full(&app.run, f))).map(|f| f64::from(f.loss));
    let smooth = |columns: &[Column]| -> Vec<f64> {
        let first = (columns.len() as f64 * skipped) as usize;
        columns[first.min(columns.len())..].iter().filter_map(|c| c.smooth).map(f64::from).collect()
    };
    let floor = app.run.started.as_ref().and_then(|s| s.floor).filter(|_| view.window == Window::All).map(f64::from);
    let others = references.iter().flat_map(|columns| smooth(columns));
    let values = settled(own).into_iter().chain(full).chain(others).chain(floor);
    let range = Range::of(values, view.is_log);
    // Where nothing is shown, there is still an axis.
    range.unwrap_or_else(Range::unit)
}
