//! The experiments that are built into the binary: every file of `configs/experiments/`.
//!
//! A new experiment is a new file there and a line here; a test compares the two.

/// Name and text of every shipped experiment.
pub static SHIPPED: &[(&str, &str)] = &[
    ("depth-matters", include_str!("../../configs/experiments/depth-matters.toml")),
    ("bert-small", include_str!("../../configs/experiments/bert-small.toml")),
    ("ul2-small", include_str!("../../configs/experiments/ul2-small.toml")),
    ("polynomial", include_str!("../../configs/experiments/polynomial.toml")),
    ("stability", include_str!("../../configs/experiments/stability.toml")),
    ("horizon", include_str!("../../configs/experiments/horizon.toml")),
    ("flops-sweep", include_str!("../../configs/experiments/flops-sweep.toml")),
    ("fixed-set-and-scaling", include_str!("../../configs/experiments/fixed-set-and-scaling.toml")),
    ("stages", include_str!("../../configs/experiments/stages.toml")),
    ("width", include_str!("../../configs/experiments/width.toml")),
    ("transitions", include_str!("../../configs/experiments/transitions.toml")),
];

/// The text of a shipped experiment.
pub fn find(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// The names, in the order of the table.
pub fn names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::comparable::is_of_other_length;
    use crate::experiment::definition::{Arm, Experiment, Role};
    use crate::plan::plan;

    /// The shipped experiments with arms.
    fn trained() -> impl Iterator<Item = Experiment> {
        let with_arms = SHIPPED.iter().filter(|(_, text)| text.contains("[[arm]]"));
        with_arms.map(|(name, _)| {
            // Text is the user's to name.
            let with_text = Experiment::load(name, &["data.path=\"some/text\"".to_owned()]);
            with_text.or_else(|_| Experiment::load(name, &[])).unwrap()
        })
    }

    fn load(name: &str) -> Experiment {
        trained().find(|e| e.name == name).unwrap()
    }

    fn arm<'a>(e: &'a Experiment, name: &str) -> &'a Arm {
        e.arms.iter().find(|arm| arm.name == name).unwrap_or_else(|| panic!("{}: no arm {name}", e.name))
    }

    /// Layers over the mean path length: the paper's rule.
    fn speed_up(arm: &Arm) -> f64 {
        arm.config.schedule().speed_up()
    }

    #[test]
    fn every_one_can_be_judged() {
        for e in trained() {
            let name = &e.name;
            assert!(e.question.ends_with('?') && e.seeds >= 3 && e.runs() > 10, "{name}: a verdict needs seeds");
            assert!(e.arms.iter().all(|arm| arm.learning_rates.len() > 1), "{name}: rates are tuned per arm");
            assert!(e.arms.iter().any(|arm| arm.role == Role::Shallower), "{name}: no shallower control");
            assert!(e.arms.iter().any(|arm| arm.equal_flops_to.is_some()), "{name}: no equal FLOPs");
            // What reviewers of the paper missed: growing lengths against a constant one at equal FLOPs.
            assert!(e.arms.iter().any(|arm| arm.config.method.name == "constant"), "{name}: no constant control");
            // Whatever isn't full training, or computed to, spends less: none may win by spending more.
            for (at, arm) in e.arms.iter().enumerate() {
                let base = e.run(e.baseline_arm(), 0, 1e-3, 1);
                let own = e.run(at, 0, 1e-3, 1);
                assert!(plan(&own.config).flops <= plan(&base.config).flops * (1.0 + 1e-9), "{name}, {}", arm.name);
            }
        }
    }

    #[test]
    fn arms_that_say_so_have_nine_layers_on_average() {
        let nine: &[(&str, &[&str])] = &[
            ("bert-small", &["raptr", "constant", "pld", "stacking"]),
            ("depth-matters", &["raptr", "constant", "stacking", "pld", "decreasing"]),
            ("ul2-small", &["raptr-1.33x", "constant-1.33x", "pld", "stacking"]),
            ("horizon", &["raptr", "constant"]),
            ("width", &["depth", "width", "width-shared", "constant"]),
            ("transitions", &["raptr", "abrupt", "gentle", "bernoulli", "rewarmed", "constant", "stacking"]),
            ("stages", &["one", "two", "three", "four", "seven", "growing"]),
            ("flops-sweep", &["raptr-1.33x", "constant-1.33x"]),
            ("fixed-set-and-scaling", &["both", "none", "both-sqrt", "none-bernoulli", "both-inverse-p", "constant"]),
        ];
        for (name, arms) in nine {
            let e = load(name);
            for wanted in *arms {
                let mean = 12.0 / speed_up(arm(&e, wanted));
                // theta and survival have three or four digits.
                assert!((mean - 9.0).abs() < 0.01, "{name}, {wanted}: {mean}");
            }
        }
        let e = load("polynomial");
        for wanted in ["raptr", "bernoulli", "decreasing", "pld", "constant"] {
            let mean = 20.0 / speed_up(arm(&e, wanted));
            assert!((mean - 14.0).abs() < 0.01, "polynomial, {wanted}: {mean}");
        }
    }

    #[test]
    fn names_with_a_speed_up_say_the_truth() {
        for name in ["flops-sweep", "ul2-small"] {
            let e = load(name);
            let named = e.arms.iter().filter(|arm| arm.name.ends_with('x') && arm.equal_flops_to.is_none());
            let mut count = 0;
            for arm in named {
                let said: f64 = arm.name.rsplit('-').next().unwrap().trim_end_matches('x').parse().unwrap();
                assert!((speed_up(arm) - said).abs() < 0.012, "{name}, {}: {}", arm.name, speed_up(arm));
                count += 1;
            }
            assert!(count >= 3, "{name}");
        }
        // By hand: 12 / (.1 x 12 + .9 x 9).
        let full_first = speed_up(arm(&load("transitions"), "full-first"));
        assert!((full_first - 12.0 / 9.3).abs() < 0.002, "{full_first}");
    }

    #[test]
    fn computed_steps_cost_what_they_should() {
        for e in trained() {
            for (at, arm) in e.arms.iter().enumerate() {
                let Some(to) = &arm.equal_flops_to else { continue };
                let other = e.arms.iter().position(|a| a.name == *to).unwrap();
                let baseline = &e.arms[e.baseline_arm()].config;
                assert!(is_of_other_length(&arm.config, baseline), "{}, {} is no baseline", e.name, arm.name);
                for horizon in 0..e.horizons.len() {
                    let flops = |arm| plan(&e.run(arm, horizon, 1e-3, 1).config).flops;
                    // Steps are whole: half of one at most is missing or too much.
                    let step = 0.5 / e.steps(at, horizon) as f64;
                    assert!((flops(at) / flops(other) - 1.0).abs() <= 1.01 * step, "{}, {}", e.name, arm.name);
                }
            }
        }
    }
}
