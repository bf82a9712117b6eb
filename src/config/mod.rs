//! The config of a run: every key, its default and its meaning as a type.
//!
//! Owns the values. `denoiser` counts what an objective hides, `load` reads them from a file and `--set`, `check` says what is wrong with them, `shipped` lists the
//! ones in `configs/`. `configs/annotated.toml` explains each key to its user; a test keeps it complete. Never touches
//! data, a model or a terminal.

pub mod check;
pub mod denoiser;
pub mod load;
pub mod shipped;

use serde::{Deserialize, Serialize};

pub use crate::method::{MethodConfig, Sampling, layer_number};

use crate::layer_path::LayerPath;
use crate::measurement::What;
use crate::method::{self, Complaint, Given, LayerShape};
use crate::schedule::{Row, Schedule};

/// Most coordinates of an input of `polynomial`: a set of them is the bits of a word.
pub const MAX_COORDINATES: usize = 64;

/// Everything that shapes a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of every draw: initial weights, batches, masks, layer paths.
    pub seed: u64,
    /// The network.
    pub model: ModelConfig,
    /// The text.
    pub data: DataConfig,
    /// What is predicted.
    pub objective: ObjectiveConfig,
    /// What trains in a step, and how the model comes to its depth.
    pub method: MethodConfig,
    /// The training loop.
    pub train: TrainConfig,
    /// AdamW and its learning rate.
    pub optimizer: OptimizerConfig,
    /// Evaluations.
    pub evaluation: EvaluationConfig,
    /// Measurements beside the loss.
    pub measure: MeasureConfig,
    /// Checkpoints.
    pub checkpoint: CheckpointConfig,
    /// The table of stages; none means one stage of the full model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stage: Vec<StageConfig>,
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Who may look at whom.
    pub architecture: Architecture,
    /// Transformer blocks, L.
    pub layers: usize,
    /// Width of the residual stream, C.
    pub width: usize,
    /// Attention heads per layer.
    pub heads: usize,
    /// Tokens per sequence, T; coordinates of an input under `architecture = "mlp"`.
    pub context: usize,
    /// Width of the MLP over `width`.
    pub mlp_ratio: usize,
    /// Where the layer norm stands.
    pub norm: Norm,
    /// Whether layers add to the residual stream; `false` only for the theory's broken variants.
    pub residual: bool,
    /// Standard deviation of initial weights.
    pub init_std: f64,
}

/// Who may look at whom in attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Each position sees itself and those before it.
    Decoder,
    /// Each position sees all.
    Encoder,
    /// No attention: a residual MLP of one row per input, for objectives that predict a number.
    Mlp,
}

/// Where the layer norm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// On the input of each sub-layer, and once before the head.
    Pre,
    /// On the sum behind each sub-layer, and once behind the embedding (BERT).
    Post,
    /// Nowhere.
    None,
}

impl ModelConfig {
    /// Rows of the residual stream that one sequence takes.
    pub fn positions(&self) -> usize {
        if self.architecture == Architecture::Mlp { 1 } else { self.context }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            architecture: Architecture::Decoder,
            layers: 12,
            width: 64,
            heads: 4,
            context: 64,
            mlp_ratio: 4,
            norm: Norm::Pre,
            residual: true,
            init_std: 0.02,
        }
    }
}

impl ModelConfig {
    /// The parts that each layer has.
    pub fn shape(&self) -> LayerShape {
        LayerShape { width: self.width, heads: self.heads, columns: self.width * self.mlp_ratio }
    }
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Where the text comes from.
    pub source: Source,
    /// Most clauses inside each other in a scene of the puzzles; 0: no scenes.
    pub nesting: usize,
    /// Most assignments from a variable to its value in the puzzles; 0: no assignments.
    pub chain: usize,
    /// Most steps of a walk in the puzzles; 0: no maps.
    pub hops: usize,
    /// Most shuffles of cups between two places of the ball that are told in the puzzles; 0: no cups.
    pub moves: usize,
    /// A file or a folder, for `source = "text"`.
    pub path: String,
    /// `bytes`, `bpe` or `wordpiece` (trained on the text), or the name of a `tokenizer.json`.
    pub tokenizer: String,
    /// Tokens of a tokenizer that is trained.
    pub vocabulary: usize,
    /// Share of documents kept for validation.
    pub validation_share: f64,
    /// A file or folder of validation text instead; then no training document is kept back.
    pub validation_path: String,
    /// Where tokenised text is kept; empty: the user's cache directory.
    pub cache: String,
}

/// Where the text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The built-in generator of small stories with known probabilities.
    Stories,
    /// The built-in generator of puzzles that take several steps of reasoning, with known probabilities.
    Puzzles,
    /// A text file or a folder of them.
    Text,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: Source::Stories,
            nesting: 4,
            chain: 8,
            hops: 6,
            moves: 10,
            path: String::new(),
            tokenizer: "bpe".to_owned(),
            vocabulary: 4096,
            validation_share: 0.05,
            validation_path: String::new(),
            cache: String::new(),
        }
    }
}

/// `[objective]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// `causal`, `prefix`, `span`, `ul2`, `mlm` or `polynomial`.
    pub name: String,
    /// Share of tokens that `mlm` predicts and `span` hides.
    pub mask_share: f64,
    /// Mean length of a span that `span` hides, in tokens.
    pub mean_span: f64,
    /// Share of a sequence that `prefix` and `ul2`'s S-denoiser predict, on average.
    pub predicted_share: f64,
    /// Weights of `ul2`'s denoisers (mean span, share): R (3, .15), R (8, .15), S, X (3, .5), X (8, .5), X (64, .15), X (64, .5).
    pub mixture: [f64; 7],
    /// Highest degree of `polynomial`'s target, K.
    pub degrees: usize,
    /// Monomials of each degree in it, m.
    pub monomials: usize,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            name: "causal".to_owned(),
            mask_share: 0.15,
            mean_span: 3.0,
            predicted_share: 0.25,
            mixture: [1.0; 7],
            degrees: 5,
            monomials: 20,
        }
    }
}

/// `[train]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimizer steps in all.
    pub steps: u64,
    /// Sequences per micro-batch, B.
    pub batch: usize,
    /// Micro-batches per step; their gradients are averaged.
    pub accumulate: usize,
    /// `fast` (our kernels) or `reference` (candle's ops and autograd).
    pub engine: EngineName,
    /// `auto`, `cpu` or `cuda[:N]`.
    pub device: String,
    /// Threads of the trainer; 0: all cores. Changes no number.
    pub threads: usize,
    /// What products are computed in: `f32` or `bf16` (sums, weights and everything else stay f32).
    pub precision: Precision,
    /// Whether the same run gives the same bits each time; else it may be quicker, on a GPU.
    pub deterministic: bool,
}

/// What products are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// Inputs of products rounded to bf16, sums in f32.
    Bf16,
}

/// Which engine trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// Explicit forward and backward over our own kernels.
    Fast,
    /// Plain candle ops with candle's autograd: slow, and the oracle.
    Reference,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 16,
            accumulate: 1,
            engine: EngineName::Fast,
            device: "auto".to_owned(),
            threads: 0,
            precision: Precision::F32,
            deterministic: true,
        }
    }
}

/// `[optimizer]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Steps of linear warm-up at the beginning of each later stage; 0: none.
    pub rewarmup: u64,
    /// How the learning rate falls after the warm-up.
    pub decay: Decay,
    /// The last learning rate over the highest.
    pub final_ratio: f64,
    /// Decay rates of the two moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay of matrices (biases and norms are never decayed).
    pub weight_decay: f64,
    /// Largest gradient norm; 0: no clipping.
    pub clip: f64,
    /// What a step does to a layer that was not active in it.
    pub skipped: Skipped,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Half a cosine.
    Cosine,
    /// A straight line.
    Linear,
    /// Not at all.
    Constant,
}

/// What a step does to a layer that was not active in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skipped {
    /// Nothing: no moment decay, no weight decay, a step count of its own.
    Frozen,
    /// As a trainer does that feeds zero gradients: moments decay, weights move on and decay.
    ZeroGrad,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            warmup: 100,
            rewarmup: 0,
            decay: Decay::Cosine,
            final_ratio: 0.1,
            betas: [0.9, 0.95],
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip: 1.0,
            skipped: Skipped::Frozen,
        }
    }
}

/// `[evaluation]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Steps between evaluations of the full model; 0: only at the end.
    pub every: u64,
    /// Batches of an evaluation, the same each time.
    pub batches: usize,
    /// Batches of the evaluations around a transition (the first of the same).
    pub transition_batches: usize,
    /// Steps after a transition over which it is followed; 0: not at all.
    pub transition_window: u64,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { every: 100, batches: 8, transition_batches: 4, transition_window: 64 }
    }
}

/// `[measure]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeasureConfig {
    /// Steps between measurements; 0: only when asked.
    pub every: u64,
    /// Whether to measure just before the first step at another path length.
    pub transitions: bool,
    /// What is measured then.
    pub what: Vec<What>,
    /// Batches, the evaluation's first.
    pub batches: usize,
    /// Layer paths, or draws of dropped layers, for each path length.
    pub paths: usize,
}

impl Default for MeasureConfig {
    fn default() -> Self {
        Self { every: 0, transitions: false, what: vec![What::Stability, What::Norms], batches: 4, paths: 4 }
    }
}

/// `[checkpoint]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps between checkpoints; 0: only when the run ends.
    pub every: u64,
    /// How many of the newest are kept, beside the best.
    pub keep: usize,
    /// Whether one is written where a stage begins, and kept.
    pub stages: bool,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: 500, keep: 2, stages: true }
    }
}

/// `[[stage]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Active layers per step.
    pub path_length: usize,
    /// Share of the steps that stages with `steps` leave over.
    #[serde(default = "one")]
    pub share: f64,
    /// Steps, instead of a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Instead of `method.fixed` in this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Vec<i64>>,
}

fn one() -> f64 {
    1.0
}

impl RunConfig {
    /// The table of stages as it is written.
    pub fn rows(&self) -> Vec<Row> {
        let layers = self.model.layers;
        let fixed =
            |numbers: &[i64]| LayerPath::from_layers(layers, numbers.iter().filter_map(|&n| layer_number(layers, n)));
        let row = |s: &StageConfig| Row {
            length: s.path_length as f64,
            share: s.share,
            steps: s.steps,
            fixed: fixed(s.fixed.as_ref().unwrap_or(&self.method.fixed)),
        };
        self.stage.iter().map(row).collect()
    }

    /// The schedule that the method makes of the table of stages.
    ///
    /// # Errors
    /// The key that the method can't make it of, and what would be right.
    pub fn try_schedule(&self) -> Result<Schedule, Complaint> {
        let method = method::find(&self.method.name).map_err(|problem| ("method.name", problem))?;
        let (layers, steps) = (self.model.layers, self.train.steps);
        let (shape, rows) = (self.model.shape(), self.rows());
        method::schedule(method, &Given { settings: &self.method, layers, shape, steps, rows: &rows })
    }

    /// As [`Self::try_schedule`]; meaningful once [`check::check`] found nothing.
    pub fn schedule(&self) -> Schedule {
        let written = |_| Schedule::from_rows(self.model.layers, self.train.steps, &self.rows());
        self.try_schedule().unwrap_or_else(written)
    }

    /// The config as TOML, every key written out: what a run's directory and its recording keep.
    pub fn to_toml(&self) -> String {
        // A struct of numbers, strings and tables always serialises.
        toml::to_string(self).unwrap_or_default()
    }
}
