//! Measurements: when they are due, and what of the run they see.
//!
//! On command, every so many steps (`measure.every`), and at transitions (`measure.transitions`), before the step is
//! trained. Changes nothing in the trainer.

use anyhow::Result;

use super::{Interrupted, Trainer};
use crate::event::{CUT_SHORT, Event, What};
use crate::layer_path::LayerPath;
use crate::measure::{Measured, Next, Subject};
use crate::method::{self, Context};

impl Trainer {
    /// Measures something now.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn measure(&mut self, what: What, interrupted: Interrupted<'_>) -> Result<Measured> {
        let step = self.state.step;
        let (layers, existing) = (self.state.schedule.layers, self.existing());
        let stage = self.state.schedule.lookup(step);
        let (current, shortest) = (stage.path_length, stage.fixed.path_length().max(1));
        let lengths: Vec<usize> = (shortest..=existing).collect();
        let (fixed, candidates) = (stage.fixed, self.candidates());
        let is_last = step >= self.state.schedule.total_steps();
        let next = if what == What::Gradients && !is_last {
            if existing != self.method.existing(&self.context()) {
                return Ok(Measured::Impossible("the model grows before the next step".to_owned()));
            }
            Some((
                self.micro_batches(step),
                method::training_subnetwork(self.method, &self.context(), self.config.seed),
            ))
        } else {
            None
        };
        let rate = self.learning_rate(step);
        let (config, method) = (&self.config, self.method);
        let at =
            Context { settings: &config.method, shape: config.model.shape(), schedule: &self.state.schedule, step };
        let first = |count: usize| &self.evaluation[..count.min(self.evaluation.len())];
        let rule = |norm| super::step::update_rule(&config.optimizer, rate).clipped(config.optimizer.clip, norm);
        let found = Subject {
            engine: self.engine.as_mut(),
            whole: LayerPath::from_layers(layers, 0..existing),
            width: config.model.width,
            step,
            seed: config.seed,
            batches: first(config.measure.batches),
            paths: config.measure.paths,
            transition_batches: first(config.evaluation.transition_batches),
            current,
            lengths: &lengths,
            fixed,
            candidates: &candidates,
            subnetwork: &|length, fixed, index| {
                method::evaluation_subnetwork(method, &at, fixed, existing, length, config.seed, index)
            },
            network: &|path| method.evaluated(&at, path),
            next: next.map(|(micro_batches, subnetwork)| Next { micro_batches, subnetwork, rule: &rule }),
            coefficients: self.coefficients.as_ref(),
            interrupted,
        }
        .measure(what)?;
        Ok(match found {
            Measured::Series(series) if series.iter().any(|m| !m.values.iter().all(|v| v.is_finite())) => {
                Measured::Impossible("it gave numbers that are not finite".to_owned())
            }
            found => found,
        })
    }

    /// The path lengths that one key leads to from here, and the current one: a layer less or more, the stages before and
    /// behind and all between, and the full model. Each with the fixed layers of its stage; of a length that is no stage's
    /// the current one's. Where the next stage is what one layer more leads to, the next stage's: the run goes there itself.
    fn candidates(&self) -> Vec<(usize, LayerPath)> {
        let schedule = &self.state.schedule;
        let now = schedule.stage_at(self.state.step);
        let current = schedule.stages[now].path_length;
        let length = |stage: Option<usize>| stage.map_or(current, |s| schedule.stages[s].path_length);
        let has_steps = |s: &usize| schedule.stages[*s].steps > 0;
        let before = (0..now).rev().find(has_steps);
        let behind = (now + 1..schedule.stages.len()).find(has_steps);
        let neighbours = [current.saturating_sub(1), current + 1, length(before), length(behind)];
        let low = neighbours.into_iter().min().unwrap_or(current).min(current);
        let existing = self.existing();
        let high = neighbours.into_iter().max().unwrap_or(current).min(existing);
        let mut all: Vec<usize> = (low..=high).chain([existing]).collect();
        all.dedup();
        let under = |length: usize| {
            let mut stages = [Some(now), behind, before].into_iter().flatten();
            let stage = stages.find(|s| schedule.stages[*s].path_length == length).unwrap_or(now);
            (length, schedule.stages[stage].fixed)
        };
        all.into_iter().map(under).filter(|(length, fixed)| *length >= fixed.path_length().max(1)).collect()
    }

    /// A measurement that a person asked for.
    pub(super) fn measure_on_command(
        &mut self,
        what: What,
        interrupted: Interrupted<'_>,
    ) -> Result<Result<Vec<Event>, String>> {
        Ok(match self.measure(what, interrupted)? {
            Measured::Series(series) => Ok(series.into_iter().map(Event::Measured).collect()),
            Measured::Interrupted => Err(CUT_SHORT.to_owned()),
            Measured::Impossible(reason) => Err(reason),
        })
    }

    /// Whether measurements are due before this step.
    pub(super) fn is_due_to_measure(&self, is_transition: bool) -> bool {
        let (step, every) = (self.state.step, self.config.measure.every);
        let is_due = (every > 0 && step.is_multiple_of(every)) || (is_transition && self.config.measure.transitions);
        is_due && self.state.measured_at != Some(step)
    }

    /// The measurements that are due before this step; false if interrupted.
    pub(super) fn measure_on_cadence(
        &mut self,
        is_transition: bool,
        interrupted: Interrupted<'_>,
        events: &mut Vec<Event>,
    ) -> Result<bool> {
        let step = self.state.step;
        if !self.is_due_to_measure(is_transition) {
            return Ok(true);
        }
        for what in self.config.measure.what.clone() {
            match self.measure(what, interrupted)? {
                Measured::Series(series) => events.extend(series.into_iter().map(Event::Measured)),
                Measured::Interrupted => return Ok(false),
                // Behind the last step there is no gradient of the next; nobody asked for this one in particular.
                Measured::Impossible(_) => {}
            }
        }
        self.state.measured_at = Some(step);
        Ok(true)
    }
}
