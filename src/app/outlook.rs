//! What a table of stages implies from here on: FLOPs, speed-up and time, of each stage and of the whole run.
//!
//! For the table as it stands and for drafts of another. What is trained is taken as it was, what is to come as the table
//! says and as fast as recent steps went. Plain arithmetic.

use super::run::Run;
use crate::schedule::Schedule;

/// Where a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All its steps are trained, or it was left without any.
    Over,
    /// The next step is its.
    Now,
    /// It is still to come.
    Later,
}

/// A stage and what it implies.
#[derive(Clone, Debug, PartialEq)]
pub struct StageOutlook {
    /// Where it stands.
    pub when: When,
    /// Its first step.
    pub first: u64,
    /// How many it has.
    pub steps: u64,
    /// Of the run's steps.
    pub share: f64,
    /// Active layers.
    pub path_length: usize,
    /// Layers' worth of work per step.
    pub mean: f64,
    /// Training FLOPs of all its steps.
    pub flops: f64,
    /// A step of the full model against one of its, in FLOPs.
    pub speed_up: f64,
    /// Of all its steps; none before steps were timed.
    pub seconds: Option<f64>,
    /// Whether it isn't as the run's config had it.
    pub by_hand: bool,
}

/// The whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Training FLOPs at its end.
    pub flops: f64,
    /// Share saved against full training, everything counted.
    pub saved: f64,
    /// Full training against it by layers alone.
    pub speed_up: f64,
    /// What is still to be trained; none before steps were timed.
    pub seconds_left: Option<f64>,
}

impl Run {
    /// Seconds of a step with that many active layers: by the fit, and before there is one by FLOPs and recent steps.
    pub fn seconds_of(&self, layers: f64) -> Option<f64> {
        if let Some(fit) = self.step_time() {
            return Some(fit.seconds(layers));
        }
        let us: u64 = self.recent.iter().map(|r| r.0).sum();
        let flops: f64 = self.recent.iter().map(|r| r.1).sum();
        (us > 0 && flops > 0.0).then(|| us as f64 / 1e6 / flops * self.step_flops(layers))
    }

    /// What each stage of a table implies.
    pub fn stages_of(&self, schedule: &Schedule) -> Vec<StageOutlook> {
        let total = schedule.total_steps().max(1) as f64;
        let now = schedule.stage_at(self.step);
        let full = self.step_flops(schedule.layers as f64);
        let mut first = 0;
        let mut all = Vec::with_capacity(schedule.stages.len());
        for (index, stage) in schedule.stages.iter().enumerate() {
            let mean = stage.mean_length();
            let flops = self.step_flops(mean);
            let when = match () {
                () if index < now || stage.steps == 0 || self.step >= first + stage.steps => When::Over,
                () if index == now => When::Now,
                () => When::Later,
            };
            all.push(StageOutlook {
                when,
                first,
                steps: stage.steps,
                share: stage.steps as f64 / total,
                path_length: stage.path_length,
                mean,
                flops: flops * stage.steps as f64,
                speed_up: if flops > 0.0 { full / flops } else { schedule.layers as f64 / mean.max(1e-9) },
                seconds: self.seconds_of(mean).map(|s| s * stage.steps as f64),
                by_hand: !self.is_as_planned(schedule, index),
            });
            first += stage.steps;
        }
        all
    }

    /// Whether a stage is as the config had it: counted from the front, or from the end where stages were put in before it.
    fn is_as_planned(&self, schedule: &Schedule, index: usize) -> bool {
        let Some(planned) = self.started.as_ref().map(|s| &s.schedule.stages) else {
            return true;
        };
        let stage = &schedule.stages[index];
        let from_end = (planned.len() + index).checked_sub(schedule.stages.len());
        [Some(index), from_end]
            .into_iter()
            .flatten()
            .any(|at| planned.get(at).is_some_and(|p| (p.steps, p.path_length) == (stage.steps, stage.path_length)))
    }

    /// What a table implies for the whole run.
    pub fn outlook(&self, schedule: &Schedule) -> Outlook {
        let (mut flops, mut seconds, mut end) = (self.flops.0, Some(0.0), 0);
        for stage in &schedule.stages {
            end += stage.steps;
            let left = end.saturating_sub(self.step).min(stage.steps) as f64;
            flops += left * self.step_flops(stage.mean_length());
            seconds = seconds.zip(self.seconds_of(stage.mean_length())).map(|(sum, s)| sum + left * s);
        }
        let full = schedule.total_steps() as f64 * self.step_flops(schedule.layers as f64);
        let saved = if full > 0.0 { 1.0 - flops / full } else { 0.0 };
        Outlook { flops, saved, speed_up: schedule.speed_up(), seconds_left: seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::test_run::{run, stepped};

    #[test]
    fn flops_and_times_of_stages_follow_from_path_lengths() {
        // 10 FLOPs a layer and 20 beside; 2 ms a layer and 4 ms beside, in the first 6 steps of 10 + 10 + 10.
        let mut run = run(4, &[(10, 2), (10, 3), (10, 4)]);
        for step in 0..6 {
            stepped(&mut run, step, 2);
        }
        let schedule = run.schedule.clone().unwrap();
        let stages = run.stages_of(&schedule);
        assert_eq!(stages.iter().map(|s| s.when).collect::<Vec<_>>(), [When::Now, When::Later, When::Later]);
        assert_eq!(stages.iter().map(|s| s.first).collect::<Vec<_>>(), [0, 10, 20]);
        assert_eq!(stages.iter().map(|s| s.flops).collect::<Vec<_>>(), [400.0, 500.0, 600.0]);
        assert!((stages[0].speed_up - 1.5).abs() < 1e-9 && (stages[1].share - 1.0 / 3.0).abs() < 1e-9);
        assert!(stages.iter().all(|s| !s.by_hand));
        let all = run.outlook(&schedule);
        assert_eq!(all.flops, 1500.0);
        assert!((all.saved - (1.0 - 1500.0 / 1800.0)).abs() < 1e-9);
        // One path length was timed: time goes with FLOPs, 40 in 8 ms.
        let left = 0.008 / 40.0 * (4.0 * 40.0 + 500.0 + 600.0);
        assert!((all.seconds_left.unwrap() - left).abs() < 1e-9);
    }

    #[test]
    fn a_longer_first_stage_saves_more_and_what_is_changed_is_marked() {
        let mut run = run(4, &[(10, 2), (10, 3), (10, 4)]);
        stepped(&mut run, 0, 2);
        let before = run.schedule.clone().unwrap();
        let mut after = before.clone();
        after.set_stage_steps(1, 0, 15).unwrap();
        assert!(run.outlook(&after).saved > run.outlook(&before).saved);
        let marks: Vec<bool> = run.stages_of(&after).iter().map(|s| s.by_hand).collect();
        assert_eq!(marks, [true, true, false]);
        // Stages that were put in don't mark those behind them.
        let mut back = before;
        back.previous_stage(14).unwrap();
        let marks: Vec<bool> = run.stages_of(&back).iter().map(|s| s.by_hand).collect();
        assert_eq!(marks, [false, true, true, true, false]);
    }
}
