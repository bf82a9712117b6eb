//! Measurements against the reference engine in f64 and against rules written out, and through the program: as commands, on
//! a cadence and at transitions, without changing a run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use candle_core::{DType, Device};
use common::{Place, TINY, curve, final_weights, stderr, stdout};
use raptr_tui::config::{Architecture, ModelConfig, Norm, Precision};
use raptr_tui::event::{Command, Event, Measurement, What};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::measure::{Measured, Next, Subject, pruning};
use raptr_tui::measurement::WHATS;
use raptr_tui::model::fast::Fast;
use raptr_tui::model::reference::Reference;
use raptr_tui::model::{Engine, Parameter, UpdateRule};
use raptr_tui::objective::Batch;
use raptr_tui::rng::{Purpose, keyed};
use raptr_tui::subnetwork::{Parts, Subnetwork};

const VOCABULARY: usize = 17;
const LAYERS: usize = 4;
const WIDTH: usize = 12;

fn batch(seed: u64) -> Batch {
    let mut rng = keyed(seed, Purpose::Batch, 0, 0);
    let (sequences, context) = (3, 6);
    let inputs = (0..sequences * context).map(|_| rng.below(VOCABULARY as u64) as u32).collect();
    let targets = (0..sequences * context).map(|_| rng.below(VOCABULARY as u64) as i32).collect();
    Batch { sequences, context, inputs, targets, ..Batch::default() }
}

/// The engine to be measured, and the same model in f64.
fn engines() -> (Fast, Reference) {
    let m = ModelConfig {
        architecture: Architecture::Decoder,
        layers: LAYERS,
        width: WIDTH,
        heads: 3,
        context: 6,
        mlp_ratio: 2,
        norm: Norm::Pre,
        residual: true,
        init_std: 0.3,
    };
    let fast = Fast::new(&m, VOCABULARY, 5, 1, Precision::F32).unwrap();
    (fast, Reference::new(&m, VOCABULARY, 5, Device::Cpu, DType::F64))
}

/// The layer path of a length with an index, whatever is fixed.
fn by_hand(length: usize, _fixed: LayerPath, index: u64) -> Subnetwork {
    let text = match (length, index) {
        (2, 0) => "1001",
        (2, _) => "0110",
        (3, 0) => "1011",
        (3, _) => "1101",
        _ => "1111",
    };
    text.parse::<LayerPath>().unwrap().into()
}

const RULE: UpdateRule = UpdateRule {
    learning_rate: 0.01,
    betas: [0.9, 0.95],
    epsilon: 1e-8,
    weight_decay: 0.1,
    gradient_scale: 0.5,
    zero_gradient_for_skipped: false,
};

fn measure(engine: &mut dyn Engine, what: What, batches: &[Batch]) -> Vec<Measurement> {
    measure_or_not(engine, what, batches, &|| false).unwrap()
}

fn measure_or_not(
    engine: &mut dyn Engine,
    what: What,
    batches: &[Batch],
    interrupted: &dyn Fn() -> bool,
) -> Option<Vec<Measurement>> {
    measure_with(engine, what, batches, (&path("1011"), RULE), &Subnetwork::new, interrupted)
}

/// With another next step, and networks with factors.
fn measure_with(
    engine: &mut dyn Engine,
    what: What,
    batches: &[Batch],
    (next, rule): (&Subnetwork, UpdateRule),
    network: &dyn Fn(LayerPath) -> Subnetwork,
    interrupted: &dyn Fn() -> bool,
) -> Option<Vec<Measurement>> {
    let none = LayerPath::none(LAYERS);
    let found = Subject {
        engine,
        whole: LayerPath::full(LAYERS),
        width: WIDTH,
        step: 7,
        seed: 1,
        batches,
        paths: 2,
        transition_batches: &batches[..1],
        current: 2,
        lengths: &[2, 3, 4],
        fixed: none,
        candidates: &[(2, none), (3, none), (4, none)],
        subnetwork: &by_hand,
        network,
        next: Some(Next { micro_batches: batches.to_vec(), subnetwork: next.clone(), rule: &|_| rule }),
        coefficients: None,
        interrupted,
    }
    .measure(what)
    .unwrap();
    match found {
        Measured::Series(series) => Some(series),
        Measured::Interrupted => None,
        Measured::Impossible(reason) => panic!("{reason}"),
    }
}

fn near(got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{got:?} {expected:?}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((f64::from(*got) - expected).abs() <= tolerance * expected.abs().max(1e-3), "{got} is not {expected}");
    }
}

fn path(text: &str) -> Subnetwork {
    text.parse::<LayerPath>().unwrap().into()
}

/// Mean loss over batches, in f64.
fn loss(reference: &mut Reference, batches: &[Batch], at: &str) -> f64 {
    let sum: f64 = batches.iter().map(|b| f64::from(reference.loss(b, &path(at)).unwrap())).sum();
    sum / batches.len() as f64
}

fn norm(row: &[f32]) -> f64 {
    row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn norms_and_stability_are_those_of_the_reference_engine() {
    let (mut fast, mut reference) = engines();
    let batches = [batch(1), batch(2)];
    let rows = |r: &mut Reference, at: &str| -> Vec<Vec<f32>> {
        let all = batches.iter().flat_map(|b| r.outputs(b, &path(at)).unwrap()).collect::<Vec<f32>>();
        all.chunks(WIDTH).map(<[f32]>::to_vec).collect()
    };
    let norms = measure(&mut fast, What::Norms, &batches).remove(0);
    assert_eq!((norms.labels.join(" ").as_str(), norms.step, norms.path_length), ("0 1 2 3 4", 7, 4));
    let mean_norm = |rows: Vec<Vec<f32>>| rows.iter().map(|r| norm(r)).sum::<f64>() / rows.len() as f64;
    near(&norms.values, &["0000", "1000", "1100", "1110", "1111"].map(|p| mean_norm(rows(&mut reference, p))), 1e-4);

    let series = measure(&mut fast, What::Stability, &batches);
    let without = ["0111", "1011", "1101", "1110"];
    let full = rows(&mut reference, "1111");
    let psi = without.map(|p| {
        let changes = rows(&mut reference, p);
        let each = changes.iter().zip(&full).map(|(a, b)| {
            let change: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            norm(&change) / norm(b)
        });
        each.sum::<f64>() / full.len() as f64
    });
    near(&series[0].values, &psi, 1e-4);
    assert_eq!(series[0].labels, ["1", "2", "3", "4"]);
    let losses = without.map(|p| loss(&mut reference, &batches, p));
    near(&series[1].values, &losses, 1e-4);
    let (l1, l2) = (losses.iter().sum::<f64>() / 4.0, loss(&mut reference, &batches, "1111"));
    let mean = psi.iter().sum::<f64>() / 4.0;
    near(&series[2].values, &[l1, l2, l1 - l2, mean, 2.0 * mean], 1e-3);
    assert_eq!(series[2].value("mean psi sqrt(L)"), Some(series[2].values[4]));
}

#[test]
fn curves_and_forecasts_are_over_the_paths_promised() {
    let (mut fast, mut reference) = engines();
    let batches = [batch(1), batch(2)];
    let spread = |a: f64, b: f64| (a - b).abs() / 2.0;
    let curve = measure(&mut fast, What::Curve, &batches).remove(0);
    let losses: Vec<f64> =
        ["1001", "0110", "1011", "1101", "1111"].iter().map(|p| loss(&mut reference, &batches, p)).collect();
    near(&curve.values, &[(losses[0] + losses[1]) / 2.0, (losses[2] + losses[3]) / 2.0, losses[4]], 1e-4);
    assert_eq!(curve.labels, ["2", "3", "4"]);
    near(&curve.spreads, &[spread(losses[0], losses[1]), spread(losses[2], losses[3]), 0.0], 1e-2);
    // A forecast sees the transition's batches, each with its own path.
    let forecast = measure(&mut fast, What::Forecast, &batches).remove(0);
    near(&forecast.values, &["1001", "1011", "1111"].map(|p| loss(&mut reference, &batches[..1], p)), 1e-4);
}

#[test]
fn pruning_drops_the_layers_promised() {
    let (mut fast, mut reference) = engines();
    let batches = [batch(3)];
    let series = measure(&mut fast, What::Pruning, &batches);
    let at = |reference: &mut Reference, paths: [&str; 4]| paths.map(|p| loss(reference, &batches, p));
    near(&series[1].values, &at(&mut reference, ["1111", "1101", "1010", "0100"]), 1e-4);
    near(&series[2].values, &at(&mut reference, ["1111", "1110", "1100", "1000"]), 1e-4);
    let mut random = vec![loss(&mut reference, &batches, "1111")];
    for k in 1..LAYERS {
        let each = (0..2).map(|draw| {
            let dropped = pruning::random(LAYERS, k, 1, draw);
            let text: String = (0..LAYERS).map(|l| if dropped.contains(&l) { '0' } else { '1' }).collect();
            loss(&mut reference, &batches, &text)
        });
        random.push(each.sum::<f64>() / 2.0);
    }
    near(&series[0].values, &random, 1e-4);
    assert!(series.iter().all(|s| s.labels == ["0", "1", "2", "3"]));
    assert!(series[0].spreads.len() == 4 && series[1].spreads.is_empty());
}

/// AdamW's published rule (Loshchilov and Hutter 2019, Algorithm 2) for a parameter's first update, in f64.
fn first_update(p: &Parameter, gradient: &[f32]) -> Vec<f64> {
    let each = p.weight.iter().zip(gradient).map(|(w, g)| {
        let (w, g) = (f64::from(*w), 0.5 * f64::from(*g));
        // Both moments' corrections cancel their factors in the first step.
        -0.01 * (g / ((g * g).sqrt() + 1e-8) + 0.1 * w)
    });
    each.collect()
}

#[test]
fn gradients_and_updates_are_those_of_the_step_and_of_the_rule() {
    let (mut fast, mut reference) = engines();
    let batches = [batch(4), batch(5)];
    let before = fast.parameters().unwrap();
    let series = measure(&mut fast, What::Gradients, &batches);
    assert_eq!(fast.parameters().unwrap(), before, "nothing was updated");
    // Layer 2 is skipped: absent, not zero.
    assert!(series.iter().all(|s| s.labels == ["1", "3", "4", "outside"] && s.path_length == 3));
    reference.gradient(&batches, &path("1011")).unwrap();
    let gradients = reference.gradients().unwrap();
    let of = |prefix: &str| {
        let is_its = |name: &&(String, Vec<f32>)| match prefix {
            "" => !name.0.starts_with("h."),
            prefix => name.0.starts_with(prefix),
        };
        gradients.iter().filter(is_its).collect::<Vec<_>>()
    };
    let places = ["h.0.", "h.2.", "h.3.", ""];
    let norms = places.map(|p| of(p).iter().map(|(_, g)| norm(g).powi(2)).sum::<f64>().sqrt());
    near(&series[0].values, &norms, 1e-3);
    let ratios = places.map(|place| {
        let (mut update, mut weight) = (0.0, 0.0);
        for (name, gradient) in of(place) {
            let p = before.iter().find(|p| p.name == *name).unwrap();
            if p.shape.len() == 2 {
                update += first_update(p, gradient).iter().map(|d| d * d).sum::<f64>();
                weight += norm(&p.weight).powi(2);
            }
        }
        (update / weight).sqrt()
    });
    near(&series[1].values, &ratios, 1e-3);
    // And what the step itself then does.
    fast.gradient(&batches, &path("1011")).unwrap();
    fast.update(&RULE).unwrap();
    let after = fast.parameters().unwrap();
    let (mut update, mut weight) = (0.0, 0.0);
    for (b, a) in before.iter().zip(&after).filter(|(b, _)| b.name.starts_with("h.2.") && b.shape.len() == 2) {
        update += b.weight.iter().zip(&a.weight).map(|(b, a)| (f64::from(*b) - f64::from(*a)).powi(2)).sum::<f64>();
        weight += norm(&b.weight).powi(2);
    }
    near(&series[1].values[1..2], &[(update / weight).sqrt()], 1e-5);
}

#[test]
fn an_update_moves_what_the_step_itself_moves() {
    let (whole, inner) = (path("1111"), 2 * WIDTH);
    let parts = Parts { heads: vec![1], columns: vec![0..inner / 4, inner / 2..inner] };
    let cases = [
        (path("1011"), false, "1 3 4 outside"),
        (path("1011"), true, "1 2 3 4 outside"),
        (whole.clone().with_parts(vec![parts.clone(); LAYERS]), false, "1 2 3 4 outside"),
        (whole.clone().with_parts(vec![parts; LAYERS]), true, "1 2 3 4 outside"),
    ];
    for (next, zero_gradient_for_skipped, labels) in cases {
        let rule = UpdateRule { zero_gradient_for_skipped, ..RULE };
        let (mut fast, mut reference) = engines();
        let batches = [batch(6)];
        // A first step of everything, so that moments are there to move what isn't computed.
        for engine in [&mut fast as &mut dyn Engine, &mut reference] {
            engine.gradient(&[batch(7)], &whole).unwrap();
            engine.update(&rule).unwrap();
        }
        let untouched = fast.parameters().unwrap();
        let series = measure_with(&mut fast, What::Gradients, &batches, (&next, rule), &Subnetwork::new, &|| false);
        let update = series.unwrap().remove(1);
        assert_eq!(fast.parameters().unwrap(), untouched, "weights, moments and counts");
        assert_eq!(update.labels.join(" "), labels, "zero-grad: {zero_gradient_for_skipped}");
        let before = reference.parameters().unwrap();
        reference.gradient(&batches, &next).unwrap();
        reference.update(&rule).unwrap();
        let after = reference.parameters().unwrap();
        let ratios: Vec<f64> = update
            .labels
            .iter()
            .map(|label| {
                let is_its = |name: &str| match label.parse::<usize>() {
                    Ok(layer) => name.starts_with(&format!("h.{}.", layer - 1)),
                    Err(_) => !name.starts_with("h."),
                };
                let (mut moved, mut all) = (0.0, 0.0);
                for (b, a) in before.iter().zip(&after).filter(|(b, _)| is_its(&b.name) && b.shape.len() == 2) {
                    moved += b
                        .weight
                        .iter()
                        .zip(&a.weight)
                        .map(|(b, a)| (f64::from(*b) - f64::from(*a)).powi(2))
                        .sum::<f64>();
                    all += norm(&b.weight).powi(2);
                }
                (moved / all).sqrt()
            })
            .collect();
        assert!(ratios.iter().all(|ratio| *ratio > 1e-4), "{ratios:?}");
        near(&update.values, &ratios, 2e-3);
    }
}

#[test]
fn networks_with_factors_are_measured_with_them() {
    let (mut fast, mut reference) = engines();
    let batches = [batch(8)];
    // The full model's layers by a factor each, those of a path with one left out by another, as if it stood for two.
    let network = |path: LayerPath| {
        let factors = if path.is_full() { vec![1.0, 0.75, 0.5, 0.25] } else { vec![2.0; path.path_length()] };
        Subnetwork::new(path).with_factors(factors)
    };
    let measured =
        |fast: &mut Fast, what| measure_with(fast, what, &batches, (&path("1111"), RULE), &network, &|| false).unwrap();
    let with = |at: &str, factors: &[f32]| path(at).with_factors(factors.to_vec());
    let mut loss = |network: &Subnetwork| f64::from(reference.loss(&batches[0], network).unwrap());
    let full = with("1111", &[1.0, 0.75, 0.5, 0.25]);
    let l2 = loss(&full);
    let without = ["0111", "1011", "1101", "1110"].map(|at| loss(&with(at, &[2.0; 3])));
    let stability = measured(&mut fast, What::Stability);
    near(&stability[1].values, &without, 1e-4);
    let l1 = without.iter().sum::<f64>() / 4.0;
    near(&stability[2].values[..3], &[l1, l2, l1 - l2], 1e-3);
    let pruning = measured(&mut fast, What::Pruning);
    assert!(pruning.iter().all(|series| series.values[0] == stability[2].values[1]), "{pruning:?}");
    near(&pruning[2].values, &[l2, without[3], loss(&with("1100", &[2.0; 2])), loss(&with("1000", &[2.0]))], 1e-4);
    // The stream is the full model's at every depth.
    let mut rows = |at: &str, factors: &[f32]| {
        let rows = reference.outputs(&batches[0], &with(at, factors)).unwrap();
        rows.chunks(WIDTH).map(norm).sum::<f64>() / (rows.len() / WIDTH) as f64
    };
    let norms = [
        rows("0000", &[]),
        rows("1000", &[1.0]),
        rows("1100", &[1.0, 0.75]),
        rows("1110", &[1.0, 0.75, 0.5]),
        rows("1111", &[1.0, 0.75, 0.5, 0.25]),
    ];
    near(&measured(&mut fast, What::Norms)[0].values, &norms, 1e-4);
}

#[test]
fn whoever_cannot_wait_is_heard_in_every_measurement() {
    let (mut fast, _) = engines();
    for &(what, _, name, _) in WHATS.iter().filter(|row| row.0 != What::Coefficients) {
        assert_eq!(measure_or_not(&mut fast, what, &[batch(1)], &|| true), None, "{name}");
    }
}

// Through the program.

fn measured(events: &[Event]) -> Vec<&Measurement> {
    events.iter().filter_map(|e| if let Event::Measured(m) = e { Some(m) } else { None }).collect()
}

/// Every measurement by command.
fn script(place: &Place) -> String {
    let lines = ["curve", "stability", "norms", "gradients", "pruning"];
    let lines = lines.map(|what| format!("{{\"at_step\":5,\"command\":\"measure\",\"what\":\"{what}\"}}\n"));
    let more = "{\"at_step\":6,\"command\":\"measure\",\"what\":\"forecast\"}\n{\"at_step\":6,\"command\":\"next_stage\"}\n\
                {\"at_step\":9,\"command\":\"measure\",\"what\":\"coefficients\"}\n";
    place.write("measure.jsonl", &(lines.concat() + more))
}

#[test]
fn commands_measure_and_rerun_to_the_same_bits() {
    let place = Place::new();
    let script = script(&place);
    let output = place.output(&[TINY, "--headless", "--name", "a", "--commands", &script]);
    assert!(output.status.success(), "{}", stderr(&output));
    let events = place.events("a");
    let names: Vec<&str> = measured(&events).iter().map(|m| m.name.as_str()).collect();
    let expected = [
        "loss by path length",
        "psi by layer",
        "loss without each layer",
        "stability",
        "norm of the residual stream by depth",
        "gradient norm by layer",
        "update over weight by layer",
        "loss with layers dropped at random",
        "loss with evenly spaced layers dropped",
        "loss with the last layers dropped",
        "forecast: loss by path length",
    ];
    assert_eq!(names, expected);
    for m in measured(&events) {
        assert!(m.labels.len() == m.values.len() && (m.spreads.is_empty() || m.spreads.len() == m.values.len()));
        assert!(stdout(&output).contains(&m.name) && stderr(&output).contains(&m.line()), "{}", m.name);
    }
    // What makes no sense is refused in a sentence.
    let refused = events.iter().find_map(|e| match e {
        Event::Refused { command: Command::Measure { what }, reason, .. } => Some((*what, reason.clone())),
        _ => None,
    });
    let (what, reason) = refused.unwrap();
    assert!(what == What::Coefficients && reason.contains("polynomial"), "{reason}");
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
    // The weights are those of a run that made the same move and measured nothing.
    let moved = place.write("move.jsonl", "{\"at_step\":6,\"command\":\"next_stage\"}\n");
    assert_eq!(final_weights(&events), final_weights(&place.train("b", &["--commands", &moved])));
}

#[test]
fn a_forecast_is_what_the_transition_then_reports() {
    let place = Place::new();
    let script = script(&place);
    let events = place.train("a", &["--commands", &script]);
    let measured = measured(&events);
    let forecast = measured.iter().find(|m| m.name.starts_with("forecast")).unwrap();
    assert_eq!((forecast.labels.join(" ").as_str(), forecast.step), ("2 3 4", 6));
    let transition = events.iter().find_map(|e| if let Event::TransitionMeasured(t) = e { Some(t) } else { None });
    let t = transition.unwrap();
    assert_eq!((t.at, t.from, t.to), (6, 2, 3));
    let said = ["2", "3", "4"].map(|k| forecast.value(k).unwrap());
    assert_eq!(said, [t.before, t.entered, t.full.unwrap()[0]]);
}

#[test]
fn each_length_is_evaluated_under_its_own_stages_fixed_layers() {
    // Every path of a stage is fixed: 1001, then 1101, then the full model.
    let place = Place::new();
    let sets = [
        "stage=[{path_length=2,fixed=[1,-1]},{path_length=3,fixed=[1,2,-1]},{path_length=4,fixed=[]}]",
        "measure.batches=2",
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let ask = |step: u64, whats: &[&str], then: &str| {
        let asked = whats.iter().map(|w| format!("{{\"at_step\":{step},\"command\":\"measure\",\"what\":\"{w}\"}}\n"));
        asked.collect::<String>() + &format!("{{\"at_step\":{step},\"command\":\"{then}\"}}\n")
    };
    let all = ["curve", "stability", "forecast"];
    let script = ask(6, &all, "next_stage") + &ask(9, &all, "previous_stage");
    let script = place.write("s.jsonl", &script);
    let events = place.train("a", &[&sets[..], &["--commands", &script]].concat());
    let at = |step: u64, name: &str| {
        let is_it = |m: &&&Measurement| m.step == step && m.name == name;
        (*measured(&events).iter().find(is_it).unwrap()).clone()
    };
    let transition = |step: u64| {
        let of = |e: &Event| if let Event::TransitionMeasured(t) = e { Some(t.clone()) } else { None };
        events.iter().filter_map(of).find(|t| t.at == step).unwrap()
    };
    for (step, from, to) in [(6, 2, 3), (9, 3, 2)] {
        let (forecast, t) = (at(step, "forecast: loss by path length"), transition(step));
        assert_eq!((t.from, t.to), (from, to));
        let said = [from, to, 4].map(|k| forecast.value(&k.to_string()).unwrap());
        assert_eq!(said, [t.before, t.entered, t.full.unwrap()[0]], "before step {step}");
        assert_ne!(t.before, t.entered);
        // 1101 is the full model without layer 3.
        let three = at(step, "loss without each layer").value("3").unwrap();
        near(&[forecast.value("3").unwrap()], &[f64::from(three)], 1e-6);
    }
    // In the first stage 1001 is the curve's only path of length 2.
    assert_eq!(at(6, "loss by path length").value("2"), Some(transition(6).before));
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

const ALL: &str = "measure.what=[\"curve\",\"forecast\",\"stability\",\"norms\",\"gradients\",\"pruning\"]";

#[test]
fn measuring_at_every_step_changes_nothing() {
    let place = Place::new();
    let quiet = place.train("quiet", &[]);
    for (name, more) in [("busy", &[][..]), ("zero", &["--set", "optimizer.skipped=zero-grad"])] {
        let busy = place.train(name, &[&["--set", "measure.every=1", "--set", ALL][..], more].concat());
        // Eleven series before each of 24 steps; behind the last there is no gradient to come.
        assert_eq!(measured(&busy).len(), 24 * 11 + 9);
        if more.is_empty() {
            assert_eq!((curve(&busy), final_weights(&busy)), (curve(&quiet), final_weights(&quiet)));
        } else {
            assert_eq!(final_weights(&busy), final_weights(&place.train("zero-quiet", more)));
        }
    }
}

#[test]
fn a_growing_model_is_measured_as_far_as_it_exists() {
    let place = Place::new();
    let stacking = ["--set", "method.name=stacking"];
    let quiet = place.train("quiet", &stacking);
    let busy = place.train("busy", &[&stacking[..], &["--set", "measure.every=4", "--set", ALL]].concat());
    assert_eq!(final_weights(&busy), final_weights(&quiet));
    let norms: Vec<(u64, usize)> = measured(&busy)
        .iter()
        .filter(|m| m.name.starts_with("norm of the residual"))
        .map(|m| (m.step, m.labels.len() - 1))
        .collect();
    // Two layers, three from step 8 on, four from step 16 on.
    assert_eq!(norms, [(0, 2), (4, 2), (8, 3), (12, 3), (16, 4), (20, 4), (24, 4)]);
}

#[test]
fn a_cadence_and_transitions_are_measured_once_and_survive_a_stop() {
    let place = Place::new();
    let more = ["--set", "measure.every=10", "--set", "measure.transitions=true", "--set", ALL];
    let whole = place.train("whole", &more);
    let mut steps: Vec<u64> = measured(&whole).iter().map(|m| m.step).collect();
    steps.dedup();
    // Every ten steps, and before the first steps at lengths 3 and 4.
    assert_eq!(steps, [0, 8, 10, 16, 20]);
    for step in [8, 10, 20, 21] {
        let name = format!("stopped-{step}");
        let stop = place.write(&format!("{name}.jsonl"), &format!("{{\"at_step\":{step},\"command\":\"stop\"}}\n"));
        place.train(&name, &[&more[..], &["--commands", &stop]].concat());
        let output = place.output(&["--resume", &name, "--headless", "--quiet"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let events = place.events(&name);
        assert_eq!(measured(&events), measured(&whole), "stopped at {step}");
        assert_eq!(final_weights(&events), final_weights(&whole));
    }
}

#[test]
fn unknown_measurements_are_told_the_known_ones() {
    let place = Place::new();
    let commands = place.write("c.jsonl", "{\"command\":\"measure\",\"what\":\"guess\"}\n");
    for args in [
        &[TINY, "--headless", "--commands", commands.as_str()][..],
        &[TINY, "--headless", "--set", "measure.what=[\"guess\"]"],
        &[TINY, "--headless", "--set", "measure.what=[\"coefficients\"]"],
    ] {
        let output = place.output(args);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        let is_named = message.contains("guess") && message.contains("stability") && message.contains("pruning");
        assert!(is_named || message.contains("measure.what"), "{message}");
    }
    assert!(!place.path().join("runs").exists());
}
