//! Rows and their differences, from runs made up by hand.

use std::collections::HashMap;

use super::*;
use crate::experiment::by_hand::{SPENT, arm, figures};
use crate::experiment::figures::Point;
use crate::experiment::statistics::Verdict;
use crate::plan::plan;

#[test]
fn differences_are_paired_by_seed() {
    let mut a = arm("a", Role::Method, &[Some(1.0), Some(2.0), None]);
    let b = arm("b", Role::Method, &[Some(0.5), Some(1.4), Some(9.0)]);
    a.runs.reverse();
    let d = against(&a.runs, &b.runs).unwrap();
    // 0.5 and 0.6; the third seed has one side alone.
    assert!((d.mean - 0.55).abs() < 1e-12 && (d.n, d.seeds) == (2, 3), "{d:?}");
    assert!((d.standard_error.unwrap() - 0.05).abs() < 1e-12);
}

#[test]
fn the_curve_is_read_where_an_arm_has_spent_as_much() {
    let spent = |flops| Spent { flops, ..SPENT };
    let mut base = arm("full", Role::Method, &[Some(1.0), Some(2.0), None, None]);
    for run in &mut base.runs {
        let end = run.figures.last_loss().unwrap_or(3.0);
        run.figures.curve =
            [(0.0, 9.0), (50.0, 5.0), (100.0, end)].map(|(at, loss)| Point { spent: spent(at), loss }).into();
    }
    // The last one diverged at half of it.
    base.runs[3].figures.curve.pop();
    let mut a = arm("a", Role::Method, &[Some(2.5), Some(3.0), None, Some(1.0)]);
    a.runs.iter_mut().for_each(|run| run.figures.spent = spent(75.0));
    let equal = equal_flops(&a, &base, None);
    // Half way from 5 to 1, and from 5 to 2: 3 and 3.5. On seed 3 both diverged, on seed 4 the baseline alone.
    assert_eq!(equal.curve_loss.map(|s| (s.n, s.mean)), Some((2, 3.25)));
    let d = equal.curve.unwrap();
    assert_eq!((d.n, d.seeds, d.mean), (2, 4, -0.5));
    assert_eq!(d.verdict, Verdict::Better, "-0.5 on both seeds");
    // Beyond the baseline's end there is no curve, whoever diverged.
    a.runs.iter_mut().for_each(|run| run.figures.spent = spent(101.0));
    base.runs.truncate(2);
    assert_eq!(equal_flops(&a, &base, None).curve, None);
}

const TEXT: &str = "
question = '?'
config = 'quickstart'
seeds = 2
[[arm]]
name = 'full'
set = { method.name = 'full', stage = [] }
[[arm]]
name = 'raptr'
[[arm]]
name = 'half-long'
equal_flops_to = 'raptr'
set = { method.name = 'full', stage = [], model.layers = 6 }
[[arm]]
name = 'full-short'
equal_flops_to = 'raptr'
set = { method.name = 'full', stage = [], evaluation.every = 50 }
";

/// The rows of an experiment; the loss of a run is its arm's place, and a tenth of its seed.
fn rows_of(text: &str) -> Vec<ArmResult> {
    let e = Experiment::parse("t", text, &[]).unwrap();
    let mut all = HashMap::new();
    for (at, seed) in (0..e.arms.len()).flat_map(|arm| [(arm, 1), (arm, 2)]) {
        let run = e.run(at, 0, e.arms[at].learning_rates[0], seed);
        let spent = Spent { flops: plan(&run.config).flops, ..SPENT };
        all.insert(run.name, figures(Some(at as f64 + 0.1 * seed as f64), spent));
    }
    rows(&e, 0, &|run| all.get(&run.name)).unwrap()
}

#[test]
fn only_the_baseline_itself_is_the_baseline_trained_to_equal_flops() {
    let rows = rows_of(TEXT);
    let equal = rows[1].equal_flops.as_ref().unwrap();
    assert_eq!(equal.trained_arm.as_deref(), Some("full-short"), "half of its layers is another model");
    assert!((equal.trained.unwrap().mean + 2.0).abs() < 1e-12, "1 - 3");
    // Without it there is none.
    let rows = rows_of(&TEXT.replace("evaluation.every = 50", "optimizer.weight_decay = 0.5"));
    let equal = rows[1].equal_flops.as_ref().unwrap();
    assert_eq!((&equal.trained_arm, equal.trained), (&None, None));
}

#[test]
fn an_arm_without_one_of_its_own_takes_the_baseline_nearest_in_flops() {
    let more = "[[arm]]\nname = 'twin'\nset = { method.scaling = 'sqrt' }\n[[arm]]\nname = 'nine'\nset = { stage = [{ path_length = 7 }] }";
    let rows = rows_of(&format!("{TEXT}{more}"));
    let trained = |at: usize| rows[at].equal_flops.as_ref().unwrap().trained_arm.as_deref();
    assert_eq!((trained(4), trained(5)), (Some("full-short"), None), "to within a hundredth");
}
