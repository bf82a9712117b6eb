//! What `plan` says of a GPU's memory against what the engine allocates, and what is said when it isn't there.

use std::sync::atomic::Ordering;

use raptr_tui::config::{Precision, RunConfig};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::model::Engine;
use raptr_tui::model::gpu::{Gpu, memory, shape};
use raptr_tui::objective::{Batch, NO_TARGET};

use crate::has_compiler;
use crate::host::Host;

const VOCABULARY: usize = 300;

fn config(name: &str, changes: &[&str]) -> RunConfig {
    let set: Vec<String> = changes.iter().chain(&["data.path=\"x\""]).map(|c| (*c).to_owned()).collect();
    raptr_tui::config::load::load(name, &set).unwrap()
}

fn batch(c: &RunConfig, is_masked: bool) -> Batch {
    let (b, t) = (c.train.batch, c.model.context);
    let inputs = (0..b * t).map(|i| (i * 7 % VOCABULARY) as u32).collect();
    let targets =
        (0..b * t).map(|i| if is_masked && i % 20 >= 3 { NO_TARGET } else { (i % VOCABULARY) as i32 }).collect();
    Batch { sequences: b, context: t, inputs, targets, ..Batch::default() }
}

/// Bytes after a training step, and in a message where there isn't room.
fn step(c: &RunConfig, limit: u64, is_masked: bool) -> (u64, Result<f32, String>) {
    let host = Host::new(shape(&c.model, c.train.precision)).with_limit(limit);
    let heap = host.heap.clone();
    let done = Gpu::new(Box::new(host), &c.model, VOCABULARY, 1, c.train.precision).and_then(|gpu| {
        let mut gpu = if c.train.deterministic { gpu } else { gpu.loose() };
        let batch = batch(c, is_masked);
        gpu.gradient(&[batch], &LayerPath::full(c.model.layers).into())
    });
    (heap.most.load(Ordering::Relaxed), done.map_err(|e| format!("{e:#}")))
}

const SMALL: [&str; 8] = [
    "model.layers=3",
    "model.width=32",
    "model.heads=2",
    "model.context=24",
    "train.batch=6",
    "train.precision=\"bf16\"",
    "stage=[]",
    "method.name=\"full\"",
];

#[test]
fn the_plan_is_what_the_engine_allocates() {
    if !has_compiler() {
        return;
    }
    for (name, is_masked) in [("gpt-small", false), ("bert-small", true)] {
        for (precision, deterministic) in
            [(Precision::Bf16, true), (Precision::F32, true), (Precision::Bf16, false), (Precision::F32, false)]
        {
            let mut c = config(name, &SMALL);
            (c.train.precision, c.train.deterministic) = (precision, deterministic);
            let planned = memory::bytes(&c, VOCABULARY, c.model.layers);
            let (used, done) = step(&c, u64::MAX, is_masked);
            done.unwrap();
            let ratio = (planned.state + planned.step) as f64 / used as f64;
            assert!(
                (0.97..1.03).contains(&ratio),
                "{name} {precision:?} {deterministic}: planned {planned:?}, used {used}"
            );
        }
    }
}

#[test]
fn too_little_memory_is_told_with_what_would_fit() {
    if !has_compiler() {
        return;
    }
    let c = config("gpt-small", &SMALL);
    let mut half = c.clone();
    half.train.batch = 3;
    let planned = memory::bytes(&half, VOCABULARY, 3);
    // Room for three of the six sequences, and a little more.
    let (_, done) = step(&c, planned.state + planned.step + 2000, false);
    let error = done.unwrap_err();
    for part in [
        "train.batch = 6 sequences of 24 positions",
        "3 active layers",
        "in bf16",
        "train.batch = 3 would fit",
        "train.accumulate = 2",
        "GiB are needed",
        "host",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // And it does fit.
    step(&half, planned.state + planned.step + 2000, false).1.unwrap();
    let (_, done) = step(&c, planned.state + 4096, false);
    let error = done.unwrap_err();
    assert!(error.contains("not even one sequence would fit"), "{error}");
    let (_, done) = step(&c, 1 << 16, false);
    let error = done.unwrap_err();
    assert!(error.contains("the weights and their moments") && error.contains("free"), "{error}");
}
