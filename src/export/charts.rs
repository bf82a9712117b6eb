//! A run's figures as charts, one for each subject (series that were measured: one for each name).
//!
//! Owns what a chart shows; how it is drawn is `svg`'s.

use super::Subject;
use super::figures::{Figures, SMOOTHING, Step};
use super::svg::{Chart, Line, Mark};
use crate::event::Measurement;

/// The most points of a line: more than a chart has columns show nothing more.
const POINTS: usize = 800;

/// The charts of a subject, each with a name for its file.
pub fn of(figures: &Figures, subject: Subject) -> Vec<(String, Chart)> {
    let name = subject.name().to_owned();
    match subject {
        Subject::Loss => vec![(name, loss(figures))],
        Subject::Evaluations => vec![(name, evaluations(figures))],
        Subject::Transitions => vec![(name, transitions(figures))],
        Subject::Layers => vec![(name, layers(figures))],
        Subject::Measured => {
            newest(figures).map(|m| (format!("{name}-{}", plain(&m.name)), series(figures, m))).collect()
        }
    }
}

/// A name as part of a file's.
fn plain(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    plain.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn chart(figures: &Figures, title: &str, x: &str, y: &str, lines: Vec<Line>) -> Chart {
    let run = figures.started.as_ref();
    let subtitle = run.map_or(String::new(), |s| format!("{}, {}, {}", s.method, s.objective, s.data));
    let title = run.map_or(title.to_owned(), |s| format!("{}: {title}", s.run));
    let (x, y) = (x.to_owned(), y.to_owned());
    Chart { title, subtitle, x, y, lines, marks: Vec::new(), changes: Vec::new(), is_training: false }
}

fn line(label: &str, points: impl IntoIterator<Item = [f64; 3]>) -> Line {
    Line { label: label.to_owned(), points: points.into_iter().collect() }
}

/// Neighbouring steps as one point: the middle of their losses' range and half its height, so that no spike is lost.
fn ranges(steps: &[Step]) -> Vec<[f64; 3]> {
    let range = |part: &[Step]| {
        let (low, high) = part
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), s| (l.min(s.loss.into()), h.max(s.loss.into())));
        [part[part.len() - 1].steps as f64, (low + high) / 2.0, (high - low) / 2.0]
    };
    steps.chunks(steps.len().div_ceil(POINTS).max(1)).map(range).collect()
}

/// Where stages begin, but for the first.
fn stages(figures: &Figures) -> Vec<(f64, String)> {
    figures.stages.iter().skip(1).map(|(step, stage)| (*step as f64, format!("stage {}", stage + 1))).collect()
}

fn loss(figures: &Figures) -> Chart {
    let smooth = figures.steps.chunks(figures.steps.len().div_ceil(POINTS).max(1)).map(|part| {
        let last = part[part.len() - 1];
        [last.steps as f64, last.smooth, 0.0]
    });
    let full = figures.full().map(|(steps, score)| [steps as f64, score.loss.into(), 0.0]);
    let lines = vec![
        line(&format!("subnetwork, ema {SMOOTHING}"), smooth),
        line("full model", full),
        line("subnetwork, every step", ranges(&figures.steps)),
    ];
    let floor = figures.started.as_ref().and_then(|s| s.floor);
    let marks = floor.map(|floor| Mark { label: "entropy floor".to_owned(), value: floor.into() });
    Chart {
        marks: marks.into_iter().collect(),
        changes: stages(figures),
        is_training: true,
        ..chart(figures, "loss", "steps", figures.loss_unit(), lines)
    }
}

fn evaluations(figures: &Figures) -> Chart {
    let full = figures.full().map(|(steps, score)| [steps as f64, score.loss.into(), score.spread.into()]);
    let lines = vec![line("full model, spread over batches", full)];
    Chart {
        changes: stages(figures),
        is_training: true,
        ..chart(figures, "evaluations", "steps", figures.loss_unit(), lines)
    }
}

fn transitions(figures: &Figures) -> Chart {
    let of = |label: &str, value: fn(&crate::event::Transition) -> f32| {
        line(label, figures.transitions.iter().map(|t| [t.at as f64, value(t).into(), 0.0]))
    };
    let lines = vec![
        of("before", |t| t.before),
        of("entered", |t| t.entered),
        of("peak", |t| t.peak),
        of("after", |t| t.after),
    ];
    chart(figures, "transitions", "steps", figures.loss_unit(), lines)
}

fn layers(figures: &Figures) -> Chart {
    let steps = figures.steps.len().max(1) as f64;
    let of = |value: &dyn Fn(&super::figures::Layer) -> f64| -> Vec<[f64; 3]> {
        figures.layers.iter().enumerate().map(|(i, l)| [(i + 1) as f64, value(l) / steps, 0.0]).collect()
    };
    let lines = vec![line("active", of(&|l| l.active as f64)), line("expected", of(&|l| l.expected))];
    chart(figures, "layers, share of steps", "layer, from the input", "share of steps", lines)
}

/// The newest series of each name.
fn newest(figures: &Figures) -> impl Iterator<Item = &Measurement> {
    let all = &figures.measured;
    all.iter().enumerate().filter(|(i, m)| !all[i + 1..].iter().any(|later| later.name == m.name)).map(|(_, m)| m)
}

fn series(figures: &Figures, m: &Measurement) -> Chart {
    // Labels that are numbers are the x axis; others are counted.
    let numbers: Option<Vec<f64>> = m.labels.iter().map(|label| label.parse().ok()).collect();
    let is_rising = |xs: &Vec<f64>| xs.windows(2).all(|pair| pair[0] < pair[1]);
    let xs = numbers.filter(is_rising).unwrap_or_else(|| (1..=m.labels.len()).map(|i| i as f64).collect());
    let spread = |i: usize| m.spreads.get(i).copied().unwrap_or(0.0).into();
    let points = xs.iter().zip(&m.values).enumerate().map(|(i, (x, y))| [*x, f64::from(*y), spread(i)]);
    let lines = vec![line(&format!("after {} steps", m.step), points)];
    chart(figures, &m.name, "", "", lines)
}
