//! The loss over steps in bounded memory.
//!
//! The newest steps are kept one by one; older ones in pairs, still older ones in fours, and so on, a level for each
//! span. A million steps take 61 thousand buckets, and each further doubling 4096 more. A bucket keeps the least and the
//! highest loss, so a spike never goes lost; the smoothed loss as computed over *all* steps; and what the run had spent
//! before its first step, so that it can be drawn over FLOPs or time as well.

use std::collections::VecDeque;

/// The newest steps, kept one by one.
const SINGLE: usize = 32_768;
/// Buckets of each wider span.
const WIDE: usize = 4096;

/// How a smoothed line follows the loss: the weight of what was, per step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Smoothing {
    /// 0.9
    #[default]
    Light,
    /// 0.98
    Medium,
    /// 0.995
    Strong,
    /// 0.999
    Heavy,
}

impl Smoothing {
    /// Every one, by [`Self::index`].
    pub const ALL: [Self; WEIGHTS] = [Self::Light, Self::Medium, Self::Strong, Self::Heavy];

    /// Its place.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The weight.
    pub fn weight(self) -> f64 {
        [0.9, 0.98, 0.995, 0.999][self.index()]
    }

    /// A stronger one, or a weaker one, around.
    pub fn turned(self, by: isize) -> Self {
        let at = (self.index() as isize + by).rem_euclid(WEIGHTS as isize);
        Self::ALL[at as usize]
    }
}

/// How many smoothed lines are kept.
const WEIGHTS: usize = 4;

/// What a run has spent on training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// FLOPs, everything counted.
    pub flops: f64,
    /// Microseconds in which steps were trained: pauses, evaluations and checkpoints are left out.
    pub us: u64,
}

/// Neighbouring steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The first step.
    pub step: u64,
    /// How many.
    pub steps: u32,
    /// How many of them had a loss that was not finite.
    pub bad: u32,
    /// What was spent before the first.
    pub before: Spent,
    /// The least finite loss; above `high` if there is none.
    pub low: f32,
    /// The highest finite loss.
    pub high: f32,
    /// The smoothed loss behind the last step, by [`Smoothing::index`]; infinite until there was a finite loss.
    pub smooth: [f32; WEIGHTS],
    /// The same, begun anew at each change of stage or path length.
    pub fresh: [f32; WEIGHTS],
}

impl Bucket {
    /// The last step.
    pub fn last(&self) -> u64 {
        self.step + u64::from(self.steps) - 1
    }

    /// Whether no step had a finite loss.
    pub fn is_gap(&self) -> bool {
        self.bad == self.steps
    }

    /// The smoothed loss behind the last step, if there is one.
    pub fn smoothed(&self, smoothing: Smoothing, restarts: bool) -> Option<f32> {
        let of = if restarts { &self.fresh } else { &self.smooth };
        Some(of[smoothing.index()]).filter(|loss| loss.is_finite())
    }

    /// Both as one.
    fn joined(self, next: Self) -> Self {
        Self {
            steps: self.steps.saturating_add(next.steps),
            bad: self.bad.saturating_add(next.bad),
            low: self.low.min(next.low),
            high: self.high.max(next.high),
            smooth: next.smooth,
            fresh: next.fresh,
            ..self
        }
    }
}

/// An exponential moving average that starts unbiased.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    fn take(&mut self, value: f64, keep: f64) {
        self.sum = keep * self.sum + (1.0 - keep) * value;
        self.weight = keep * self.weight + (1.0 - keep);
    }

    fn value(&self) -> f32 {
        if self.weight > 0.0 { (self.sum / self.weight) as f32 } else { f32::INFINITY }
    }
}

/// The loss over steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// By span, single steps first; within a level and from each level to the one before it steps rise.
    levels: Vec<VecDeque<Bucket>>,
    averages: [Average; WEIGHTS],
    fresh: [Average; WEIGHTS],
}

impl History {
    /// Takes in a step's loss, which need not be finite, and what was spent before the step.
    pub fn take(&mut self, step: u64, loss: f32, before: Spent) {
        if self.last().is_some_and(|bucket| step <= bucket.last()) {
            self.rewind(step);
        }
        let is_bad = !loss.is_finite();
        let (mut smooth, mut fresh) = ([0.0; WEIGHTS], [0.0; WEIGHTS]);
        for (which, smoothing) in Smoothing::ALL.into_iter().enumerate() {
            for average in [&mut self.averages[which], &mut self.fresh[which]] {
                if !is_bad {
                    average.take(f64::from(loss), smoothing.weight());
                }
            }
            (smooth[which], fresh[which]) = (self.averages[which].value(), self.fresh[which].value());
        }
        let (low, high) = if is_bad { (f32::INFINITY, f32::NEG_INFINITY) } else { (loss, loss) };
        self.push(0, Bucket { step, steps: 1, bad: u32::from(is_bad), before, low, high, smooth, fresh });
    }

    /// Begins the second set of averages anew.
    pub fn restart(&mut self) {
        self.fresh = Default::default();
    }

    fn push(&mut self, level: usize, bucket: Bucket) {
        if self.levels.len() == level {
            self.levels.push(VecDeque::new());
        }
        let buckets = &mut self.levels[level];
        buckets.push_back(bucket);
        if buckets.len() > if level == 0 { SINGLE } else { WIDE }
            && let (Some(first), Some(second)) = (buckets.pop_front(), buckets.pop_front())
        {
            self.push(level + 1, first.joined(second));
        }
    }

    /// Drops what begins at a step or later: it is trained again.
    fn rewind(&mut self, step: u64) {
        for level in &mut self.levels {
            while level.back().is_some_and(|bucket| bucket.step >= step) {
                level.pop_back();
            }
        }
        // As near to what they were as is still known.
        let last = self.last().copied();
        for which in 0..WEIGHTS {
            let value = |of: fn(&Bucket) -> &[f32; WEIGHTS]| last.as_ref().map(|b| of(b)[which]);
            for (average, value) in
                [(&mut self.averages[which], value(|b| &b.smooth)), (&mut self.fresh[which], value(|b| &b.fresh))]
            {
                match value.filter(|v| v.is_finite()) {
                    Some(value) => average.sum = f64::from(value) * average.weight,
                    None => *average = Average::default(),
                }
            }
        }
    }

    /// How many buckets are kept.
    pub fn len(&self) -> usize {
        self.levels.iter().map(VecDeque::len).sum()
    }

    /// Whether no step was taken in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest bucket.
    pub fn last(&self) -> Option<&Bucket> {
        self.levels.iter().find_map(VecDeque::back)
    }

    /// The buckets, oldest first.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.levels.iter().rev().flatten()
    }

    /// The buckets from the last one for which `is_before` still holds (or the first of all), oldest first. It must hold
    /// for the older ones and no longer for the newer.
    pub fn since(&self, is_before: impl Fn(&Bucket) -> bool) -> impl Iterator<Item = &Bucket> {
        // The newest level that has such a bucket, or the oldest that has any.
        let level = self.levels.iter().position(|level| level.front().is_some_and(&is_before));
        let level = level.unwrap_or(self.levels.len().saturating_sub(1));
        let first = self.levels.get(level).map_or(0, |level| level.partition_point(is_before).saturating_sub(1));
        self.levels
            .iter()
            .take(level + 1)
            .enumerate()
            .rev()
            .flat_map(move |(at, buckets)| buckets.range(if at == level { first } else { 0 }..))
    }

    /// The bucket that a step lies in; the last one before it if it was not trained.
    pub fn at(&self, step: u64) -> Option<&Bucket> {
        self.since(|bucket| bucket.step <= step).next().filter(|bucket| bucket.step <= step)
    }

    /// The smoothed loss now.
    pub fn smoothed(&self, smoothing: Smoothing) -> Option<f32> {
        self.last()?.smoothed(smoothing, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(losses: impl IntoIterator<Item = f32>) -> History {
        let mut history = History::default();
        for (step, loss) in losses.into_iter().enumerate() {
            history.take(step as u64, loss, Spent { flops: step as f64 * 2.0, us: step as u64 * 3 });
        }
        history
    }

    #[test]
    fn memory_is_bounded_and_a_spike_stays() {
        let h = of((0..1_000_000).map(|step| match step {
            123_456 => 99.0,
            654_321 => -7.0,
            _ => 2.0,
        }));
        assert!(h.len() < 62_000, "{}", h.len());
        assert_eq!((h.at(123_456).unwrap().high, h.at(654_321).unwrap().low), (99.0, -7.0));
        assert_eq!(h.buckets().filter(|b| b.high > 2.0).count(), 1);
        // Every step is in one bucket, and each bucket knows what was spent before it.
        let mut next = 0;
        for bucket in h.buckets() {
            assert_eq!((bucket.step, bucket.before.us), (next, next * 3));
            next = bucket.last() + 1;
        }
        assert_eq!(next, 1_000_000);
        // The newest are single, the oldest coarse.
        assert!(h.at(990_000).unwrap().steps == 1 && h.at(0).unwrap().steps >= 64);
    }

    #[test]
    fn averages_start_unbiased_and_follow_the_definition() {
        let mut h = of([5.0]);
        assert_eq!(h.smoothed(Smoothing::Strong), Some(5.0));
        h.take(1, 1.0, Spent::default());
        // (0.9 * 0.1 * 5 + 0.1 * 1) / (0.9 * 0.1 + 0.1)
        assert!((h.smoothed(Smoothing::Light).unwrap() - 0.55 / 0.19).abs() < 1e-6);
        // Begun anew, the other knows nothing of what was before.
        h.restart();
        h.take(2, 9.0, Spent::default());
        assert_eq!(h.last().unwrap().smoothed(Smoothing::Light, true), Some(9.0));
        assert!(h.smoothed(Smoothing::Light).unwrap() < 7.0);
    }

    #[test]
    fn smoothing_does_not_depend_on_the_bucketing() {
        let loss = |step: u64| ((step * 37 % 101) as f32).sin() + 3.0;
        let h = of((0..100_000).map(loss));
        let mut exact = Average::default();
        for step in 0..100_000 {
            exact.take(f64::from(loss(step)), 0.98);
            let bucket = h.at(step).unwrap();
            if bucket.last() == step {
                assert_eq!(bucket.smoothed(Smoothing::Medium, false), Some(exact.value()), "{step}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_a_gap_and_leaves_the_average_alone() {
        let h = of([f32::NAN, 2.0, f32::INFINITY, f32::NAN]);
        let buckets: Vec<&Bucket> = h.buckets().collect();
        assert_eq!(buckets.iter().map(|b| b.is_gap()).collect::<Vec<_>>(), [true, false, true, true]);
        assert_eq!(buckets[0].smoothed(Smoothing::Light, false), None);
        assert_eq!(h.smoothed(Smoothing::Light), Some(2.0));
        assert_eq!(h, h.clone(), "no NaN that would differ from itself");
        // Joined with a finite one it is a gap no more, but the bad step is still known.
        let joined = buckets[1].joined(*buckets[2]);
        assert_eq!((joined.low, joined.high, joined.bad, joined.is_gap()), (2.0, 2.0, 1, false));
    }

    #[test]
    fn a_step_that_is_trained_again_takes_the_place_of_the_first() {
        let mut h = of((0..100).map(|step| step as f32));
        h.take(50, 7.0, Spent::default());
        assert_eq!(h.len(), 51);
        assert_eq!((h.last().unwrap().low, h.at(49).unwrap().low), (7.0, 49.0));
    }

    #[test]
    fn a_look_up_finds_the_step_wherever_it_is_kept() {
        let h = of((0..200_000).map(|step| step as f32));
        for step in [0, 1, 63, 64, 5000, 100_000, 150_001, 170_000, 199_999] {
            let bucket = h.at(step).unwrap();
            assert!(bucket.step <= step && step <= bucket.last(), "{step}: {bucket:?}");
            let first = h.since(|b| b.before.us <= step * 3).next().unwrap();
            assert_eq!(first, bucket, "{step} by time");
        }
        assert_eq!(h.since(|b| b.step <= 199_000).count(), 1000);
        assert_eq!((h.at(1 << 40).unwrap().step, History::default().at(3)), (199_999, None));
    }
}
