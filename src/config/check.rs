//! What is wrong with a config, said key by key before anything is built.
//!
//! Owns every rule that one config's values must keep among themselves. What depends on the text (a vocabulary that is
//! too large for it, say) is found where the text is read.

use std::fmt;

use super::{Architecture, EngineName, MAX_COORDINATES, MethodConfig, Precision, RunConfig, Source, layer_number};
use crate::layer_path::MAX_LAYERS;
use crate::measurement::What;
use crate::method::{self, Axis};
use crate::schedule::Schedule;

/// One thing that is wrong: the key, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// As in `train.steps`.
    pub key: String,
    /// As in "must be at least 1, not 0".
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.message)
    }
}

/// Every problem of a config; none means that it can be trained.
pub fn check(config: &RunConfig) -> Vec<Problem> {
    let mut found = Found::default();
    check_model(config, &mut found);
    check_data(config, &mut found);
    check_objective(config, &mut found);
    check_training(config, &mut found);
    if found.0.is_empty() {
        check_stages(config, &mut found);
    }
    if found.0.is_empty() {
        check_method(config, &mut found);
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { key: key.into(), message: message.into() });
    }

    fn within<T: PartialOrd + fmt::Display>(&mut self, key: &str, value: T, low: T, high: T) {
        // Written so that a NaN is refused too.
        if !(value >= low && value <= high) {
            self.add(key, format!("must lie between {low} and {high}, not {value}"));
        }
    }

    fn positive(&mut self, key: &str, value: f64) {
        if !(value > 0.0 && value.is_finite()) {
            self.add(key, format!("must be a positive number, not {value}"));
        }
    }
}

fn check_model(config: &RunConfig, found: &mut Found) {
    let m = &config.model;
    found.within("model.layers", m.layers, 1, MAX_LAYERS);
    found.within("model.width", m.width, 1, 1 << 16);
    found.within("model.heads", m.heads, 1, 1 << 10);
    if m.architecture == Architecture::Mlp {
        found.within("model.context", m.context, 1, MAX_COORDINATES);
    } else {
        found.within("model.context", m.context, 2, 1 << 17);
    }
    found.within("model.mlp_ratio", m.mlp_ratio, 1, 64);
    found.positive("model.init_std", m.init_std);
    if m.architecture != Architecture::Mlp && m.heads > 0 && !m.width.is_multiple_of(m.heads) {
        found.add("model.heads", format!("must divide model.width ({}); {} doesn't", m.width, m.heads));
    }
}

fn check_data(config: &RunConfig, found: &mut Found) {
    let d = &config.data;
    if d.source == Source::Text && d.path.is_empty() {
        found.add("data.path", "must name a text file or a folder when data.source is \"text\" (or use --data)");
    }
    if d.source != Source::Text && !d.path.is_empty() {
        found.add("data.path", "goes with data.source = \"text\" only");
    }
    // What a document of 64 words and 26 letters has room for.
    found.within("data.nesting", d.nesting, 0, 16);
    found.within("data.chain", d.chain, 0, 16);
    found.within("data.hops", d.hops, 0, 13);
    found.within("data.moves", d.moves, 0, 32);
    if d.source == Source::Puzzles && d.nesting + d.chain + d.hops + d.moves == 0 {
        found.add("data.source", "is \"puzzles\", so one of data.nesting, chain, hops and moves must be at least 1");
    }
    found.within("data.vocabulary", d.vocabulary, 16, 1 << 20);
    if !(d.validation_share > 0.0 && d.validation_share < 1.0) {
        found.add(
            "data.validation_share",
            format!("must lie between 0 and 1, both excluded, not {}", d.validation_share),
        );
    }
    if d.tokenizer.is_empty() {
        found.add("data.tokenizer", "must be bytes, bpe, wordpiece or the name of a tokenizer.json");
    }
}

fn check_objective(config: &RunConfig, found: &mut Found) {
    let o = &config.objective;
    let fits = match o.name.as_str() {
        "causal" | "prefix" | "span" | "ul2" => Some((Architecture::Decoder, "decoder")),
        "mlm" => Some((Architecture::Encoder, "encoder")),
        "polynomial" => Some((Architecture::Mlp, "mlp")),
        // An unknown name is the objective table's to report, where the data is opened.
        _ => None,
    };
    if let Some((_, name)) = fits.filter(|(architecture, _)| *architecture != config.model.architecture) {
        found.add("objective.name", format!("`{}` needs model.architecture = \"{name}\"", o.name));
    }
    if config.model.architecture == Architecture::Mlp {
        found.within("objective.degrees", o.degrees, 1, config.model.context);
        found.within("objective.monomials", o.monomials, 1, 1 << 12);
        if config.data.source != Source::Stories {
            found.add("data.source", "must be left out: the inputs of `polynomial` are drawn, not read");
        }
    }
    let before = found.0.len();
    if !(o.mask_share > 0.0 && o.mask_share < 1.0) {
        found.add("objective.mask_share", format!("must lie between 0 and 1, both excluded, not {}", o.mask_share));
    }
    found.within("objective.mean_span", o.mean_span, 1.0, 65536.0);
    if !(o.predicted_share > 0.0 && o.predicted_share <= 0.5) {
        let share = o.predicted_share;
        found.add("objective.predicted_share", format!("must lie above 0 and at most at 0.5, not {share}"));
    }
    let sum: f64 = o.mixture.iter().sum();
    if !(o.mixture.iter().all(|&weight| weight >= 0.0) && sum > 0.0 && sum.is_finite()) {
        found.add("objective.mixture", "must be seven weights of 0 or more, not all 0");
    }
    // The counts below need sane numbers.
    let context = config.model.context;
    if found.0.len() > before || !(2..=1 << 17).contains(&context) {
        return;
    }
    if let Some((key, message)) = o.denoisers().iter().find_map(|(_, d)| d.problem(context)) {
        found.add(key, message);
    } else if o.name == "span"
        && let Some(hidden) = o.denoisers().iter().find_map(|(_, d)| Some(d.counts(d.text(context)?).0))
        && o.mean_span > hidden as f64
    {
        found.add(
            "objective.mean_span",
            format!(
                "must be at most {hidden}, the tokens hidden of a sequence, not {}; lower it, or raise model.context",
                o.mean_span
            ),
        );
    }
}

fn check_training(config: &RunConfig, found: &mut Found) {
    let t = &config.train;
    found.within("train.steps", t.steps, 1, 1 << 40);
    found.within("train.batch", t.batch, 1, 1 << 16);
    found.within("train.accumulate", t.accumulate, 1, 1 << 16);
    found.within("train.threads", t.threads, 0, 1024);
    let number = t.device.strip_prefix("cuda:").map(str::parse::<usize>);
    if !(matches!(t.device.as_str(), "auto" | "cpu" | "cuda" | "metal") || matches!(number, Some(Ok(_)))) {
        found.add("train.device", format!("must be auto, cpu, metal, cuda or cuda:N, not {}", t.device));
    }
    let (is_cuda, is_metal) = (t.device.starts_with("cuda"), t.device == "metal");
    if t.engine == EngineName::Fast && is_metal {
        found.add(
            "train.device",
            "`metal` needs train.engine = \"reference\"; the fast engine runs on cpu and cuda".to_owned(),
        );
    }
    if t.engine == EngineName::Reference && is_cuda {
        found.add(
            "train.device",
            format!("`{}` is the fast engine's; the reference engine runs on cpu and metal", t.device),
        );
    }
    if config.model.architecture == Architecture::Mlp && is_cuda {
        found.add("train.device", format!("`{}` is for transformers; a residual MLP trains on the cpu", t.device));
    }
    if t.engine == EngineName::Reference && t.precision != Precision::F32 {
        found.add("train.precision", "bf16 is the fast engine's; the reference engine needs \"f32\"".to_owned());
    }
    let o = &config.optimizer;
    found.positive("optimizer.learning_rate", o.learning_rate);
    found.within("optimizer.final_ratio", o.final_ratio, 0.0, 1.0);
    for beta in o.betas {
        if !(0.0..1.0).contains(&beta) {
            found.add("optimizer.betas", format!("must lie between 0 and 1, 1 excluded; {beta} doesn't"));
        }
    }
    found.positive("optimizer.epsilon", o.epsilon);
    found.within("optimizer.weight_decay", o.weight_decay, 0.0, 10.0);
    found.within("optimizer.clip", o.clip, 0.0, 1e9);
    let e = &config.evaluation;
    found.within("evaluation.batches", e.batches, 1, 1 << 20);
    found.within("evaluation.transition_batches", e.transition_batches, 1, e.batches.max(1));
    let m = &config.measure;
    found.within("measure.batches", m.batches, 1, 1 << 20);
    found.within("measure.paths", m.paths, 1, 1 << 10);
    if m.what.contains(&What::Coefficients) && config.objective.name != "polynomial" {
        found.add("measure.what", "names coefficients, which only the objective polynomial has");
    }
    found.within("checkpoint.keep", config.checkpoint.keep, 1, 1 << 20);
}

fn check_stages(config: &RunConfig, found: &mut Found) {
    let layers = config.model.layers;
    for (i, stage) in config.stage.iter().enumerate() {
        let key = |name: &str| format!("stage[{}].{name}", i + 1);
        if stage.path_length < 1 || stage.path_length > layers {
            found.add(
                key("path_length"),
                format!("must lie between 1 and model.layers ({layers}), not {}", stage.path_length),
            );
        }
        if stage.steps == Some(0) {
            found.add(key("steps"), "must be at least 1, not 0");
        }
        if !(stage.share > 0.0 && stage.share.is_finite()) {
            found.add(key("share"), format!("must be a positive number, not {}", stage.share));
        }
    }
    let lists = config
        .stage
        .iter()
        .enumerate()
        .filter_map(|(i, s)| Some((format!("stage[{}].fixed", i + 1), s.fixed.as_ref()?)));
    for (key, numbers) in std::iter::once(("method.fixed".to_owned(), &config.method.fixed)).chain(lists) {
        for &number in numbers {
            if layer_number(layers, number).is_none() {
                found.add(
                    &key,
                    format!(
                        "names layer {number}; layers are 1..{layers} from the input, -1..-{layers} from the output"
                    ),
                );
            }
        }
    }
    if config.stage.is_empty() || !found.0.is_empty() {
        return;
    }
    let taken: u64 = config.stage.iter().filter_map(|s| s.steps).sum();
    let all_taken = config.stage.iter().all(|s| s.steps.is_some());
    if taken > config.train.steps || (all_taken && taken != config.train.steps) {
        found.add("stage", format!("steps add up to {taken}, but train.steps is {}", config.train.steps));
        return;
    }
    let written = Schedule::from_rows(layers, config.train.steps, &config.rows());
    for (i, stage) in written.stages.iter().enumerate() {
        if stage.steps == 0 {
            found.add(format!("stage[{}]", i + 1), "gets zero steps; raise its share or train.steps");
        }
        let fixed = stage.fixed.path_length();
        // Along the width no layer is skipped, so none is fixed.
        if stage.path_length < fixed && uses(config, "fixed") && config.method.axis == Axis::Depth {
            found.add(
                format!("stage[{}].path_length", i + 1),
                format!("must be at least {fixed}, the number of its fixed layers, not {}", stage.path_length),
            );
        }
    }
}

/// Whether the config's method reads a key of `[method]`.
fn uses(config: &RunConfig, key: &str) -> bool {
    method::find(&config.method.name).is_ok_and(|m| m.keys().contains(&key))
}

fn check_method(config: &RunConfig, found: &mut Found) {
    let method = match method::find(&config.method.name) {
        Ok(method) => method,
        Err(message) => return found.add("method.name", message),
    };
    check_unused(config, method, found);
    let schedule = match config.try_schedule() {
        Ok(schedule) => schedule,
        Err((key, message)) => return found.add(key, message),
    };
    if config.model.architecture == Architecture::Mlp && config.method.axis == Axis::Width {
        found.add("method.axis", "must be \"depth\" for model.architecture = \"mlp\", which has no attention heads");
    }
    for (stage, message) in method.check(&config.method, &schedule) {
        found.add(format!("stage[{}].path_length", stage + 1), message);
    }
    if let Some(stage) = schedule.stages.iter().position(|s| s.steps == 0) {
        let (n, name) = (schedule.stages.len(), method.name());
        found.add("train.steps", format!("are too few for the {n} stages of {name}: stage {} gets none", stage + 1));
    }
}

/// A key that the method doesn't read has no effect: whoever sets it expects one.
fn check_unused(config: &RunConfig, method: &dyn method::Method, found: &mut Found) {
    let table = |settings: &MethodConfig| toml::Table::try_from(settings).unwrap_or_default();
    let defaults = table(&MethodConfig::default());
    for (key, value) in table(&config.method) {
        if key != "name" && !method.keys().contains(&key.as_str()) && defaults.get(&key) != Some(&value) {
            let readers = method::METHODS.iter().filter(|m| m.keys().contains(&key.as_str())).map(|m| m.name());
            let readers: Vec<_> = readers.collect();
            let message = format!("has no effect under {}; leave it out, or use {}", method.name(), readers.join(", "));
            found.add(format!("method.{key}"), message);
        }
    }
    if !uses(config, "fixed") {
        for (i, _) in config.stage.iter().enumerate().filter(|(_, s)| s.fixed.is_some()) {
            found
                .add(format!("stage[{}].fixed", i + 1), format!("has no effect under {}; leave it out", method.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that a change to a good config makes bad.
    fn keys(change: impl Fn(&mut RunConfig)) -> Vec<String> {
        let mut config = RunConfig::default();
        change(&mut config);
        check(&config).into_iter().map(|p| p.key).collect()
    }

    fn stage(path_length: usize) -> super::super::StageConfig {
        super::super::StageConfig { path_length, share: 1.0, steps: None, fixed: None }
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(check(&RunConfig::default()), []);
    }

    #[test]
    fn each_bad_value_is_named() {
        assert_eq!(keys(|c| c.model.layers = 0), ["model.layers"]);
        assert_eq!(keys(|c| c.model.layers = 129), ["model.layers"]);
        assert_eq!(keys(|c| c.model.heads = 5), ["model.heads"]);
        assert_eq!(keys(|c| c.model.init_std = f64::NAN), ["model.init_std"]);
        assert_eq!(keys(|c| c.data.source = Source::Text), ["data.path"]);
        assert_eq!(keys(|c| c.data.hops = 14), ["data.hops"]);
        let no_puzzles = |c: &mut RunConfig| {
            c.data.source = Source::Puzzles;
            (c.data.nesting, c.data.chain, c.data.hops, c.data.moves) = (0, 0, 0, 0);
        };
        assert_eq!(keys(no_puzzles), ["data.source"]);
        assert_eq!(keys(|c| (c.data.source, c.data.path) = (Source::Puzzles, "x".into())), ["data.path"]);
        assert_eq!(keys(|c| c.train.steps = 0), ["train.steps"]);
        assert_eq!(keys(|c| c.train.device = "gpu".into()), ["train.device"]);
        assert_eq!(keys(|c| c.train.device = "metal".into()), ["train.device"]);
        assert!(keys(|c| c.train.device = "cuda:1".into()).is_empty());
        let on_cuda = |c: &mut RunConfig| (c.train.device, c.train.engine) = ("cuda".into(), EngineName::Reference);
        assert_eq!(keys(on_cuda), ["train.device"]);
        assert_eq!(keys(|c| c.optimizer.learning_rate = -1.0), ["optimizer.learning_rate"]);
        assert_eq!(keys(|c| c.optimizer.betas = [1.0, 0.5]), ["optimizer.betas"]);
        assert_eq!(keys(|c| c.measure.paths = 0), ["measure.paths"]);
        assert_eq!(keys(|c| c.measure.what = vec![What::Coefficients]), ["measure.what"]);
        assert_eq!(keys(|c| c.method.name = "drop".into()), ["method.name"]);
        assert_eq!(keys(|c| c.method.fixed = vec![13]), ["method.fixed"]);
        assert_eq!(keys(|c| c.objective.name = "mlm".into()), ["objective.name"]);
        for name in ["prefix", "span", "ul2"] {
            assert!(keys(|c| c.objective.name = name.into()).is_empty());
            let in_an_encoder = |c: &mut RunConfig| {
                c.objective.name = name.into();
                c.model.architecture = Architecture::Encoder;
            };
            assert_eq!(keys(in_an_encoder), ["objective.name"]);
        }
        assert_eq!(keys(|c| c.objective.mean_span = 0.5), ["objective.mean_span"]);
        assert_eq!(keys(|c| c.objective.predicted_share = 0.6), ["objective.predicted_share"]);
        assert_eq!(keys(|c| c.objective.mixture = [0.0; 7]), ["objective.mixture"]);
        assert_eq!(keys(|c| c.objective.mixture[3] = f64::NAN), ["objective.mixture"]);
        assert_eq!(keys(|c| c.objective.name = "polynomial".into()), ["objective.name"]);
        let polynomial = |c: &mut RunConfig, change: &dyn Fn(&mut RunConfig)| {
            c.objective.name = "polynomial".into();
            (c.model.architecture, c.model.context, c.model.width) = (Architecture::Mlp, 20, 21);
            change(c);
        };
        assert_eq!(keys(|c| polynomial(c, &|_| ())), Vec::<String>::new());
        assert_eq!(keys(|c| polynomial(c, &|c| c.model.context = 65)), ["model.context"]);
        assert_eq!(keys(|c| polynomial(c, &|c| c.objective.degrees = 21)), ["objective.degrees"]);
        assert_eq!(keys(|c| polynomial(c, &|c| c.objective.monomials = 0)), ["objective.monomials"]);
        assert_eq!(keys(|c| polynomial(c, &|c| (c.method.axis, c.model.width) = (Axis::Width, 24))), ["method.axis"]);
        let text = |c: &mut RunConfig| (c.data.source, c.data.path) = (Source::Text, "a".into());
        assert_eq!(keys(|c| polynomial(c, &text)), ["data.source"]);
    }

    #[test]
    fn spans_that_do_not_fit_are_refused() {
        let with = |name: &str, context: usize, change: &dyn Fn(&mut RunConfig)| {
            keys(|c| {
                c.objective.name = name.into();
                c.model.context = context;
                change(c);
            })
        };
        assert_eq!(with("ul2", 4, &|_| ()), ["model.context"]);
        assert!(with("ul2", 5, &|_| ()).is_empty() && with("prefix", 2, &|_| ()).is_empty());
        // Of 64 positions about 9 are hidden.
        assert_eq!(with("span", 64, &|c| c.objective.mean_span = 20.0), ["objective.mean_span"]);
        let dense = |c: &mut RunConfig| (c.objective.mean_span, c.objective.mask_share) = (1.0, 0.9);
        assert_eq!(with("span", 64, &dense), ["objective.mask_share"]);
    }

    #[test]
    fn impossible_schedules_are_refused() {
        assert_eq!(keys(|c| c.stage = vec![stage(13)]), ["stage[1].path_length"]);
        assert_eq!(keys(|c| c.stage = vec![stage(1)]), ["stage[1].path_length"]);
        assert!(keys(|c| (c.stage, c.method.axis) = (vec![stage(1), stage(12)], Axis::Width)).is_empty());
        assert_eq!(keys(|c| c.stage = vec![stage(8), stage(6)]), ["stage[2].path_length"]);
        assert_eq!(
            keys(|c| c.stage = vec![super::super::StageConfig { steps: Some(0), ..stage(6) }]),
            ["stage[1].steps"]
        );
        assert_eq!(keys(|c| c.stage = vec![super::super::StageConfig { steps: Some(7), ..stage(12) }]), ["stage"]);
        let more_stages_than_steps = |c: &mut RunConfig| {
            c.train.steps = 2;
            c.stage = vec![stage(6), stage(8), stage(12)];
        };
        assert_eq!(keys(more_stages_than_steps).len(), 1);
    }
}
