//! The loss over steps: each step's range dim, the smoothed line bright, the full model's evaluations as diamonds, stages
//! as upright lines, the entropy floor where it is known.
//!
//! The training loss is that of subnetworks; only the diamonds are the full model's.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Look, Panel};
use crate::app::App;
use crate::view::canvas::Canvas;
use crate::view::short;

pub(super) struct Loss;

/// Columns for the figures of the y axis.
const LABELS: u16 = 6;

/// From losses and steps to dots.
struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
    steps: f64,
    dots: (i32, i32),
}

impl Scale {
    fn transformed(&self, loss: f64) -> f64 {
        if self.is_log { loss.max(1e-9).ln() } else { loss }
    }

    fn x(&self, step: u64) -> i32 {
        (step as f64 / self.steps * f64::from(self.dots.0 - 1)).round() as i32
    }

    fn y(&self, loss: f32) -> i32 {
        let share = (self.transformed(f64::from(loss)) - self.low) / (self.high - self.low);
        (f64::from(self.dots.1 - 1) * (1.0 - share)).round().clamp(-1e6, 1e6) as i32
    }

    /// The loss at a share of the height, from the top.
    fn at(&self, share: f64) -> f64 {
        let value = self.high + (self.low - self.high) * share;
        if self.is_log { value.exp() } else { value }
    }
}

impl Panel for Loss {
    fn title(&self, app: &App, width: u16) -> String {
        let scale = if app.ui.log_scale { ", log" } else { "" };
        let weight = app.ui.smoothing.weight();
        let unit = app.run.started.as_ref().map_or("nats per token", |s| &s.loss_unit);
        let long = format!("Loss, {unit}: subnetwork (ema {weight}{scale})   ◆ full model");
        if long.chars().count() <= usize::from(width) { long } else { format!("Loss{scale}  ◆ full model") }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        if area.width < LABELS + 4 || area.height < 3 {
            return;
        }
        let theme = &look.theme;
        let plot = Rect { x: area.x + LABELS + 1, y: area.y, width: area.width - LABELS - 1, height: area.height - 1 };
        let mut canvas = Canvas::new(plot, look.glyphs);
        let Some(scale) = scale(app, canvas.size()) else {
            buf.set_stringn(
                area.x + 1,
                area.y,
                "no step has been trained yet",
                usize::from(area.width - 1),
                Style::new().fg(theme.dim),
            );
            return;
        };
        let dim = Style::new().fg(theme.dim);
        axes(&scale, look, area, plot, buf);
        for &(step, stage) in app.run.entries.iter().filter(|e| e.0 > 0) {
            let x = plot.x + (scale.x(step) / 2).clamp(0, i32::from(plot.width) - 1) as u16;
            for y in plot.top()..plot.bottom() {
                buf.set_string(x, y, if look.is_ascii() { ":" } else { "┊" }, Style::new().fg(theme.stage(stage)));
            }
        }
        let floor = app.run.started.as_ref().and_then(|s| s.floor);
        if let Some(floor) = floor {
            let y = plot.y + (scale.y(floor) / 4).clamp(0, i32::from(plot.height) - 1) as u16;
            for x in plot.left()..plot.right() {
                buf.set_string(x, y, if look.is_ascii() { "-" } else { "┄" }, Style::new().fg(theme.floor));
            }
        }
        let buckets = app.run.history.buckets();
        for bucket in buckets {
            canvas.column(scale.x(bucket.step), scale.y(bucket.low), scale.y(bucket.high), theme.raw);
        }
        let smooth = app.ui.smoothing.index();
        for pair in buckets.windows(2) {
            let at = |i: usize| (scale.x(pair[i].step), scale.y(pair[i].smooth[smooth]));
            canvas.line(at(0), at(1), theme.smooth);
        }
        canvas.render(buf);
        for full in app.run.full.iter().filter(|f| scale.y(f.loss) >= 0) {
            let x = plot.x + (scale.x(full.step) / 2).clamp(0, i32::from(plot.width) - 1) as u16;
            let y = plot.y + (scale.y(full.loss) / 4).clamp(0, i32::from(plot.height) - 1) as u16;
            buf.set_string(x, y, if look.is_ascii() { "O" } else { "◆" }, Style::new().fg(theme.full));
        }
        if let Some(floor) = floor {
            // Written last, above its line, so that it stays legible.
            let text = format!("entropy floor {floor:.3}");
            let y = plot.y + (scale.y(floor) / 4 - 1).clamp(0, i32::from(plot.height) - 1) as u16;
            let x = plot.x + 1;
            if usize::from(plot.width) > text.len() + 2 && plot.height > 4 {
                let is_free = (x..x + text.len() as u16).all(|x| buf.cell((x, y)).is_some_and(|c| c.symbol() == " "));
                if is_free {
                    buf.set_string(x, y, text, dim.fg(theme.floor));
                }
            }
        }
    }
}

fn scale(app: &App, dots: (i32, i32)) -> Option<Scale> {
    let buckets = app.run.history.buckets();
    // The first steps fall so steeply that they would flatten all that follows: once there are others to look at, the
    // scale is made for those, and the beginning leaves through the top.
    let settled = if app.run.step > 100 && !app.ui.log_scale { app.run.step / 10 } else { 0 };
    let full = app.run.full.iter().filter(|f| f.step >= settled).map(|f| f.loss);
    let floor = app.run.started.as_ref().and_then(|s| s.floor);
    let steps = buckets.iter().filter(|b| b.step >= settled).flat_map(|b| [b.low, b.high]);
    let all = steps.chain(full).chain(floor);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for loss in all {
        (low, high) = (low.min(f64::from(loss)), high.max(f64::from(loss)));
    }
    if buckets.is_empty() && app.run.full.is_empty() {
        return None;
    }
    let mut scale = Scale { low, high, is_log: app.ui.log_scale, steps: app.run.step.max(20) as f64, dots };
    (scale.low, scale.high) = (scale.transformed(low), scale.transformed(high));
    let margin = ((scale.high - scale.low) * 0.04).max(1e-6);
    (scale.low, scale.high) = (scale.low - margin, scale.high + margin);
    Some(scale)
}

fn axes(scale: &Scale, look: &Look, area: Rect, plot: Rect, buf: &mut Buffer) {
    let dim = Style::new().fg(look.theme.dim);
    let [upright, corner, flat, tick] =
        if look.is_ascii() { ["|", "+", "-", "+"] } else { ["│", "└", "─", "┤"] };
    let every = if plot.height >= 12 { 4 } else { 3 };
    for row in 0..plot.height {
        let is_tick = row % every == 0;
        buf.set_string(plot.x - 1, plot.y + row, if is_tick { tick } else { upright }, dim);
        if is_tick {
            let value = scale.at((f64::from(row) + 0.5) / f64::from(plot.height));
            let digits = if value.abs() >= 100.0 {
                0
            } else if value.abs() >= 10.0 {
                1
            } else {
                2
            };
            buf.set_stringn(area.x, plot.y + row, format!("{value:>5.digits$}"), usize::from(LABELS), dim);
        }
    }
    let y = plot.bottom();
    buf.set_string(plot.x - 1, y, corner, dim);
    for x in plot.left()..plot.right() {
        buf.set_string(x, y, flat, dim);
    }
    let mut free_from = 0;
    for quarter in 0..=4u16 {
        let text = short(scale.steps * f64::from(quarter) / 4.0);
        let width = text.len() as u16;
        let x = (plot.x + (plot.width - 1) * quarter / 4).min(plot.right().saturating_sub(width));
        if x >= free_from {
            buf.set_string(x, y, &text, dim);
            free_from = x + width + 2;
        }
    }
    if free_from > 0 && plot.width > 30 {
        buf.set_string(area.x, y, " step", dim);
    }
}
