//! Whole training steps, asked for without waiting: the device itself finds a step's loss and gradient norm, clips by it, and
//! leaves weights alone behind a step that isn't finite. Owns which steps are under way.

use std::collections::VecDeque;

use anyhow::{Context, Result};

use super::Gpu;
use crate::gpu::{Kind, Request};
use crate::model::{Outcome, UpdateRule};
use crate::objective::Batch;
use crate::subnetwork::Subnetwork;

/// Steps that are under way when another is asked for: the device works on it while the host makes a batch and asks for more.
pub(super) const AHEAD: usize = 1;

/// Steps whose outcome was not taken, in order.
pub(super) type UnderWay = VecDeque<Asked>;

/// A step that was asked for.
pub(super) struct Asked {
    outcome: Request,
    subnetwork: Subnetwork,
    zero_gradient_for_skipped: bool,
}

impl Gpu {
    /// Asks for a whole step.
    pub(super) fn ask_step(
        &mut self,
        micro_batches: &[Batch],
        subnetwork: &Subnetwork,
        rule: &UpdateRule,
        clip: f64,
    ) -> Result<()> {
        self.ask_gradient(micro_batches, subnetwork)?;
        let device = self.kernels.device();
        let count = micro_batches.len();
        // What is allocated is 0: nothing has ended.
        let outcome = self.work.outcome.fitted(device, Kind::F32, 2)?;
        let control = self.work.control.fitted(device, Kind::F32, 2)?;
        self.kernels.judge(outcome, control, self.work.results.span(Kind::F64, 1 + count), count, clip)?;
        let outcome = device.request(outcome)?;
        let zero_gradient_for_skipped = rule.zero_gradient_for_skipped;
        self.ask_update(subnetwork, rule, true)?;
        self.under_way.push_back(Asked { outcome, subnetwork: subnetwork.clone(), zero_gradient_for_skipped });
        Ok(())
    }

    /// Asks for the update with the gradient that was asked for, of which parts are still gathered; `is_controlled`: by what
    /// the device has found about it.
    pub(super) fn ask_update(&mut self, subnetwork: &Subnetwork, rule: &UpdateRule, is_controlled: bool) -> Result<()> {
        let Self { kernels, input, layers, output, work, .. } = self;
        let path = subnetwork.path();
        let control = is_controlled.then(|| work.control.span(Kind::F32, 2));
        input.update(kernels, Some(work.input_grads.all()), rule, control)?;
        let mut slots = 0..path.path_length();
        for (layer, group) in layers.iter_mut().enumerate() {
            match path.is_active(layer).then(|| slots.next()).flatten() {
                Some(slot) => {
                    let grads = &work.layer_grads[slot];
                    match subnetwork.parts(slot) {
                        Some(_) => work.compact[slot].update(kernels, group, grads, rule, control)?,
                        None => group.update(kernels, Some(grads.all()), rule, control)?,
                    }
                }
                None if rule.zero_gradient_for_skipped => group.update(kernels, None, rule, control)?,
                None => {}
            }
        }
        output.update(kernels, Some(work.output_grads.all()), rule, control)
    }

    /// Waits for the oldest step under way. One that failed, and all behind it, have changed nothing, and are undone.
    pub(super) fn take_outcome(&mut self) -> Result<Outcome> {
        let asked = self.under_way.pop_front().context("no step is under way")?;
        let outcome = self.collect(asked.outcome)?;
        if outcome.is_finite() {
            return Ok(outcome);
        }
        let others: Vec<Asked> = self.under_way.drain(..).collect();
        let mut undone = vec![(asked.subnetwork, asked.zero_gradient_for_skipped)];
        for Asked { outcome, subnetwork, zero_gradient_for_skipped } in others {
            self.collect(outcome)?;
            undone.push((subnetwork, zero_gradient_for_skipped));
        }
        for (subnetwork, zero_gradient_for_skipped) in undone {
            let path = subnetwork.path();
            let is_updated = |layer: usize| path.is_active(layer) || zero_gradient_for_skipped;
            let layers = self.layers.iter_mut().enumerate().filter(|(layer, _)| is_updated(*layer));
            layers.for_each(|(_, group)| group.uncount_update());
            self.input.uncount_update();
            self.output.uncount_update();
        }
        self.kernels.device().clear(self.work.control.span(Kind::F32, 2))?;
        Ok(outcome)
    }

    fn collect(&self, request: Request) -> Result<Outcome> {
        let bytes = self.kernels.device().collect(request)?;
        let values: Vec<f32> = bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
        match values[..] {
            [loss, gradient_norm] => Ok(Outcome { loss, gradient_norm }),
            _ => anyhow::bail!("the GPU gave {} values for an outcome", values.len()),
        }
    }
}
