//! What there is to say of one run, recording or config, when somebody looks at it.

use std::path::Path;

use anyhow::Result;

use super::super::recording_file;
use crate::app::run::Run;
use crate::app::runs::list::Kind;
use crate::app::runs::{Checkpoint, Details};
use crate::config::load::{load, parse};
use crate::config::{RunConfig, shipped};
use crate::event::Started;
use crate::measurement::short;
use crate::plan::plan;
use crate::trainer::checkpoint::{self, Kind as Of};
use crate::{fork, recording};

/// Longer recordings are not read whole just to be looked at, in bytes.
const LONGEST: u64 = 200 << 20;
/// Changed keys that are listed.
const CHANGES: usize = 6;

/// What there is to say.
pub(super) fn details(runs: &Path, kind: Kind, name: &str) -> Details {
    let mut details = Details { of: Some((kind, name.to_owned())), ..Details::default() };
    let told = match kind {
        Kind::Config => config(name, &mut details),
        Kind::Run | Kind::Recording => run(runs, name, &mut details),
    };
    if let Err(error) = told {
        fact(&mut details, "", format!("{error:#}"));
    }
    details
}

fn fact(details: &mut Details, name: &str, text: impl Into<String>) {
    details.facts.push((name.to_owned(), text.into()));
}

/// A config's plan.
fn config(name: &str, details: &mut Details) -> Result<()> {
    // A plan needs no text.
    let config = load(name, &[]).or_else(|_| load(name, &["data.path=\"-\"".to_owned()]))?;
    let plan = plan(&config);
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    if let Some(text) = shipped::find(name) {
        fact(details, "", shipped::about(text));
    }
    let m = &config.model;
    fact(details, "model", format!("{} layers, width {}, context {}", m.layers, m.width, m.context));
    fact(details, "trains", format!("{}, {}", config.method.name, config.objective.name));
    fact(
        details,
        "parameters",
        format!("{} ({} a layer)", short(plan.parameters as f64), short(plan.layer_parameters as f64)),
    );
    let memory = format!("{} weights and moments, {} for a step", mib(plan.state_bytes), mib(plan.step_bytes));
    fact(details, "memory", memory);
    fact(details, "disk", format!("up to {} checkpoints of {}", plan.checkpoints, mib(plan.state_bytes)));
    let mut name = "stages";
    for stage in &plan.stages {
        let text = format!("{:>6} steps  {:>2}/{}  {:.2}x", stage.steps, stage.path_length, m.layers, stage.speed_up);
        fact(details, std::mem::take(&mut name), text);
    }
    let saved = 100.0 * (1.0 - plan.flops / plan.full_flops);
    fact(details, "FLOPs", format!("{}FLOP, {saved:.0} % saved", short(plan.flops)));
    if config.data.source == crate::config::Source::Text {
        fact(details, "text", "yours: start it with --data FILE|DIR, or data.path in a config");
    }
    Ok(())
}

/// A run's config, stages, evaluations and checkpoints.
fn run(runs: &Path, name: &str, details: &mut Details) -> Result<()> {
    let file = recording_file(runs, name)?;
    if let Some(dir) = file.parent() {
        details.checkpoints = checkpoints(dir);
    }
    if std::fs::metadata(&file)?.len() > LONGEST {
        fact(details, "", "its recording is too long to be read for a look; v shows it");
        return tell_checkpoints(details);
    }
    let mut run = Run::default();
    recording::effective(&recording::read(&file)?).iter().for_each(|event| run.apply(event));
    let Some(started) = &run.started else { return Ok(()) };
    fact(details, "trains", format!("{}, {}", started.method, started.objective));
    fact(details, "text", started.data.clone());
    fact(details, "on", started.device.clone());
    if let Some(forked) = &run.forked {
        fact(details, "forked", format!("from {} at step {}", forked.parent, forked.step));
        forked.changes.iter().for_each(|change| fact(details, "", change.clone()));
    }
    changes(name, started, details)?;
    let mut label = "stages";
    if let Some(schedule) = &run.schedule {
        let stages = schedule.stages.iter().enumerate().filter(|(_, stage)| stage.steps > 0);
        for (index, stage) in stages {
            let end = schedule.start(index) + stage.steps;
            let mark = if run.step >= end { "done" } else { "" };
            let text = format!("{:>6} steps  {:>2}/{}  {mark}", stage.steps, stage.path_length, schedule.layers);
            fact(details, std::mem::take(&mut label), text.trim_end());
        }
    }
    let by_hand = run.edits.len();
    if by_hand > 0 {
        fact(details, "by hand", format!("the table was changed {by_hand} times"));
    }
    let best = run.full.iter().min_by(|a, b| a.loss.total_cmp(&b.loss));
    if let (Some(best), Some(last)) = (best, run.full.last()) {
        fact(details, "full model", format!("{:.4} at step {}", last.loss, last.step));
        if best.step != last.step {
            fact(details, "best", format!("{:.4} at step {}", best.loss, best.step));
        }
    }
    if run.step > 0 {
        fact(details, "FLOPs saved", format!("{:.1} %", 100.0 * run.saved()));
        fact(details, "took", crate::view::duration(run.us as f64 / 1e6));
    }
    if let Some(failure) = &run.failure {
        fact(details, "failed", failure.reason.clone());
    }
    tell_checkpoints(details)
}

/// Keys that are not as in the shipped config of the run's name, or as by default.
fn changes(name: &str, started: &Started, details: &mut Details) -> Result<()> {
    let own = parse("its config", &started.config, &[])?;
    let stem = name.rsplit('/').next().unwrap_or(name);
    let known =
        shipped::names().into_iter().filter(|config| stem.starts_with(config)).max_by_key(|config| config.len());
    let (of, base) = match known.and_then(|name| Some((name, load(name, &[]).ok()?))) {
        Some(found) => found,
        None => ("the defaults", RunConfig::default()),
    };
    let found = fork::differences(&base, &own)?;
    fact(details, "config", if found.is_empty() { format!("{of}, as shipped") } else { format!("{of}, but for") });
    found.iter().take(CHANGES).for_each(|(key, values)| fact(details, "", format!("{key}: {values}")));
    if found.len() > CHANGES {
        fact(details, "", format!("and {} more", found.len() - CHANGES));
    }
    Ok(())
}

fn checkpoints(dir: &Path) -> Vec<Checkpoint> {
    let total = |file: &str| checkpoint::state(&dir.join(file)).map_or(0, |state| state.schedule.total_steps());
    let all = checkpoint::list(dir).unwrap_or_default().into_iter();
    let told = all.map(|c| Checkpoint {
        step: c.step,
        stage: if let Of::Stage(stage) = c.kind { Some(stage + 1) } else { None },
        left: total(&c.file).saturating_sub(c.step),
        file: c.file,
    });
    told.collect()
}

fn tell_checkpoints(details: &mut Details) -> Result<()> {
    let each = details.checkpoints.iter().map(|c| match c.stage {
        Some(stage) => format!("{} (stage {stage})", c.step),
        None => c.step.to_string(),
    });
    let each: Vec<String> = each.collect();
    if !each.is_empty() {
        fact(details, "checkpoints", each.join(", "));
    }
    Ok(())
}
