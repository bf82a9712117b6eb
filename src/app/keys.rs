//! The keys: one table from which dispatch, footer, help and the README's list are made.

use Action as A;

use super::screen::Screen;

/// A key as the app knows it, apart from any terminal library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A character, as typed (shift included).
    Char(char),
    /// Control and a letter.
    Ctrl(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
}

impl Key {
    /// Its name for people.
    pub fn name(self) -> String {
        match self {
            Self::Char(' ') => "Space".to_owned(),
            Self::Char(c) => c.to_string(),
            Self::Ctrl(c) => format!("Ctrl-{}", c.to_ascii_uppercase()),
            Self::BackTab => "Shift-Tab".to_owned(),
            Self::Up => "↑".to_owned(),
            Self::Down => "↓".to_owned(),
            Self::Left => "←".to_owned(),
            Self::Right => "→".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pause or resume; play or pause a replay.
    Toggle,
    /// Train one step, or as many as were typed.
    Step,
    /// A longer layer path.
    Longer,
    /// A shorter layer path.
    Shorter,
    /// Choose a later stage for +/-.
    SelectNext,
    /// Choose an earlier stage for +/-.
    SelectPrevious,
    /// End the stage.
    NextStage,
    /// Back to the stage before.
    PreviousStage,
    /// Evaluate the full model.
    Evaluate,
    /// Evaluate over path lengths.
    Curve,
    /// The menu of measurements.
    Measure,
    /// What was measured.
    Measured,
    /// Write a checkpoint.
    Save,
    /// A higher learning rate.
    Faster,
    /// A lower learning rate.
    Slower,
    /// A screen.
    Show(Screen),
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
    /// Log scale.
    LogScale,
    /// How the loss is smoothed.
    Smoothing,
    /// The next theme.
    Theme,
    /// The list of keys.
    Help,
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
    /// The next stage in a replay.
    StageOn,
    /// The stage before in a replay.
    StageBack,
    /// A replay's beginning.
    Start,
    /// A replay's end.
    End,
    /// Twice as fast.
    SpeedUp,
    /// Half as fast.
    SpeedDown,
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a live run; it changes the run.
    Run,
    /// In a replay.
    Replay,
    /// Anywhere.
    Anywhere,
}

/// A row of the table.
#[derive(Debug)]
pub struct Binding {
    /// Keys that do it; the first is shown.
    pub keys: &'static [Key],
    /// What they do.
    pub action: Action,
    /// Where.
    pub scope: Scope,
    /// A word for the footer; empty: help only.
    pub label: &'static str,
    /// A sentence for the help.
    pub help: &'static str,
}

const fn row(keys: &'static [Key], action: Action, scope: Scope, label: &'static str, help: &'static str) -> Binding {
    Binding { keys, action, scope, label, help }
}

const fn c(c: char) -> Key {
    Key::Char(c)
}

/// Every key.
pub static KEYS: &[Binding] = &[
    row(&[c(' ')], A::Toggle, Scope::Run, "pause", "Pause training, or resume it."),
    row(&[c('.')], A::Step, Scope::Run, "step", "While paused, train one step."),
    row(&[c('+'), c('=')], A::Longer, Scope::Run, "longer", "One more active layer in this (or the chosen) stage."),
    row(&[c('-')], A::Shorter, Scope::Run, "shorter", "One active layer less in this (or the chosen) stage."),
    row(&[c(']')], A::SelectNext, Scope::Run, "", "Choose a later stage for + and -; Esc goes back to the current."),
    row(&[c('[')], A::SelectPrevious, Scope::Run, "", "Choose an earlier one."),
    row(
        &[c('n')],
        A::NextStage,
        Scope::Run,
        "next stage",
        "End this stage now. Asks first, with a forecast of the loss.",
    ),
    row(&[c('p')], A::PreviousStage, Scope::Run, "", "Back to the stage before for half of what is left. Asks first."),
    row(&[c('E')], A::Evaluate, Scope::Run, "evaluate", "Evaluate the full model now."),
    row(&[c('C')], A::Curve, Scope::Run, "", "Evaluate at every path length and show the losses."),
    row(&[c('M')], A::Measure, Scope::Run, "", "Measure: curve, forecast, stability, norms, gradients, pruning."),
    row(&[c('c')], A::Save, Scope::Run, "save", "Write a checkpoint now."),
    row(&[c('}')], A::Faster, Scope::Run, "", "Learning rate x 1.25 from now on."),
    row(&[c('{')], A::Slower, Scope::Run, "", "Learning rate / 1.25 from now on."),
    row(&[c(' ')], A::Toggle, Scope::Replay, "play", "Play, or pause."),
    row(&[c('.')], A::FrameOn, Scope::Replay, "step", "One step on."),
    row(&[c(',')], A::FrameBack, Scope::Replay, "back", "One step back."),
    row(&[Key::Right], A::JumpOn, Scope::Replay, "", "On by a twentieth of the run."),
    row(&[Key::Left], A::JumpBack, Scope::Replay, "", "Back by a twentieth of the run."),
    row(&[c(']')], A::StageOn, Scope::Replay, "next stage", "To the next stage."),
    row(&[c('[')], A::StageBack, Scope::Replay, "", "To the stage before."),
    row(&[Key::Home, c('g')], A::Start, Scope::Replay, "", "To the beginning."),
    row(&[Key::End, c('G')], A::End, Scope::Replay, "", "To the end."),
    row(&[c('>')], A::SpeedUp, Scope::Replay, "faster", "Twice as fast."),
    row(&[c('<')], A::SpeedDown, Scope::Replay, "slower", "Half as fast."),
    row(&[c('1')], A::Show(Screen::Train), Scope::Anywhere, "", "The run at a glance."),
    row(&[c('2')], A::Show(Screen::Layers), Scope::Anywhere, "", "Layers: which are active, and how often."),
    row(&[c('3')], A::Show(Screen::Loss), Scope::Anywhere, "", "The loss, large."),
    row(&[c('5')], A::Show(Screen::Log), Scope::Anywhere, "", "What happened."),
    row(&[Key::Tab], A::FocusNext, Scope::Anywhere, "panel", "To the next panel."),
    row(&[Key::BackTab], A::FocusPrevious, Scope::Anywhere, "", "To the panel before."),
    row(&[c('e'), Key::Enter], A::Expand, Scope::Anywhere, "expand", "Show the panel alone, or all again."),
    row(&[Key::Esc], A::Back, Scope::Anywhere, "", "One level back."),
    row(&[Key::Up, c('k')], A::ScrollUp, Scope::Anywhere, "", "Scroll the panel up."),
    row(&[Key::Down, c('j')], A::ScrollDown, Scope::Anywhere, "", "Scroll the panel down."),
    row(&[c('y')], A::LogScale, Scope::Anywhere, "log", "Loss on a log scale, or a linear one."),
    row(&[c('s')], A::Smoothing, Scope::Anywhere, "", "How strongly the loss is smoothed: .9, .98, .995."),
    row(&[c('m')], A::Measured, Scope::Anywhere, "", "What was measured, and the time of a step; arrows turn pages."),
    row(&[c('t')], A::Theme, Scope::Anywhere, "theme", "The next theme."),
    row(&[c('?')], A::Help, Scope::Anywhere, "help", "This list."),
    row(&[c('q')], A::Quit, Scope::Anywhere, "quit", "Leave: save and stop, abort, or stay."),
    row(&[Key::Ctrl('c')], A::Interrupt, Scope::Anywhere, "", "Save, stop and leave; a second time within 3 s aborts."),
    row(&[Key::Ctrl('z')], A::Suspend, Scope::Anywhere, "", "Suspend the program; training stands still until fg."),
    row(&[Key::Ctrl('l')], A::Redraw, Scope::Anywhere, "", "Draw the screen anew."),
];

/// Every key of an experiment's screen.
pub static EXPERIMENT_KEYS: &[Binding] = &[
    row(&[c(' ')], A::Toggle, Scope::Run, "pause", "Pause training, or resume it."),
    row(&[c('k'), Key::Up], A::ScrollUp, Scope::Anywhere, "", "Scroll the table up."),
    row(&[c('j'), Key::Down], A::ScrollDown, Scope::Anywhere, "scroll", "Scroll the table down."),
    row(&[Key::Esc], A::Back, Scope::Anywhere, "", "Back to the run that is being trained."),
    row(&[c('y')], A::LogScale, Scope::Anywhere, "log", "Loss on a log scale, or a linear one."),
    row(&[c('s')], A::Smoothing, Scope::Anywhere, "", "How strongly the loss is smoothed: .9, .98, .995."),
    row(&[c('t')], A::Theme, Scope::Anywhere, "theme", "The next theme."),
    row(&[c('?')], A::Help, Scope::Anywhere, "help", "This list."),
    row(&[c('q')], A::Quit, Scope::Anywhere, "save and leave", "Save the run and leave; the same command goes on."),
    row(&[Key::Ctrl('c')], A::Interrupt, Scope::Anywhere, "", "As q; a second time within 3 s leaves without saving."),
    row(&[Key::Ctrl('z')], A::Suspend, Scope::Anywhere, "", "Suspend the program; training stands still until fg."),
    row(&[Key::Ctrl('l')], A::Redraw, Scope::Anywhere, "", "Draw the screen anew."),
];

/// What a key does, live or in a replay.
pub fn find(key: Key, is_replay: bool) -> Option<&'static Binding> {
    bindings(is_replay).find(|b| b.keys.contains(&key))
}

/// The rows that mean something, live or in a replay.
pub fn bindings(is_replay: bool) -> impl Iterator<Item = &'static Binding> {
    let other = if is_replay { Scope::Run } else { Scope::Replay };
    KEYS.iter().filter(move |b| b.scope != other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_and_each_has_help() {
        for is_replay in [false, true] {
            let keys: Vec<Key> = bindings(is_replay).flat_map(|b| b.keys).copied().collect();
            let distinct: std::collections::HashSet<_> = keys.iter().collect();
            assert_eq!(keys.len(), distinct.len());
            let screen = |s: Screen| find(Key::Char(s.number()), is_replay).map(|b| b.action);
            assert!(Screen::ALL.into_iter().all(|s| screen(s) == Some(A::Show(s))));
        }
        assert!(KEYS.iter().all(|b| b.help.ends_with('.') && !b.keys.is_empty()));
    }
}
