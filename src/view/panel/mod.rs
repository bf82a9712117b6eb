//! The panels: one file each, and the table of those that can have the focus.
//!
//! A new panel is a new file here, a line in [`PANELS`] and its name in `app::PANES`, in the same place.

pub(super) mod dialog;
pub(super) mod footer;
pub(super) mod header;
pub(super) mod help;
mod layers;
mod log;
mod loss;
pub(super) mod measured;
pub(super) mod menu;
pub(super) mod stages;
mod strip;
mod transitions;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Look;
use crate::app::App;

/// Something that is drawn into a frame.
pub(super) trait Panel: Sync {
    /// What it shows, in at most `width` columns.
    fn title(&self, app: &App, width: u16) -> String;

    /// Draws it. The area has at least one cell.
    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer);
}

/// Every panel, in the order of `app::PANES`.
pub(super) static PANELS: &[&dyn Panel] =
    &[&loss::Loss, &strip::Strip, &layers::Layers, &transitions::Transitions, &log::Log];
