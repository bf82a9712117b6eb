//! Objectives: what is predicted from a sequence.
//!
//! Owns the table and the [`Batch`] that every objective makes. A new objective is a new file beside this one and a line
//! in [`OBJECTIVES`]. Never touches tensors: a batch is plain host memory.

use crate::config::{Architecture, ObjectiveConfig};
use crate::data::Vocabulary;
use crate::rng::Rng;

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

    /// What is wrong with this vocabulary for it (one sentence), if anything.
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
