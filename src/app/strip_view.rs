//! Which part of the run the strip shows: how many steps make a column, and how far it is scrolled back.

use super::path_levels::Visits;
use super::run::Run;

/// The most steps per column, as a power of 2.
const COARSEST: usize = 30;

/// Columns that a strip usually has, and that it has at least: how many there are only the view knows.
const USUAL: usize = 60;
const NARROW: usize = 40;

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
    /// The columns it shows; `is_whole` says whether it begins with the whole run, rather than with single steps.
    pub fn shown(&self, run: &Run, columns: usize, is_whole: bool) -> Shown {
        let span = self.span(run, columns, is_whole);
        let back = self.back.min(length(run, span).saturating_sub(columns));
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

    /// Half (or twice) as many steps per column; the newest column that is shown stays.
    pub fn zoom(&mut self, run: &Run, is_whole: bool, is_finer: bool) {
        let now = self.span(run, USUAL, is_whole);
        // No coarser than what shows the whole run: beyond that it only shrinks.
        let coarsest = run.path_levels.span_of_all(USUAL).min(COARSEST);
        let next = if is_finer { now.saturating_sub(1) } else { (now + 1).min(coarsest.max(now)) };
        let back = self.back << now >> next;
        *self = Self { span: Some(next), back: back.min(length(run, next).saturating_sub(1)) };
    }

    /// Older columns by so many, or newer ones.
    pub fn pan(&mut self, run: &Run, is_whole: bool, by: i64) {
        let most = length(run, self.span(run, USUAL, is_whole)).saturating_sub(NARROW);
        self.back = usize::try_from((self.back.min(most) as i64 + by).max(0)).unwrap_or(0).min(most);
    }
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
            let shown = view.shown(&run, 60, true);
            let last = shown.columns.last().unwrap();
            (shown.steps, shown.columns[0].step, last.step + last.steps)
        };
        assert_eq!(ends(&view), (64, 0, 2000), "the whole run");
        view.zoom(&run, true, false);
        assert_eq!(ends(&view).0, 64, "no coarser than that");
        view.zoom(&run, true, true);
        assert_eq!(ends(&view), (32, 96, 2000));
        view.zoom(&run, true, true);
        view.pan(&run, true, 5);
        assert_eq!(ends(&view), (16, 960, 1920));
        view.zoom(&run, true, true);
        assert_eq!(ends(&view), (8, 1440, 1920), "the newest column stays where it is");
        view.pan(&run, true, 10_000);
        assert_eq!(ends(&view), (8, 0, 480), "not past the beginning");
        view.pan(&run, true, -10_000);
        assert_eq!(ends(&view).2, 2000);
        (0..9).for_each(|_| view.zoom(&run, true, true));
        assert_eq!(ends(&view), (1, 1940, 2000));
        assert_eq!(StripView::default().shown(&run, 100, false).steps, 1);
    }
}
