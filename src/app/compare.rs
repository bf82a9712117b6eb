//! Other runs beside this one: their full models' losses at equal steps, equal FLOPs and equal time.
//!
//! The full model is evaluated now and then; between two evaluations its loss is taken to lie on a straight line, and
//! beyond the last one nothing is said. Single runs have no spread: whether a difference means anything, an experiment tells.

use super::App;
use super::chart::axis::XAxis;
use super::run::Run;

/// Another run.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What it is called here.
    pub name: String,
    /// All of it that is known.
    pub run: Run,
}

/// What runs are put side by side at.
pub const MEASURES: [XAxis; 3] = [XAxis::Steps, XAxis::Flops, XAxis::Time];

/// Two runs side by side at equal steps, FLOPs or time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Equal in this.
    pub axis: XAxis,
    /// The most that both full models were evaluated at or beyond.
    pub at: f64,
    /// This run's loss there.
    pub mine: f64,
    /// The other's.
    pub theirs: f64,
    /// How much this run took to get to the lowest loss that both have had, over what the other took; none where either
    /// had it at its first evaluation.
    pub ratio: Option<f64>,
}

impl Row {
    /// This run's loss less the other's: below zero, this run leads.
    pub fn difference(&self) -> f64 {
        self.mine - self.theirs
    }
}

impl Run {
    /// The full model's loss at x, between two evaluations on a straight line; none outside of them.
    pub fn full_at(&self, axis: XAxis, x: f64) -> Option<f64> {
        let at = |i: usize| (axis.of_full(self, &self.full[i]), f64::from(self.full[i].loss));
        // The first at or beyond x.
        let next = self.full.partition_point(|f| axis.of_full(self, f) < x);
        if next == self.full.len() {
            return None;
        }
        let (right, loss) = at(next);
        if right <= x {
            return Some(loss);
        }
        let (left, before) = at(next.checked_sub(1)?);
        Some(before + (loss - before) * (x - left) / (right - left))
    }

    /// Where the full model's loss was first as low as that, on a straight line between two evaluations; none if it never
    /// was, or was from the beginning.
    fn reached(&self, axis: XAxis, loss: f64) -> Option<f64> {
        let pair = self.full.windows(2).find(|pair| f64::from(pair[1].loss) <= loss)?;
        let [(left, before), (right, after)] = [0, 1].map(|i| (axis.of_full(self, &pair[i]), f64::from(pair[i].loss)));
        (before > loss).then(|| left + (right - left) * (before - loss) / (before - after))
    }

    fn lowest(&self) -> Option<f64> {
        self.full.iter().map(|f| f64::from(f.loss)).reduce(f64::min)
    }
}

/// This run beside another in one measure; none until both full models were evaluated where the two overlap.
pub fn row(run: &Run, other: &Run, axis: XAxis) -> Option<Row> {
    let last = |run: &Run| run.full.last().map(|f| axis.of_full(run, f));
    let at = last(run)?.min(last(other)?);
    let (mine, theirs) = (run.full_at(axis, at)?, other.full_at(axis, at)?);
    let common = run.lowest()?.max(other.lowest()?);
    let ratio = match (run.reached(axis, common), other.reached(axis, common)) {
        (Some(mine), Some(theirs)) if theirs > 0.0 => Some(mine / theirs),
        _ => None,
    };
    Some(Row { axis, at, mine, theirs, ratio })
}

/// References that are shown at most: each needs a colour and a dash of its own.
pub const MOST: usize = 6;

impl App {
    /// Shows another run beside this one; one of the same name takes its place, and the oldest leaves where there are too
    /// many.
    pub fn compare_with(&mut self, reference: Reference) {
        match self.references.iter_mut().find(|r| r.name == reference.name) {
            Some(old) => *old = reference,
            None => self.references.push(reference),
        }
        if self.references.len() > MOST {
            self.references.remove(0);
        }
    }
}

/// Why two runs' losses can't be compared, or not quite.
pub fn doubt(run: &Run, other: &Run) -> Option<&'static str> {
    let (a, b) = (run.started.as_ref()?, other.started.as_ref()?);
    if a.objective != b.objective {
        return Some("different objectives: the losses can't be compared");
    }
    if a.data_checksum != b.data_checksum {
        return Some("different text: the losses can't be compared");
    }
    (a.tokens_per_step != b.tokens_per_step).then_some("different batches: equal steps are not equal tokens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::history::Spent;
    use crate::app::run::Measured;

    fn of(full: Vec<Measured>) -> Run {
        let mut run = Run::default();
        run.full = full;
        run
    }

    /// Evaluations at 0, 10, 20 and 30 steps, each step `flops` FLOPs and a second.
    fn run(losses: [f32; 4], flops: f64) -> Run {
        let measured = |(i, loss): (usize, f32)| {
            let step = 10 * i as u64;
            Measured { step, loss, spent: Spent { flops: flops * step as f64, us: step * 1_000_000 } }
        };
        of(losses.into_iter().enumerate().map(measured).collect())
    }

    #[test]
    fn losses_are_compared_at_equal_steps_and_at_equal_flops() {
        // Half the FLOPs a step, a little behind at equal steps, ahead at equal FLOPs.
        let (mine, full) = (run([5.0, 3.5, 2.5, 2.25], 1.0), run([5.0, 3.0, 2.0, 1.5], 2.0));
        let steps = row(&mine, &full, XAxis::Steps).unwrap();
        assert_eq!((steps.at, steps.mine, steps.theirs, steps.difference()), (30.0, 2.25, 1.5, 0.75));
        // 30 FLOPs: this run's end, and halfway between the other's second and third evaluation.
        let flops = row(&mine, &full, XAxis::Flops).unwrap();
        assert_eq!((flops.at, flops.mine, flops.theirs), (30.0, 2.25, 2.5));
        assert!(flops.difference() < 0.0);
        // 2.25 is what both have had: this run after 30 steps, the other after 17.5.
        assert_eq!(steps.ratio, Some(30.0 / 17.5));
        assert_eq!(flops.ratio, Some(30.0 / 35.0));
    }

    #[test]
    fn nothing_is_said_outside_of_the_evaluations() {
        let mine = run([5.0, 4.0, 3.0, 2.0], 1.0);
        assert_eq!(mine.full_at(XAxis::Steps, 30.1), None);
        assert_eq!(mine.full_at(XAxis::Steps, 30.0), Some(2.0));
        assert_eq!(mine.full_at(XAxis::Steps, 0.0), Some(5.0));
        assert_eq!(mine.full_at(XAxis::Steps, 15.0), Some(3.5));
        assert_eq!(row(&mine, &Run::default(), XAxis::Steps), None);
        // A run that grew has no full model at its beginning.
        let late = of(mine.full[2..].to_vec());
        assert_eq!(late.full_at(XAxis::Steps, 15.0), None);
        assert_eq!(row(&mine, &late, XAxis::Steps).unwrap().at, 30.0);
    }
}
