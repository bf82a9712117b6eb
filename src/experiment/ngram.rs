//! Unigram and bigram tables over the very tokens that a run sees: what a model must beat to be worth its depth.
//!
//! Both are counted from training batches as the objective makes them, and measured on the fixed evaluation batches, so
//! that they stand beside a run's loss: same seed, same text, same predicted tokens. The bigram's context is the visible
//! token at the position itself for a decoder (the target is the next one), and the one to the left for an encoder, where
//! it may be the mask; that is a bigram of masked text, and as honest a bound. Never touches a model.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::config::{Architecture, RunConfig};
use crate::data::Corpus;
use crate::objective::{Batch, NO_TARGET, Objective, evaluation_batch, training_batch};

/// Tokens of training text that are counted at most; of a longer run every n-th step is.
const MOST_TOKENS: u64 = 4_000_000;
/// Candidates for the weight of the unigram table within the bigram's, in observations.
const WEIGHTS: [f64; 9] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];
/// One in so many training batches is held out to choose the weight.
const HELD_OUT: u64 = 10;

/// Losses of the tables, nats per predicted token; like a run's a mean over batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Frequencies alone.
    pub unigram: f64,
    /// Given the token before.
    pub bigram: f64,
}

/// Counts of what was predicted in which context.
struct Tables {
    vocabulary: usize,
    targets: Vec<u64>,
    total: u64,
    contexts: HashMap<u32, u64>,
    pairs: HashMap<(u32, u32), u64>,
}

/// Observations (context, target) of a batch. A position without a context has one of its own, behind the vocabulary.
fn observations(batch: &Batch, architecture: Architecture, vocabulary: usize) -> impl Iterator<Item = (u32, u32)> {
    let predicted = batch.targets.iter().enumerate().filter(|(_, target)| **target != NO_TARGET);
    predicted.map(move |(at, &target)| {
        let context = match architecture {
            Architecture::Decoder => batch.inputs[at],
            Architecture::Encoder if at % batch.context == 0 => vocabulary as u32,
            Architecture::Encoder => batch.inputs[at - 1],
            // It predicts no token, so this is never asked.
            Architecture::Mlp => 0,
        };
        (context, target as u32)
    })
}

impl Tables {
    fn new(vocabulary: usize) -> Self {
        let (targets, contexts, pairs) = (vec![0; vocabulary], HashMap::new(), HashMap::new());
        Self { vocabulary, targets, total: 0, contexts, pairs }
    }

    fn take(&mut self, observed: impl Iterator<Item = (u32, u32)>) {
        for (context, target) in observed {
            self.targets[target as usize] += 1;
            self.total += 1;
            *self.contexts.entry(context).or_default() += 1;
            *self.pairs.entry((context, target)).or_default() += 1;
        }
    }

    /// One observation is added for every token, so that none is impossible.
    fn unigram(&self, target: u32) -> f64 {
        (self.targets[target as usize] + 1) as f64 / (self.total + self.vocabulary as u64) as f64
    }

    /// The unigram's probability counts as `weight` observations in every context (Dirichlet smoothing).
    fn bigram(&self, context: u32, target: u32, weight: f64) -> f64 {
        let pair = self.pairs.get(&(context, target)).copied().unwrap_or(0) as f64;
        let all = self.contexts.get(&context).copied().unwrap_or(0) as f64;
        (pair + weight * self.unigram(target)) / (all + weight)
    }
}

/// The mean of `-ln p` over observations.
fn loss(observed: &[(u32, u32)], p: impl Fn(u32, u32) -> f64) -> f64 {
    observed.iter().map(|&(context, target)| -p(context, target).ln()).sum::<f64>() / observed.len().max(1) as f64
}

/// The mean over batches of each one's mean, as a run's loss is: batches that predict more weigh no more.
fn batch_loss(batches: &[Vec<(u32, u32)>], p: impl Fn(u32, u32) -> f64) -> f64 {
    batches.iter().map(|batch| loss(batch, &p)).sum::<f64>() / batches.len().max(1) as f64
}

/// Losses on the batches of `evaluation` of the tables counted from training observations; the bigram's weight is chosen on
/// every tenth group, by the counts of the others.
fn fit(groups: &[Vec<(u32, u32)>], evaluation: &[Vec<(u32, u32)>], vocabulary: usize) -> Losses {
    let mut tables = Tables::new(vocabulary);
    let is_held =
        |index: usize| groups.len() as u64 >= 2 && (index as u64 + 1).is_multiple_of(HELD_OUT.min(groups.len() as u64));
    let mut held = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        if is_held(index) { held.extend(group) } else { tables.take(group.iter().copied()) }
    }
    let scored = WEIGHTS.map(|weight| (weight, loss(&held, |c, t| tables.bigram(c, t, weight))));
    let weight = scored.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(1.0, |(weight, _)| weight);
    tables.take(held.into_iter());
    Losses {
        unigram: batch_loss(evaluation, |_, t| tables.unigram(t)),
        bigram: batch_loss(evaluation, |c, t| tables.bigram(c, t, weight)),
    }
}

/// The tables' losses for a run's config; none if `interrupted`.
pub fn losses(
    corpus: &dyn Corpus,
    objective: &dyn Objective,
    config: &RunConfig,
    interrupted: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<Losses> {
    let vocabulary = corpus.vocabulary().size;
    let architecture = config.model.architecture;
    let per_step = (config.train.batch * config.train.accumulate * config.model.context) as u64;
    let every = (config.train.steps * per_step).div_ceil(MOST_TOKENS).max(1);
    let mut groups = Vec::new();
    for step in (0..config.train.steps).step_by(usize::try_from(every).unwrap_or(usize::MAX)) {
        if interrupted().is_break() {
            return None;
        }
        let mut group = Vec::new();
        for micro in 0..config.train.accumulate as u64 {
            let batch = training_batch(corpus, objective, config, step, micro);
            group.extend(observations(&batch, architecture, vocabulary));
        }
        groups.push(group);
    }
    let evaluation = (0..config.evaluation.batches as u64).map(|index| {
        let batch = evaluation_batch(corpus, objective, config, index);
        observations(&batch, architecture, vocabulary).collect()
    });
    let evaluation: Vec<Vec<(u32, u32)>> = evaluation.collect();
    Some(fit(&groups, &evaluation, vocabulary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data, objective};

    #[test]
    fn tables_are_those_worked_by_hand() {
        // Three tokens; 0 is followed by 1 twice and by 2 once, 1 by 0 once.
        let mut tables = Tables::new(3);
        tables.take([(0, 1), (0, 1), (0, 2), (1, 0)].into_iter());
        // (2 + 1) / (4 + 3), and so on; they add up to one.
        assert_eq!([0, 1, 2].map(|t| tables.unigram(t)), [2.0 / 7.0, 3.0 / 7.0, 2.0 / 7.0]);
        assert!((tables.bigram(0, 1, 2.0) - (2.0 + 2.0 * 3.0 / 7.0) / 5.0).abs() < 1e-15);
        // A context never seen is the unigram.
        assert!((tables.bigram(2, 1, 2.0) - 3.0 / 7.0).abs() < 1e-15);
        let sum: f64 = (0..3).map(|t| tables.bigram(0, t, 0.3)).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let expected = -((3.0f64 / 7.0).ln() + (2.0f64 / 7.0).ln()) / 2.0;
        assert!((loss(&[(0, 1), (0, 2)], |_, t| tables.unigram(t)) - expected).abs() < 1e-15);
    }

    #[test]
    fn a_chain_with_known_probabilities_is_found_again() {
        // 0 goes to 1 always; 1 goes to 0 or 2 with equal chance; 2 goes to 0. Drawn with a fixed pattern's frequencies:
        // the bigram's loss is ln 2 on the half of the positions where there is a choice... by the stationary shares.
        let mut rng = crate::rng::keyed(1, crate::rng::Purpose::Batch, 0, 0);
        let mut chain = |n: usize| {
            let mut state = 0u32;
            let mut seen = Vec::with_capacity(n);
            for _ in 0..n {
                let next = match state {
                    0 => 1,
                    1 if rng.happens(0.5) => 0,
                    1 => 2,
                    _ => 0,
                };
                seen.push((state, next));
                state = next;
            }
            seen
        };
        let groups: Vec<_> = (0..20).map(|_| chain(5000)).collect();
        let evaluation = chain(50_000);
        let got = fit(&groups, &[evaluation], 3);
        // Stationary: p1 = 0.4, p0 = 0.4, p2 = 0.2; entropy rate 0.4 ln 2; unigram entropy of (.4, .4, .2).
        let unigram = -(0.8 * 0.4f64.ln() + 0.2 * 0.2f64.ln());
        assert!((got.bigram - 0.4 * 2f64.ln()).abs() < 3e-3, "{got:?}");
        assert!((got.unigram - unigram).abs() < 3e-3, "{got:?}");
    }

    #[test]
    fn a_context_is_the_token_before_the_one_that_is_predicted() {
        let no = NO_TARGET;
        let batch = |inputs: [u32; 8], targets: [i32; 8]| Batch {
            sequences: 2,
            context: 4,
            inputs: inputs.to_vec(),
            targets: targets.to_vec(),
            ..Batch::default()
        };
        let all = |batch: &Batch, architecture| observations(batch, architecture, 10).collect::<Vec<_>>();
        // Texts 5 6 7 8 9 and 1 2 3 4 5, the second one's first two tokens a prefix.
        let causal = batch([5, 6, 7, 8, 1, 2, 3, 4], [6, 7, 8, 9, no, 3, 4, 5]);
        let pairs = [(5, 6), (6, 7), (7, 8), (8, 9), (2, 3), (3, 4), (4, 5)];
        assert_eq!(all(&causal, Architecture::Decoder), pairs);
        // The same texts behind a mask (0): the second begins with one, which has no token before it in its sequence, and
        // the last but one hides what stands before the last.
        let masked = batch([5, 0, 7, 8, 0, 2, 0, 0], [no, 6, no, no, 1, no, 3, 4]);
        assert_eq!(all(&masked, Architecture::Encoder), [(5, 6), (10, 1), (2, 3), (0, 4)]);
    }

    #[test]
    fn batches_weigh_the_same_however_much_they_predict() {
        // Token 0 three times in training: (3 + 1) / (3 + 2), and 1 / 5 for token 1.
        let groups = [vec![(0, 0), (0, 0), (0, 0)]];
        let got = fit(&groups, &[vec![(0, 0)], vec![(0, 1), (0, 1), (0, 1)]], 2);
        assert!((got.unigram + (0.8f64.ln() + 0.2f64.ln()) / 2.0).abs() < 1e-12, "{got:?}");
        // And of a prefix objective, whose batches predict unequal numbers, the same by hand.
        let mut config = RunConfig::default();
        config.objective.name = "prefix".to_owned();
        (config.train.steps, config.train.batch, config.evaluation.batches) = (20, 2, 3);
        let corpus = data::open(&config, &mut |_| ControlFlow::Continue(())).unwrap();
        let prefix = objective::find("prefix").unwrap();
        let vocabulary = corpus.vocabulary().size;
        let (mut counts, mut total) = (vec![1.0; vocabulary], vocabulary as f64);
        let predicted = |batch: Batch| batch.targets.into_iter().filter(|t| *t != NO_TARGET).map(|t| t as usize);
        for step in 0..20 {
            for target in predicted(training_batch(corpus.as_ref(), prefix, &config, step, 0)) {
                counts[target] += 1.0;
                total += 1.0;
            }
        }
        let batches: Vec<Vec<usize>> =
            (0..3).map(|i| predicted(evaluation_batch(corpus.as_ref(), prefix, &config, i)).collect()).collect();
        assert!(batches.windows(2).any(|pair| pair[0].len() != pair[1].len()));
        let mean =
            |batch: &Vec<usize>| batch.iter().map(|t| -(counts[*t] / total).ln()).sum::<f64>() / batch.len() as f64;
        let expected = batches.iter().map(mean).sum::<f64>() / 3.0;
        let got = losses(corpus.as_ref(), prefix, &config, &mut || ControlFlow::Continue(())).unwrap();
        assert!((got.unigram - expected).abs() < 1e-9, "{got:?} {expected}");
    }

    #[test]
    fn stories_lie_between_their_floor_and_chance_for_both_architectures() {
        let mut config = RunConfig::default();
        (config.train.steps, config.train.batch) = (200, 8);
        let corpus = data::open(&config, &mut |_| ControlFlow::Continue(())).unwrap();
        let go_on = &mut || ControlFlow::Continue(());
        let causal = objective::find("causal").unwrap();
        let got = losses(corpus.as_ref(), causal, &config, go_on).unwrap();
        let floor = f64::from(objective::floor(corpus.as_ref(), causal, &config).unwrap());
        let chance = (corpus.vocabulary().size as f64).ln();
        assert!(floor < got.bigram && got.bigram < got.unigram && got.unigram < chance, "{floor} {got:?} {chance}");
        config.model.architecture = Architecture::Encoder;
        let masked = losses(corpus.as_ref(), objective::find("mlm").unwrap(), &config, go_on).unwrap();
        assert!(masked.bigram < masked.unigram && masked.unigram < chance, "{masked:?}");
        assert_eq!(losses(corpus.as_ref(), causal, &config, &mut || ControlFlow::Break(())), None);
    }
}
