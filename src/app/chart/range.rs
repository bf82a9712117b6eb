//! The y axis: from losses to a share of the height and back, linear or logarithmic, and the range that shows what is
//! there.

use super::columns::Column;

/// The range of the y axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
    is_log: bool,
}

/// Losses below are drawn here on a log scale.
const LEAST: f64 = 1e-12;

impl Range {
    /// The range that holds these values with a little air around.
    pub fn of(values: impl Iterator<Item = f64>, is_log: bool) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        // Nothing at or below zero has a place on a log scale; it is drawn at the lower edge.
        for value in values.filter(|v| v.is_finite() && (!is_log || *v > LEAST)) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            return None;
        }
        let to = |value: f64| if is_log { value.ln() } else { value };
        let (low, high) = (to(low), to(high));
        // A flat line lies in the middle of a range that tells its digits apart.
        let air = ((high - low) * 0.04).max(low.abs().max(high.abs()) * 1e-6).max(1e-9);
        Some(Self { low: low - air, high: high + air, is_log })
    }

    /// From 0 to 1.
    pub fn unit() -> Self {
        Self { low: 0.0, high: 1.0, is_log: false }
    }

    /// The share of the height, from the top: 0 is the upper edge.
    pub fn share(&self, loss: f64) -> f64 {
        let value = if self.is_log { loss.max(LEAST).ln() } else { loss };
        1.0 - (value - self.low) / (self.high - self.low)
    }

    /// The loss at a share of the height.
    pub fn at(&self, share: f64) -> f64 {
        let value = self.high + (self.low - self.high) * share;
        if self.is_log { value.exp() } else { value }
    }

    /// Least and highest loss.
    pub fn ends(&self) -> (f64, f64) {
        (self.at(1.0), self.at(0.0))
    }

    /// Whether it is logarithmic.
    pub fn is_log(&self) -> bool {
        self.is_log
    }
}

/// The losses that make the range: of the columns the extremes, or all but the outermost hundredth on either side.
pub fn extremes(columns: &[Column], is_robust: bool) -> Vec<f64> {
    let of = |f: fn(&Column) -> f32| {
        let mut all: Vec<f64> = columns.iter().filter(|c| c.has_loss()).map(|c| f64::from(f(c))).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (lows, highs) = (of(|c| c.low), of(|c| c.high));
    let cut = if is_robust { lows.len().div_ceil(100) } else { 0 };
    let ends = [lows.get(cut.min(lows.len() / 2)), highs.get(highs.len().saturating_sub(1 + cut.min(highs.len() / 2)))];
    ends.into_iter().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(low: f32, high: f32) -> Column {
        Column { low, high, smooth: None, is_bad: false }
    }

    #[test]
    fn shares_and_losses_are_each_others_inverse() {
        for is_log in [false, true] {
            let range = Range::of([0.5, 8.0].into_iter(), is_log).unwrap();
            for loss in [0.5, 1.0, 3.0, 8.0] {
                assert!((range.at(range.share(loss)) - loss).abs() < 1e-9);
            }
            assert!(range.share(8.0) > 0.0 && range.share(0.5) < 1.0);
        }
        // The geometric middle on a log scale, the arithmetic one on a linear.
        assert!((Range::of([0.5, 8.0].into_iter(), true).unwrap().share(2.0) - 0.5).abs() < 1e-9);
        assert!((Range::of([0.5, 8.0].into_iter(), false).unwrap().share(4.25) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_and_one_value_and_zero_are_no_trouble() {
        assert_eq!(Range::of([].into_iter(), false), None);
        assert_eq!(Range::of([f64::NAN].into_iter(), true), None);
        let flat = Range::of([2.0, 2.0].into_iter(), false).unwrap();
        assert!((flat.share(2.0) - 0.5).abs() < 1e-9);
        let log = Range::of([0.0, 1.0, 10.0].into_iter(), true).unwrap();
        assert!(log.ends().0 > 0.5 && log.share(0.0).is_finite());
    }

    #[test]
    fn a_robust_range_leaves_the_outermost_hundredth_out() {
        let mut columns: Vec<Column> = (0..200).map(|i| column(1.0 + i as f32 / 1000.0, 2.0)).collect();
        columns[7] = column(0.01, 90.0);
        assert_eq!(extremes(&columns, false), [f64::from(0.01f32), 90.0]);
        assert_eq!(extremes(&columns, true), [f64::from(1.001f32), 2.0]);
        assert_eq!(extremes(&columns[..1], true), [1.0, 2.0]);
    }
}
