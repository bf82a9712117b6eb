//! An experiment's definition: arms that differ in what is asked about, and runs that are comparable.
//!
//! Owns the file's form, what is wrong with it said key by key, and the expansion to runs. An arm is a config; its runs
//! differ by learning rate, seed and training length (`length`) alone, so that at one seed every arm of one shape begins
//! with the same weights and sees the same text in the same order (`comparable`). Reads the file it is asked to, trains
//! nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::length::{of_length, steps_for};
use super::{comparable, shipped};
use crate::config::RunConfig;
use crate::config::load::{self, ConfigError, one_line};
use crate::config::shipped as configs;
use crate::plan::plan;

/// The seed that learning rates are chosen on. Reported seeds are 1, 2, ...: what was chosen by is not reported.
pub const TUNING_SEED: u64 = 0;

/// What an arm is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is asked about.
    #[default]
    Method,
    /// A shallower model trained in full: if the baseline doesn't beat it, depth isn't used here.
    Shallower,
}

/// One of the things that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub role: Role,
    /// The arm whose FLOPs (all of them) it may spend: its steps are computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equal_flops_to: Option<String>,
    /// The learning rates that are tried; with one, nothing is.
    pub learning_rates: Vec<f64>,
    /// Its config at the base length.
    pub config: RunConfig,
}

/// An experiment with everything written out: what its directory keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its name, and that of its directory.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// Seeds that are reported: 1 to this.
    pub seeds: u64,
    /// The arm that others are compared with.
    pub baseline: String,
    /// Training lengths, each a table of its own.
    pub horizons: Vec<u64>,
    /// The arms.
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
}

/// One run of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its directory's name.
    pub name: String,
    /// Its arm's place.
    pub arm: usize,
    /// Its horizon's place.
    pub horizon: usize,
    /// Its seed.
    pub seed: u64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Everything.
    pub config: RunConfig,
}

/// An experiment as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    question: String,
    config: Value,
    #[serde(default)]
    set: Table,
    #[serde(default = "three")]
    seeds: u64,
    #[serde(default = "full")]
    baseline: String,
    #[serde(default)]
    horizons: Vec<u64>,
    #[serde(default)]
    learning_rates: Vec<f64>,
    #[serde(default)]
    arm: Vec<FileArm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileArm {
    name: String,
    #[serde(default)]
    role: Role,
    #[serde(default)]
    equal_flops_to: Option<String>,
    #[serde(default)]
    learning_rates: Option<Vec<f64>>,
    #[serde(default)]
    set: Table,
}

fn three() -> u64 {
    3
}

fn full() -> String {
    "full".to_owned()
}

impl Experiment {
    /// The experiment of that name: one that is shipped, or a file. `sets` (`KEY=VALUE` each) change every arm's config,
    /// before what the arm itself sets.
    ///
    /// # Errors
    /// If there is none, or anything in it is wrong.
    pub fn load(name: &str, sets: &[String]) -> Result<Self, ConfigError> {
        let (name, text) = source(name)?;
        Self::parse(&name, &text, sets)
    }

    /// An experiment from its text.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(name: &str, text: &str, sets: &[String]) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|e| wrong(name, one_line(&e.to_string())))?;
        let mut base = match &file.config {
            Value::Table(table) => table.clone(),
            Value::String(config) => config_table(name, config)?,
            other => return Err(wrong(name, format!("`config` must be a config's name or a table, not {other}"))),
        };
        merge(&mut base, &file.set);
        for set in sets {
            load::apply(&mut base, set).map_err(|problem| wrong("--set", problem))?;
        }
        let mut arms = Vec::with_capacity(file.arm.len());
        for arm in file.arm {
            let mut table = base.clone();
            merge(&mut table, &arm.set);
            let text = toml::to_string(&table).map_err(|e| wrong(name, e.to_string()))?;
            let config = load::parse(&format!("experiment {name}, arm {}", arm.name), &text, &[])?;
            let mut learning_rates = arm.learning_rates.unwrap_or_else(|| file.learning_rates.clone());
            if learning_rates.is_empty() {
                learning_rates.push(config.optimizer.learning_rate);
            }
            learning_rates.sort_by(f64::total_cmp);
            let (name, role, equal_flops_to) = (arm.name, arm.role, arm.equal_flops_to);
            arms.push(Arm { name, role, equal_flops_to, learning_rates, config });
        }
        let horizons = if file.horizons.is_empty() {
            arms.first().map(|arm| arm.config.train.steps).into_iter().collect()
        } else {
            file.horizons
        };
        let experiment = Self {
            name: name.to_owned(),
            question: file.question,
            seeds: file.seeds,
            baseline: file.baseline,
            horizons,
            arms,
        };
        experiment.check()?;
        Ok(experiment)
    }

    /// The same with other seeds: 1 to `seeds`.
    ///
    /// # Errors
    /// If there are none, or too many.
    pub fn with_seeds(self, seeds: u64) -> Result<Self, ConfigError> {
        let experiment = Self { seeds, ..self };
        experiment.check()?;
        Ok(experiment)
    }

    /// Everything that is wrong with it, at once.
    fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && !name.starts_with('.')
        };
        if !is_name(&self.name) {
            problems
                .push(format!("the name `{}` must be of letters, digits, - and _: it names a directory", self.name));
        }
        let names: Vec<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
        if self.arms.is_empty() {
            problems.push("`[[arm]]`: at least one is needed".to_owned());
        } else if !names.contains(&self.baseline.as_str()) {
            problems.push(format!("`baseline` names `{}`, which is no arm; arms: {}", self.baseline, names.join(", ")));
        }
        if self.seeds == 0 || self.seeds > 1000 {
            problems.push(format!("`seeds` must lie between 1 and 1000, not {}", self.seeds));
        }
        if self.horizons.contains(&0) {
            problems.push("`horizons` must be at least 1 step each".to_owned());
        }
        for (at, arm) in self.arms.iter().enumerate() {
            let key = format!("`arm[{}]`", at + 1);
            if !is_name(&arm.name) {
                problems.push(format!("{key}: `name` must be of letters, digits, - and _, not `{}`", arm.name));
            }
            if names[..at].contains(&arm.name.as_str()) {
                problems.push(format!("{key}: `name` {} is taken by an arm before it", arm.name));
            }
            if arm.learning_rates.iter().any(|rate| !(*rate > 0.0 && rate.is_finite())) {
                problems.push(format!("{key}: `learning_rates` must be positive numbers"));
            }
            if let Some(to) = &arm.equal_flops_to {
                match self.arms.iter().find(|other| other.name == *to) {
                    None => problems.push(format!("{key}: `equal_flops_to` names `{to}`, which is no arm")),
                    Some(other) if other.equal_flops_to.is_some() => {
                        problems.push(format!("{key}: `equal_flops_to` names `{to}`, whose own steps are computed"));
                    }
                    Some(_) => {}
                }
            }
            if let Some(baseline) = self.arms.iter().find(|arm| arm.name == self.baseline) {
                problems.extend(comparable::unlike(arm, baseline).iter().map(|problem| format!("{key}: {problem}")));
            }
        }
        if problems.is_empty() {
            for (arm, horizon) in (0..self.arms.len()).flat_map(|arm| (0..self.horizons.len()).map(move |h| (arm, h))) {
                let config = self.config(arm, horizon, self.arms[arm].learning_rates[0], 1);
                let found = crate::config::check::check(&config);
                let origin = |p| format!("arm {} at {} steps: {p}", self.arms[arm].name, config.train.steps);
                problems.extend(found.iter().map(origin));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { origin: format!("experiment {}", self.name), problems })
        }
    }

    /// The place of the baseline.
    pub fn baseline_arm(&self) -> usize {
        self.arms.iter().position(|arm| arm.name == self.baseline).unwrap_or(0)
    }

    /// The steps of an arm at a horizon: the horizon, or as many as cost what another arm's do there.
    pub fn steps(&self, arm: usize, horizon: usize) -> u64 {
        let steps = self.horizons[horizon];
        let other = self.arms[arm].equal_flops_to.as_ref();
        let Some(other) = other.and_then(|to| self.arms.iter().find(|a| a.name == *to)) else {
            return steps;
        };
        steps_for(&self.arms[arm].config, steps, plan(&of_length(&other.config, steps)).flops)
    }

    /// The config of one run.
    fn config(&self, arm: usize, horizon: usize, learning_rate: f64, seed: u64) -> RunConfig {
        let mut config = of_length(&self.arms[arm].config, self.steps(arm, horizon));
        config.optimizer.learning_rate = learning_rate;
        config.seed = seed;
        config
    }

    /// One run.
    pub fn run(&self, arm: usize, horizon: usize, learning_rate: f64, seed: u64) -> Planned {
        let config = self.config(arm, horizon, learning_rate, seed);
        let name = format!("{}-{}-lr{learning_rate:e}-seed{seed}", self.arms[arm].name, config.train.steps);
        Planned { name, arm, horizon, seed, learning_rate, config }
    }

    /// The runs on which an arm's learning rate at a horizon is chosen; none if there is nothing to choose.
    pub fn tuning(&self, arm: usize, horizon: usize) -> Vec<Planned> {
        let rates = &self.arms[arm].learning_rates;
        let is_choice = rates.len() > 1;
        let tried = rates.iter().filter(|_| is_choice);
        tried.map(|&rate| self.run(arm, horizon, rate, TUNING_SEED)).collect()
    }

    /// How many runs there are in all.
    pub fn runs(&self) -> usize {
        let choice = |arm: &Arm| if arm.learning_rates.len() > 1 { arm.learning_rates.len() } else { 0 };
        let per_horizon: usize = self.arms.iter().map(|arm| choice(arm) + self.seeds as usize).sum();
        per_horizon * self.horizons.len()
    }

    /// As TOML, everything written out.
    pub fn to_toml(&self) -> String {
        // A struct of numbers, strings and tables always serialises.
        toml::to_string(self).unwrap_or_default()
    }
}

/// The name and the text of a shipped experiment or a file.
///
/// # Errors
/// If there is none.
pub fn source(name: &str) -> Result<(String, String), ConfigError> {
    if let Some(text) = shipped::find(name) {
        return Ok((name.to_owned(), text.to_owned()));
    }
    let path = Path::new(name);
    if !path.is_file() {
        let known = shipped::names().join(", ");
        let problem = format!("there is no such file, nor a shipped experiment of that name; shipped: {known}");
        return Err(wrong(name, problem));
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(name, format!("can't be read: {e}")))?;
    Ok((path.file_stem().map_or_else(|| name.to_owned(), |s| s.to_string_lossy().into_owned()), text))
}

/// The table of a shipped config or a file.
pub(super) fn config_table(experiment: &str, config: &str) -> Result<Table, ConfigError> {
    let text = match configs::find(config) {
        Some(text) => text.to_owned(),
        None => std::fs::read_to_string(config).map_err(|e| {
            let known = configs::names().join(", ");
            wrong(
                experiment,
                format!("`config` names `{config}`, which is neither shipped ({known}) nor readable: {e}"),
            )
        })?,
    };
    text.parse().map_err(|e: toml::de::Error| wrong(config, one_line(&e.to_string())))
}

/// Puts the keys of one table into another, section by section.
pub(super) fn merge(into: &mut Table, from: &Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(new)) => merge(inner, new),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

pub(super) fn wrong(origin: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError { origin: format!("experiment {origin}"), problems: vec![problem.into()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
question = "?"
seeds = 2
horizons = [100, 200]
learning_rates = [4e-3, 2e-3]
[config]
train = { steps = 400, batch = 4 }
optimizer = { warmup = 40 }
[[arm]]
name = "full"
set = { method.name = "full" }
[[arm]]
name = "raptr"
set = { stage = [{ path_length = 6 }, { path_length = 12 }] }
[[arm]]
name = "full-short"
equal_flops_to = "raptr"
set = { method.name = "full" }
[[arm]]
name = "half"
role = "shallower"
learning_rates = [1e-3]
set = { method.name = "full", model.layers = 6 }
"#;

    #[test]
    fn arms_differ_by_what_they_set_and_by_nothing_else() {
        let e = Experiment::parse("t", TEXT, &["train.batch=8".to_owned()]).unwrap();
        let run = |arm, horizon, seed| e.run(arm, horizon, 2e-3, seed).config;
        let (full, raptr) = (run(0, 1, 2), run(1, 1, 2));
        assert_eq!((full.seed, full.train.steps, full.train.batch, full.optimizer.warmup), (2, 200, 8, 20));
        assert_eq!(full.optimizer.learning_rate, 2e-3);
        let mut same = raptr;
        (same.method, same.stage) = (full.method.clone(), full.stage.clone());
        assert_eq!(same, full);
        assert_eq!(run(3, 0, 1).model.layers, 6);
        assert_eq!(e.arms[1].learning_rates, [2e-3, 4e-3]);
        // Three arms with two rates and one with one, two seeds, two horizons.
        assert_eq!(e.runs(), 2 * (3 * (2 + 2) + 2));
        assert!(e.tuning(3, 0).is_empty() && e.tuning(0, 0).iter().all(|run| run.seed == TUNING_SEED));
        assert_eq!(e.run(0, 0, 2e-3, 1).name, "full-100-lr2e-3-seed1");
    }

    #[test]
    fn equal_flops_are_equal() {
        let e = Experiment::parse("t", TEXT, &[]).unwrap();
        let flops = |arm| plan(&e.run(arm, 1, 1e-3, 1).config).flops;
        let per_step = flops(0) / 200.0;
        assert!((flops(2) - flops(1)).abs() <= 0.5 * per_step);
        // Half of 200 steps at half the layers: more than 150 of 200 steps, since the head costs the same.
        assert!((150..160).contains(&e.steps(2, 1)), "{}", e.steps(2, 1));
        assert_eq!(e.run(2, 1, 1e-3, 1).config.optimizer.warmup, (e.steps(2, 1) as f64 * 0.1).round() as u64);
    }

    #[test]
    fn it_reads_back_equal() {
        let e = Experiment::parse("t", TEXT, &[]).unwrap();
        let back: Experiment = toml::from_str(&e.to_toml()).unwrap();
        assert_eq!(back, e);
    }

    #[test]
    fn bad_input_names_the_key() {
        for (from, to, expected) in [
            ("seeds = 2", "seeds = 0", "`seeds` must lie between"),
            ("seeds = 2", "seedz = 2", "seedz"),
            ("[100, 200]", "[0]", "`horizons`"),
            ("name = \"half\"", "name = \"full\"", "is taken"),
            ("name = \"half\"", "name = \"a/b\"", "letters, digits"),
            ("equal_flops_to = \"raptr\"", "equal_flops_to = \"rapt\"", "`rapt`, which is no arm"),
            ("[1e-3]", "[-1.0]", "`learning_rates` must be positive"),
            ("model.layers = 6", "model.layerz = 6", "layerz"),
            ("model.layers = 6", "model.layers = 0", "model.layers"),
            ("path_length = 6 }", "path_length = 60 }", "stage[1].path_length"),
            ("question = \"?\"", "question = \"?\"\nbaseline = \"none\"", "`none`, which is no arm"),
            ("[config]\n", "config = \"quikstart\"\n[set]\n", "quickstart"),
        ] {
            let error = Experiment::parse("t", &TEXT.replace(from, to), &[]).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{to}: {error}");
        }
        let error = Experiment::load("horizont", &[]).unwrap_err().to_string();
        assert!(error.contains("shipped:"), "{error}");
        assert!(Experiment::parse("t", TEXT, &["seed".to_owned()]).unwrap_err().to_string().contains("KEY=VALUE"));
    }
}
