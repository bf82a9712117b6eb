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
        let past = runs.iter().filter_map(|run| {
            let table = tables.get(usize::try_from(run.seed).ok()?.checked_sub(1)?)?;
            Some((run.figures.final_loss(), Some(table.bigram)))
        });
        let past: Vec<_> = past.collect();
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
            Some(d) => problems.extend(shortfall(d, baseline, "the bigram table", || {
                format!("{baseline} doesn't beat the bigram table: nothing was learned that needs depth")
            })),
        }
        if self.to_shallower.is_empty() {
            problems.push("there is no shallower control, so nobody knows whether depth is used".to_owned());
        }
        for control in &self.to_shallower {
            let ToShallower { arm, layers, .. } = control;
            match control.difference {
                // If it is the baseline that has none, that is said above.
                None if !self.is_finished => {}
                None => problems.push(format!("{arm} has no finished run to compare with")),
                Some(d) => problems.extend(shortfall(d, baseline, arm, || {
                    format!(
                        "{baseline} doesn't beat {arm} ({layers} layers) by more than seeds differ: depth isn't used \
                         here"
                    )
                })),
            }
        }
        // That there is one seed is said once.
        let mut said: Vec<String> = Vec::new();
        for problem in problems {
            if !said.contains(&problem) {
                said.push(problem);
            }
        }
        said
    }
}

/// Why a difference doesn't show that the baseline beats something; none: it does. `unbeaten` says so where the losses do.
fn shortfall(d: Difference, baseline: &str, other: &str, unbeaten: impl Fn() -> String) -> Option<String> {
    match d {
        _ if d.seeds < 2 => Some("one seed shows no spread: at least two are needed".to_owned()),
        _ if d.n < 2 => Some(format!(
            "all seeds but one of {baseline} or {other} diverged: at least two must be trained to the end"
        )),
        Difference { verdict: Verdict::Better, .. } => None,
        // Only that it diverged where the other didn't speaks against it.
        Difference { half_width: Some(half), mean, .. } if mean + half < 0.0 => {
            Some(format!("{baseline} diverged on a seed, so that it can't be said to beat {other}"))
        }
        _ => Some(unbeaten()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::by_hand::{arm, compared};

    const GOOD: [Option<f64>; 3] = [Some(1.0), Some(1.1), Some(0.9)];
    /// Beaten on every seed, by about one.
    const BEATEN: [Option<f64>; 3] = [Some(2.0), Some(2.11), Some(1.9)];

    /// The fitness of a full model against half of it, and bigram tables (none: no tokens).
    fn of(full: &[Option<f64>], half: &[Option<f64>], bigram: Option<f64>) -> Fitness {
        let arms = compared([arm("full", Role::Method, full), arm("half", Role::Shallower, half)]);
        let tables: Vec<Losses> =
            bigram.iter().flat_map(|&b| vec![Losses { unigram: 9.0, bigram: b }; full.len()]).collect();
        Fitness::of(&arms, "full", &tables)
    }

    /// It can't rank, for one reason alone.
    fn only(fitness: &Fitness, why: &str) {
        assert!(!fitness.can_rank());
        assert!(matches!(&fitness.problems[..], [one] if one.contains(why)), "{why}: {:?}", fitness.problems);
    }

    #[test]
    fn a_baseline_that_beats_both_can_rank() {
        for bigram in [Some(2.0), None] {
            let fitness = of(&GOOD, &BEATEN, bigram);
            assert!(fitness.can_rank() && fitness.is_finished, "{:?}", fitness.problems);
            let d = fitness.to_shallower[0].difference.unwrap();
            assert!(
                (d.mean + 3.01 / 3.0).abs() < 1e-12 && d.verdict == Verdict::Better,
                "baseline minus control: {d:?}"
            );
            let past = fitness.to_bigram.map(|d| d.mean);
            assert!(past.is_none() == bigram.is_none() && past.is_none_or(|mean| (mean + 1.0).abs() < 1e-12));
        }
    }

    #[test]
    fn a_bigram_table_that_is_not_beaten_forbids_it() {
        only(&of(&GOOD, &BEATEN, Some(0.5)), "doesn't beat the bigram table");
        // By 0.1 on average, where seeds leave 0.25 open.
        only(&of(&GOOD, &BEATEN, Some(1.1)), "doesn't beat the bigram table");
    }

    #[test]
    fn a_shallower_control_that_is_not_beaten_forbids_it() {
        only(&of(&GOOD, &[Some(0.5), Some(0.6), Some(0.4)], Some(2.0)), "doesn't beat half (6 layers)");
        only(&of(&GOOD, &[Some(1.2), Some(1.0), Some(1.1)], Some(2.0)), "depth isn't used here");
        let arms = compared([arm("full", Role::Method, &GOOD), arm("other", Role::Method, &BEATEN)]);
        only(&Fitness::of(&arms, "full", &[]), "there is no shallower control");
    }

    #[test]
    fn one_seed_can_rank_nothing_with_tokens_or_without() {
        for bigram in [Some(2.0), None] {
            only(&of(&GOOD[..1], &BEATEN[..1], bigram), "one seed shows no spread: at least two are needed");
        }
        // Two of three seeds of the control diverged: its one loss shows no spread either.
        for bigram in [Some(2.0), None] {
            only(&of(&GOOD, &[Some(2.0), None, None], bigram), "at least two must be trained to the end");
        }
    }

    #[test]
    fn what_diverged_is_no_measure() {
        only(&of(&GOOD, &[None; 3], Some(2.0)), "half has no finished run");
        for bigram in [Some(2.0), None] {
            only(&of(&[None; 3], &BEATEN, bigram), "full has no finished run");
        }
        // Better on two seeds, but nowhere on the third.
        let fitness = of(&[Some(1.0), Some(1.1), None], &BEATEN, Some(3.0));
        assert!(!fitness.can_rank());
        for other in ["the bigram table", "half"] {
            let why = format!("full diverged on a seed, so that it can't be said to beat {other}");
            assert!(fitness.problems.contains(&why), "{:?}", fitness.problems);
        }
        assert!(fitness.cautions.contains(&"some runs diverged: full".to_owned()), "{:?}", fitness.cautions);
        // A control that diverges is beaten there.
        assert!(of(&GOOD, &[Some(2.0), Some(2.1), None], Some(2.0)).can_rank());
    }
}
