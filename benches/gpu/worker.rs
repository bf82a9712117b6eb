//! Our side: obeys the same lines as `benches/peers/torch_step.py`, and `planned` besides.

use std::time::Instant;

use raptr_tui::config::{Architecture, Precision, RunConfig};
use raptr_tui::gpu::cuda::Cuda;
use raptr_tui::layer_path::LayerPath;
use raptr_tui::model::Engine;
use raptr_tui::model::gpu::{Gpu, Graphs, memory, shape};

use crate::SHAPES;
use crate::work::Work;

const PRECISION: Precision = Precision::Bf16;

/// Seconds of steps, until the GPU has done them.
fn train(work: &mut Work<Gpu>, length: usize, steps: usize, layers: usize) -> f64 {
    let seconds = work.train(length, steps);
    // The last update was only asked for: a loss waits for all that was asked before.
    let (began, batch) = (Instant::now(), work.batch());
    work.engine.loss(&batch, &LayerPath::none(layers).into()).unwrap();
    seconds + began.elapsed().as_secs_f64()
}

pub fn run(args: &[String]) {
    let (name, ways) = args.split_first().unwrap();
    let of = SHAPES.iter().find(|s| s.name == name).unwrap();
    let model = of.model();
    let device = Cuda::open(0, shape(&model, PRECISION)).unwrap();
    let engine = Gpu::new(Box::new(device), &model, of.vocabulary, 1, PRECISION).unwrap();
    let engine = ways.iter().fold(engine, |engine, way| match way.as_str() {
        "loose" => engine.loose(),
        "graphs" => engine.with_graphs(Graphs::Always),
        "plain" => engine.with_graphs(Graphs::Never),
        _ => panic!("{way}"),
    });
    let mut work = Work::new(of, engine);
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["memory"] => println!("{}", work.engine.used_memory().unwrap()),
            ["planned"] => {
                let mut config = RunConfig { model: model.clone(), ..RunConfig::default() };
                config.train.batch = of.batch;
                config.train.precision = PRECISION;
                let is_encoder = of.architecture == Architecture::Encoder;
                config.objective.name = if is_encoder { "mlm" } else { "causal" }.to_owned();
                println!("{}", memory::bytes(&config, of.vocabulary, of.layers).with_context());
            }
            [length, steps] => {
                println!("{}", train(&mut work, length.parse().unwrap(), steps.parse().unwrap(), of.layers));
            }
            _ => panic!("{line}"),
        }
    }
}
