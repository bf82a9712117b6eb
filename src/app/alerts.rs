//! Alerts: what a person who doesn't look would want to be called for.
//!
//! * **spike**: the loss of a step lies above `m + 6 s`, where `m` is the running mean of the stage's losses and `s` 1.25
//!   times their running mean absolute deviation (a normal distribution's sigma), each with weight 0.98 on what was, from
//!   the stage's 50th step on. A loss counts for no more than the limit it broke, so a spike doesn't raise the limit for the
//!   next. Steps above the limit that follow one another are one spike.
//! * **not finite**: the run ended so.
//! * **stalled**: the run should be training and nothing was heard of it for 20 times the usual time of a step, and at
//!   least 10 seconds.
//! * **disk**: less than 1 GiB is left for the run's folder, or less than three checkpoints.
//!
//! The first two are folded from events alone, so a replay shows them as well; the others need the screen's own time and
//! what it has read of the machine. Never touches a clock or a file.

use super::machine::Sample;
use super::run::From;
use super::{App, State};

/// Alerts that are kept.
pub(super) const MOST: usize = 1000;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A loss far above those before it.
    Spike,
    /// A loss or gradient that is no number.
    NotFinite,
    /// Nothing is heard of the trainer.
    Stalled,
    /// Little room is left for checkpoints.
    Disk,
}

impl Kind {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::NotFinite => "not finite",
            Self::Stalled => "stalled",
            Self::Disk => "disk",
        }
    }
}

/// Something to be called for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Steps trained.
    pub step: u64,
    /// About what.
    pub kind: Kind,
    /// In a sentence.
    pub text: String,
}

/// Weight of what was, per step.
const KEEP: f64 = 0.98;
/// Standard deviations above the mean.
const SIGMAS: f64 = 6.0;
/// Steps of a stage before its losses are known.
const WARM_UP: u64 = 50;
/// A mean absolute deviation in a normal distribution's standard deviations.
const DEVIATION: f64 = 1.25;
/// Differences below this part of the mean are nothing, however steady the losses.
const LEAST: f64 = 1e-3;

/// Watches the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpikeWatch {
    steps: u64,
    mean: f64,
    deviation: f64,
    is_in_spike: bool,
}

impl SpikeWatch {
    /// Takes in a step's loss. At a spike's first step: the mean and the limit that it broke.
    pub fn take(&mut self, loss: f32) -> Option<(f64, f64)> {
        let loss = f64::from(loss);
        self.steps += 1;
        if self.steps == 1 {
            self.mean = loss;
            return None;
        }
        // Few steps weigh as many as there are of them.
        let keep = KEEP.min(1.0 - 1.0 / self.steps as f64);
        let spread = (DEVIATION * self.deviation).max(LEAST * self.mean.abs());
        let limit = self.mean + SIGMAS * spread;
        let is_over = self.steps > WARM_UP && loss > limit;
        let counted = if is_over { limit } else { loss };
        let found = (is_over && !self.is_in_spike).then_some((self.mean, limit));
        self.is_in_spike = is_over;
        self.deviation = keep * self.deviation + (1.0 - keep) * (counted - self.mean).abs();
        self.mean = keep * self.mean + (1.0 - keep) * counted;
        found
    }
}

/// Least silence that is a stall, microseconds.
const LEAST_SILENCE_US: u64 = 10_000_000;
/// Times the usual step.
const SILENT_STEPS: f64 = 20.0;

/// Watches whether anything is heard of the trainer, by ticks of the screen's own time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StallWatch {
    /// Events heard so far, and at which tick that was first seen.
    heard: (u64, u64),
    is_stalled: bool,
}

impl StallWatch {
    /// Takes in a tick: how many events have been heard by now, whether training is due, and seconds of a usual step. When a
    /// stall begins: seconds of silence.
    pub fn tick(&mut self, us: u64, heard: u64, is_due: bool, step_seconds: Option<f64>) -> Option<f64> {
        if heard != self.heard.0 || !is_due {
            (self.heard, self.is_stalled) = ((heard, us), false);
            return None;
        }
        let silence = us.saturating_sub(self.heard.1);
        let usual = step_seconds.map_or(0, |s| (s * SILENT_STEPS * 1e6) as u64);
        let is_stalled = silence >= usual.max(LEAST_SILENCE_US);
        (is_stalled && !std::mem::replace(&mut self.is_stalled, is_stalled)).then_some(silence as f64 / 1e6)
    }
}

/// Least room for the run's folder, bytes.
const LEAST_FREE: u64 = 1 << 30;
/// Checkpoints there must be room for.
const CHECKPOINTS: u64 = 3;

/// Watches the room that is left on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiskWatch {
    is_low: bool,
}

impl DiskWatch {
    /// Takes in the bytes that are free, and those of a checkpoint. When they become too few: a sentence.
    pub fn take(&mut self, free: u64, checkpoint: u64) -> Option<String> {
        let needed = LEAST_FREE.max(CHECKPOINTS.saturating_mul(checkpoint));
        let was_low = std::mem::replace(&mut self.is_low, free < needed);
        let mib = |bytes: u64| bytes >> 20;
        (self.is_low && !was_low).then(|| {
            format!("{} MiB are left on the run's disk; a checkpoint takes about {} MiB", mib(free), mib(checkpoint))
        })
    }
}

/// What is watched beside the events: silence and the disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alarms {
    stall: StallWatch,
    disk: DiskWatch,
    /// What they found, oldest first.
    pub alerts: Vec<Alert>,
}

impl Alarms {
    /// Whether nothing is heard of the trainer now.
    pub fn is_stalled(&self) -> bool {
        self.stall.is_stalled
    }

    /// Whether the disk is nearly full now.
    pub fn is_disk_low(&self) -> bool {
        self.disk.is_low
    }
}

impl App {
    /// Takes in a tick of the screen's own time, microseconds.
    pub(super) fn tick(&mut self, us: u64) {
        let step_seconds = self.run.step_seconds();
        // How long a step takes must be known: the first ones of a large model may take their time.
        let is_due = self.state() == State::Running && !self.options.is_replay && step_seconds.is_some();
        if let Some(silence) = self.alarms.stall.tick(us, self.heard, is_due, step_seconds) {
            self.alarm(Kind::Stalled, format!("nothing heard of the trainer for {silence:.0} s"));
        }
    }

    /// Takes in what was read of the machine.
    pub(super) fn sample(&mut self, sample: Sample) {
        // Weights and both moments, four bytes each.
        let checkpoint = self.run.started.as_ref().map_or(0, |s| s.parameters.saturating_mul(12));
        if let Some(text) = sample.free_disk.and_then(|free| self.alarms.disk.take(free, checkpoint)) {
            self.alarm(Kind::Disk, text);
        }
        self.machine.take(sample);
    }

    fn alarm(&mut self, kind: Kind, text: String) {
        let step = self.run.step;
        self.run.say(step, From::Alarm, text.clone());
        if self.alarms.alerts.len() == MOST {
            self.alarms.alerts.remove(0);
        }
        self.alarms.alerts.push(Alert { step, kind, text });
    }

    /// Every alert that is kept, by step.
    pub fn alerts(&self) -> Vec<&Alert> {
        let mut all: Vec<&Alert> = self.run.alerts.iter().chain(&self.alarms.alerts).collect();
        all.sort_by_key(|alert| alert.step);
        all
    }

    /// Alerts since the person last looked at them.
    pub fn new_alerts(&self) -> usize {
        (self.run.alerts.len() + self.alarms.alerts.len()).saturating_sub(self.ui.alerts_seen)
    }

    /// The person looks at them.
    pub(super) fn see_alerts(&mut self) {
        self.ui.alerts_seen = self.run.alerts.len() + self.alarms.alerts.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses that fall from 5 to 2 with noise of about 0.1.
    fn noisy(step: u64) -> f32 {
        let noise = ((step * 7919 % 1013) as f32 / 1013.0 - 0.5) * 0.4;
        2.0 + 3.0 * (-(step as f32) / 300.0).exp() + noise
    }

    #[test]
    fn noise_and_falling_losses_are_no_spikes_and_spikes_are_told_once() {
        let mut watch = SpikeWatch::default();
        let found: Vec<u64> = (0..5000).filter(|step| watch.take(noisy(*step)).is_some()).collect();
        assert!(found.is_empty(), "{found:?}");
        let mut watch = SpikeWatch::default();
        let spiked = |step| if (1000..1005).contains(&step) || step == 3000 { noisy(step) + 3.0 } else { noisy(step) };
        let found: Vec<u64> = (0..5000).filter(|step| watch.take(spiked(*step)).is_some()).collect();
        assert_eq!(found, [1000, 3000]);
    }

    #[test]
    fn a_spike_does_not_hide_the_next() {
        let mut watch = SpikeWatch::default();
        (0..500).for_each(|step| {
            watch.take(noisy(step));
        });
        let (_, first) = watch.take(1e30).unwrap();
        watch.take(noisy(501));
        let (_, second) = watch.take(1e30).unwrap();
        assert!((second - first).abs() < 0.5, "{first} {second}");
    }

    #[test]
    fn the_limit_is_the_mean_and_six_deviations() {
        // 1 and 3 in turn: mean 2, mean absolute deviation 1, so about 2 + 6 * 1.25.
        let mut watch = SpikeWatch::default();
        (0..2000).for_each(|step| assert!(watch.take(if step % 2 == 0 { 1.0 } else { 3.0 }).is_none()));
        let (mean, limit) = watch.take(100.0).unwrap();
        assert!((mean - 2.0).abs() < 0.05 && (limit - 9.5).abs() < 0.15, "{mean} {limit}");
        // Quite steady losses: a thousandth of them is nothing yet.
        let mut steady = SpikeWatch::default();
        (0..200).for_each(|_| assert!(steady.take(2.0).is_none()));
        assert!(steady.take(2.011).is_none() && steady.take(2.05).is_some());
    }

    #[test]
    fn a_stall_is_told_once_and_only_while_training_is_due() {
        let second = 1_000_000;
        let mut watch = StallWatch::default();
        let found: Vec<u64> = (0..60).filter(|s| watch.tick(s * second, 5, true, Some(0.1)).is_some()).collect();
        assert_eq!(found, [10]);
        assert!(watch.is_stalled);
        assert!(watch.tick(61 * second, 6, true, Some(0.1)).is_none() && !watch.is_stalled);
        let found = (62..200).find(|s| watch.tick(s * second, 6, true, Some(2.0)).is_some());
        assert_eq!(found, Some(101), "slow steps: 20 of them, 40 s behind the 61st");
        let mut paused = StallWatch::default();
        assert!((0..100).all(|s| paused.tick(s * second, 5, false, None).is_none()));
    }

    #[test]
    fn a_full_disk_is_told_before_it_is_full() {
        let mut watch = DiskWatch::default();
        let gib = 1 << 30;
        assert_eq!(watch.take(5 * gib, gib), None);
        assert!(watch.take(2 * gib, gib).unwrap().contains("2048 MiB are left"));
        assert_eq!(watch.take(2 * gib, gib), None, "told once");
        assert!(watch.is_low);
        assert_eq!(watch.take(4 * gib, gib), None);
        assert!(!watch.is_low && watch.take(gib / 2, 1000).is_some());
    }
}
