//! The plan of a config: parameters, memory, FLOPs and speed-up per stage, before anything is trained.
//!
//! Owns the table and its two forms, text and JSON. Computes from the config alone; reads no data.

use std::fmt::Write as _;

use serde::Serialize;

use crate::config::{Architecture, EngineName, RunConfig, Source};
use crate::cost::{Cost, cost};
use crate::measurement::short;
use crate::{data, method, model, objective};

/// What a config would cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Parameters of the full model.
    pub parameters: u64,
    /// Parameters of one layer.
    pub layer_parameters: u64,
    /// Bytes of weights and AdamW's two moments.
    pub state_bytes: u64,
    /// Bytes of gradients and activations in the longest stage.
    pub step_bytes: u64,
    /// Bytes of a GPU's memory that the run takes there, driver and libraries included; none if it can't train there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_bytes: Option<u64>,
    /// Checkpoints that lie on the disk at most: the newest, the best, one where each later stage begins.
    pub checkpoints: u64,
    /// Tokens that a step sees.
    pub tokens_per_step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Tokens that the run sees.
    pub tokens: u64,
    /// Rows.
    pub stages: Vec<StagePlan>,
    /// Training FLOPs of the run.
    pub flops: f64,
    /// The same for full training.
    pub full_flops: f64,
    /// Full training over this run, layers alone (the paper's rule).
    pub layer_speed_up: f64,
    /// Full training over this run, head and attention included.
    pub speed_up: f64,
    /// What should be known of its stages, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StagePlan {
    /// Steps.
    pub steps: u64,
    /// Active layers per step, as the table has them.
    pub path_length: usize,
    /// Layers' worth of work per step on average.
    pub mean_layers: f64,
    /// Training FLOPs of one step.
    pub step_flops: f64,
    /// A full step over this one, layers alone.
    pub layer_speed_up: f64,
    /// A full step over this one.
    pub speed_up: f64,
}

/// The plan of a config.
pub fn plan(config: &RunConfig) -> Plan {
    let vocabulary = vocabulary(config);
    let cost = cost(config, vocabulary, &model::shapes(&config.model, vocabulary));
    let schedule = config.schedule();
    let layers = config.model.layers as f64;
    let full = cost.step_flops(layers);
    let rows = schedule.stages.iter().map(|stage| {
        let step_flops = cost.step_flops(stage.mean_length());
        StagePlan {
            steps: stage.steps,
            path_length: stage.path_length,
            mean_layers: stage.mean_length(),
            step_flops,
            layer_speed_up: layers / stage.mean_length(),
            speed_up: full / step_flops,
        }
    });
    let stages: Vec<StagePlan> = rows.collect();
    let longest = schedule.stages.iter().map(|s| s.path_length).max().unwrap_or(config.model.layers);
    let flops = stages.iter().map(|s| s.steps as f64 * s.step_flops).sum();
    let full_flops = schedule.total_steps() as f64 * full;
    Plan {
        vocabulary,
        parameters: cost.parameters,
        layer_parameters: cost.layer_parameters,
        state_bytes: cost.parameters * 12,
        step_bytes: step_bytes(config, &cost, longest as u64),
        gpu_bytes: gpu_bytes(config, vocabulary, longest),
        checkpoints: checkpoints(config, stages.iter().filter(|s| s.steps > 0).count()),
        tokens_per_step: cost.tokens_per_step,
        steps: schedule.total_steps(),
        tokens: cost.tokens_per_step * schedule.total_steps(),
        stages,
        flops,
        full_flops,
        layer_speed_up: schedule.speed_up(),
        speed_up: full_flops / flops,
        notes: method::find(&config.method.name).map_or_else(|_| Vec::new(), |m| m.notes(&config.method, &schedule)),
    }
}

/// The vocabulary the data would have; that of a `tokenizer.json` is only known once it is read.
fn vocabulary(config: &RunConfig) -> usize {
    if config.model.architecture == Architecture::Mlp {
        // A coordinate is -1 or +1.
        return 2;
    }
    let own = match (config.data.source, config.data.tokenizer.as_str()) {
        (Source::Stories, _) => data::stories_vocabulary(),
        (Source::Puzzles, _) => data::puzzles_vocabulary(),
        (Source::Text, "bytes") => data::bytes_vocabulary(),
        (Source::Text, _) => config.data.vocabulary,
    };
    own + config.objective.special_tokens(config.model.context).len()
}

/// Gradients of active layers and of everything else, and what the forward pass keeps for the backward pass.
fn step_bytes(config: &RunConfig, cost: &Cost, longest: u64) -> u64 {
    let gradients = 4 * (cost.other_parameters + cost.layer_parameters * longest);
    let (b, t, c) = (config.train.batch as u64, config.model.positions() as u64, config.model.width as u64);
    gradients + longest * model::activation_bytes(&config.model, config.train.precision, b * t) + 4 * b * t * c * 6
}

/// Bytes on a GPU, where the fast engine can train there.
fn gpu_bytes(config: &RunConfig, vocabulary: usize, longest: usize) -> Option<u64> {
    let is_fit = config.train.engine == EngineName::Fast && config.model.architecture != Architecture::Mlp;
    is_fit.then(|| model::gpu::memory::bytes(config, vocabulary, longest).with_context())
}

/// Checkpoints that lie on the disk at most, with that many stages (those by hand not counted).
fn checkpoints(config: &RunConfig, stages: usize) -> u64 {
    let c = &config.checkpoint;
    let marked = if c.stages { stages.saturating_sub(1) } else { 0 };
    let passing = if c.every == 0 { 1 } else { c.keep + 1 };
    (passing + marked) as u64
}

/// A number of layers, with decimals only where it is none.
fn layers(mean: f64) -> String {
    if mean.fract() == 0.0 { format!("{mean:.0}") } else { format!("{mean:.2}") }
}

impl Plan {
    /// The plan as text for people.
    pub fn to_text(&self, name: &str, config: &RunConfig) -> String {
        let mut text = String::new();
        let m = &config.model;
        let items = objective::find(&config.objective.name).map_or("tokens", |o| o.items());
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let _ = writeln!(
            text,
            "{name}: method {}, objective {}, {} layers, width {}, context {}, vocabulary {}",
            config.method.name, config.objective.name, m.layers, m.width, m.context, self.vocabulary
        );
        let on_gpu = self
            .gpu_bytes
            .map_or_else(String::new, |bytes| format!("on a GPU     about {:.0} MiB in all\n", mib(bytes)));
        let _ = writeln!(
            text,
            "parameters   {} ({} per layer)\nmemory       {:.0} MiB weights and moments, about {:.0} MiB gradients and activations\n{on_gpu}checkpoints  up to {} of {:.0} MiB on the disk\n{items:<13}{} ({} per step, {} steps)\n",
            short(self.parameters as f64),
            short(self.layer_parameters as f64),
            mib(self.state_bytes),
            mib(self.step_bytes),
            self.checkpoints,
            mib(self.state_bytes),
            short(self.tokens as f64),
            short(self.tokens_per_step as f64),
            self.steps,
        );
        let _ = writeln!(text, "stage     steps  path length   FLOPs/step   speed-up: layers     all");
        for (i, s) in self.stages.iter().enumerate() {
            let _ = writeln!(
                text,
                "{:>5} {:>9} {:>9}/{:<3} {:>9}FLOP {:>14.3}x {:>8.3}x",
                i + 1,
                s.steps,
                layers(s.mean_layers),
                m.layers,
                short(s.step_flops),
                s.layer_speed_up,
                s.speed_up
            );
        }
        let _ = writeln!(
            text,
            "  run {:>9} {:>13} {:>9}FLOP {:>14.3}x {:>8.3}x  ({:.1} % of all FLOPs saved)",
            self.steps,
            "",
            short(self.flops),
            self.layer_speed_up,
            self.speed_up,
            100.0 * (1.0 - self.flops / self.full_flops)
        );
        for note in &self.notes {
            let _ = writeln!(text, "\nNote: {note}.");
        }
        text
    }
}
