//! Forks through the program: where they begin, what may change, and the promises of every run, which hold for them too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use common::{Place, curve, final_weights, stderr, stdout};
use raptr_tui::event::{Event, Forked};
use raptr_tui::trainer::checkpoint;

fn fork(place: &Place, spec: &str, name: &str, more: &[&str]) -> Vec<Event> {
    let args = [&["--fork", spec, "--headless", "--quiet", "--name", name][..], more].concat();
    let output = place.output(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    place.events(name)
}

fn refused(place: &Place, args: &[&str], code: i32, expected: &[&str]) {
    let output = place.output(&[args, &["--headless"]].concat());
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    assert!(expected.iter().all(|part| message.contains(part)), "{args:?}: {message}");
}

fn reruns(place: &Place, name: &str) {
    let rerun = place.output(&["rerun", name, "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

fn forked(events: &[Event]) -> Forked {
    let found = events.iter().rev().find_map(|e| if let Event::Forked(f) = e { Some(f.clone()) } else { None });
    found.expect("a fork")
}

fn checkpoints(place: &Place, name: &str) -> Vec<String> {
    let all = checkpoint::list(&place.run(name)).unwrap();
    all.into_iter().map(|c| c.file.replace("checkpoints/step-000000", "")).collect()
}

fn saved(events: &[Event], end: &str) -> String {
    let found = events.iter().find_map(|e| match e {
        Event::Saved { file, weights, .. } if file.ends_with(end) => Some(weights.clone()),
        _ => None,
    });
    found.expect("a checkpoint of that name")
}

#[test]
fn checkpoints_of_stages_are_kept_beside_the_newest_and_the_best() {
    let place = Place::new();
    let sets = ["--set", "checkpoint.every=2", "--set", "checkpoint.keep=1", "--set", "evaluation.every=0"];
    let whole = place.train("a", &sets);
    assert_eq!(checkpoints(&place, "a"), ["08-stage-2", "16-stage-3", "24"]);
    // At steps 8 and 16 the cadence's was due as well: one is enough.
    let files: Vec<&String> =
        whole.iter().filter_map(|e| if let Event::Saved { file, .. } = e { Some(file) } else { None }).collect();
    assert!(files.len() == 12 && !files.iter().any(|f| f.ends_with("00000008")), "{files:?}");
    let none = place.train("b", &[&sets[..], &["--set", "checkpoint.stages=false"]].concat());
    assert_eq!(checkpoints(&place, "b"), ["24"]);
    assert_eq!((curve(&none), final_weights(&none)), (curve(&whole), final_weights(&whole)));
    // A stage that a person begins is one, too.
    let script = place.write("c.jsonl", "{\"at_step\":5,\"command\":\"next_stage\"}\n");
    place.train("c", &["--commands", &script]);
    assert!(checkpoints(&place, "c").contains(&"05-stage-2".to_owned()));
    reruns(&place, "c");
}

#[test]
fn a_fork_without_changes_ends_with_the_parents_bits() {
    let place = Place::new();
    let parent = place.train("a", &[]);
    for (spec, name, step) in [("a:stage-2", "b", 8), ("a:20", "c", 20), ("a:stage-3", "d", 16)] {
        let events = fork(&place, spec, name, &[]);
        assert_eq!((curve(&events), final_weights(&events)), (curve(&parent), final_weights(&parent)), "{spec}");
        let forked = forked(&events);
        assert_eq!((forked.parent.as_str(), forked.step, forked.changes.len()), ("a", step, 0));
        let numbers: Vec<u64> = place.stamped(name).iter().map(|s| s.seq).collect();
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
        assert!(place.stamped(name).windows(2).all(|w| w[0].us <= w[1].us), "time goes on behind the parent's");
        reruns(&place, name);
    }
}

#[test]
fn a_fork_begins_with_the_parents_weights_and_goes_on_its_own_way() {
    let place = Place::new();
    let parent = place.train("a", &[]);
    let other = ["--set", "stage=[{path_length=2,steps=8},{path_length=4}]"];
    let whole = fork(&place, "a:stage-2", "b", &other);
    let begun = forked(&whole);
    assert_eq!(begun.weights, saved(&parent, "-stage-2"), "the same weights");
    assert_eq!((begun.step, begun.changes.as_slice()), (8, &["stage: 2-3-4 -> 2 (8 steps)-4".to_owned()][..]));
    assert!(whole.iter().any(|e| matches!(e, Event::StageEntered { step: 8, path_length: 4, .. })));
    let lengths = |events: &[Event]| -> Vec<usize> {
        let length = |e: &Event| if let Event::Stepped { path, .. } = e { Some(path.path_length()) } else { None };
        events.iter().filter_map(length).collect()
    };
    assert_eq!(lengths(&whole), [vec![2; 8], vec![4; 16]].concat());
    assert_ne!(final_weights(&whole), final_weights(&parent));
    // Its first 8 steps are the parent's.
    let steps =
        |events: &[Event]| events.iter().filter(|e| matches!(e, Event::Stepped { .. })).take(8).cloned().collect();
    let (a, b): (Vec<Event>, Vec<Event>) = (steps(&parent), steps(&whole));
    assert_eq!(a, b);
    reruns(&place, "b");
    // Stopped and resumed it is the same: at once (from what it began with), and later on.
    for step in [8, 13] {
        let name = format!("stopped-{step}");
        let script = place.write("stop.jsonl", &format!("{{\"at_step\":{step},\"command\":\"stop\"}}\n"));
        fork(&place, "a:stage-2", &name, &[&other[..], &["--commands", &script]].concat());
        if step == 8 {
            // As if it had been killed: only the checkpoint that it began with is left.
            fs::remove_dir_all(place.run(&name).join("checkpoints/step-00000008")).unwrap();
        }
        let output = place.output(&["--resume", &name, "--headless", "--quiet"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let events = place.events(&name);
        assert_eq!((curve(&events), final_weights(&events)), (curve(&whole), final_weights(&whole)));
        assert_eq!(forked(&events), begun);
        reruns(&place, &name);
    }
}

#[test]
fn a_fork_needs_its_parent_no_more_and_may_be_forked() {
    let place = Place::new();
    place.train("a", &[]);
    fork(&place, "a:stage-2", "b", &["--set", "optimizer.learning_rate=5e-3"]);
    let events = fork(&place, "b:stage-3", "c", &["--set", "train.steps=30"]);
    assert_eq!(events.iter().filter(|e| matches!(e, Event::Forked(_))).count(), 2);
    assert_eq!(forked(&events).parent, "b");
    fs::remove_dir_all(place.run("a")).unwrap();
    fs::remove_dir_all(place.run("b")).unwrap();
    reruns(&place, "c");
    let rerun = place.output(&["rerun", "c", "--headless", "--quiet"]);
    assert!(stdout(&rerun).contains("(14 steps)"), "from the fork on: {}", stdout(&rerun));
    fs::remove_dir_all(place.run("c").join("checkpoints/step-00000016-fork")).unwrap();
    refused(&place, &["rerun", "c"], 4, &["fork of b at step 16", "no longer lies beside it"]);
}

#[test]
fn a_model_that_grows_is_forked_before_it_grows() {
    let place = Place::new();
    let parent = place.train("a", &["--set", "method.name=stacking"]);
    let events = fork(&place, "a:stage-2", "same", &[]);
    assert_eq!((curve(&events), final_weights(&events)), (curve(&parent), final_weights(&parent)));
    reruns(&place, "same");
    let stages = "stage=[{path_length=2,steps=8},{path_length=4}]";
    let events = fork(&place, "a:stage-2", "other", &["--set", stages]);
    assert!(events.iter().any(|e| matches!(e, Event::Grown { step: 8, from: 2, to: 4, .. })), "at once to all");
    reruns(&place, "other");
    refused(
        &place,
        &["--fork", "a:stage-2", "--set", "method.name=raptr"],
        2,
        &["method.name", "wants 4 layers", "has 2"],
    );
}

#[test]
fn what_cannot_be_forked_is_said_in_a_sentence_and_leaves_nothing() {
    let place = Place::new();
    place.train("a", &[]);
    let fork = |spec: &'static str, set: &'static str| vec!["--fork", spec, "--set", set];
    refused(&place, &fork("a:8", "model.width=32"), 2, &["`model.width` can't change in a fork", "the parent's"]);
    refused(&place, &fork("a:8", "seed=4"), 2, &["`seed` can't change"]);
    refused(&place, &fork("a:8", "train.stepz=4"), 2, &["stepz"]);
    refused(&place, &fork("a:16", "train.steps=12"), 2, &["`train.steps` must be more than the 16"]);
    refused(&place, &["--fork", "a"], 2, &["`train.steps` must be more than the 24"]);
    refused(&place, &["--fork", "a:9"], 1, &["has no checkpoint `9`", "8 (stage-2)"]);
    refused(&place, &["--fork", "b"], 1, &["no run `b`", "known: a"]);
    refused(&place, &["--fork", "a", "--resume", "a"], 2, &["cannot be used with"]);
    let torn = place.run("a").join("checkpoints/step-00000008-stage-2/model.safetensors");
    fs::write(torn, "torn").unwrap();
    refused(&place, &["--fork", "a:8"], 4, &["step-00000008-stage-2", "damaged"]);
    assert_eq!(fs::read_dir(place.path().join("runs")).unwrap().count(), 1, "no run was begun");
}
