//! Stacking: a shallow model that is made deeper at each stage by copies of its own layers.
//!
//! Gradual (Reddi et al. 2023): the topmost layers, as many as are new, are copied on top; 6-9-12 first trains 6, then
//! copies 4-6, then 7-9. Progressive (Gong et al. 2019): the whole stack is doubled, 3-6-12. All layers that exist train
//! in every step. Before the last stage there is no full model to evaluate: the contrast that the paper makes.

use super::{Complaint, Context, Edit, Given, Growth, Method, MethodConfig, Stacking, draw};
use crate::rng::Rng;
use crate::schedule::{Row, Schedule};
use crate::subnetwork::Subnetwork;

pub(super) struct Stacked;

/// Why a person may not change what a growing model has been or will be; next stages are always allowed.
pub(super) fn allows_growth(now: &Context<'_>, edit: Edit, exists: usize) -> Result<(), String> {
    match edit {
        Edit::NextStage | Edit::Steps(_) => Ok(()),
        Edit::PreviousStage => Err(format!("the model has grown to {exists} layers and can't shrink")),
        Edit::PathLength(stage) if stage <= now.schedule.stage_at(now.step) => {
            Err(format!("the {exists} layers of this stage exist and all train; choose a later stage"))
        }
        Edit::PathLength(_) => Ok(()),
    }
}

/// The lengths without a table: half, three quarters, all; or a quarter, half, all.
fn lengths(layers: usize, growth: Stacking) -> Result<[usize; 3], Complaint> {
    match growth {
        Stacking::Gradual if layers >= 3 => Ok([layers.div_ceil(2), (3 * layers).div_ceil(4), layers]),
        Stacking::Progressive if layers.is_multiple_of(4) => Ok([layers / 4, layers / 2, layers]),
        _ => Err(("stage", format!("must be given: {layers} layers can't be grown to in three stages"))),
    }
}

impl Method for Stacked {
    fn name(&self) -> &'static str {
        "stacking"
    }

    fn about(&self) -> &'static str {
        "a shallow model that grows by copies of its own layers: gradual (6-9-12) or progressive (3-6-12)"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["growth", "moments"]
    }

    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        let whole = draw::whole_run_unfixed(given);
        if given.rows.is_empty() {
            let lengths = lengths(given.layers, given.settings.growth)?;
            return Ok(lengths.map(|n| Row { length: n as f64, ..whole.clone() }).to_vec());
        }
        // No layer is ever skipped, so none needs to be fixed.
        Ok(given.rows.iter().map(|row| Row { fixed: whole.fixed, ..row.clone() }).collect())
    }

    fn check(&self, settings: &MethodConfig, schedule: &Schedule) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (i, pair) in schedule.stages.windows(2).enumerate() {
            let (old, new) = (pair[0].path_length, pair[1].path_length);
            match settings.growth {
                _ if new < old => found.push((i + 1, format!("must not fall under stacking; {new} comes after {old}"))),
                Stacking::Gradual if new > 2 * old => {
                    found.push((
                        i + 1,
                        format!("can be at most {}, since stacking copies layers that exist, not {new}", 2 * old),
                    ));
                }
                Stacking::Progressive if new != old && new != 2 * old => {
                    found
                        .push((i + 1, format!("must be {} under method.growth = \"progressive\", not {new}", 2 * old)));
                }
                _ => {}
            }
        }
        if let Some((last, stage)) = schedule.stages.iter().enumerate().next_back()
            && stage.path_length != schedule.layers
        {
            found.push((
                last,
                format!(
                    "must be {} (all layers) in the last stage of stacking, not {}",
                    schedule.layers, stage.path_length
                ),
            ));
        }
        found
    }

    fn allows(&self, now: &Context<'_>, edit: Edit, after: &Schedule) -> Result<(), String> {
        allows_growth(now, edit, self.existing(now))?;
        let problems = self.check(now.settings, after);
        problems.first().map_or(Ok(()), |(stage, what)| Err(format!("the path length of stage {} {what}", stage + 1)))
    }

    fn draw(&self, at: &Context<'_>, _rng: &mut Rng) -> Subnetwork {
        draw::first(at, self.existing(at))
    }

    fn expected(&self, at: &Context<'_>, layer: usize) -> f64 {
        f64::from(layer < self.existing(at))
    }

    fn existing(&self, at: &Context<'_>) -> usize {
        at.stage().path_length
    }

    fn growth(&self, settings: &MethodConfig, from: usize, to: usize) -> Growth {
        let top = if settings.growth == Stacking::Gradual { to.saturating_sub(from) } else { from };
        draw::stacked(from, to, top)
    }
}
