//! The whole training step: tokens/s, GFLOP/s, share of the measured peak, memory, page faults and allocations; and, with
//! `--python`, PyTorch on the same work in the same run.
//!
//!     cargo bench --bench step -- [--shape NAME]... [--precision f32|bf16]... [--rounds N] [--python PYTHON]
//!
//! Every contender is a process of its own (`worker` here, `benches/peers/torch_step.py` there) that trains when it is
//! told to, so that they take turns for a second each on the same machine in the same state. Figures are medians over
//! rounds, ratios medians of the rounds' ratios.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod contender;
mod shape;
mod shapes;
mod work;
mod worker;

use contender::{Contender, THREADS, median};
use raptr_tui::config::Precision;
use shape::Shape;
use shapes::SHAPES;

struct Options {
    shapes: Vec<&'static Shape>,
    precisions: Vec<Precision>,
    rounds: usize,
    python: Option<String>,
}

fn usage() -> ! {
    let shapes: Vec<&str> = SHAPES.iter().map(|s| s.name).collect();
    eprintln!("options: --shape {}, --precision f32|bf16, --rounds N, --python PYTHON", shapes.join("|"));
    std::process::exit(2)
}

fn options() -> Options {
    let mut options = Options { shapes: Vec::new(), precisions: Vec::new(), rounds: 7, python: None };
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(name) = args.next() {
        let value = args.next().unwrap_or_else(|| usage());
        match name.as_str() {
            "--shape" => options.shapes.push(SHAPES.iter().find(|s| s.name == value).unwrap_or_else(|| usage())),
            "--precision" => options.precisions.push(shapes::precision(&value).unwrap_or_else(|| usage())),
            "--rounds" => options.rounds = value.parse().unwrap_or_else(|_| usage()),
            "--python" => options.python = Some(value),
            _ => usage(),
        }
    }
    if options.shapes.is_empty() {
        options.shapes = SHAPES.iter().collect();
    }
    if options.precisions.is_empty() {
        options.precisions = vec![Precision::F32, Precision::Bf16];
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
        for &precision in &options.precisions {
            measure(shape, precision, &options);
        }
    }
}

fn measure(shape: &Shape, precision: Precision, options: &Options) {
    println!("\n{}, {}", shape, shape::name(precision));
    let mut all = vec![Contender::ours(&[shape.name, shape::name(precision), &THREADS.to_string()])];
    if let Some(python) = &options.python {
        all.push(Contender::torch(python, shape, precision, "eager", "cpu"));
        all.push(Contender::torch(python, shape, precision, "compile", "cpu"));
    }
    // The quickest way to learn how many steps make about a second.
    let lengths = [shape.layers, shape.layers / 2];
    for contender in &mut all {
        contender.warm_up(&lengths);
    }
    let memory: Vec<f64> = all.iter_mut().map(|c| c.ask("memory")[0] / (1 << 20) as f64).collect();
    let mut peaks = vec![Vec::new(); all.len()];
    for _ in 0..options.rounds {
        for contender in &mut all {
            contender.round(&lengths);
        }
        for (contender, peaks) in all.iter_mut().zip(&mut peaks) {
            peaks.push(contender.ask("peak")[0]);
        }
    }
    // Libraries differ from processor to processor: the best rate that anybody reached is what the machine can do. On a
    // shared machine that differs from round to round as well, so a step is held against its own round's best, too.
    let best = |rates: &mut dyn Iterator<Item = f64>| rates.fold(0.0, f64::max);
    let peak = best(&mut peaks.iter().flatten().copied());
    let round_peaks: Vec<f64> = (0..options.rounds).map(|r| best(&mut peaks.iter().map(|p| p[r]))).collect();
    let each: Vec<String> =
        all.iter().zip(peaks).map(|(c, peaks)| format!("{} {:.0}", c.name, median(peaks))).collect();
    println!("  products of (2048, 256) x (256, 1024), GFLOP/s, medians: {}; best of all {peak:.0}", each.join(", "));
    let faults = all[0].ask(&format!("count {} 20", shape.layers));
    println!(
        "  {:16} {:>6} {:>10} {:>10} {:>9} {:>8} {:>8} {:>10}",
        "", "layers", "ms/step", "tokens/s", "GFLOP/s", "of best", "of round", "memory"
    );
    for (contender, memory) in all.iter().zip(memory) {
        for (i, &length) in lengths.iter().enumerate() {
            let seconds = median(contender.seconds[i].clone());
            let rate = |seconds: f64| shape.flops(length) / seconds / 1e9;
            let shares = contender.seconds[i].iter().zip(&round_peaks).map(|(s, peak)| rate(*s) / peak);
            println!(
                "  {:16} {length:>6} {:>10.1} {:>10.0} {:>9.0} {:>7.0}% {:>7.0}% {memory:>6.0} MiB",
                contender.name,
                seconds * 1e3,
                shape.tokens() as f64 / seconds,
                rate(seconds),
                rate(seconds) / peak * 100.0,
                median(shares.collect()) * 100.0,
            );
        }
    }
    let (first, others) = all.split_first().unwrap();
    let of = |c: &Contender, i: usize, d: &Contender, j: usize| {
        median(c.seconds[i].iter().zip(&d.seconds[j]).map(|(a, b)| a / b).collect())
    };
    let flops = shape.flops(lengths[1]) / shape.flops(lengths[0]);
    println!(
        "  time at {} layers over {}: {:.3} (FLOPs {flops:.3}); page faults per step {:.2}, allocations {:.1}",
        lengths[1],
        lengths[0],
        of(first, 1, first, 0),
        faults[0],
        faults[1],
    );
    for other in others {
        println!("  ours is {:.2} times as fast as {}", of(other, 0, first, 0), other.name);
    }
}
