//! Forks: a new run that goes on from another's checkpoint in another way.
//!
//! Owns which checkpoint is meant and what may differ from the parent: what is trained from here on may, the model and
//! the text may not. Reads names, looks into no checkpoint and trains nothing; `session` does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::config::load::ConfigError;
use crate::config::{RunConfig, StageConfig};
use crate::run_dir;
use crate::schedule::Schedule;
use crate::trainer::checkpoint::{self, Kind, Named};

/// Where a fork begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The parent's directory.
    pub dir: PathBuf,
    /// The parent's name, as `run_dir::find` takes it.
    pub parent: String,
    /// The checkpoint, relative to the parent's directory.
    pub file: String,
    /// Keys that are not as the parent's, each with both values.
    pub changes: Vec<String>,
    /// Whether the config has another table of stages than the parent's; if not, what the person had made of that one
    /// until then holds on.
    pub own_table: bool,
}

/// Sections and keys that a fork can't change, and why.
const FIXED: &[(&str, &str)] = &[
    ("model", "its weights are the parent's"),
    ("seed", "it goes on in the parent's draws"),
    ("data", "it goes on in the parent's text"),
    ("objective", "its losses go on from the parent's"),
    ("train.batch", "it goes on in the parent's text"),
    ("train.accumulate", "it goes on in the parent's text"),
    ("evaluation.batches", "its evaluations are compared with the parent's"),
];

/// The parent and the checkpoint that a person means: `RUN` (its newest), `RUN:STEP` or `RUN:stage-N` (where it begins).
///
/// # Errors
/// If there is no such run or checkpoint; the sentence names those that there are.
pub fn find(runs: &Path, spec: &str) -> Result<(PathBuf, Named)> {
    let (dir, which) = match (run_dir::find(runs, spec), spec.rsplit_once(':')) {
        (Ok(dir), _) => (dir, None),
        (Err(_), Some((run, which))) => (run_dir::find(runs, run)?, Some(which)),
        (Err(error), None) => return Err(error),
    };
    let all = checkpoint::list(&dir)?;
    let stage = which.and_then(|w| w.strip_prefix("stage-")).and_then(|n| n.parse::<usize>().ok());
    let step = which.and_then(|w| w.parse::<u64>().ok());
    // At one step the marked one: it was made before anything was done for the stage.
    let found = all.iter().rev().find(|c| match which {
        None => true,
        Some(_) => Some(c.step) == step || matches!(c.kind, Kind::Stage(s) if Some(s + 1) == stage),
    });
    if let Some(found) = found {
        return Ok((dir, found.clone()));
    }
    let known: Vec<String> = all.iter().map(name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    bail!(
        "{} has no checkpoint {}; there are: {known}",
        dir.display(),
        which.map_or("yet".to_owned(), |w| format!("`{w}` (a step, or stage-N)"))
    )
}

/// A checkpoint as a person names it.
fn name(c: &Named) -> String {
    match c.kind {
        Kind::Stage(stage) => format!("{} (stage-{})", c.step, stage + 1),
        Kind::Fork | Kind::Passing => c.step.to_string(),
    }
}

/// Where a fork with this config begins, if it may.
///
/// # Errors
/// Naming every key that a fork can't change.
pub fn origin(runs: &Path, dir: PathBuf, checkpoint: Named, parent: &RunConfig, own: &RunConfig) -> Result<Origin> {
    let changes = differences(parent, own)?;
    let is_within =
        |key: &str, fixed: &str| key == fixed || key.strip_prefix(fixed).is_some_and(|k| k.starts_with('.'));
    let reason = |key: &str| FIXED.iter().find(|(fixed, _)| is_within(key, fixed)).map(|(_, why)| *why);
    let refused =
        changes.iter().filter_map(|(key, _)| Some(format!("`{key}` can't change in a fork: {}", reason(key)?)));
    let problems: Vec<String> = refused.collect();
    if !problems.is_empty() {
        return Err(ConfigError { origin: "--fork".to_owned(), problems }.into());
    }
    let own_table = parent.schedule() != own.schedule();
    let changes = changes.into_iter().map(|(key, values)| format!("{key}: {values}")).collect();
    Ok(Origin { parent: name_below(runs, &dir), dir, file: checkpoint.file, changes, own_table })
}

/// A run's name below the directory of runs; elsewhere its whole directory.
fn name_below(runs: &Path, dir: &Path) -> String {
    let absolute = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    let (Ok(dir_absolute), Ok(runs)) = (absolute(dir), absolute(runs)) else {
        return dir.display().to_string();
    };
    dir_absolute.strip_prefix(&runs).unwrap_or(&dir_absolute).display().to_string()
}

/// Every key whose values differ between two configs, with both.
///
/// # Errors
/// Never, for a config that could be read.
pub fn differences(a: &RunConfig, b: &RunConfig) -> Result<Vec<(String, String)>> {
    let table = |config: &RunConfig| Table::try_from(config).context("writing out the config");
    let mut found = Vec::new();
    compare("", &table(a)?, &table(b)?, &mut found);
    Ok(found)
}

/// What `--set` would have to say for a table that, from `step` on, has other path lengths than `now`, each for an equal
/// share of what is left: the rows until then are as they were.
pub fn stages(config: &RunConfig, now: &Schedule, step: u64, lengths: &[usize]) -> String {
    let whole = StageConfig { path_length: now.layers, share: 1.0, steps: None, fixed: None };
    let usual = RunConfig { stage: vec![whole], ..config.clone() }.rows()[0].fixed;
    let mut rows = Vec::new();
    let mut begins = 0;
    for stage in &now.stages {
        let steps = stage.steps.min(step.saturating_sub(begins));
        begins += stage.steps;
        if steps > 0 {
            let layers: Vec<String> = stage.fixed.active().map(|layer| (layer + 1).to_string()).collect();
            let fixed = if stage.fixed == usual { String::new() } else { format!(",fixed=[{}]", layers.join(",")) };
            rows.push(format!("{{path_length={},steps={steps}{fixed}}}", stage.path_length));
        }
    }
    rows.extend(lengths.iter().map(|length| format!("{{path_length={length}}}")));
    format!("stage=[{}]", rows.join(","))
}

/// Every key whose values differ, with both.
fn compare(prefix: &str, a: &Table, b: &Table, found: &mut Vec<(String, String)>) {
    let mut keys: Vec<&String> = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))).collect();
    keys.sort();
    for key in keys {
        let name = format!("{prefix}{key}");
        match (a.get(key), b.get(key)) {
            (Some(Value::Table(a)), Some(Value::Table(b))) => compare(&format!("{name}."), a, b, found),
            (a, b) if a == b => {}
            (a, b) => {
                let text = |v: Option<&Value>| v.map_or("none".to_owned(), short);
                found.push((name, format!("{} -> {}", text(a), text(b))));
            }
        }
    }
}

/// A value in a few words: of the table of stages, its path lengths.
fn short(value: &Value) -> String {
    let lengths = value.as_array().and_then(|rows| {
        let row = |row: &Value| {
            let length = row.get("path_length")?;
            Some(row.get("steps").map_or(length.to_string(), |steps| format!("{length} ({steps} steps)")))
        };
        rows.iter().map(row).collect::<Option<Vec<_>>>().filter(|rows| !rows.is_empty())
    });
    lengths.map_or_else(|| value.to_string(), |lengths| lengths.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse;

    fn run(checkpoints: &[&str]) -> tempfile::TempDir {
        let runs = tempfile::tempdir().unwrap();
        let dir = runs.path().join("a");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(crate::recording::FILE), "").unwrap();
        for name in checkpoints {
            std::fs::create_dir_all(dir.join("checkpoints").join(name)).unwrap();
        }
        runs
    }

    #[test]
    fn a_checkpoint_is_named_by_step_or_stage() {
        let runs = run(&["step-00000008-stage-2", "step-00000010", "step-00000016", "step-00000016-stage-3"]);
        let file = |spec: &str| find(runs.path(), spec).map(|(_, c)| c.file.replace("checkpoints/", ""));
        for (spec, expected) in [
            ("a", "step-00000016-stage-3"),
            ("latest:10", "step-00000010"),
            ("a:16", "step-00000016-stage-3"),
            ("a:stage-2", "step-00000008-stage-2"),
        ] {
            assert_eq!(file(spec).unwrap(), expected, "{spec}");
        }
        for (spec, expected) in
            [("a:9", "there are: 8 (stage-2), 10, 16, 16 (stage-3)"), ("a:stage-4", "`stage-4`"), ("b:8", "no run `b`")]
        {
            let error = file(spec).unwrap_err().to_string();
            assert!(error.contains(expected), "{spec}: {error}");
        }
        let empty = run(&[]);
        assert!(find(empty.path(), "a").unwrap_err().to_string().contains("has no checkpoint yet"));
    }

    #[test]
    fn path_lengths_from_a_step_on_leave_what_was_before() {
        let config = |sets: &[String]| {
            parse("t", "[train]\nsteps = 30\n[[stage]]\npath_length = 6\n[[stage]]\npath_length = 12", sets).unwrap()
        };
        let table = |step, lengths: &[usize]| {
            config(&[stages(&config(&[]), &config(&[]).schedule(), step, lengths)]).schedule()
        };
        let rows = |s: Schedule| s.stages.iter().map(|s| (s.steps, s.path_length)).collect::<Vec<_>>();
        assert_eq!(rows(table(15, &[8, 9, 12])), [(15, 6), (5, 8), (5, 9), (5, 12)]);
        assert_eq!(rows(table(20, &[12])), [(15, 6), (5, 12), (10, 12)]);
        assert_eq!(table(20, &[12]).stages[0], config(&[]).schedule().stages[0], "the fixed layers too");
    }

    #[test]
    fn what_is_trained_from_here_on_may_change_and_model_and_text_may_not() {
        let config = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|&s| s.to_owned()).collect();
            parse("t", "[train]\nsteps = 30\n[[stage]]\npath_length = 6\n[[stage]]\npath_length = 12", &sets).unwrap()
        };
        let runs = run(&["step-00000010"]);
        let origin = |sets: &[&str]| {
            let (dir, checkpoint) = find(runs.path(), "a").unwrap();
            origin(runs.path(), dir, checkpoint, &config(&[]), &config(sets))
        };
        let same = origin(&[]).unwrap();
        assert_eq!((same.parent.as_str(), same.changes.len(), same.own_table), ("a", 0, false));
        let other =
            origin(&["stage=[{path_length=6,steps=10},{path_length=9}]", "optimizer.learning_rate=0.5"]).unwrap();
        assert_eq!(other.changes, ["optimizer.learning_rate: 0.001 -> 0.5", "stage: 6-12 -> 6 (10 steps)-9"]);
        assert!(other.own_table && !origin(&["optimizer.clip=2.0"]).unwrap().own_table);
        for set in ["model.width=128", "seed=1", "train.batch=2", "objective.name=prefix", "data.vocabulary=9000"] {
            let key = set.split('=').next().unwrap();
            let error = origin(&[set]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}` can't change in a fork: ")), "{error}");
        }
    }
}
