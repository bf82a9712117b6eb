//! Objectives: what is predicted from a sequence.
//!
//! Owns the table and the [`Batch`] that every objective makes. A new objective is a new file beside this one and a line
//! in [`OBJECTIVES`]. Never touches tensors: a batch is plain host memory.

mod causal;
mod mlm;

use crate::config::{Architecture, ObjectiveConfig, RunConfig};
use crate::data::{Corpus, Split, Vocabulary};
use crate::rng::{Purpose, Rng, keyed};

/// Marks a position whose token is not predicted.
pub const NO_TARGET: i32 = -1;

/// Sequences for one forward pass, as the model takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Sequences, B.
    pub sequences: usize,
    /// Tokens per sequence, T.
    pub context: usize,
    /// Token ids // (B, T)
    pub inputs: Vec<u32>,
    /// The token to be predicted at each position, or [`NO_TARGET`] // (B, T)
    pub targets: Vec<i32>,
    /// How many leading positions of each sequence see one another, under a decoder's otherwise causal mask // (B), or none
    pub prefixes: Vec<usize>,
}

impl Batch {
    /// The number of predicted tokens.
    pub fn predicted(&self) -> usize {
        self.targets.iter().filter(|&&t| t != NO_TARGET).count()
    }
}

/// What is predicted from a sequence.
pub trait Objective: Sync {
    /// Its name in configs.
    fn name(&self) -> &'static str;

    /// One line for `list`.
    fn about(&self) -> &'static str;

    /// The architecture it needs.
    fn architecture(&self) -> Architecture;

    /// Tokens of text that one sequence of `context` positions takes.
    fn sequence_length(&self, context: usize) -> usize;

    /// Whether position i is predicted from those before it alone, so that the text's own surprisal bounds the loss.
    fn is_causal(&self) -> bool;

    /// Whether this vocabulary will do.
    ///
    /// # Errors
    /// One sentence saying what is wrong with it.
    fn check(&self, vocabulary: &Vocabulary) -> Result<(), String>;

    /// Appends one sequence's inputs and targets (`context` of each) to the batch's.
    fn example(
        &self,
        sequence: &[u32],
        vocabulary: &Vocabulary,
        config: &ObjectiveConfig,
        rng: &mut Rng,
        batch: &mut Batch,
    );
}

/// Every objective.
pub static OBJECTIVES: &[&dyn Objective] = &[&causal::Causal, &mlm::Mlm];

/// The objective of that name.
///
/// # Errors
/// A message that lists the known ones.
pub fn find(name: &str) -> Result<&'static dyn Objective, String> {
    OBJECTIVES.iter().copied().find(|o| o.name() == name).ok_or_else(|| {
        let known: Vec<_> = OBJECTIVES.iter().map(|o| o.name()).collect();
        format!("is the unknown objective `{name}`; known: {}", known.join(", "))
    })
}

/// Micro-batch `micro` of training step `step`: a function of (seed, step, micro) alone.
pub fn training_batch(
    corpus: &dyn Corpus,
    objective: &dyn Objective,
    config: &RunConfig,
    step: u64,
    micro: u64,
) -> Batch {
    let first = micro * config.train.batch as u64;
    batch(corpus, objective, config, Split::Train, |row| {
        (keyed(config.seed, Purpose::Batch, step, first + row), keyed(config.seed, Purpose::Mask, step, first + row))
    })
}

/// Batch `index` of the fixed evaluation text: a function of (seed, index) alone.
pub fn evaluation_batch(corpus: &dyn Corpus, objective: &dyn Objective, config: &RunConfig, index: u64) -> Batch {
    let first = index * config.train.batch as u64;
    batch(corpus, objective, config, Split::Validation, |row| {
        (
            keyed(config.seed, Purpose::EvaluationBatch, 0, first + row),
            keyed(config.seed, Purpose::EvaluationMask, 0, first + row),
        )
    })
}

fn batch(
    corpus: &dyn Corpus,
    objective: &dyn Objective,
    config: &RunConfig,
    split: Split,
    generators: impl Fn(u64) -> (Rng, Rng),
) -> Batch {
    let (sequences, context) = (config.train.batch, config.model.context);
    let mut batch = Batch { sequences, context, ..Batch::default() };
    let mut sequence = vec![0; objective.sequence_length(context)];
    for row in 0..sequences as u64 {
        let (mut text, mut mask) = generators(row);
        corpus.sequence(split, &mut text, &mut sequence);
        objective.example(&sequence, corpus.vocabulary(), &config.objective, &mut mask, &mut batch);
    }
    batch
}

/// The loss of a perfect model on the fixed evaluation batches, where the text's probabilities are known: the mean
/// surprisal of the predicted tokens given those before them.
pub fn floor(corpus: &dyn Corpus, objective: &dyn Objective, config: &RunConfig) -> Option<f32> {
    if !objective.is_causal() {
        return None;
    }
    let mut sequence = vec![0; objective.sequence_length(config.model.context)];
    let (mut sum, mut count) = (0.0, 0u64);
    for index in 0..(config.evaluation.batches * config.train.batch) as u64 {
        corpus.sequence(Split::Validation, &mut keyed(config.seed, Purpose::EvaluationBatch, 0, index), &mut sequence);
        // The first token has nothing before it: it is never predicted.
        let surprisal = corpus.surprisal(&sequence)?;
        sum += surprisal[1..].iter().map(|&s| f64::from(s)).sum::<f64>();
        count += surprisal.len() as u64 - 1;
    }
    Some((sum / count as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;
    use std::ops::ControlFlow;

    fn stories() -> Box<dyn Corpus> {
        data::open(&RunConfig::default(), &mut |_| ControlFlow::Continue(())).unwrap()
    }

    #[test]
    fn batches_depend_on_seed_step_and_place_alone() {
        let corpus = stories();
        let mut config = RunConfig::default();
        let causal = find("causal").unwrap();
        let draw = |config: &RunConfig, step, micro| training_batch(corpus.as_ref(), causal, config, step, micro);
        let one = draw(&config, 7, 1);
        assert_eq!(one, draw(&config, 7, 1));
        assert_eq!((one.inputs.len(), one.targets.len(), one.predicted()), (16 * 64, 16 * 64, 16 * 64));
        assert_ne!(one, draw(&config, 8, 1));
        assert_ne!(one, draw(&config, 7, 0));
        // Accumulated micro-batches are the rows of one larger batch.
        let halves = [draw(&config, 3, 0), draw(&config, 3, 1)];
        config.train.batch = 32;
        let whole = draw(&config, 3, 0);
        assert_eq!(whole.inputs, [halves[0].inputs.clone(), halves[1].inputs.clone()].concat());
        config.seed = 1;
        assert_ne!(whole, draw(&config, 3, 0));
        assert_ne!(whole, evaluation_batch(corpus.as_ref(), causal, &config, 0));
    }

    #[test]
    fn the_floor_is_the_mean_surprisal_of_what_is_predicted() {
        let corpus = stories();
        let mut config = RunConfig::default();
        (config.evaluation.batches, config.train.batch) = (1, 2);
        let batch = evaluation_batch(corpus.as_ref(), find("causal").unwrap(), &config, 0);
        let mut sum = 0.0;
        for row in 0..2 {
            // Input and last target of a row are the sequence.
            let mut sequence = batch.inputs[row * 64..(row + 1) * 64].to_vec();
            sequence.push(batch.targets[row * 64 + 63] as u32);
            sum += corpus.surprisal(&sequence).unwrap()[1..].iter().sum::<f32>();
        }
        let got = floor(corpus.as_ref(), find("causal").unwrap(), &config).unwrap();
        assert!((got - sum / 128.0).abs() < 1e-5);
        assert_eq!(floor(corpus.as_ref(), find("mlm").unwrap(), &config), None);
    }

    #[test]
    fn an_unknown_objective_is_told_the_known_ones() {
        assert!(find("next").err().unwrap().contains("causal, mlm"));
    }
}
