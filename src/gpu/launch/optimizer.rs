//! The end of a step: launches of `source/optimizer.cu`.

use anyhow::Result;

use super::{Double, Int, Kernels, Long, Needs, f32s, maybe_f32s};
use crate::gpu::{Kind, Span};

/// The most parameters that one buffer may have.
pub const MOST_PARAMETERS: usize = 16;

/// Scalar factors of the parameters of one buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// Where each ends: its first element behind it, a multiple of 4.
    pub ends: Vec<u64>,
    /// 1 - learning rate * decay.
    pub keep: Vec<f32>,
    /// Learning rate over the first moment's correction.
    pub rate: Vec<f32>,
    /// One over the root of the second moment's correction.
    pub root: Vec<f32>,
    /// Decay rates of the moments, one minus those, epsilon, factor on the gradient.
    pub common: [f32; 6],
}

impl Factors {
    /// As `source/optimizer.cu` has them.
    ///
    /// # Panics
    /// If there are none, or more than [`MOST_PARAMETERS`].
    fn words(&self) -> Vec<u64> {
        let n = self.ends.len();
        assert!(n > 0 && n <= MOST_PARAMETERS && self.ends.iter().all(|end| end.is_multiple_of(4)), "{:?}", self.ends);
        // Behind the last, as of the last.
        let padded = |values: &[f32]| -> Vec<f32> { (0..MOST_PARAMETERS).map(|i| values[i.min(n - 1)]).collect() };
        let floats = [padded(&self.keep), padded(&self.rate), padded(&self.root), self.common.to_vec()].concat();
        let pairs = floats.chunks_exact(2).map(|p| u64::from(p[0].to_bits()) | u64::from(p[1].to_bits()) << 32);
        (0..MOST_PARAMETERS).map(|i| self.ends.get(i).copied().unwrap_or(u64::MAX)).chain(pairs).collect()
    }
}

impl Kernels {
    /// What came of a step, and what its update is to do: the mean of `count` losses and the gradient's norm, clipped to
    /// `clip` (0: not at all) // outcome f32 (2), control f32 (2), kept from step to step and 0 at first; results f64 (1 +
    /// count): the gradient's sum of squares, and the losses
    ///
    /// # Errors
    /// If the device fails.
    pub fn judge(
        &self,
        outcome: Span<'_>,
        control: Span<'_>,
        results: Span<'_>,
        count: usize,
        clip: f64,
    ) -> Result<()> {
        let results = Needs::Of(Some(results), Kind::F64, 1 + count);
        let needs = vec![f32s(outcome, 2), f32s(control, 2), results, Int(count), Double(clip)];
        self.run("judge", [1, 1], 32, needs)
    }

    /// One AdamW update; without a gradient, as with one of zeros; with `control`, as [`Self::judge`] says // all (n), n a
    /// multiple of 4, control f32 (2)
    ///
    /// # Errors
    /// If the device fails.
    pub fn adamw(
        &self,
        [weight, first, second]: [Span<'_>; 3],
        gradient: Option<Span<'_>>,
        copy: Option<Span<'_>>,
        control: Option<Span<'_>>,
        factors: &Factors,
    ) -> Result<()> {
        let n = weight.len();
        assert!(n.is_multiple_of(4), "{n} elements are no multiple of 4");
        let needs = vec![
            f32s(weight, n),
            f32s(first, n),
            f32s(second, n),
            maybe_f32s(gradient, n),
            self.maybe_store(copy, n),
            maybe_f32s(control, 2),
            Long(n),
            Needs::Struct(factors.words()),
        ];
        self.run("adamw", [(n / 4).div_ceil(256), 1], 256, needs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_stand_as_the_kernel_reads_them() {
        let factors = Factors {
            ends: vec![64, 128],
            keep: vec![0.5, 1.0],
            rate: vec![0.1, 0.2],
            root: vec![3.0, 4.0],
            common: [0.9, 0.95, 0.1, 0.05, 1e-8, 0.25],
        };
        let words = factors.words();
        // 16 ends, 48 floats in pairs, and the six common ones.
        assert_eq!(words.len(), 16 + 24 + 3);
        assert_eq!((words[0], words[1], words[2]), (64, 128, u64::MAX));
        let float = |i: usize| f32::from_bits((words[16 + i / 2] >> (32 * (i % 2))) as u32);
        assert_eq!((float(0), float(1), float(15), float(17), float(33)), (0.5, 1.0, 1.0, 0.2, 4.0));
        assert_eq!((float(48), float(53)), (0.9, 0.25));
    }
}
