//! Methods that spend the same, against each other: what a difference to full training can't tell.
//!
//! Each is held, seed by seed, against the experiment's first method. Growing path lengths must beat a constant one, or a
//! falling one, at equal steps *and* equal FLOPs. Never touches a file or a clock.

use serde::{Deserialize, Serialize};

use super::definition::Role;
use super::results::{ALIKE, ArmResult, paired};
use super::statistics::{Difference, difference};

/// Methods against the first of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rivals {
    /// The first.
    pub method: String,
    /// Each of the others, and its final loss minus the first's.
    pub others: Vec<(String, Difference)>,
}

/// The methods that have the steps and, to within [`ALIKE`], the FLOPs of the first that isn't the baseline.
pub(super) fn of(arms: &[ArmResult], baseline: &str) -> Option<Rivals> {
    let mut methods = arms.iter().filter(|arm| arm.role == Role::Method && arm.name != baseline);
    let first = methods.next()?;
    let alike =
        methods.filter(|arm| arm.steps == first.steps && (arm.spent.flops / first.spent.flops - 1.0).abs() <= ALIKE);
    let others = alike.filter_map(|arm| {
        let each = paired(&arm.runs, &first.runs, |run, other| Some(run - other.final_loss()?));
        Some((arm.name.clone(), difference(&each)?))
    });
    let others: Vec<_> = others.collect();
    (!others.is_empty()).then(|| Rivals { method: first.name.clone(), others })
}
