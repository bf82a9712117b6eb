//! What happens to an experiment, for whoever shows it: the screen, or text on stderr.
//!
//! Plain values; the runs' own events come along. Wall time lives in those alone.

use crate::event::Stamped;

/// A run of an experiment, before it is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its directory's name.
    pub name: String,
    /// Its arm's name.
    pub arm: String,
    /// Its horizon, steps.
    pub horizon: u64,
    /// Its seed.
    pub seed: u64,
    /// Its learning rate; none where that is yet to be chosen.
    pub learning_rate: Option<f64>,
    /// Whether the arm's learning rate is chosen by it.
    pub is_tuning: bool,
    /// Its own steps (fewer than the horizon's where FLOPs are equal).
    pub steps: u64,
    /// FLOPs that it will take, for the time that is left.
    pub flops: f64,
}

/// How a run of an experiment stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RunState {
    /// It is yet to be trained.
    Waiting,
    /// It is being trained.
    Running,
    /// Trained to its end: the full model's loss.
    Done {
        /// Nats per predicted token.
        loss: f64,
    },
    /// Its loss was not finite.
    Diverged,
}

/// Something that happened to an experiment.
#[derive(Clone, Debug, PartialEq)]
pub enum ExperimentEvent {
    /// The first event.
    Begun {
        /// The experiment's name.
        name: String,
        /// What it asks.
        question: String,
        /// Every run, in the order of training.
        rows: Vec<RunRow>,
    },
    /// A learning rate was chosen.
    Tuned {
        /// The arm's name.
        arm: String,
        /// Its horizon, steps.
        horizon: u64,
        /// The best of those that were tried; none if every one diverged.
        learning_rate: Option<f64>,
    },
    /// A run stands otherwise than before.
    Run {
        /// Its place among the rows.
        row: usize,
        /// How it stands.
        state: RunState,
        /// Whether that was found in its directory: it was trained in an earlier session.
        from_earlier: bool,
    },
    /// An event of the run that is being trained.
    Of {
        /// Its place among the rows.
        row: usize,
        /// The event.
        stamped: Stamped,
    },
    /// Every run is done, and the table was written.
    Finished {
        /// The table, as text.
        table: String,
    },
    /// It was left before its end; what was trained is kept.
    Stopped,
    /// It can't go on.
    Failed {
        /// One sentence.
        reason: String,
    },
}
