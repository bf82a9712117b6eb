//! The panels: one file each, and the table of those that can have the focus.
//!
//! A new panel is a new file here, its pane in `app::screen`, and a line in [`of`].

mod alerts;
mod compare;
pub(super) mod dialog;
pub(super) mod editor;
mod evaluations;
pub(super) mod footer;
mod full_loss;
pub(super) mod header;
pub(super) mod help;
mod layers;
mod log;
pub(super) mod loss;
mod machine;
mod measured;
pub(super) mod menu;
pub(super) mod palette;
pub(super) mod run_details;
pub(super) mod runs;
pub(super) mod scrub;
pub(super) mod stages;
pub(super) mod strip;
pub(super) mod tabs;
pub(super) mod themes;
mod transitions;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Look;
use crate::app::{App, Pane};

/// Something that is drawn into a frame.
pub(super) trait Panel {
    /// What it shows, in at most `width` columns.
    fn title(&self, app: &App, width: u16) -> String;

    /// Draws it. The area has at least one cell.
    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer);
}

/// The panel of a pane.
pub(super) fn of(pane: Pane) -> &'static dyn Panel {
    match pane {
        Pane::Loss => &loss::Loss,
        Pane::Strip => &strip::Strip,
        Pane::Layers => &layers::Layers,
        Pane::Transitions => &transitions::Transitions,
        Pane::Compare => &compare::Compare,
        Pane::Machine => &machine::Machine,
        Pane::FullLoss => &full_loss::FullLoss,
        Pane::Evaluations => &evaluations::Evaluations,
        Pane::Measured => &measured::Measured,
        Pane::Log => &log::Log,
        Pane::Runs => &runs::Runs,
        Pane::RunDetails => &run_details::RunDetails,
        Pane::Alerts => &alerts::Alerts,
    }
}
