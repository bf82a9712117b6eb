//! Whether an experiment can rank depth schedules at all, said beside its table.
//!
//! Owns the rules: the baseline must beat a bigram table (or it has learned nothing that needs depth) and every shallower
//! control (or depth isn't used), each by more than the spread of seeds leaves open. What doesn't forbid a verdict but
//! should be known is a caution.

use serde::{Deserialize, Serialize};

use super::definition::Role;
use super::ngram::Losses;
use super::results::ArmResult;
use super::statistics::{Difference, Summary, Verdict, difference, summary};

/// What a table is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitness {
    /// Loss of the unigram table over seeds, same tokens.
    pub unigram: Option<Summary>,
    /// Loss of the bigram table over seeds, same tokens.
    pub bigram: Option<Summary>,
    /// The lowest loss that any model can have, over seeds, where that is known.
    pub floor: Option<Summary>,
    /// The baseline minus the bigram table.
    pub to_bigram: Option<Difference>,
    /// The baseline minus each shallower control.
    pub to_shallower: Vec<ToShallower>,
    /// Why it can't rank depth schedules; none: it can.
    pub problems: Vec<String>,
    /// What should be known.
    pub cautions: Vec<String>,
    /// Whether any run of the baseline was trained to its end.
    #[serde(default)]
    pub is_finished: bool,
}

/// The baseline against a shallower control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToShallower {
    /// The control's name.
    pub arm: String,
    /// Its layers.
    pub layers: usize,
    /// The baseline minus it; none if either diverged throughout.
    pub difference: Option<Difference>,
}

impl Fitness {
    /// The fitness of a table; `tables` are the n-gram losses for seeds 1, 2, ...
    pub fn of(arms: &[ArmResult], baseline: &str, tables: &[Losses]) -> Self {
        let base = arms.iter().find(|arm| arm.name == baseline);
        let pick = |of: fn(&Losses) -> f64| summary(&tables.iter().map(of).collect::<Vec<_>>());
        let runs = base.map_or(&[][..], |arm| &arm.runs);
        let floors: Vec<f64> = runs.iter().filter_map(|run| run.figures.floor).collect();
        let past: Vec<f64> = runs
            .iter()
            .filter_map(|run| Some(run.figures.final_loss()? - tables.get(run.seed as usize - 1)?.bigram))
            .collect();
        let controls = arms.iter().filter(|arm| arm.role == Role::Shallower);
        let to_shallower: Vec<ToShallower> = controls
            .map(|arm| ToShallower {
                arm: arm.name.clone(),
                layers: arm.layers,
                // The control's row has it the other way round.
                difference: arm.to_baseline.map(turned),
            })
            .collect();
        let mut fitness = Self {
            unigram: pick(|t| t.unigram),
            bigram: pick(|t| t.bigram),
            floor: summary(&floors),
            to_bigram: difference(&past),
            to_shallower,
            problems: Vec::new(),
            cautions: cautions(arms),
            is_finished: base.is_some_and(|arm| arm.loss.is_some()),
        };
        fitness.problems = fitness.find_problems(baseline);
        fitness
    }

    /// Whether the table can rank depth schedules.
    pub fn can_rank(&self) -> bool {
        self.problems.is_empty()
    }

    fn find_problems(&self, baseline: &str) -> Vec<String> {
        let mut problems = Vec::new();
        match self.to_bigram {
            // Without tokens there are no tables; what its loss is worth the shallower controls tell.
            None if self.is_finished && self.bigram.is_none() => {}
            None => problems.push(format!("{baseline} has no finished run")),
            Some(d) if d.verdict == Verdict::Better => {}
            Some(d) if d.n < 2 => problems.push("one seed shows no spread: at least two are needed".to_owned()),
            Some(_) => {
                problems.push(format!("{baseline} doesn't beat the bigram table: nothing was learned that needs depth"))
            }
        }
        if self.to_shallower.is_empty() {
            problems.push("there is no shallower control, so nobody knows whether depth is used".to_owned());
        }
        for control in &self.to_shallower {
            match control.difference {
                Some(d) if d.verdict == Verdict::Better => {}
                Some(d) if d.n < 2 => {}
                None => problems.push(format!("{} has no finished run to compare with", control.arm)),
                Some(_) => problems.push(format!(
                    "{baseline} doesn't beat {} ({} layers) by more than seeds differ: depth isn't used here",
                    control.arm, control.layers
                )),
            }
        }
        problems
    }
}

/// A minus B as B minus A.
fn turned(d: Difference) -> Difference {
    let verdict = match d.verdict {
        Verdict::Better => Verdict::Worse,
        Verdict::Worse => Verdict::Better,
        Verdict::CantTell => Verdict::CantTell,
    };
    Difference { mean: -d.mean, verdict, ..d }
}

fn cautions(arms: &[ArmResult]) -> Vec<String> {
    let mut cautions = Vec::new();
    let named = |wanted: &dyn Fn(&ArmResult) -> bool| -> Vec<&str> {
        arms.iter().filter(|arm| wanted(arm)).map(|arm| arm.name.as_str()).collect()
    };
    let mut say = |arms: Vec<&str>, what: &str| {
        if !arms.is_empty() {
            cautions.push(format!("{what}: {}", arms.join(", ")));
        }
    };
    say(named(&|arm| arm.tuning.is_empty()), "the learning rate was not tuned");
    let is_edge = |arm: &ArmResult| {
        let rates = arm.tuning.iter().map(|t| t.learning_rate);
        let (low, high) = rates.fold((f64::INFINITY, 0.0f64), |(low, high), r| (low.min(r), high.max(r)));
        arm.tuning.len() > 1 && (arm.learning_rate == low || arm.learning_rate == high)
    };
    say(named(&is_edge), "the best learning rate lies at the edge of those tried, a better one may lie beyond");
    say(named(&|arm| arm.diverged > 0), "some runs diverged");
    let grows = |arm: &ArmResult| arm.runs.iter().any(|run| run.figures.whole_from().is_some());
    say(named(&grows), "the model grows, so that there is no full model, and no loss of one, before its last stage");
    say(named(&|arm| arm.same_start == Some(false)), "other initial weights than the baseline's");
    let compared = arms.iter().filter(|arm| arm.role == Role::Method && arm.to_baseline.is_some()).count();
    if compared >= 4 {
        let chance = "by chance about one in twenty that differ in nothing is called better or worse";
        cautions.push(format!("{compared} arms are compared, each at 95 %: {chance}"));
    }
    if arms.first().is_some_and(|arm| arm.runs.len() == 2) {
        cautions.push("two seeds: intervals are wide".to_owned());
    }
    cautions
}
