//! The screens: which there are, which panes each has, in the order of Tab.
//!
//! A new screen is a variant here with its number, its name and its panes, and a file in `view/screen`.

/// A screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Screen {
    /// The run at a glance.
    #[default]
    Train,
    /// Which layers are active.
    Layers,
    /// The loss, large.
    Loss,
    /// What the full model can, and what was measured.
    Eval,
    /// What happened.
    Log,
    /// What there is to open.
    Runs,
}

impl Screen {
    /// Every one, by number.
    pub const ALL: [Self; 6] = [Self::Train, Self::Layers, Self::Loss, Self::Eval, Self::Log, Self::Runs];

    /// The digit that chooses it.
    pub fn number(self) -> char {
        match self {
            Self::Train => '1',
            Self::Layers => '2',
            Self::Loss => '3',
            Self::Eval => '4',
            Self::Log => '5',
            Self::Runs => '6',
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "Train",
            Self::Layers => "Layers",
            Self::Loss => "Loss",
            Self::Eval => "Eval",
            Self::Log => "Log",
            Self::Runs => "Runs",
        }
    }

    /// Its panes, in the order of Tab; the first has the focus when it is first shown.
    pub fn panes(self) -> &'static [Pane] {
        match self {
            Self::Train => &[Pane::Loss, Pane::Strip, Pane::Layers, Pane::Machine, Pane::Transitions, Pane::Log],
            Self::Layers => &[Pane::Strip, Pane::Layers],
            Self::Loss => &[Pane::Loss, Pane::Transitions, Pane::Compare],
            Self::Eval => &[Pane::Measured, Pane::FullLoss, Pane::Evaluations],
            Self::Log => &[Pane::Log, Pane::Alerts],
            Self::Runs => &[Pane::Runs, Pane::RunDetails],
        }
    }

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|s| *s == self).unwrap_or(0)
    }
}

/// A pane of a screen; `view::panel` has a panel for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pane {
    /// Loss over steps.
    Loss,
    /// Layers over steps.
    Strip,
    /// Each layer's activity against its expectation.
    Layers,
    /// What changes of path length did.
    Transitions,
    /// Other runs beside this one.
    Compare,
    /// What a step's time goes to, and what the process uses.
    Machine,
    /// The full model's loss.
    FullLoss,
    /// The evaluations.
    Evaluations,
    /// What was measured.
    Measured,
    /// What happened.
    Log,
    /// What a person would want to be called for.
    Alerts,
    /// What there is to open.
    Runs,
    /// What there is to say of what is chosen there.
    RunDetails,
}
