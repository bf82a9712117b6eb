//! The index: what a run was at places along the tape, so that any other place is a short fold away.
//!
//! Memory is bounded whatever the recording's length: when there are too many snapshots every second one goes.

use super::tape::Tape;
use crate::app::run::Run;

/// The most snapshots that are kept.
const SNAPSHOTS: usize = 32;
/// Events between two snapshots, to begin with.
const EVERY: usize = 1024;

/// Snapshots of a fold.
pub(super) struct Index {
    /// Events between two of them.
    every: usize,
    /// The run after `every` events, after twice as many, and so on.
    snapshots: Vec<Run>,
    /// The run after every event.
    head: Run,
    /// How many those are.
    len: usize,
}

impl Index {
    /// The index of a tape.
    pub fn new(tape: &Tape) -> Self {
        let mut index = Self { every: EVERY, snapshots: Vec::new(), head: Run::default(), len: 0 };
        index.catch_up(tape);
        index
    }

    /// Takes in the events that the tape has and the index hasn't.
    pub fn catch_up(&mut self, tape: &Tape) {
        for stamped in tape.range(self.len..tape.len()) {
            self.head.apply(&stamped);
            self.len += 1;
            if self.len.is_multiple_of(self.every) {
                self.snapshots.push(self.head.clone());
                if self.snapshots.len() > SNAPSHOTS {
                    let mut number = 0;
                    self.snapshots.retain(|_| {
                        number += 1;
                        number % 2 == 0
                    });
                    self.every *= 2;
                }
            }
        }
    }

    /// Forgets what lies behind a place: the tape has other events there now.
    pub fn cut(&mut self, place: usize, tape: &Tape) {
        if place < self.len {
            self.head = self.run(place, tape);
            self.len = place;
            self.snapshots.truncate(place / self.every);
        }
    }

    /// The run after so many events of the tape.
    pub fn run(&self, events: usize, tape: &Tape) -> Run {
        if events >= self.len {
            let mut run = self.head.clone();
            tape.range(self.len..events).for_each(|stamped| run.apply(&stamped));
            return run;
        }
        let at = (events / self.every).min(self.snapshots.len());
        let mut run = at.checked_sub(1).map_or_else(Run::default, |i| self.snapshots[i].clone());
        tape.range(at * self.every..events).for_each(|stamped| run.apply(&stamped));
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Stamped};

    fn tape(steps: u64) -> Tape {
        let path = "1011".parse().unwrap();
        let event = |step: u64| {
            let loss = 3.0 + (step as f32).sin();
            Event::Stepped { step, stage: 0, path, loss, learning_rate: 0.1, gradient_norm: 1.0 }
        };
        (0..steps).map(|i| Stamped { seq: i, us: i * 1000, event: event(i) }).collect()
    }

    #[test]
    fn every_place_is_what_a_fold_from_the_beginning_gives() {
        let tape = tape(5000);
        let index = Index::new(&tape);
        for events in [0, 1, 1023, 1024, 1025, 4096, 4999, 5000] {
            let mut wanted = Run::default();
            tape.range(0..events).for_each(|stamped| wanted.apply(&stamped));
            assert!(index.run(events, &tape) == wanted, "{events}");
        }
    }

    #[test]
    fn snapshots_are_bounded_and_evenly_spread() {
        let tape = tape(200_000);
        let index = Index::new(&tape);
        assert!(index.snapshots.len() <= SNAPSHOTS && index.snapshots.len() >= SNAPSHOTS / 3);
        for (i, run) in index.snapshots.iter().enumerate() {
            assert_eq!(run.step, ((i + 1) * index.every) as u64);
        }
    }

    #[test]
    fn a_tape_that_was_taken_back_and_goes_on_is_indexed_anew_from_there() {
        let (mut long, short) = (tape(5000), tape(3000));
        let mut index = Index::new(&long);
        long = short.range(0..2500).collect();
        index.cut(2500, &long);
        let more = Stamped { us: 77_000_000, ..short.at(2500).unwrap() };
        long.push(more);
        index.catch_up(&long);
        let mut wanted = Run::default();
        long.range(0..2501).for_each(|stamped| wanted.apply(&stamped));
        assert!(index.run(2501, &long) == wanted && index.head == wanted);
    }
}
