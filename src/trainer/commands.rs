//! Commands: what a person may ask of the trainer, carried out between steps.
//!
//! Each comes back as [`Event::Applied`] or [`Event::Refused`] with the step it took effect before. Never touches a channel.

use anyhow::Result;

use super::checkpoint::Kind;
use super::{Emit, Interrupted, Trainer};
use crate::event::{CUT_SHORT, Command, Ending, Event, Why};
use crate::method::{self, Edit};
use crate::schedule::Schedule;

impl Trainer {
    /// Carries out one command, between steps; none if one of those under way has failed.
    ///
    /// # Errors
    /// If the engine, the checkpoint folder or the recording fails; a command that can't be carried out is no error but
    /// an [`Event::Refused`].
    pub fn apply(&mut self, command: Command, interrupted: Interrupted<'_>, emit: Emit<'_>) -> Result<()> {
        self.settle(emit)?;
        if self.is_over {
            return Ok(());
        }
        let step = self.state.step;
        let outcome = match command {
            Command::Pause if self.state.paused => Err("the run is paused already".to_owned()),
            Command::Pause => {
                self.state.paused = true;
                self.state.granted = 0;
                Ok(Vec::new())
            }
            Command::Resume if !self.state.paused => Err("the run is not paused".to_owned()),
            Command::Resume => {
                self.state.paused = false;
                self.state.granted = 0;
                Ok(Vec::new())
            }
            Command::Step { .. } if !self.state.paused => Err("single steps need a paused run".to_owned()),
            Command::Step { steps: 0 } => Err("at least one step must be asked for".to_owned()),
            Command::Step { steps } => {
                self.state.granted = self.state.granted.saturating_add(steps);
                Ok(Vec::new())
            }
            Command::SetPathLength { stage, path_length } => {
                self.edit(Edit::PathLength(stage), |schedule| schedule.set_path_length(step, stage, path_length))
            }
            Command::SetStageSteps { stage, steps } => {
                self.edit(Edit::Steps(stage), |schedule| schedule.set_stage_steps(step, stage, steps))
            }
            Command::NextStage => self.edit(Edit::NextStage, |schedule| schedule.next_stage(step)),
            Command::PreviousStage => self.edit(Edit::PreviousStage, |schedule| schedule.previous_stage(step)),
            // The full model, or as much of it as exists.
            Command::Evaluate => self.asked_for(&[self.existing()], Why::Command, interrupted)?,
            Command::EvaluateCurve => {
                let shortest = self.state.schedule.lookup(step).fixed.path_length().max(1);
                let lengths: Vec<usize> = (shortest..=self.existing()).collect();
                self.asked_for(&lengths, Why::Curve, interrupted)?
            }
            Command::Measure { what } => self.measure_on_command(what, interrupted)?,
            // What it cuts short has been by now.
            Command::Cancel => Ok(Vec::new()),
            Command::Save => Ok(vec![self.save(Kind::Passing)?]),
            // That it was given is all there is to it.
            Command::Note { .. } => Ok(Vec::new()),
            Command::SetLearningRateScale { scale } if !(scale > 0.0 && scale <= 100.0) => {
                Err(format!("the learning-rate scale must lie above 0 and be at most 100, not {scale}"))
            }
            Command::SetLearningRateScale { scale } => {
                self.state.learning_rate_scale = scale;
                Ok(Vec::new())
            }
            Command::Stop => {
                self.emit(emit, Event::Applied { step, command })?;
                let saved = self.save(Kind::Passing)?;
                self.emit(emit, saved)?;
                return self.finish(Ending::Stopped, emit);
            }
            Command::Abort => {
                self.emit(emit, Event::Applied { step, command })?;
                return self.finish(Ending::Aborted, emit);
            }
        };
        match outcome {
            Ok(events) => {
                self.emit(emit, Event::Applied { step, command })?;
                events.into_iter().try_for_each(|event| self.emit(emit, event))
            }
            Err(reason) => self.emit(emit, Event::Refused { step, command, reason }),
        }
    }

    /// Edits the table of stages; what changes is announced when the step's turn comes.
    fn edit(
        &mut self,
        edit: Edit,
        change: impl FnOnce(&mut Schedule) -> Result<(), String>,
    ) -> Result<Vec<Event>, String> {
        let mut after = self.state.schedule.clone();
        change(&mut after)?;
        method::settle(self.method, &self.config.method, self.config.model.shape(), &mut after);
        self.method.allows(&self.context(), edit, &after)?;
        self.state.schedule = after;
        Ok(vec![Event::ScheduleEdited { step: self.state.step, schedule: self.state.schedule.clone() }])
    }

    /// An evaluation that a person asked for.
    fn asked_for(
        &mut self,
        lengths: &[usize],
        why: Why,
        interrupted: Interrupted<'_>,
    ) -> Result<Result<Vec<Event>, String>> {
        let step = self.state.step;
        let scores = self.evaluate(lengths, self.config.evaluation.batches, interrupted)?;
        let Some(scores) = scores else {
            return Ok(Err(CUT_SHORT.to_owned()));
        };
        let mut events = vec![Event::Evaluated { step, why, scores }];
        let is_whole = why == Why::Curve || self.coefficients(lengths, interrupted, &mut events)?;
        Ok(if is_whole { Ok(events) } else { Err(CUT_SHORT.to_owned()) })
    }
}
