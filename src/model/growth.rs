//! Growth: parameters of a deeper model from those of a shallower one.
//!
//! Layers are moved and copied with all that belongs to them; what is no layer stays. Pure bookkeeping in host memory: no
//! engine knows that a model can grow.

use super::Parameter;
use crate::method::{Growth, Moments};

/// The parameters of the model that has grown, all layers of the full model among them; those that don't exist yet stay
/// what they were. A layer that was only moved keeps its moments unless all are reset.
pub fn grow(parameters: &[Parameter], growth: &Growth, moments: Moments) -> Vec<Parameter> {
    let grown = parameters.iter().map(|p| {
        let mut new = p.clone();
        if let Some((layer, rest)) = split(&p.name)
            && let Some(source) = growth.sources.get(layer)
            && let Some(from) = parameters.iter().find(|q| split(&q.name) == Some((*source, rest)))
        {
            new = Parameter { name: p.name.clone(), ..from.clone() };
            if moments == Moments::Reset && growth.copies.is_active(layer) {
                forget(&mut new);
            }
        }
        if moments == Moments::ResetAll {
            forget(&mut new);
        }
        new
    });
    grown.collect()
}

/// As never updated.
fn forget(p: &mut Parameter) {
    p.first_moment.fill(0.0);
    p.second_moment.fill(0.0);
    p.updates = 0;
}

/// The layer a parameter belongs to, and its name within it.
fn split(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix("h.")?.split_once('.')?;
    Some((layer.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer_path::LayerPath;

    /// One parameter per layer, its values the layer's number, and one that is no layer's.
    fn parameters(layers: usize) -> Vec<Parameter> {
        let one = |name: String, value: f32| Parameter {
            name,
            shape: vec![1],
            weight: vec![value],
            first_moment: vec![10.0 + value],
            second_moment: vec![20.0 + value],
            updates: value as u64,
        };
        let layers = (0..layers).map(|i| one(format!("h.{i}.ln_1.weight"), i as f32));
        std::iter::once(one("wte.weight".into(), 99.0)).chain(layers).collect()
    }

    fn weights(p: &[Parameter]) -> Vec<f32> {
        p.iter().map(|p| p.weight[0]).collect()
    }

    #[test]
    fn layers_move_with_all_that_is_theirs() {
        // Three layers of a model of six become four, the copy of the middle one in between.
        let growth = Growth { from: 3, sources: vec![0, 1, 1, 2], copies: LayerPath::from_layers(4, [2]) };
        let grown = grow(&parameters(6), &growth, Moments::Copy);
        assert_eq!(weights(&grown), [99.0, 0.0, 1.0, 1.0, 2.0, 4.0, 5.0]);
        assert_eq!(grown[3].name, "h.2.ln_1.weight");
        assert_eq!((grown[4].first_moment[0], grown[4].second_moment[0], grown[4].updates), (12.0, 22.0, 2));
        let reset = grow(&parameters(6), &growth, Moments::Reset);
        assert_eq!((reset[3].first_moment[0], reset[3].second_moment[0], reset[3].updates), (0.0, 0.0, 0));
        assert_eq!((reset[4].first_moment[0], reset[4].updates), (12.0, 2), "moved, not new");
        let all = grow(&parameters(6), &growth, Moments::ResetAll);
        assert!(all.iter().all(|p| p.first_moment[0] == 0.0 && p.second_moment[0] == 0.0 && p.updates == 0));
        assert_eq!(weights(&all), weights(&grown));
    }
}
