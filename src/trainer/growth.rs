//! Growth: where a stage has more layers than exist, they are made before it is entered.
//!
//! The model before is measured first, since it can't be afterwards. Growing changes weights, so it is a thing done once
//! and kept in the loop state: what follows it may be interrupted and done anew. Owns the order; `method` says which layer
//! is a copy of which, `model` moves the parameters.

use anyhow::Result;

use super::{Emit, Interrupted, Trainer};
use crate::event::Event;
use crate::layer_path::LayerPath;
use crate::model;

impl Trainer {
    /// Layers of the full model that exist.
    pub fn existing(&self) -> usize {
        self.state.existing.unwrap_or_else(|| self.method.existing(&self.context()))
    }

    /// Whether the full model exists.
    pub(super) fn is_whole(&self) -> bool {
        self.existing() == self.state.schedule.layers
    }

    /// Grows the model to what the next step trains. False if interrupted; then nothing has changed.
    pub(super) fn grow(&mut self, interrupted: Interrupted<'_>, emit: Emit<'_>) -> Result<bool> {
        let (step, layers) = (self.state.step, self.state.schedule.layers);
        let wanted = self.method.existing(&self.context());
        let Some(now) = self.state.existing else {
            self.state.existing = Some(wanted);
            if wanted < layers {
                let event = Event::Grown {
                    step,
                    from: 0,
                    to: wanted,
                    sources: Vec::new(),
                    copies: LayerPath::none(wanted),
                    moments: self.config.method.moments,
                };
                self.emit(emit, event)?;
            }
            return Ok(true);
        };
        if wanted <= now {
            return Ok(true);
        }
        if self.config.evaluation.transition_window > 0 {
            let batches = self.config.evaluation.transition_batches;
            let Some(scores) = self.evaluate(&[now], batches, interrupted)? else {
                return Ok(false);
            };
            self.state.before_growth = scores.into_iter().next();
        }
        // Stages that were passed over make their layers all the same.
        let stage = self.state.schedule.stage_at(step);
        let first = self.state.announced.as_ref().map_or(0, |a| a.stage + 1);
        let lengths: Vec<usize> =
            self.state.schedule.stages[first.min(stage)..=stage].iter().map(|s| s.path_length).collect();
        let (mut parameters, mut from, moments) = (self.engine.parameters()?, now, self.config.method.moments);
        let mut events = Vec::new();
        for to in lengths {
            if to > from {
                let growth = self.method.growth(&self.config.method, from, to);
                parameters = model::grow(&parameters, &growth, moments);
                let (sources, copies) = (growth.sources, growth.copies);
                events.push(Event::Grown { step, from, to, sources, copies, moments });
                from = to;
            }
        }
        self.engine.set_parameters(parameters)?;
        self.state.existing = Some(from);
        events.into_iter().try_for_each(|event| self.emit(emit, event))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::checkpoint::NoStore;
    use super::*;
    use crate::config::{RunConfig, load::parse};
    use crate::data;

    fn config() -> RunConfig {
        let text = "
            [model]\nlayers = 4\nwidth = 16\nheads = 2\ncontext = 16
            [method]\nname = 'stacking'
            [train]\nsteps = 12\nbatch = 2\nthreads = 1
            [evaluation]\nevery = 4\nbatches = 2\ntransition_batches = 2\ntransition_window = 3";
        parse("t", text, &[]).unwrap()
    }

    /// Trains to the end; before step 4, where the model grows, the n-th question whether to stop is answered with yes.
    fn run(interrupted_at: Option<u32>) -> (Vec<Event>, String) {
        let config = config();
        let corpus = data::open(&config, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        let mut trainer = Trainer::new(config, corpus, Box::new(NoStore)).unwrap();
        let mut events = Vec::new();
        let asked = Cell::new(0);
        while !trainer.is_over() {
            let is_there = trainer.state().step == 4;
            let interrupted = || {
                asked.set(asked.get() + u32::from(is_there));
                is_there && Some(asked.get()) == interrupted_at
            };
            trainer
                .advance(&interrupted, &mut |event| {
                    events.push(event);
                    Ok(())
                })
                .unwrap();
        }
        let weights = trainer.engine().weights_checksum().unwrap();
        (events, weights)
    }

    #[test]
    fn an_interruption_at_any_point_of_a_growth_changes_nothing() {
        let whole = run(None);
        let grown = whole.0.iter().filter(|e| matches!(e, Event::Grown { .. })).count();
        assert_eq!(grown, 3, "2 at the beginning, then 3, then 4");
        // Two batches of the old model, two of the new one, two of the cadence's evaluation.
        for n in 1..=6 {
            assert_eq!(run(Some(n)), whole, "interrupted at question {n}");
        }
    }
}
