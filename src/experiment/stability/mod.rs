//! The experiment about stability: the paper's linear networks beside values simulated elsewhere, and small transformers
//! with norm or residual connections removed, at initialisation and after a short training.
//!
//! Owns its definition's form and the measuring; `report` has the wording and the charts. Measures anew each time it is
//! asked (a minute or so). `theory::stability` has the linear networks, `measure::psi` what is measured of a transformer.

mod report;

use std::ops::ControlFlow;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::definition::{config_table, merge, wrong};
use super::dir::ExperimentDir;
use super::statistics::{Summary, summary};
use crate::config::RunConfig;
use crate::config::load::{self, ConfigError, one_line};
use crate::event::Event;
use crate::layer_path::LayerPath;
use crate::measure::psi;
use crate::theory::oracle::oracle;
use crate::theory::stability::{Network, Setup, Table as Linear, table};
use crate::trainer::checkpoint::NoStore;
use crate::trainer::{NotFinite, Trainer};
use crate::{data, objective};

/// What `kind` says in a definition.
pub const KIND: &str = "stability";

/// A definition, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name, and that of its directory.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// The linear networks.
    pub linear: Setup,
    /// Every transformer, in the order of measuring.
    pub networks: Vec<Transformer>,
    /// Batches that a transformer is measured on.
    pub batches: u64,
}

/// One transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Transformer {
    /// The variant's name.
    pub variant: String,
    /// All the rest: depth, seed, steps.
    pub config: RunConfig,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "kind")]
    _kind: String,
    question: String,
    linear: FileLinear,
    transformer: FileTransformer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLinear {
    width: usize,
    depths: Vec<usize>,
    seeds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTransformer {
    config: Value,
    depths: Vec<usize>,
    seeds: u64,
    steps: u64,
    batches: u64,
    #[serde(default)]
    set: Table,
    #[serde(default)]
    variant: Vec<Variant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    name: String,
    #[serde(default)]
    set: Table,
}

/// Whether a definition is one of this kind.
///
/// # Errors
/// If it is of a kind that isn't known.
pub fn is_it(name: &str, text: &str) -> Result<bool, ConfigError> {
    // What is no TOML at all, whoever parses it will say.
    match text.parse::<Table>().ok().as_ref().and_then(|table| table.get("kind")) {
        None => Ok(false),
        Some(Value::String(kind)) if kind == KIND => Ok(true),
        Some(kind) => {
            Err(wrong(name, format!("`kind` must be \"{KIND}\", or left out where there are arms, not {kind}")))
        }
    }
}

impl Definition {
    /// A definition from its text; `sets` (`KEY=VALUE` each) change its keys, as in `transformer.steps=10`.
    ///
    /// # Errors
    /// Naming what is wrong.
    pub fn parse(name: &str, text: &str, sets: &[String]) -> Result<Self, ConfigError> {
        let mut whole: Table = text.parse().map_err(|e: toml::de::Error| wrong(name, one_line(&e.to_string())))?;
        for set in sets {
            load::apply(&mut whole, set).map_err(|problem| wrong("--set", problem))?;
        }
        let file: File = File::deserialize(whole).map_err(|e| wrong(name, one_line(&e.to_string())))?;
        let FileLinear { width, mut depths, seeds } = file.linear;
        depths.sort_unstable();
        let t = file.transformer;
        check(name, &depths, &[("linear.width", width as u64), ("linear.seeds", seeds)])?;
        check(
            name,
            &t.depths,
            &[("transformer.seeds", t.seeds), ("transformer.steps", t.steps), ("transformer.batches", t.batches)],
        )?;
        let mut base = match &t.config {
            Value::Table(table) => table.clone(),
            Value::String(config) => config_table(name, config)?,
            other => return Err(wrong(name, format!("`transformer.config` must be a name or a table, not {other}"))),
        };
        merge(&mut base, &t.set);
        let mut networks = Vec::new();
        for variant in &t.variant {
            for &layers in &t.depths {
                for seed in 1..=t.seeds {
                    let mut table = base.clone();
                    merge(&mut table, &variant.set);
                    let text = toml::to_string(&table).map_err(|e| wrong(name, e.to_string()))?;
                    let origin = format!("experiment {name}, {} of {layers} layers", variant.name);
                    // Evaluated and saved at the end alone: neither is of interest here.
                    let sets = [
                        format!("model.layers={layers}"),
                        format!("train.steps={}", t.steps),
                        format!("seed={seed}"),
                        "evaluation.every=0".to_owned(),
                        "evaluation.batches=1".to_owned(),
                        "evaluation.transition_batches=1".to_owned(),
                        "checkpoint.every=0".to_owned(),
                    ];
                    let config = load::parse(&origin, &text, &sets)?;
                    networks.push(Transformer { variant: variant.name.clone(), config });
                }
            }
        }
        let linear = Setup { width, depths, seeds };
        Ok(Self { name: name.to_owned(), question: file.question, linear, networks, batches: t.batches })
    }
}

/// Depths and numbers that must be at least 1.
fn check(name: &str, depths: &[usize], numbers: &[(&str, u64)]) -> Result<(), ConfigError> {
    if depths.is_empty() || depths.iter().any(|depth| !(1..=1024).contains(depth)) {
        return Err(wrong(name, "`depths` must name at least one, each between 1 and 1024"));
    }
    match numbers.iter().find(|(_, value)| !(1..=100_000).contains(value)) {
        Some((key, value)) => Err(wrong(name, format!("`{key}` must lie between 1 and 100000, not {value}"))),
        None => Ok(()),
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Results {
    /// The experiment's name.
    pub experiment: String,
    /// What it asks.
    pub question: String,
    /// The linear networks.
    pub linear: Linear,
    /// Of them, those that were simulated elsewhere.
    pub against_oracle: Vec<AgainstOracle>,
    /// What transformers' losses are measured in.
    pub loss_unit: String,
    /// Steps of their training.
    pub steps: u64,
    /// Their seeds.
    pub seeds: u64,
    /// Each variant at each depth, before and after training.
    pub transformers: Vec<Measured>,
}

/// A linear network beside the value simulated elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgainstOracle {
    /// Which network.
    pub network: Network,
    /// Its depth, L.
    pub layers: usize,
    /// Mean psi, here.
    pub mean: f64,
    /// Mean psi, there.
    pub oracle: f64,
    /// How far apart they may lie, as both are means over a few seeds.
    pub limit: f64,
    /// Whether they lie no further apart.
    pub agrees: bool,
}

/// A variant of the transformer at a depth, before or after training; means over seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The variant's name.
    pub variant: String,
    /// Its depth, L.
    pub layers: usize,
    /// Steps it was trained for.
    pub steps: u64,
    /// Seeds that have no finite numbers: the network or its training blew up.
    pub diverged: usize,
    /// Mean of psi over the layers.
    pub mean_psi: Option<Summary>,
    /// The same times the root of L: constant where psi falls as the lemma says.
    pub psi_root: Option<Summary>,
    /// Mean loss without one layer, L1.
    pub without_one: Option<Summary>,
    /// Loss of the full model, L2.
    pub full: Option<Summary>,
    /// L1 - L2.
    pub gap: Option<Summary>,
    /// psi of each layer, input side first // (L)
    pub psi: Vec<f64>,
}

/// One network at one moment.
#[derive(Clone)]
struct Sample {
    psi: Vec<f64>,
    mean_psi: f64,
    loss: f64,
    gap: f64,
}

/// Told about each network as it is done: which, and how many of how many.
pub type OnProgress<'a> = &'a mut dyn FnMut(&str, usize, usize);

/// Measures everything; none if interrupted.
///
/// # Errors
/// If a config's text can't be read, or an engine fails.
pub fn run(
    definition: &Definition,
    interrupted: &dyn Fn() -> bool,
    on_progress: OnProgress<'_>,
) -> Result<Option<Results>> {
    let all = definition.networks.len() + 1;
    let linear = table(&definition.linear);
    if interrupted() {
        return Ok(None);
    }
    on_progress("linear networks", 1, all);
    let (mut samples, mut loss_unit, mut seeds) = (Vec::new(), String::new(), 0);
    for (at, network) in definition.networks.iter().enumerate() {
        let Some((unit, both)) = transformer(&network.config, definition.batches, interrupted)? else {
            return Ok(None);
        };
        (loss_unit, seeds) = (unit, seeds.max(network.config.seed));
        samples.push((network, both));
        let (layers, seed) = (network.config.model.layers, network.config.seed);
        on_progress(&format!("{}, {layers} layers, seed {seed}", network.variant), at + 2, all);
    }
    Ok(Some(Results {
        experiment: definition.name.clone(),
        question: definition.question.clone(),
        against_oracle: against_oracle(&linear),
        linear,
        loss_unit,
        steps: definition.networks.first().map_or(0, |network| network.config.train.steps),
        seeds,
        transformers: summaries(&samples),
    }))
}

fn against_oracle(linear: &Linear) -> Vec<AgainstOracle> {
    let rows = linear.rows.iter().filter_map(|row| {
        let value = oracle(row.network, linear.setup.width, row.layers)?;
        let limit = value.tolerance(linear.setup.seeds);
        let agrees = (row.mean - value.mean).abs() <= limit;
        Some(AgainstOracle {
            network: row.network,
            layers: row.layers,
            mean: row.mean,
            oracle: value.mean,
            limit,
            agrees,
        })
    });
    rows.collect()
}

/// What losses are measured in, and the network before and after training (none: it has no finite numbers); none if
/// interrupted.
type Both = (String, [Option<Sample>; 2]);

fn transformer(config: &RunConfig, batches: u64, interrupted: &dyn Fn() -> bool) -> Result<Option<Both>> {
    let flow = || if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let corpus = match data::open(config, &mut |_| flow()) {
        Err(error) if error.is::<data::Interrupted>() => return Ok(None),
        other => other?,
    };
    let objective = objective::find(&config.objective.name).map_err(anyhow::Error::msg)?;
    let batches: Vec<objective::Batch> =
        (0..batches).map(|index| objective::evaluation_batch(corpus.as_ref(), objective, config, index)).collect();
    let mut trainer = Trainer::new(config.clone(), corpus, Box::new(NoStore))?;
    let unit = trainer.loss_unit().to_owned();
    let Some(before) = sample(&mut trainer, &batches, config, interrupted)? else { return Ok(None) };
    let mut is_diverged = false;
    while !trainer.is_over() {
        if interrupted() {
            return Ok(None);
        }
        let advanced = trainer.advance(interrupted, &mut |event| {
            is_diverged |= matches!(event, Event::Failed { .. });
            Ok(())
        });
        match advanced {
            // Its loss was not finite in the evaluation at the end.
            Err(error) if error.is::<NotFinite>() => {
                is_diverged = true;
                break;
            }
            other => other?,
        }
    }
    if is_diverged {
        return Ok(Some((unit, [before.finite(), None])));
    }
    let Some(after) = sample(&mut trainer, &batches, config, interrupted)? else { return Ok(None) };
    Ok(Some((unit, [before.finite(), after.finite()])))
}

/// The full model as it stands; none if interrupted.
fn sample(
    trainer: &mut Trainer,
    batches: &[objective::Batch],
    config: &RunConfig,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<Sample>> {
    let (whole, width) = (LayerPath::full(config.model.layers), config.model.width);
    let Some(found) = psi::measure(trainer.engine(), batches, whole, width, interrupted)? else { return Ok(None) };
    let (mean_psi, gap) = (found.mean_psi(), found.gap());
    Ok(Some(Sample { mean_psi, loss: found.loss, gap, psi: found.psi }))
}

impl Sample {
    /// Itself, if all of it is finite.
    fn finite(self) -> Option<Self> {
        let is_finite = [self.mean_psi, self.loss, self.gap].iter().all(|v| v.is_finite());
        is_finite.then_some(self)
    }
}

/// Means over seeds: first every variant and depth before training, then after.
fn summaries(samples: &[(&Transformer, [Option<Sample>; 2])]) -> Vec<Measured> {
    let mut all = Vec::new();
    for moment in 0..2 {
        for (network, _) in samples.iter().filter(|(network, _)| network.config.seed == 1) {
            let (variant, layers) = (&network.variant, network.config.model.layers);
            let of_it = samples.iter().filter(|(n, _)| n.variant == *variant && n.config.model.layers == layers);
            let seeds: Vec<&Option<Sample>> = of_it.map(|(_, both)| &both[moment]).collect();
            let finite: Vec<&Sample> = seeds.iter().filter_map(|sample| sample.as_ref()).collect();
            let over = |of: &dyn Fn(&Sample) -> f64| summary(&finite.iter().map(|s| of(s)).collect::<Vec<_>>());
            let mean_of_layer = |layer: usize| finite.iter().map(|s| s.psi[layer]).sum::<f64>() / finite.len() as f64;
            all.push(Measured {
                variant: variant.clone(),
                layers,
                steps: if moment == 0 { 0 } else { network.config.train.steps },
                diverged: seeds.len() - finite.len(),
                mean_psi: over(&|s| s.mean_psi),
                psi_root: over(&|s| s.mean_psi * (layers as f64).sqrt()),
                without_one: over(&|s| s.loss + s.gap),
                full: over(&|s| s.loss),
                gap: over(&|s| s.gap),
                psi: if finite.is_empty() { Vec::new() } else { (0..layers).map(mean_of_layer).collect() },
            });
        }
    }
    all
}

impl Results {
    /// As text for people, at most 100 columns wide.
    pub fn to_text(&self) -> String {
        report::text(self)
    }

    /// Writes every form into the experiment's directory.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn write(&self, dir: &ExperimentDir, definition: &str) -> Result<()> {
        dir.write("experiment.toml", definition)?;
        dir.write("results.json", &(serde_json::to_string_pretty(self)? + "\n"))?;
        dir.write("results.txt", &self.to_text())?;
        report::charts(self).into_iter().try_for_each(|(name, chart)| dir.write(name, &chart.to_svg()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::shipped;

    fn parse(sets: &[&str]) -> Result<Definition, ConfigError> {
        let sets: Vec<String> = sets.iter().map(|&s| s.to_owned()).collect();
        Definition::parse(KIND, shipped::find(KIND).unwrap(), &sets)
    }

    #[test]
    fn the_shipped_definition_is_the_papers() {
        let d = parse(&[]).unwrap();
        // The linear part is what the oracle values are of.
        assert_eq!(d.linear, Setup::default());
        assert_eq!(d.networks.len(), 3 * 4 * 2);
        let of = |variant: &str| d.networks.iter().find(|n| n.variant == variant).unwrap().config.model.clone();
        let (both, norm, residual) = (of("residual + norm"), of("norm alone"), of("residual alone"));
        assert!(both.residual && residual.residual && !norm.residual);
        assert_eq!((both.norm, residual.norm), (norm.norm, crate::config::Norm::None));
        let alike = |a: &crate::config::ModelConfig, b: &crate::config::ModelConfig| {
            let plain = |m: &crate::config::ModelConfig| crate::config::ModelConfig {
                norm: crate::config::Norm::Pre,
                residual: true,
                ..m.clone()
            };
            plain(a) == plain(b)
        };
        assert!(alike(&both, &norm) && alike(&both, &residual));
    }

    #[test]
    fn bad_definitions_are_named() {
        let problem = |sets: &[&str]| parse(sets).unwrap_err().to_string();
        assert!(problem(&["transformer.steps=0"]).contains("`transformer.steps` must lie between 1"));
        assert!(problem(&["linear.depths=[]"]).contains("`depths`"));
        assert!(problem(&["transformer.depths=[200]"]).contains("model.layers"));
        assert!(problem(&["linear.deep=[1]"]).contains("deep"));
        assert!(is_it("t", "kind = \"stability\"").unwrap() && !is_it("t", "question = \"?\"").unwrap());
        assert!(is_it("t", "kind = \"other\"").unwrap_err().to_string().contains("must be \"stability\""));
    }

    #[test]
    fn numbers_over_seeds_are_means_by_hand() {
        let d = parse(&["transformer.depths=[4]"]).unwrap();
        let sample = |mean_psi: f64, loss: f64, gap: f64| {
            Some(Sample { psi: vec![mean_psi, mean_psi, 0.0, 2.0 * mean_psi], mean_psi, loss, gap })
        };
        let samples: Vec<_> = d.networks[..2]
            .iter()
            .zip([[sample(0.5, 4.0, 1.0), sample(0.25, 2.0, 0.5)], [sample(0.7, 6.0, 2.0), None]])
            .collect();
        let rows = summaries(&samples);
        assert_eq!(rows.iter().map(|r| (r.steps, r.diverged)).collect::<Vec<_>>(), [(0, 0), (80, 1)]);
        let near = |s: Option<Summary>, mean: f64| (s.unwrap().mean - mean).abs() < 1e-12;
        assert!(near(rows[0].mean_psi, 0.6) && near(rows[0].psi_root, 1.2) && near(rows[0].gap, 1.5));
        assert!(near(rows[0].without_one, 6.5) && near(rows[0].full, 5.0));
        assert!((rows[0].psi[3] - 1.2).abs() < 1e-12 && rows[0].psi[2] == 0.0);
        assert!(near(rows[1].without_one, 2.5));
    }
}
