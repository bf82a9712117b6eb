//! Objectives: what is predicted from a sequence.
//!
//! Owns the table and the [`Batch`] that every objective makes. A new objective is a new file beside this one and a line
//! in [`OBJECTIVES`]. Never touches tensors: a batch is plain host memory.

mod causal;
mod denoise;
mod mlm;
mod polynomial;
mod prefix;
mod span;
mod ul2;

use crate::config::{Architecture, ObjectiveConfig, RunConfig};
use crate::data::polynomial::point;
use crate::data::{Corpus, Split, Vocabulary};
use crate::rng::{Purpose, Rng, keyed};

/// Marks a position whose token is not predicted.
pub const NO_TARGET: i32 = -1;

/// Sequences for one forward pass, as the model takes them.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// The number to be predicted from each sequence; empty where tokens are predicted // (B)
    pub values: Vec<f32>,
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

    /// What its loss is measured in, for people.
    fn loss_unit(&self) -> &'static str {
        "nats per token"
    }

    /// What a step sees so many of, for people.
    fn items(&self) -> &'static str {
        "tokens"
    }

    /// Tokens of text that one sequence of `context` positions takes at most.
    fn sequence_length(&self, context: usize) -> usize;

    /// The share of a batch's positions that are predicted, at most.
    fn predicted_share(&self, _: &ObjectiveConfig) -> f64 {
        1.0
    }

    /// Whether a sequence's inputs and its last target are the text, each target the token behind its position and predicted
    /// from those before it alone: then the text's own surprisal bounds the loss.
    fn is_causal(&self) -> bool;

    /// Whether this vocabulary will do.
    ///
    /// # Errors
    /// One sentence saying what is wrong with it.
    fn check(&self, vocabulary: &Vocabulary) -> Result<(), String>;

    /// Appends one sequence's inputs and targets (`context` of each) to the batch's, and its prefix if it has one.
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
pub static OBJECTIVES: &[&dyn Objective] =
    &[&causal::Causal, &prefix::PREFIX, &span::SPAN, &ul2::UL2, &mlm::Mlm, &polynomial::Polynomial];

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
        batch.values.extend(corpus.polynomial().map(|f| f.value(point(&sequence)) as f32));
        objective.example(&sequence, corpus.vocabulary(), &config.objective, &mut mask, &mut batch);
    }
    batch
}

/// The loss of a perfect model on the fixed evaluation batches, where the text's probabilities are known: the surprisal
/// of the predicted tokens given those before them, as a mean over batches of each one's mean, as losses are.
pub fn floor(corpus: &dyn Corpus, objective: &dyn Objective, config: &RunConfig) -> Option<f32> {
    if !objective.is_causal() {
        return None;
    }
    let context = config.model.context;
    let mut sum = 0.0;
    for index in 0..config.evaluation.batches as u64 {
        let batch = evaluation_batch(corpus, objective, config, index);
        let mut nats = 0.0;
        for (inputs, targets) in batch.inputs.chunks(context).zip(batch.targets.chunks(context)) {
            let last = targets.last().filter(|&&t| t != NO_TARGET)?;
            let surprisal = corpus.surprisal(&[inputs, &[*last as u32]].concat())?;
            // Position i predicts token i + 1.
            let predicted = targets.iter().zip(&surprisal[1..]).filter(|(target, _)| **target != NO_TARGET);
            nats += predicted.map(|(_, &s)| f64::from(s)).sum::<f64>();
        }
        sum += nats / batch.predicted() as f64;
    }
    Some((sum / config.evaluation.batches as f64) as f32)
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
    fn the_floor_of_a_prefix_is_that_of_its_predicted_end() {
        let corpus = stories();
        let mut config = RunConfig::default();
        config.objective.name = "prefix".to_owned();
        (config.evaluation.batches, config.train.batch) = (2, 3);
        let prefix = find("prefix").unwrap();
        let mut means = Vec::new();
        for index in 0..2 {
            let batch = evaluation_batch(corpus.as_ref(), prefix, &config, index);
            let mut of_batch = Vec::new();
            for row in 0..3 {
                // The text that this row was made from: 65 words, of which those behind the prefix are predicted.
                let mut text = vec![0; 65];
                let mut rng = keyed(0, Purpose::EvaluationBatch, 0, index * 3 + row);
                corpus.sequence(Split::Validation, &mut rng, &mut text);
                of_batch.extend(corpus.surprisal(&text).unwrap().split_off(batch.prefixes[row as usize]));
            }
            assert_eq!(of_batch.len(), batch.predicted());
            means.push(of_batch.iter().sum::<f32>() / of_batch.len() as f32);
        }
        let got = floor(corpus.as_ref(), prefix, &config).unwrap();
        assert!((got - (means[0] + means[1]) / 2.0).abs() < 1e-5, "{got} {means:?}");
    }

    #[test]
    fn every_objective_is_drawn_anew_from_seed_step_and_row() {
        for objective in OBJECTIVES {
            let mut config = RunConfig::default();
            config.objective.name = objective.name().to_owned();
            config.model.architecture = objective.architecture();
            let corpus = data::open(&config, &mut |_| ControlFlow::Continue(())).unwrap();
            objective.check(corpus.vocabulary()).unwrap();
            let is_of_tokens = objective.architecture() != Architecture::Mlp;
            let draw =
                |config: &RunConfig, step, micro| training_batch(corpus.as_ref(), *objective, config, step, micro);
            let one = draw(&config, 7, 1);
            assert_eq!(one, draw(&config, 7, 1));
            assert_eq!(one.inputs.len(), 16 * 64);
            assert!(!is_of_tokens || (one.predicted() > 0 && one.targets.len() == 16 * 64));
            assert!(one.inputs.iter().all(|&id| (id as usize) < corpus.vocabulary().size));
            for other in
                [draw(&config, 8, 1), draw(&config, 7, 0), draw(&RunConfig { seed: 1, ..config.clone() }, 7, 1)]
            {
                let differ = if is_of_tokens { one.targets != other.targets } else { one.values != other.values };
                assert!(one.inputs != other.inputs && differ, "{}", objective.name());
            }
            config.train.batch = 32;
            let (whole, first) = (draw(&config, 7, 0), {
                config.train.batch = 16;
                draw(&config, 7, 0)
            });
            assert_eq!(whole.inputs, [first.inputs, one.inputs].concat(), "rows don't depend on micro-batches");
            assert_eq!(whole.prefixes, [first.prefixes, one.prefixes].concat());
        }
    }

    #[test]
    fn a_polynomials_batch_holds_points_and_their_values() {
        let mut config = RunConfig::default();
        (config.model.architecture, config.model.context) = (Architecture::Mlp, 20);
        let corpus = data::open(&config, &mut |_| ControlFlow::Continue(())).unwrap();
        let batch = training_batch(corpus.as_ref(), find("polynomial").unwrap(), &config, 4, 0);
        assert_eq!((batch.inputs.len(), batch.values.len(), batch.targets.len()), (16 * 20, 16, 0));
        let f = corpus.polynomial().unwrap();
        for (tokens, value) in batch.inputs.chunks(20).zip(&batch.values) {
            let x: Vec<f64> = tokens.iter().map(|&t| 2.0 * f64::from(t) - 1.0).collect();
            // Term by term, as the definition has it.
            let terms = f.monomials.iter().map(|m| {
                let factors = (0..20).filter(|i| m.set >> i & 1 == 1).map(|i| x[i]);
                m.coefficient * factors.product::<f64>()
            });
            assert!((terms.sum::<f64>() - f64::from(*value)).abs() < 1e-6);
        }
        assert_eq!(floor(corpus.as_ref(), find("polynomial").unwrap(), &config), None);
    }

    #[test]
    fn an_unknown_objective_is_told_the_known_ones() {
        assert!(find("next").err().unwrap().contains("causal, prefix, span, ul2, mlm"));
    }
}
