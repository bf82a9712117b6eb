//! The whole training step on a GPU: tokens/s, share of the chip's peak, memory, time by path length; and, with
//! `--python`, PyTorch on the same work in the same run.
//!
//!     cargo bench --features cuda --bench gpu -- [--shape NAME]... [--rounds N] [--python PYTHON] [--peak TFLOPS]
//!
//! As `step` does on a CPU: every contender is a process of its own that trains when it is told to, in turns of about a
//! second. Figures are medians over rounds, ratios medians of the rounds' ratios. bf16 throughout.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../step/contender.rs"]
mod contender;
#[path = "../step/shape.rs"]
mod shape;
#[path = "../step/work.rs"]
mod work;
mod worker;

use contender::{Contender, median};
use raptr_tui::config::{Architecture, Precision};
use shape::Shape;

/// GPT-2 124M and BERT-base; the vocabularies filled up to whole vectors for both sides, as nanoGPT does.
const GPT2: Shape = Shape {
    name: "gpt2-124m",
    architecture: Architecture::Decoder,
    layers: 12,
    width: 768,
    heads: 12,
    context: 1024,
    batch: 16,
    vocabulary: 50304,
};
const BERT: Shape = Shape {
    name: "bert-base-512",
    architecture: Architecture::Encoder,
    context: 512,
    batch: 32,
    vocabulary: 30528,
    ..GPT2
};
/// That of the config of this name: asking for it may take as long as doing it.
const SMALL: Shape =
    Shape { name: "gpt-small", width: 256, heads: 4, context: 128, batch: 16, vocabulary: 4096, ..GPT2 };
static SHAPES: &[Shape] = &[GPT2, Shape { name: "bert-base-128", context: 128, batch: 128, ..BERT }, BERT, SMALL];

/// Other ways to do the same, beside the one that is taken: the quicker attention that isn't deterministic, and a layer's
/// passes by CUDA graphs where they are not, or not where they are.
fn other_ways(shape: &Shape) -> &'static [&'static str] {
    match shape.name {
        "gpt2-124m" => &["loose", "graphs"],
        "gpt-small" => &["loose", "plain"],
        _ => &["loose"],
    }
}

struct Options {
    shapes: Vec<&'static Shape>,
    rounds: usize,
    python: Option<String>,
    /// TFLOP/s in bf16 that the chip is held against: what an H200's products were seen to reach.
    peak: f64,
}

fn usage() -> ! {
    let shapes: Vec<&str> = SHAPES.iter().map(|s| s.name).collect();
    eprintln!("options: --shape {}, --rounds N, --python PYTHON, --peak TFLOPS", shapes.join("|"));
    std::process::exit(2)
}

fn options() -> Options {
    let mut options = Options { shapes: Vec::new(), rounds: 5, python: None, peak: 790.0 };
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(name) = args.next() {
        let value = args.next().unwrap_or_else(|| usage());
        match name.as_str() {
            "--shape" => options.shapes.push(SHAPES.iter().find(|s| s.name == value).unwrap_or_else(|| usage())),
            "--rounds" => options.rounds = value.parse().unwrap_or_else(|_| usage()),
            "--peak" => options.peak = value.parse().unwrap_or_else(|_| usage()),
            "--python" => options.python = Some(value),
            _ => usage(),
        }
    }
    if options.shapes.is_empty() {
        options.shapes = SHAPES.iter().collect();
    }
    options
}

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("worker") {
        return worker::run(&args.collect::<Vec<_>>());
    }
    let options = options();
    for shape in &options.shapes {
        measure(shape, &options);
    }
}

fn measure(shape: &Shape, options: &Options) {
    println!("\n{shape}, bf16");
    println!(
        "  {:18} {:>6} {:>10} {:>12} {:>9} {:>8} {:>12}",
        "", "layers", "ms/step", "tokens/s", "TFLOP/s", "of peak", "memory"
    );
    let lengths = [shape.layers, shape.layers / 2];
    let mut ours = Contender::ours(&[shape.name]);
    ours.warm_up(&lengths);
    // Before anybody else is on the GPU: ours is all that is taken there, the driver's part as well; PyTorch tells its own.
    let memory = ours.ask("memory")[0];
    for way in other_ways(shape) {
        let mut other = Contender::ours(&[shape.name, way]);
        other.name = format!("raptr-tui {way}");
        other.warm_up(&lengths);
        side_by_side(shape, options, &mut ours, &mut [(other, None)]);
    }
    let mut peers = Vec::new();
    for mode in ["eager", "compile"] {
        let Some(python) = &options.python else { break };
        let mut torch = Contender::torch(python, shape, Precision::Bf16, mode, "cuda");
        torch.warm_up(&lengths);
        let memory = torch.ask("memory")[0];
        peers.push((torch, Some(memory)));
    }
    side_by_side(shape, options, &mut ours, &mut peers);
    let planned = ours.ask("planned")[0];
    let mib = f64::from(1 << 20);
    println!("  memory of ours: {:.0} MiB, planned {:.0} MiB", memory / mib, planned / mib);
    by_path_length(shape, &mut ours);
}

/// Rounds of ours and others in turns: theirs and then ours in the table, and how much quicker ours is. A memory that isn't
/// given is not told.
fn side_by_side(shape: &Shape, options: &Options, ours: &mut Contender, others: &mut [(Contender, Option<f64>)]) {
    let lengths = [shape.layers, shape.layers / 2];
    ours.seconds.iter_mut().for_each(Vec::clear);
    for _ in 0..options.rounds {
        ours.round(&lengths);
        others.iter_mut().for_each(|(other, _)| other.round(&lengths));
    }
    for (contender, bytes) in others.iter().map(|(other, bytes)| (other, *bytes)).chain([(&*ours, None)]) {
        let memory = bytes.map_or_else(|| "-".to_owned(), |b| format!("{:.0} MiB", b / f64::from(1 << 20)));
        for (i, &length) in lengths.iter().enumerate() {
            let seconds = median(contender.seconds[i].clone());
            let rate = shape.flops(length) / seconds / 1e12;
            println!(
                "  {:18} {length:>6} {:>10.2} {:>12.0} {:>9.1} {:>7.1}% {memory:>12}",
                contender.name,
                seconds * 1e3,
                shape.tokens() as f64 / seconds,
                rate,
                rate / options.peak * 100.0,
            );
        }
    }
    for (other, _) in others {
        let ratios = other.seconds[0].iter().zip(&ours.seconds[0]).map(|(theirs, ours)| theirs / ours);
        println!("  ours is {:.2} times as fast as {}", median(ratios.collect()), other.name);
    }
}

/// Seconds of a step at every path length, beside its FLOPs; and what 6-8-10-12 in equal stages saves.
fn by_path_length(shape: &Shape, ours: &mut Contender) {
    let full = shape.flops(shape.layers);
    let mut seconds = Vec::new();
    for length in 1..=shape.layers {
        ours.ask(&format!("{length} 3"));
        let rounds = (0..3).map(|_| ours.ask(&format!("{length} 10"))[0] / 10.0).collect();
        seconds.push(median(rounds));
    }
    let last = seconds[shape.layers - 1];
    println!("  path length: ms, of the full step (of its FLOPs)");
    for (i, s) in seconds.iter().enumerate() {
        println!("  {:>4} {:>9.2} {:>7.3} ({:.3})", i + 1, s * 1e3, s / last, shape.flops(i + 1) / full);
    }
    let stages = [shape.layers / 2, shape.layers * 2 / 3, shape.layers * 5 / 6, shape.layers];
    let of = |f: &dyn Fn(usize) -> f64| f(shape.layers) * 4.0 / stages.iter().map(|&k| f(k)).sum::<f64>();
    println!(
        "  RaPTr {stages:?} in equal stages: {:.2}x measured, {:.2}x by all FLOPs, {:.2}x by layers",
        of(&|k| seconds[k - 1]),
        of(&|k| shape.flops(k)),
        of(&|k| k as f64),
    );
}
