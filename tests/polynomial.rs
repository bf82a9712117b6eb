//! The polynomial objective through the program: the same trainer, promises and outputs as text has.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Place, curve, final_weights, stderr, stdout};
use raptr_tui::event::{Event, Measurement, Why};

/// Milliseconds per run.
const SMALL: &str = "
[model]
architecture = \"mlp\"
layers = 4
width = 16
context = 8
init_std = 0.25
[objective]
name = \"polynomial\"
degrees = 2
monomials = 5
[train]
steps = 60
batch = 64
[optimizer]
learning_rate = 5e-3
warmup = 5
[evaluation]
every = 20
batches = 2
transition_batches = 1
transition_window = 4
[checkpoint]
every = 20
[[stage]]
path_length = 2
[[stage]]
path_length = 4
";

fn train(place: &Place, name: &str, more: &[&str]) -> Vec<Event> {
    let config = place.write("small.toml", SMALL);
    let args = [&[config.as_str(), "--headless", "--quiet", "--name", name], more].concat();
    let output = place.output(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    place.events(name)
}

fn measured(events: &[Event]) -> Vec<Measurement> {
    events.iter().filter_map(|e| if let Event::Measured(m) = e { Some(m.clone()) } else { None }).collect()
}

#[test]
fn it_learns_and_each_evaluation_is_followed_by_the_error_of_each_degree() {
    let place = Place::new();
    let events = train(&place, "a", &["--set", "train.steps=400", "--set", "checkpoint.every=0"]);
    let Event::Started(started) = &events[0] else { panic!("no start") };
    assert_eq!((started.loss_unit.as_str(), started.items.as_str()), ("mean squared error", "points"));
    assert_eq!((started.tokens_per_step, started.floor), (64, None));
    let full: Vec<f32> = events
        .iter()
        .filter_map(|e| match e {
            Event::Evaluated { why: Why::Cadence | Why::Final, scores, .. } => Some(scores.last().unwrap().loss),
            _ => None,
        })
        .collect();
    assert!(full[0] > 0.8 && *full.last().unwrap() < 0.2, "{full:?}");
    let measured = measured(&events);
    // 10 evaluations in stage 1 at two lengths, 11 in stage 2 at one.
    assert_eq!(measured.len(), 10 * 2 + 11);
    let (first, last) = (&measured[1], measured.last().unwrap());
    assert_eq!((first.path_length, last.path_length, last.step), (4, 4, 400));
    assert_eq!(last.labels, ["1", "2"]);
    assert!(last.values.iter().zip(&first.values).all(|(l, f)| *l < 0.3 * f), "{first:?} {last:?}");
}

#[test]
fn resume_rerun_and_threads_change_nothing() {
    let place = Place::new();
    let whole = train(&place, "whole", &["--set", "train.threads=1"]);
    let all = |events: &[Event]| (curve(events), measured(events), final_weights(events));
    assert_eq!(all(&whole), all(&train(&place, "two", &["--set", "train.threads=2"])));
    let script = place.write("stop.jsonl", "{\"at_step\":27,\"command\":\"stop\"}\n");
    train(&place, "cut", &["--commands", &script]);
    let output = place.output(&["--resume", "cut", "--headless", "--quiet"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(all(&whole), all(&place.events("cut")));
    let output = place.output(&["rerun", "cut", "--headless"]);
    assert!(output.status.success(), "{} {}", stdout(&output), stderr(&output));
}

#[test]
fn the_reference_engine_trains_the_same_run() {
    let place = Place::new();
    let fast = measured(&train(&place, "fast", &["--set", "train.steps=8"]));
    let reference = ["--set", "train.steps=8", "--set", "train.engine=reference"];
    let reference = measured(&train(&place, "reference", &reference));
    assert_eq!(fast.len(), reference.len());
    for (a, b) in fast.iter().zip(&reference) {
        assert!(a.values.iter().zip(&b.values).all(|(a, b)| (a - b).abs() < 1e-3), "{a:?} {b:?}");
    }
}

#[test]
fn people_are_told_in_the_right_units() {
    let place = Place::new();
    let config = place.write("small.toml", SMALL);
    let output = place.output(&[&config, "--headless", "--name", "a"]);
    let text = stderr(&output);
    assert!(text.contains("points/s") && text.contains("coefficient error by degree 4/4  1: "), "{text}");
    assert!(text.contains("points of {-1,+1}^8, 10 monomials of degrees 1 to 2"), "{text}");
    assert!(!text.contains("token"), "{text}");
    let plan = stdout(&place.output(&["plan", &config]));
    assert!(plan.contains("points       3.84 k (64 per step, 60 steps)"), "{plan}");
    // A layer: 2 r C^2 weights, rC + C biases, gain and shift.
    assert!(plan.contains(&format!("({} per layer)", "2.16 k")), "{plan}");
    let output = place.output(&["export", "a", "--format", "hf", "--out", "x"]);
    assert!(stderr(&output).contains("no Hugging Face model has this shape"), "{}", stderr(&output));
}

#[test]
fn a_model_or_text_that_does_not_fit_is_refused() {
    let place = Place::new();
    let config = place.write("small.toml", SMALL);
    for (set, expected) in [
        ("objective.name=causal", "needs model.architecture = \"decoder\""),
        ("model.architecture=encoder", "needs model.architecture = \"mlp\""),
        ("objective.degrees=9", "objective.degrees"),
        ("data.source=text", "drawn, not read"),
    ] {
        let output = place.output(&[&config, "--headless", "--set", set]);
        assert_eq!(output.status.code(), Some(2), "{set}");
        assert!(stderr(&output).contains(expected), "{set}: {}", stderr(&output));
    }
}
