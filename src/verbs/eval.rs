//! `raptr-tui eval` and `raptr-tui compare`: what finished runs are worth.

use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::{Exit, recording_file};
use crate::config::load::{ConfigError, parse};
use crate::data::{self, DataError};
use crate::event::{Event, Score};
use crate::experiment::compare as comparison;
use crate::experiment::figures::Figures;
use crate::measure::Measured;
use crate::measurement::{Measurement, What, number};
use crate::trainer::Trainer;
use crate::trainer::checkpoint::{self, NoStore};
use crate::{model, recording, run_dir};

/// What `eval` found.
#[derive(Serialize)]
struct Evaluation {
    run: String,
    /// Relative to the run's directory.
    checkpoint: String,
    step: u64,
    layers: usize,
    /// Of them, those that exist so far.
    existing: usize,
    /// What losses are measured in.
    loss_unit: String,
    /// On the run's fixed validation batches.
    scores: Vec<Score>,
    /// What else was asked for.
    measurements: Vec<Measurement>,
}

/// Evaluates a run's newest checkpoint: the full model, a path length, or every one; and measures what is named.
///
/// # Errors
/// If there is no such run, path length or measurement, or the run's checkpoint or text can't be read.
pub fn eval(runs: &Path, name: &str, path_length: Option<&str>, measure: &[String], json: bool) -> Result<Exit> {
    let whats = whats(measure)?;
    let dir = run_dir::find(runs, name)?;
    let file = dir.join("config.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let mut config = parse(&file.display().to_string(), &text, &[])?;
    // Where it was trained doesn't matter, but for rounding.
    if model::find_device(&config).is_err() {
        "cpu".clone_into(&mut config.train.device);
    }
    let layers = config.model.layers;
    let fixed = config.schedule().stages.last().map_or(0, |stage| stage.fixed.path_length()).max(1);
    // Before the text is read: a length that no model of this depth has is a slip of the keyboard.
    lengths(path_length, fixed, layers)?;
    let corpus = data::open(&config, &mut |_| ControlFlow::Continue(()))?;
    let events = recording::read(&dir.join(recording::FILE))?;
    if let Some(Event::Started(started)) = events.first().map(|s| &s.event)
        && started.data_checksum != corpus.checksum()
    {
        let then = &started.data;
        let problem =
            format!("the data or its tokenizer has changed since the run began: {then} then, {} now", corpus.about());
        return Err(DataError::new(problem).into());
    }
    let found = checkpoint::newest(&dir).map_err(|e| DataError::new(format!("{e:#}")))?;
    let mut trainer = Trainer::new(config, corpus, Box::new(NoStore))?;
    let step = found.snapshot.state.step;
    trainer.resume(found.snapshot, &found.file, 0).map_err(|e| DataError::new(format!("{e:#}")))?;
    let existing = trainer.existing();
    let lengths = lengths(path_length, fixed.min(existing), existing)?;
    let scores = trainer.scores(&lengths, &|| false)?.unwrap_or_default();
    let mut measurements = Vec::new();
    for what in whats {
        match trainer.measure(what, &|| false)? {
            Measured::Series(series) => measurements.extend(series),
            Measured::Impossible(reason) => bail!("{} can't be measured here: {reason}", what.name()),
            Measured::Interrupted => {}
        }
    }
    let run = dir.file_name().map_or_else(|| name.to_owned(), |n| n.to_string_lossy().into_owned());
    let loss_unit = trainer.loss_unit().to_owned();
    let evaluation =
        Evaluation { run, checkpoint: found.file, step, layers, existing, loss_unit, scores, measurements };
    if json {
        return Ok(Exit::text(serde_json::to_string_pretty(&evaluation)? + "\n"));
    }
    let mut text =
        format!("{}: {}, {step} steps\n\npath length     loss   ±spread\n", evaluation.run, evaluation.checkpoint);
    for score in &evaluation.scores {
        let length = format!("{}/{layers}", score.path_length);
        let _ = writeln!(text, "{length:>11}  {:>7.4}  {:>8.4}", score.loss, score.spread);
    }
    if existing < layers {
        let _ = writeln!(text, "\nOnly {existing} of the {layers} layers exist so far: there is no full model yet.");
    }
    let _ = writeln!(
        text,
        "\nIn {}, on the run's fixed validation batches; below the full model each batch has a layer path of its own, the\n\
         fixed layers and a uniform draw of the others. The spread is the standard deviation over batches.",
        evaluation.loss_unit
    );
    for m in &evaluation.measurements {
        let _ = writeln!(text, "\n{} ({}/{layers} layers)", m.name, m.path_length);
        let column = m.labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(11);
        for (i, (label, value)) in m.labels.iter().zip(&m.values).enumerate() {
            let spread = m.spreads.get(i).map_or(String::new(), |s| format!("  ±{}", number(*s)));
            let _ = writeln!(text, "{label:>column$}  {:>7}{spread}", number(*value));
        }
    }
    Ok(Exit::text(text))
}

/// The measurements that are meant.
fn whats(names: &[String]) -> Result<Vec<What>> {
    let find = |name: &String| {
        What::named(name).map_err(|known| {
            let problem = format!("unknown measurement `{name}`; known: {known}");
            ConfigError { origin: "--measure".to_owned(), problems: vec![problem] }.into()
        })
    };
    names.iter().map(find).collect()
}

/// The path lengths that are meant: every one up to the layers that exist, or none named for all of those.
fn lengths(path_length: Option<&str>, fixed: usize, existing: usize) -> Result<Vec<usize>> {
    match path_length {
        None => Ok(vec![existing]),
        Some("all") => Ok((fixed..=existing).collect()),
        Some(text) => match text.parse() {
            Ok(length) if (fixed..=existing).contains(&length) => Ok(vec![length]),
            _ => {
                let problem =
                    format!("must be all or a number between {fixed} (the fixed layers) and {existing}, not {text}");
                Err(ConfigError { origin: "--path-length".to_owned(), problems: vec![problem] }.into())
            }
        },
    }
}

/// Puts runs side by side.
///
/// # Errors
/// If one can't be read.
pub fn compare(runs: &Path, names: &[String], json: bool) -> Result<Exit> {
    let mut read = Vec::with_capacity(names.len());
    for name in names {
        let figures = Figures::of(&recording::read(&recording_file(runs, name)?)?)?;
        read.push((name.trim_end_matches('/').to_owned(), figures));
    }
    let comparison = comparison::compare(&read);
    Ok(Exit::text(if json { serde_json::to_string_pretty(&comparison)? + "\n" } else { comparison.to_text() }))
}
