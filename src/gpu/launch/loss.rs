//! Cross entropy and the sums that a step ends in: launches of `source/loss.cu`.

use anyhow::Result;

use super::{Flag, Float, Int, Kernels, Long, Needs, f32s, maybe_f32s};
use crate::gpu::{Kind, Span};

/// Elements of a block of sums of squares.
const SQUARES: usize = 8192;

impl Kernels {
    /// Losses of rows of logits; with a scale, the logits' gradient in their place // logits (P, stride), bias f32
    /// (vocabulary), targets i32 (P), losses (P)
    ///
    /// # Panics
    /// If the stride is no multiple of 8 or less than the vocabulary.
    ///
    /// # Errors
    /// If the device fails.
    pub fn cross_entropy(
        &self,
        logits: Span<'_>,
        bias: Option<Span<'_>>,
        targets: Span<'_>,
        losses: Span<'_>,
        scale: Option<f32>,
        [vocabulary, stride]: [usize; 2],
    ) -> Result<()> {
        assert!(stride.is_multiple_of(8) && stride >= vocabulary, "{vocabulary} logits in rows of {stride}");
        let rows = targets.len();
        let needs = vec![
            self.store(logits, rows * stride),
            maybe_f32s(bias, vocabulary),
            Needs::Of(Some(targets), Kind::I32, rows),
            f32s(losses, rows),
            Float(scale.unwrap_or(0.0)),
            Int(vocabulary),
            Int(stride),
            Flag(scale.is_some()),
        ];
        self.run("cross_entropy", [rows, 1], 512, needs)
    }

    /// The mean of losses // to f64 (1)
    ///
    /// # Errors
    /// If the device fails.
    pub fn mean_loss(&self, to: Span<'_>, losses: Span<'_>) -> Result<()> {
        let n = losses.len();
        self.run("mean_loss", [1, 1], 512, vec![Needs::Of(Some(to), Kind::F64, 1), f32s(losses, n), Int(n)])
    }

    /// How many sums [`Self::squares`] writes.
    pub fn square_blocks(n: usize) -> usize {
        n.div_ceil(SQUARES)
    }

    /// Sums of squares of blocks of values // partials f64 (square_blocks(n)), values (n)
    ///
    /// # Errors
    /// If the device fails.
    pub fn squares(&self, partials: Span<'_>, values: Span<'_>) -> Result<()> {
        let n = values.len();
        let blocks = Self::square_blocks(n);
        let needs = vec![Needs::Of(Some(partials), Kind::F64, blocks), f32s(values, n), Long(n)];
        self.run("squares", [blocks, 1], 512, needs)
    }

    /// Their sum // to f64 (1), partials f64 (any)
    ///
    /// # Errors
    /// If the device fails.
    pub fn sum_partials(&self, to: Span<'_>, partials: Span<'_>) -> Result<()> {
        let n = partials.len();
        let f64s = |span, n| Needs::Of(Some(span), Kind::F64, n);
        self.run("sum_partials", [1, 1], 512, vec![f64s(to, 1), f64s(partials, n), Int(n)])
    }
}
