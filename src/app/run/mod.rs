//! The run as the screen knows it: what is known, here, and how each event changes that, in `fold`.
//!
//! Memory is bounded whatever the run's length. Never asks anybody anything: what isn't in an event isn't here.

mod fold;

use std::collections::VecDeque;

use super::alerts::{Alert, SpikeWatch};
use super::history::{History, Spent};
use super::path_levels::PathLevels;
use crate::event::{Cause, Ending, Forked, Measurement, Score, Started, Transition, Why};
use crate::layer_path::LayerPath;
use crate::schedule::Schedule;
use crate::step_time::StepTimes;

/// One step as the strip shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathAt {
    /// The step.
    pub step: u64,
    /// Its stage.
    pub stage: usize,
    /// Its layers.
    pub path: LayerPath,
    /// Layers that existed, from the input on.
    pub existing: usize,
}

/// The full model's loss, measured between steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Steps trained.
    pub step: u64,
    /// In the run's unit.
    pub loss: f32,
    /// What had been spent by then.
    pub spent: Spent,
}

/// A change of stage or path length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The first step with it.
    pub step: u64,
    /// 0-based.
    pub stage: usize,
    /// The path length before; the same if only the table changed, 0 at the beginning.
    pub from: usize,
    /// The path length from then on.
    pub to: usize,
    /// Whether a person made it so.
    pub by_hand: bool,
}

/// The loss at a path length on the batches of a transition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Steps trained.
    pub step: u64,
    /// Active layers.
    pub path_length: usize,
    /// In the run's unit.
    pub loss: f32,
    /// Whether it was taken just before the first step of the new length.
    pub is_entry: bool,
}

/// An evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Steps trained.
    pub step: u64,
    /// What asked for it.
    pub why: Why,
    /// One row per path length.
    pub scores: Vec<Score>,
}

/// Who a log line is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The schedule.
    Schedule,
    /// The person.
    You,
    /// The run itself.
    Run,
    /// Something went wrong.
    Alarm,
}

/// A line of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The step it belongs to.
    pub step: u64,
    /// Wall time since the run began, microseconds.
    pub us: u64,
    /// Who it is from.
    pub from: From,
    /// What happened.
    pub text: String,
}

/// The stage that steps are trained in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageNow {
    /// 0-based.
    pub index: usize,
    /// Active layers per step.
    pub path_length: usize,
    /// Whether a person made it so.
    pub by_hand: bool,
    /// The probability of each layer to be active: the mean over the stage's steps.
    pub expected: Vec<f32>,
    /// The probability in the next step.
    pub expected_now: Vec<f32>,
    /// Steps trained in it.
    pub steps: u64,
    /// Visits of each layer in it.
    pub visits: Vec<u64>,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub cause: Cause,
    /// One sentence.
    pub reason: String,
    /// The newest checkpoint.
    pub last_checkpoint: Option<String>,
}

/// The run as folded from its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// What is known before the first step.
    pub started: Option<Started>,
    /// Where it comes from, if it didn't begin at step 0.
    pub forked: Option<Forked>,
    /// What slow thing is under way: what, done, total.
    pub progress: Option<(String, u64, u64)>,
    /// The table as it stands.
    pub schedule: Option<Schedule>,
    /// Steps at which a person changed the table.
    pub edits: Vec<u64>,
    /// The stage that steps are trained in.
    pub stage: StageNow,
    /// Where stages or path lengths changed, the beginning included.
    pub changes: Vec<Change>,
    /// What was measured around transitions, oldest first.
    pub probes: VecDeque<Probe>,
    /// Steps trained.
    pub step: u64,
    /// Loss, layer path, learning rate, gradient norm of the last step.
    pub last: Option<(f32, LayerPath, f32, f32)>,
    /// Loss over steps.
    pub history: History,
    /// Recent layer paths, oldest first.
    pub paths: VecDeque<PathAt>,
    /// Layer paths of the whole run, summed over spans of steps.
    pub path_levels: PathLevels,
    /// Visits of each layer over the whole run.
    pub visits: Vec<u64>,
    /// The step each layer was last active in.
    pub last_seen: Vec<Option<u64>>,
    /// Evaluations of the full model.
    pub full: Vec<Measured>,
    /// Evaluations, but for those of transitions.
    pub evaluations: VecDeque<Evaluation>,
    /// The newest series of each name, in the order of their first coming.
    pub measured: Vec<Measurement>,
    /// Times of steps.
    pub step_times: StepTimes,
    /// Transitions.
    pub transitions: Vec<Transition>,
    /// What a person would want to be called for.
    pub alerts: Vec<Alert>,
    spikes: SpikeWatch,
    /// The event log.
    pub log: VecDeque<Line>,
    /// Whether it is paused.
    pub is_paused: bool,
    /// Steps granted while paused.
    pub granted: u64,
    /// Factor on the learning rate.
    pub learning_rate_scale: Option<f32>,
    /// The newest checkpoint.
    pub last_checkpoint: Option<String>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Layers that exist, where the model grows; none: all do.
    pub existing: Option<usize>,
    /// Heads and groups of columns that the last step computed of each layer; empty: all.
    pub parts: (Vec<String>, Vec<String>),
    /// Whether the next step computes parts alone.
    is_partial: bool,
    /// FLOPs spent, and what full training would have spent.
    pub flops: (f64, f64),
    /// Microseconds and FLOPs of recent steps.
    pub(in crate::app) recent: VecDeque<(u64, f64)>,
    /// Time of the last event if it was a step.
    stepped_us: Option<u64>,
    /// Time of the newest event that a step's own time can be counted from.
    counted_us: u64,
    /// Microseconds in which steps were trained.
    active_us: u64,
    /// Time of the newest event.
    pub us: u64,
}
