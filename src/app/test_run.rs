//! Runs for the tests of what is derived from them: made of events, as every run is.

use super::run::Run;
use crate::event::{Event, FORMAT, Stamped, Started};
use crate::layer_path::LayerPath;
use crate::schedule::{Schedule, Stage};

/// A run of so many layers, before its first step: 10 FLOPs a layer and 20 beside, 8 tokens a step.
pub fn run(layers: usize, rows: &[(u64, usize)]) -> Run {
    let fixed = LayerPath::from_layers(layers, [0]);
    let schedule = Schedule { layers, stages: rows.iter().map(|&(n, k)| Stage::new(n, k, fixed)).collect() };
    let mut run = Run::default();
    let started = Started {
        format: FORMAT,
        version: String::new(),
        run: "run".to_owned(),
        method: "raptr".to_owned(),
        objective: "causal".to_owned(),
        loss_unit: "nats per token".to_owned(),
        items: "tokens".to_owned(),
        device: "cpu".to_owned(),
        data: String::new(),
        schedule: schedule.clone(),
        parameters: 1000,
        tokens_per_step: 8,
        layer_flops: 10.0,
        fixed_flops: 20.0,
        floor: None,
        data_checksum: String::new(),
        weights: String::new(),
        config: String::new(),
    };
    tell(&mut run, 0, Event::Started(Box::new(started)));
    let expected = vec![0.5; layers];
    let path_length = rows[0].1;
    tell(&mut run, 0, Event::StageEntered { step: 0, stage: 0, path_length, by_hand: false, expected, schedule });
    run
}

/// Tells a run of an event.
pub fn tell(run: &mut Run, us: u64, event: Event) {
    run.apply(&Stamped { seq: 0, us, event });
}

/// A step of its first layers: 2 ms a layer and 4 ms beside.
pub fn stepped(run: &mut Run, step: u64, length: usize) {
    let path = LayerPath::from_layers(run.layers(), 0..length);
    let us = run.us + 4000 + 2000 * length as u64;
    let stage = run.schedule.as_ref().map_or(0, |s| s.stage_at(step));
    tell(run, us, Event::Stepped { step, stage, path, loss: 1.0, learning_rate: 1e-3, gradient_norm: 1.0 });
}
