//! Every objective through the program: it trains, learns, resumes and trains again to the same bits, by both engines; and
//! its special tokens reach the files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use common::{Place, TINY, curve, final_weights, stderr, stdout};
use raptr_tui::config::Architecture;
use raptr_tui::event::{Event, Why};
use raptr_tui::objective::OBJECTIVES;

/// The settings for an objective in the tiny config.
fn settings(name: &str, architecture: Architecture) -> Vec<String> {
    let architecture = if architecture == Architecture::Encoder { "encoder" } else { "decoder" };
    let mut set = vec![format!("objective.name={name}"), format!("model.architecture={architecture}")];
    if name == "span" {
        // Of 16 positions two are hidden.
        set.push("objective.mean_span=2".to_owned());
    }
    set.into_iter().flat_map(|s| ["--set".to_owned(), s]).collect()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn evaluations(events: &[Event]) -> Vec<f32> {
    let loss = |e: &Event| match e {
        Event::Evaluated { why: Why::Cadence | Why::Final, scores, .. } => Some(scores.last().unwrap().loss),
        _ => None,
    };
    events.iter().filter_map(loss).collect()
}

#[test]
fn each_trains_and_trains_again_to_the_same_bits() {
    let place = Place::new();
    // The one that predicts no tokens has tests of its own (tests/polynomial.rs).
    for objective in OBJECTIVES.iter().filter(|o| o.architecture() != Architecture::Mlp) {
        let name = objective.name();
        let set = settings(name, objective.architecture());
        let events = place.train(name, &strs(&set));
        let losses = evaluations(&events);
        assert!(losses.last().unwrap() < &(losses[0] - 0.05), "{name}: {losses:?}");
        let rerun = place.output(&["rerun", name, "--headless"]);
        assert!(rerun.status.success(), "{name}: {}", stderr(&rerun));
        let again = place.train(&format!("{name}-again"), &[strs(&set), vec!["--set", "train.threads=1"]].concat());
        assert_eq!((curve(&events), final_weights(&events)), (curve(&again), final_weights(&again)), "{name}");
        // The floor is known where the text's own order is predicted.
        let Event::Started(started) = &events[0] else { panic!("{name} did not start") };
        assert_eq!(started.floor.is_some(), matches!(name, "causal" | "prefix"), "{name}");
        assert!(started.floor.is_none_or(|floor| floor > 0.1 && floor < losses[0]), "{name}");
    }
}

#[test]
fn both_engines_train_the_same_run() {
    let place = Place::new();
    for name in ["prefix", "span", "ul2"] {
        let set = settings(name, Architecture::Decoder);
        let fast = evaluations(&place.train(&format!("{name}-fast"), &strs(&set)));
        let reference = [strs(&set), vec!["--set", "train.engine=reference"]].concat();
        let reference = evaluations(&place.train(&format!("{name}-reference"), &reference));
        assert_eq!(fast.len(), reference.len());
        for (a, b) in fast.iter().zip(&reference) {
            assert!((a - b).abs() < 2e-3 * b, "{name}: {fast:?} {reference:?}");
        }
    }
}

#[test]
fn special_tokens_are_in_the_runs_files_with_every_tokenizer() {
    let place = Place::new();
    let sentence = |i: usize| format!("The whale number {i} swam past the old ship {} times.\n\n", i * 13 % 17);
    place.write("text/a.txt", &(0..300).map(sentence).collect::<String>());
    let set = settings("ul2", Architecture::Decoder);
    let text = |tokenizer: &'static str| vec!["--data", "text", "--set", tokenizer, "--set", "data.vocabulary=300"];
    // T = 16, X (3, .5): a mode, 11 words of which 6 stand in 2 spans, 5 sentinels: 17 tokens. So 3 sentinels.
    let names = ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>", "[R]", "[S]", "[X]"];
    for (name, more) in [
        ("stories", vec![]),
        ("bytes", text("data.tokenizer=bytes")),
        ("bpe", text("data.tokenizer=bpe")),
        ("wordpiece", text("data.tokenizer=wordpiece")),
        ("file", text("data.tokenizer=runs/wordpiece/tokenizer.json")),
    ] {
        let events = place.train(name, &[strs(&set), more].concat());
        assert!(evaluations(&events).last().unwrap() < &evaluations(&events)[0], "{name}");
        let out = place.path().join("hf").join(name);
        let export = place.output(&["export", name, "--format", "hf", "--out", out.to_str().unwrap()]);
        assert!(export.status.success(), "{}", stderr(&export));
        let told = stdout(&export) + &stderr(&export);
        assert!(told.contains("prefix"), "{name}: what is no plain GPT-2 is said: {told}");
        let json =
            |file: &str| -> serde_json::Value { serde_json::from_slice(&fs::read(out.join(file)).unwrap()).unwrap() };
        assert_eq!(json("config.json")["prefix_attention"], true);
        if name == "bytes" {
            assert_eq!(json("config.json")["vocab_size"], 258 + 6);
            continue;
        }
        let size = json("config.json")["vocab_size"].as_u64().unwrap();
        let tokenizer = json("tokenizer.json");
        let added = tokenizer["added_tokens"].as_array().unwrap();
        let last: Vec<_> = added[added.len() - 6..]
            .iter()
            .map(|t| (t["content"].as_str().unwrap(), t["id"].as_u64().unwrap(), t["special"].as_bool().unwrap()))
            .collect();
        let expected: Vec<_> = names.iter().enumerate().map(|(i, n)| (*n, size - 6 + i as u64, true)).collect();
        assert_eq!(last, expected, "{name}");
    }
    // A tokenizer that has them already gets no second set.
    let sizes =
        ["wordpiece", "file"].map(|n| fs::read_to_string(place.path().join("hf").join(n).join("config.json")).unwrap());
    assert_eq!(sizes[0], sizes[1]);
}

#[test]
fn what_does_not_fit_is_refused_with_its_key() {
    let place = Place::new();
    for (sets, expected) in [
        (&["objective.name=ul2", "model.context=4"][..], &["model.context", "at least 5"][..]),
        (&["objective.name=span", "objective.mean_span=30"], &["objective.mean_span", "at most 2", "model.context"]),
        (&["objective.name=span", "model.architecture=encoder"], &["objective.name", "model.architecture"]),
        (&["objective.name=prefix", "objective.predicted_share=0.9"], &["objective.predicted_share", "0.5"]),
        (&["objective.name=ul2", "objective.mixture=[1,2]"], &["mixture"]),
    ] {
        let mut args = vec![TINY, "--headless"];
        sets.iter().for_each(|s| args.extend(["--set", s]));
        let output = place.output(&args);
        assert_eq!(output.status.code(), Some(2), "{sets:?}");
        expected.iter().for_each(|part| assert!(stderr(&output).contains(part), "{sets:?}: {}", stderr(&output)));
    }
}
