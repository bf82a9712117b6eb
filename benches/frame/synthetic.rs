//! A recording of any length: four stages, a falling loss with noise and spikes, layer paths as RaPTr draws them.

use raptr_tui::event::{Event, Stamped};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::recording;
use raptr_tui::schedule::{Schedule, Stage};

/// Stages.
pub const STAGES: u64 = 4;

/// The next number of a sequence without a pattern (SplitMix64).
fn scramble(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// So many steps of a model with so many layers.
pub fn events(steps: u64, layers: usize) -> impl Iterator<Item = Stamped> {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/quickstart.jsonl");
    let first = recording::read(std::path::Path::new(shipped)).unwrap().swap_remove(0);
    let Event::Started(mut started) = first.event else { panic!("no start") };
    let fixed = LayerPath::from_layers(layers, [0, layers - 1]);
    let lengths: Vec<usize> = (1..=STAGES as usize).map(|i| (layers / 2 + layers * i / 8).clamp(1, layers)).collect();
    let stages = lengths.iter().map(|&length| Stage::new(steps / STAGES, length, fixed)).collect();
    let schedule = Schedule { layers, stages };
    started.schedule = schedule.clone();
    started.run = "a long one".to_owned();
    let mut seq = 0;
    let mut stamp = move |step: u64, event: Event| {
        seq += 1;
        Stamped { seq: seq - 1, us: step * 50_000, event }
    };
    let start = stamp(0, Event::Started(started));
    let rest = (0..steps).flat_map(move |step| {
        let stage = ((step / (steps / STAGES).max(1)).min(STAGES - 1)) as usize;
        let length = lengths[stage];
        let is_new = step % (steps / STAGES).max(1) == 0 && step / (steps / STAGES).max(1) < STAGES;
        let entered = is_new.then(|| {
            let expected = vec![length as f32 / layers as f32; layers];
            let schedule = schedule.clone();
            stamp(step, Event::StageEntered { step, stage, path_length: length, by_hand: false, expected, schedule })
        });
        // Layers by a hash against the share: as long as wanted on average, which is all that drawing needs.
        let is_on = |layer: &usize| {
            fixed.is_active(*layer) || scramble(step ^ ((*layer as u64) << 40)) % (layers as u64) < length as u64
        };
        let path = LayerPath::from_layers(layers, (0..layers).filter(is_on));
        let noise = (scramble(step) % 1000) as f32 / 2000.0;
        let spike = if scramble(step ^ 7).is_multiple_of(50_000) { 5.0 } else { 0.0 };
        let loss = 2.0 + 8.0 / (1.0 + step as f32 / 1000.0).sqrt() + noise + spike;
        let stepped = Event::Stepped { step, stage, path, loss, learning_rate: 3e-4, gradient_norm: 1.0 + noise };
        entered.into_iter().chain([stamp(step, stepped)])
    });
    std::iter::once(start).chain(rest)
}
