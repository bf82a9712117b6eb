//! What `prefix`, `span` and `ul2` share: a text becomes a stream of what is given and what is predicted.
//!
//! The given part is the sequence's prefix: its positions see one another. Its last position predicts the first hidden
//! token, each predicted token the next one. Positions that a sequence leaves empty repeat the last token and predict
//! nothing; as they stand behind everything under a causal mask, nothing sees them, and no loss comes from them.

use super::{Batch, NO_TARGET, Objective};
use crate::config::denoiser::{Denoiser, Hidden, Mode};
use crate::config::{Architecture, ObjectiveConfig};
use crate::data::Vocabulary;
use crate::rng::Rng;

/// An objective that hides part of a text from a decoder; what it hides, the config's denoisers say.
pub(super) struct Denoising {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// As [`Objective::is_causal`].
    pub(super) is_causal: bool,
    /// What must stand behind the vocabulary's own tokens.
    pub(super) needs: Option<&'static str>,
}

impl Objective for Denoising {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn architecture(&self) -> Architecture {
        Architecture::Decoder
    }

    fn sequence_length(&self, context: usize) -> usize {
        context + 1
    }

    fn is_causal(&self) -> bool {
        self.is_causal
    }

    fn check(&self, vocabulary: &Vocabulary) -> Result<(), String> {
        match self.needs {
            Some(needs) if vocabulary.added.is_empty() => {
                Err(format!("`{}` needs a vocabulary with {needs}", self.name))
            }
            _ => Ok(()),
        }
    }

    fn example(
        &self,
        sequence: &[u32],
        vocabulary: &Vocabulary,
        config: &ObjectiveConfig,
        rng: &mut Rng,
        batch: &mut Batch,
    ) {
        example(sequence, vocabulary, config, rng, batch);
    }
}

/// Appends the sequence that one of the config's denoisers, drawn by its probability, makes of the text's beginning.
fn example(text: &[u32], vocabulary: &Vocabulary, config: &ObjectiveConfig, rng: &mut Rng, batch: &mut Batch) {
    let denoisers = config.denoisers();
    let mut left = if denoisers.len() > 1 { rng.uniform() } else { 0.0 };
    let drawn = denoisers.iter().find(|(p, _)| {
        left -= p;
        left < 0.0
    });
    // Rounding may leave a rest behind the last.
    let Some((_, denoiser)) = drawn.or(denoisers.last()) else {
        return;
    };
    let text = &text[..denoiser.text(batch.context).map_or(0, |count| count.min(text.len()))];
    let (mut given, predicted) = hide(*denoiser, text, vocabulary, rng);
    if let Some(mode) = denoiser.mode {
        given.insert(0, mode_token(mode, vocabulary));
    }
    push(&given, &predicted, batch);
}

/// The modes' tokens stand behind the sentinels.
fn mode_token(mode: Mode, vocabulary: &Vocabulary) -> u32 {
    vocabulary.added[vocabulary.added.len() - Mode::ALL.len() + mode as usize]
}

/// A text as what is given and what is predicted.
fn hide(denoiser: Denoiser, text: &[u32], vocabulary: &Vocabulary, rng: &mut Rng) -> (Vec<u32>, Vec<u32>) {
    let (hidden, spans) = denoiser.counts(text.len());
    match denoiser.hidden {
        Hidden::End { .. } => {
            // All lengths from 1 on are as likely, and `hidden` is their mean.
            let end = 1 + rng.below(2 * hidden as u64 - 1) as usize;
            let (given, predicted) = text.split_at(text.len() - end);
            (given.to_vec(), predicted.to_vec())
        }
        Hidden::Spans { .. } => {
            let hidden_spans = segments(hidden, spans, rng);
            let kept_spans = segments(text.len() - hidden, spans, rng);
            corrupt(text, &kept_spans, &hidden_spans, &vocabulary.added)
        }
    }
}

/// `total` cut into `count` lengths of at least 1, every way as likely (T5's `_random_segmentation`).
fn segments(total: usize, count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut cuts: Vec<usize> = (1..total).collect();
    rng.choose(&mut cuts, count - 1);
    cuts.truncate(count - 1);
    cuts.sort_unstable();
    cuts.push(total);
    let mut last = 0;
    cuts.into_iter().map(|cut| cut - std::mem::replace(&mut last, cut)).collect()
}

/// The text with a sentinel for each hidden span; and each sentinel with what it hides, then one sentinel more. Kept and
/// hidden spans take turns; the text begins with a kept one.
fn corrupt(text: &[u32], kept: &[usize], hidden: &[usize], sentinels: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let (mut given, mut predicted) = (Vec::new(), Vec::new());
    let mut at = 0;
    for ((&kept, &hidden), &sentinel) in kept.iter().zip(hidden).zip(sentinels) {
        given.extend(&text[at..at + kept]);
        given.push(sentinel);
        predicted.push(sentinel);
        predicted.extend(&text[at + kept..at + kept + hidden]);
        at += kept + hidden;
    }
    predicted.push(sentinels[hidden.len()]);
    (given, predicted)
}

/// Appends a sequence of what is given and what is predicted, at most T + 1 tokens together.
fn push(given: &[u32], predicted: &[u32], batch: &mut Batch) {
    let (first, end) = (batch.inputs.len(), batch.inputs.len() + batch.context);
    let last = predicted.last().copied().unwrap_or_default();
    batch.inputs.extend(given.iter().chain(predicted).take(batch.context));
    batch.inputs.resize(end, last);
    batch.targets.resize(first + given.len() - 1, NO_TARGET);
    batch.targets.extend(predicted.iter().map(|&token| token as i32));
    batch.targets.resize(end, NO_TARGET);
    batch.prefixes.push(given.len());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rng::{Purpose, keyed};

    /// A vocabulary of at least 100 words, as many as `one` needs, with sentinels and modes behind them.
    pub fn vocabulary(config: &ObjectiveConfig, context: usize) -> Vocabulary {
        let count = config.special_tokens(context).len();
        Vocabulary { size: 100.max(context + 1), ..Vocabulary::default() }.extended(count)
    }

    /// One sequence of the words 0, 1, 2, ... in a context.
    pub fn one(config: &ObjectiveConfig, context: usize, index: u64) -> Batch {
        let text: Vec<u32> = (0..=context as u32).collect();
        let mut batch = Batch { sequences: 1, context, ..Batch::default() };
        let mut rng = keyed(0, Purpose::Mask, 0, index);
        example(&text, &vocabulary(config, context), config, &mut rng, &mut batch);
        assert_eq!((batch.inputs.len(), batch.targets.len(), batch.prefixes.len()), (context, context, 1));
        batch
    }

    #[test]
    fn spans_become_sentinels_as_in_t5s_figure() {
        // Raffel et al. 2020, figure 2: "Thank you for inviting me to your party last week ." hides "for inviting" and
        // "last"; given "Thank you <X> me to your party <Y> week .", predicted "<X> for inviting <Y> last <Z>". T5's own
        // code always ends with a hidden span, so the text here ends with "last".
        let [thank, you, for_, inviting, me, to, your, party, last] = [10, 11, 12, 13, 14, 15, 16, 17, 18];
        let text = [thank, you, for_, inviting, me, to, your, party, last];
        let [x, y, z] = [100, 101, 102];
        let (given, predicted) = corrupt(&text, &[2, 4], &[2, 1], &[x, y, z]);
        assert_eq!(given, [thank, you, x, me, to, your, party, y]);
        assert_eq!(predicted, [x, for_, inviting, y, last, z]);
        // Fourteen tokens fill thirteen positions.
        const NO: i32 = NO_TARGET;
        let mut batch = Batch { sequences: 2, context: 13, ..Batch::default() };
        push(&given, &predicted, &mut batch);
        assert_eq!(batch.inputs, [10, 11, 100, 14, 15, 16, 17, 101, 100, 12, 13, 101, 18]);
        assert_eq!(batch.targets, [NO, NO, NO, NO, NO, NO, NO, 100, 12, 13, 101, 18, 102]);
        assert_eq!(batch.prefixes, [8]);
        // A shorter one leaves a position empty, and the last sentinel is fed though nothing follows.
        let mut short = Batch { sequences: 1, context: 7, ..Batch::default() };
        push(&[5, 100], &[100, 6, 7, 101], &mut short);
        assert_eq!(short.inputs, [5, 100, 100, 6, 7, 101, 101]);
        assert_eq!(short.targets, [NO, 100, 6, 7, 101, NO, NO]);
    }

    #[test]
    fn every_cut_is_as_likely() {
        // Five in three parts: (1,1,3) (1,3,1) (3,1,1) (1,2,2) (2,1,2) (2,2,1).
        let mut counts = std::collections::BTreeMap::new();
        let mut rng = keyed(4, Purpose::Mask, 0, 0);
        for _ in 0..6000 {
            *counts.entry(segments(5, 3, &mut rng)).or_insert(0i32) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Four standard deviations of 6000 draws at 1/6.
        assert!(counts.values().all(|&n| (n - 1000).abs() < 116), "{counts:?}");
        assert_eq!(segments(1, 1, &mut rng), [1]);
        assert_eq!(segments(4, 4, &mut rng), [1, 1, 1, 1]);
    }
}
