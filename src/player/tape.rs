//! The tape: a recording's events in little memory. Nearly all are steps, and a step is kept as a row a third the size of
//! an event; what doesn't fit a row is kept as it is.

use crate::event::{Event, Stamped};
use crate::layer_path::LayerPath;

/// A step whose number in the recording follows from its place on the tape.
#[derive(Clone, Copy, Debug)]
struct Row {
    us: u64,
    step: u64,
    path: LayerPath,
    loss: f32,
    learning_rate: f32,
    gradient_norm: f32,
    stage: u32,
}

/// The events of a recording that hold, in order.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    rows: Vec<Row>,
    /// The other events and their places, in order.
    others: Vec<(usize, Stamped)>,
    /// The first event's number.
    first: u64,
}

impl Tape {
    /// Adds an event. One that takes back others (a resume) removes them first; returns how many are left of those that
    /// were there.
    pub fn push(&mut self, stamped: Stamped) -> usize {
        if let Event::Resumed { keep, .. } = stamped.event {
            self.take_back(keep);
        }
        let place = self.len();
        if place == 0 {
            self.first = stamped.seq;
        }
        match stamped.event {
            Event::Stepped { step, stage, path, loss, learning_rate, gradient_norm }
                if stamped.seq == self.first + place as u64 && u32::try_from(stage).is_ok() =>
            {
                let (us, stage) = (stamped.us, stage as u32);
                self.rows.push(Row { us, step, path, loss, learning_rate, gradient_norm, stage });
            }
            _ => self.others.push((place, stamped)),
        }
        place
    }

    /// Removes every event numbered `keep` and up. Numbers rise, so they stand at the end.
    fn take_back(&mut self, keep: u64) {
        while let Some(last) = self.len().checked_sub(1)
            && self.at(last).is_some_and(|stamped| stamped.seq >= keep)
        {
            if self.others.last().is_some_and(|(place, _)| *place == last) {
                self.others.pop();
            } else {
                self.rows.pop();
            }
        }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.rows.len() + self.others.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event at a place.
    pub fn at(&self, place: usize) -> Option<Stamped> {
        let before = self.others.partition_point(|(at, _)| *at < place);
        match self.others.get(before) {
            Some((at, stamped)) if *at == place => Some(stamped.clone()),
            _ => {
                let seq = self.first + place as u64;
                self.rows.get(place - before).map(|row| Stamped { seq, us: row.us, event: row.event() })
            }
        }
    }

    /// When the event at a place happened, microseconds; 0 beyond the end.
    pub fn us(&self, place: usize) -> u64 {
        let before = self.others.partition_point(|(at, _)| *at < place);
        match self.others.get(before) {
            Some((at, stamped)) if *at == place => stamped.us,
            _ => self.rows.get(place - before).map_or(0, |row| row.us),
        }
    }

    /// The events of a range of places, in order.
    pub fn range(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = Stamped> {
        places.map_while(|place| self.at(place))
    }

    /// Whether the event at a place is a step.
    pub(super) fn is_step(&self, place: usize) -> bool {
        match self.other(place) {
            Some(stamped) => matches!(stamped.event, Event::Stepped { .. }),
            None => place < self.len(),
        }
    }

    /// The event at a place, unless it is kept as a row.
    fn other(&self, place: usize) -> Option<&Stamped> {
        let found = self.others.binary_search_by_key(&place, |(at, _)| *at);
        found.ok().map(|index| &self.others[index].1)
    }

    /// The events that aren't steps, with their places.
    pub(super) fn others(&self) -> impl DoubleEndedIterator<Item = (usize, &Event)> {
        let is_other = |s: &Stamped| !matches!(s.event, Event::Stepped { .. });
        self.others.iter().filter(move |(_, s)| is_other(s)).map(|(place, s)| (*place, &s.event))
    }

    /// The same from a place on.
    pub(super) fn others_from(&self, place: usize) -> impl Iterator<Item = (usize, &Event)> {
        let first = self.others.partition_point(|(at, _)| *at < place);
        self.others[first..].iter().map(|(place, stamped)| (*place, &stamped.event))
    }

    /// The place just behind the step after which `steps` are trained; the end if that is never so.
    pub(super) fn behind_step(&self, steps: u64) -> usize {
        if steps == 0 {
            return 0;
        }
        // Steps rise from row to row.
        let row = self.rows.partition_point(|row| row.step + 1 < steps);
        let is_before = |(count, place): (usize, usize)| place - count <= row;
        let before = self.others.iter().map(|(place, _)| *place).enumerate().take_while(|at| is_before(*at)).count();
        let of_others = self.others.iter().find_map(|(place, stamped)| match stamped.event {
            Event::Stepped { step, .. } if step + 1 >= steps => Some(*place),
            _ => None,
        });
        (row + before).min(of_others.unwrap_or(usize::MAX)).saturating_add(1).min(self.len())
    }
}

impl Row {
    fn event(&self) -> Event {
        Event::Stepped {
            step: self.step,
            stage: self.stage as usize,
            path: self.path,
            loss: self.loss,
            learning_rate: self.learning_rate,
            gradient_norm: self.gradient_norm,
        }
    }
}

impl FromIterator<Stamped> for Tape {
    fn from_iter<I: IntoIterator<Item = Stamped>>(events: I) -> Self {
        let mut tape = Self::default();
        events.into_iter().for_each(|stamped| {
            tape.push(stamped);
        });
        tape
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Command;
    use crate::recording::effective;

    fn step(seq: u64, step: u64) -> Stamped {
        let path = "101".parse().unwrap();
        let event = Event::Stepped { step, stage: 1, path, loss: 0.5, learning_rate: 0.1, gradient_norm: 2.0 };
        Stamped { seq, us: seq * 10, event }
    }

    fn applied(seq: u64) -> Stamped {
        Stamped { seq, us: seq * 10, event: Event::Applied { step: seq, command: Command::Pause } }
    }

    fn resumed(seq: u64, keep: u64) -> Stamped {
        let event = Event::Resumed { step: 0, keep, file: String::new(), damaged: Vec::new() };
        Stamped { seq, us: seq * 10, event }
    }

    /// Steps and others by turns; a branch that was lost; numbers that don't begin at 0; numbers with a gap.
    fn recordings() -> [Vec<Stamped>; 4] {
        let plain: Vec<_> = (0..20).map(|i| if i % 4 == 0 { applied(i) } else { step(i, i) }).collect();
        let mut lost = plain[..12].to_vec();
        lost.extend([resumed(7, 7), step(8, 7), applied(9), step(10, 8)]);
        let shifted = plain.iter().map(|s| Stamped { seq: s.seq + 5, ..s.clone() }).collect();
        let gap = vec![applied(0), step(1, 0), step(3, 1), step(4, 2), applied(9)];
        [plain, lost, shifted, gap]
    }

    #[test]
    fn a_tape_gives_back_what_was_put_on_it_and_holds_what_the_recording_holds() {
        for events in recordings() {
            let (wanted, tape): (_, Tape) = (effective(&events), events.into_iter().collect());
            assert_eq!(tape.range(0..tape.len()).collect::<Vec<_>>(), wanted);
            let is_step = |s: &Stamped| matches!(s.event, Event::Stepped { .. });
            for (place, stamped) in wanted.iter().enumerate() {
                assert_eq!((tape.us(place), tape.is_step(place)), (stamped.us, is_step(stamped)));
            }
            assert_eq!(tape.others().count(), wanted.iter().filter(|s| !is_step(s)).count());
            assert_eq!((tape.at(tape.len()), tape.is_step(tape.len())), (None, false));
        }
    }

    #[test]
    fn a_step_is_found_by_its_number() {
        for events in recordings() {
            let (wanted, tape): (_, Tape) = (effective(&events), events.into_iter().collect());
            for steps in 0..25 {
                let is_it = |s: &Stamped| matches!(s.event, Event::Stepped { step, .. } if step + 1 >= steps);
                let place = wanted.iter().position(is_it).map_or(wanted.len(), |place| place + 1);
                assert_eq!(tape.behind_step(steps), if steps == 0 { 0 } else { place }, "{steps}");
            }
        }
    }

    #[test]
    fn a_row_is_a_good_deal_smaller_than_an_event() {
        assert!(2 * size_of::<Row>() < size_of::<Stamped>(), "{} {}", size_of::<Row>(), size_of::<Stamped>());
    }
}
