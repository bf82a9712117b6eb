//! The fast engine against independent truth: candle's autograd on plain ops in f64, and finite differences.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/oracle.rs"]
mod common;

use common::*;
use raptr_tui::config::{Architecture, ModelConfig, Norm, Precision};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::model::Engine;
use raptr_tui::model::fast::Fast;
use raptr_tui::model::reference::Reference;
use raptr_tui::objective::{Batch, NO_TARGET};
use raptr_tui::rng::{Purpose, keyed};
use raptr_tui::subnetwork::{Parts, Subnetwork};

/// Both engines with the same weights, biases and norms moved away from 0 and 1.
fn engines(m: &ModelConfig, threads: usize) -> (Fast, Reference) {
    engines_in(m, threads, Precision::F32)
}

fn engines_in(m: &ModelConfig, threads: usize, precision: Precision) -> (Fast, Reference) {
    let mut fast = Fast::new(m, VOCABULARY, 5, threads, precision).unwrap();
    let reference = reference_for(m, &mut fast);
    (fast, reference)
}

#[test]
fn loss_logits_and_every_gradient_match_autograd() {
    for m in all_models() {
        let (mut fast, mut reference) = engines(&m, 2);
        for path in paths() {
            let name = format!("{:?} {:?} residual {} path {path}", m.architecture, m.norm, m.residual);
            let batches = [batch(1, m.architecture, 3, 7), batch(2, m.architecture, 2, 5)];
            let (a, b) =
                (fast.gradient(&batches, &path.into()).unwrap(), reference.gradient(&batches, &path.into()).unwrap());
            assert!((a - b).abs() < 2e-5 * b, "{name}: loss {a} != {b}");
            assert!(
                (fast.loss(&batches[0], &path.into()).unwrap() - reference.loss(&batches[0], &path.into()).unwrap())
                    .abs()
                    < 1e-4
            );
            assert_same_gradients(&mut fast, &mut reference, &name);
            let (a, b) = (fast.gradient_norm().unwrap(), reference.gradient_norm().unwrap());
            assert!((a - b).abs() < 1e-4 * b, "{name}: norm {a} != {b}");
            let (a, b) =
                (fast.logits(&batches[0], &path.into()).unwrap(), reference.logits(&batches[0], &path.into()).unwrap());
            assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4), "{name}: logits");
            let (a, b) = (
                fast.outputs(&batches[0], &path.into()).unwrap(),
                reference.outputs(&batches[0], &path.into()).unwrap(),
            );
            assert_eq!((a.len(), b.len()), (3 * 7 * m.width, 3 * 7 * m.width));
            assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4), "{name}: outputs");
        }
    }
}

#[test]
fn in_bf16_every_gradient_matches_autograd_within_its_rounding() {
    // One rounding is 2^-9 of a value; a few products follow each other.
    for m in all_models() {
        // Away from the wide init, which magnifies what is rounded from layer to layer.
        let m = ModelConfig { init_std: 0.15, ..m };
        let (mut fast, mut reference) = engines_in(&m, 2, Precision::Bf16);
        for path in paths() {
            let name = format!("{:?} {:?} residual {} path {path}", m.architecture, m.norm, m.residual);
            let batches = [batch(1, m.architecture, 3, 7), batch(2, m.architecture, 2, 5)];
            let (a, b) =
                (fast.gradient(&batches, &path.into()).unwrap(), reference.gradient(&batches, &path.into()).unwrap());
            assert!((a - b).abs() < 5e-3 * b, "{name}: loss {a} != {b}");
            // Without a residual stream, roundings multiply from layer to layer.
            assert_close_gradients(&mut fast, &mut reference, if m.residual { 0.04 } else { 0.2 }, &name);
            let f32_again = engines(&m, 1).0.gradient(&batches, &path.into()).unwrap();
            assert_ne!(a, f32_again, "{name}: nothing was rounded");
        }
    }
}

#[test]
fn the_kind_of_vector_instructions_changes_no_bit_of_f32() {
    use raptr_tui::kernels::simd::{Level, force};
    // Forcing is for the whole process, but changes nothing for the tests beside this one: that is what is shown.
    let shape = |architecture| ModelConfig {
        layers: 2,
        width: 48,
        heads: 3,
        context: 33,
        ..model(architecture, Norm::Pre, true)
    };
    let run = |level: Level, m: &ModelConfig, prefixes: &[usize]| {
        force(level);
        let mut fast = Fast::new(m, 45, 3, 2, Precision::F32).unwrap();
        for step in 0..3 {
            let mut batch = batch(step, m.architecture, 4, 33);
            batch.prefixes = prefixes.to_vec();
            batch.inputs.iter_mut().for_each(|id| *id += 20);
            fast.gradient(&[batch], &LayerPath::full(2).into()).unwrap();
            fast.gradient_norm().unwrap();
            fast.update(&rule(false)).unwrap();
        }
        fast.weights_checksum().unwrap()
    };
    for (architecture, prefixes) in [(Architecture::Encoder, &[][..]), (Architecture::Decoder, &[0, 5, 16, 33])] {
        let m = shape(architecture);
        let all = [Level::Baseline, Level::Avx2, Level::Avx512].map(|level| run(level, &m, prefixes));
        assert!(all.windows(2).all(|w| w[0] == w[1]), "{all:?}");
    }
}

#[test]
fn active_layers_have_gradients_and_skipped_ones_none() {
    for m in all_models() {
        let (mut fast, _) = engines(&m, 1);
        for path in paths() {
            fast.gradient(&[batch(1, m.architecture, 3, 7)], &path.into()).unwrap();
            let gradients = fast.gradients().unwrap();
            for layer in 0..LAYERS {
                let of_layer: Vec<_> =
                    gradients.iter().filter(|(n, _)| n.starts_with(&format!("h.{layer}."))).collect();
                let expected = if !path.is_active(layer) {
                    0
                } else if m.norm == Norm::None {
                    8
                } else {
                    12
                };
                assert_eq!(of_layer.len(), expected, "layer {layer} of {path}");
                for (name, gradient) in of_layer {
                    assert!(gradient.iter().any(|g| *g != 0.0), "{name} has a gradient of zeros on {path}");
                }
            }
        }
    }
}

#[test]
fn gradients_match_finite_differences() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    let (mut fast, mut reference) = engines(&m, 1);
    let (batch, path) = (batch(3, m.architecture, 2, 7), "1011".parse::<LayerPath>().unwrap());
    fast.gradient(std::slice::from_ref(&batch), &path.into()).unwrap();
    let base = fast.parameters().unwrap();
    for (name, gradient) in fast.gradients().unwrap() {
        let index = base.iter().position(|p| p.name == name).unwrap();
        let element = gradient.len() / 2;
        // The reference in f64 evaluates the loss; both moved weights are exact in f32.
        let mut loss_at = |delta: f32| {
            let mut moved = base.clone();
            moved[index].weight[element] += delta;
            let weight = f64::from(moved[index].weight[element]);
            reference.set_parameters(moved).unwrap();
            (f64::from(reference.loss(&batch, &path.into()).unwrap()), weight)
        };
        let ((up, high), (down, low)) = (loss_at(2e-2), loss_at(-2e-2));
        let slope = (up - down) / (high - low);
        assert!(
            (slope - f64::from(gradient[element])).abs() < 3e-3 * slope.abs().max(0.02),
            "{name}: {slope} {}",
            gradient[element]
        );
    }
}

/// Trains over changing layer paths; returns the losses and the weights' checksum.
fn train(engine: &mut dyn Engine, m: &ModelConfig, steps: u64, zero: bool) -> (Vec<f32>, String) {
    let losses = (0..steps).map(|step| {
        let path = paths()[step as usize % 4];
        let loss = engine.gradient(&[batch(step, m.architecture, 3, 7)], &path.into()).unwrap();
        engine.update(&rule(zero)).unwrap();
        loss
    });
    let losses = losses.collect();
    (losses, engine.weights_checksum().unwrap())
}

#[test]
fn gradients_match_autograd_where_heads_are_whole_panels_and_products_are_cut() {
    // Sequences inside one block of rows (heads read where they stand) and across blocks, one and two tiles of queries, a
    // hidden layer of more depth than a product sums at once.
    for (sequences, context) in [(8, 32), (4, 96)] {
        for architecture in [Architecture::Decoder, Architecture::Encoder] {
            let m = ModelConfig {
                layers: 2,
                width: 96,
                heads: 3,
                context,
                mlp_ratio: 4,
                init_std: 0.05,
                ..model(architecture, Norm::Pre, true)
            };
            let name = format!("{architecture:?} {sequences} x {context}");
            let batches = [batch(1, architecture, sequences, context)];
            let (mut fast, mut reference) = engines(&m, 2);
            let (a, b) = (
                fast.gradient(&batches, &LayerPath::full(2).into()).unwrap(),
                reference.gradient(&batches, &LayerPath::full(2).into()).unwrap(),
            );
            assert!((a - b).abs() < 2e-5 * b, "{name}: loss {a} != {b}");
            assert_same_gradients(&mut fast, &mut reference, &name);
            let (mut fast, _) = engines_in(&m, 2, Precision::Bf16);
            fast.gradient(&batches, &LayerPath::full(2).into()).unwrap();
            assert_close_gradients(&mut fast, &mut reference, 0.04, &name);
        }
    }
}

#[test]
fn prefixes_match_autograd_at_every_length_and_every_tile() {
    // Small: heads of padded panels; no prefix, one that changes nothing (1), some, all.
    let small = model(Architecture::Decoder, Norm::Pre, true);
    // Two and three tiles of queries; prefixes inside, at and across their edges, and those of panels.
    let large = |context| ModelConfig { layers: 2, width: 96, heads: 3, context, init_std: 0.05, ..small.clone() };
    let (two, three) = (large(96), large(150));
    let cases: [(&ModelConfig, &[usize]); 5] = [
        (&small, &[0, 1, 4, 7]),
        (&small, &[3, 3]),
        (&two, &[0, 33, 64, 65, 96]),
        (&two, &[16, 17, 63, 80, 95]),
        (&three, &[5, 64, 100, 128, 149, 150]),
    ];
    for (m, prefixes) in cases {
        let name = format!("T {} prefixes {prefixes:?}", m.context);
        let path = &LayerPath::full(m.layers).into();
        let plain = batch(1, m.architecture, prefixes.len(), m.context);
        let batches = [Batch { prefixes: prefixes.to_vec(), ..plain.clone() }];
        let (mut fast, mut reference) = engines(m, 2);
        let (a, b) = (fast.gradient(&batches, path).unwrap(), reference.gradient(&batches, path).unwrap());
        assert!((a - b).abs() < 2e-5 * b, "{name}: loss {a} != {b}");
        assert_same_gradients(&mut fast, &mut reference, &name);
        let (x, y) = (fast.logits(&batches[0], path).unwrap(), reference.logits(&batches[0], path).unwrap());
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 2e-4), "{name}: logits");
        let causal = reference.loss(&plain, path).unwrap();
        assert!((causal - b).abs() > 1e-5, "{name}: the mask made no difference");
        let (mut fast, _) =
            engines_in(&ModelConfig { init_std: m.init_std.min(0.15), ..m.clone() }, 2, Precision::Bf16);
        let (_, mut reference) = engines(&ModelConfig { init_std: m.init_std.min(0.15), ..m.clone() }, 1);
        fast.gradient(&batches, path).unwrap();
        reference.gradient(&batches, path).unwrap();
        assert_close_gradients(&mut fast, &mut reference, 0.04, &name);
    }
}

#[test]
fn what_a_prefix_sees_is_the_prefix_and_others_what_stands_before_them() {
    // Not from any engine's mask: a token is changed, and the positions are listed whose logits it may move.
    let m = ModelConfig { layers: 1, context: 9, ..model(Architecture::Decoder, Norm::Pre, true) };
    let (mut fast, mut reference) = engines(&m, 1);
    for engine in [&mut fast as &mut dyn Engine, &mut reference] {
        let before = Batch { prefixes: vec![4], ..batch(1, m.architecture, 1, 9) };
        let mut moved_by = |changed: usize| -> Vec<usize> {
            let mut after = before.clone();
            after.inputs[changed] = (after.inputs[changed] + 1) % VOCABULARY as u32;
            let logits = [&before, &after].map(|b| engine.logits(b, &LayerPath::full(1).into()).unwrap());
            (0..9)
                .filter(|i| logits[0][i * VOCABULARY..][..VOCABULARY] != logits[1][i * VOCABULARY..][..VOCABULARY])
                .collect()
        };
        assert_eq!(moved_by(0), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(moved_by(3), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(moved_by(4), [4, 5, 6, 7, 8]);
        assert_eq!(moved_by(7), [7, 8]);
    }
}

#[test]
fn positions_left_empty_behind_a_sequence_influence_nothing() {
    let m =
        ModelConfig { layers: 2, width: 48, heads: 3, context: 70, ..model(Architecture::Decoder, Norm::Pre, true) };
    let run = |empty: u32| {
        let mut batch = Batch { prefixes: vec![9, 40], ..batch(1, m.architecture, 2, 70) };
        for row in [0, 70] {
            batch.inputs[row + 68..row + 70].fill(empty);
            batch.targets[row + 68..row + 70].fill(NO_TARGET);
        }
        let mut fast = engines(&m, 2).0;
        let loss = fast.gradient(&[batch], &LayerPath::full(2).into()).unwrap();
        (loss, fast.gradients().unwrap())
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn prefixes_of_nothing_change_no_bit() {
    let m =
        ModelConfig { layers: 2, width: 48, heads: 3, context: 70, ..model(Architecture::Decoder, Norm::Pre, true) };
    for precision in [Precision::F32, Precision::Bf16] {
        let run = |prefixes: Vec<usize>| {
            let mut fast = engines_in(&m, 2, precision).0;
            fast.gradient(&[Batch { prefixes, ..batch(1, m.architecture, 3, 70) }], &LayerPath::full(2).into())
                .unwrap();
            fast.gradients().unwrap()
        };
        assert_eq!(run(vec![]), run(vec![0, 0, 0]));
        assert_ne!(run(vec![]), run(vec![0, 9, 0]));
    }
}

#[test]
fn threads_change_no_bit() {
    for m in [model(Architecture::Decoder, Norm::Pre, true), model(Architecture::Encoder, Norm::Post, true)] {
        let one = train(&mut engines(&m, 1).0, &m, 8, false);
        for threads in [2, 3] {
            assert_eq!(one, train(&mut engines(&m, threads).0, &m, 8, false), "{threads} threads");
        }
    }
}

#[test]
fn threads_change_no_bit_at_a_size_where_products_are_split() {
    let m = ModelConfig { layers: 2, width: 128, heads: 4, context: 64, ..ModelConfig::default() };
    let run = |threads: usize, precision: Precision| {
        let mut fast = Fast::new(&m, 300, 1, threads, precision).unwrap();
        for step in 0..3 {
            let mut rng = keyed(step, Purpose::Batch, 0, 0);
            let inputs: Vec<u32> = (0..8 * 64).map(|_| rng.below(300) as u32).collect();
            let targets = inputs.iter().map(|&i| i as i32).collect();
            let batch = Batch { sequences: 8, context: 64, inputs, targets, ..Batch::default() };
            fast.gradient(&[batch], &LayerPath::full(2).into()).unwrap();
            fast.update(&rule(false)).unwrap();
        }
        fast.weights_checksum().unwrap()
    };
    for precision in [Precision::F32, Precision::Bf16] {
        let one = run(1, precision);
        assert_eq!(one, run(2, precision), "{precision:?}");
        assert_eq!(one, run(5, precision), "{precision:?}");
    }
}

#[test]
fn training_follows_the_reference_and_skipped_layers_are_frozen_or_fed_zeros() {
    for zero in [false, true] {
        let m = model(Architecture::Decoder, Norm::Pre, true);
        let (mut fast, mut reference) = engines(&m, 2);
        let (ours, _) = train(&mut fast, &m, 12, zero);
        let (truth, _) = train(&mut reference, &m, 12, zero);
        for (step, (a, b)) in ours.iter().zip(&truth).enumerate() {
            assert!((a - b).abs() < 2e-3 * b, "step {step}: {a} != {b}");
        }
        // Of twelve steps each of four paths had three; layer 1 was active in paths 1111 and 0101.
        let updates = |name: &str| fast.parameters().unwrap().iter().find(|p| p.name == name).unwrap().updates;
        assert_eq!(updates("h.1.mlp.up.weight"), if zero { 12 } else { 6 });
        assert_eq!(updates("wte.weight"), 12);
    }
}

#[test]
fn a_used_engine_equals_a_fresh_one() {
    // Whatever a buffer held from another layer path or batch shape must not show.
    let m = model(Architecture::Encoder, Norm::Pre, true);
    let (mut used, _) = engines(&m, 2);
    for (i, path) in paths().into_iter().enumerate() {
        used.gradient(&[batch(40, m.architecture, 1 + i, 7 - i), batch(41, m.architecture, 4, 6)], &path.into())
            .unwrap();
        used.loss(&batch(42, m.architecture, 5, 3), &path.into()).unwrap();
    }
    for path in paths() {
        let (mut fresh, _) = engines(&m, 2);
        let last = [batch(7, m.architecture, 2, 7)];
        assert_eq!(used.gradient(&last, &path.into()).unwrap(), fresh.gradient(&last, &path.into()).unwrap());
        assert_eq!(used.gradients().unwrap(), fresh.gradients().unwrap());
    }
}

#[test]
fn bad_batches_are_refused() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    let (mut fast, _) = engines(&m, 1);
    let good = batch(1, m.architecture, 2, 7);
    let path = LayerPath::full(LAYERS);
    let mut refused = |change: &dyn Fn(&mut Batch), expected: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = fast.gradient(&[bad], &path.into()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&|b| b.inputs[3] = 19, "token 19");
    refused(&|b| b.targets[3] = 19, "target 19");
    refused(&|b| b.targets[3] = -2, "target -2");
    refused(&|b| b.targets.fill(NO_TARGET), "no token to predict");
    refused(&|b| b.context = 8, "announced");
    refused(&|b| b.prefixes = vec![3], "1 prefixes and 2 sequences");
    refused(&|b| b.prefixes = vec![3, 8], "prefix of 8");
    let m = model(Architecture::Encoder, Norm::Pre, true);
    let bad = Batch { prefixes: vec![3, 3], ..good };
    for engine in [&mut engines(&m, 1).0 as &mut dyn Engine, &mut engines(&m, 1).1] {
        assert!(engine.gradient(std::slice::from_ref(&bad), &path.into()).unwrap_err().to_string().contains("encoder"));
    }
}

#[test]
fn factors_and_parts_match_autograd_with_plain_ops_and_masks() {
    for m in all_models() {
        for (index, subnetwork) in scaled().into_iter().chain(partial(&m)).enumerate() {
            let name = format!("{:?} {:?} residual {} subnetwork {index}", m.architecture, m.norm, m.residual);
            let batches = [batch(1, m.architecture, 3, 7), batch(2, m.architecture, 2, 5)];
            let (mut fast, mut reference) = engines(&m, 2);
            let a = fast.gradient(&batches, &subnetwork).unwrap();
            let b = reference.gradient(&batches, &subnetwork).unwrap();
            assert!((a - b).abs() < 2e-5 * b, "{name}: loss {a} != {b}");
            assert_same_gradients(&mut fast, &mut reference, &name);
            let (a, b) = (fast.gradient_norm().unwrap(), reference.gradient_norm().unwrap());
            assert!((a - b).abs() < 1e-4 * b, "{name}: norm {a} != {b}");
            let a = fast.logits(&batches[0], &subnetwork).unwrap();
            let b = reference.logits(&batches[0], &subnetwork).unwrap();
            assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4), "{name}: logits");
            let plain = fast.loss(&batches[0], &subnetwork.path().into()).unwrap();
            // Without a residual stream a norm takes every factor out again.
            let is_other = plain != fast.loss(&batches[0], &subnetwork).unwrap();
            assert!(is_other || !m.residual, "{name}: nothing was different");
        }
    }
}

#[test]
fn factors_and_parts_match_autograd_in_bf16_too() {
    for m in all_models() {
        let m = ModelConfig { init_std: 0.15, ..m };
        for (index, subnetwork) in scaled().into_iter().chain(partial(&m)).enumerate() {
            let name = format!("{:?} {:?} residual {} subnetwork {index}", m.architecture, m.norm, m.residual);
            let batches = [batch(1, m.architecture, 3, 7), batch(2, m.architecture, 2, 5)];
            let (mut fast, mut reference) = engines_in(&m, 2, Precision::Bf16);
            let a = fast.gradient(&batches, &subnetwork).unwrap();
            let b = reference.gradient(&batches, &subnetwork).unwrap();
            assert!((a - b).abs() < 5e-3 * b, "{name}: loss {a} != {b}");
            assert_close_gradients(&mut fast, &mut reference, if m.residual { 0.05 } else { 0.25 }, &name);
        }
    }
}

#[test]
fn all_parts_are_the_whole_layer_to_the_bit() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    let whole = Parts { heads: vec![0, 1, 2], columns: std::iter::once(0..24).collect() };
    let path: LayerPath = "1101".parse().unwrap();
    let run = |subnetwork: &Subnetwork, zero: bool| {
        let (mut fast, _) = engines(&m, 2);
        for step in 0..4 {
            fast.gradient(&[batch(step, m.architecture, 3, 7)], subnetwork).unwrap();
            fast.update(&rule(zero)).unwrap();
        }
        fast.weights_checksum().unwrap()
    };
    for zero in [false, true] {
        assert_eq!(run(&path.into(), zero), run(&Subnetwork::new(path).with_parts(vec![whole.clone(); 3]), zero));
    }
}

#[test]
fn parts_that_are_not_computed_are_left_alone_or_fed_zeros() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    let parts = Parts { heads: vec![1], columns: std::iter::once(8..16).collect() };
    let subnetwork = Subnetwork::new(LayerPath::full(LAYERS)).with_parts(vec![parts; LAYERS]);
    for zero in [false, true] {
        let (mut fast, mut reference) = engines(&m, 2);
        // Moments everywhere first, so that there is something to decay.
        for engine in [&mut fast as &mut dyn Engine, &mut reference] {
            engine.gradient(&[batch(1, m.architecture, 3, 7)], &LayerPath::full(LAYERS).into()).unwrap();
            engine.update(&rule(zero)).unwrap();
        }
        let before = fast.parameters().unwrap();
        for engine in [&mut fast as &mut dyn Engine, &mut reference] {
            engine.gradient(&[batch(2, m.architecture, 3, 7)], &subnetwork).unwrap();
            engine.update(&rule(zero)).unwrap();
        }
        let (after, truth) = (fast.parameters().unwrap(), reference.parameters().unwrap());
        // Head 1 of 3 is columns 4..8 of each of q, k, v and rows 4..8 of proj; the MLP's columns are 8..16 of 24.
        let is_computed = |name: &str, i: usize| match name.trim_start_matches("h.2.") {
            "attn.qkv.weight" | "attn.qkv.bias" => (4..8).contains(&(i % 12)),
            "attn.proj.weight" => (4..8).contains(&(i / 12)),
            "mlp.up.weight" | "mlp.up.bias" => (8..16).contains(&(i % 24)),
            "mlp.down.weight" => (8..16).contains(&(i / 12)),
            _ => true,
        };
        for ((old, new), right) in
            before.iter().zip(&after).zip(&truth).filter(|((p, _), _)| p.name.starts_with("h.2."))
        {
            for i in 0..old.weight.len() {
                let is_same = old.weight[i] == new.weight[i] && old.first_moment[i] == new.first_moment[i];
                let decayed = (new.first_moment[i] - 0.9 * old.first_moment[i]).abs() < 1e-7;
                match (is_computed(&old.name, i), zero) {
                    (true, _) => assert!(!is_same, "{} {i} was computed and did not move", old.name),
                    (false, false) => assert!(is_same, "{} {i} was not computed and moved", old.name),
                    (false, true) => assert!(decayed && old.weight[i] != new.weight[i], "{} {i}", old.name),
                }
                // The key's bias has no gradient but rounding, and Adam takes a whole step along it.
                let is_noise = old.name.ends_with("qkv.bias") && (12..24).contains(&i);
                assert!(is_noise || (new.weight[i] - right.weight[i]).abs() < 2e-3, "{} {i}: reference", old.name);
            }
            assert_eq!(new.updates, right.updates);
        }
    }
}
