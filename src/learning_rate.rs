//! The learning rate of a step: a pure function of the config and the step, over the whole run.
//!
//! One schedule over all steps, not reset at stage boundaries (PAPER.md section 1.3).

use std::f64::consts::PI;

use crate::config::{Decay, OptimizerConfig};

/// The scheduled learning rate of `step` (0-based) of `total`: linear warm-up to the highest rate, then the decay, which
/// would reach `final_ratio` of the highest at step `total`.
pub fn learning_rate(config: &OptimizerConfig, step: u64, total: u64) -> f64 {
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

    fn at(decay: Decay, step: u64) -> f64 {
        let config =
            OptimizerConfig { learning_rate: 1.0, warmup: 10, final_ratio: 0.1, decay, ..OptimizerConfig::default() };
        learning_rate(&config, step, 110)
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
}
