//! Results as charts: the full model's loss against steps, FLOPs and time, a line per arm with the seeds' spread around it.
//!
//! Owns which curves are drawn; `export::svg` draws them.

use super::figures::Spent;
use super::results::{ArmResult, Horizon, Results};
use crate::export::svg::{Chart, Line, Mark};

/// A measure of training: its name in a file's name, its axis, and its value.
type Measure = (&'static str, &'static str, fn(&Spent) -> f64);

const MEASURES: [Measure; 3] = [
    ("steps", "steps", |s| s.steps as f64),
    ("flops", "training FLOPs, everything counted", |s| s.flops),
    ("time", "seconds of training", |s| s.seconds),
];

/// Every chart with its file's name.
pub fn all(results: &Results) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for horizon in &results.horizons {
        for measure in &MEASURES {
            let length = if results.horizons.len() > 1 { format!("-{}", horizon.steps) } else { String::new() };
            files.push((format!("loss-by-{}{length}.svg", measure.0), chart(results, horizon, measure).to_svg()));
        }
    }
    files
}

fn chart(results: &Results, horizon: &Horizon, (_, axis, of): &Measure) -> Chart {
    let lines = horizon.arms.iter().map(|arm| line(arm, *of)).filter(|line| !line.points.is_empty());
    let level = |name: &str, value: Option<f64>| value.map(|value| Mark { label: name.to_owned(), value });
    let mean = |s: Option<super::statistics::Summary>| s.map(|s| s.mean);
    let fitness = &horizon.fitness;
    let marks = [level("bigram", mean(fitness.bigram)), level("floor", mean(fitness.floor))];
    Chart {
        title: format!("{}, {} steps", results.experiment, horizon.steps),
        subtitle: results.question.clone(),
        x: (*axis).to_owned(),
        y: format!("full model's loss, {} (mean and standard deviation over seeds)", results.loss_unit),
        lines: lines.collect(),
        marks: marks.into_iter().flatten().collect(),
    }
}

/// The mean curve over seeds; evaluations lie at the same steps in each.
fn line(arm: &ArmResult, of: fn(&Spent) -> f64) -> Line {
    let finished: Vec<_> = arm.runs.iter().map(|run| &run.figures).filter(|f| f.final_loss().is_some()).collect();
    let shortest = finished.iter().map(|f| f.curve.len()).min().unwrap_or(0);
    let points = (0..shortest).filter_map(|at| {
        let losses: Vec<f64> = finished.iter().map(|f| f.curve[at].loss).collect();
        let xs: Vec<f64> = finished.iter().map(|f| of(&f.curve[at].spent)).collect();
        let (x, y) = (super::statistics::summary(&xs)?, super::statistics::summary(&losses)?);
        Some([x.mean, y.mean, y.std.unwrap_or(0.0)])
    });
    Line { label: arm.name.clone(), points: points.collect() }
}
