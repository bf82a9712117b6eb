//! The learning rate of a step: a pure function of the config, the table of stages and the step.
//!
//! One schedule over all steps, not reset at stage boundaries; where it is asked for, each later
//! stage begins with a linear warm-up to it, as stacking's do.

use std::f64::consts::PI;

use crate::config::{Decay, OptimizerConfig};
use crate::schedule::Schedule;

/// The scheduled learning rate of `step` (0-based) under a table of stages: that of the whole run, rising to it from the
/// beginning of a later stage.
pub fn learning_rate(config: &OptimizerConfig, schedule: &Schedule, step: u64) -> f64 {
    let rate = over_the_run(config, step, schedule.total_steps());
    let first = schedule.start(schedule.stage_at(step));
    let into = step - first.min(step);
    if first == 0 || into >= config.rewarmup {
        return rate;
    }
    rate * (into + 1) as f64 / config.rewarmup as f64
}

/// Of `total` steps: linear warm-up to the highest rate, then the decay, which would reach `final_ratio` of the highest at
/// step `total`.
fn over_the_run(config: &OptimizerConfig, step: u64, total: u64) -> f64 {
    let highest = config.learning_rate;
    if step < config.warmup {
        return highest * (step + 1) as f64 / config.warmup as f64;
    }
    let progress = (step - config.warmup) as f64 / (total.saturating_sub(config.warmup)).max(1) as f64;
    let progress = progress.min(1.0);
    let left = match config.decay {
        Decay::Constant => return highest,
        Decay::Linear => 1.0 - progress,
        Decay::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
    };
    highest * (config.final_ratio + (1.0 - config.final_ratio) * left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Stage;

    fn at(decay: Decay, step: u64) -> f64 {
        let config =
            OptimizerConfig { learning_rate: 1.0, warmup: 10, final_ratio: 0.1, decay, ..OptimizerConfig::default() };
        over_the_run(&config, step, 110)
    }

    #[test]
    fn follows_the_closed_forms() {
        for decay in [Decay::Cosine, Decay::Linear, Decay::Constant] {
            assert!((at(decay, 0) - 0.1).abs() < 1e-12 && (at(decay, 9) - 1.0).abs() < 1e-12);
            assert!((at(decay, 10) - 1.0).abs() < 1e-12);
        }
        // Half-way both stand at (1 + 0.1) / 2; a quarter of the way cosine is at 0.1 + 0.9 (1 + cos(pi/4)) / 2.
        assert!((at(Decay::Linear, 60) - 0.55).abs() < 1e-12 && (at(Decay::Cosine, 60) - 0.55).abs() < 1e-12);
        assert!((at(Decay::Cosine, 35) - (0.1 + 0.45 * (1.0 + 0.5f64.sqrt()))).abs() < 1e-12);
        assert!((at(Decay::Linear, 110) - 0.1).abs() < 1e-12 && (at(Decay::Cosine, 110) - 0.1).abs() < 1e-12);
        assert!((at(Decay::Constant, 109) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn later_stages_warm_up_to_the_runs_rate() {
        let fixed = crate::layer_path::LayerPath::none(4);
        let stages = [(20, 2), (0, 3), (80, 4)].map(|(steps, length)| Stage::new(steps, length, fixed)).to_vec();
        let schedule = Schedule { layers: 4, stages };
        let decay = Decay::Constant;
        let config =
            OptimizerConfig { learning_rate: 1.0, warmup: 10, decay, rewarmup: 5, ..OptimizerConfig::default() };
        let rates = |steps: &[u64]| steps.iter().map(|&s| learning_rate(&config, &schedule, s)).collect::<Vec<_>>();
        // The first stage has the run's own warm-up; the third begins at step 20, behind one that was passed over.
        assert_eq!(rates(&[0, 9, 10, 19]), [0.1, 1.0, 1.0, 1.0]);
        assert_eq!(rates(&[20, 21, 24, 25, 99]), [0.2, 0.4, 1.0, 1.0, 1.0]);
        let off = OptimizerConfig { rewarmup: 0, ..config };
        assert_eq!(learning_rate(&off, &schedule, 20), 1.0);
    }
}
