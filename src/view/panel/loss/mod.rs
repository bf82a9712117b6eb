//! The loss over steps, tokens, FLOPs or time: each step's range dim, the smoothed line bright, the full model's
//! evaluations as diamonds, other runs dashed, changes of path length as upright lines, the entropy floor where it is
//! known, and a crosshair with exact figures.
//!
//! The training loss is that of subnetworks; only the diamonds are the full model's. `app::chart` knows what is shown;
//! here it is drawn: `plot` has the axes, `lines` the curves, `marks` what happened, `crosshair` the figures at a step.

mod crosshair;
mod lines;
mod marks;
mod plot;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Look, Panel};
use crate::app::App;
use crate::app::chart::axis::XAxis;
use crate::app::chart::window::Window;
pub(in crate::view) use lines::swatch;
use plot::Plot;

/// How far along the curves' width a column lies; none: nothing is drawn.
pub(in crate::view) fn share_at(app: &App, area: Rect, x: u16) -> Option<f64> {
    let plot = Plot::new(app, area).filter(|_| area.width >= LEAST.0 && area.height >= LEAST.1)?;
    let dot = 2.0 * (f64::from(x) - f64::from(plot.area.x)) + 0.5;
    Some((dot / f64::from(plot.dots().0 - 1)).clamp(0.0, 1.0))
}

pub(super) struct Loss;

/// The least columns and rows of a chart.
const LEAST: (u16, u16) = (10, 3);

impl Panel for Loss {
    fn title(&self, app: &App, width: u16) -> String {
        let view = &app.ui.chart;
        let unit = app.run.started.as_ref().map_or("nats per token", |s| &s.loss_unit);
        let mut how = vec![format!("ema {}", view.smoothing.weight())];
        let mut say = |is_so: bool, text: &str| {
            if is_so {
                how.push(text.to_owned());
            }
        };
        say(view.restarts, "anew by stage");
        say(view.is_log, "log");
        say(view.is_robust, "1-99 %");
        let axis = view.axis.name(&app.run);
        say(view.axis != XAxis::Steps, &format!("by {axis}"));
        say(matches!(view.window, Window::Tail(_)), "zoomed");
        // A picture that stands still must not be taken for a run that does.
        say(!view.window.follows(), "FROZEN, f follows");
        let how = how.join(", ");
        let fits = |text: &String| text.chars().count() <= usize::from(width);
        let texts = [
            format!("Loss, {unit}: subnetwork ({how})   ◆ full model"),
            format!("Loss ({how})  ◆ full model"),
            format!("Loss ({how})"),
        ];
        texts.into_iter().find(fits).unwrap_or_else(|| "Loss".to_owned())
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        if area.width < LEAST.0 || area.height < LEAST.1 {
            return;
        }
        let Some(plot) = Plot::new(app, area) else {
            let (text, style) = ("no step has been trained yet", Style::new().fg(look.theme.dim));
            buf.set_stringn(area.x + 1, area.y, text, usize::from(area.width - 1), style);
            return;
        };
        plot.draw_axes(app, look, buf);
        marks::draw(app, look, &plot, buf);
        lines::draw(app, look, &plot, buf);
        marks::draw_labels(app, look, &plot, buf);
        crosshair::draw(app, look, &plot, buf);
    }
}
