//! The player: where a replay stands in a recording. Pure arithmetic over time stamps; never draws, never waits.
//!
//! `tape` keeps the events in little memory, `index` what the run was along the way, so that a jump to anywhere in a
//! million steps is a short fold.

mod index;
pub mod tape;

use crate::app::run::Run;
use crate::app::{ReplayMark, ReplayState, Seek};
use crate::event::{Event, Stamped};
use index::Index;
use tape::Tape;

/// A pause in the recording lasts at most this long in the replay.
const LONGEST_GAP_US: u64 = 2_000_000;
const SPEEDS: std::ops::RangeInclusive<f64> = 0.25..=64.0;

/// A replay.
pub struct Player {
    tape: Tape,
    /// When each event is shown, with long gaps cut.
    times: Vec<u64>,
    index: Index,
    /// How many events are shown.
    shown: usize,
    /// Time of the replay.
    now: f64,
    speed: f64,
    is_playing: bool,
    /// At the end it waits there for what is still to come.
    is_following: bool,
    /// The recording may still grow.
    is_growing: bool,
    /// What stands along the way.
    marks: Vec<ReplayMark>,
    /// The place up to which marks were looked for.
    looked: usize,
}

/// What becomes of what is shown when a recording grows.
#[derive(Clone, Debug, PartialEq)]
pub enum Growth {
    /// Nothing: somebody looks at what was before.
    Unseen,
    /// The new event is shown.
    Seen(Box<Stamped>),
    /// This is shown instead: some of what was is no more.
    Anew(Box<Run>),
}

impl Player {
    /// A replay at its beginning, playing.
    pub fn new(tape: Tape, speed: f64) -> Self {
        let speed = if speed.is_finite() { speed.clamp(*SPEEDS.start(), *SPEEDS.end()) } else { 1.0 };
        let (index, times) = (Index::new(&tape), Vec::with_capacity(tape.len()));
        let (shown, now, is_playing) = (0, 0.0, true);
        let (is_following, is_growing) = (false, false);
        let (marks, looked) = (Vec::new(), 0);
        let mut player =
            Self { tape, times, index, shown, now, speed, is_playing, is_following, is_growing, marks, looked };
        player.time();
        player.mark();
        player
    }

    /// A replay at the end of a recording that grows, staying there.
    pub fn following(tape: Tape, speed: f64) -> Self {
        let mut player = Self { is_growing: true, ..Self::new(tape, speed) };
        player.seek(Seek::Follow);
        player
    }

    /// Nothing more will come.
    pub fn ended(&mut self) {
        (self.is_growing, self.is_following) = (false, false);
    }

    /// Gives the events that have none yet their times.
    fn time(&mut self) {
        for place in self.times.len()..self.tape.len() {
            let gap = place.checked_sub(1).map_or(0, |last| self.tape.us(place).saturating_sub(self.tape.us(last)));
            self.times.push(self.times.last().map_or(0, |last| last + gap.min(LONGEST_GAP_US)));
        }
    }

    /// Adds what has happened since to the recording of a run that is still being trained.
    pub fn extend(&mut self, stamped: Stamped) -> Growth {
        let place = self.tape.push(stamped.clone());
        let is_taken_back = place < self.times.len();
        if is_taken_back {
            self.index.cut(place, &self.tape);
            self.times.truncate(place);
            self.marks.retain(|mark| mark.place() < place);
            self.looked = place;
        }
        self.time();
        self.mark();
        self.index.catch_up(&self.tape);
        if self.is_following && !is_taken_back && self.shown == place {
            self.go(self.tape.len());
            return Growth::Seen(Box::new(stamped));
        }
        if self.is_following {
            self.go(self.tape.len());
        } else if place < self.shown {
            self.go(place);
        } else {
            return Growth::Unseen;
        }
        Growth::Anew(Box::new(self.run()))
    }

    /// How many events are shown.
    pub fn shown(&self) -> usize {
        self.shown
    }

    /// The run as it is shown.
    pub fn run(&self) -> Run {
        self.index.run(self.shown, &self.tape)
    }

    /// Where it stands.
    pub fn state(&self) -> ReplayState {
        let share = self.shown as f64 / self.tape.len().max(1) as f64;
        let at = self.shown.checked_sub(1).map_or(0, |i| self.times[i]);
        let length = self.times.last().copied().unwrap_or(0);
        let (is_playing, speed, is_following) = (self.is_playing, self.speed, self.is_following);
        let events = self.tape.len();
        ReplayState { is_playing, speed, is_following, share, events, at_us: at, length_us: length }
    }

    /// What stands along the way: stages, what was done by hand, the end if it was a bad one.
    pub fn marks(&self) -> &[ReplayMark] {
        &self.marks
    }

    /// Marks what has come since.
    fn mark(&mut self) {
        for (place, event) in self.tape.others_from(self.looked) {
            let mark = match event {
                Event::StageEntered { stage, by_hand: false, .. } => ReplayMark::Stage { place, stage: *stage },
                // One mark for an edit of the table and the stage that it leads into.
                Event::StageEntered { by_hand: true, .. } if matches!(self.marks.last(), Some(ReplayMark::Hand { place: at }) if place <= at + 2) =>
                {
                    continue;
                }
                Event::StageEntered { by_hand: true, .. } | Event::ScheduleEdited { .. } => ReplayMark::Hand { place },
                Event::Failed { .. } => ReplayMark::Failure { place },
                _ => continue,
            };
            self.marks.push(mark);
        }
        self.looked = self.tape.len();
    }

    /// Lets time pass; returns the places of the events that are newly shown.
    pub fn tick(&mut self, us: u64) -> std::ops::Range<usize> {
        let from = self.shown;
        if self.is_playing {
            self.now += us as f64 * self.speed;
            while self.shown < self.tape.len() && self.times[self.shown] as f64 <= self.now {
                self.shown += 1;
            }
            if self.shown == self.tape.len() {
                // Whoever has caught up with the trainer goes on beside it.
                (self.is_playing, self.is_following) = (false, self.is_growing);
            }
        }
        from..self.shown
    }

    /// The events of some places, as [`Self::tick`] returns them.
    pub fn events(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = Stamped> {
        self.tape.range(places)
    }

    /// Moves. Returns whether another place is shown than before: the run is then [`Self::run`].
    pub fn seek(&mut self, seek: Seek) -> bool {
        let total = self.tape.len();
        // Whoever moves looks at something else than the end.
        let was_following = self.is_following;
        self.is_following &= matches!(seek, Seek::Speed(_));
        match seek {
            // Holds still what is shown, and lets it go on again; a growing recording doesn't begin anew at its end.
            Seek::Toggle if was_following => return false,
            Seek::Toggle if self.is_growing && self.shown == total => {
                self.is_following = true;
                return false;
            }
            Seek::Toggle => {
                if self.shown == total {
                    self.go(0);
                    self.is_playing = true;
                    return true;
                }
                self.is_playing = !self.is_playing;
                return false;
            }
            Seek::Speed(by) => {
                self.speed = (self.speed * 2f64.powi(by)).clamp(*SPEEDS.start(), *SPEEDS.end());
                return false;
            }
            Seek::Start => self.go(0),
            Seek::End => self.go(total),
            Seek::Follow => {
                (self.is_following, self.is_playing) = (self.is_growing, false);
                self.go(total);
            }
            Seek::Percent(by) => {
                let to = self.shown as i64 + total as i64 * by / 100;
                self.go(usize::try_from(to).unwrap_or(0));
            }
            Seek::Share(share) => self.go((share.clamp(0.0, 1.0) * total as f64).round() as usize),
            Seek::Steps(by) => {
                self.is_playing = false;
                self.go_by_steps(by);
            }
            Seek::Step(steps) => {
                self.is_playing = false;
                self.go(self.tape.behind_step(steps));
            }
            Seek::Stages(by) => self.go_by_stages(by),
        }
        true
    }

    /// To just behind the n-th step, on or back.
    fn go_by_steps(&mut self, by: i64) {
        let n = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX).saturating_sub(1);
        let is_step = |place: &usize| self.tape.is_step(*place);
        let to = if by > 0 {
            (self.shown..self.tape.len()).filter(is_step).nth(n).map_or(self.tape.len(), |i| i + 1)
        } else {
            // The one just shown is where we stand: go before it.
            (0..self.shown.saturating_sub(1)).rev().filter(is_step).nth(n).map_or(0, |i| i + 1)
        };
        self.go(to);
    }

    /// To just behind the n-th beginning of a stage, on or back.
    fn go_by_stages(&mut self, by: i64) {
        let n = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX).saturating_sub(1);
        let all = self.tape.others().filter(|(_, e)| matches!(e, Event::StageEntered { .. })).map(|(place, _)| place);
        let to = if by > 0 {
            all.filter(|place| *place >= self.shown).nth(n).map_or(self.tape.len(), |i| i + 1)
        } else {
            all.rev().filter(|place| place + 1 < self.shown).nth(n).map_or(0, |i| i + 1)
        };
        self.go(to);
    }

    fn go(&mut self, to: usize) {
        self.shown = to.min(self.tape.len());
        self.now = self.shown.checked_sub(1).map_or(0.0, |i| self.times[i] as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Command;
    use crate::schedule::Schedule;

    fn recording() -> Tape {
        let path = "11".parse().unwrap();
        let step =
            |i: u64| Event::Stepped { step: i, stage: 0, path, loss: 1.0, learning_rate: 0.1, gradient_norm: 1.0 };
        let mut events: Vec<_> = (0..10).map(|i| Stamped { seq: i, us: i * 100_000, event: step(i) }).collect();
        events.push(Stamped { seq: 10, us: 60_000_000, event: Event::Applied { step: 10, command: Command::Stop } });
        events.into_iter().collect()
    }

    #[test]
    fn time_passes_at_the_speed_and_long_gaps_are_cut() {
        let mut player = Player::new(recording(), 2.0);
        assert_eq!(player.tick(0).len(), 1);
        assert_eq!(player.tick(100_000).len(), 2);
        player.seek(Seek::Toggle);
        assert_eq!(player.tick(1_000_000).len(), 0);
        player.seek(Seek::Toggle);
        // 0.9 s of steps and a gap cut to 2 s, at twice the speed.
        player.tick(1_350_000);
        assert_eq!((player.shown(), player.state().is_playing), (11, false));
        assert!(player.seek(Seek::Toggle), "from the end it begins anew");
        assert_eq!(player.shown(), 0);
    }

    #[test]
    fn seeks_land_behind_steps_and_at_the_ends() {
        let mut player = Player::new(recording(), 1.0);
        player.seek(Seek::Steps(3));
        assert_eq!(player.shown(), 3);
        player.seek(Seek::Steps(-1));
        assert_eq!(player.shown(), 2);
        player.seek(Seek::Steps(-9));
        assert_eq!(player.shown(), 0);
        player.seek(Seek::Percent(50));
        assert_eq!(player.shown(), 5);
        player.seek(Seek::End);
        assert_eq!((player.shown(), player.state().share), (11, 1.0));
        player.seek(Seek::Percent(-500));
        assert_eq!(player.shown(), 0);
        for _ in 0..20 {
            player.seek(Seek::Speed(1));
        }
        assert_eq!(player.state().speed, 64.0);
        Player::new(Tape::default(), f64::NAN).tick(1);
    }

    fn entered(seq: u64, step: u64, stage: usize, by_hand: bool) -> Stamped {
        let schedule = Schedule { layers: 2, stages: Vec::new() };
        let event = Event::StageEntered { step, stage, path_length: 1, by_hand, expected: Vec::new(), schedule };
        Stamped { seq, us: seq * 100_000, event }
    }

    #[test]
    fn every_seek_shows_what_a_fold_of_the_same_events_shows() {
        let path = "11".parse().unwrap();
        let step = |step| Event::Stepped { step, stage: 0, path, loss: 1.0, learning_rate: 0.1, gradient_norm: 1.0 };
        let mut events = Vec::new();
        for i in 0..40 {
            let seq = events.len() as u64;
            if i % 10 == 0 {
                events.push(entered(seq, i, (i / 10) as usize, i == 20));
            }
            let seq = events.len() as u64;
            events.push(Stamped { seq, us: seq * 100_000, event: step(i) });
        }
        let mut player = Player::new(events.iter().cloned().collect(), 1.0);
        assert_eq!(
            player.marks(),
            [
                ReplayMark::Stage { place: 0, stage: 0 },
                ReplayMark::Stage { place: 11, stage: 1 },
                ReplayMark::Hand { place: 22 },
                ReplayMark::Stage { place: 33, stage: 3 },
            ]
        );
        // An edit of the table and the stage that it leads into are one mark.
        let schedule = Schedule { layers: 2, stages: Vec::new() };
        let edited = Stamped { seq: 0, us: 0, event: Event::ScheduleEdited { step: 0, schedule } };
        let edit = Player::new([edited, entered(1, 0, 0, true), entered(2, 0, 0, true)].into_iter().collect(), 1.0);
        assert_eq!(edit.marks(), [ReplayMark::Hand { place: 0 }]);
        for (seek, shown) in [
            (Seek::Step(15), 17),
            (Seek::Stages(1), 23),
            (Seek::Stages(-1), 12),
            (Seek::Stages(-1), 1),
            (Seek::Stages(-1), 0),
            (Seek::Share(0.5), 22),
            (Seek::Steps(1), 24),
            (Seek::Steps(-2), 21),
            (Seek::Step(10_000), 44),
            (Seek::Step(0), 0),
            (Seek::Stages(9), 44),
        ] {
            assert!(player.seek(seek));
            assert_eq!(player.shown(), shown, "{seek:?}");
            let mut wanted = Run::default();
            events[..shown].iter().for_each(|event| wanted.apply(event));
            assert!(player.run() == wanted, "{seek:?}");
        }
    }

    #[test]
    fn a_run_that_is_still_trained_is_followed_and_what_it_takes_back_goes() {
        let path = "11".parse().unwrap();
        let step = |i: u64| {
            let event = Event::Stepped { step: i, stage: 0, path, loss: 1.0, learning_rate: 0.1, gradient_norm: 1.0 };
            Stamped { seq: i, us: i * 100_000, event }
        };
        let mut player = Player::following((0..5).map(step).collect(), 1.0);
        assert_eq!((player.shown(), player.state().is_following), (5, true));
        assert!(!player.seek(Seek::Toggle), "the picture is held still");
        assert_eq!((player.shown(), player.state().is_following), (5, false));
        assert!(!player.seek(Seek::Toggle), "and goes on, though nothing has come meanwhile");
        assert_eq!((player.shown(), player.state().is_following), (5, true));
        player.seek(Seek::Start);
        player.seek(Seek::Steps(2));
        for i in 5..8 {
            assert_eq!(player.extend(step(i)), Growth::Unseen, "whoever looks back is left alone");
        }
        assert_eq!((player.shown(), player.state().share), (2, 0.25));
        assert_eq!(player.marks(), []);
        player.seek(Seek::Follow);
        assert_eq!(player.extend(step(8)), Growth::Seen(Box::new(step(8))));
        assert_eq!((player.run().step, player.shown(), player.state().is_following), (9, 9, true));
        let event = Event::Resumed { step: 6, keep: 6, file: String::new(), damaged: Vec::new() };
        let Growth::Anew(run) = player.extend(Stamped { seq: 6, us: 2_000_000, event }) else { panic!("not anew") };
        assert_eq!((run.step, player.shown()), (6, 7));
        let resumed = |seq| Event::Resumed { step: 6, keep: seq, file: String::new(), damaged: Vec::new() };
        player.extend(entered(7, 6, 1, false));
        assert_eq!(player.marks(), [ReplayMark::Stage { place: 7, stage: 1 }], "it grows with the recording");
        player.extend(Stamped { seq: 7, us: 2_000_000, event: resumed(7) });
        assert_eq!(player.marks(), [], "and is taken back with it");
        player.extend(Stamped { seq: 6, us: 2_000_000, event: resumed(6) });
        player.extend(Stamped { seq: 7, ..step(6) });
        assert_eq!((player.run().step, player.shown()), (7, 8));
        player.seek(Seek::Start);
        assert_eq!(player.extend(Stamped { seq: 8, ..step(7) }), Growth::Unseen);
        player.seek(Seek::Follow);
        player.seek(Seek::Steps(-1));
        assert!(!player.state().is_following);
        // Whoever plays up to the end goes on beside the trainer, until there is none.
        player.seek(Seek::Toggle);
        player.tick(3_000_000);
        assert!(player.state().is_following && player.shown() == 9);
        player.ended();
        player.seek(Seek::Follow);
        assert!(!player.state().is_following && player.shown() == 9);
    }
}
