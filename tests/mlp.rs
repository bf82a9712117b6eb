//! The residual MLP's engine against independent truth: candle's autograd in f64, finite differences, and networks whose
//! answers are known in closed form; what is measured on it against the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/oracle.rs"]
mod common;

use candle_core::{DType, Device};
use common::{move_together, paths, rule};
use raptr_tui::config::{Architecture, ModelConfig, Norm, Precision};
use raptr_tui::data::polynomial::{Polynomial, point};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::measure::coefficients::Coefficients;
use raptr_tui::measure::psi;
use raptr_tui::model::mlp::Mlp;
use raptr_tui::model::reference::Reference;
use raptr_tui::model::{Engine, UpdateRule};
use raptr_tui::objective::Batch;
use raptr_tui::rng::{Purpose, keyed};
use raptr_tui::subnetwork::{Parts, Subnetwork};

const LAYERS: usize = 4;
const D: usize = 9;

fn model(norm: Norm, residual: bool) -> ModelConfig {
    ModelConfig {
        architecture: Architecture::Mlp,
        layers: LAYERS,
        width: 18, // one panel and a bit
        context: D,
        mlp_ratio: 2,
        norm,
        residual,
        init_std: 0.4,
        ..ModelConfig::default()
    }
}

fn all_models() -> Vec<ModelConfig> {
    let norms = [Norm::Pre, Norm::Post, Norm::None];
    norms.into_iter().flat_map(|norm| [true, false].map(|residual| model(norm, residual))).collect()
}

fn batch(seed: u64, sequences: usize) -> Batch {
    let mut rng = keyed(seed, Purpose::Batch, 0, 0);
    let inputs = (0..sequences * D).map(|_| rng.below(2) as u32).collect();
    let values = (0..sequences).map(|_| rng.normal() as f32).collect();
    Batch { sequences, context: D, inputs, values, ..Batch::default() }
}

/// The layers of a path with factors 1.5, 0.75, 1.75, ...
fn scaled(path: LayerPath) -> Subnetwork {
    let factors = (0..path.path_length()).map(|slot| [1.5, 0.75][slot % 2] + 0.125 * slot as f32);
    Subnetwork::new(path).with_factors(factors.collect())
}

/// Both engines with the same weights, biases and norms moved away from 0 and 1.
fn engines(m: &ModelConfig, threads: usize, precision: Precision) -> (Mlp, Reference) {
    let mut fast = Mlp::new(m, 5, threads, precision).unwrap();
    let mut reference = Reference::new(m, 2, 5, Device::Cpu, DType::F64);
    move_together(&mut fast, &mut reference);
    (fast, reference)
}

fn name(m: &ModelConfig, path: LayerPath) -> String {
    format!("{:?} residual {} path {path}", m.norm, m.residual)
}

#[test]
fn loss_predictions_stream_and_every_gradient_match_autograd() {
    for m in all_models() {
        let (mut fast, mut reference) = engines(&m, 2, Precision::F32);
        for (path, net) in paths().into_iter().flat_map(|p| [(p, p.into()), (p, scaled(p))]) {
            let (name, net) = (name(&m, path), &net);
            // Three blocks of rows, the last of fewer; and less than one.
            let batches = [batch(1, 150), batch(2, 7)];
            let (a, b) = (fast.gradient(&batches, net).unwrap(), reference.gradient(&batches, net).unwrap());
            assert!((a - b).abs() < 2e-5 * b, "{name}: loss {a} != {b}");
            let (ours, truth) = (fast.gradients().unwrap(), reference.gradients().unwrap());
            assert_eq!(ours.len(), truth.len(), "{name}");
            for ((p, g), (q, right)) in ours.iter().zip(&truth) {
                assert_eq!(p, q);
                let largest = right.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                for (x, y) in g.iter().zip(right) {
                    assert!((x - y).abs() <= 1e-4 * largest + 1e-7, "{name} {p}: {x} != {y} (largest {largest})");
                }
            }
            let (a, b) = (fast.gradient_norm().unwrap(), reference.gradient_norm().unwrap());
            assert!((a - b).abs() < 1e-4 * b, "{name}: norm {a} != {b}");
            let (a, b) = (fast.loss(&batches[0], net).unwrap(), reference.loss(&batches[0], net).unwrap());
            assert!((a - b).abs() < 2e-5 * b, "{name}: {a} != {b}");
            let near = |a: Vec<f32>, b: Vec<f32>, n: usize| {
                (a.len(), b.len()) == (n, n) && a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4 * (1.0 + y.abs()))
            };
            let (a, b) = (fast.logits(&batches[0], net).unwrap(), reference.logits(&batches[0], net).unwrap());
            assert!(near(a, b, 150), "{name}: predictions");
            let (a, b) = (fast.outputs(&batches[0], net).unwrap(), reference.outputs(&batches[0], net).unwrap());
            assert!(near(a, b, 150 * m.width), "{name}: stream");
        }
    }
}

#[test]
fn in_bf16_gradients_match_autograd_within_its_rounding() {
    for m in all_models().into_iter().filter(|m| m.residual) {
        let (mut fast, mut reference) = engines(&m, 1, Precision::Bf16);
        let (path, batches) = (&scaled("1011".parse().unwrap()), [batch(1, 150)]);
        let (a, b) = (fast.gradient(&batches, path).unwrap(), reference.gradient(&batches, path).unwrap());
        assert!(a != b && (a - b).abs() < 1e-2 * b, "{:?}: {a} {b}", m.norm);
        for ((p, g), (_, right)) in fast.gradients().unwrap().iter().zip(&reference.gradients().unwrap()) {
            let squares = |v: &mut dyn Iterator<Item = f32>| v.map(|v| f64::from(v).powi(2)).sum::<f64>();
            let error = squares(&mut g.iter().zip(right).map(|(x, y)| x - y)) / squares(&mut right.iter().copied());
            assert!(error.sqrt() < 0.1, "{:?} {p}: {}", m.norm, error.sqrt());
        }
    }
}

#[test]
fn active_layers_have_gradients_and_skipped_ones_none() {
    for m in all_models() {
        let (mut fast, _) = engines(&m, 1, Precision::F32);
        for path in paths() {
            fast.gradient(&[batch(1, 40)], &path.into()).unwrap();
            let gradients = fast.gradients().unwrap();
            for layer in 0..LAYERS {
                let of_layer = gradients.iter().filter(|(n, _)| n.starts_with(&format!("h.{layer}.")));
                let each = if m.norm == Norm::None { 4 } else { 6 };
                assert_eq!(
                    of_layer.clone().count(),
                    if path.is_active(layer) { each } else { 0 },
                    "{}",
                    name(&m, path)
                );
                for (name, gradient) in of_layer {
                    assert!(gradient.iter().any(|g| *g != 0.0), "{name} has a gradient of zeros on {path}");
                }
            }
        }
    }
}

#[test]
fn gradients_match_finite_differences() {
    for m in [model(Norm::Pre, true), model(Norm::Post, true), model(Norm::None, false)] {
        let (mut fast, mut reference) = engines(&m, 1, Precision::F32);
        let (batch, path) = (batch(3, 70), &scaled("1011".parse().unwrap()));
        fast.gradient(std::slice::from_ref(&batch), path).unwrap();
        let base = fast.parameters().unwrap();
        for (name, gradient) in fast.gradients().unwrap() {
            let index = base.iter().position(|p| p.name == name).unwrap();
            // The element of the largest gradient: others vanish in what the ReLU's kinks add to a difference.
            let element = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
            let mut loss_at = |delta: f32| {
                let mut moved = base.clone();
                moved[index].weight[element] += delta;
                let weight = f64::from(moved[index].weight[element]);
                reference.set_parameters(moved).unwrap();
                // The reference's loss is rounded to f32 on its way out: predictions in f64 would need more of it.
                (f64::from(reference.loss(&batch, path).unwrap()), weight)
            };
            let ((up, high), (down, low)) = (loss_at(1e-3), loss_at(-1e-3));
            let slope = (up - down) / (high - low);
            let off = (slope - f64::from(gradient[element])).abs();
            assert!(off < 0.02 * slope.abs().max(0.05), "{:?} {name}: {slope} {}", m.norm, gradient[element]);
        }
    }
}

fn train(engine: &mut dyn Engine, steps: u64, zero: bool) -> (Vec<f32>, String) {
    let losses = (0..steps).map(|step| {
        let path = paths()[step as usize % 4];
        let loss = engine.gradient(&[batch(step, 150), batch(100 + step, 20)], &path.into()).unwrap();
        engine.update(&rule(zero)).unwrap();
        loss
    });
    let losses = losses.collect();
    (losses, engine.weights_checksum().unwrap())
}

#[test]
fn threads_change_no_bit() {
    for m in all_models() {
        let one = train(&mut engines(&m, 1, Precision::F32).0, 4, false);
        for threads in [2, 3] {
            assert_eq!(one, train(&mut engines(&m, threads, Precision::F32).0, 4, false), "{threads} threads");
        }
    }
}

#[test]
fn training_follows_the_reference_and_skipped_layers_are_frozen_or_fed_zeros() {
    for zero in [false, true] {
        let (mut fast, mut reference) = engines(&model(Norm::Pre, true), 2, Precision::F32);
        let (ours, truth) = (train(&mut fast, 12, zero).0, train(&mut reference, 12, zero).0);
        for (step, (a, b)) in ours.iter().zip(&truth).enumerate() {
            assert!((a - b).abs() < 2e-3 * b, "step {step}: {a} != {b}");
        }
        // Layer 1 was active in paths 1111 and 0101, each of which had three of the twelve steps.
        let updates = |name: &str| fast.parameters().unwrap().iter().find(|p| p.name == name).unwrap().updates;
        assert_eq!(updates("h.1.mlp.up.weight"), if zero { 12 } else { 6 });
        assert_eq!(updates("head.weight"), 12);
    }
}

#[test]
fn a_used_engine_equals_a_fresh_one() {
    let m = model(Norm::Post, true);
    let (mut used, _) = engines(&m, 2, Precision::F32);
    for (i, path) in paths().into_iter().enumerate() {
        used.gradient(&[batch(40, 10 + 90 * i), batch(41, 4)], &path.into()).unwrap();
        used.loss(&batch(42, 300), &path.into()).unwrap();
    }
    for path in paths() {
        let (mut fresh, _) = engines(&m, 2, Precision::F32);
        let last = [batch(7, 100)];
        assert_eq!(used.gradient(&last, &path.into()).unwrap(), fresh.gradient(&last, &path.into()).unwrap());
        assert_eq!(used.gradients().unwrap(), fresh.gradients().unwrap());
    }
}

#[test]
fn bad_batches_are_refused() {
    let (mut fast, _) = engines(&model(Norm::Pre, true), 1, Precision::F32);
    let mut refused = |change: &dyn Fn(&mut Batch), expected: &str| {
        let mut bad = batch(1, 8);
        change(&mut bad);
        let error = fast.gradient(&[bad], &LayerPath::full(LAYERS).into()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&|b| b.inputs[3] = 2, "coordinate 2");
    refused(&|b| b.values.truncate(7), "7 values");
    refused(&|b| b.context = 8, "the model takes 9");
    refused(&|b| (b.sequences = 0, b.inputs.clear()).1, "empty");
    let parts = vec![Parts { heads: vec![0], columns: vec![0..4, 8..12] }];
    let narrow = Subnetwork::new("0100".parse().unwrap()).with_parts(parts);
    assert!(fast.loss(&batch(1, 8), &narrow).unwrap_err().to_string().contains("whole"));
}

/// A network whose layers are passed over and whose output is `bias + sum_i weights[i] x_i`.
fn linear_network(d: usize, weights: &[f32], bias: f32) -> Mlp {
    let m = ModelConfig { width: d, context: d, layers: 1, ..model(Norm::None, true) };
    let mut engine = Mlp::new(&m, 0, 1, Precision::F32).unwrap();
    let mut parameters = engine.parameters().unwrap();
    for p in &mut parameters {
        match p.name.as_str() {
            "embed.weight" => p.weight = (0..d * d).map(|i| f32::from(u8::from(i / d == i % d))).collect(),
            "head.weight" => p.weight = weights.to_vec(),
            "head.bias" => p.weight = vec![bias],
            _ => {}
        }
    }
    engine.set_parameters(parameters).unwrap();
    engine
}

#[test]
fn coefficient_errors_of_a_linear_network_are_known() {
    // All coefficients of degree 1 are there (m = d); the network has half of each, and one too many by 0.1.
    // Exact for ten coordinates. Of twenty a sample is seen: an error e of a degree is off by a standard deviation of
    // 2 sqrt(e MSE / (SAMPLES sum c^2)), which is 0.03 here.
    for (d, limit) in [(10, 1e-5), (20, 0.12)] {
        let f = Polynomial::new(1, d, 3, d);
        let first = |i: usize| f.monomials.iter().find(|m| m.set == 1 << i).unwrap().coefficient;
        let squares: f64 = (0..d).map(|i| first(i).powi(2)).sum();
        let weights: Vec<f32> = (0..d).map(|i| 0.5 * first(i) as f32 + if i == 2 { 0.1 } else { 0.0 }).collect();
        let off = |i: usize| f64::from(weights[i]) - first(i);
        let expected = (0..d).map(|i| off(i).powi(2)).sum::<f64>() / squares;
        let mut engine = linear_network(d, &weights, 0.7);
        let coefficients = Coefficients::new(&f, 3);
        let never = || false;
        let got = coefficients.errors(&mut engine, &LayerPath::none(1).into(), &never).unwrap().unwrap();
        assert_eq!(got.len(), 3);
        for (got, expected) in got.iter().zip([expected, 1.0, 1.0]) {
            assert!((f64::from(*got) - expected).abs() < limit, "d {d}: {got} instead of {expected}");
        }
        assert_eq!(coefficients.errors(&mut engine, &LayerPath::none(1).into(), &|| true).unwrap(), None);
    }
}

#[test]
fn psi_of_a_network_of_constant_layers_is_known() {
    // Layer l adds the constant b_l to every row: psi_l = mean |b_l| / |F|.
    let m = ModelConfig { layers: 3, ..model(Norm::None, true) };
    let mut engine = Mlp::new(&m, 4, 1, Precision::F32).unwrap();
    let mut parameters = engine.parameters().unwrap();
    for p in &mut parameters {
        match p.name.as_str() {
            "embed.weight" => p.weight.fill(0.0),
            "embed.bias" => p.weight.fill(1.0),
            "h.0.mlp.down.bias" => p.weight.fill(0.5),
            "h.1.mlp.down.bias" => p.weight.fill(-0.25),
            "h.2.mlp.down.bias" => p.weight.fill(0.75),
            "head.weight" => p.weight.fill(1.0),
            name if name.ends_with("mlp.down.weight") => p.weight.fill(0.0),
            _ => {}
        }
    }
    engine.set_parameters(parameters).unwrap();
    let mut points = batch(1, 5);
    points.values.fill(0.0);
    let s =
        psi::measure(&mut engine, &[points.clone(), points], LayerPath::full(3), m.width, &|| false).unwrap().unwrap();
    let near = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5 * b);
    assert!(near(&s.psi, &[0.25, 0.125, 0.375]), "{s:?}");
    let w = m.width as f64;
    // The loss is (width y)^2.
    assert!(near(&s.losses_without, &[1.5, 2.25, 1.25].map(|y| (y * w).powi(2))), "{s:?}");
    assert!(near(&[s.loss], &[(2.0 * w).powi(2)]));
}

#[test]
fn training_learns_a_small_polynomial_degree_by_degree() {
    // Of nine coordinates all 512 points are seen: what is measured is exact, and the loss is the sum of what is missing.
    let m = ModelConfig { width: 24, init_std: 0.2, ..model(Norm::Pre, true) };
    let f = Polynomial::new(2, D, 2, 6);
    let mut engine = Mlp::new(&m, 1, 2, Precision::F32).unwrap();
    let coefficients = Coefficients::new(&f, 0);
    let never = || false;
    let path = &LayerPath::full(LAYERS).into();
    let errors = |engine: &mut Mlp| coefficients.errors(engine, path, &never).unwrap().unwrap();
    let before = errors(&mut engine);
    let rule = UpdateRule { learning_rate: 3e-3, weight_decay: 0.0, gradient_scale: 1.0, ..rule(false) };
    for step in 0..400 {
        let mut points = batch(step, 128);
        points.values = points.inputs.chunks(D).map(|tokens| f.value(point(tokens)) as f32).collect();
        engine.gradient(&[points], path).unwrap();
        engine.update(&rule).unwrap();
    }
    let after = errors(&mut engine);
    assert!(before.iter().all(|e| *e > 0.3), "{before:?}");
    assert!(after.iter().all(|e| *e < 0.05), "{after:?}");
}
