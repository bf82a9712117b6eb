//! Constant path length: one stage of random paths, the control at equal FLOPs.
//!
//! What reviewers of the paper missed: stochastic depth of one probability, with the fixed set, as
//! many layers per step on average as the stages it is compared with.

use super::{Complaint, Context, Given, Method, draw};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::{Row, Schedule};
use crate::subnetwork::Subnetwork;

pub(super) struct Constant;

impl Method for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn about(&self) -> &'static str {
        "control: random paths of one length, by default the mean of the stages (equal FLOPs)"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["sampling", "fixed", "scaling", "path_length"]
    }

    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        let whole = draw::whole_run(given);
        let asked = given.settings.path_length;
        let length = if asked != 0.0 {
            asked
        } else if given.rows.is_empty() {
            let problem = "must be given under method constant, or stages whose mean path length it takes";
            return Err(("method.path_length", problem.to_owned()));
        } else {
            Schedule::from_rows(given.layers, given.steps, given.rows).mean_path_length()
        };
        let shortest = whole.fixed.path_length().max(1) as f64;
        if !(length >= shortest && length <= given.layers as f64) {
            let problem =
                format!("must lie between {shortest} (its fixed layers) and {} (all), not {length}", given.layers);
            return Err(("method.path_length", problem));
        }
        Ok(vec![Row { length, ..whole }])
    }

    fn draw(&self, at: &Context<'_>, rng: &mut Rng) -> Subnetwork {
        draw::random_subnetwork(at, rng)
    }

    fn expected(&self, at: &Context<'_>, layer: usize) -> f64 {
        draw::chance(at.stage(), layer)
    }

    fn evaluated(&self, at: &Context<'_>, path: LayerPath) -> Subnetwork {
        draw::evaluated(at, path)
    }
}
