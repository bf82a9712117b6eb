//! Results as text that fits 100 columns.
//!
//! Owns the wording and the alignment. Computes nothing.

use std::fmt::Write as _;

use super::definition::Role;
use super::measured::{Measured, MeasuredArm};
use super::results::{ArmResult, Horizon, Results};
use super::rivals::Rivals;
use super::statistics::{Difference, Summary};
use crate::measurement::short;

/// The widest line.
const COLUMNS: usize = 100;
/// The longest arm name that is shown whole.
const NAME: usize = 18;

/// An experiment's tables.
pub fn table(results: &Results) -> String {
    let mut text = String::new();
    let percent = 100.0 * results.confidence;
    wrap(&mut text, &format!("{}: {}", results.experiment, results.question), "");
    let about = format!(
        "{} seeds; loss: the full model's on validation data, {}; differences are paired by seed, with {percent:.0} % \
         intervals (Student's t)",
        results.seeds, results.loss_unit
    );
    wrap(&mut text, &about, "");
    for horizon in &results.horizons {
        let _ = writeln!(text, "\n== {} steps ==", horizon.steps);
        text.push_str(&losses(horizon, &results.baseline));
        text.push('\n');
        text.push_str(&costs(horizon, &results.baseline));
        if horizon.arms.iter().any(|arm| arm.equal_flops.is_some()) {
            text.push('\n');
            text.push_str(&equal_flops(horizon, &results.baseline));
        }
        if let Some(rivals) = &horizon.rivals {
            text.push('\n');
            text.push_str(&against(rivals, horizon));
        }
        for table in &horizon.measured {
            let _ = writeln!(text, "\n{} (full model, at the end):", table.name);
            text.push_str(&measured(table));
        }
        text.push('\n');
        fitness(&mut text, horizon, &results.baseline);
    }
    if results.horizons.len() > 1 {
        text.push_str("\n== by training length ==\n");
        text.push_str(&by_length(results));
    }
    text
}

/// A verdict; a star where the table can't rank depth schedules.
fn verdict(difference: Option<&Difference>, horizon: &Horizon) -> String {
    let star = if horizon.fitness.can_rank() { "" } else { "*" };
    difference.map_or_else(String::new, |d| format!("{}{star}", d.verdict.text()))
}

fn losses(horizon: &Horizon, baseline: &str) -> String {
    let head = ["arm", "steps", "rate", "loss ± std", &format!("- {}", name(baseline)), "verdict", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for arm in &horizon.arms {
        let against =
            if arm.name == baseline { "baseline".to_owned() } else { verdict(arm.to_baseline.as_ref(), horizon) };
        let mut note = match arm.role {
            Role::Shallower => format!("{} layers", arm.layers),
            Role::Method => String::new(),
        };
        if arm.diverged > 0 {
            let _ = write!(note, "{}{} diverged", if note.is_empty() { "" } else { ", " }, arm.diverged);
        }
        rows.push(vec![
            name(&arm.name),
            arm.steps.to_string(),
            format!("{:.1e}", arm.learning_rate),
            arm.loss.map_or_else(|| "-".to_owned(), mean),
            arm.to_baseline.map_or_else(String::new, signed),
            against,
            note,
        ]);
    }
    aligned(&rows)
}

fn costs(horizon: &Horizon, baseline: &str) -> String {
    let head = ["cost of a run", "layer FLOPs", "all FLOPs", "time", "speed-up: layers", "all", "time"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for arm in horizon.arms.iter().filter(|arm| arm.loss.is_some()) {
        let ratio = |value: f64| if arm.name == baseline { "1".to_owned() } else { format!("{value:.3}x") };
        rows.push(vec![
            name(&arm.name),
            short(arm.spent.layer_flops),
            short(arm.spent.flops),
            format!("{:.1} s", arm.spent.seconds),
            ratio(arm.speed_up.layers),
            ratio(arm.speed_up.all),
            ratio(arm.speed_up.time),
        ]);
    }
    aligned(&rows)
}

fn against(rivals: &Rivals, horizon: &Horizon) -> String {
    let head = ["at equal steps and FLOPs", &format!("- {}", name(&rivals.method)), "verdict"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (arm, difference) in &rivals.others {
        rows.push(vec![name(arm), signed(*difference), verdict(Some(difference), horizon)]);
    }
    aligned(&rows)
}

fn equal_flops(horizon: &Horizon, baseline: &str) -> String {
    let curve = format!("- {}'s curve (1)", name(baseline));
    let head = ["at equal FLOPs", &curve, "verdict", "- trained (2)", "verdict", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for arm in &horizon.arms {
        let Some(equal) = &arm.equal_flops else { continue };
        rows.push(vec![
            name(&arm.name),
            equal.curve.map_or_else(|| "-".to_owned(), signed),
            verdict(equal.curve.as_ref(), horizon),
            equal.trained.map_or_else(|| "-".to_owned(), signed),
            verdict(equal.trained.as_ref(), horizon),
            equal.trained_arm.as_deref().map_or_else(String::new, |arm| format!("({})", name(arm))),
        ]);
    }
    let mut text = aligned(&rows);
    let notes = format!(
        "(1) {baseline}'s own loss when it had spent as many FLOPs, its learning rate not yet decayed: flatters the arm. \
         (2) {baseline} trained to so many FLOPs (to within 1 %) with its decay: the fair one."
    );
    wrap(&mut text, &notes, "");
    text
}

/// A series at the end of training, with deviations where they fit and in as many blocks of columns as it takes.
fn measured(table: &Measured) -> String {
    let rows = |columns: std::ops::Range<usize>, with_std: bool| {
        let head = std::iter::once("arm".to_owned()).chain(table.labels[columns.clone()].iter().cloned()).collect();
        let row = |row: &MeasuredArm| {
            let cell = |s: &Option<Summary>| match s {
                None => "-".to_owned(),
                Some(s) if with_std => mean(*s),
                Some(s) => format!("{:.4}", s.mean),
            };
            std::iter::once(name(&row.arm)).chain(row.values[columns.clone()].iter().map(cell)).collect()
        };
        aligned(&std::iter::once(head).chain(table.arms.iter().map(row)).collect::<Vec<Vec<String>>>())
    };
    let fits = |text: &str| text.lines().all(|line| line.chars().count() <= COLUMNS);
    let all = table.labels.len();
    let whole = rows(0..all, true);
    if fits(&whole) {
        return whole;
    }
    let (mut text, mut first) = (String::new(), 0);
    while first < all {
        // A single column is shown however wide it is.
        let last = (first + 1..=all).rev().find(|&last| last == first + 1 || fits(&rows(first..last, false)));
        let last = last.unwrap_or(all);
        text.push_str(&rows(first..last, false));
        first = last;
    }
    text
}

fn fitness(text: &mut String, horizon: &Horizon, baseline: &str) {
    let f = &horizon.fitness;
    let value = |s: Option<Summary>| s.map_or_else(|| "not defined".to_owned(), |s| format!("{:.4}", s.mean));
    let mut line = match f.bigram {
        None => "fitness: no tokens, so no tables to beat".to_owned(),
        Some(_) => format!("fitness: unigram {}, bigram {}", value(f.unigram), value(f.bigram)),
    };
    if f.floor.is_some() {
        let _ = write!(line, ", floor {}", value(f.floor));
    }
    if let Some(d) = f.to_bigram {
        let _ = write!(line, "; {baseline} - bigram {} ({})", signed(d), d.verdict.text());
    }
    for control in &f.to_shallower {
        if let Some(d) = control.difference {
            let _ = write!(line, "; {baseline} - {} {} ({})", control.arm, signed(d), d.verdict.text());
        }
    }
    wrap(text, &line, "         ");
    if f.can_rank() {
        wrap(text, "         This table can rank depth schedules.", "         ");
    } else {
        let why = f.problems.join("; ");
        let line =
            format!("         Can't tell how depth schedules rank here: {why}. Verdicts with * are of losses alone.");
        wrap(text, &line, "         ");
    }
    for caution in &f.cautions {
        wrap(text, &format!("         Caution: {caution}."), "         ");
    }
}

/// The differences of every arm against the length of training.
fn by_length(results: &Results) -> String {
    let mut head = vec!["arm - baseline".to_owned()];
    head.extend(results.horizons.iter().map(|h| format!("{} steps", h.steps)));
    let mut rows = vec![head];
    let arms = results.horizons.first().map_or(&[][..], |h| &h.arms);
    let mut add = |full_name: &str, label: String, of: &dyn Fn(&ArmResult) -> Option<Difference>| {
        let cells = results.horizons.iter().map(|horizon| {
            let arm = horizon.arms.iter().find(|arm| arm.name == full_name);
            arm.and_then(of).map_or_else(|| "-".to_owned(), signed)
        });
        rows.push(std::iter::once(label).chain(cells).collect());
    };
    for arm in arms.iter().filter(|arm| arm.name != results.baseline) {
        add(&arm.name, name(&arm.name), &|arm| arm.to_baseline);
        if arm.equal_flops.as_ref().is_some_and(|e| e.trained_arm.is_some()) {
            add(&arm.name, format!("{} (2)", name(&arm.name)), &|arm| arm.equal_flops.as_ref()?.trained);
        }
    }
    // As many columns as fit; the longest trainings are the most telling.
    while aligned(&rows).lines().any(|line| line.chars().count() > COLUMNS) && rows[0].len() > 2 {
        rows.iter_mut().for_each(|row| drop(row.remove(1)));
    }
    aligned(&rows)
}

/// An arm's name, cut where it is too long for a table.
fn name(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

/// Mean and deviation; one seed has none.
pub(super) fn mean(s: Summary) -> String {
    s.std.map_or_else(|| format!("{:.4}", s.mean), |std| format!("{:.4} ±{std:.4}", s.mean))
}

/// A difference with its interval, and of how many seeds it is where some diverged.
pub(super) fn signed(d: Difference) -> String {
    let of = if d.n < d.seeds { format!(" n={}", d.n) } else { String::new() };
    d.half_width.map_or_else(|| format!("{:+.4}{of}", d.mean), |half| format!("{:+.4} ±{half:.4}{of}", d.mean))
}

/// Rows of cells as lines: the first column to the left, the others to the right, a last one of notes to the left.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let has_notes = rows.first().is_some_and(|head| head.len() > 1 && head[head.len() - 1].is_empty());
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let w = widths[at];
            let is_left = at == 0 || (has_notes && at + 1 == columns);
            let gap = if at == 0 { "" } else { "  " };
            let _ = if is_left { write!(line, "{gap}{cell:<w$}") } else { write!(line, "{gap}{cell:>w$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Adds words as lines that are not too wide; those behind the first begin with `indent`.
pub(super) fn wrap(text: &mut String, words: &str, indent: &str) {
    let lead: String = words.chars().take_while(|c| *c == ' ').collect();
    let mut line = lead;
    let mut is_empty = true;
    for word in words.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line = indent.to_owned();
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::by_hand::{arm, compared};
    use crate::experiment::fitness::Fitness;
    use crate::experiment::statistics::{CONFIDENCE, Verdict};

    /// Results at two lengths of training of a baseline at 1 and others, each that much above it.
    fn results(others: &[(&str, f64)]) -> Results {
        let horizon = |steps: u64| {
            let losses = |shift: f64| [Some(1.0 + shift), Some(1.1 + shift), None];
            let mut arms = vec![arm("full", Role::Method, &losses(0.0))];
            for &(name, shift) in others {
                let [_, other] = compared([arms[0].clone(), arm(name, Role::Method, &losses(shift * steps as f64))]);
                arms.push(other);
            }
            let fitness = Fitness::of(&arms, "full", &[]);
            Horizon { steps, arms, rivals: None, fitness, measured: Vec::new() }
        };
        Results {
            experiment: "t".to_owned(),
            question: "?".to_owned(),
            baseline: "full".to_owned(),
            confidence: CONFIDENCE,
            seeds: 3,
            loss_unit: "nats".to_owned(),
            horizons: vec![horizon(1), horizon(2)],
        }
    }

    #[test]
    fn arms_with_one_beginning_have_rows_of_their_own() {
        let results = results(&[("raptr-6-8-10-12-bernoulli", 0.25), ("raptr-6-8-10-12-bern-sqrt", 0.5)]);
        let text = by_length(&results);
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert!(rows[0].starts_with("raptr-6-8-10-12-b…") && rows[1].starts_with("raptr-6-8-10-12-b…"), "{text}");
        for (row, values) in rows.iter().zip([["+0.2500", "+0.5000"], ["+0.5000", "+1.0000"]]) {
            assert!(values.iter().all(|value| row.contains(value)), "{row}");
        }
        assert!(rows[0].find("+0.2500") < rows[0].find("+0.5000") && !rows[1].contains("+0.2500"), "{text}");
    }

    #[test]
    fn a_difference_of_fewer_seeds_says_so() {
        let d = Difference {
            n: 2,
            seeds: 3,
            mean: -0.25,
            standard_error: Some(0.01),
            half_width: Some(0.127),
            verdict: Verdict::Better,
        };
        assert_eq!(signed(d), "-0.2500 ±0.1270 n=2");
        assert_eq!(signed(Difference { n: 3, ..d }), "-0.2500 ±0.1270");
        assert!(table(&results(&[("other", 0.25)])).contains("+0.2500 ±0.0000 n=2"));
    }
}
