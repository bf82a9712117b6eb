//! Methods: which network trains in a step, and how the model comes to its full depth.
//!
//! Owns the table. A new method is a new file beside this one and a line in [`METHODS`]; the config's check, `list`,
//! error texts and the tests that run over all methods read the same table. `settings` has the keys of `[method]`, `draw`
//! what several methods share. Never touches tensors.

mod constant;
mod decreasing;
mod draw;
mod full;
mod layerdrop;
mod midas;
mod pld;
mod raptr;
mod settings;
mod stacking;
mod stochastic_depth;
mod width;

pub use settings::{Axis, MethodConfig, Moments, Sampling, Scaling, Stacking, layer_number};
pub use width::parts_text;

use crate::layer_path::LayerPath;
use crate::rng::{Purpose, Rng, keyed};
use crate::schedule::{Row, Schedule, Stage};
use crate::subnetwork::Subnetwork;

/// The parts that a layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// Width of the residual stream, C.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Columns of the MLP's hidden layer.
    pub columns: usize,
}

/// What a method makes its stages of.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The keys of `[method]`.
    pub settings: &'a MethodConfig,
    /// Layers of the full model.
    pub layers: usize,
    /// The parts of each.
    pub shape: LayerShape,
    /// Steps of the whole run.
    pub steps: u64,
    /// The config's table of stages; empty if it has none.
    pub rows: &'a [Row],
}

/// One thing that is wrong with what a method was given: the key, and what would be right.
pub type Complaint = (&'static str, String);

/// Where a run stands when a method is asked.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The keys of `[method]`.
    pub settings: &'a MethodConfig,
    /// The parts of each layer.
    pub shape: LayerShape,
    /// The table of stages as it now stands.
    pub schedule: &'a Schedule,
    /// The step.
    pub step: u64,
}

impl<'a> Context<'a> {
    /// The step's stage.
    pub fn stage(&self) -> &'a Stage {
        self.schedule.lookup(self.step)
    }

    /// Layers of the full model.
    pub fn layers(&self) -> usize {
        self.schedule.layers
    }
}

/// A change of the table that a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Another path length of a stage (0-based).
    PathLength(usize),
    /// Another length of a stage (0-based) in steps.
    Steps(usize),
    /// The next stage, now.
    NextStage,
    /// Back to the stage before.
    PreviousStage,
}

/// How a model gains layers at a stage's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Layers before.
    pub from: usize,
    /// The old layer (0-based) that each of the new model's layers is, or is a copy of; input side first.
    pub sources: Vec<usize>,
    /// Which of them are the copies.
    pub copies: LayerPath,
}

/// A way to choose what trains.
pub trait Method: Sync {
    /// Its name in configs.
    fn name(&self) -> &'static str;

    /// One line for `list`.
    fn about(&self) -> &'static str;

    /// The keys of `[method]` that it reads, beside `name`. Any other must be left at its default.
    fn keys(&self) -> &'static [&'static str];

    /// The stages it trains, made of the config's; without any, one of the full model.
    ///
    /// # Errors
    /// If it can't make any of them.
    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        Ok(if given.rows.is_empty() { vec![draw::whole_run(given)] } else { given.rows.to_vec() })
    }

    /// What is wrong with the path lengths of a table: the stage (0-based, in the config's order), and what would be right.
    fn check(&self, _settings: &MethodConfig, _schedule: &Schedule) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// What should be known of a table that isn't wrong: a sentence each.
    fn notes(&self, _settings: &MethodConfig, _schedule: &Schedule) -> Vec<String> {
        Vec::new()
    }

    /// Whether a person may change the table in the midst of a run; `after` is what it would be.
    ///
    /// # Errors
    /// One sentence saying why not.
    fn allows(&self, _now: &Context<'_>, _edit: Edit, _after: &Schedule) -> Result<(), String> {
        Ok(())
    }

    /// The network that trains in a step.
    fn draw(&self, at: &Context<'_>, rng: &mut Rng) -> Subnetwork;

    /// The probability of a layer (0-based) to be active in a step.
    fn expected(&self, at: &Context<'_>, layer: usize) -> f64;

    /// Whether [`Self::expected`] changes within a stage.
    fn drifts(&self) -> bool {
        false
    }

    /// Layers' worth of work per step of a stage on average, where that isn't its path length.
    fn mean(&self, _settings: &MethodConfig, _shape: LayerShape, schedule: &Schedule, stage: usize) -> Option<f64> {
        schedule.stages[stage].mean
    }

    /// How many layers of the full model exist in a step, from the input on.
    fn existing(&self, at: &Context<'_>) -> usize {
        at.layers()
    }

    /// How the model grows from one number of layers to another.
    fn growth(&self, _settings: &MethodConfig, from: usize, to: usize) -> Growth {
        draw::stacked(from, to, from)
    }

    /// The network of one batch of an evaluation at a path length, among the first `existing` layers.
    fn evaluation(&self, at: &Context<'_>, existing: usize, path_length: usize, rng: &mut Rng) -> Subnetwork {
        self.evaluated(at, draw::exact(at.stage().fixed, existing, path_length, rng))
    }

    /// The network that an evaluation of a layer path computes: as it is trained, and the full model unscaled.
    fn evaluated(&self, _at: &Context<'_>, path: LayerPath) -> Subnetwork {
        path.into()
    }
}

/// Every method.
pub static METHODS: &[&dyn Method] = &[
    &raptr::Raptr,
    &full::Full,
    &stacking::Stacked,
    &midas::Midas,
    &pld::Pld,
    &layerdrop::LayerDrop,
    &stochastic_depth::StochasticDepth,
    &constant::Constant,
    &decreasing::Decreasing,
];

/// The method of that name.
///
/// # Errors
/// A message that lists the known ones.
pub fn find(name: &str) -> Result<&'static dyn Method, String> {
    METHODS.iter().copied().find(|m| m.name() == name).ok_or_else(|| {
        let known: Vec<_> = METHODS.iter().map(|m| m.name()).collect();
        format!("is the unknown method `{name}`; known: {}", known.join(", "))
    })
}

/// The table of stages that a method makes of what it is given.
///
/// # Errors
/// As [`Method::rows`].
pub fn schedule(method: &dyn Method, given: &Given<'_>) -> Result<Schedule, Complaint> {
    let mut schedule = Schedule::from_rows(given.layers, given.steps, &method.rows(given)?);
    settle(method, given.settings, given.shape, &mut schedule);
    Ok(schedule)
}

/// Brings the averages of a table up to date, after it was made or edited.
pub fn settle(method: &dyn Method, settings: &MethodConfig, shape: LayerShape, schedule: &mut Schedule) {
    let stages = 0..schedule.stages.len();
    let means: Vec<_> = stages.map(|stage| method.mean(settings, shape, schedule, stage)).collect();
    schedule.stages.iter_mut().zip(means).for_each(|(stage, mean)| stage.mean = mean);
}

/// The network of a training step: a function of the seed, the step and the table alone.
pub fn training_subnetwork(method: &dyn Method, at: &Context<'_>, seed: u64) -> Subnetwork {
    method.draw(at, &mut keyed(seed, Purpose::LayerPath, at.step, 0))
}

/// The network of an evaluation's batch `index`: of exactly `path_length` of the first `existing` layers, the same ones
/// whenever it is asked. `fixed` are the layers that are always active in the stage whose paths are evaluated, which need
/// not be the step's.
pub fn evaluation_subnetwork(
    method: &dyn Method,
    at: &Context<'_>,
    fixed: LayerPath,
    existing: usize,
    path_length: usize,
    seed: u64,
    index: u64,
) -> Subnetwork {
    // That stage alone: an evaluation asks a table for nothing but the fixed layers.
    let schedule = Schedule { layers: at.layers(), stages: vec![Stage::new(1, path_length, fixed)] };
    let at = &Context { settings: at.settings, shape: at.shape, schedule: &schedule, step: 0 };
    let mut rng = keyed(seed, Purpose::EvaluationLayerPath, path_length as u64, index);
    method.evaluation(at, existing, path_length, &mut rng)
}

/// The probability of each layer, input side first, to be active in a step.
pub fn expectation(method: &dyn Method, at: &Context<'_>) -> Vec<f32> {
    (0..at.layers()).map(|layer| method.expected(at, layer) as f32).collect()
}

#[cfg(test)]
mod tests;
