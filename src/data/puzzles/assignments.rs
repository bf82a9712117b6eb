//! Assignments: variables that take a digit, or the value of an earlier variable, as in `b 7 k b c k 7`: b = 7, k = b,
//! c = k, which is 7.
//!
//! Each of the letters is assigned once, in random order. A statement is the variable and its source; behind a source that
//! is a variable its value may be told, and which one that is is certain. As no one knows where a value will be told, every
//! source's value is worth knowing; and one that was told, or is a digit, need not be followed any further.

use super::words::{DIGITS, LETTERS};
use super::{Document, uniform};

/// How likely a source is a digit once there are variables.
const DIGIT: f64 = 0.1;
/// How likely the value is told behind a source that is a variable.
const TOLD: f64 = 0.3;
/// A source is one of that many latest variables: chains run beside each other.
const RECENT: usize = 4;

/// A list of assignments.
pub struct Assignments {
    limit: usize,
    /// Variables in the order of their assignment, with their values and how many assignments lead to a value in the text.
    known: Vec<(u32, u32, usize)>,
    now: Now,
}

#[derive(Clone, Copy)]
enum Now {
    /// A statement begins.
    Variable,
    /// This variable was named.
    Source(u32),
    /// The latest variable has a source whose value may be told.
    Value,
}

impl Assignments {
    /// Assignments of which at most `limit` must be followed to a value in the text.
    pub fn begin(limit: usize) -> Box<dyn Document> {
        Box::new(Self { limit, known: Vec::new(), now: Now::Variable })
    }

    /// Every variable that has no value yet, likely `total` together.
    fn unassigned(&self, total: f64) -> Vec<(u32, f64)> {
        let is_new = |letter: &u32| self.known.iter().all(|(variable, ..)| variable != letter);
        uniform(LETTERS.filter(is_new), total)
    }
}

impl Document for Assignments {
    fn next(&self) -> Vec<(u32, f64)> {
        match (self.now, self.known.last()) {
            (Now::Source(_), None) => uniform(DIGITS, 1.0),
            (Now::Source(_), Some(_)) => {
                let recent = self.known.iter().rev().take(RECENT).map(|&(variable, ..)| variable);
                let mut next = uniform(recent, 1.0 - DIGIT);
                next.extend(uniform(DIGITS, DIGIT));
                next
            }
            (Now::Value, Some(&(_, value, distance))) => {
                let is_certain = distance == self.limit || self.known.len() == LETTERS.len();
                let told = if is_certain { 1.0 } else { TOLD };
                let mut next = if is_certain { Vec::new() } else { self.unassigned(1.0 - told) };
                next.push((value, told));
                next
            }
            (Now::Variable | Now::Value, _) => self.unassigned(1.0),
        }
    }

    fn take(&mut self, token: u32) {
        self.now = match self.now {
            Now::Source(variable) if DIGITS.contains(&token) => {
                self.known.push((variable, token, 0));
                Now::Variable
            }
            Now::Source(variable) => {
                let source = self.known.iter().find(|(known, ..)| *known == token);
                let (_, value, distance) = source.copied().unwrap_or_default();
                self.known.push((variable, value, distance + 1));
                Now::Value
            }
            Now::Value if DIGITS.contains(&token) => {
                // Told: it can be read off here.
                self.known.last_mut().into_iter().for_each(|(.., distance)| *distance = 0);
                Now::Variable
            }
            Now::Variable | Now::Value => Now::Source(token),
        };
    }

    /// A told value's: how many assignments lead from it to the digit.
    fn difficulty(&self, token: u32) -> Option<usize> {
        let &(_, _, distance) = self.known.last()?;
        (matches!(self.now, Now::Value) && DIGITS.contains(&token)).then_some(distance)
    }
}
