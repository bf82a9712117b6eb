//! The loss of a part of the x axis in as many columns as there are dots: the least and the highest loss of each, so that
//! a spike never goes lost, and the smoothed loss where it ends.
//!
//! Smoothing was done over all steps before, so it is the same at every width.

use super::axis::XAxis;
use crate::app::history::Smoothing;
use crate::app::run::Run;

/// One column of dots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// The least finite loss; above `high` if there is none.
    pub low: f32,
    /// The highest finite loss.
    pub high: f32,
    /// The smoothed loss where the column ends, if a step does.
    pub smooth: Option<f32>,
    /// Whether a step had a loss that was not finite.
    pub is_bad: bool,
}

impl Column {
    const EMPTY: Self = Self { low: f32::INFINITY, high: f32::NEG_INFINITY, smooth: None, is_bad: false };

    /// Whether it holds a finite loss.
    pub fn has_loss(&self) -> bool {
        self.low <= self.high
    }
}

/// Which line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Over what.
    pub axis: XAxis,
    /// How smooth.
    pub smoothing: Smoothing,
    /// Whether the smoothed line begins anew at each change of path length.
    pub restarts: bool,
}

/// The columns of `from..=to`, left to right.
pub fn columns(run: &Run, choice: Choice, (from, to): (f64, f64), count: usize) -> Vec<Column> {
    let mut columns = vec![Column::EMPTY; count];
    let width = to - from;
    if count == 0 || width.is_nan() || width <= 0.0 {
        return columns;
    }
    let last = count as i64 - 1;
    let scale = last as f64 / width;
    // The nearest column; -1 for all that lies left of the first. // tens of thousands of buckets come by: no calls
    let place = |x: f64| match (x - from) * scale + 0.5 {
        at if at < 0.0 => -1,
        at => at as i64,
    };
    let mut buckets = run.history.since(|b| choice.axis.of_bucket(run, b) < from).peekable();
    while let Some(bucket) = buckets.next() {
        let x = choice.axis.of_bucket(run, bucket);
        if x > to {
            break;
        }
        // Its last step stands a step's worth before the next bucket.
        let share = 1.0 - 1.0 / f64::from(bucket.steps);
        let x_last = match buckets.peek() {
            _ if bucket.steps == 1 => x,
            Some(next) => x + (choice.axis.of_bucket(run, next) - x) * share,
            None => x + (choice.axis.now(run) - x) * share,
        };
        let (first, end) = (place(x), place(x_last));
        if end < 0 || first > last {
            continue;
        }
        let (first, at_end) = (first.max(0) as usize, end.min(last) as usize);
        for column in &mut columns[first..=at_end.max(first)] {
            column.low = column.low.min(bucket.low);
            column.high = column.high.max(bucket.high);
            column.is_bad |= bucket.bad > 0;
        }
        if end <= last && !bucket.is_gap() {
            columns[at_end].smooth = bucket.smoothed(choice.smoothing, choice.restarts).or(columns[at_end].smooth);
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::app::history::Spent;

    fn run(losses: &[f32]) -> Run {
        let mut run = Run::default();
        for (step, loss) in losses.iter().enumerate() {
            run.history.take(step as u64, *loss, Spent { flops: step as f64 * 5.0, us: step as u64 });
        }
        run.step = losses.len() as u64;
        run
    }

    const CHOICE: Choice = Choice { axis: XAxis::Steps, smoothing: Smoothing::Light, restarts: false };

    #[test]
    fn one_column_a_step_is_the_steps_themselves() {
        let columns = columns(&run(&[3.0, f32::NAN, 1.0, 2.0]), CHOICE, (0.0, 3.0), 4);
        let raw: Vec<(f32, f32)> = columns.iter().filter(|c| c.has_loss()).map(|c| (c.low, c.high)).collect();
        assert_eq!(raw, [(3.0, 3.0), (1.0, 1.0), (2.0, 2.0)]);
        assert!(columns[1].is_bad && columns[1].smooth.is_none() && !columns[1].has_loss());
    }

    #[test]
    fn old_buckets_fill_the_columns_they_span() {
        let mut losses = vec![1.0; 200_000];
        losses[1000] = 9.0;
        let run = run(&losses);
        let columns = columns(&run, CHOICE, (990.0, 1010.0), 41);
        // Between the last step of one and the first of the next there is a dot's gap, as between single steps.
        assert!(columns.windows(2).all(|pair| pair.iter().any(Column::has_loss)));
        assert!(columns.iter().any(|c| c.high == 9.0));
    }

    proptest! {
        #[test]
        fn extremes_and_the_smoothed_end_survive_any_width(
            losses in prop::collection::vec(0.0f32..9.0, 2..400),
            count in 1usize..200,
            axis in 0usize..4,
        ) {
            let run = run(&losses);
            let choice = Choice { axis: XAxis::ALL[axis], ..CHOICE };
            let to = choice.axis.at(&run, losses.len() as u64 - 1);
            let columns = columns(&run, choice, (0.0, to), count);
            let least = |all: &mut dyn Iterator<Item = f32>| all.fold(f32::INFINITY, f32::min);
            prop_assert_eq!(least(&mut columns.iter().map(|c| c.low)), least(&mut losses.iter().copied()));
            let most = |all: &mut dyn Iterator<Item = f32>| all.fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(most(&mut columns.iter().map(|c| c.high)), most(&mut losses.iter().copied()));
            prop_assert_eq!(columns.last().unwrap().smooth, run.history.smoothed(Smoothing::Light));
        }
    }
}
