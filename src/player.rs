//! The player: where a replay stands in a recording. Pure arithmetic over time stamps; never draws, never waits.

use crate::app::{ReplayState, Seek};
use crate::event::{Event, Stamped};

/// A pause in the recording lasts at most this long in the replay.
const LONGEST_GAP_US: u64 = 2_000_000;
const SPEEDS: std::ops::RangeInclusive<f64> = 0.25..=64.0;

/// A replay.
pub struct Player {
    events: Vec<Stamped>,
    /// When each event is shown, with long gaps cut.
    times: Vec<u64>,
    /// How many events are shown.
    shown: usize,
    /// Time of the replay.
    now: f64,
    speed: f64,
    is_playing: bool,
}

impl Player {
    /// A replay at its beginning, playing.
    pub fn new(events: Vec<Stamped>, speed: f64) -> Self {
        let mut times = Vec::with_capacity(events.len());
        let (mut at, mut last) = (0, events.first().map_or(0, |e| e.us));
        for event in &events {
            at += event.us.saturating_sub(last).min(LONGEST_GAP_US);
            last = event.us;
            times.push(at);
        }
        let speed = if speed.is_finite() { speed.clamp(*SPEEDS.start(), *SPEEDS.end()) } else { 1.0 };
        Self { events, times, shown: 0, now: 0.0, speed, is_playing: true }
    }

    /// The events shown so far.
    pub fn shown(&self) -> &[Stamped] {
        &self.events[..self.shown]
    }

    /// Where it stands.
    pub fn state(&self) -> ReplayState {
        let share = self.shown as f64 / self.events.len().max(1) as f64;
        ReplayState { is_playing: self.is_playing, speed: self.speed, share }
    }

    /// Lets time pass; returns the events that are newly shown.
    pub fn tick(&mut self, us: u64) -> &[Stamped] {
        let from = self.shown;
        if self.is_playing {
            self.now += us as f64 * self.speed;
            while self.shown < self.events.len() && self.times[self.shown] as f64 <= self.now {
                self.shown += 1;
            }
            if self.shown == self.events.len() {
                self.is_playing = false;
            }
        }
        &self.events[from..self.shown]
    }

    /// Moves. Returns whether what is shown must be folded anew from the beginning: events may have been taken back.
    pub fn seek(&mut self, seek: Seek) -> bool {
        let total = self.events.len();
        match seek {
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
            Seek::Percent(by) => {
                let to = self.shown as i64 + total as i64 * by / 100;
                self.go(usize::try_from(to).unwrap_or(0));
            }
            Seek::Steps(by) => {
                self.is_playing = false;
                self.go_by(by, |e| matches!(e, Event::Stepped { .. }));
            }
            Seek::Step(0) => {
                self.is_playing = false;
                self.go(0);
            }
            Seek::Step(steps) => {
                self.is_playing = false;
                let is_there = |e: &Stamped| matches!(e.event, Event::Stepped { step, .. } if step + 1 >= steps);
                self.go(self.events.iter().position(is_there).map_or(total, |at| at + 1));
            }
            Seek::Stages(by) => self.go_by(by, |e| matches!(e, Event::StageEntered { .. })),
        }
        true
    }

    /// To just behind the n-th event of a kind, on or back.
    fn go_by(&mut self, by: i64, is_wanted: fn(&Event) -> bool) {
        let wanted = |i: &usize| is_wanted(&self.events[*i].event);
        let n = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX).saturating_sub(1);
        let to = if by > 0 {
            (self.shown..self.events.len()).filter(wanted).nth(n).map_or(self.events.len(), |i| i + 1)
        } else {
            // The one just shown is where we stand: go before it.
            (0..self.shown.saturating_sub(1)).rev().filter(wanted).nth(n).map_or(0, |i| i + 1)
        };
        self.go(to);
    }

    fn go(&mut self, to: usize) {
        self.shown = to.min(self.events.len());
        self.now = self.shown.checked_sub(1).map_or(0.0, |i| self.times[i] as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Command;

    fn recording() -> Vec<Stamped> {
        let path = "11".parse().unwrap();
        let step =
            |i: u64| Event::Stepped { step: i, stage: 0, path, loss: 1.0, learning_rate: 0.1, gradient_norm: 1.0 };
        let mut events: Vec<_> = (0..10).map(|i| Stamped { seq: i, us: i * 100_000, event: step(i) }).collect();
        events.push(Stamped { seq: 10, us: 60_000_000, event: Event::Applied { step: 10, command: Command::Stop } });
        events
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
        assert_eq!((player.shown().len(), player.state().is_playing), (11, false));
        assert!(player.seek(Seek::Toggle), "from the end it begins anew");
        assert_eq!(player.shown().len(), 0);
    }

    #[test]
    fn seeks_land_behind_steps_and_at_the_ends() {
        let mut player = Player::new(recording(), 1.0);
        player.seek(Seek::Steps(3));
        assert_eq!(player.shown().len(), 3);
        player.seek(Seek::Steps(-1));
        assert_eq!(player.shown().len(), 2);
        player.seek(Seek::Steps(-9));
        assert_eq!(player.shown().len(), 0);
        player.seek(Seek::Percent(50));
        assert_eq!(player.shown().len(), 5);
        player.seek(Seek::End);
        assert_eq!((player.shown().len(), player.state().share), (11, 1.0));
        player.seek(Seek::Percent(-500));
        assert_eq!(player.shown().len(), 0);
        for _ in 0..20 {
            player.seek(Seek::Speed(1));
        }
        assert_eq!(player.state().speed, 64.0);
        Player::new(Vec::new(), f64::NAN).tick(1);
    }
}
