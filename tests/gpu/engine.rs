//! The whole step on the device against candle's autograd in f64, for every norm placement, architecture and a spread of
//! subnetworks; and what must hold of any engine.

use raptr_tui::config::{Architecture, ModelConfig, Norm, Precision};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::model::fast::Fast;
use raptr_tui::model::gpu::{Gpu, shape};
use raptr_tui::model::reference::Reference;
use raptr_tui::model::{Engine, UpdateRule};
use raptr_tui::objective::Batch;
use raptr_tui::subnetwork::Subnetwork;

use crate::common::*;
use crate::host::Host;
use crate::{device, has_compiler, is_on_gpu};

pub fn engine(m: &ModelConfig, precision: Precision) -> Option<Gpu> {
    let device = device(shape(m, precision))?;
    Some(Gpu::new(device, m, VOCABULARY, 5, precision).unwrap())
}

fn engines(m: &ModelConfig, precision: Precision) -> Option<(Gpu, Reference)> {
    let mut gpu = engine(m, precision)?;
    let reference = reference_for(m, &mut gpu);
    Some((gpu, reference))
}

/// Loss, gradients, norm, logits and outputs of both.
fn assert_same(gpu: &mut Gpu, reference: &mut Reference, batches: &[Batch], subnetwork: &Subnetwork, name: &str) {
    let (a, b) = (gpu.gradient(batches, subnetwork).unwrap(), reference.gradient(batches, subnetwork).unwrap());
    assert!((a - b).abs() < 2e-5 * b, "{name}: loss {a} != {b}");
    assert_same_gradients(gpu, reference, name);
    let (a, b) = (gpu.gradient_norm().unwrap(), reference.gradient_norm().unwrap());
    assert!((a - b).abs() < 1e-4 * b, "{name}: norm {a} != {b}");
    let (a, b) = (gpu.loss(&batches[0], subnetwork).unwrap(), reference.loss(&batches[0], subnetwork).unwrap());
    assert!((a - b).abs() < 1e-4, "{name}: loss alone {a} != {b}");
    for (what, a, b) in [
        ("logits", gpu.logits(&batches[0], subnetwork), reference.logits(&batches[0], subnetwork)),
        ("outputs", gpu.outputs(&batches[0], subnetwork), reference.outputs(&batches[0], subnetwork)),
    ] {
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a.len(), b.len(), "{name}: {what}");
        assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 2e-4), "{name}: {what}");
    }
}

#[test]
fn loss_logits_and_every_gradient_match_autograd() {
    for m in all_models() {
        let Some((mut gpu, mut reference)) = engines(&m, Precision::F32) else { return };
        let subnetworks: Vec<Subnetwork> = paths().into_iter().map(Subnetwork::from).collect();
        for (index, subnetwork) in subnetworks.into_iter().chain(scaled()).chain(partial(&m)).enumerate() {
            let name = format!("{:?} {:?} residual {} subnetwork {index}", m.architecture, m.norm, m.residual);
            let batches = [batch(1, m.architecture, 3, 7), batch(2, m.architecture, 2, 5)];
            assert_same(&mut gpu, &mut reference, &batches, &subnetwork, &name);
        }
    }
}

#[test]
fn in_bf16_every_gradient_matches_autograd_within_its_rounding() {
    for m in all_models() {
        let m = ModelConfig { init_std: 0.15, ..m };
        let Some((mut gpu, mut reference)) = engines(&m, Precision::Bf16) else { return };
        let subnetworks: Vec<Subnetwork> = paths().into_iter().map(Subnetwork::from).collect();
        for (index, subnetwork) in subnetworks.into_iter().chain(scaled()).chain(partial(&m)).enumerate() {
            let name = format!("{:?} {:?} residual {} subnetwork {index}", m.architecture, m.norm, m.residual);
            let batches = [batch(1, m.architecture, 3, 7), batch(2, m.architecture, 2, 5)];
            let a = gpu.gradient(&batches, &subnetwork).unwrap();
            let b = reference.gradient(&batches, &subnetwork).unwrap();
            assert!((a - b).abs() < 1e-2 * b, "{name}: loss {a} != {b}");
            assert_close_gradients(&mut gpu, &mut reference, if m.residual { 0.06 } else { 0.3 }, &name);
        }
    }
}

/// Models whose heads fit the tensor cores, over one, two and three tiles, the last one not whole.
fn tensor_models() -> Vec<(ModelConfig, usize)> {
    let of = |width, heads, context, sequences| {
        let m = ModelConfig {
            layers: 1,
            width,
            heads,
            context,
            init_std: 0.08,
            ..model(Architecture::Decoder, Norm::Pre, true)
        };
        (m, sequences)
    };
    vec![of(32, 2, 64, 2), of(64, 1, 130, 1), of(256, 2, 70, 1), of(48, 1, 17, 3)]
}

#[test]
fn attention_on_the_tensor_cores_matches_autograd_with_every_mask() {
    for (m, sequences) in tensor_models() {
        let t = m.context;
        let all = [None, Some(0), Some(t / 2), Some(t)];
        for (architecture, prefix) in
            all.map(|p| (Architecture::Decoder, p)).into_iter().chain([(Architecture::Encoder, None)])
        {
            let m = ModelConfig { architecture, ..m.clone() };
            let name = format!("{} wide, {} heads, T {t}, {architecture:?}, prefix {prefix:?}", m.width, m.heads);
            let Some((mut gpu, mut reference)) = engines(&m, Precision::Bf16) else { return };
            let prefixes = prefix.map_or_else(Vec::new, |p| vec![p; sequences]);
            let batches = [Batch { prefixes, ..batch(1, architecture, sequences, t) }];
            let path = LayerPath::full(1).into();
            let (a, b) = (gpu.gradient(&batches, &path).unwrap(), reference.gradient(&batches, &path).unwrap());
            assert!((a - b).abs() < 5e-3 * b, "{name}: loss {a} != {b}");
            assert_close_gradients(&mut gpu, &mut reference, 0.04, &name);
        }
    }
}

#[test]
fn attention_without_them_matches_autograd_with_every_mask() {
    let m = ModelConfig {
        layers: 2,
        width: 96,
        heads: 2,
        context: 70,
        init_std: 0.05,
        ..model(Architecture::Decoder, Norm::Pre, true)
    };
    let Some((mut gpu, mut reference)) = engines(&m, Precision::F32) else { return };
    for prefixes in [vec![], vec![0, 1, 33], vec![32, 69, 70]] {
        let name = format!("prefixes {prefixes:?}");
        let batches = [Batch { prefixes, ..batch(1, m.architecture, 3, 70) }];
        assert_same(&mut gpu, &mut reference, &batches, &LayerPath::full(2).into(), &name);
    }
}

#[test]
fn rows_of_four_neighbours_match_autograd() {
    // Widths of whole groups of 4 * 32 columns are read four at a time; a hidden layer of odd width, as parts may have.
    for architecture in [Architecture::Decoder, Architecture::Encoder] {
        let m = ModelConfig {
            layers: 4,
            width: 128,
            heads: 4,
            context: 9,
            mlp_ratio: 1,
            init_std: 0.08,
            ..model(architecture, Norm::Pre, true)
        };
        let Some((mut gpu, mut reference)) = engines(&m, Precision::F32) else { return };
        let batches = [batch(1, architecture, 9, 9)];
        assert_same(&mut gpu, &mut reference, &batches, &LayerPath::full(4).into(), "whole");
        for (index, subnetwork) in partial(&m).into_iter().enumerate() {
            assert_same(&mut gpu, &mut reference, &batches, &subnetwork, &format!("parts {index}"));
        }
    }
}

/// Trains over changing layer paths, whole and in parts, over two micro-batches.
fn train(engine: &mut dyn Engine, m: &ModelConfig, zero: bool) -> Vec<f32> {
    let subnetworks: Vec<Subnetwork> = paths().into_iter().take(4).map(Subnetwork::from).chain(partial(m)).collect();
    let losses = (0..12).map(|step| {
        let batches = [batch(step, m.architecture, 3, 7), batch(100 + step, m.architecture, 2, 7)];
        let loss = engine.gradient(&batches, &subnetworks[step as usize % subnetworks.len()]).unwrap();
        engine.update(&rule(zero)).unwrap();
        loss
    });
    losses.collect()
}

#[test]
fn training_follows_the_cpu_and_skipped_layers_are_frozen_or_fed_zeros() {
    for (architecture, norm) in [(Architecture::Decoder, Norm::Pre), (Architecture::Encoder, Norm::Post)] {
        for zero in [false, true] {
            let m = model(architecture, norm, true);
            let Some(mut gpu) = engine(&m, Precision::F32) else { return };
            let mut cpu = Fast::new(&m, VOCABULARY, 5, 1, Precision::F32).unwrap();
            assert_eq!(gpu.weights_checksum().unwrap(), cpu.weights_checksum().unwrap());
            let (ours, truth) = (train(&mut gpu, &m, zero), train(&mut cpu, &m, zero));
            for (step, (a, b)) in ours.iter().zip(&truth).enumerate() {
                assert!((a - b).abs() < 2e-3 * b, "step {step}: {a} != {b}");
            }
            let (ours, truth) = (gpu.parameters().unwrap(), cpu.parameters().unwrap());
            for (p, right) in ours.iter().zip(&truth) {
                assert_eq!((&p.name, p.updates), (&right.name, right.updates));
            }
        }
    }
}

#[test]
fn an_evaluation_between_gradient_and_update_changes_nothing() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    let run = |is_evaluated: bool| {
        let mut gpu = engine(&m, Precision::F32)?;
        let [parts, others] = [&partial(&m)[0], &partial(&m)[1]];
        gpu.gradient(&[batch(1, m.architecture, 3, 7)], parts).unwrap();
        if is_evaluated {
            let last = Subnetwork::new("0110".parse::<LayerPath>().unwrap());
            gpu.loss(&batch(2, m.architecture, 2, 5), others).unwrap();
            let whole = raptr_tui::subnetwork::Parts { heads: vec![0, 2], columns: std::iter::once(1..6).collect() };
            gpu.loss(&batch(2, m.architecture, 2, 5), &last.with_parts(vec![whole; 2])).unwrap();
        }
        gpu.update(&rule(false)).unwrap();
        Some(gpu.weights_checksum().unwrap())
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn one_update_is_the_cpus() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    let Some(mut gpu) = engine(&m, Precision::F32) else { return };
    let mut cpu = Fast::new(&m, VOCABULARY, 5, 1, Precision::F32).unwrap();
    let step = |engine: &mut dyn Engine, rule: &UpdateRule| {
        engine.gradient(&[batch(1, m.architecture, 3, 7)], &LayerPath::full(LAYERS).into()).unwrap();
        engine.update(rule).unwrap();
    };
    // A small rate: where a gradient is nothing but rounding, Adam takes a whole step along it.
    let rule = UpdateRule { learning_rate: 1e-4, ..rule(false) };
    step(&mut gpu, &rule);
    step(&mut cpu, &rule);
    for (p, right) in gpu.parameters().unwrap().iter().zip(&cpu.parameters().unwrap()) {
        let near = |a: &[f32], b: &[f32], limit: f32| a.iter().zip(b).all(|(x, y)| (x - y).abs() <= limit);
        assert!(near(&p.weight, &right.weight, 2.1e-4), "{}", p.name);
        let moved = p.weight.iter().zip(&right.weight).filter(|(x, y)| (*x - *y).abs() > 1e-6).count();
        assert!(moved * 10 <= p.weight.len() || p.name.ends_with("qkv.bias"), "{}: {moved} weights", p.name);
        assert!(near(&p.first_moment, &right.first_moment, 1e-5), "{}", p.name);
        assert!(near(&p.second_moment, &right.second_moment, 1e-5), "{}", p.name);
    }
}

#[test]
fn a_used_engine_equals_a_fresh_one_to_the_bit() {
    for precision in [Precision::F32, Precision::Bf16] {
        let m = model(Architecture::Encoder, Norm::Pre, true);
        let Some(mut used) = engine(&m, precision) else { return };
        for (i, path) in paths().into_iter().enumerate() {
            let batches = [batch(40, m.architecture, 1 + i, 7 - i), batch(41, m.architecture, 4, 6)];
            used.gradient(&batches, &path.into()).unwrap();
            used.gradient(&batches, &partial(&m)[0]).unwrap();
            used.loss(&batch(42, m.architecture, 5, 3), &path.into()).unwrap();
        }
        for path in paths() {
            let Some(mut fresh) = engine(&m, precision) else { return };
            let last = [batch(7, m.architecture, 2, 7)];
            assert_eq!(used.gradient(&last, &path.into()).unwrap(), fresh.gradient(&last, &path.into()).unwrap());
            assert_eq!(used.gradients().unwrap(), fresh.gradients().unwrap());
        }
    }
}

#[test]
fn the_same_training_gives_the_same_bits() {
    // Four tiles of keys, so that both stages are filled anew.
    let m =
        ModelConfig { width: 64, heads: 2, layers: 3, context: 200, ..model(Architecture::Decoder, Norm::Pre, true) };
    let paths: [LayerPath; 3] = ["111", "101", "010"].map(|path| path.parse().unwrap());
    for precision in [Precision::F32, Precision::Bf16] {
        let run = |is_greedy: bool| {
            let device = if is_greedy && !is_on_gpu() {
                // Warps run one after the other instead of in step: a barrier that is missing would show.
                has_compiler().then(|| Box::new(Host::new(shape(&m, precision)).greedy()) as _)
            } else {
                device(shape(&m, precision))
            };
            let mut gpu = Gpu::new(device?, &m, VOCABULARY, 5, precision).unwrap();
            for (step, path) in (0..).zip(paths) {
                gpu.gradient(&[batch(step, m.architecture, 1, 200)], &path.into()).unwrap();
                gpu.update(&rule(false)).unwrap();
            }
            Some(gpu.weights_checksum().unwrap())
        };
        assert_eq!(run(false), run(true), "{precision:?}");
    }
}

#[test]
fn a_skipped_layer_launches_nothing() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    if is_on_gpu() || !has_compiler() {
        return;
    }
    let host = Host::new(shape(&m, Precision::F32));
    let launches = host.launches.clone();
    let mut gpu = Gpu::new(Box::new(host), &m, VOCABULARY, 5, Precision::F32).unwrap();
    let mut count = |path: &str| {
        launches.lock().unwrap().clear();
        gpu.gradient(&[batch(1, m.architecture, 2, 7)], &path.parse::<LayerPath>().unwrap().into()).unwrap();
        gpu.update(&rule(false)).unwrap();
        launches.lock().unwrap().values().sum::<usize>()
    };
    let [one, two, four] = ["0010", "0101", "1111"].map(&mut count);
    // The last active layer has one pass more than the others, whichever it is.
    assert_eq!(four - two, 2 * (two - one));
}
