//! Which part of the x axis is shown: all, the tail, or a part that stands still. Pure arithmetic in the axis's unit.

/// A part of the x axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Window {
    /// From the beginning to now.
    #[default]
    All,
    /// So much before now, and it follows.
    Tail(f64),
    /// This, whatever happens.
    Still(f64, f64),
}

/// What a window may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Where the run stands.
    pub now: f64,
    /// The right end of what can be shown: the run's planned end, or a longer reference's.
    pub end: f64,
    /// The least width.
    pub least: f64,
}

impl Bounds {
    /// Finite and in order, whatever they were made of.
    pub fn new(now: f64, end: f64, least: f64) -> Self {
        let least = if least.is_finite() && least > 0.0 { least } else { 1.0 };
        let now = if now.is_finite() { now.max(least) } else { least };
        Self { now, end: if end.is_finite() { end.max(now) } else { now }, least }
    }
}

impl Window {
    /// Left and right end.
    pub fn ends(self, bounds: &Bounds) -> (f64, f64) {
        let now = bounds.now;
        match self {
            Self::All => (0.0, now),
            Self::Tail(width) => ((now - width).max(0.0), now),
            Self::Still(from, to) => (from, to),
        }
    }

    /// Whether it shows the newest step as it comes.
    pub fn follows(self) -> bool {
        !matches!(self, Self::Still(..))
    }

    /// `factor` times as wide. What lies at `around` stays where it is; without it a window that follows keeps its right
    /// end, and one that stands still its middle.
    pub fn zoomed(self, factor: f64, around: Option<f64>, bounds: &Bounds) -> Self {
        let (from, to) = self.ends(bounds);
        let width = ((to - from) * factor).clamp(bounds.least.min(bounds.end), bounds.end);
        if around.is_none() && self.follows() && width <= bounds.now {
            return if width < bounds.now { Self::Tail(width) } else { Self::All };
        }
        let around = around.unwrap_or(if self.follows() { 0.0 } else { (from + to) / 2.0 }).clamp(from, to);
        let share = (around - from) / (to - from);
        Self::held(around - share * width, width, bounds)
    }

    /// Moved by a share of its width. All of it is where it is.
    pub fn panned(self, share: f64, bounds: &Bounds) -> Self {
        let (from, to) = self.ends(bounds);
        if self == Self::All {
            return self;
        }
        Self::held(from + share * (to - from), to - from, bounds)
    }

    /// Moved just so far that `x` is in it.
    pub fn showing(self, x: f64, bounds: &Bounds) -> Self {
        let (from, to) = self.ends(bounds);
        let width = to - from;
        if x < from {
            Self::held(x, width, bounds)
        } else if x > to {
            Self::held(x - width, width, bounds)
        } else {
            self
        }
    }

    /// Following again, as wide as it is.
    pub fn following(self, bounds: &Bounds) -> Self {
        let (from, to) = self.ends(bounds);
        if from <= 0.0 && to >= bounds.now { Self::All } else { Self::Tail(to - from) }
    }

    fn held(from: f64, width: f64, bounds: &Bounds) -> Self {
        let width = width.min(bounds.end);
        let from = from.clamp(0.0, (bounds.end - width).max(0.0));
        Self::Still(from, from + width)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { now: 1000.0, end: 3000.0, least: 8.0 };

    #[test]
    fn the_tail_is_zoomed_into_and_left_again() {
        let half = Window::All.zoomed(0.5, None, &BOUNDS);
        assert_eq!((half, half.ends(&BOUNDS)), (Window::Tail(500.0), (500.0, 1000.0)));
        assert_eq!(half.zoomed(2.0, None, &BOUNDS), Window::All);
        // Further out is the part that is planned.
        assert_eq!(Window::All.zoomed(2.0, None, &BOUNDS), Window::Still(0.0, 2000.0));
        let later = Bounds { now: 1200.0, ..BOUNDS };
        assert_eq!(half.ends(&later), (700.0, 1200.0));
    }

    #[test]
    fn a_panned_window_stands_still_until_it_follows() {
        let window = Window::Tail(400.0).panned(-0.5, &BOUNDS);
        assert_eq!(window, Window::Still(400.0, 800.0));
        assert_eq!(window.ends(&Bounds { now: 2000.0, ..BOUNDS }), (400.0, 800.0));
        assert_eq!(window.following(&BOUNDS), Window::Tail(400.0));
        assert_eq!(window.panned(-9.0, &BOUNDS), Window::Still(0.0, 400.0));
        assert_eq!(Window::All.panned(-0.5, &BOUNDS), Window::All);
        assert_eq!(window.showing(900.0, &BOUNDS), Window::Still(500.0, 900.0));
        assert_eq!(window.showing(500.0, &BOUNDS), window);
    }

    proptest! {
        #[test]
        fn windows_stay_inside_and_the_point_stays(
            now in 10.0f64..1e6,
            more in 0.0f64..1e6,
            at in 0.0f64..1.0,
            moves in prop::collection::vec((0u8..4, 0.1f64..4.0), 1..20),
        ) {
            let bounds = Bounds::new(now, now + more, 8.0);
            let mut window = Window::All;
            for (what, by) in moves {
                let (from, to) = window.ends(&bounds);
                let point = from + at * (to - from);
                window = match what {
                    0 => window.zoomed(by, Some(point), &bounds),
                    1 => window.zoomed(by, None, &bounds),
                    2 => window.panned(by - 2.0, &bounds),
                    _ => window.following(&bounds),
                };
                let (new_from, new_to) = window.ends(&bounds);
                prop_assert!(new_from >= 0.0 && new_to <= bounds.end * (1.0 + 1e-12) && new_to > new_from, "{window:?}");
                prop_assert!(new_to - new_from >= bounds.least.min(bounds.end) * (1.0 - 1e-9));
                let width = new_to - new_from;
                if what == 2 {
                    prop_assert!((width - (to - from)).abs() <= 1e-6 * width);
                }
                // Unless an end of the axis was in the way.
                if what == 0 && new_from > 0.0 && new_to < bounds.end * (1.0 - 1e-9) {
                    prop_assert!(((point - new_from) / width - at).abs() < 1e-6, "{window:?}");
                }
            }
        }
    }
}
