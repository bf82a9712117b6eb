//! Which part of the run the strip shows: how many steps make a column, and how far it is scrolled back.

use super::path_levels::Visits;
use super::run::Run;

/// The most steps per column, as a power of 2.
const COARSEST: usize = 30;

/// What was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StripView {
    /// Steps per column, as a power of 2; none: what its place on the screen is for.
    span: Option<usize>,
    /// Columns that are newer than those shown.
    back: usize,
}

/// What is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Steps per column.
    pub steps: u64,
    /// Columns newer than these.
    pub back: usize,
    /// Columns, oldest first.
    pub columns: Vec<Visits>,
}

impl StripView {
    /// The columns it shows; `is_whole` says whether it begins with the whole run, rather than with single steps. A step
    /// that is looked at, and kept, is among them.
    pub fn shown(&self, run: &Run, columns: usize, is_whole: bool, looked_at: Option<u64>) -> Shown {
        let span = self.span(run, columns, is_whole);
        let most = length(run, span).saturating_sub(columns);
        let back = self.back.min(most);
        let back = match looked_at.and_then(|step| newer(run, span, step)) {
            Some(newer) if !(back..back + columns).contains(&newer) => newer.saturating_sub(columns / 2).min(most),
            _ => back,
        };
        let columns = match span {
            0 => {
                let end = run.paths.len() - back;
                run.paths.range(end.saturating_sub(columns)..end).map(Visits::of).collect()
            }
            _ => run.path_levels.columns(span, columns, back),
        };
        Shown { steps: 1 << span, back, columns }
    }

    fn span(&self, run: &Run, columns: usize, is_whole: bool) -> usize {
        let natural = if is_whole { run.path_levels.span_of_all(columns) } else { 0 };
        self.span.unwrap_or(natural).min(COARSEST)
    }

    /// Half (or twice) as many steps per column of so many; the newest column that is shown stays.
    pub fn zoom(&mut self, run: &Run, columns: usize, is_whole: bool, is_finer: bool) {
        let now = self.span(run, columns, is_whole);
        // No coarser than what shows the whole run: beyond that it only shrinks.
        let coarsest = run.path_levels.span_of_all(columns).min(COARSEST);
        let next = if is_finer { now.saturating_sub(1) } else { (now + 1).min(coarsest.max(now)) };
        let back = self.back << now >> next;
        *self = Self { span: Some(next), back: back.min(length(run, next).saturating_sub(1)) };
    }

    /// Older columns by so many, or newer ones.
    pub fn pan(&mut self, run: &Run, columns: usize, is_whole: bool, by: i64) {
        let most = length(run, self.span(run, columns, is_whole)).saturating_sub(columns);
        self.back = usize::try_from((self.back.min(most) as i64 + by).max(0)).unwrap_or(0).min(most);
    }
}

/// How many columns are newer than the one that a step is in; none if that isn't kept.
fn newer(run: &Run, span: usize, step: u64) -> Option<usize> {
    let newer = match span {
        0 => run.paths.iter().rev().position(|at| at.step <= step)?,
        // Columns begin at multiples of their span.
        _ => usize::try_from((run.step.checked_sub(1)? >> span).checked_sub(step >> span)?).ok()?,
    };
    (newer < length(run, span)).then_some(newer)
}

/// Columns that are kept at a span.
fn length(run: &Run, span: usize) -> usize {
    if span == 0 { run.paths.len() } else { run.path_levels.len(span) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::test_run::{run, stepped};

    #[test]
    fn zooming_and_panning_stay_within_the_run() {
        let mut run = run(4, &[(3000, 2)]);
        (0..2000).for_each(|step| stepped(&mut run, step, 2));
        let mut view = StripView::default();
        let ends = |view: &StripView| {
            let shown = view.shown(&run, 60, true, None);
            let last = shown.columns.last().unwrap();
            (shown.steps, shown.columns[0].step, last.step + last.steps)
        };
        assert_eq!(ends(&view), (64, 0, 2000), "the whole run");
        view.zoom(&run, 60, true, false);
        assert_eq!(ends(&view).0, 64, "no coarser than that");
        view.zoom(&run, 60, true, true);
        assert_eq!(ends(&view), (32, 96, 2000));
        view.zoom(&run, 60, true, true);
        view.pan(&run, 60, true, 5);
        assert_eq!(ends(&view), (16, 960, 1920));
        view.zoom(&run, 60, true, true);
        assert_eq!(ends(&view), (8, 1440, 1920), "the newest column stays where it is");
        view.pan(&run, 60, true, 10_000);
        assert_eq!(ends(&view), (8, 0, 480), "not past the beginning");
        view.pan(&run, 60, true, -10_000);
        assert_eq!(ends(&view).2, 2000);
        (0..9).for_each(|_| view.zoom(&run, 60, true, true));
        assert_eq!(ends(&view), (1, 1940, 2000));
        assert_eq!(StripView::default().shown(&run, 100, false, None).steps, 1);
    }

    #[test]
    fn every_press_changes_the_picture_whatever_its_width() {
        for columns in [20, 52, 72, 102, 192] {
            let mut run = run(4, &[(3000, 2)]);
            (0..3000).for_each(|step| stepped(&mut run, step, 2));
            let mut view = StripView::default();
            let mut before = view.shown(&run, columns, true, None);
            assert_eq!(before.columns[0].step, 0);
            while before.steps > 1 {
                view.zoom(&run, columns, true, true);
                let now = view.shown(&run, columns, true, None);
                assert_eq!(now.steps * 2, before.steps, "{columns}");
                before = now;
            }
            // To the beginning of what is kept, and back: no press is lost.
            for by in [7, -7] {
                loop {
                    let was = view.shown(&run, columns, true, None);
                    view.pan(&run, columns, true, by);
                    let now = view.shown(&run, columns, true, None);
                    if now == was {
                        break;
                    }
                    assert!(was.back.abs_diff(now.back) <= 7 && was.back != now.back);
                }
            }
            assert_eq!(view.shown(&run, columns, true, None).back, 0);
        }
    }

    #[test]
    fn a_step_that_is_looked_at_is_shown_if_it_is_kept() {
        let mut run = run(4, &[(3000, 2)]);
        (0..3000).for_each(|step| stepped(&mut run, step, 2));
        let view = StripView::default();
        for step in [2999, 2950, 2500, 1976] {
            let shown = view.shown(&run, 60, false, Some(step));
            assert!(shown.columns.iter().any(|c| c.step == step) && shown.columns.len() == 60, "{step}");
        }
        assert_eq!(view.shown(&run, 60, false, Some(2950)).back, 0, "nothing moves while it is there");
        assert_eq!(view.shown(&run, 60, false, Some(5)).back, 0, "no longer kept");
        let finer = StripView { span: Some(3), back: 0 };
        for step in [2999, 1500, 7, 0] {
            let shown = finer.shown(&run, 60, true, Some(step));
            assert!(shown.columns.iter().any(|c| (c.step..c.step + c.steps).contains(&step)), "{step}");
        }
    }
}
