//! Maps: which place leads to which, in random order, then walks, as in `b d a b d c c a` and `a > > d`: two steps from a.
//!
//! The pointers form one cycle through twice as many places as a walk has steps at most, so that no walk is shorter
//! backwards. A walk is its first place, a `>` for each step, and the place where it ends, which is certain. No one knows
//! at a `>` whether another one follows: every place on the way is worth knowing.

use super::words::{LETTERS, THEN};
use super::{Document, LENGTH, ends, uniform};

/// A map and walks on it.
pub struct Lookups {
    limit: usize,
    length: usize,
    /// The place that each place leads to, as far as it was told, by letter.
    next: Vec<Option<u32>>,
    now: Now,
}

#[derive(Clone, Copy)]
enum Now {
    /// A pointer, or a walk, begins.
    Place,
    /// Where this place leads to is told.
    Pointer(u32),
    /// After so many steps, here.
    Walk(usize, u32),
}

/// A place's number; of another word, one that no place has.
fn index(place: u32) -> usize {
    place.wrapping_sub(LETTERS.start) as usize
}

impl Lookups {
    /// A map whose walks have at most `limit` steps.
    pub fn begin(limit: usize) -> Box<dyn Document> {
        Box::new(Self { limit, length: 0, next: vec![None; 2 * limit], now: Now::Place })
    }

    fn places(&self) -> impl Iterator<Item = u32> + use<> {
        LETTERS.take(self.next.len())
    }

    /// Where a place leads to, as far as it was told.
    fn after(&self, place: u32) -> Option<u32> {
        self.next.get(index(place)).copied().flatten()
    }

    /// Places that nothing leads to yet, but for the one that would close the cycle before it is whole.
    fn unreached(&self, from: u32) -> Vec<(u32, f64)> {
        let start = |place: u32| self.places().find(|&before| self.after(before) == Some(place));
        let mut first = from;
        while let Some(before) = start(first) {
            first = before;
        }
        let is_last = self.next.iter().flatten().count() + 1 == self.next.len();
        uniform(self.places().filter(|&place| start(place).is_none() && (is_last || place != first)), 1.0)
    }
}

impl Document for Lookups {
    fn next(&self) -> Vec<(u32, f64)> {
        match self.now {
            Now::Place if self.next.iter().any(Option::is_none) => {
                uniform(self.places().filter(|&place| self.after(place).is_none()), 1.0)
            }
            Now::Place if self.length >= LENGTH => Vec::new(),
            Now::Place => uniform(self.places(), 1.0),
            Now::Pointer(from) => self.unreached(from),
            Now::Walk(0, _) => vec![(THEN, 1.0)],
            Now::Walk(steps, here) => {
                let ends = ends(steps, self.limit);
                let mut next = vec![(here, ends)];
                if steps < self.limit {
                    next.push((THEN, 1.0 - ends));
                }
                next
            }
        }
    }

    fn take(&mut self, token: u32) {
        self.length += 1;
        self.now = match self.now {
            Now::Place if self.next.iter().any(Option::is_none) => Now::Pointer(token),
            Now::Place => Now::Walk(0, token),
            Now::Pointer(from) => {
                if let Some(next) = self.next.get_mut(index(from)) {
                    *next = Some(token);
                }
                Now::Place
            }
            Now::Walk(steps, here) if token == THEN => Now::Walk(steps + 1, self.after(here).unwrap_or(here)),
            Now::Walk(..) => Now::Place,
        };
    }

    /// An end's: the steps of its walk.
    fn difficulty(&self, token: u32) -> Option<usize> {
        match self.now {
            Now::Walk(steps, _) if token != THEN => Some(steps),
            _ => None,
        }
    }
}
