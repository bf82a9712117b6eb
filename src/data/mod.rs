//! Text as tokens: where sequences come from.
//!
//! Owns the [`Corpus`] interface. Which sequence a step sees is drawn from the generator it is handed, so batch k is a
//! function of (seed, k). Never touches a model, a terminal or a thread.

use crate::rng::Rng;

/// The tokens a model must know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Number of tokens, V; ids are `0..size`.
    pub size: usize,
    /// The token that hides another one, for `mlm`.
    pub mask: Option<u32>,
    /// Tokens that are never hidden nor drawn as a random replacement (markers, padding).
    pub special: Vec<u32>,
}

/// Which part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What the model learns from.
    Train,
    /// What it is evaluated on; shares no document with the other.
    Validation,
}

/// A source of token sequences.
pub trait Corpus: Send + Sync {
    /// What it is, for people, as in "stories, 118 words".
    fn about(&self) -> String;

    /// Its tokens.
    fn vocabulary(&self) -> &Vocabulary;

    /// Checksum of everything that decides which tokens a generator leads to.
    fn checksum(&self) -> String;

    /// Fills `out` with one sequence, chosen by the generator.
    fn sequence(&self, split: Split, rng: &mut Rng, out: &mut [u32]);

    /// `-ln p` of each token given those before it, for a sequence of this corpus, where the text's probabilities are
    /// known: the loss that no causal model can go below.
    fn surprisal(&self, _sequence: &[u32]) -> Option<Vec<f32>> {
        None
    }

    /// Tokens as text, for people.
    fn decode(&self, tokens: &[u32]) -> String;

    /// The tokenizer as a `tokenizer.json`, for the run's directory and for exports.
    fn tokenizer_json(&self) -> Option<String>;
}
