//! Every method through the program: it trains to its end, and keeps the three promises; and what models that grow tell
//! about a full model they don't have yet.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Place, TINY, curve, final_weights, stderr, stdout};
use raptr_tui::event::{Command, Event, Transition};
use raptr_tui::method::METHODS;

/// The tiny config under every method, and settings that change what it does.
const CASES: &[&[&str]] = &[
    &["method.name=raptr", "method.scaling=sqrt"],
    &["method.name=raptr", "method.scaling=inverse-p", "method.sampling=bernoulli"],
    &["method.name=raptr", "method.initial_full=4"],
    &["method.name=raptr", "method.axis=width"],
    &["method.name=raptr", "method.axis=width", "method.shared=true", "optimizer.skipped=zero-grad"],
    &["method.name=full", "stage=[]"],
    &["method.name=stacking"],
    &["method.name=stacking", "optimizer.rewarmup=3", "method.moments=reset"],
    &["method.name=stacking", "method.growth=progressive", "method.moments=reset-all", "stage=[]"],
    &["method.name=midas", "method.block=1", "stage=[]"],
    &["method.name=pld", "stage=[]"],
    &["method.name=layerdrop", "method.drop=0.5", "stage=[]"],
    &["method.name=stochastic-depth", "stage=[]"],
    &["method.name=constant", "method.path_length=2.5"],
    &["method.name=decreasing"],
];

fn sets<'a>(case: &[&'a str]) -> Vec<&'a str> {
    case.iter().flat_map(|set| ["--set", set]).collect()
}

/// Layers, growths and expectations along with the curve: nothing that shapes a run may differ.
fn everything(events: &[Event]) -> (Vec<Event>, Vec<Event>, String) {
    let shapes =
        |e: &&Event| matches!(e, Event::Grown { .. } | Event::ExpectationChanged { .. } | Event::PartsDrawn { .. });
    (curve(events), events.iter().filter(shapes).cloned().collect(), final_weights(events))
}

#[test]
fn every_method_keeps_the_three_promises() {
    for method in METHODS {
        let is_there = CASES.iter().any(|case| case[0] == format!("method.name={}", method.name()));
        assert!(is_there, "{} is not tested", method.name());
    }
    for (index, case) in CASES.iter().enumerate() {
        let place = Place::new();
        let whole = place.train("whole", &[&sets(case)[..], &["--set", "train.threads=1"]].concat());
        let two = place.train("two", &[&sets(case)[..], &["--set", "train.threads=2"]].concat());
        assert_eq!(everything(&whole), everything(&two), "{case:?}: threads");
        let rerun = place.output(&["rerun", "whole", "--headless", "--quiet"]);
        assert!(stdout(&rerun).contains("identical"), "{case:?}: {}{}", stdout(&rerun), stderr(&rerun));
        // Before a boundary, at one, and behind it.
        let at = [7, 8, 9, 16][index % 4];
        let script = place.write("stop.jsonl", &format!("{{\"at_step\":{at},\"command\":\"stop\"}}\n"));
        let args =
            [&[TINY, "--headless", "--quiet", "--name", "cut"][..], &sets(case), &["--commands", &script]].concat();
        assert!(place.output(&args).status.success(), "{case:?}");
        let output = place.output(&["--resume", "cut", "--headless", "--quiet"]);
        assert!(output.status.success(), "{case:?}: {}", stderr(&output));
        assert_eq!(everything(&whole), everything(&place.events("cut")), "{case:?}: stopped before step {at}");
    }
}

fn grown(events: &[Event]) -> Vec<(u64, usize, usize)> {
    let of = |e: &Event| if let Event::Grown { step, from, to, .. } = e { Some((*step, *from, *to)) } else { None };
    events.iter().filter_map(of).collect()
}

#[test]
fn a_model_that_grows_has_no_full_model_before_its_last_stage() {
    let place = Place::new();
    let script = r#"{"at_step":3,"command":"evaluate"}
{"at_step":4,"command":"evaluate_curve"}
{"at_step":4,"command":"set_path_length","stage":0,"path_length":3}
{"at_step":4,"command":"set_path_length","stage":1,"path_length":4}
{"at_step":9,"command":"previous_stage"}
{"at_step":20,"command":"evaluate"}
"#;
    let script = place.write("s.jsonl", script);
    let events = place.train("a", &["--set", "method.name=stacking", "--commands", &script]);
    assert_eq!(grown(&events), [(0, 0, 2), (8, 2, 4)]);
    let mut existing = 0;
    for event in &events {
        match event {
            Event::Grown { to, .. } => existing = *to,
            Event::Stepped { path, .. } => assert_eq!(path.to_string(), ["", "", "1100", "1110", "1111"][existing]),
            Event::Evaluated { scores, step, .. } => {
                assert!(scores.iter().all(|s| s.path_length <= existing.max(2)), "step {step}: {scores:?}");
            }
            Event::TransitionMeasured(Transition { full, from: 2, to: 4, .. }) => assert_eq!(*full, None),
            _ => {}
        }
    }
    let asked: Vec<usize> = events
        .iter()
        .filter_map(|e| match e {
            Event::Evaluated { step: 3 | 20, scores, .. } => Some(scores.last().unwrap().path_length),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [2, 4], "what exists, and no more");
    let refused: Vec<_> = events
        .iter()
        .filter_map(|e| if let Event::Refused { command, reason, .. } = e { Some((*command, reason)) } else { None })
        .collect();
    assert!(matches!(refused[0], (Command::SetPathLength { stage: 0, .. }, why) if why.contains("exist")));
    assert!(matches!(refused[1], (Command::PreviousStage, why) if why.contains("can't shrink")));
    assert_eq!(refused.len(), 2);
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

#[test]
fn stages_that_are_passed_over_grow_all_the_same() {
    let place = Place::new();
    let script = "{\"at_step\":5,\"command\":\"next_stage\"}\n{\"at_step\":5,\"command\":\"next_stage\"}\n";
    let script = place.write("s.jsonl", script);
    let events = place.train("a", &["--set", "method.name=stacking", "--commands", &script]);
    assert_eq!(grown(&events), [(0, 0, 2), (5, 2, 3), (5, 3, 4)]);
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

#[test]
fn a_grown_model_computes_with_copies() {
    // The last checkpoint before the growth against the weights behind it, without a step in between.
    let place = Place::new();
    let common = ["--set", "method.name=stacking", "--set", "checkpoint.every=0"];
    let stop = |step: u64| {
        format!("{{\"at_step\":{step},\"command\":\"save\"}}\n{{\"at_step\":{step},\"command\":\"stop\"}}\n")
    };
    let script = place.write("s.jsonl", &stop(8));
    let args = [&[TINY, "--headless", "--quiet", "--name", "a"][..], &common, &["--commands", &script]].concat();
    assert!(place.output(&args).status.success());
    let before = raptr_tui::trainer::checkpoint::newest(&place.run("a")).unwrap().snapshot;
    assert_eq!(before.state.existing, Some(2));
    let weight =
        |p: &[raptr_tui::model::Parameter], name: &str| p.iter().find(|p| p.name == name).unwrap().weight.clone();
    // Layer 3 is untrained until it is made: its parameters have had no update.
    let updates = |p: &[raptr_tui::model::Parameter], name: &str| p.iter().find(|p| p.name == name).unwrap().updates;
    let parameters = &before.parameters;
    assert_eq!((updates(parameters, "h.1.mlp.up.weight"), updates(parameters, "h.2.mlp.up.weight")), (8, 0));
    // One more step with a learning rate of nearly nothing: layer 3 is layer 2 as it was.
    let script = place.write("t.jsonl", "{\"at_step\":8,\"command\":\"set_learning_rate_scale\",\"scale\":1e-30}\n{\"at_step\":9,\"command\":\"stop\"}\n");
    let output = place.output(&["--resume", "a", "--headless", "--quiet", "--commands", &script]);
    assert!(output.status.success(), "{}", stderr(&output));
    let after = raptr_tui::trainer::checkpoint::newest(&place.run("a")).unwrap().snapshot;
    assert_eq!(after.state.existing, Some(3));
    for name in ["attn.qkv.weight", "mlp.down.bias", "ln_1.weight"] {
        let (copy, source) = (format!("h.2.{name}"), format!("h.1.{name}"));
        assert_eq!(weight(&after.parameters, &copy), weight(parameters, &source), "{name}");
    }
    assert_eq!(updates(&after.parameters, "h.2.mlp.up.weight"), 9, "the count goes with the moments");
}

#[test]
fn every_method_measures_the_full_model_that_it_evaluates() {
    let script = "{\"at_step\":20,\"command\":\"evaluate\"}\n{\"at_step\":20,\"command\":\"measure\",\"what\":\"stability\"}\n\
                  {\"at_step\":20,\"command\":\"measure\",\"what\":\"pruning\"}\n{\"at_step\":20,\"command\":\"stop\"}\n";
    for case in CASES {
        let place = Place::new();
        let script = place.write("s.jsonl", script);
        let events =
            place.train("a", &[&sets(case)[..], &["--set", "measure.batches=2", "--commands", &script]].concat());
        let evaluated = events.iter().find_map(|e| match e {
            Event::Evaluated { step: 20, scores, .. } => scores.iter().find(|s| s.path_length == 4).map(|s| s.loss),
            _ => None,
        });
        let value = |name: &str, label: &str| {
            let of =
                |e: &Event| if let Event::Measured(m) = e { (m.name == name).then(|| m.value(label))? } else { None };
            events.iter().find_map(of).unwrap_or_else(|| panic!("{case:?}: no {name}"))
        };
        let full = evaluated.unwrap();
        assert_eq!(value("loss with the last layers dropped", "0"), full, "{case:?}");
        // Summed in another order.
        assert!((value("stability", "L2") - full).abs() < 1e-6 * full, "{case:?}");
    }
}
