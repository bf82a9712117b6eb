//! What makes arms comparable: the keys that all must share, and when an arm is the baseline over another length.
//!
//! At one seed all arms must see the same text in the same order and be evaluated on the same batches by the same loss;
//! otherwise a difference between them says nothing. Looks at configs alone.

use toml::{Table, Value};

use super::definition::Arm;
use crate::config::RunConfig;

/// Sections and keys that decide which batches a run sees, and by which loss it is judged.
const SHARED: [&str; 6] =
    ["data", "objective", "train.batch", "train.accumulate", "model.context", "evaluation.batches"];

/// Keys and values of the shared part of a config.
fn shared(config: &RunConfig) -> Vec<(String, Value)> {
    // A config always is a table.
    let table = Table::try_from(config).unwrap_or_default();
    let mut found = Vec::new();
    for name in SHARED {
        let (section, key) = name.split_once('.').map_or((name, None), |(section, key)| (section, Some(key)));
        let keys = table.get(section).and_then(Value::as_table).into_iter().flatten();
        let keys = keys.filter(|(k, _)| key.is_none_or(|key| key == k.as_str()));
        found.extend(keys.map(|(k, value)| (format!("{section}.{k}"), value.clone())));
    }
    found
}

/// A sentence for each shared key in which an arm differs from the baseline.
pub(super) fn unlike(arm: &Arm, baseline: &Arm) -> Vec<String> {
    let pairs = shared(&arm.config).into_iter().zip(shared(&baseline.config)).filter(|(mine, its)| mine != its);
    let sentence = |((key, mine), (_, its)): ((String, Value), (String, Value))| {
        let (arm, baseline) = (&arm.name, &baseline.name);
        format!(
            "{arm} has `{key}` = {mine}, but {baseline} has {its}: arms must see the same batches and be judged by the \
             same loss, so set it for all of them, under [set]"
        )
    };
    pairs.map(sentence).collect()
}

/// Whether an arm is the baseline but for its length: steps, warm-ups, cadences and learning rates.
pub(super) fn is_of_other_length(arm: &RunConfig, baseline: &RunConfig) -> bool {
    let mut same = arm.clone();
    same.seed = baseline.seed;
    same.train.steps = baseline.train.steps;
    same.optimizer.learning_rate = baseline.optimizer.learning_rate;
    (same.optimizer.warmup, same.optimizer.rewarmup) = (baseline.optimizer.warmup, baseline.optimizer.rewarmup);
    same.evaluation.every = baseline.evaluation.every;
    same.checkpoint.every = baseline.checkpoint.every;
    same.measure.every = baseline.measure.every;
    same == *baseline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::definition::Experiment;

    /// An experiment whose second arm sets something.
    fn with(set: &str) -> Result<Experiment, String> {
        let text = format!(
            "question = '?'\nconfig = 'quickstart'
            [[arm]]\nname = 'full'\nset = {{ method.name = 'full', stage = [] }}
            [[arm]]\nname = 'other'\nset = {{ {set} }}"
        );
        Experiment::parse("t", &text, &[]).map_err(|e| e.to_string())
    }

    #[test]
    fn arms_that_would_be_judged_otherwise_are_refused() {
        for (set, key) in [
            ("train.batch = 4", "`train.batch` = 4, but full has 16"),
            ("train.accumulate = 2", "`train.accumulate` = 2, but full has 1"),
            ("model.context = 32", "`model.context` = 32, but full has 64"),
            ("evaluation.batches = 9", "`evaluation.batches` = 9, but full has"),
            ("objective.name = 'prefix'", "`objective.name` = \"prefix\", but full has \"causal\""),
            ("data.source = 'puzzles'", "`data.source` = \"puzzles\", but full has \"stories\""),
        ] {
            let error = with(set).unwrap_err();
            assert!(error.contains("`arm[2]`: other has") && error.contains(key), "{set}: {error}");
        }
        for set in
            ["model.layers = 6, stage = []", "model.width = 32", "evaluation.every = 7", "optimizer.weight_decay = 0.0"]
        {
            with(set).unwrap();
        }
    }

    #[test]
    fn the_baseline_over_another_length_is_told_from_other_arms() {
        let is_it = |set: &str| {
            let e = with(set).unwrap();
            is_of_other_length(&e.arms[1].config, &e.arms[0].config)
        };
        let full = "method.name = 'full', stage = []";
        for more in [
            "",
            ", train.steps = 70",
            ", optimizer.warmup = 3",
            ", optimizer.learning_rate = 1e-4",
            ", evaluation.every = 3, checkpoint.every = 3, measure.every = 3",
        ] {
            assert!(is_it(&format!("{full}{more}")), "{more}");
        }
        for more in [", model.layers = 6", ", optimizer.weight_decay = 0.3", ", model.width = 32"] {
            assert!(!is_it(&format!("{full}{more}")), "{more}");
        }
        assert!(!is_it("method.name = 'constant'"));
    }
}
