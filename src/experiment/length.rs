//! Training lengths: a config over another number of steps, and the steps in which it spends so many FLOPs.
//!
//! Everything that a config counts in steps keeps its share of them, so that a longer run is the same run stretched. Plain
//! arithmetic on configs: trains nothing, reads nothing.

use crate::config::RunConfig;
use crate::plan::plan;
use crate::schedule::divide;

/// A config for another number of steps: warm-ups, stages with `steps` and an initial stage of so many keep their shares.
pub(super) fn of_length(config: &RunConfig, steps: u64) -> RunConfig {
    let mut config = config.clone();
    let share = steps as f64 / config.train.steps as f64;
    let scaled = |n: u64| (share * n as f64).round() as u64;
    for warmup in [&mut config.optimizer.warmup, &mut config.optimizer.rewarmup] {
        *warmup = scaled(*warmup);
    }
    let own: Vec<u64> = config.stage.iter().filter_map(|stage| stage.steps).collect();
    // Boundaries are rounded, not lengths: stages that fill the run must go on to fill it.
    let shares: Vec<f64> = own.iter().map(|&n| n as f64).collect();
    let divided = divide(scaled(own.iter().sum()), &shares);
    for (steps, scaled) in config.stage.iter_mut().filter_map(|stage| stage.steps.as_mut()).zip(divided) {
        *steps = scaled;
    }
    // Below 1 it is a share already, and must not become one.
    if config.method.initial_full >= 1.0 {
        config.method.initial_full = (share * config.method.initial_full).round().max(1.0);
    }
    config.train.steps = steps;
    config
}

/// The steps, at least one, in which a config spends so many FLOPs, to within half a step; `near` is where the search
/// begins.
pub(super) fn steps_for(config: &RunConfig, near: u64, flops: f64) -> u64 {
    let spent = |steps: u64| plan(&of_length(config, steps)).flops;
    let mut steps = near;
    // A step costs nearly the same at any length: what is left after a round or two is the rounding of stages, whose steps
    // cost unlike amounts.
    for _ in 0..8 {
        let next = ((flops / (spent(steps) / steps as f64)).round() as u64).max(1);
        if next == steps {
            break;
        }
        steps = next;
    }
    let off = |steps: u64| (spent(steps) - flops).abs();
    let around = [steps, steps.saturating_sub(1).max(1), steps + 1].map(|steps| (off(steps), steps));
    around.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(steps, |(_, steps)| steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse;

    fn config(text: &str) -> RunConfig {
        parse("t", text, &[]).unwrap()
    }

    fn stages(config: &RunConfig) -> Vec<(u64, usize)> {
        config.schedule().stages.iter().map(|s| (s.steps, s.path_length)).collect()
    }

    #[test]
    fn whatever_is_counted_in_steps_keeps_its_share() {
        let base = config(
            "train.steps = 1500
            optimizer = { warmup = 150, rewarmup = 30 }
            [[stage]]\npath_length = 6\nsteps = 500
            [[stage]]\npath_length = 9
            [[stage]]\npath_length = 12\nsteps = 250",
        );
        // A third, a half, a sixth.
        assert_eq!(stages(&of_length(&base, 750)), [(250, 6), (375, 9), (125, 12)]);
        let long = of_length(&base, 3000);
        assert_eq!(stages(&long), [(1000, 6), (1500, 9), (500, 12)]);
        assert_eq!((long.optimizer.warmup, long.optimizer.rewarmup), (300, 60));
        assert_eq!(of_length(&base, 1500), base);
    }

    #[test]
    fn stages_that_fill_the_run_go_on_to_fill_it() {
        let base = config(
            "train.steps = 9
            [[stage]]\npath_length = 6\nsteps = 3
            [[stage]]\npath_length = 9\nsteps = 3
            [[stage]]\npath_length = 12\nsteps = 3",
        );
        // Boundaries of 10 steps: 3.33 and 6.67.
        assert_eq!(stages(&of_length(&base, 10)), [(3, 6), (4, 9), (3, 12)]);
    }

    #[test]
    fn an_initial_stage_of_the_full_model_keeps_its_share() {
        let of = |initial: &str, steps| {
            let base =
                config(&format!("train.steps = 1000\nmethod.initial_full = {initial}\n[[stage]]\npath_length = 6"));
            stages(&of_length(&base, steps))
        };
        assert_eq!(of("300", 500), [(150, 12), (350, 6)]);
        assert_eq!(of("0.3", 500), [(150, 12), (350, 6)]);
        // One step stays a step: half of one would be half of the run.
        assert_eq!(of("1", 500), [(1, 12), (499, 6)]);
    }

    #[test]
    fn steps_are_those_whose_flops_come_nearest() {
        // 300 of 1000 steps have 12 layers, the others 6: by their own plan at every length, tried out one by one.
        let base = config("train.steps = 1000\nmethod.initial_full = 300\n[[stage]]\npath_length = 6");
        let nine = config("train.steps = 1000\nmethod.name = 'constant'\nmethod.path_length = 9.0");
        for allowed in [plan(&nine).flops, 0.37 * plan(&nine).flops] {
            let off = |steps: u64| (plan(&of_length(&base, steps)).flops - allowed).abs();
            let best = (1..1500).min_by(|a, b| off(*a).total_cmp(&off(*b))).unwrap();
            let got = steps_for(&base, 1000, allowed);
            assert!(off(got) <= off(best) * (1.0 + 1e-9), "{got} {best}");
        }
    }
}
