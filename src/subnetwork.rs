//! The subnetwork: everything about one step's network that differs from the full model.
//!
//! Owns the layer path together with what a path alone can't say: a factor on each active layer's branches, and, where
//! only parts of a layer are computed, which. How a subnetwork is drawn is `method`'s, how it is computed `model`'s.

use std::ops::Range;

use crate::layer_path::LayerPath;

/// The network of one step: the layers that are active, each layer's factor, each layer's parts.
///
/// An active layer with factor `a` computes `x + a f(x)` for both its branches, attention and MLP (the residual scalars
/// of the paper's Definition 1, as progressive layer dropping applies them to a transformer block).
#[derive(Clone, Debug, PartialEq)]
pub struct Subnetwork {
    path: LayerPath,
    /// One per active layer, input side first; empty: all 1.
    factors: Vec<f32>,
    /// One per active layer, input side first; empty: every layer whole.
    parts: Vec<Parts>,
}

/// The parts of a layer that are computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Attention heads, in rising order.
    pub heads: Vec<usize>,
    /// Columns of the MLP's hidden layer, in rising order, apart from each other.
    pub columns: Vec<Range<usize>>,
}

impl Parts {
    /// How many columns of the MLP's hidden layer are computed.
    pub fn width(&self) -> usize {
        self.columns.iter().map(Range::len).sum()
    }
}

impl Subnetwork {
    /// The subnetwork of the layers on a path, whole and unscaled.
    pub fn new(path: LayerPath) -> Self {
        Self { path, factors: Vec::new(), parts: Vec::new() }
    }

    /// The same with a factor for each active layer, input side first. Factors that are all 1 are dropped, so that equal
    /// networks are equal values.
    ///
    /// # Panics
    /// If there are more or fewer factors than active layers.
    #[must_use]
    pub fn with_factors(mut self, factors: Vec<f32>) -> Self {
        assert_eq!(factors.len(), self.path.path_length(), "factors of the layers of {}", self.path);
        self.factors = if factors.iter().all(|f| *f == 1.0) { Vec::new() } else { factors };
        self
    }

    /// The same with only these parts of each active layer, input side first.
    ///
    /// # Panics
    /// If there are more or fewer than active layers.
    #[must_use]
    pub fn with_parts(mut self, parts: Vec<Parts>) -> Self {
        assert_eq!(parts.len(), self.path.path_length(), "parts of the layers of {}", self.path);
        self.parts = parts;
        self
    }

    /// The active layers.
    pub fn path(&self) -> LayerPath {
        self.path
    }

    /// The factor on the branches of the active layer number `slot` (0-based, input side first).
    pub fn factor(&self, slot: usize) -> f32 {
        self.factors.get(slot).copied().unwrap_or(1.0)
    }

    /// The parts of the active layer number `slot` that are computed; none: all of it.
    pub fn parts(&self, slot: usize) -> Option<&Parts> {
        self.parts.get(slot)
    }
}

impl From<LayerPath> for Subnetwork {
    fn from(path: LayerPath) -> Self {
        Self::new(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_alone_is_whole_and_unscaled() {
        let path: LayerPath = "1011".parse().unwrap();
        let subnetwork = Subnetwork::from(path);
        assert_eq!((subnetwork.path(), subnetwork.factor(2), subnetwork.parts(2)), (path, 1.0, None));
        assert_eq!(subnetwork.clone().with_factors(vec![1.0; 3]), subnetwork);
        assert_eq!(subnetwork.with_factors(vec![1.0, 2.0, 1.0]).factor(1), 2.0);
    }

    #[test]
    fn parts_know_their_width() {
        let parts = Parts { heads: vec![0, 2], columns: vec![0..4, 8..16] };
        assert_eq!(parts.width(), 12);
    }
}
