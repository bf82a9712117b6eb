//! What several methods share: layer paths of a length, factors, and how layers are stacked.

use super::{Complaint, Context, Given, Growth, Sampling, Scaling};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::{Row, Schedule, Stage};
use crate::subnetwork::Subnetwork;

/// One row of the full model over the whole run.
pub(super) fn whole_run(given: &Given<'_>) -> Row {
    let fixed = fixed_layers(given.layers, &given.settings.fixed);
    Row { length: given.layers as f64, share: 1.0, steps: None, fixed }
}

/// As [`whole_run`], for methods that fix no layer.
pub(super) fn whole_run_unfixed(given: &Given<'_>) -> Row {
    Row { fixed: LayerPath::none(given.layers), ..whole_run(given) }
}

/// The set that a list of layer numbers names (from 1 at the input, from -1 at the output); numbers of layers that don't
/// exist are left out.
pub(super) fn fixed_layers(layers: usize, numbers: &[i64]) -> LayerPath {
    LayerPath::from_layers(layers, numbers.iter().filter_map(|&n| super::layer_number(layers, n)))
}

/// The probability of a layer outside the fixed set I to be active, `(len - |I|) / (L - |I|)`.
pub(super) fn inclusion(length: f64, fixed: LayerPath) -> f64 {
    let (fixed, layers) = (fixed.path_length(), fixed.layers());
    if fixed == layers { 1.0 } else { (length - fixed as f64) / (layers - fixed) as f64 }
}

/// The fixed layers, and so many others of the first `existing` that there are `length`: every such set is equally likely.
pub(super) fn exact(fixed: LayerPath, existing: usize, length: usize, rng: &mut Rng) -> LayerPath {
    let mut path = fixed;
    let mut others: Vec<usize> = (0..existing).filter(|&layer| !fixed.is_active(layer)).collect();
    let count = length.saturating_sub(fixed.path_length()).min(others.len());
    rng.choose(&mut others, count);
    others[..count].iter().for_each(|&layer| path.insert(layer));
    path
}

/// A random path of a stage's length. A length that is no whole number is right on average under either sampling.
pub(super) fn random_path(stage: &Stage, sampling: Sampling, rng: &mut Rng) -> LayerPath {
    let (length, layers) = (stage.mean_length(), stage.fixed.layers());
    match sampling {
        Sampling::Exact if stage.mean.is_none() => exact(stage.fixed, layers, stage.path_length, rng),
        Sampling::Exact => {
            let one_more = rng.happens(length.fract());
            exact(stage.fixed, layers, length as usize + usize::from(one_more), rng)
        }
        Sampling::Bernoulli => {
            let p = inclusion(length, stage.fixed);
            let mut path = stage.fixed;
            (0..layers).filter(|&l| !stage.fixed.is_active(l)).for_each(|l| {
                if rng.happens(p) {
                    path.insert(l);
                }
            });
            path
        }
    }
}

/// A path on which each layer is active by itself, with a probability of its own.
pub(super) fn each(layers: usize, p: impl Fn(usize) -> f64, rng: &mut Rng) -> LayerPath {
    // Every layer takes its number, so that one layer's probability shifts no other's draw.
    LayerPath::from_layers(layers, (0..layers).filter(|&layer| rng.happens(p(layer))))
}

/// The path with the factors that the scaling gives its layers, at a mean path length of `length`.
pub(super) fn scaled(path: LayerPath, scaling: Scaling, length: f64, fixed: LayerPath) -> Subnetwork {
    let active: Vec<usize> = path.active().collect();
    let factor = |slot: usize, layer: usize| match scaling {
        Scaling::None => 1.0,
        Scaling::Sqrt => {
            let next = active.get(slot + 1).copied().unwrap_or(path.layers());
            ((next - layer) as f32).sqrt()
        }
        Scaling::InverseP if fixed.is_active(layer) => 1.0,
        // An active layer had a chance to be.
        Scaling::InverseP => (1.0 / inclusion(length, fixed)) as f32,
    };
    Subnetwork::new(path).with_factors(active.iter().enumerate().map(|(slot, &layer)| factor(slot, layer)).collect())
}

/// A path as an evaluation computes it: with the factors of a path that has as many layers outside the fixed set.
///
/// That is its length, unless it leaves fixed layers out: no step trains such a path, but pruning and stability ask for it.
pub(super) fn evaluated(at: &Context<'_>, path: LayerPath) -> Subnetwork {
    let fixed = at.stage().fixed;
    let others = path.active().filter(|&layer| !fixed.is_active(layer)).count();
    scaled(path, at.settings.scaling, (others + fixed.path_length()) as f64, fixed)
}

/// A random path of the stage's length with its factors.
pub(super) fn random_subnetwork(at: &Context<'_>, rng: &mut Rng) -> Subnetwork {
    let (stage, settings) = (at.stage(), at.settings);
    scaled(random_path(stage, settings.sampling, rng), settings.scaling, stage.mean_length(), stage.fixed)
}

/// The first `existing` layers, all of them: what a growing model trains.
pub(super) fn first(at: &Context<'_>, existing: usize) -> Subnetwork {
    LayerPath::from_layers(at.layers(), 0..existing).into()
}

/// The chance of a layer under [`random_path`].
pub(super) fn chance(stage: &Stage, layer: usize) -> f64 {
    if stage.fixed.is_active(layer) { 1.0 } else { inclusion(stage.mean_length(), stage.fixed) }
}

/// Stages whose path length is below that of the stage before: the later one, 0-based, and both lengths.
pub(super) fn falls(schedule: &Schedule) -> impl Iterator<Item = (usize, usize, usize)> {
    let pairs = schedule.stages.windows(2).enumerate();
    pairs.map(|(i, w)| (i + 1, w[0].path_length, w[1].path_length)).filter(|(_, before, after)| after < before)
}

/// Copies of the topmost `top` layers on top of `from` layers, again and again until there are `to`.
pub(super) fn stacked(from: usize, to: usize, top: usize) -> Growth {
    let top = top.clamp(1, from.max(1));
    let sources = (0..to).map(|layer| if layer < from { layer } else { from - top + (layer - from) % top }).collect();
    Growth { from, sources, copies: LayerPath::from_layers(to, from..to) }
}

/// The one row of a method that decides by itself how many layers a step has.
pub(super) fn without_stages(given: &Given<'_>, name: &str, what: &str) -> Result<Vec<Row>, Complaint> {
    if given.rows.is_empty() {
        return Ok(vec![whole_run_unfixed(given)]);
    }
    Err((
        "stage",
        format!("must be left out under {name}: how many layers a step has follows from {what} (--set stage=[])"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{LayerShape, MethodConfig};

    #[test]
    fn a_path_without_fixed_layers_has_the_factors_of_as_many_others() {
        let of = |scaling: Scaling, active: &dyn Fn(usize) -> bool| -> Vec<f32> {
            let settings = MethodConfig { scaling, ..MethodConfig::default() };
            let fixed = LayerPath::from_layers(12, [0, 11]);
            let schedule = Schedule { layers: 12, stages: vec![Stage::new(1, 6, fixed)] };
            let shape = LayerShape { width: 8, heads: 2, columns: 32 };
            let at = Context { settings: &settings, shape, schedule: &schedule, step: 0 };
            let path = LayerPath::from_layers(12, (0..12).filter(|layer| active(*layer)));
            let subnetwork = evaluated(&at, path);
            (0..path.path_length()).map(|slot| subnetwork.factor(slot)).collect()
        };
        let near = |got: Vec<f32>, expected: &[f64]| {
            assert_eq!(got.len(), expected.len());
            assert!(got.iter().zip(expected).all(|(g, e)| (f64::from(*g) - e).abs() < 1e-6), "{got:?} {expected:?}");
        };
        // Layer 6 left out: nine of the ten others are active, the fixed ones always.
        let ninth = 10.0 / 9.0;
        let expected: Vec<f64> = (0..11).map(|slot| if [0, 10].contains(&slot) { 1.0 } else { ninth }).collect();
        near(of(Scaling::InverseP, &|layer| layer != 5), &expected);
        // The first layer left out, which no step does: all ten others are there.
        near(of(Scaling::InverseP, &|layer| layer != 0), &[1.0; 11]);
        // One of the ten alone, and none.
        near(of(Scaling::InverseP, &|layer| layer == 5), &[10.0]);
        near(of(Scaling::InverseP, &|layer| layer == 0), &[1.0]);
        // Layer 5 stands in for layer 6 too.
        let expected: Vec<f64> = (0..11).map(|slot| if slot == 4 { 2f64.sqrt() } else { 1.0 }).collect();
        near(of(Scaling::Sqrt, &|layer| layer != 5), &expected);
        near(of(Scaling::None, &|layer| layer > 3), &[1.0; 8]);
        near(of(Scaling::InverseP, &|_| true), &[1.0; 12]);
    }
}
