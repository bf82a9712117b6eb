//! MIDAS: the model grows by one block of layers per stage, a copy of its middle block put right behind it.
//!
//! L = k b layers are k blocks of b; stage i trains i blocks. Growing from n blocks copies block ceil(n / 2), counted from
//! 1 (Saunshi et al. 2024). Stage lengths are Prop-alpha, `T_i = T i^alpha / sum_j j^alpha`.

use super::stacking::allows_growth;
use super::{Complaint, Context, Edit, Given, Growth, Method, MethodConfig, draw};
use crate::layer_path::LayerPath;
use crate::rng::Rng;
use crate::schedule::{Row, Schedule};
use crate::subnetwork::Subnetwork;

pub(super) struct Midas;

impl Method for Midas {
    fn name(&self) -> &'static str {
        "midas"
    }

    fn about(&self) -> &'static str {
        "a model that grows by copies of its middle block, in stages of length i^alpha"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["block", "alpha", "moments"]
    }

    fn rows(&self, given: &Given<'_>) -> Result<Vec<Row>, Complaint> {
        let (layers, block, alpha) = (given.layers, given.settings.block, given.settings.alpha);
        if !given.rows.is_empty() {
            return Err((
                "stage",
                "must be left out under midas: stages follow from method.block and method.alpha".to_owned(),
            ));
        }
        if block == 0 || !layers.is_multiple_of(block) {
            return Err(("method.block", format!("must divide model.layers ({layers}); {block} doesn't")));
        }
        if !(0.0..=16.0).contains(&alpha) {
            return Err(("method.alpha", format!("must lie between 0 and 16, not {alpha}")));
        }
        let whole = draw::whole_run_unfixed(given);
        let row = |i: usize| Row { length: (i * block) as f64, share: (i as f64).powf(alpha), ..whole.clone() };
        Ok((1..=layers / block).map(row).collect())
    }

    fn allows(&self, now: &Context<'_>, edit: Edit, _after: &Schedule) -> Result<(), String> {
        if matches!(edit, Edit::PathLength(_)) {
            return Err(format!("midas grows by {} layers per stage", now.settings.block));
        }
        allows_growth(now, edit, self.existing(now))
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
        let block = settings.block.max(1);
        let mut sources: Vec<usize> = (0..from).collect();
        let mut is_copy = vec![false; from];
        while sources.len() + block <= to && from >= block {
            // Behind the middle block, a copy of it.
            let end = (sources.len() / block).div_ceil(2) * block;
            let copied = sources[end - block..end].to_vec();
            sources.splice(end..end, copied);
            is_copy.splice(end..end, vec![true; block]);
        }
        let copies = LayerPath::from_layers(sources.len(), (0..sources.len()).filter(|&i| is_copy[i]));
        Growth { from, sources, copies }
    }
}
