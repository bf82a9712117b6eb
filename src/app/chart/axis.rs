//! What the loss is drawn over: steps, tokens, FLOPs or the time in which steps were trained.
//!
//! A step stands where the run stood *before* it, as an evaluation after so many steps does: its loss is that of the
//! weights it began with. Everything here is a look-up in what the run has folded.

use crate::app::history::{Bucket, Spent};
use crate::app::run::Run;

/// What is to the right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XAxis {
    /// Steps trained.
    #[default]
    Steps,
    /// Tokens (or whatever the run's items are) seen.
    Tokens,
    /// FLOPs, everything counted: what path lengths are compared at.
    Flops,
    /// Seconds in which steps were trained.
    Time,
}

impl XAxis {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Steps, Self::Tokens, Self::Flops, Self::Time];

    /// The next one, around.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// Its name, as of a run.
    pub fn name(self, run: &Run) -> &str {
        match self {
            Self::Steps => "step",
            Self::Tokens => run.started.as_ref().map_or("tokens", |s| &s.items),
            Self::Flops => "FLOPs",
            Self::Time => "time",
        }
    }

    /// Of so many steps, for which so much was spent.
    fn of(self, run: &Run, steps: f64, spent: Spent) -> f64 {
        match self {
            Self::Steps => steps,
            Self::Tokens => steps * run.started.as_ref().map_or(1.0, |s| s.tokens_per_step as f64),
            Self::Flops => spent.flops,
            Self::Time => spent.us as f64 / 1e6,
        }
    }

    /// Where a bucket's first step stands.
    pub fn of_bucket(self, run: &Run, bucket: &Bucket) -> f64 {
        self.of(run, bucket.step as f64, bucket.before)
    }

    /// Where an evaluation stands.
    pub fn of_full(self, run: &Run, full: &crate::app::run::Measured) -> f64 {
        self.of(run, full.step as f64, full.spent)
    }

    /// Where the run stands.
    pub fn now(self, run: &Run) -> f64 {
        self.of(run, run.step as f64, run.spent())
    }

    /// Where it will stand when all is trained, by the schedule and by how fast it goes.
    pub fn end(self, run: &Run) -> f64 {
        self.at(run, run.total_steps().max(run.step))
    }

    /// Where a step stands; between a bucket's ends on a straight line, behind the last step by the
    /// schedule.
    pub fn at(self, run: &Run, step: u64) -> f64 {
        if matches!(self, Self::Steps | Self::Tokens) {
            return self.of(run, step as f64, Spent::default());
        }
        if step >= run.step {
            let flops = run.flops_until(step);
            let per_flop = if self == Self::Flops { 1.0 } else { run.seconds_per_flop().unwrap_or(0.0) };
            return self.now(run) + flops * per_flop;
        }
        let mut buckets = run.history.since(|b| b.step <= step);
        let Some(bucket) = buckets.next() else { return 0.0 };
        let from = self.of_bucket(run, bucket);
        let to = buckets.next().map_or_else(|| self.now(run), |next| self.of_bucket(run, next));
        from + (to - from) * (step.saturating_sub(bucket.step) as f64 / f64::from(bucket.steps)).min(1.0)
    }

    /// The step that stands there, or the last one before.
    pub fn step_at(self, run: &Run, x: f64) -> u64 {
        let mut buckets = run.history.since(|b| self.of_bucket(run, b) <= x);
        let Some(bucket) = buckets.next() else { return 0 };
        let from = self.of_bucket(run, bucket);
        let to = buckets.next().map_or_else(|| self.now(run), |next| self.of_bucket(run, next));
        let share = if to > from { ((x - from) / (to - from)).clamp(0.0, 1.0) } else { 0.0 };
        // A hair of grace: from a step to its place and back is that step.
        let into = (share * f64::from(bucket.steps) + 1e-6) as u64;
        bucket.step + into.min(u64::from(bucket.steps) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_within_old_buckets_lie_on_a_straight_line() {
        let mut run = Run::default();
        for step in 0..200_000 {
            run.history.take(step, 1.0, Spent { flops: step as f64 * 5.0, us: step * 3 });
        }
        run.step = 200_000;
        assert!(run.history.at(1001).is_some_and(|b| b.steps > 8 && b.step < 1001));
        for step in [0, 1, 1001, 1007, 100_003, 199_000] {
            assert!((XAxis::Flops.at(&run, step) - step as f64 * 5.0).abs() < 1e-6, "{step}");
            assert!((XAxis::Time.at(&run, step) - step as f64 * 3e-6).abs() < 1e-9, "{step}");
            assert_eq!(XAxis::Flops.step_at(&run, step as f64 * 5.0), step);
        }
    }
}
