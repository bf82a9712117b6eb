//! Assignments: variables that take a digit, or the value of an earlier variable, as in `a 7 b 3 c 5 d a e d 7`: a = 7,
//! b = 3, c = 5, d = a, and e = d, which is 7.
//!
//! Chains run beside each other: the first variables take different digits, each later one takes the value of the latest
//! of one of the chains. Each letter is assigned once, in alphabetical order. A statement is the variable and its source;
//! behind a source that is a variable its value may be told, which is certain. As no one knows where a value will be told,
//! every source's value is worth knowing; one that was told, or is a digit, need not be followed any further.

use super::words::{DIGITS, LETTERS};
use super::{Document, ends, uniform};

/// How many chains there are.
const CHAINS: usize = 3;

/// A list of assignments.
pub struct Assignments {
    limit: usize,
    /// How many variables were named.
    named: u32,
    chains: Vec<Chain>,
    now: Now,
}

/// A chain of assignments.
#[derive(Clone, Copy)]
struct Chain {
    /// Its latest variable.
    latest: u32,
    value: u32,
    /// Assignments from the latest variable to a value in the text.
    distance: usize,
}

#[derive(Clone, Copy)]
enum Now {
    /// A statement begins.
    Variable,
    /// The latest variable needs a source.
    Source,
    /// This chain went on; its value may be told.
    Value(usize),
}

impl Assignments {
    /// Assignments of which at most `limit` must be followed to a value in the text.
    pub fn begin(limit: usize) -> Box<dyn Document> {
        Box::new(Self { limit, named: 0, chains: Vec::new(), now: Now::Variable })
    }

    /// The next variable, that likely; none behind the last.
    fn variable(&self, p: f64) -> Vec<(u32, f64)> {
        uniform(LETTERS.skip(self.named as usize).take(1), p)
    }
}

impl Document for Assignments {
    fn next(&self) -> Vec<(u32, f64)> {
        match self.now {
            Now::Variable => self.variable(1.0),
            Now::Source if self.chains.len() < CHAINS => {
                uniform(DIGITS.filter(|digit| self.chains.iter().all(|c| c.value != *digit)), 1.0)
            }
            Now::Source => uniform(self.chains.iter().map(|chain| chain.latest), 1.0),
            Now::Value(chain) => {
                let Chain { value, distance, .. } = self.chains[chain];
                // Told at the end, if not before.
                let is_last = self.named as usize == LETTERS.len();
                let told = if is_last { 1.0 } else { ends(distance, self.limit) };
                let mut next = if told < 1.0 { self.variable(1.0 - told) } else { Vec::new() };
                next.push((value, told));
                next
            }
        }
    }

    fn take(&mut self, token: u32) {
        self.now = match self.now {
            Now::Value(chain) if DIGITS.contains(&token) => {
                // It can be read off here.
                self.chains[chain].distance = 0;
                Now::Variable
            }
            Now::Variable | Now::Value(_) => {
                self.named += 1;
                Now::Source
            }
            Now::Source => {
                let latest = LETTERS.start + self.named - 1;
                if let Some(chain) = self.chains.iter().position(|chain| chain.latest == token) {
                    let Chain { value, distance, .. } = self.chains[chain];
                    self.chains[chain] = Chain { latest, value, distance: distance + 1 };
                    Now::Value(chain)
                } else {
                    self.chains.push(Chain { latest, value: token, distance: 0 });
                    Now::Variable
                }
            }
        };
    }

    /// A told value's: how many assignments lead from it to a value in the text.
    fn difficulty(&self, token: u32) -> Option<usize> {
        match self.now {
            Now::Value(chain) if DIGITS.contains(&token) => Some(self.chains[chain].distance),
            _ => None,
        }
    }
}
