//! The stability experiment's results as text and as charts.
//!
//! Owns wording and curves. Computes nothing but exponents.

use std::fmt::Write as _;

use super::{Measured, Results};
use crate::experiment::statistics::Summary;
use crate::experiment::text::{aligned, wrap};
use crate::export::svg::{Chart, Line};
use crate::theory::stability::Network;

pub(super) fn text(results: &Results) -> String {
    let mut text = String::new();
    wrap(&mut text, &format!("{}: {}", results.experiment, results.question), "");
    text.push('\n');
    text.push_str(&results.linear.to_text());
    if !results.against_oracle.is_empty() {
        text.push('\n');
        text.push_str(&against_oracle(results));
    }
    for steps in moments(results) {
        let when = if steps == 0 { "at initialisation".to_owned() } else { format!("after {steps} steps") };
        let _ = writeln!(text, "\n== transformers {when}, {} seeds ==", results.seeds);
        text.push_str(&transformers(results, steps));
    }
    text.push('\n');
    let notes = format!(
        "L1: mean loss without one layer; L2: loss of the full model, in {}. The paper bounds |L1 - L2| by a multiple of mean \
         psi (theorem 5.3), so that where psi falls with depth so does the jump of the loss when the last layer comes in. \
         Exponent: of mean psi in L, shallowest to deepest; the lemma's for residual + norm is -1/2 in the limit, and 0 for \
         the others.",
        results.loss_unit
    );
    wrap(&mut text, &notes, "");
    text
}

/// Steps of the measurements: 0, and the training's.
fn moments(results: &Results) -> Vec<u64> {
    let mut all: Vec<u64> = results.transformers.iter().map(|row| row.steps).collect();
    all.dedup();
    all
}

fn against_oracle(results: &Results) -> String {
    let head = ["linear network", "L", "mean psi", "simulated", "off by", "limit", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for row in &results.against_oracle {
        rows.push(vec![
            row.network.name().to_owned(),
            row.layers.to_string(),
            format!("{:.3}", row.mean),
            format!("{:.3}", row.oracle),
            format!("{:+.3}", row.mean - row.oracle),
            format!("{:.3}", row.limit),
            if row.agrees { "agrees" } else { "DIFFERS" }.to_owned(),
        ]);
    }
    let agreeing = results.against_oracle.iter().filter(|row| row.agrees).count();
    let mut text = aligned(&rows);
    let all = results.against_oracle.len();
    let line =
        format!("{agreeing} of {all} agree with the values simulated independently, within four standard errors.");
    wrap(&mut text, &line, "");
    text
}

/// A number of any size in few characters.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e4).contains(&size) { format!("{value:.1e}") } else { format!("{value:.3}") }
}

fn with_spread(s: Option<Summary>) -> String {
    s.map_or_else(
        || "-".to_owned(),
        |s| s.std.map_or_else(|| number(s.mean), |std| format!("{} ±{}", number(s.mean), number(std))),
    )
}

fn transformers(results: &Results, steps: u64) -> String {
    let mean = |s: Option<Summary>| s.map_or_else(|| "-".to_owned(), |s| number(s.mean));
    let head = ["variant", "L", "mean psi", "x sqrt(L)", "L1", "L2", "L1 - L2", "exponent", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let of_moment: Vec<&Measured> = results.transformers.iter().filter(|row| row.steps == steps).collect();
    for row in &of_moment {
        let deepest = of_moment.iter().filter(|other| other.variant == row.variant).map(|other| other.layers).max();
        let slope = exponent(&of_moment, &row.variant).filter(|_| deepest == Some(row.layers));
        rows.push(vec![
            row.variant.clone(),
            row.layers.to_string(),
            with_spread(row.mean_psi),
            mean(row.psi_root),
            mean(row.without_one),
            mean(row.full),
            with_spread(row.gap),
            slope.map_or_else(String::new, |slope| format!("{slope:.2}")),
            if row.diverged > 0 { format!("{} diverged", row.diverged) } else { String::new() },
        ]);
    }
    aligned(&rows)
}

/// `d ln(mean psi) / d ln(L)` from a variant's shallowest to its deepest network with finite numbers.
fn exponent(rows: &[&Measured], variant: &str) -> Option<f64> {
    let mut points: Vec<(f64, f64)> = rows
        .iter()
        .filter(|row| row.variant == variant)
        .filter_map(|row| Some((row.layers as f64, row.mean_psi?.mean)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (first, last) = (points.first()?, points.last()?);
    (last.0 > first.0).then(|| (last.1 / first.1).ln() / (last.0 / first.0).ln())
}

pub(super) fn charts(results: &Results) -> Vec<(&'static str, Chart)> {
    let by_depth = "layers, L";
    let linear = Network::ALL.into_iter().map(|network| Line {
        label: network.name().to_owned(),
        points: (results.linear.rows.iter().filter(|row| row.network == network))
            .map(|row| [row.layers as f64, row.mean, row.spread])
            .collect(),
    });
    let chart = |title: &str, x: &str, y: &str, lines: Vec<Line>| Chart {
        title: format!("{}: {title}", results.experiment),
        subtitle: results.question.clone(),
        x: x.to_owned(),
        y: y.to_owned(),
        lines: lines.into_iter().filter(|line| !line.points.is_empty()).collect(),
        marks: Vec::new(),
        changes: Vec::new(),
        is_training: false,
    };
    let psi = "mean psi over layers";
    let deepest = |variant: &str, steps: u64| {
        let rows = results.transformers.iter().filter(|row| row.variant == variant && row.steps == steps);
        rows.filter(|row| !row.psi.is_empty()).max_by_key(|row| row.layers)
    };
    let layers = each(results, |variant, steps| {
        let row = deepest(variant, steps);
        row.map_or_else(Vec::new, |row| {
            row.psi.iter().enumerate().map(|(layer, psi)| [layer as f64 + 1.0, *psi, 0.0]).collect()
        })
    });
    let over_depth = |of: fn(&Measured) -> Option<Summary>| {
        each(results, |variant, steps| {
            let rows = results.transformers.iter().filter(|row| row.variant == variant && row.steps == steps);
            let point = |row: &Measured| of(row).map(|s| [row.layers as f64, s.mean, s.std.unwrap_or(0.0)]);
            let mut points: Vec<[f64; 3]> = rows.filter_map(point).collect();
            points.sort_by(|a, b| a[0].total_cmp(&b[0]));
            points
        })
    };
    vec![
        ("psi-linear.svg", chart("linear networks", by_depth, psi, linear.collect())),
        ("psi-transformers.svg", chart("transformers", by_depth, psi, over_depth(|row| row.mean_psi))),
        (
            "gap-transformers.svg",
            chart("loss without one layer, over the full model's", by_depth, "L1 / L2", over_depth(ratio)),
        ),
        ("psi-by-layer.svg", chart("layers of the deepest transformers", "layer", "psi of the layer", layers)),
    ]
}

/// L1 over L2: differences of networks without a norm are of another order of magnitude.
fn ratio(row: &Measured) -> Option<Summary> {
    let (without, full) = (row.without_one?, row.full?);
    Some(Summary { n: full.n, mean: without.mean / full.mean, std: None })
}

/// A line for each variant at each moment.
fn each(results: &Results, points: impl Fn(&str, u64) -> Vec<[f64; 3]>) -> Vec<Line> {
    let mut variants: Vec<&str> = Vec::new();
    for row in &results.transformers {
        if !variants.contains(&row.variant.as_str()) {
            variants.push(&row.variant);
        }
    }
    let mut lines = Vec::new();
    for variant in variants {
        for steps in moments(results) {
            let label = if steps == 0 { format!("{variant}, new") } else { format!("{variant}, {steps} steps") };
            lines.push(Line { label, points: points(variant, steps) });
        }
    }
    lines
}
