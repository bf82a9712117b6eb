//! What a config may say about its method: the section `[method]`.
//!
//! Owns the keys, their defaults and their meaning as types. Which method reads which key says [`super::Method::keys`];
//! the config's check refuses the others, so that no key is set in vain.

use serde::{Deserialize, Serialize};

/// `[method]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodConfig {
    /// One of [`super::METHODS`].
    pub name: String,
    /// Whether a step's path length is exact or expected.
    pub sampling: Sampling,
    /// Layers that are always active: counted from 1 at the input, from -1 at the output.
    pub fixed: Vec<i64>,
    /// What an active layer's branches are multiplied with in training.
    pub scaling: Scaling,
    /// What a step leaves out: layers, or parts of every layer.
    pub axis: Axis,
    /// `axis = "width"`: contiguous groups of the MLP's columns.
    pub groups: usize,
    /// `axis = "width"`: whether all layers compute the same parts.
    pub shared: bool,
    /// A first stage of the full model: its steps, or, below 1, its share of all steps.
    pub initial_full: f64,
    /// `constant`: the path length, perhaps on average; 0: the mean of the stages.
    pub path_length: f64,
    /// `stacking`: which layers a stage's new ones are copies of.
    pub growth: Stacking,
    /// What becomes of AdamW's moments when the model grows.
    pub moments: Moments,
    /// `midas`: layers per block.
    pub block: usize,
    /// `midas`: stage i has a share of i to this power.
    pub alpha: f64,
    /// `pld`: what the keep ratio falls to.
    pub theta: f64,
    /// `pld`: how fast it falls, per run.
    pub gamma: f64,
    /// `layerdrop`: the probability of each layer to be dropped.
    pub drop: f64,
    /// `stochastic-depth`: the probability of the last layer to survive.
    pub survival: f64,
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self {
            name: "raptr".to_owned(),
            sampling: Sampling::Exact,
            fixed: vec![1, -1],
            scaling: Scaling::None,
            axis: Axis::Depth,
            groups: 8,
            shared: false,
            initial_full: 0.0,
            path_length: 0.0,
            growth: Stacking::Gradual,
            moments: Moments::Copy,
            block: 2,
            alpha: 1.0,
            theta: 0.5,
            gamma: 100.0,
            drop: 0.2,
            survival: 0.5,
        }
    }
}

/// Whether a step's path length is exact or expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Exactly the stage's path length in every step.
    Exact,
    /// Each layer by itself, so that the length is right on average (the paper's Definition 2).
    Bernoulli,
}

/// What an active layer's branches are multiplied with in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// 1, the paper's basic algorithm.
    None,
    /// `sqrt(j - i)`, layer j being the next active one behind layer i: it stands in for those between.
    Sqrt,
    /// 1 over the layer's probability to be active.
    InverseP,
}

/// What a step leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Whole layers.
    Depth,
    /// Attention heads and MLP columns of every layer.
    Width,
}

/// Which layers a stage's new ones are copies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stacking {
    /// As many of the topmost as are new, put on top (Reddi et al. 2023).
    Gradual,
    /// All: depth doubles (Gong et al. 2019).
    Progressive,
}

/// What becomes of AdamW's moments when the model grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moments {
    /// A new layer takes over those of the layer it is a copy of.
    Copy,
    /// A new layer begins with none.
    Reset,
    /// Every parameter begins with none.
    ResetAll,
}

/// The layer (0-based) that a number in a config names: from 1 at the input, from -1 at the output.
pub fn layer_number(layers: usize, number: i64) -> Option<usize> {
    let index = if number > 0 { number - 1 } else { layers as i64 + number };
    usize::try_from(index).ok().filter(|&index| number != 0 && index < layers)
}
