//! Reading a config: a TOML file of differences over the defaults, then `--set KEY=VALUE`.
//!
//! Owns the merge and the wording of what is wrong. Keys are strict. Reads the one file it is asked to and nothing else.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::check::{Problem, check};
use super::{RunConfig, shipped};

/// A config that can't be used: everything that is wrong with it.
#[derive(Debug)]
pub struct ConfigError {
    /// Where it was read from.
    pub origin: String,
    /// One line per problem.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.problems.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    fn new(origin: &str, problem: impl Into<String>) -> Self {
        Self { origin: origin.to_owned(), problems: vec![problem.into()] }
    }
}

/// The config of that name: one that is shipped, or a file.
///
/// # Errors
/// If there is no such config, or anything in it or in `sets` (`KEY=VALUE` each) is wrong.
pub fn load(name: &str, sets: &[String]) -> Result<RunConfig, ConfigError> {
    if let Some(text) = shipped::find(name) {
        return parse(&format!("config {name}"), text, sets);
    }
    if !Path::new(name).is_file() {
        return Err(ConfigError::new(
            &format!("config {name}"),
            format!(
                "there is no such file, nor a shipped config of that name; shipped: {}",
                shipped::names().join(", ")
            ),
        ));
    }
    let text = std::fs::read_to_string(name).map_err(|e| ConfigError::new(name, format!("can't be read: {e}")))?;
    parse(name, &text, sets)
}

/// A config from its text and the overrides; `origin` is named in errors.
///
/// # Errors
/// As [`load`].
pub fn parse(origin: &str, text: &str, sets: &[String]) -> Result<RunConfig, ConfigError> {
    let mut table: Table =
        text.parse().map_err(|e: toml::de::Error| ConfigError::new(origin, one_line(&e.to_string())))?;
    for set in sets {
        apply(&mut table, set).map_err(|problem| ConfigError::new("--set", problem))?;
    }
    let config = RunConfig::deserialize(table).map_err(|e| ConfigError::new(origin, one_line(&e.to_string())))?;
    let problems: Vec<String> = check(&config).iter().map(Problem::to_string).collect();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError { origin: origin.to_owned(), problems }) }
}

/// Puts one `KEY=VALUE` into the table. The value is TOML; what is no TOML value is taken as a string.
pub(crate) fn apply(table: &mut Table, set: &str) -> Result<(), String> {
    let (key, text) = set.split_once('=').ok_or_else(|| format!("`{set}` must have the form KEY=VALUE"))?;
    let (key, text) = (key.trim(), text.trim());
    let value = format!("v = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().filter(|k| !k.is_empty()).ok_or_else(|| format!("`{set}` has no key"))?;
    let mut table = table;
    for part in parts {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().ok_or_else(|| format!("`{key}`: `{part}` is no section"))?;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

/// A parser's message of several lines as one.
pub(crate) fn one_line(message: &str) -> String {
    message.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(sets: &[&str]) -> Vec<String> {
        sets.iter().map(|&s| s.to_owned()).collect()
    }

    #[test]
    fn overrides_any_key() {
        let config = parse(
            "t",
            "seed = 3\n[train]\nsteps = 50",
            &sets(&[
                "train.batch=4",
                "optimizer.warmup = 5",
                "method.name=raptr",
                "stage=[{path_length=6},{path_length=12,share=2}]",
            ]),
        )
        .unwrap();
        assert_eq!((config.seed, config.train.steps, config.train.batch), (3, 50, 4));
        assert_eq!(config.schedule().stages.iter().map(|s| s.steps).collect::<Vec<_>>(), [17, 33]);
    }

    #[test]
    fn a_config_written_out_reads_back_equal() {
        let config = parse("t", "seed = 3\n[[stage]]\npath_length = 6\n[[stage]]\npath_length = 12", &[]).unwrap();
        assert_eq!(parse("t", &config.to_toml(), &[]).unwrap(), config);
    }

    #[test]
    fn bad_input_names_the_key() {
        for (text, set, expected) in [
            ("[train]\nstepz = 1", "seed=1", "stepz"),
            ("", "train.stepz=1", "stepz"),
            ("", "train.steps=many", "steps"),
            ("", "train.steps=0", "`train.steps` must lie between 1"),
            ("", "novalue", "KEY=VALUE"),
            ("", "seed.x.y=1", "seed"),
            ("seed = [", "seed=1", "line 1"),
        ] {
            let error = parse("t", text, &sets(&[set])).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{text} {set}: {error}");
        }
    }

    #[test]
    fn an_unknown_config_is_told_the_shipped_ones() {
        assert!(load("quickstar", &[]).unwrap_err().to_string().contains("quickstart"));
    }
}
