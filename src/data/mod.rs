//! Text as tokens: where sequences come from.
//!
//! Owns the [`Corpus`] interface. Which sequence a step sees is drawn from the generator it is handed, so batch k is a
//! function of (seed, k). Never touches a model, a terminal or a thread.

mod documents;
mod grammar;
pub mod polynomial;
mod puzzles;
mod stories;
mod text;
mod token_file;
mod tokenizer;

use std::fmt::Write as _;
use std::ops::ControlFlow;

use anyhow::Result;

use crate::config::{Architecture, DataConfig, RunConfig, Source};
use crate::rng::Rng;
use polynomial::Polynomial;

/// The tokens a model must know about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Number of tokens, V; ids are `0..size`.
    pub size: usize,
    /// The token that hides another one, for `mlm`.
    pub mask: Option<u32>,
    /// Tokens that are never hidden nor drawn as a random replacement (markers, padding).
    pub special: Vec<u32>,
    /// Of these, the ones that the objective asked for (`ObjectiveConfig::special_tokens`), in its order.
    pub added: Vec<u32>,
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

    /// Names of the classes into which some of its tokens fall by what it takes to predict them, as in "hops 3"; none
    /// where nothing is known of that.
    fn classes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The class of each token of a sequence of this corpus, as a place in [`Self::classes`]; most tokens have none.
    fn class(&self, sequence: &[u32]) -> Vec<Option<usize>> {
        vec![None; sequence.len()]
    }

    /// What is to be learned of each sequence, where that is a number: the function of it that gives the target.
    fn polynomial(&self) -> Option<&Polynomial> {
        None
    }

    /// Tokens as text, for people.
    fn decode(&self, tokens: &[u32]) -> String;

    /// The tokenizer as a `tokenizer.json`, for the run's directory and for exports.
    fn tokenizer_json(&self) -> Option<String>;
}

/// How far something slow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done, as in "tokenising".
    pub what: &'a str,
    /// Units done.
    pub done: u64,
    /// Units in all; 0 where that isn't known.
    pub total: u64,
}

/// Is told of progress; `Break` ends the preparation.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// The preparation of the data was ended from outside.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the preparation of the data was interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Data that can't be read, or is not what it must be. One sentence.
#[derive(Debug)]
pub struct DataError(String);

impl DataError {
    /// From the sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl std::fmt::Display for DataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DataError {}

impl Vocabulary {
    /// With `count` tokens more, behind all others.
    pub(crate) fn extended(mut self, count: usize) -> Self {
        self.added = (self.size..self.size + count).map(|id| id as u32).collect();
        self.special.extend(&self.added);
        self.size += count;
        self
    }
}

/// Tells of progress.
fn report(on_progress: OnProgress<'_>, progress: Progress<'_>) -> Result<()> {
    match on_progress(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Interrupted.into()),
    }
}

/// The corpus that a config names.
///
/// # Errors
/// [`DataError`] for text that can't be read, [`Interrupted`] if `on_progress` says so.
pub fn open(config: &RunConfig, on_progress: OnProgress<'_>) -> Result<Box<dyn Corpus>> {
    if config.model.architecture == Architecture::Mlp {
        return Ok(Box::new(polynomial::Cube::new(config)));
    }
    let special = config.objective.special_tokens(config.model.context);
    Ok(match config.data.source {
        Source::Stories => Box::new(stories::Stories::new().with_special_tokens(special)),
        Source::Puzzles => Box::new(puzzles::Puzzles::new(&config.data).with_special_tokens(special)),
        Source::Text => Box::new(text::Text::open(config, on_progress)?),
    })
}

/// The built-in stories' number of tokens.
pub fn stories_vocabulary() -> usize {
    stories::Stories::new().vocabulary().size
}

/// The built-in puzzles' number of tokens, whatever their difficulty.
pub fn puzzles_vocabulary() -> usize {
    puzzles::Puzzles::new(&DataConfig::default()).vocabulary().size
}

/// The byte tokenizer's number of tokens.
pub fn bytes_vocabulary() -> usize {
    tokenizer::BYTES_VOCABULARY
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
