//! Width: random parts of every layer instead of random layers (the paper's variant beyond depth).
//!
//! A stage of path length k of L computes k / L of each layer's attention heads and of its MLP's columns, the latter in
//! contiguous groups; which ones is drawn anew in each step. The residual stream keeps its width, nothing is rescaled.
//! Numbers of heads and groups are rounded, so that a step's work is nearly, not always exactly, that of k layers.

use super::{Axis, Complaint, Context, Given, LayerShape, MethodConfig, Sampling, Scaling};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::subnetwork::{Parts, Subnetwork};

/// How many of `n` parts a path length stands for, at least one.
fn count(n: usize, length: usize, layers: usize) -> usize {
    ((n * length) as f64 / layers.max(1) as f64).round().clamp(1.0, n.max(1) as f64) as usize
}

/// Layers' worth of work: heads and columns by their share of a layer's weights, `4 C^2` and `2 C inner`.
pub(super) fn worth(settings: &MethodConfig, shape: LayerShape, length: usize, layers: usize) -> f64 {
    let share = |n: usize| count(n, length, layers) as f64 / n as f64;
    let (attention, mlp) = (4.0 * shape.width as f64, 2.0 * shape.columns as f64);
    layers as f64 * (attention * share(shape.heads) + mlp * share(settings.groups)) / (attention + mlp)
}

/// A network of all layers, of each of which the parts of a path length are computed.
pub(super) fn random_parts(at: &Context<'_>, length: usize, rng: &mut Rng) -> Subnetwork {
    let (layers, shape, settings) = (at.layers(), at.shape, at.settings);
    let whole = Subnetwork::new(LayerPath::full(layers));
    if length >= layers {
        return whole;
    }
    let mut some = |n: usize| {
        let mut all: Vec<usize> = (0..n).collect();
        let count = count(n, length, layers);
        rng.choose(&mut all, count);
        all.truncate(count);
        all.sort_unstable();
        all
    };
    let size = shape.columns / settings.groups.max(1);
    let mut draw = || Parts {
        heads: some(shape.heads),
        columns: some(settings.groups).into_iter().map(|group| group * size..(group + 1) * size).collect(),
    };
    let parts = if settings.shared { vec![draw(); layers] } else { (0..layers).map(|_| draw()).collect() };
    whole.with_parts(parts)
}

/// What is wrong with the keys that concern the axis.
///
/// # Errors
/// The first one that is.
pub(super) fn check(given: &Given<'_>) -> Result<(), Complaint> {
    let (settings, defaults) = (given.settings, MethodConfig::default());
    let needs = |key, what: &str| Err((key, format!("has no effect with method.axis = {what}; leave it out")));
    if settings.axis == Axis::Depth {
        return match () {
            () if settings.groups != defaults.groups => needs("method.groups", "\"depth\""),
            () if settings.shared => needs("method.shared", "\"depth\""),
            () => Ok(()),
        };
    }
    let columns = given.shape.columns;
    if settings.groups == 0 || !columns.is_multiple_of(settings.groups) {
        let problem = format!("must divide the MLP's {columns} columns; {} doesn't", settings.groups);
        return Err(("method.groups", problem));
    }
    match () {
        () if settings.scaling != Scaling::None => needs("method.scaling", "\"width\""),
        () if settings.sampling != Sampling::Exact => needs("method.sampling", "\"width\""),
        () if settings.fixed != defaults.fixed => needs("method.fixed", "\"width\", which skips no layer"),
        () => Ok(()),
    }
}

/// Which heads and which groups of columns are computed, as text: `1011`.
pub fn parts_text(settings: &MethodConfig, shape: LayerShape, parts: &Parts) -> (String, String) {
    let text = |n: usize, is_in: &dyn Fn(usize) -> bool| (0..n).map(|i| if is_in(i) { '1' } else { '0' }).collect();
    let size = shape.columns / settings.groups.max(1);
    let heads = text(shape.heads, &|head| parts.heads.contains(&head));
    let columns = text(settings.groups, &|group| parts.columns.iter().any(|range| range.contains(&(group * size))));
    (heads, columns)
}
