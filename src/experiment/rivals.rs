//! Methods that spend the same, against each other: what a difference to full training can't tell.
//!
//! Each is held, seed by seed, against the first of them. Growing path lengths must beat a constant one, or a
//! falling one, at equal steps *and* equal FLOPs. Never touches a file or a clock.

use serde::{Deserialize, Serialize};

use super::definition::Role;
use super::results::{ALIKE, ArmResult, against};
use super::statistics::Difference;

/// Methods against the first of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rivals {
    /// The first that has such.
    pub method: String,
    /// Each of the others, and its final loss minus the first's.
    pub others: Vec<(String, Difference)>,
}

/// The first method beside the baseline behind which others stand that have its steps and, to within [`ALIKE`], its FLOPs;
/// and those.
pub(super) fn of(arms: &[ArmResult], baseline: &str) -> Option<Rivals> {
    let methods: Vec<_> = arms.iter().filter(|arm| arm.role == Role::Method && arm.name != baseline).collect();
    methods.iter().enumerate().find_map(|(i, first)| {
        let is_alike =
            |arm: &ArmResult| arm.steps == first.steps && (arm.spent.flops / first.spent.flops - 1.0).abs() <= ALIKE;
        let alike = methods[i + 1..].iter().filter(|arm| is_alike(arm));
        let others = alike.filter_map(|arm| Some((arm.name.clone(), against(&arm.runs, &first.runs)?)));
        let others: Vec<_> = others.collect();
        (!others.is_empty()).then(|| Rivals { method: first.name.clone(), others })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::by_hand::arm;

    #[test]
    fn methods_of_equal_cost_are_held_against_the_first() {
        let losses = |shift: f64| [Some(1.0 + shift), Some(1.5 + shift), Some(2.01 + shift)];
        let method = |name: &str, shift: f64, flops: f64| {
            let mut arm = arm(name, Role::Method, &losses(shift));
            arm.spent.flops = flops;
            arm
        };
        let mut longer = method("longer", 0.0, 100.0);
        longer.steps = 101;
        let arms = [
            method("full", 5.0, 130.0),
            method("gentler", 0.0, 120.0),
            method("raptr", 0.0, 100.0),
            method("constant", 0.25, 100.9),
            method("dearer", 0.25, 101.1),
            longer,
            arm("half", Role::Shallower, &losses(0.25)),
            method("pld", -0.5, 99.5),
        ];
        let rivals = of(&arms, "full").unwrap();
        assert_eq!(rivals.method, "raptr");
        let means: Vec<(&str, f64)> = rivals.others.iter().map(|(name, d)| (name.as_str(), d.mean)).collect();
        assert!(
            matches!(means[..], [("constant", a), ("pld", b)] if (a - 0.25).abs() < 1e-12 && (b + 0.5).abs() < 1e-12)
        );
        assert_eq!(of(&arms[..3], "full"), None, "nobody to be held against");
    }
}
