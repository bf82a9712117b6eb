//! The loss over steps in bounded memory.
//!
//! Steps are kept one by one until there are too many, then in buckets of twice the span, and so on. A bucket keeps the
//! least and the highest loss, so a spike never goes lost, and the smoothed loss as computed over *all* steps.

/// The most buckets that are kept.
const CAPACITY: usize = 4096;

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
}

impl Smoothing {
    /// Every one, by [`Self::index`].
    pub const ALL: [Self; 3] = [Self::Light, Self::Medium, Self::Strong];

    /// Its place.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The weight.
    pub fn weight(self) -> f64 {
        [0.9, 0.98, 0.995][self.index()]
    }

    /// The next one, around.
    pub fn next(self) -> Self {
        Self::ALL[(self.index() + 1) % Self::ALL.len()]
    }
}

/// Neighbouring steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The first step.
    pub step: u64,
    /// The least loss.
    pub low: f32,
    /// The highest loss.
    pub high: f32,
    /// The smoothed loss behind the last step, by [`Smoothing::index`].
    pub smooth: [f32; 3],
}

/// An exponential moving average that starts unbiased.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    fn take(&mut self, value: f64, keep: f64) -> f32 {
        self.sum = keep * self.sum + (1.0 - keep) * value;
        self.weight = keep * self.weight + (1.0 - keep);
        (self.sum / self.weight) as f32
    }
}

/// The loss over steps.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    buckets: Vec<Bucket>,
    /// Steps per bucket.
    span: u64,
    /// Steps in the last bucket.
    filled: u64,
    averages: [Average; 3],
}

impl Default for History {
    fn default() -> Self {
        Self { buckets: Vec::new(), span: 1, filled: 0, averages: Default::default() }
    }
}

impl History {
    /// Takes in a step's loss.
    pub fn take(&mut self, step: u64, loss: f32) {
        let mut smooth = [0.0; 3];
        for (which, smoothing) in Smoothing::ALL.into_iter().enumerate() {
            smooth[which] = self.averages[which].take(f64::from(loss), smoothing.weight());
        }
        match self.buckets.last_mut() {
            Some(bucket) if self.filled < self.span => {
                bucket.low = bucket.low.min(loss);
                bucket.high = bucket.high.max(loss);
                bucket.smooth = smooth;
                self.filled += 1;
            }
            _ => {
                self.buckets.push(Bucket { step, low: loss, high: loss, smooth });
                self.filled = 1;
            }
        }
        if self.buckets.len() > CAPACITY {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let pairs = self.buckets.chunks(2).map(|pair| {
            let last = pair[pair.len() - 1];
            Bucket {
                step: pair[0].step,
                low: pair[0].low.min(last.low),
                high: pair[0].high.max(last.high),
                smooth: last.smooth,
            }
        });
        let is_odd = self.buckets.len() % 2 == 1;
        self.buckets = pairs.collect();
        self.filled += if is_odd { 0 } else { self.span };
        self.span *= 2;
    }

    /// The buckets, oldest first.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The smoothed loss now.
    pub fn smoothed(&self, smoothing: Smoothing) -> Option<f32> {
        self.buckets.last().map(|b| b.smooth[smoothing.index()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_a_spike_stays() {
        let mut h = History::default();
        for step in 0..1_000_000u64 {
            h.take(
                step,
                if step == 123_456 {
                    99.0
                } else if step == 654_321 {
                    -7.0
                } else {
                    2.0
                },
            );
        }
        assert!(h.buckets().len() <= CAPACITY && h.buckets().len() >= CAPACITY / 2);
        let at = |step: u64| h.buckets().iter().rev().find(|b| b.step <= step).unwrap();
        assert_eq!((at(123_456).high, at(654_321).low), (99.0, -7.0));
        assert!(h.buckets().windows(2).all(|w| w[1].step - w[0].step == h.span));
    }

    #[test]
    fn averages_start_unbiased_and_follow_the_definition() {
        let mut h = History::default();
        h.take(0, 5.0);
        assert_eq!(h.smoothed(Smoothing::Strong), Some(5.0));
        h.take(1, 1.0);
        // (0.9 * 0.1 * 5 + 0.1 * 1) / (0.9 * 0.1 + 0.1)
        assert!((h.smoothed(Smoothing::Light).unwrap() - 0.55 / 0.19).abs() < 1e-6);
    }

    #[test]
    fn smoothing_does_not_depend_on_the_bucketing() {
        let loss = |step: u64| ((step * 37 % 101) as f32).sin() + 3.0;
        let mut h = History::default();
        let mut exact = Average::default();
        let mut last = 0.0;
        for step in 0..20_000 {
            h.take(step, loss(step));
            last = exact.take(f64::from(loss(step)), 0.98);
        }
        assert_eq!(h.smoothed(Smoothing::Medium), Some(last));
    }
}
