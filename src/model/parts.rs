//! Parts of a layer: the matrices of the heads and columns that a step computes, and the way back.
//!
//! A layer with some of its heads and hidden columns is a smaller layer, so the block computes it as it computes any
//! other: its parameters are gathered, its gradients are those parts' alone, its update is scattered. Owns which elements
//! of which parameter those are.

use std::ops::Range;

use super::layout::place;
use super::{Parameter, UpdateRule};
use crate::config::ModelConfig;
use crate::optim;
use crate::subnetwork::Parts;

/// Rows and columns of a row-major matrix (a vector is one row).
pub(super) struct Selection {
    rows: Vec<Range<usize>>,
    columns: Vec<Range<usize>>,
    /// Columns of the whole matrix.
    width: usize,
}

impl Selection {
    /// What the parts need of a layer's parameter number `index`.
    pub(super) fn new(m: &ModelConfig, parts: &Parts, index: usize, shape: &[usize]) -> Self {
        let (rows, width) = Self::whole(shape);
        let (c, d) = (m.width, m.width / m.heads);
        let heads = |first: usize| parts.heads.iter().map(move |head| first + head * d..first + (head + 1) * d);
        let all = |n: usize| std::iter::once(0..n).collect();
        let mut whole = Self { rows: all(rows), columns: all(width), width };
        match index {
            place::QKV | place::QKV_BIAS => whole.columns = [0, c, 2 * c].into_iter().flat_map(heads).collect(),
            place::PROJ => whole.rows = heads(0).collect(),
            place::UP | place::UP_BIAS => whole.columns.clone_from(&parts.columns),
            place::DOWN => whole.rows.clone_from(&parts.columns),
            _ => {}
        }
        whole
    }

    /// Rows and columns of the whole matrix.
    fn whole(shape: &[usize]) -> (usize, usize) {
        match shape {
            [rows, columns] => (*rows, *columns),
            _ => (1, shape.iter().product()),
        }
    }

    /// Columns of the whole matrix of that shape.
    pub(super) fn width(shape: &[usize]) -> usize {
        Self::whole(shape).1
    }

    /// The rows, and the columns.
    pub(super) fn indices(&self) -> [Vec<usize>; 2] {
        [&self.rows, &self.columns].map(|ranges| ranges.iter().cloned().flatten().collect())
    }

    /// Stretches of neighbouring elements, in order.
    fn stretches(&self) -> impl Iterator<Item = Range<usize>> {
        let rows = self.rows.iter().cloned().flatten();
        rows.flat_map(move |row| self.columns.iter().map(move |c| row * self.width + c.start..row * self.width + c.end))
    }

    fn gather(&self, from: &[f32], to: &mut Vec<f32>) {
        to.clear();
        self.stretches().for_each(|stretch| to.extend_from_slice(&from[stretch]));
    }

    pub(super) fn scatter(&self, mut from: &[f32], to: &mut [f32]) {
        for stretch in self.stretches() {
            let (now, rest) = from.split_at(stretch.len());
            to[stretch].copy_from_slice(now);
            from = rest;
        }
    }
}

/// The parts' weights as a layer's parameters, without moments.
pub(super) fn gather(m: &ModelConfig, parts: &Parts, layer: &[Parameter], to: &mut Vec<Parameter>) {
    let empty = || Parameter {
        name: String::new(),
        shape: Vec::new(),
        weight: Vec::new(),
        first_moment: Vec::new(),
        second_moment: Vec::new(),
        updates: 0,
    };
    to.resize_with(layer.len(), empty);
    for (index, (p, compact)) in layer.iter().zip(to).enumerate() {
        Selection::new(m, parts, index, &p.shape).gather(&p.weight, &mut compact.weight);
    }
}

/// A gradient of a layer's parameter number `index` in full: zeros where nothing was computed.
pub(super) fn widened(m: &ModelConfig, parts: &Parts, index: usize, p: &Parameter, gradient: &[f32]) -> Vec<f32> {
    let mut full = vec![0.0; p.weight.len()];
    Selection::new(m, parts, index, &p.shape).scatter(gradient, &mut full);
    full
}

/// What a step computed of a gradient in full.
pub(super) fn narrowed(m: &ModelConfig, parts: &Parts, index: usize, p: &Parameter, gradient: &[f32]) -> Vec<f32> {
    let mut compact = Vec::new();
    Selection::new(m, parts, index, &p.shape).gather(gradient, &mut compact);
    compact
}

/// One AdamW update of the computed parts of a layer's parameter number `index`: of nothing else, or, where skipped
/// parameters are fed zeros, of everything.
///
/// A parameter has one count of updates, so the bias correction of a part that is seldom computed is that of its whole
/// parameter.
pub(super) fn update(
    m: &ModelConfig,
    parts: &Parts,
    index: usize,
    p: &mut Parameter,
    gradient: &[f32],
    rule: &UpdateRule,
) {
    if rule.zero_gradient_for_skipped {
        let full = widened(m, parts, index, p, gradient);
        return optim::adamw(p, Some(&full), rule);
    }
    let mut compact = Parameter {
        name: String::new(),
        // Decay depends on the number of dimensions alone.
        shape: p.shape.clone(),
        weight: narrowed(m, parts, index, p, &p.weight),
        first_moment: narrowed(m, parts, index, p, &p.first_moment),
        second_moment: narrowed(m, parts, index, p, &p.second_moment),
        updates: p.updates,
    };
    optim::adamw(&mut compact, Some(gradient), rule);
    let selection = Selection::new(m, parts, index, &p.shape);
    selection.scatter(&compact.weight, &mut p.weight);
    selection.scatter(&compact.first_moment, &mut p.first_moment);
    selection.scatter(&compact.second_moment, &mut p.second_moment);
    p.updates = compact.updates;
}
