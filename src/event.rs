//! The protocol: every event a trainer sends and every command it takes, on one screen.
//!
//! Screen, headless output, recording, replay, export and tests all read these same events. On one machine the sequence
//! of events is a function of (config, commands) alone: wall time lives only in [`Stamped`]. Numbers are always finite
//! (a non-finite loss becomes [`Event::Failed`]), since JSON has no other.

use serde::{Deserialize, Serialize};

use crate::layer_path::LayerPath;
pub use crate::measurement::{Measurement, What};
use crate::method::Moments;
use crate::note::Note;
use crate::schedule::Schedule;

/// The version of the event format; raised when an old reader could no longer make sense of it.
pub const FORMAT: u32 = 1;

/// What [`Event::Progress`] says is being done while the model is evaluated.
pub const EVALUATING: &str = "evaluating";

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first event of a run.
    Started(Box<Started>),
    /// The run goes on from a checkpoint; events numbered `keep` and up, if any, happened on a branch that was lost.
    Resumed {
        /// The next step to be trained.
        step: u64,
        /// How many of the recording's events still hold.
        keep: u64,
        /// The checkpoint it goes on from.
        file: String,
        /// What was wrong with newer ones, one sentence each.
        damaged: Vec<String>,
    },
    /// A new run begins with another's checkpoint. What stands before it, but for `started`, happened in the parent and is
    /// copied here, so that the run is whole by itself.
    Forked(Forked),
    /// Something slow is under way (never recorded: it depends on the clock).
    Progress {
        /// What is being done, as in "tokenising".
        what: String,
        /// Units done.
        done: u64,
        /// Units in all; 0 where that isn't known.
        total: u64,
    },
    /// A stage begins, or its path length or the table was changed by hand.
    StageEntered {
        /// The first step trained with this.
        step: u64,
        /// 0-based.
        stage: usize,
        /// Active layers per step from here on.
        path_length: usize,
        /// Whether a person made it so, rather than the schedule.
        by_hand: bool,
        /// The probability of each layer, input side first, to be active in a step.
        expected: Vec<f32>,
        /// The whole table as it now stands.
        schedule: Schedule,
    },
    /// The model has gained layers; [`Event::StageEntered`] follows. Methods whose model has all layers from the beginning
    /// never send it.
    Grown {
        /// The first step trained with them.
        step: u64,
        /// Layers that existed before; 0 at the beginning of a run, where the first ones are made.
        from: usize,
        /// Layers that exist now, from the input on.
        to: usize,
        /// The old layer (0-based) that each layer is, or is a copy of; empty at the beginning of a run.
        sources: Vec<usize>,
        /// Which layers are copies.
        copies: LayerPath,
        /// What became of the moments.
        moments: Moments,
    },
    /// The probability of layers to be active has changed within a stage.
    ExpectationChanged {
        /// The first step drawn with it.
        step: u64,
        /// Of each layer, input side first.
        expected: Vec<f32>,
    },
    /// The step that follows computes only parts of each layer.
    PartsDrawn {
        /// The step.
        step: u64,
        /// Of each active layer, input side first: which heads, as in `1010`.
        heads: Vec<String>,
        /// Of each active layer: which groups of the MLP's columns.
        columns: Vec<String>,
    },
    /// A person changed the table of stages; [`Event::StageEntered`] follows once a step is trained under it.
    ScheduleEdited {
        /// The first step that it may concern.
        step: u64,
        /// The whole table as it now stands.
        schedule: Schedule,
    },
    /// A training step was done.
    Stepped {
        /// 0-based.
        step: u64,
        /// 0-based.
        stage: usize,
        /// The layers that were active.
        path: LayerPath,
        /// Mean training loss of the *subnetwork* on this step's batch, in [`Started::loss_unit`].
        loss: f32,
        /// The learning rate that was used.
        learning_rate: f32,
        /// The gradient's 2-norm over active parameters, before clipping.
        gradient_norm: f32,
    },
    /// The model was evaluated between steps.
    Evaluated {
        /// Steps trained so far.
        step: u64,
        /// What asked for it.
        why: Why,
        /// One row per path length; the full model is the row whose length is the number of layers.
        scores: Vec<Score>,
    },
    /// Something beside the loss was measured between steps.
    Measured(Measurement),
    /// A transition to another path length has been followed to its end.
    TransitionMeasured(Transition),
    /// A command took effect before the step was trained.
    Applied {
        /// The step it took effect before.
        step: u64,
        /// What was asked.
        command: Command,
    },
    /// A command could not be carried out; nothing changed.
    Refused {
        /// The step it would have taken effect before.
        step: u64,
        /// What was asked.
        command: Command,
        /// One sentence.
        reason: String,
    },
    /// A checkpoint was written.
    Saved {
        /// Steps trained so far.
        step: u64,
        /// The checkpoint, relative to the run's directory.
        file: String,
        /// Checksum of all weights, so that a rerun can compare.
        weights: String,
    },
    /// The run ended in good order.
    Finished {
        /// Steps trained.
        step: u64,
        /// Why it ended.
        ending: Ending,
        /// Checksum of all weights.
        weights: String,
    },
    /// The run ended in an error; the state before the failing step was kept.
    Failed {
        /// The step that failed.
        step: u64,
        /// Why.
        cause: Cause,
        /// One sentence.
        reason: String,
        /// The newest checkpoint, if any.
        last_checkpoint: Option<String>,
    },
}

/// What is known before the first step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The program's version.
    pub version: String,
    /// The run's name.
    pub run: String,
    /// The method's name.
    pub method: String,
    /// The objective's name.
    pub objective: String,
    /// What losses are measured in.
    #[serde(default = "nats")]
    pub loss_unit: String,
    /// What a step sees so many of.
    #[serde(default = "tokens")]
    pub items: String,
    /// The device and engine, as in "cpu, 2 threads, fast".
    pub device: String,
    /// What the data is, as in "stories, 120 words".
    pub data: String,
    /// The table of stages.
    pub schedule: Schedule,
    /// Parameters of the full model.
    pub parameters: u64,
    /// Tokens (or what `items` says) that a step sees, all micro-batches.
    pub tokens_per_step: u64,
    /// Training FLOPs of one active layer in one step.
    pub layer_flops: f64,
    /// Training FLOPs of everything else (embedding, head) in one step.
    pub fixed_flops: f64,
    /// The lowest loss that any model can have on the validation text, where the text's probabilities are known.
    pub floor: Option<f32>,
    /// Checksum of the data, so that a resume or rerun on other data is noticed.
    pub data_checksum: String,
    /// Checksum of the initial weights.
    pub weights: String,
    /// The resolved config as TOML: enough to train the run again.
    pub config: String,
}

/// Where a run comes from that didn't begin at step 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forked {
    /// The parent's name: its directory below the one in which runs are kept, or, elsewhere, the whole of it.
    pub parent: String,
    /// The next step to be trained.
    pub step: u64,
    /// The parent's checkpoint, relative to the parent's directory.
    pub file: String,
    /// Checksum of its weights.
    pub weights: String,
    /// Keys of the config that are not as the parent's, each with both values.
    pub changes: Vec<String>,
}

/// Of recordings that were made when there were no others.
fn nats() -> String {
    "nats per token".to_owned()
}

fn tokens() -> String {
    "tokens".to_owned()
}

/// What asked for an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// `evaluation.every`.
    Cadence,
    /// A person.
    Command,
    /// A person, over path lengths.
    Curve,
    /// Just before the first step at another path length: old length, new length and full model, same weights.
    Transition,
    /// Some steps after a transition, on the same batches.
    Probe,
    /// The run's last.
    Final,
}

/// Why an evaluation that a person asked for was refused when a stop or a cancel cut into it; a rerun passes over such a
/// command.
pub const CUT_SHORT: &str = "cut short on request";

/// Whether a refusal's reason is [`CUT_SHORT`], as earlier versions wrote it too.
pub fn was_cut_short(reason: &str) -> bool {
    reason == CUT_SHORT || reason == "cut short by the request to stop"
}

impl Why {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cadence => "cadence",
            Self::Command => "you",
            Self::Curve => "curve",
            Self::Final => "final",
            Self::Transition => "transition",
            Self::Probe => "probe",
        }
    }
}

/// The loss at one path length, on fixed batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Active layers.
    pub path_length: usize,
    /// Mean loss, in [`Started::loss_unit`].
    pub loss: f32,
    /// Standard deviation over the batches, each with a layer path of its own.
    pub spread: f32,
    /// Batches.
    pub batches: usize,
}

/// What a change of path length did to the loss of the subnetwork, on one fixed batch set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Steps trained when this was reported.
    pub step: u64,
    /// The first step at the new path length.
    pub at: u64,
    /// 0-based stage that was entered.
    pub stage: usize,
    /// The old path length.
    pub from: usize,
    /// The new path length.
    pub to: usize,
    /// Loss at the old length, just before.
    pub before: f32,
    /// Loss at the new length, same weights.
    pub entered: f32,
    /// The highest loss at the new length from then on.
    pub peak: f32,
    /// The last loss at the new length that was measured.
    pub after: f32,
    /// Loss of the full model, just before and at the last measurement; none if it didn't exist before.
    #[serde(default)]
    pub full: Option<[f32; 2]>,
    /// Steps after which the new length's loss was no higher than `before`; none if it was not seen to be.
    pub recovered_after: Option<u64>,
}

impl Transition {
    /// When the loss was no higher than before, in words.
    pub fn recovery(&self) -> String {
        match self.recovered_after {
            None => "not recovered".to_owned(),
            Some(0) => "recovered at once".to_owned(),
            Some(1) => "recovered after 1 step".to_owned(),
            Some(n) => format!("recovered after {n} steps"),
        }
    }
}

impl Command {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Pause => "pause".to_owned(),
            Self::Resume => "resume".to_owned(),
            Self::Step { steps: 1 } => "train one step".to_owned(),
            Self::Step { steps } => format!("train {steps} steps"),
            Self::SetPathLength { stage, path_length } => {
                format!("stage {}: path length {path_length}", stage + 1)
            }
            Self::SetStageSteps { stage, steps } => format!("stage {}: {steps} steps", stage + 1),
            Self::NextStage => "next stage".to_owned(),
            Self::PreviousStage => "previous stage".to_owned(),
            Self::Evaluate => "evaluate the model".to_owned(),
            Self::EvaluateCurve => "evaluate over path lengths".to_owned(),
            Self::Measure { what } => format!("measure {}", what.name()),
            Self::Cancel => "cancel the evaluation".to_owned(),
            Self::Save => "save a checkpoint".to_owned(),
            Self::SetLearningRateScale { scale } => format!("learning rate x {scale:.3}"),
            Self::Note { text } => format!("note: {}", text.text()),
            Self::Stop => "save and stop".to_owned(),
            Self::Abort => "abort".to_owned(),
        }
    }
}

/// Why a run ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Every step was trained.
    Completed,
    /// Stopped and saved.
    Stopped,
    /// Given up without saving.
    Aborted,
}

/// The kind of a failure; the process's exit code depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Any error without a kind of its own (exit code 1).
    Error,
    /// The config can't be trained (exit code 2).
    Config,
    /// The loss or the gradient was not finite (exit code 3).
    Diverged,
    /// A data file or checkpoint could not be read (exit code 4).
    Unreadable,
}

/// Something a person asks of a run. Takes effect between steps and comes back as [`Event::Applied`] or
/// [`Event::Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Train no further step until [`Command::Resume`].
    Pause,
    /// Go on.
    Resume,
    /// While paused: train this many steps, then pause again.
    Step {
        /// At least 1.
        steps: u64,
    },
    /// Change the path length of this or a later stage.
    SetPathLength {
        /// 0-based.
        stage: usize,
        /// Active layers.
        path_length: usize,
    },
    /// Change how many steps this or a later stage lasts; the stages behind it make up for it, so that the run's length stays.
    SetStageSteps {
        /// 0-based.
        stage: usize,
        /// In all, those already trained among them.
        steps: u64,
    },
    /// End the current stage now.
    NextStage,
    /// Go back to the path length of the stage before.
    PreviousStage,
    /// Evaluate the full model now.
    Evaluate,
    /// Evaluate at every path length now, each batch with one layer path ([`What::Curve`] sees several).
    EvaluateCurve,
    /// Measure something now.
    Measure {
        /// Which.
        what: What,
    },
    /// Give up the evaluation or measurement that is under way, and those that were asked for before this.
    Cancel,
    /// Write a checkpoint now.
    Save,
    /// Multiply the scheduled learning rate from now on.
    SetLearningRateScale {
        /// 1 is the schedule itself.
        scale: f32,
    },
    /// Keep a few words in the recording; the run goes on as without.
    Note {
        /// They.
        text: Note,
    },
    /// Save and end the run.
    Stop,
    /// End the run without saving.
    Abort,
}

impl Command {
    /// Whether it ends the run, and must be honoured in the middle of whatever is under way.
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Stop | Self::Abort)
    }

    /// Whether it must be honoured in the middle of an evaluation.
    pub fn cuts_short(self) -> bool {
        self.is_urgent() || self == Self::Cancel
    }
}

/// An event with its number and wall time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// The event's place in the run, counting from 0 (events that are never recorded repeat the next one's).
    pub seq: u64,
    /// Microseconds of wall time since the run began (time between sessions left out).
    pub us: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Event {
    /// Whether it belongs into the recording (progress depends on the clock).
    pub fn is_recorded(&self) -> bool {
        !matches!(self, Self::Progress { .. })
    }

    /// Whether it is told on the way to a step: it doesn't part it from what was before, and its stamp says nothing of time.
    pub fn is_aside(&self) -> bool {
        matches!(self, Self::ExpectationChanged { .. } | Self::PartsDrawn { .. })
    }
}
