//! Decreasing path lengths: RaPTr's table read backwards, the negative control.
//!
//! A config for raptr needs only another name: 6-8-10-12 becomes 12-10-8-6, each stage with its own steps. The paper's
//! argument is that lengths must grow; layer dropping (`pld`) falls as this does.

use super::{Complaint, Context, Given, Method, MethodConfig, draw};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::{Row, Schedule};
use crate::subnetwork::Subnetwork;

pub(super) struct Decreasing;

impl Method for Decreasing {
    fn name(&self) -> &'static str {
        "decreasing"
    }

    fn about(&self) -> &'static str {
        "control: raptr with its table of stages read backwards, from the full model down"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["sampling", "fixed", "scaling"]
    }

    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        if given.rows.is_empty() {
            return Err((
                "stage",
                "must be given under method decreasing: it reads raptr's table backwards".to_owned(),
            ));
        }
        Ok(given.rows.iter().rev().cloned().collect())
    }

    fn check(&self, _settings: &MethodConfig, schedule: &Schedule) -> Vec<(usize, String)> {
        let rises = schedule.stages.windows(2).enumerate().filter(|(_, w)| w[1].path_length > w[0].path_length);
        let last = schedule.stages.len() - 1;
        rises
            .map(|(i, w)| {
                let (before, after) = (w[1].path_length, w[0].path_length);
                // In the config's order.
                (last - i, format!("must not fall from stage to stage under decreasing, which reads the table backwards; {after} comes after {before}"))
            })
            .collect()
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
