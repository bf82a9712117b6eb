//! Layer paths of the whole run in bounded memory: how often each layer was active, over spans of 2, 4, 8, ... steps.
//!
//! Of each span the newest `KEPT` columns are kept, so the whole run can be seen at one span and its end at all. A column
//! that is not full yet is there all the same. Single steps are `run`'s.

use std::collections::VecDeque;

use super::run::PathAt;

/// Columns of each span that are kept.
const KEPT: usize = 512;
/// Spans: up to 2 to the power of this many steps.
const SPANS: usize = 40;

/// Neighbouring steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visits {
    /// The first step.
    pub step: u64,
    /// How many steps.
    pub steps: u64,
    /// The stage of the last one.
    pub stage: usize,
    /// Layers that existed in the last one, from the input on.
    pub existing: usize,
    /// In how many of the steps each layer was active, input side first.
    pub active: Vec<u32>,
}

impl Visits {
    /// One step.
    pub fn of(at: &PathAt) -> Self {
        let active = (0..at.path.layers()).map(|layer| u32::from(at.path.is_active(layer))).collect();
        Self { step: at.step, steps: 1, stage: at.stage, existing: at.existing, active }
    }

    /// Takes in the steps behind it.
    fn take(&mut self, next: &Self) {
        self.steps += next.steps;
        (self.stage, self.existing) = (next.stage, next.existing);
        self.active.iter_mut().zip(&next.active).for_each(|(sum, n)| *sum += n);
    }

    /// Share of the steps in which layers `from..to` were active, their mean; 0 for none.
    pub fn share(&self, from: usize, to: usize) -> f64 {
        let layers = self.active.get(from..to.min(self.active.len())).unwrap_or_default();
        let sum: u64 = layers.iter().map(|n| u64::from(*n)).sum();
        sum as f64 / (self.steps.max(1) * layers.len().max(1) as u64) as f64
    }
}

/// One span's columns.
#[derive(Clone, Debug, Default, PartialEq)]
struct Level {
    full: VecDeque<Visits>,
    /// Half a column that waits for its other half.
    half: Option<Visits>,
}

/// How often layers were active, by spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathLevels {
    /// Spans of 2, 4, 8, ... steps.
    levels: Vec<Level>,
    /// Steps in all.
    steps: u64,
}

impl PathLevels {
    /// Takes in a step.
    pub fn take(&mut self, at: &PathAt) {
        self.steps += 1;
        let mut next = Visits::of(at);
        for index in 0..SPANS {
            if index == self.levels.len() {
                self.levels.push(Level::default());
            }
            let level = &mut self.levels[index];
            let Some(mut whole) = level.half.take() else {
                level.half = Some(next);
                return;
            };
            whole.take(&next);
            level.full.push_back(whole.clone());
            if level.full.len() > KEPT {
                level.full.pop_front();
            }
            next = whole;
        }
    }

    /// The least span, as a power of 2, at which so many columns hold the whole run.
    pub fn span_of_all(&self, columns: usize) -> usize {
        let columns = columns.clamp(1, KEPT) as u64;
        (0..SPANS).find(|span| self.steps.div_ceil(1 << span) <= columns).unwrap_or(SPANS)
    }

    /// Columns there are at a span of 2 to the power of `span` steps, at least 1.
    pub fn len(&self, span: usize) -> usize {
        let full = span.checked_sub(1).and_then(|i| self.levels.get(i)).map_or(0, |level| level.full.len());
        full + usize::from(self.half(span).is_some())
    }

    /// Up to `columns` columns of 2 to the power of `span` steps (at least 1), oldest first, those that `back` newer ones
    /// follow.
    pub fn columns(&self, span: usize, columns: usize, back: usize) -> Vec<Visits> {
        let full = span.checked_sub(1).and_then(|i| self.levels.get(i)).map(|level| &level.full);
        let all = full.into_iter().flatten().cloned().chain(self.half(span));
        let end = self.len(span).saturating_sub(back);
        all.take(end).skip(end.saturating_sub(columns)).collect()
    }

    /// What the newest, unfinished column of a span holds: its own half and those of the shorter spans, behind it.
    fn half(&self, span: usize) -> Option<Visits> {
        let mut halves = self.levels.iter().take(span).rev().filter_map(|level| level.half.as_ref());
        let mut column = halves.next()?.clone();
        halves.for_each(|half| column.take(half));
        Some(column)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layer_path::LayerPath;

    fn at(step: u64, layers: usize) -> PathAt {
        let on = (0..layers).filter(|l| (step * 7 + *l as u64 * 3).is_multiple_of(4 + *l as u64 % 3));
        PathAt { step, stage: (step / 100) as usize, path: LayerPath::from_layers(layers, on), existing: layers }
    }

    proptest! {
        #[test]
        fn every_column_counts_its_own_steps(steps in 1u64..1500, span in 1usize..7) {
            let mut levels = PathLevels::default();
            (0..steps).for_each(|step| levels.take(&at(step, 5)));
            let columns = levels.columns(span, KEPT + 1, 0);
            prop_assert_eq!(columns.len(), levels.len(span));
            prop_assert_eq!(columns.last().map(|c| c.step + c.steps), Some(steps));
            if steps <= (KEPT as u64) << span {
                prop_assert_eq!(columns[0].step, 0);
            }
            for (index, column) in columns.iter().enumerate() {
                let is_last = index + 1 == columns.len();
                prop_assert!(column.steps == 1 << span || is_last, "{column:?}");
                prop_assert_eq!(column.step % (1 << span), 0);
                for layer in 0..5 {
                    let own = column.step..column.step + column.steps;
                    let n = own.filter(|step| at(*step, 5).path.is_active(layer)).count();
                    prop_assert_eq!(column.active[layer] as usize, n);
                }
                prop_assert_eq!(column.stage as u64, (column.step + column.steps - 1) / 100);
            }
        }
    }

    #[test]
    fn the_whole_run_fits_and_memory_is_bounded() {
        let mut levels = PathLevels::default();
        (0..300_000).for_each(|step| levels.take(&at(step, 3)));
        let span = levels.span_of_all(100);
        let all = levels.columns(span, 100, 0);
        assert_eq!((span, all.len(), all[0].step), (12, 74, 0));
        assert_eq!(all.iter().map(|c| c.steps).sum::<u64>(), 300_000);
        assert!(levels.levels.iter().all(|level| level.full.len() <= KEPT) && levels.levels.len() < 20);
        // Further back.
        let older = levels.columns(span, 10, 20);
        assert_eq!((older.len(), older[9].step + older[9].steps), (10, all[53].step + all[53].steps));
        assert_eq!(levels.columns(3, 10, 100_000), []);
    }

    #[test]
    fn shares_are_of_layers_and_steps() {
        let v = Visits { step: 0, steps: 4, stage: 0, existing: 3, active: vec![4, 2, 0] };
        assert_eq!(
            (v.share(0, 1), v.share(0, 2), v.share(1, 3), v.share(2, 9), v.share(3, 4)),
            (1.0, 0.75, 0.25, 0.0, 0.0)
        );
    }
}
