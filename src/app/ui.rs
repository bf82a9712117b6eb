//! What the person at the keyboard has chosen, apart from what the run is.
//!
//! Whatever has a state of its own keeps it in a struct in its own file; [`Ui`] has a field of it.

use super::chart::ChartView;
use super::editor::Editor;
use super::help::Help;
use super::log_view::LogView;
use super::palette::Palette;
use super::runs::Runs;
use super::screen::{Pane, Screen};
use super::strip_view::StripView;
use super::themes::Themes;
use crate::event::{Command, What};

/// What lies over the screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The list of keys.
    Help(Help),
    /// The command palette.
    Palette(Palette),
    /// A question before a command.
    Confirm(Command),
    /// How to leave.
    Quit,
    /// The schedule editor.
    Schedule(Editor),
    /// What can be measured.
    Menu,
}

/// How much room there was for what is scrolled, when it was last drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Rows of the pane with the focus.
    pub rows: usize,
    /// Columns of the strip.
    pub strip: usize,
    /// Lines of a run's details that it had no room for.
    pub details: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { rows: 1, strip: 60, details: 0 }
    }
}

/// What the person has chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ui {
    /// The screen that is shown.
    pub screen: Screen,
    /// Of each screen, by [`Screen::index`]: the place of the pane that has the focus.
    pub focus: [usize; Screen::ALL.len()],
    /// Whether the focused pane has the screen to itself.
    pub expanded: bool,
    /// What lies over the screen.
    pub overlay: Overlay,
    /// The stage whose path length +/- change; the current one if none.
    pub selected_stage: Option<usize>,
    /// How the loss is looked at.
    pub chart: ChartView,
    /// The themes there are, and the one that is shown.
    pub themes: Themes,
    /// Which part of the run the strip shows.
    pub strip: StripView,
    /// Which lines of the log are shown.
    pub log: LogView,
    /// Alerts that were looked at.
    pub alerts_seen: usize,
    /// Lines by which the focused list is scrolled away from where it begins by itself: its newest line, or its top.
    pub scroll: usize,
    /// How much room there was.
    pub room: Room,
    /// Lines that were typed into the palette, the oldest first.
    pub typed: Vec<String>,
    /// Whether the mouse is left to the terminal.
    pub is_mouse_off: bool,
    /// The pane that was clicked last, and when.
    pub clicked: Option<(Pane, u64)>,
    /// The page of what was measured.
    pub page: usize,
    /// A measurement that was asked for to be looked at.
    pub asked: Option<What>,
    /// Whether the next series that comes is it.
    pub shows_next: bool,
    /// Whether the news that the run has failed were read.
    pub has_read_failure: bool,
    /// Something to tell.
    pub notice: Option<String>,
    /// When Ctrl-C was last pressed.
    pub interrupted_us: Option<u64>,
    /// Leave once the run has ended.
    pub is_leaving: bool,
    /// The Runs screen.
    pub runs: Runs,
}

impl Ui {
    /// Keeps what was chosen while another run was shown and is meant for any.
    pub fn keep_from(&mut self, before: &mut Self) {
        self.runs = std::mem::take(&mut before.runs);
        (self.typed, self.is_mouse_off) = (std::mem::take(&mut before.typed), before.is_mouse_off);
        std::mem::swap(&mut self.themes, &mut before.themes);
    }
}
