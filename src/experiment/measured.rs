//! What an experiment's runs measured beside the loss, arm by arm: any series that was measured on the full model.
//!
//! Owns the summary over seeds of what is measured at the end, and the mean curves for charts. Knows no measurement by
//! name: whatever the recordings hold becomes a table.

use serde::{Deserialize, Serialize};

use super::figures::{Figures, Series};
use super::results::ArmResult;
use super::statistics::{Summary, summary};

/// A table: what was measured at the end of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What is measured, as in "coefficient error by degree".
    pub name: String,
    /// Its columns.
    pub labels: Vec<String>,
    /// Its rows: arms that measured it.
    pub arms: Vec<MeasuredArm>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredArm {
    /// The arm's name.
    pub arm: String,
    /// Over seeds, for each label; none where the arm has no such label.
    pub values: Vec<Option<Summary>>,
}

/// The tables of everything that any arm's finished runs measured.
pub fn of(arms: &[ArmResult]) -> Vec<Measured> {
    let mut tables: Vec<Measured> = Vec::new();
    for series in arms.iter().flat_map(finished).flat_map(|figures| &figures.measured) {
        let table = tables.iter_mut().find(|table| table.name == series.name);
        match table {
            // Arms of another depth may have fewer columns, or more.
            Some(table) if table.labels.len() < series.labels.len() => table.labels.clone_from(&series.labels),
            Some(_) => {}
            None => {
                let (name, labels) = (series.name.clone(), series.labels.clone());
                tables.push(Measured { name, labels, arms: Vec::new() });
            }
        }
    }
    for table in &mut tables {
        for arm in arms {
            let last = |label: &String| {
                let of_run = |f: &Figures| {
                    let series = f.series(&table.name)?;
                    let at = series.labels.iter().position(|l| l == label)?;
                    // One that was measured only on the way says nothing of the end.
                    let last = series.readings.last().filter(|reading| reading.steps == f.spent.steps)?;
                    last.values.get(at).copied()
                };
                summary(&finished(arm).filter_map(of_run).collect::<Vec<_>>())
            };
            let values: Vec<Option<Summary>> = table.labels.iter().map(last).collect();
            if values.iter().any(Option::is_some) {
                table.arms.push(MeasuredArm { arm: arm.name.clone(), values });
            }
        }
    }
    tables.retain(|table| !table.arms.is_empty());
    tables
}

/// An arm's runs that were trained to their end.
fn finished(arm: &ArmResult) -> impl Iterator<Item = &Figures> {
    arm.runs.iter().map(|run| &run.figures).filter(|figures| figures.final_loss().is_some())
}

/// The mean over seeds of one label of a series against steps: steps, mean and deviation. Only steps that every run
/// measured at.
pub fn curve(arm: &ArmResult, name: &str, label: &str) -> Vec<[f64; 3]> {
    let all: Vec<&Series> = finished(arm).filter_map(|figures| figures.series(name)).collect();
    let Some((first, others)) = all.split_first() else { return Vec::new() };
    let value = |series: &Series, steps: u64| {
        let at = series.labels.iter().position(|l| l == label)?;
        series.readings.iter().find(|reading| reading.steps == steps)?.values.get(at).copied()
    };
    let points = first.readings.iter().filter_map(|reading| {
        let steps = reading.steps;
        let mut values = vec![value(first, steps)?];
        for series in others {
            values.push(value(series, steps)?);
        }
        let s = summary(&values)?;
        Some([steps as f64, s.mean, s.std.unwrap_or(0.0)])
    });
    points.collect()
}
