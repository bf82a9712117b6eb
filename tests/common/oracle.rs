//! Models, batches and subnetworks on which engines are held against candle's autograd, and how close they must be.
#![allow(dead_code)] // each test program uses some of it

use candle_core::{DType, Device};
use raptr_tui::config::{Architecture, ModelConfig, Norm};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::model::reference::Reference;
use raptr_tui::model::{Engine, UpdateRule};
use raptr_tui::objective::{Batch, NO_TARGET};
use raptr_tui::rng::{Purpose, keyed};
use raptr_tui::subnetwork::{Parts, Subnetwork};

pub const VOCABULARY: usize = 19;
pub const LAYERS: usize = 4;

pub fn model(architecture: Architecture, norm: Norm, residual: bool) -> ModelConfig {
    // A wide init makes every non-linearity matter.
    ModelConfig {
        architecture,
        layers: LAYERS,
        width: 12,
        heads: 3,
        context: 7,
        mlp_ratio: 2,
        norm,
        residual,
        init_std: 0.3,
    }
}

/// Random tokens; causal: every position predicted, else about a third.
pub fn batch(seed: u64, architecture: Architecture, sequences: usize, context: usize) -> Batch {
    let mut rng = keyed(seed, Purpose::Batch, 0, 0);
    let n = sequences * context;
    let inputs = (0..n).map(|_| rng.below(VOCABULARY as u64) as u32).collect();
    let is_causal = architecture == Architecture::Decoder;
    let mut targets: Vec<i32> = (0..n)
        .map(|_| if is_causal || rng.happens(0.3) { rng.below(VOCABULARY as u64) as i32 } else { NO_TARGET })
        .collect();
    targets[n / 2] = 3;
    Batch { sequences, context, inputs, targets, ..Batch::default() }
}

pub fn paths() -> Vec<LayerPath> {
    ["1111", "1001", "0101", "0010", "0000"].iter().map(|p| p.parse().unwrap()).collect()
}

/// The reference in f64 for an engine, as [`move_together`] leaves them.
pub fn reference_for(m: &ModelConfig, engine: &mut dyn Engine) -> Reference {
    let mut reference = Reference::new(m, VOCABULARY, 5, Device::Cpu, DType::F64);
    move_together(engine, &mut reference);
    reference
}

/// Gives both engines the same weights, biases and norms moved away from 0 and 1.
pub fn move_together(engine: &mut dyn Engine, reference: &mut Reference) {
    let mut parameters = engine.parameters().unwrap();
    assert_eq!(parameters, reference.parameters().unwrap(), "initial weights differ");
    let mut rng = keyed(8, Purpose::InitialWeights, 9, 9);
    for p in parameters.iter_mut().filter(|p| p.shape.len() == 1) {
        p.weight.iter_mut().for_each(|w| *w += 0.2 * rng.normal() as f32);
    }
    engine.set_parameters(parameters.clone()).unwrap();
    reference.set_parameters(parameters).unwrap();
}

pub fn all_models() -> Vec<ModelConfig> {
    let mut all = Vec::new();
    for architecture in [Architecture::Decoder, Architecture::Encoder] {
        for norm in [Norm::Pre, Norm::Post, Norm::None] {
            for residual in [true, false] {
                all.push(model(architecture, norm, residual));
            }
        }
    }
    all
}

/// Element by element, in f32.
pub fn assert_same_gradients(engine: &mut dyn Engine, reference: &mut Reference, name: &str) {
    let (ours, truth) = (engine.gradients().unwrap(), reference.gradients().unwrap());
    assert_eq!(ours.len(), truth.len(), "{name}");
    for ((p, g), (q, right)) in ours.iter().zip(&truth) {
        assert_eq!(p, q);
        let largest = right.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (x, y) in g.iter().zip(right) {
            assert!((x - y).abs() <= 2e-4 * largest + 1e-7, "{name} {p}: {x} != {y} (largest {largest})");
        }
    }
}

/// As a whole, in bf16.
pub fn assert_close_gradients(engine: &mut dyn Engine, reference: &mut Reference, limit: f64, name: &str) {
    let (ours, truth) = (engine.gradients().unwrap(), reference.gradients().unwrap());
    for ((p, g), (_, right)) in ours.iter().zip(&truth) {
        // The key's bias has no influence on the softmax: its gradient is nothing but rounding.
        let skip = if p.ends_with("qkv.bias") { right.len() / 3..right.len() / 3 * 2 } else { 0..0 };
        let kept = |v: &[f32]| -> Vec<f32> {
            v.iter().enumerate().filter(|(i, _)| !skip.contains(i)).map(|(_, x)| *x).collect()
        };
        let error = relative_error(&kept(g), &kept(right));
        assert!(error < limit, "{name} {p}: relative error {error}");
    }
}

/// The root of the mean square of the difference, over that of the truth.
pub fn relative_error(ours: &[f32], truth: &[f32]) -> f64 {
    let squares = |f: &dyn Fn(usize) -> f64| (0..truth.len()).map(|i| f(i) * f(i)).sum::<f64>();
    let error = squares(&|i| f64::from(ours[i]) - f64::from(truth[i]));
    (error / squares(&|i| f64::from(truth[i])).max(1e-12)).sqrt()
}

pub fn rule(zero_gradient_for_skipped: bool) -> UpdateRule {
    UpdateRule {
        learning_rate: 1e-2,
        betas: [0.9, 0.95],
        epsilon: 1e-8,
        weight_decay: 0.1,
        gradient_scale: 0.5,
        zero_gradient_for_skipped,
    }
}

/// Subnetworks that scale their layers' branches.
pub fn scaled() -> Vec<Subnetwork> {
    let of = |path: &str, factors: &[f32]| {
        Subnetwork::new(path.parse::<LayerPath>().unwrap()).with_factors(factors.to_vec())
    };
    vec![of("1111", &[0.5, 1.0, 2.0, 1.25]), of("0110", &[3.0, 0.7]), of("1001", &[1.0, 1.6])]
}

/// Subnetworks of which only some heads and columns are computed, in one layer all; with and without factors.
pub fn partial(m: &ModelConfig) -> Vec<Subnetwork> {
    let (heads, inner) = (m.heads, m.width * m.mlp_ratio);
    let parts = |heads: &[usize], columns: &[std::ops::Range<usize>]| Parts {
        heads: heads.to_vec(),
        columns: columns.to_vec(),
    };
    let all = parts(&(0..heads).collect::<Vec<_>>(), &[0..7, 7..inner]);
    let some = parts(&[1], &[0..5, inner - 3..inner]);
    let others = parts(&[0, heads - 1], &[4..inner / 2, inner / 2..inner / 2 + 1]);
    let path: LayerPath = "1011".parse().unwrap();
    let plain = Subnetwork::new(path).with_parts(vec![some, all, others]);
    vec![plain.clone(), plain.with_factors(vec![2.0, 1.0, 0.5])]
}
