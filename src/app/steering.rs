//! What a person asks of the trainer: commands, each remembered until it is answered, and checked beforehand where the
//! trainer would only say no.

use super::{App, Overlay, Request};
use crate::event::{Command, What};

impl App {
    /// Asks for a measurement in order to look at it.
    pub(super) fn measure(&mut self, what: What) -> Vec<Request> {
        self.ui.asked = Some(what);
        self.train(Command::Measure { what })
    }

    /// Asks before a change of stage, with a forecast of what it does to the loss under way.
    pub(super) fn ask(&mut self, command: Command) -> Vec<Request> {
        self.ui.overlay = Overlay::Confirm(command);
        let forecast = Command::Measure { what: What::Forecast };
        let is_known = self.run.forecast().is_some_and(|m| m.step == self.run.step);
        if is_known || self.pending.contains(&forecast) { Vec::new() } else { self.train(forecast) }
    }

    /// Asks the trainer, and remembers to have asked.
    pub(super) fn train(&mut self, command: Command) -> Vec<Request> {
        self.pending.push(command);
        vec![Request::Train(command)]
    }

    /// The stage whose path length +/- change.
    pub fn target_stage(&self) -> usize {
        self.ui.selected_stage.filter(|s| *s > self.run.stage.index).unwrap_or(self.run.stage.index)
    }

    /// The path length a stage has or was asked to have.
    pub fn asked_path_length(&self, stage: usize) -> Option<usize> {
        let asked = self.pending.iter().rev().find_map(|c| match c {
            Command::SetPathLength { stage: s, path_length } if *s == stage => Some(*path_length),
            _ => None,
        });
        asked.or_else(|| Some(self.run.schedule.as_ref()?.stages.get(stage)?.path_length))
    }

    pub(super) fn lengthen(&mut self, by: isize) -> Vec<Request> {
        let stage = self.target_stage();
        let Some(length) = self.asked_path_length(stage).and_then(|n| n.checked_add_signed(by)) else {
            return Vec::new();
        };
        self.set_path_length(stage, length)
    }

    /// Whether a stage can have a path length; at the ends the trainer would only say no.
    ///
    /// # Errors
    /// A sentence, if not.
    pub(super) fn check_path_length(&self, stage: usize, length: usize) -> Result<(), String> {
        let row = self.run.schedule.as_ref().and_then(|s| s.stages.get(stage));
        let (shortest, longest) = (row.map_or(1, |s| s.fixed.path_length().max(1)), self.run.layers());
        if (shortest..=longest).contains(&length) {
            return Ok(());
        }
        Err(format!("path lengths lie between {shortest} and {longest}"))
    }

    pub(super) fn set_path_length(&mut self, stage: usize, path_length: usize) -> Vec<Request> {
        match self.check_path_length(stage, path_length) {
            Ok(()) => self.train(Command::SetPathLength { stage, path_length }),
            Err(problem) => {
                self.ui.notice = Some(problem);
                Vec::new()
            }
        }
    }

    pub(super) fn select(&mut self, by: isize) {
        let stages = self.run.schedule.as_ref().map_or(0, |s| s.stages.len());
        let now = self.run.stage.index;
        let chosen = self.target_stage().saturating_add_signed(by).clamp(now, stages.saturating_sub(1).max(now));
        self.ui.selected_stage = (chosen > now).then_some(chosen);
    }

    pub(super) fn scale_rate(&mut self, by: f32) -> Vec<Request> {
        let asked = self.pending.iter().rev().find_map(|c| match c {
            Command::SetLearningRateScale { scale } => Some(*scale),
            _ => None,
        });
        let scale = asked.or(self.run.learning_rate_scale).unwrap_or(1.0) * by;
        // Back at 1 exactly, not nearly.
        let scale = if (scale - 1.0).abs() < 1e-3 { 1.0 } else { scale };
        self.train(Command::SetLearningRateScale { scale })
    }
}
