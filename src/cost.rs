//! What a config costs: parameters, FLOPs and memory, before anything is built.
//!
//! FLOPs are counted as multiply and add (2 per product), a training step as three forward passes (one forward, two
//! backward). The attention's two T x T products are counted in full, for causal models too, as is customary.
//! The paper's own rule counts layers alone ([`crate::schedule::Schedule::speed_up`]).

use crate::config::{Architecture, RunConfig};

/// Costs of one config with one vocabulary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Parameters of one layer.
    pub layer_parameters: u64,
    /// Parameters of everything else: embeddings, outer norms, head.
    pub other_parameters: u64,
    /// Parameters of the full model.
    pub parameters: u64,
    /// Tokens (points, for `polynomial`) that a step sees.
    pub tokens_per_step: u64,
    /// Training FLOPs of one active layer in one step.
    pub layer_flops: f64,
    /// Training FLOPs of the head in one step.
    pub fixed_flops: f64,
}

/// The cost of a config. `shapes` are the model's parameters by name (`model::shapes`): layer i's begin with `h.i.`.
pub fn cost(config: &RunConfig, vocabulary: usize, shapes: &[(String, Vec<usize>)]) -> Cost {
    let m = &config.model;
    let count = |wanted: &dyn Fn(&str) -> bool| -> u64 {
        shapes.iter().filter(|(name, _)| wanted(name)).map(|(_, s)| s.iter().product::<usize>() as u64).sum()
    };
    let layer_parameters = count(&|name| name.starts_with("h.0."));
    let parameters = count(&|_| true);
    let tokens_per_step = (config.train.batch * m.positions() * config.train.accumulate) as u64;
    let (tokens, c, t) = (tokens_per_step as f64, m.width as f64, m.context as f64);
    // Products per token: qkv 3CC, projection CC, MLP 2rCC, attention scores and mixing 2TC.
    let attention = if m.architecture == Architecture::Mlp { 0.0 } else { 4.0 * c * c + 2.0 * t * c };
    let layer = attention + 2.0 * m.mlp_ratio as f64 * c * c;
    let head = match m.architecture {
        // Logits at the positions that predict something alone.
        Architecture::Decoder => config.objective.predicted_share_of(m.context) * (c * vocabulary as f64),
        // Logits, and the dense layer before them, at masked positions alone.
        Architecture::Encoder => config.objective.mask_share * (c * vocabulary as f64 + c * c),
        // Embedding of the coordinates (a product there) and the one output.
        Architecture::Mlp => c * t + c,
    };
    Cost {
        layer_parameters,
        other_parameters: parameters - layer_parameters * m.layers as u64,
        parameters,
        tokens_per_step,
        layer_flops: 6.0 * tokens * layer,
        fixed_flops: 6.0 * tokens * head,
    }
}

impl Cost {
    /// Training FLOPs of a step with that many active layers.
    pub fn step_flops(&self, path_length: f64) -> f64 {
        self.layer_flops * path_length + self.fixed_flops
    }
}
