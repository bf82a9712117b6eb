//! Results as charts: the full model's loss against steps, FLOPs and time, a line per arm with the seeds' spread around it;
//! and whatever else was measured against steps, a chart per arm and a chart per label.
//!
//! Owns which curves are drawn; `export::svg` draws them.

use super::figures::Spent;
use super::measured::Measured;
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
        for table in &horizon.measured {
            files.extend(measured(results, horizon, table).map(|(name, chart)| (name + ".svg", chart.to_svg())));
        }
    }
    files
}

/// The charts of a series: for each arm a line per label, and for each label a line per arm.
fn measured<'a>(
    results: &'a Results,
    horizon: &'a Horizon,
    table: &'a Measured,
) -> impl Iterator<Item = (String, Chart)> + 'a {
    let length = if results.horizons.len() > 1 { format!("-{}", horizon.steps) } else { String::new() };
    let chart = move |of: String, labelled: Vec<(&String, &ArmResult, &String)>| {
        let line = |(name, arm, label): (&String, &ArmResult, &String)| Line {
            label: name.clone(),
            points: super::measured::curve(arm, &table.name, label),
        };
        Chart {
            title: format!("{}: {}, {of}", results.experiment, table.name),
            subtitle: format!("the full model, {} steps", horizon.steps),
            x: "steps".to_owned(),
            y: format!("{} (mean and standard deviation over seeds)", table.name),
            lines: labelled.into_iter().map(line).filter(|line| !line.points.is_empty()).collect(),
            marks: Vec::new(),
            changes: Vec::new(),
            is_training: true,
        }
    };
    let rows = || horizon.arms.iter().filter(|arm| table.arms.iter().any(|row| row.arm == arm.name));
    let by_arm: Vec<_> = rows()
        .map(|arm| {
            let lines = table.labels.iter().map(|label| (label, arm, label)).collect();
            (format!("{}-{}{length}", slug(&table.name), slug(&arm.name)), chart(arm.name.clone(), lines))
        })
        .collect();
    let by_label: Vec<_> = table
        .labels
        .iter()
        .filter(|_| table.labels.len() <= MOST_LABELS)
        .map(|label| {
            let lines = rows().map(|arm| (&arm.name, arm, label)).collect();
            (format!("{}-of-{}{length}", slug(&table.name), slug(label)), chart(label.clone(), lines))
        })
        .collect();
    by_arm.into_iter().chain(by_label)
}

/// Most labels that have a chart each.
const MOST_LABELS: usize = 8;

/// A name as part of a file's name.
fn slug(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    plain.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
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
        changes: Vec::new(),
        is_training: true,
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
