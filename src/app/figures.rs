//! Figures that the screen derives from a run: how far, how fast, how much is saved, and whether the sampler is right.

use super::run::Run;
use crate::event::Measurement;
use crate::measurement::FORECAST;
use crate::schedule::Schedule;
use crate::step_time::Fit;

impl Run {
    /// Layers of the full model; 0 before the start.
    pub fn layers(&self) -> usize {
        self.schedule.as_ref().map_or(0, |s| s.layers)
    }

    /// Whether a layer (0-based) of the full model exists yet.
    pub fn exists(&self, layer: usize) -> bool {
        self.existing.is_none_or(|existing| layer < existing)
    }

    /// Whether there is a full model.
    pub fn is_whole(&self) -> bool {
        self.existing.is_none_or(|existing| existing >= self.layers())
    }

    /// Steps in all.
    pub fn total_steps(&self) -> u64 {
        self.schedule.as_ref().map_or(0, Schedule::total_steps)
    }

    /// Share of FLOPs saved so far against full training, everything counted.
    pub fn saved(&self) -> f64 {
        if self.flops.1 > 0.0 { 1.0 - self.flops.0 / self.flops.1 } else { 0.0 }
    }

    /// Seconds of a step, averaged over recent ones.
    pub fn step_seconds(&self) -> Option<f64> {
        let us: u64 = self.recent.iter().map(|r| r.0).sum();
        (us > 0).then(|| us as f64 / 1e6 / self.recent.len() as f64)
    }

    /// Tokens a second, averaged over recent steps; pauses and evaluations left out.
    pub fn tokens_per_second(&self) -> Option<f64> {
        Some(self.started.as_ref()?.tokens_per_step as f64 / self.step_seconds()?)
    }

    /// Training FLOPs a second, over recent steps.
    pub fn flops_per_second(&self) -> Option<f64> {
        let us: u64 = self.recent.iter().map(|r| r.0).sum();
        let flops: f64 = self.recent.iter().map(|r| r.1).sum();
        (us > 0 && flops > 0.0).then(|| flops / us as f64 * 1e6)
    }

    /// FLOPs that the steps from here to a later one will take by the schedule.
    pub fn flops_until(&self, step: u64) -> f64 {
        let mut end = 0;
        let stages = self.schedule.iter().flat_map(|s| &s.stages);
        let left = stages.map(|stage| {
            end += stage.steps;
            end.min(step).saturating_sub(self.step.max(end - stage.steps)) as f64 * self.step_flops(stage.mean_length())
        });
        left.sum()
    }

    /// How fast recent steps went, by their FLOPs.
    pub fn seconds_per_flop(&self) -> Option<f64> {
        let us: u64 = self.recent.iter().map(|r| r.0).sum();
        let flops: f64 = self.recent.iter().map(|r| r.1).sum();
        (us > 0 && flops > 0.0).then(|| us as f64 / 1e6 / flops)
    }

    /// Seconds until the last step, from what is left in FLOPs and how fast recent ones went.
    pub fn eta_seconds(&self) -> Option<f64> {
        self.schedule.as_ref()?;
        Some(self.flops_until(u64::MAX) * self.seconds_per_flop()?)
    }

    /// The time of a step by its layers, once two path lengths were timed.
    pub fn step_time(&self) -> Option<Fit> {
        self.step_times.fit(self.schedule.as_ref()?)
    }

    /// The newest forecast.
    pub fn forecast(&self) -> Option<&Measurement> {
        self.measured.iter().find(|m| m.name == FORECAST)
    }

    /// Whether a layer's visits in this stage lie outside three standard deviations of what is expected.
    pub fn is_off(&self, layer: usize) -> bool {
        let (Some(&p), Some(&n)) = (self.stage.expected.get(layer), self.stage.visits.get(layer)) else {
            return false;
        };
        let (p, steps) = (f64::from(p), self.stage.steps as f64);
        let sigma = (steps * p * (1.0 - p)).sqrt();
        // Half a visit of grace: a share of 0 or 1 has no spread at all.
        (n as f64 - steps * p).abs() > 3.0 * sigma + 0.5
    }
}
