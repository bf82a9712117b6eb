//! Whole training steps that are asked for without waiting, layers that are asked for at once, and gradients by the way that is
//! quicker and not the same each time.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use raptr_tui::config::{Architecture, ModelConfig, Norm, Precision, RunConfig};
use raptr_tui::data;
use raptr_tui::event::Event;
use raptr_tui::gpu::Device;
use raptr_tui::layer_path::LayerPath;
use raptr_tui::model::fast::Fast;
use raptr_tui::model::gpu::{Gpu, Graphs, shape};
use raptr_tui::model::{Engine, Outcome, UpdateRule};
use raptr_tui::objective::Batch;
use raptr_tui::subnetwork::Subnetwork;
use raptr_tui::trainer::Trainer;
use raptr_tui::trainer::checkpoint::NoStore;

use crate::common::*;
use crate::engine::engine;
use crate::host::Host;
use crate::{device, has_compiler, is_on_gpu};

/// The batches and the subnetwork of a step, whole layers and parts in turn.
fn step(m: &ModelConfig, step: u64) -> ([Batch; 2], Subnetwork) {
    let subnetworks: Vec<Subnetwork> = paths().into_iter().take(4).map(Subnetwork::from).chain(partial(m)).collect();
    let batches = [batch(step, m.architecture, 3, 7), batch(100 + step, m.architecture, 2, 7)];
    (batches, subnetworks[step as usize % subnetworks.len()].clone())
}

/// Trains with as many steps under way as the engine may have; outcomes until the last step, or the first that failed.
fn train_ahead(
    gpu: &mut Gpu,
    steps: impl Iterator<Item = ([Batch; 2], Subnetwork)>,
    rule: &UpdateRule,
    clip: f64,
) -> Vec<Outcome> {
    let (mut outcomes, mut under_way) = (Vec::new(), 0);
    for (batches, subnetwork) in steps {
        while under_way > gpu.ahead() {
            outcomes.push(gpu.outcome().unwrap());
            under_way -= 1;
            if !outcomes[outcomes.len() - 1].is_finite() {
                return outcomes;
            }
        }
        assert_eq!(gpu.train(&batches, &subnetwork, rule, clip).unwrap(), None);
        under_way += 1;
    }
    outcomes.extend((0..under_way).map(|_| gpu.outcome().unwrap()));
    outcomes
}

fn bits(outcomes: &[Outcome]) -> Vec<[u32; 2]> {
    outcomes.iter().map(|o| [o.loss.to_bits(), o.gradient_norm.to_bits()]).collect()
}

#[test]
fn steps_asked_for_ahead_are_those_that_are_waited_for_to_the_bit() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    for (precision, zero, clip) in
        [(Precision::F32, false, 0.1), (Precision::F32, true, 0.0), (Precision::Bf16, false, 1e9)]
    {
        let rule = rule(zero);
        let Some(mut waited) = engine(&m, precision) else { return };
        let right: Vec<Outcome> = (0..9)
            .map(|k| {
                let (batches, subnetwork) = step(&m, k);
                let loss = waited.gradient(&batches, &subnetwork).unwrap();
                let gradient_norm = waited.gradient_norm().unwrap();
                waited.update(&rule.clipped(clip, gradient_norm)).unwrap();
                Outcome { loss, gradient_norm }
            })
            .collect();
        assert!(clip != 0.1 || right.iter().all(|o| o.gradient_norm > 0.1), "nothing is clipped");
        let Some(mut ahead) = engine(&m, precision) else { return };
        let outcomes = train_ahead(&mut ahead, (0..9).map(|k| step(&m, k)), &rule, clip);
        assert_eq!(bits(&outcomes), bits(&right));
        assert_eq!(ahead.parameters().unwrap(), waited.parameters().unwrap(), "{precision:?}, clipped to {clip}");
        assert!(ahead.outcome().is_err(), "none is under way");
    }
}

#[test]
fn a_step_that_is_not_finite_and_those_behind_it_change_nothing() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    for zero in [false, true] {
        let Some(mut gpu) = engine(&m, Precision::F32) else { return };
        let Some(mut right) = engine(&m, Precision::F32) else { return };
        let rule = rule(zero);
        let bad = |k: u64| {
            let (batches, _) = step(&m, k);
            let path = "0110".parse::<LayerPath>().unwrap();
            (batches, Subnetwork::new(path).with_factors(vec![1.0, 3e38]))
        };
        let all = (0..8).map(|k| if k == 3 { bad(k) } else { step(&m, k) });
        let outcomes = train_ahead(&mut gpu, all, &rule, 1.0);
        assert_eq!(outcomes.len(), 4);
        assert!(outcomes[..3].iter().all(|o| o.is_finite()) && !outcomes[3].is_finite());
        let before = train_ahead(&mut right, (0..3).map(|k| step(&m, k)), &rule, 1.0);
        assert_eq!(bits(&outcomes[..3]), bits(&before));
        assert_eq!(gpu.parameters().unwrap(), right.parameters().unwrap(), "weights, moments and counts");
        // And it goes on from there.
        let [a, b] = [&mut gpu, &mut right].map(|e| train_ahead(e, (3..6).map(|k| step(&m, k)), &rule, 1.0));
        assert_eq!(bits(&a), bits(&b));
        assert_eq!(gpu.parameters().unwrap(), right.parameters().unwrap());
    }
}

#[test]
fn nobody_looks_at_parameters_of_steps_under_way() {
    let m = model(Architecture::Decoder, Norm::Pre, true);
    let Some(mut gpu) = engine(&m, Precision::F32) else { return };
    let parameters = gpu.parameters().unwrap();
    let (batches, subnetwork) = step(&m, 0);
    gpu.train(&batches, &subnetwork, &rule(false), 0.0).unwrap();
    assert!(gpu.parameters().is_err() && gpu.weights_checksum().is_err() && gpu.set_parameters(parameters).is_err());
    assert!(gpu.update(&rule(false)).is_err() && gpu.gradients().is_err(), "no gradient is at hand");
    assert!(gpu.outcome().unwrap().is_finite());
    gpu.parameters().unwrap();
}

#[test]
fn layers_that_are_asked_for_at_once_give_the_same_bits() {
    let of = |architecture, norm| model(architecture, norm, true);
    // Heads that fit the tensor cores.
    let wide = |m: ModelConfig| ModelConfig { width: 32, heads: 2, init_std: 0.08, ..m };
    for (m, precision, is_loose) in [
        (of(Architecture::Decoder, Norm::Pre), Precision::F32, false),
        (of(Architecture::Encoder, Norm::Post), Precision::F32, false),
        (wide(of(Architecture::Decoder, Norm::Pre)), Precision::Bf16, false),
        (wide(of(Architecture::Encoder, Norm::Pre)), Precision::Bf16, true),
    ] {
        if is_loose && std::env::var_os("RAPTR_GPU").is_some() {
            // Its bits are by chance there.
            continue;
        }
        let mut all = Vec::new();
        for graphs in [Graphs::Never, Graphs::Always] {
            let (device, repeated) = if is_on_gpu() {
                (device(shape(&m, precision)), None)
            } else {
                let Some(host) = has_compiler().then(|| Host::new(shape(&m, precision))) else { return };
                let repeated = host.repeated.clone();
                (Some(Box::new(host) as Box<dyn Device>), Some(repeated))
            };
            let Some(device) = device else { return };
            let gpu = Gpu::new(device, &m, VOCABULARY, 5, precision).unwrap().with_graphs(graphs);
            let mut gpu = if is_loose { gpu.loose() } else { gpu };
            let outcomes = train_ahead(&mut gpu, (0..20).map(|k| step(&m, k)), &rule(false), 1.0);
            let loss = gpu.loss(&batch(7, m.architecture, 3, 7), &LayerPath::full(LAYERS).into()).unwrap();
            all.push((bits(&outcomes), loss.to_bits(), gpu.parameters().unwrap()));
            if let Some(repeated) = repeated {
                // Of each path's forward and backward passes in two micro-batches, all but the first two times.
                assert_eq!(repeated.load(Ordering::Relaxed) > 20, graphs == Graphs::Always);
            }
        }
        assert!(all[0] == all[1], "{:?} {:?} {precision:?}", m.architecture, m.norm);
    }
}

fn loose(m: &ModelConfig) -> Option<Gpu> {
    Some(engine(m, Precision::Bf16)?.loose())
}

#[test]
fn the_quicker_way_back_through_attention_matches_autograd_with_every_mask() {
    // Heads of 16, 32, 48 and 64, over one, two and three tiles.
    for (width, heads, t, sequences) in [(32, 2, 64, 2), (64, 2, 70, 1), (48, 1, 17, 3), (64, 1, 130, 1)] {
        let of = ModelConfig {
            layers: 1,
            width,
            heads,
            context: t,
            init_std: 0.08,
            ..model(Architecture::Decoder, Norm::Pre, true)
        };
        let all = [None, Some(0), Some(t / 2), Some(t)].map(|p| (Architecture::Decoder, p));
        for (architecture, prefix) in all.into_iter().chain([(Architecture::Encoder, None)]) {
            let m = ModelConfig { architecture, ..of.clone() };
            let name = format!("{width} wide, {heads} heads, T {t}, {architecture:?}, prefix {prefix:?}");
            let Some(mut gpu) = loose(&m) else { return };
            let mut reference = reference_for(&m, &mut gpu);
            let prefixes = prefix.map_or_else(Vec::new, |p| vec![p; sequences]);
            let batches = [Batch { prefixes, ..batch(1, architecture, sequences, t) }];
            let path = LayerPath::full(1).into();
            reference.gradient(&batches, &path).unwrap();
            // What it adds to is zeros again behind it.
            for _ in 0..2 {
                gpu.gradient(&batches, &path).unwrap();
                assert_close_gradients(&mut gpu, &mut reference, 0.04, &name);
            }
        }
    }
}

#[test]
fn scores_far_below_zero_do_no_harm_where_there_are_no_keys() {
    // All scores are about -200, the last tile of keys isn't whole: a score of 0 there would weigh e^200.
    let m = ModelConfig {
        layers: 1,
        width: 64,
        heads: 1,
        context: 134,
        init_std: 0.02,
        ..model(Architecture::Encoder, Norm::Pre, true)
    };
    let run = |is_loose: bool| {
        let gpu = engine(&m, Precision::Bf16)?;
        let mut gpu = if is_loose { gpu.loose() } else { gpu };
        let mut parameters = gpu.parameters().unwrap();
        let bias = parameters.iter_mut().find(|p| p.name.ends_with("qkv.bias")).unwrap();
        bias.weight[..64].fill(5.0);
        bias.weight[64..128].fill(-5.0);
        gpu.set_parameters(parameters).unwrap();
        gpu.gradient(&[batch(1, m.architecture, 1, 134)], &LayerPath::full(1).into()).unwrap();
        Some(gpu.gradients().unwrap())
    };
    let (Some(right), Some(loose)) = (run(false), run(true)) else { return };
    for ((name, right), (_, loose)) in right.iter().zip(&loose) {
        let error = relative_error(loose, right);
        assert!(error < 0.02 || name.ends_with("qkv.bias"), "{name}: relative error {error}");
        assert!(loose.iter().all(|x| x.is_finite()), "{name}");
    }
}

#[test]
fn the_quicker_way_is_taken_where_there_is_one_and_lacks_no_barrier() {
    if is_on_gpu() || !has_compiler() {
        return;
    }
    for (width, heads, precision, is_there) in [
        (64, 1, Precision::Bf16, true),
        (64, 2, Precision::Bf16, true),
        (256, 2, Precision::Bf16, false),
        (64, 1, Precision::F32, false),
    ] {
        let m = ModelConfig { width, heads, layers: 1, context: 200, ..model(Architecture::Decoder, Norm::Pre, true) };
        let run = |is_greedy: bool| {
            let host = Host::new(shape(&m, precision));
            let host = if is_greedy { host.greedy() } else { host };
            let launches = host.launches.clone();
            let mut gpu = Gpu::new(Box::new(host), &m, VOCABULARY, 5, precision).unwrap().loose();
            assert_eq!(gpu.about().contains("not deterministic"), is_there, "{}", gpu.about());
            gpu.gradient(&[batch(1, m.architecture, 1, 200)], &LayerPath::full(1).into()).unwrap();
            let taken = launches.lock().unwrap().get("attention_backward_tensor").copied().unwrap_or(0);
            (taken, gpu.gradients().unwrap())
        };
        let (in_step, greedy) = (run(false), run(true));
        assert_eq!(in_step.0, usize::from(is_there), "{width} wide, {heads} heads, {precision:?}");
        assert!(in_step == greedy, "warps that run one after the other find something else");
    }
}

/// The events of a run with an engine for a size of vocabulary.
fn events(config: &RunConfig, build: impl FnOnce(usize) -> Box<dyn Engine>) -> Vec<Event> {
    let corpus = data::open(config, &mut |_| ControlFlow::Continue(())).unwrap();
    let engine = |_: &RunConfig, vocabulary| Ok(build(vocabulary));
    let mut trainer = Trainer::with_engine(config.clone(), corpus, Box::new(NoStore), engine).unwrap();
    let mut events = Vec::new();
    while !trainer.is_over() {
        let mut emit = |event| {
            events.push(event);
            Ok(())
        };
        trainer.advance(&|| false, &mut emit).unwrap();
    }
    events
}

#[test]
fn a_whole_run_tells_what_it_tells_on_the_cpu() {
    let text = "
        [model]\nlayers = 4\nwidth = 16\nheads = 2\ncontext = 16
        [train]\nsteps = 40\nbatch = 2\naccumulate = 2\nthreads = 1
        [evaluation]\nevery = 15\nbatches = 2\ntransition_batches = 2\ntransition_window = 3";
    let config = raptr_tui::config::load::parse("t", text, &[]).unwrap();
    let (m, seed) = (&config.model, config.seed);
    let Some(device) = device(shape(m, Precision::F32)) else { return };
    let ours = events(&config, |vocabulary| Box::new(Gpu::new(device, m, vocabulary, seed, Precision::F32).unwrap()));
    let truth = events(&config, |vocabulary| Box::new(Fast::new(m, vocabulary, seed, 1, Precision::F32).unwrap()));
    assert_eq!(ours.len(), truth.len());
    for (a, b) in ours.iter().zip(&truth) {
        match (a, b) {
            (
                Event::Stepped { step, path, loss, gradient_norm, .. },
                Event::Stepped { step: k, path: p, loss: l, gradient_norm: n, .. },
            ) => {
                assert_eq!((step, path), (k, p));
                assert!((loss - l).abs() < 2e-3 * l, "step {k}: loss {loss} != {l}");
                assert!((gradient_norm - n).abs() < 2e-2 * n, "step {k}: norm {gradient_norm} != {n}");
            }
            (Event::Evaluated { step, why, scores }, Event::Evaluated { step: k, why: w, scores: s }) => {
                assert_eq!((step, why), (k, w));
                assert!(scores.iter().zip(s).all(|(a, b)| (a.loss - b.loss).abs() < 2e-3 * b.loss), "{scores:?} {s:?}");
            }
            _ => assert_eq!(std::mem::discriminant(a), std::mem::discriminant(b)),
        }
    }
}
