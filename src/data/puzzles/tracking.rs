//! Shuffles: a ball under one of five cups that change places, as in `cups b roll c flip twist d`.
//!
//! The row of cups is rolled (each one to the right, the last to the front), flipped (its order turned round) or twisted
//! (the first two change places, and the third with the fourth); after some shuffles the ball's place is told, which is
//! certain. The shuffles generate the alternating group of five, which has no smaller ones to reduce it to: they must be
//! followed in order. No one knows whether another shuffle follows: the place is worth knowing after each.

use super::words::{LETTERS, MOVES};
use super::{Document, LENGTH, ends, uniform};

/// Where each shuffle takes the ball from each place.
const TO: [[u32; 5]; 3] = [[1, 2, 3, 4, 0], [4, 3, 2, 1, 0], [1, 0, 3, 2, 4]];

/// A ball and what happened to it.
pub struct Tracking {
    limit: usize,
    length: usize,
    /// The ball's place; none before the first word.
    place: Option<u32>,
    /// Shuffles since it was told.
    moves: usize,
}

impl Tracking {
    /// A ball whose place is told after at most `limit` shuffles.
    pub fn begin(limit: usize) -> Box<dyn Document> {
        Box::new(Self { limit, length: 0, place: None, moves: 0 })
    }
}

impl Document for Tracking {
    fn next(&self) -> Vec<(u32, f64)> {
        let Some(place) = self.place else {
            return uniform(LETTERS.take(TO[0].len()), 1.0);
        };
        if self.moves == 0 {
            return if self.length >= LENGTH { Vec::new() } else { uniform(MOVES, 1.0) };
        }
        let told = ends(self.moves, self.limit);
        let mut next = vec![(LETTERS.start + place, told)];
        if self.moves < self.limit {
            next.extend(uniform(MOVES, 1.0 - told));
        }
        next
    }

    fn take(&mut self, token: u32) {
        self.length += 1;
        let row = TO.get(token.wrapping_sub(MOVES.start) as usize);
        match (row, self.place) {
            (Some(row), Some(place)) => {
                self.place = row.get(place as usize).copied();
                self.moves += 1;
            }
            _ => {
                self.place = Some(token.wrapping_sub(LETTERS.start));
                self.moves = 0;
            }
        }
    }

    /// A told place's: the shuffles since it was last told.
    fn difficulty(&self, token: u32) -> Option<usize> {
        (self.moves > 0 && LETTERS.contains(&token)).then_some(self.moves)
    }
}
