//! What can be done on the screen: the type of the one table that keys, footer, help, palette, mouse and README share.
//!
//! `table` holds the rows; `keymap` knows which key does what where, after the user's changes; `argument` reads what a
//! command takes. To add an action: a variant here, a row there, an arm in `perform`.

mod table;

pub use table::ACTIONS;

use super::argument::Kind;
use super::chart::ChartAction;
use super::keys::Key;
use super::runs::Act;
use super::{Pane, Screen};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pause or resume; play or pause a replay.
    Toggle,
    /// Train one step, or as many as are told.
    Step,
    /// A longer layer path.
    Longer,
    /// A shorter layer path.
    Shorter,
    /// A path length for a stage.
    PathLength,
    /// Choose a later stage for +/-.
    SelectNext,
    /// Choose an earlier stage for +/-.
    SelectPrevious,
    /// Choose a stage for +/- by its number.
    SelectStage,
    /// The schedule editor.
    Schedule,
    /// End the stage.
    NextStage,
    /// Back to the stage before.
    PreviousStage,
    /// Evaluate the full model.
    Evaluate,
    /// Evaluate over path lengths.
    Curve,
    /// The menu of measurements, or one of them.
    Measure,
    /// Write a checkpoint.
    Save,
    /// A higher learning rate.
    Faster,
    /// A lower learning rate.
    Slower,
    /// A factor on the scheduled learning rate.
    Rate,
    /// A note in the recording.
    Note,
    /// A screen.
    Show(Screen),
    /// Another run beside this one, or no longer.
    Compare,
    /// Something on the Runs screen.
    Runs(Act),
    /// The pane after this.
    FocusNext,
    /// The pane before this.
    FocusPrevious,
    /// The pane alone.
    Expand,
    /// One level back.
    Back,
    /// Scroll up.
    ScrollUp,
    /// Scroll down.
    ScrollDown,
    /// Scroll up by a page.
    PageUp,
    /// Scroll down by a page.
    PageDown,
    /// Something with the loss's chart.
    Chart(ChartAction),
    /// The page after this of what was measured.
    PageOn,
    /// The page before this of what was measured.
    PageBack,
    /// Fewer steps per column of the strip.
    StripFiner,
    /// More steps per column of the strip.
    StripCoarser,
    /// Older columns of the strip.
    StripOlder,
    /// Newer columns of the strip.
    StripNewer,
    /// The strip as it was.
    StripReset,
    /// The log of everybody, or of one.
    LogFrom,
    /// The lines of the log that hold a text.
    LogSearch,
    /// The next theme.
    Theme,
    /// The theme picker.
    Themes,
    /// The pane as files.
    Export,
    /// The list of keys.
    Help,
    /// The command palette.
    Palette,
    /// Whether the mouse is listened to.
    Mouse,
    /// Leave.
    Quit,
    /// As a terminal's interrupt.
    Interrupt,
    /// Suspend the process.
    Suspend,
    /// Draw anew.
    Redraw,
    /// One step on in a replay.
    FrameOn,
    /// One step back in a replay.
    FrameBack,
    /// A twentieth on in a replay.
    JumpOn,
    /// A twentieth back in a replay.
    JumpBack,
    /// To a step of a replay.
    Goto,
    /// The next stage in a replay.
    StageOn,
    /// The stage before in a replay.
    StageBack,
    /// A replay's beginning.
    Start,
    /// A replay's end.
    End,
    /// To a replay's end, and stay there.
    Follow,
    /// Twice as fast.
    SpeedUp,
    /// Half as fast.
    SpeedDown,
}

/// What the screen shows the events of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A run that is being trained.
    Run,
    /// A recording.
    Replay,
    /// An experiment's runs.
    Experiment,
}

/// In which modes an action means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a live run; it changes the run.
    Run,
    /// In a replay.
    Replay,
    /// In a live run and in a replay.
    Anywhere,
    /// While an experiment is trained.
    Experiment,
    /// In each of these.
    Always,
}

impl Scope {
    /// Whether an action of this scope can be done in a mode.
    pub fn holds_in(self, mode: Mode) -> bool {
        match self {
            Self::Run => mode == Mode::Run,
            Self::Replay => mode == Mode::Replay,
            Self::Anywhere => mode != Mode::Experiment,
            Self::Experiment => mode == Mode::Experiment,
            Self::Always => true,
        }
    }
}

/// Where on the screen an action is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Whatever has the focus.
    Everywhere,
    /// While one of these screens is shown; there it goes before what the key means elsewhere.
    Screens(&'static [Screen]),
    /// While one of these panes has the focus; there it goes before all else.
    Panes(&'static [Pane]),
}

impl On {
    /// A screen on which it is meant.
    pub fn screen(self) -> Option<Screen> {
        match self {
            Self::Everywhere => None,
            Self::Screens(screens) => screens.first().copied(),
            Self::Panes(panes) => Screen::ALL.into_iter().find(|s| s.panes().iter().any(|p| panes.contains(p))),
        }
    }

    /// How closely this place is meant: 0 is not at all, the highest goes first.
    pub fn rank(self, screen: Screen, pane: Pane) -> u8 {
        match self {
            Self::Everywhere => 1,
            Self::Screens(screens) => 2 * u8::from(screens.contains(&screen)),
            Self::Panes(panes) => 3 * u8::from(panes.contains(&pane)),
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its name in the palette and in the user's config, as in `next-stage`.
    pub name: &'static str,
    /// Keys that do it unless the user says otherwise; the first is shown.
    pub keys: &'static [Key],
    /// What is done.
    pub action: Action,
    /// In which modes.
    pub scope: Scope,
    /// Where on the screen.
    pub on: On,
    /// What the palette can give it.
    pub takes: Kind,
    /// Whether it can't do without.
    pub is_needed: bool,
    /// A word for the footer; empty: help only.
    pub label: &'static str,
    /// A sentence for the help.
    pub help: &'static str,
}

impl Binding {
    /// The same, meant only there.
    #[must_use]
    pub const fn on(self, on: On) -> Self {
        Self { on, ..self }
    }

    /// The same, which takes that.
    #[must_use]
    pub const fn takes(self, takes: Kind) -> Self {
        Self { takes, ..self }
    }

    /// The same, which needs that.
    #[must_use]
    pub const fn needs(self, takes: Kind) -> Self {
        Self { takes, is_needed: true, ..self }
    }
}

const fn row(
    name: &'static str,
    keys: &'static [Key],
    action: Action,
    scope: Scope,
    label: &'static str,
    help: &'static str,
) -> Binding {
    let (on, takes) = (On::Everywhere, Kind::Nothing);
    Binding { name, keys, action, scope, on, takes, is_needed: false, label, help }
}

const fn c(c: char) -> Key {
    Key::Char(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_a_sentence() {
        for mode in [Mode::Run, Mode::Replay, Mode::Experiment] {
            let rows: Vec<_> = ACTIONS.iter().filter(|b| b.scope.holds_in(mode)).collect();
            let names: std::collections::HashSet<_> = rows.iter().map(|b| b.name).collect();
            assert_eq!(names.len(), rows.len(), "a name means two things in {mode:?}");
        }
        for b in ACTIONS {
            assert!(b.help.ends_with('.') && b.help.len() <= 66, "{}: {}", b.name, b.help.len());
            assert!(b.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", b.name);
        }
    }
}
