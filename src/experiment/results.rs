//! What came of an experiment: losses over seeds, what they cost, how they differ, and whether that means anything.
//!
//! Owns the figures of the table and the rules behind its verdicts; `text`, `charts` and `results.json` show them.
//! Computed from finished runs' figures alone, so that it doesn't matter how often they were interrupted.

use std::ops::ControlFlow;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::comparable;
use super::definition::{Experiment, Planned, Role};
use super::figures::{Figures, Spent, State};
use super::fitness::Fitness;
use super::measured::{self, Measured};
use super::ngram::{self, Losses};
use super::rivals::{self, Rivals};
use super::statistics::{CONFIDENCE, Difference, Summary, difference, summary};
use crate::config::Architecture;
use crate::{data, objective};

/// An experiment's results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Its name.
    pub experiment: String,
    /// What it asks.
    pub question: String,
    /// The arm that others are compared with.
    pub baseline: String,
    /// The confidence of every interval.
    pub confidence: f64,
    /// Seeds reported.
    pub seeds: u64,
    /// What losses are measured in.
    pub loss_unit: String,
    /// A table per training length.
    pub horizons: Vec<Horizon>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Horizon {
    /// Steps.
    pub steps: u64,
    /// Its rows.
    pub arms: Vec<ArmResult>,
    /// Methods that spend the same, against each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rivals: Option<Rivals>,
    /// Whether it can say anything of depth schedules.
    pub fitness: Fitness,
    /// What the runs measured beside the loss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
}

/// A learning rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The rate.
    pub learning_rate: f64,
    /// The loss it led to on the tuning seed; none if it diverged.
    pub loss: Option<f64>,
}

/// How many times less than the baseline, by three measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpeedUp {
    /// FLOPs of layers alone: the paper's rule.
    pub layers: f64,
    /// All FLOPs.
    pub all: f64,
    /// Measured training time.
    pub time: f64,
}

/// The baseline with an arm's FLOPs (all of them), in two ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EqualFlops {
    /// The loss that the baseline's own runs had when they had spent as much. Its learning rate had not yet decayed
    /// there, which flatters the arm.
    pub curve_loss: Option<Summary>,
    /// The arm minus that.
    pub curve: Option<Difference>,
    /// The arm that trains so many FLOPs (to within a hundredth) with a learning rate that decays to the end.
    pub trained_arm: Option<String>,
    /// The arm minus that one: the fair one of the two.
    pub trained: Option<Difference>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// The arm's name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its method.
    pub method: String,
    /// Layers of its full model.
    pub layers: usize,
    /// Its steps.
    pub steps: u64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// The rates that were tried; none if it was not tuned.
    pub tuning: Vec<Tried>,
    /// Final loss of the full model over seeds.
    pub loss: Option<Summary>,
    /// Seeds that diverged.
    pub diverged: usize,
    /// What a run took, mean over seeds.
    pub spent: Spent,
    /// The baseline's over that.
    pub speed_up: SpeedUp,
    /// Whether it began, seed by seed, with the baseline's weights (none: a model of another shape).
    pub same_start: Option<bool>,
    /// The arm minus the baseline at the ends of their training; none for the baseline itself.
    pub to_baseline: Option<Difference>,
    /// The same at equal FLOPs; none for the baseline and arms without its steps.
    pub equal_flops: Option<EqualFlops>,
    /// Its runs.
    pub runs: Vec<RunResult>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Its directory's name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// What its recording says.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The rate with the lowest loss; none if every one diverged.
pub fn best(tried: &[(f64, Option<f64>)]) -> Option<f64> {
    let finished = tried.iter().filter_map(|&(rate, loss)| Some((rate, loss?)));
    finished.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(rate, _)| rate)
}

/// Finds a run's figures.
pub type Lookup<'a> = &'a dyn Fn(&Planned) -> Option<&'a Figures>;

impl Results {
    /// The results of an experiment whose runs are all done; none if `interrupted` says so on the way.
    ///
    /// # Errors
    /// If a run is missing, runs saw different text, or the text can't be read.
    pub fn of(
        experiment: &Experiment,
        lookup: Lookup<'_>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Self>> {
        let mut horizons = Vec::new();
        for horizon in 0..experiment.horizons.len() {
            let arms = rows(experiment, horizon, lookup)?;
            let Some(tables) = tables(experiment, horizon, interrupted)? else { return Ok(None) };
            let fitness = Fitness::of(&arms, &experiment.baseline, &tables);
            let measured = measured::of(&arms);
            let rivals = rivals::of(&arms, &experiment.baseline);
            horizons.push(Horizon { steps: experiment.horizons[horizon], arms, rivals, fitness, measured });
        }
        let first = horizons.first().and_then(|h: &Horizon| h.arms.first()?.runs.first());
        let loss_unit = first.map_or_else(String::new, |run| run.figures.loss_unit.clone());
        Ok(Some(Self {
            experiment: experiment.name.clone(),
            loss_unit,
            question: experiment.question.clone(),
            baseline: experiment.baseline.clone(),
            confidence: CONFIDENCE,
            seeds: experiment.seeds,
            horizons,
        }))
    }
}

/// The rows of one table, compared with the baseline's.
fn rows(experiment: &Experiment, horizon: usize, lookup: Lookup<'_>) -> Result<Vec<ArmResult>> {
    let mut rows = Vec::new();
    for arm in 0..experiment.arms.len() {
        rows.push(row(experiment, arm, horizon, lookup)?);
    }
    let baseline = rows[experiment.baseline_arm()].clone();
    // By seed: what a polynomial's seed draws is the target as well.
    let data = |seed| baseline.runs.iter().find(|run| run.seed == seed).map(|run| &run.figures.data);
    for row in &rows {
        let is_same = row.runs.iter().all(|run| data(run.seed) == Some(&run.figures.data));
        ensure!(is_same, "the runs of arm {} saw other text than those of {}", row.name, baseline.name);
    }
    let all = rows.clone();
    for (row, arm) in rows.iter_mut().zip(&experiment.arms) {
        let per = |mine: fn(&Spent) -> f64| mine(&baseline.spent) / mine(&row.spent);
        row.speed_up = SpeedUp { layers: per(|s| s.layer_flops), all: per(|s| s.flops), time: per(|s| s.seconds) };
        if row.name == baseline.name {
            continue;
        }
        row.to_baseline = against(&row.runs, &baseline.runs);
        let base_model = &experiment.arms[experiment.baseline_arm()].config.model;
        row.same_start = (arm.config.model == *base_model).then(|| {
            row.runs.iter().zip(&baseline.runs).all(|(a, b)| a.figures.initial_weights == b.figures.initial_weights)
        });
        if arm.equal_flops_to.is_none() && arm.role == Role::Method {
            row.equal_flops = Some(equal_flops(row, &baseline, trained_alike(experiment, &all, row)));
        }
    }
    Ok(rows)
}

/// One row, not yet compared.
fn row(experiment: &Experiment, arm: usize, horizon: usize, lookup: Lookup<'_>) -> Result<ArmResult> {
    let a = &experiment.arms[arm];
    let figures = |run: &Planned| lookup(run).ok_or_else(|| anyhow::anyhow!("the run {} is missing", run.name));
    let mut tried = Vec::new();
    for run in experiment.tuning(arm, horizon) {
        tried.push((run.learning_rate, figures(&run)?.final_loss()));
    }
    let learning_rate = best(&tried).unwrap_or(a.learning_rates[0]);
    let mut runs = Vec::new();
    for seed in 1..=experiment.seeds {
        let run = experiment.run(arm, horizon, learning_rate, seed);
        let figures = figures(&run)?.clone();
        runs.push(RunResult { name: run.name, seed, figures });
    }
    let losses: Vec<f64> = runs.iter().filter_map(|run| run.figures.final_loss()).collect();
    let first = runs.first().map(|run| &run.figures);
    Ok(ArmResult {
        name: a.name.clone(),
        role: a.role,
        method: first.map_or_else(String::new, |f| f.method.clone()),
        layers: first.map_or(0, |f| f.layers),
        steps: experiment.steps(arm, horizon),
        learning_rate,
        tuning: tried.into_iter().map(|(learning_rate, loss)| Tried { learning_rate, loss }).collect(),
        loss: summary(&losses),
        diverged: runs.len() - losses.len(),
        spent: mean_spent(&runs),
        speed_up: SpeedUp { layers: 1.0, all: 1.0, time: 1.0 },
        same_start: None,
        to_baseline: None,
        equal_flops: None,
        runs,
    })
}

/// What runs took in the mean; those that diverged took less and don't count.
fn mean_spent(runs: &[RunResult]) -> Spent {
    let finished: Vec<&Spent> =
        runs.iter().filter(|run| run.figures.final_loss().is_some()).map(|run| &run.figures.spent).collect();
    let mean = |of: fn(&Spent) -> f64| finished.iter().map(|s| of(s)).sum::<f64>() / finished.len().max(1) as f64;
    Spent {
        steps: finished.first().map_or(0, |s| s.steps),
        layer_flops: mean(|s| s.layer_flops),
        flops: mean(|s| s.flops),
        seconds: mean(|s| s.seconds),
    }
}

/// Pairs of a run and another's of the same seed.
fn pairs<'a>(runs: &'a [RunResult], others: &'a [RunResult]) -> impl Iterator<Item = (&'a Figures, &'a Figures)> {
    let other = |seed| others.iter().find(|other| other.seed == seed);
    let other = move |seed| other(seed).map(|other| &other.figures);
    runs.iter().filter_map(move |run| Some((&run.figures, other(run.seed)?)))
}

/// What an arm's final losses differ by from another's.
pub(super) fn against(runs: &[RunResult], others: &[RunResult]) -> Option<Difference> {
    difference(&pairs(runs, others).map(|(run, other)| (run.final_loss(), other.final_loss())).collect::<Vec<_>>())
}

/// How far the FLOPs of an arm may lie from those that another was trained to.
pub(super) const ALIKE: f64 = 0.01;

/// The arm that is the baseline with steps computed to spend an arm's FLOPs; if none was, one that spent as much to within
/// [`ALIKE`]. Fewer layers or another method with as many FLOPs are no baseline.
fn trained_alike<'a>(experiment: &Experiment, rows: &'a [ArmResult], row: &ArmResult) -> Option<&'a ArmResult> {
    let baseline = &experiment.arms[experiment.baseline_arm()].config;
    let computed = || {
        let arms = rows.iter().zip(&experiment.arms).filter(|(_, arm)| arm.equal_flops_to.is_some());
        arms.filter(|(_, arm)| comparable::is_of_other_length(&arm.config, baseline))
    };
    let meant = computed().find(|(_, arm)| arm.equal_flops_to.as_ref() == Some(&row.name));
    let off = |other: &ArmResult| (other.spent.flops / row.spent.flops - 1.0).abs();
    let near = || computed().filter(|(other, _)| off(other) <= ALIKE).min_by(|a, b| off(a.0).total_cmp(&off(b.0)));
    meant.or_else(near).map(|(other, _)| other)
}

fn equal_flops(row: &ArmResult, baseline: &ArmResult, trained: Option<&ArmResult>) -> EqualFlops {
    // Both losses of a seed, none where a run diverged. Where the arm spent more than the baseline there is no curve.
    let both = pairs(&row.runs, &baseline.runs).filter_map(|(run, base)| match run.final_loss() {
        None => Some((None, base.final_loss())),
        loss => match base.loss_at(|spent| spent.flops, run.spent.flops) {
            None if base.state != State::Diverged => None,
            at => Some((loss, at)),
        },
    });
    let both: Vec<(Option<f64>, Option<f64>)> = both.collect();
    let curve: Vec<f64> = both.iter().filter_map(|(loss, at)| loss.and(*at)).collect();
    EqualFlops {
        curve_loss: summary(&curve),
        curve: difference(&both),
        trained_arm: trained.map(|other| other.name.clone()),
        trained: trained.and_then(|other| against(&row.runs, &other.runs)),
    }
}

/// The tables' losses for each seed of the baseline.
fn tables(
    experiment: &Experiment,
    horizon: usize,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Option<Vec<Losses>>> {
    let baseline = experiment.baseline_arm();
    let rate = experiment.arms[baseline].learning_rates[0];
    if experiment.arms[baseline].config.model.architecture == Architecture::Mlp {
        // No tokens are predicted.
        return Ok(Some(Vec::new()));
    }
    let mut flow = || if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let corpus = match data::open(&experiment.arms[baseline].config, &mut |_| flow()) {
        Err(error) if error.is::<data::Interrupted>() => return Ok(None),
        other => other?,
    };
    let mut all = Vec::new();
    for seed in 1..=experiment.seeds {
        let config = experiment.run(baseline, horizon, rate, seed).config;
        let objective = objective::find(&config.objective.name).map_err(anyhow::Error::msg)?;
        match ngram::losses(corpus.as_ref(), objective, &config, &mut flow) {
            Some(losses) => all.push(losses),
            None => return Ok(None),
        }
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests;
