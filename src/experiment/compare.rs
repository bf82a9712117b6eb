//! Runs side by side: their losses at the end, at equal steps, at equal FLOPs and at equal time.
//!
//! Owns the comparison of single runs, which has no spread and so no verdict; an experiment has. Reads figures alone.

use serde::Serialize;

use super::figures::{Figures, Spent, State};
use super::text::aligned;
use crate::config::RunConfig;
use crate::measurement::short;

/// Runs side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What losses are measured in.
    pub loss_unit: String,
    /// The most steps that every run has been evaluated at or beyond.
    pub equal_steps: f64,
    /// The same in FLOPs, everything counted.
    pub equal_flops: f64,
    /// The same in seconds of training.
    pub equal_seconds: f64,
    /// The runs, as asked for; others are compared with the first.
    pub runs: Vec<Row>,
    /// What makes their losses not quite comparable.
    pub notes: Vec<String>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub run: String,
    /// Its method.
    pub method: String,
    /// Layers of its full model.
    pub layers: usize,
    /// How it ended.
    pub state: State,
    /// What it took so far.
    pub spent: Spent,
    /// The full model's last measured loss; none if it was never evaluated.
    pub loss: Option<f64>,
    /// Its loss at [`Comparison::equal_steps`], between two evaluations on a straight line.
    pub loss_at_equal_steps: Option<f64>,
    /// Its loss at [`Comparison::equal_flops`].
    pub loss_at_equal_flops: Option<f64>,
    /// Its loss at [`Comparison::equal_seconds`].
    pub loss_at_equal_seconds: Option<f64>,
}

/// Compares runs, each a name and its figures.
pub fn compare(runs: &[(String, Figures)]) -> Comparison {
    let least = |of: fn(&Spent) -> f64| {
        let lasts = runs.iter().filter_map(|(_, f)| f.curve.last()).map(|point| of(&point.spent));
        lasts.fold(f64::INFINITY, f64::min)
    };
    let or_zero = |value: f64| if value.is_finite() { value } else { 0.0 };
    let equal_steps = or_zero(least(|s| s.steps as f64));
    let equal_flops = or_zero(least(|s| s.flops));
    let equal_seconds = or_zero(least(|s| s.seconds));
    let rows = runs.iter().map(|(name, f)| Row {
        run: name.clone(),
        method: f.method.clone(),
        layers: f.layers,
        state: f.state,
        spent: f.spent,
        loss: f.last_loss(),
        loss_at_equal_steps: f.loss_at(|s| s.steps as f64, equal_steps),
        loss_at_equal_flops: f.loss_at(|s| s.flops, equal_flops),
        loss_at_equal_seconds: f.loss_at(|s| s.seconds, equal_seconds),
    });
    let loss_unit = runs.first().map_or_else(String::new, |(_, f)| f.loss_unit.clone());
    Comparison { loss_unit, equal_steps, equal_flops, equal_seconds, runs: rows.collect(), notes: notes(runs) }
}

fn notes(runs: &[(String, Figures)]) -> Vec<String> {
    let configs: Vec<Option<RunConfig>> = runs.iter().map(|(_, f)| toml::from_str(&f.config).ok()).collect();
    let differs = |of: &dyn Fn(usize) -> String| (1..runs.len()).any(|i| of(i) != of(0));
    let key = |of: fn(&RunConfig) -> String| {
        let configs = &configs;
        move |i: usize| configs[i].as_ref().map_or_else(String::new, of)
    };
    let mut notes = Vec::new();
    let mut note = |is_so: bool, text: &str| {
        if is_so {
            notes.push(text.to_owned());
        }
    };
    note(differs(&|i| runs[i].1.data.clone()), "the runs saw different text: their losses can't be compared");
    note(
        differs(&key(|c| c.objective.name.clone())),
        "the runs have different objectives: their losses can't be compared",
    );
    let batches = key(|c| format!("{} {} {} {}", c.seed, c.train.batch, c.model.context, c.evaluation.batches));
    note(differs(&batches), "seed, batch or context differ: the runs were evaluated on different parts of the text");
    note(
        differs(&key(|c| format!("{} {}", c.train.steps, c.optimizer.learning_rate))),
        "steps or learning rates differ: before its end a run's learning rate has not yet decayed",
    );
    let grows = runs.iter().any(|(_, f)| f.whole_from().is_some() || (f.spent.steps > 0 && f.curve.is_empty()));
    note(
        grows,
        "a run had no full model at its beginning (it grows, or was not evaluated): before, it has no loss here",
    );
    note(runs.iter().any(|(_, f)| f.state != State::Completed), "not every run was trained to its end");
    notes
}

impl Comparison {
    /// As text for people.
    pub fn to_text(&self) -> String {
        let head = ["run", "method", "layers", "steps", "all FLOPs", "time", "loss", "steps =", "FLOPs =", "time ="];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let loss = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}"));
        for run in &self.runs {
            rows.push(vec![
                run.run.clone(),
                run.method.clone(),
                run.layers.to_string(),
                run.spent.steps.to_string(),
                short(run.spent.flops),
                format!("{:.1} s", run.spent.seconds),
                loss(run.loss),
                loss(run.loss_at_equal_steps),
                loss(run.loss_at_equal_flops),
                loss(run.loss_at_equal_seconds),
            ]);
        }
        let mut text = aligned(&rows);
        text.push_str(&format!(
            "\nThe full model's loss, {}: the last one, and at {:.0} steps, {} FLOPs and {:.1} s of training.\n",
            self.loss_unit,
            self.equal_steps,
            short(self.equal_flops),
            self.equal_seconds
        ));
        self.notes.iter().for_each(|note| text.push_str(&format!("Note: {note}.\n")));
        text.push_str("Single runs have no spread: whether a difference means anything, `experiment` tells.\n");
        text
    }
}
