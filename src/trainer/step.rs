//! The training step: what it trains, with what rule, and what comes of it.
//!
//! An engine may have a few steps under way before the outcome of the first is taken, so that a GPU always has work. The
//! loop state is then ahead of what was told: whoever looks at the run between two steps calls [`Trainer::settle`] first.
//! What is asked for, and in which order it is told, depends on no clock.

use std::collections::VecDeque;

use anyhow::Result;

use super::{Emit, Trainer};
use crate::config::{OptimizerConfig, Skipped};
use crate::event::{Cause, Event};
use crate::layer_path::LayerPath;
use crate::learning_rate::learning_rate;
use crate::method::{self, Context};
use crate::model::{Outcome, UpdateRule};
use crate::objective::{self, Batch};

/// Tokens of the first sequence that are shown where a step fails.
const SHOWN: usize = 12;

/// Steps that were asked for and whose outcome was not taken, in order.
pub(super) type UnderWay = VecDeque<Asked>;

/// A step that was asked for.
pub(super) struct Asked {
    step: u64,
    stage: usize,
    path: LayerPath,
    learning_rate: f64,
    /// What is told before it.
    events: Vec<Event>,
    /// The beginning of its first sequence.
    tokens: Vec<u32>,
    /// Of the loop state before it, which a step that fails leaves.
    granted: u64,
    full_loss: Option<f32>,
}

impl Trainer {
    /// One training step, told of at once or when a few more were asked for.
    pub(super) fn step(&mut self, emit: Emit<'_>) -> Result<()> {
        let step = self.state.step;
        let subnetwork = method::training_subnetwork(self.method, &self.context(), self.config.seed);
        let path = subnetwork.path();
        let mut events = Vec::new();
        if let Some(expected) = self.drifted(step) {
            events.push(Event::ExpectationChanged { step, expected });
        }
        let parts: Vec<_> = (0..path.path_length()).filter_map(|slot| subnetwork.parts(slot)).collect();
        if !parts.is_empty() {
            let (settings, shape) = (&self.config.method, self.config.model.shape());
            let (heads, columns) = parts.into_iter().map(|p| method::parts_text(settings, shape, p)).unzip();
            events.push(Event::PartsDrawn { step, heads, columns });
        }
        let micro_batches = self.micro_batches(step);
        // Behind the batch, which is made while the device is at work.
        while self.under_way.len() > self.engine.ahead() {
            self.take_outcome(emit)?;
            if self.is_over {
                return Ok(());
            }
        }
        let learning_rate = self.learning_rate(step);
        let rule = update_rule(&self.config.optimizer, learning_rate);
        let asked = Asked {
            step,
            stage: self.state.schedule.stage_at(step),
            path,
            learning_rate,
            events,
            tokens: micro_batches[0].inputs[..micro_batches[0].context.min(SHOWN)].to_vec(),
            granted: self.state.granted,
            full_loss: self.state.full_loss,
        };
        match self.engine.train(&micro_batches, &subnetwork, &rule, self.config.optimizer.clip) {
            Ok(outcome) => {
                self.under_way.push_back(asked);
                self.state.step += 1;
                self.state.granted = self.state.granted.saturating_sub(1);
                self.state.full_loss = None;
                if let Some(outcome) = outcome {
                    self.tell(outcome, emit)?;
                }
                // Nobody comes by again before the next command.
                if self.is_waiting() { self.settle(emit) } else { Ok(()) }
            }
            Err(error) => {
                // What was trained before is trained, if the device can still say so.
                match self.settle(emit) {
                    Ok(()) if self.is_over => Ok(()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Waits for all steps that are under way, and tells of them. One that failed ends the run: ask [`Trainer::is_over`].
    ///
    /// # Errors
    /// If the engine or the recording fails.
    pub fn settle(&mut self, emit: Emit<'_>) -> Result<()> {
        while !self.under_way.is_empty() {
            self.take_outcome(emit)?;
        }
        Ok(())
    }

    fn take_outcome(&mut self, emit: Emit<'_>) -> Result<()> {
        let outcome = self.engine.outcome()?;
        self.tell(outcome, emit)
    }

    /// Tells of the oldest step under way.
    fn tell(&mut self, outcome: Outcome, emit: Emit<'_>) -> Result<()> {
        let Some(asked) = self.under_way.pop_front() else {
            return Ok(());
        };
        let Asked { step, stage, path, learning_rate, events, tokens, granted, full_loss } = asked;
        events.into_iter().try_for_each(|event| self.emit(emit, event))?;
        let Outcome { loss, gradient_norm } = outcome;
        if outcome.is_finite() {
            let learning_rate = learning_rate as f32;
            return self.emit(emit, Event::Stepped { step, stage, path, loss, learning_rate, gradient_norm });
        }
        // Neither it nor any behind it has changed a weight.
        self.under_way.clear();
        (self.state.step, self.state.granted, self.state.full_loss) = (step, granted, full_loss);
        let what = if loss.is_finite() { "gradient" } else { "loss" };
        let text = self.corpus.decode(&tokens);
        let reason = format!(
            "the {what} of step {step} is not finite (layer path {path}, first sequence \"{}\"); \
             the weights are those before the step; try a lower optimizer.learning_rate or a lower optimizer.clip",
            text.trim()
        );
        self.fail(Cause::Diverged, reason, emit)
    }

    /// Each layer's probability to be active, if it has moved since the step before: by a twentieth of a layer in all, so
    /// that a slow drift isn't told in every step.
    fn drifted(&self, step: u64) -> Option<Vec<f32>> {
        let stage = self.state.schedule.stage_at(step);
        if !self.method.drifts() || step == self.state.schedule.start(stage) {
            return None;
        }
        let at = |step| method::expectation(self.method, &Context { step, ..self.context() });
        let rounded = |expected: &[f32]| (20.0 * expected.iter().sum::<f32>()).round();
        let (before, now) = (at(step - 1), at(step));
        (rounded(&before) != rounded(&now)).then_some(now)
    }

    /// The batches of a training step.
    pub(super) fn micro_batches(&self, step: u64) -> Vec<Batch> {
        (0..self.config.train.accumulate as u64)
            .map(|micro| objective::training_batch(self.corpus.as_ref(), self.objective, &self.config, step, micro))
            .collect()
    }

    /// The learning rate of a training step.
    pub(super) fn learning_rate(&self, step: u64) -> f64 {
        learning_rate(&self.config.optimizer, &self.state.schedule, step) * f64::from(self.state.learning_rate_scale)
    }
}

/// What the optimizer does in a step, but for clipping.
pub(super) fn update_rule(o: &OptimizerConfig, learning_rate: f64) -> UpdateRule {
    UpdateRule {
        learning_rate,
        betas: o.betas,
        epsilon: o.epsilon,
        weight_decay: o.weight_decay,
        gradient_scale: 1.0,
        zero_gradient_for_skipped: o.skipped == Skipped::ZeroGrad,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::ops::ControlFlow;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::Context as _;

    use super::super::checkpoint::NoStore;
    use super::*;
    use crate::config::RunConfig;
    use crate::config::load::parse;
    use crate::data;
    use crate::event::Command;
    use crate::model::{self, Engine, Parameter};
    use crate::subnetwork::Subnetwork;

    /// An engine that tells what came of a step only when it is asked, and of one that fails.
    struct Late {
        inner: Box<dyn Engine>,
        ahead: usize,
        fails_at: Option<usize>,
        trained: usize,
        outcomes: VecDeque<Outcome>,
        /// The most that were ever under way.
        most: Arc<AtomicUsize>,
    }

    impl Engine for Late {
        fn about(&self) -> String {
            self.inner.about()
        }

        fn train(
            &mut self,
            micro_batches: &[Batch],
            subnetwork: &Subnetwork,
            rule: &UpdateRule,
            clip: f64,
        ) -> Result<Option<Outcome>> {
            let has_failed = self.outcomes.iter().any(|o| !o.is_finite()) || self.fails_at == Some(self.trained);
            self.trained += 1;
            let outcome = if has_failed {
                Outcome { loss: f32::NAN, gradient_norm: 1.0 }
            } else {
                self.inner.train(micro_batches, subnetwork, rule, clip)?.context("done")?
            };
            if self.ahead == 0 {
                return Ok(Some(outcome));
            }
            self.outcomes.push_back(outcome);
            self.most.fetch_max(self.outcomes.len(), Ordering::Relaxed);
            Ok(None)
        }

        fn ahead(&self) -> usize {
            self.ahead
        }

        fn outcome(&mut self) -> Result<Outcome> {
            let outcome = self.outcomes.pop_front().context("no step is under way")?;
            if !outcome.is_finite() {
                self.outcomes.clear();
            }
            Ok(outcome)
        }

        fn gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32> {
            self.inner.gradient(micro_batches, subnetwork)
        }

        fn gradient_norm(&mut self) -> Result<f32> {
            self.inner.gradient_norm()
        }

        fn update(&mut self, rule: &UpdateRule) -> Result<()> {
            self.inner.update(rule)
        }

        fn loss(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<f32> {
            assert!(self.outcomes.is_empty(), "evaluated before all was told");
            self.inner.loss(batch, subnetwork)
        }

        fn logits(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
            self.inner.logits(batch, subnetwork)
        }

        fn outputs(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
            self.inner.outputs(batch, subnetwork)
        }

        fn gradients(&mut self) -> Result<Vec<(String, Vec<f32>)>> {
            self.inner.gradients()
        }

        fn parameters(&self) -> Result<Vec<Parameter>> {
            assert!(self.outcomes.is_empty(), "looked at before all was told");
            self.inner.parameters()
        }

        fn set_parameters(&mut self, parameters: Vec<Parameter>) -> Result<()> {
            self.inner.set_parameters(parameters)
        }

        fn weights_checksum(&self) -> Result<String> {
            assert!(self.outcomes.is_empty(), "looked at before all was told");
            self.inner.weights_checksum()
        }
    }

    fn config(method: &str) -> RunConfig {
        let text = "
            [model]\nlayers = 4\nwidth = 16\nheads = 2\ncontext = 16
            [train]\nsteps = 40\nbatch = 2\nthreads = 1
            [checkpoint]\nevery = 11
            [measure]\nevery = 13\nwhat = [\"gradients\"]
            [evaluation]\nevery = 15\nbatches = 2\ntransition_batches = 2\ntransition_window = 3";
        parse("t", &format!("{text}\n[method]\nname = '{method}'"), &[]).unwrap()
    }

    /// All events of a run in which commands are given between steps, and the weights at its end.
    fn run(method: &str, ahead: usize, fails_at: Option<usize>) -> (Vec<Event>, String, usize) {
        let config = config(method);
        let corpus = data::open(&config, &mut |_| ControlFlow::Continue(())).unwrap();
        let most = Arc::new(AtomicUsize::new(0));
        let late = |config: &RunConfig, vocabulary| {
            let (inner, outcomes, most) = (model::build(config, vocabulary)?, VecDeque::new(), most.clone());
            Ok(Box::new(Late { inner, ahead, fails_at, trained: 0, outcomes, most }) as Box<dyn Engine>)
        };
        let mut trainer = Trainer::with_engine(config, corpus, Box::new(NoStore), late).unwrap();
        let mut script = VecDeque::from([
            (3, Command::SetLearningRateScale { scale: 0.5 }),
            (5, Command::Pause),
            (5, Command::Step { steps: 1 }),
            (6, Command::Step { steps: 3 }),
            (9, Command::Evaluate),
            (9, Command::Resume),
            (12, Command::NextStage),
            (17, Command::Save),
        ]);
        let mut events = Vec::new();
        let told = Cell::new(0);
        while !trainer.is_over() {
            let (step, mut emit) = (trainer.state().step, |event: Event| {
                told.set(told.get() + u64::from(matches!(event, Event::Stepped { .. })));
                events.push(event);
                Ok(())
            });
            if trainer.is_waiting() {
                assert_eq!(told.get(), step, "somebody waits, and not all is told");
            }
            match script.front() {
                Some((at, command)) if *at <= step => {
                    let command = *command;
                    script.pop_front();
                    trainer.apply(command, &|| false, &mut emit).unwrap();
                }
                _ => trainer.advance(&|| false, &mut emit).unwrap(),
            }
        }
        let weights = trainer.engine().weights_checksum().unwrap();
        (events, weights, most.load(Ordering::Relaxed))
    }

    #[test]
    fn steps_under_way_change_nothing_of_a_run() {
        for method in ["raptr", "stacking", "pld"] {
            let (events, weights, _) = run(method, 0, None);
            assert!(matches!(events.last(), Some(Event::Finished { .. })));
            for ahead in [1, 3] {
                let late = run(method, ahead, None);
                assert_eq!((late.0, late.1), (events.clone(), weights.clone()), "{method}, {ahead} ahead");
                assert_eq!(late.2, ahead + 1, "{method}");
            }
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_run_as_before_it_however_many_were_under_way() {
        // In the middle of a stage; before an evaluation; the last of three that were granted; the run's last.
        for fails_at in [20, 14, 8, 39] {
            let (events, weights, _) = run("raptr", 0, Some(fails_at));
            let Some(Event::Failed { step, .. }) = events.last() else { panic!("no failure at {fails_at}") };
            assert_eq!(*step, fails_at as u64);
            for ahead in [1, 3] {
                let late = run("raptr", ahead, Some(fails_at));
                assert_eq!((late.0, late.1), (events.clone(), weights.clone()), "at {fails_at}, {ahead} ahead");
            }
        }
    }
}
