//! Scenes: subjects and verbs that agree, one clause inside another, as in `dog owl hoots cat bee hums purrs barks`.
//!
//! Which verb closes a clause is certain once it closes; that takes finding the subject behind all that was opened and
//! closed in between. Outside of any clause one opens; within the deepest allowed one it closes; otherwise both are equally
//! likely. A scene that is long enough only closes what is open.

use super::words::{SUBJECTS, VERBS};
use super::{Document, LENGTH, uniform};

/// A scene.
pub struct Nesting {
    limit: usize,
    length: usize,
    /// For each open clause, outermost first: who opened it, and how many clauses inside each other it has closed.
    open: Vec<(u32, usize)>,
}

impl Nesting {
    /// A scene of at most `limit` clauses inside each other.
    pub fn begin(limit: usize) -> Box<dyn Document> {
        Box::new(Self { limit, length: 0, open: Vec::new() })
    }
}

fn verb(subject: u32) -> u32 {
    subject - SUBJECTS.start + VERBS.start
}

impl Document for Nesting {
    fn next(&self) -> Vec<(u32, f64)> {
        let is_long = self.length >= LENGTH;
        let Some(&(subject, _)) = self.open.last() else {
            return if is_long { Vec::new() } else { uniform(SUBJECTS, 1.0) };
        };
        if is_long || self.open.len() == self.limit {
            return vec![(verb(subject), 1.0)];
        }
        let mut next = uniform(SUBJECTS, 0.5);
        next.push((verb(subject), 0.5));
        next
    }

    fn take(&mut self, token: u32) {
        self.length += 1;
        if SUBJECTS.contains(&token) {
            self.open.push((token, 0));
        } else if let Some((_, height)) = self.open.pop()
            && let Some((_, tallest)) = self.open.last_mut()
        {
            *tallest = (*tallest).max(height + 1);
        }
    }

    /// A verb's: how many clauses inside each other end with it.
    fn difficulty(&self, token: u32) -> Option<usize> {
        let (_, height) = self.open.last()?;
        VERBS.contains(&token).then_some(height + 1)
    }
}
