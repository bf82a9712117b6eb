//! What is trained: shapes of model and batch.

use std::fmt;

use raptr_tui::config::{Architecture, ModelConfig, Precision, RunConfig};
use raptr_tui::{cost, model};

pub struct Shape {
    pub name: &'static str,
    pub architecture: Architecture,
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub context: usize,
    pub batch: usize,
    pub vocabulary: usize,
}

pub fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
    }
}

impl Shape {
    pub fn model(&self) -> ModelConfig {
        let Self { architecture, layers, width, heads, context, .. } = *self;
        ModelConfig { architecture, layers, width, heads, context, ..ModelConfig::default() }
    }

    pub fn tokens(&self) -> usize {
        self.batch * self.context
    }

    /// Training FLOPs of a step, by the rule of `raptr-tui plan`: attention in full.
    pub fn flops(&self, length: usize) -> f64 {
        let mut config = RunConfig { model: self.model(), ..RunConfig::default() };
        config.train.batch = self.batch;
        config.train.accumulate = 1;
        let shapes = model::shapes(&config.model, self.vocabulary);
        cost::cost(&config, self.vocabulary, &shapes).step_flops(length as f64)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, layers, width, heads, context, batch, vocabulary, .. } = self;
        write!(f, "{name}: {layers} layers, width {width}, {heads} heads, T {context}, batch {batch}, V {vocabulary}")
    }
}
