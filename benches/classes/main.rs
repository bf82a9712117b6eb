//! What a model's loss is made of: the loss of its trained runs by class of token, above what is unavoidable.
//!
//!     cargo bench --bench classes -- [--batches N] RUN...
//!
//! For each class of the corpus (`Corpus::classes`: kinds of answers, by the steps that lead to them), over the fixed
//! validation batches and the full model of each run's newest checkpoint: nats above the surprisal, and how often the right
//! answer is the likeliest of the class's answers. Runs must have the same data and context.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use raptr_tui::config::RunConfig;
use raptr_tui::data::{self, Corpus};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::objective::{self, Batch};
use raptr_tui::trainer::{Trainer, checkpoint};
use raptr_tui::{config, run_dir};

/// Sums over the tokens of a class.
#[derive(Clone, Copy, Default)]
struct Sum {
    tokens: f64,
    floor: f64,
    loss: f64,
    right: f64,
}

/// A row of a batch as the sequence it was made from: input, and the last target.
fn sequence(batch: &Batch, row: usize) -> Vec<u32> {
    let t = batch.context;
    let mut sequence = batch.inputs[row * t..(row + 1) * t].to_vec();
    sequence.push(batch.targets[(row + 1) * t - 1] as u32);
    sequence
}

/// The sums of each class, and of the tokens without one.
fn sums(run: &Path, batches: u64) -> (Vec<String>, Vec<Sum>) {
    let text = std::fs::read_to_string(run.join("config.toml")).expect("the run's config");
    let config: RunConfig = config::load::parse("the run's config", &text, &[]).expect("a config");
    let open = || data::open(&config, &mut |_| ControlFlow::Continue(())).expect("the run's data");
    let corpus: Box<dyn Corpus> = open();
    let mut names = corpus.classes();
    let vocabulary = corpus.vocabulary().size;
    let causal = objective::find("causal").unwrap();
    let all: Vec<Batch> =
        (0..batches).map(|index| objective::evaluation_batch(corpus.as_ref(), causal, &config, index)).collect();
    let mut answers: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); names.len()];
    for (batch, row) in all.iter().flat_map(|b| (0..b.sequences).map(move |row| (b, row))) {
        let sequence = sequence(batch, row);
        for (class, token) in corpus.class(&sequence).iter().zip(&sequence) {
            if let Some(class) = *class {
                answers[class].insert(*token as usize);
            }
        }
    }
    let found = checkpoint::newest(run).expect("a checkpoint");
    let path = LayerPath::full(config.model.layers);
    let mut trainer = Trainer::new(config.clone(), open(), Box::new(checkpoint::NoStore)).expect("a trainer");
    trainer.resume(found.snapshot, &found.file, 0).expect("the run's weights");
    names.push("no answer".to_owned());
    let mut sums = vec![Sum::default(); names.len()];
    for batch in &all {
        let logits = trainer.engine().logits(batch, &path.into()).expect("logits");
        for row in 0..batch.sequences {
            let sequence = sequence(batch, row);
            let (class, surprisal) = (corpus.class(&sequence), corpus.surprisal(&sequence).expect("known surprisal"));
            for i in 0..batch.context {
                let target = sequence[i + 1] as usize;
                let logits = &logits[(row * batch.context + i) * vocabulary..][..vocabulary];
                let highest = logits.iter().copied().fold(f32::MIN, f32::max);
                let total: f64 = logits.iter().map(|&x| f64::from(x - highest).exp()).sum();
                let sum = &mut sums[class[i + 1].unwrap_or(names.len() - 1)];
                sum.tokens += 1.0;
                sum.floor += f64::from(surprisal[i + 1]);
                sum.loss += total.ln() - f64::from(logits[target] - highest);
                if let Some(class) = class[i + 1] {
                    let likeliest = answers[class].iter().copied().max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                    sum.right += f64::from(u8::from(likeliest == Some(target)));
                }
            }
        }
    }
    (names, sums)
}

fn main() {
    let (mut batches, mut runs) = (32, Vec::new());
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(arg) = args.next() {
        if arg == "--batches" {
            batches = args.next().and_then(|n| n.parse().ok()).expect("--batches N");
        } else {
            runs.push(run_dir::find(Path::new("runs"), &arg).expect("a run"));
        }
    }
    if runs.is_empty() {
        eprintln!("options: [--batches N] RUN...");
        std::process::exit(2);
    }
    let all: Vec<(Vec<String>, Vec<Sum>)> = runs.iter().map(|run| sums(run, batches)).collect();
    print!("{:12} {:>7} {:>7}", "", "tokens", "floor");
    runs.iter().for_each(|run| print!(" {:>18}", run.file_name().unwrap_or_default().to_string_lossy()));
    println!("\n{:12} {:>7} {:>7}{}", "", "", "", "    above    right".repeat(runs.len()));
    let line = |name: &str, of: &[Sum], has_right: bool| {
        print!("{name:12} {:>7} {:>7.3}", of[0].tokens, of[0].floor / of[0].tokens);
        for s in of {
            let right = if has_right { format!("{:.0} %", 100.0 * s.right / s.tokens) } else { String::new() };
            print!(" {:>9.3} {right:>8}", (s.loss - s.floor) / s.tokens);
        }
        println!();
    };
    let names = &all[0].0;
    let column = |class: usize| all.iter().map(|(_, sums)| sums[class]).collect::<Vec<_>>();
    for (class, name) in names.iter().enumerate() {
        line(name, &column(class), class + 1 < names.len());
    }
    let whole = |sums: &Vec<Sum>| {
        sums.iter().fold(Sum::default(), |a, b| Sum {
            tokens: a.tokens + b.tokens,
            floor: a.floor + b.floor,
            loss: a.loss + b.loss,
            right: 0.0,
        })
    };
    line("all", &all.iter().map(|(_, sums)| whole(sums)).collect::<Vec<_>>(), false);
}
