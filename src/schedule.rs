//! The schedule: a table of stages and a pure look-up from the step to the stage.
//!
//! Owns the table, its look-up and the edits a person may make while the run is under way. An edit never changes the
//! total number of steps, so that the learning-rate schedule over the whole run stays what it was. Never draws a layer
//! path (`method` does) and never looks at a clock.

use serde::{Deserialize, Serialize};

use crate::layer_path::LayerPath;

/// One row of the table: a path length kept for a number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// How many steps the stage lasts.
    pub steps: u64,
    /// Active layers per step (the expected number under Bernoulli sampling).
    pub path_length: usize,
    /// Layers that are always active in this stage.
    pub fixed: LayerPath,
    /// Layers' worth of work per step on average, where the method doesn't keep to the path length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
}

impl Stage {
    /// A stage that keeps to its path length.
    pub fn new(steps: u64, path_length: usize, fixed: LayerPath) -> Self {
        Self { steps, path_length, fixed, mean: None }
    }

    /// Layers' worth of work per step on average.
    pub fn mean_length(&self) -> f64 {
        self.mean.unwrap_or(self.path_length as f64)
    }
}

/// A row of a table of stages that has yet to be fitted to a number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Layers per step, perhaps only on average.
    pub length: f64,
    /// Share of the steps that rows with `steps` leave over.
    pub share: f64,
    /// Steps, instead of a share.
    pub steps: Option<u64>,
    /// Layers that are always active.
    pub fixed: LayerPath,
}

/// The stages of a run, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Layers of the full model.
    pub layers: usize,
    /// The rows. After an edit a row may have zero steps left to it; the look-up passes over it.
    pub stages: Vec<Stage>,
}

impl Schedule {
    /// The table of `rows` over `total` steps: rows with `steps` take theirs, the others divide what is left by their
    /// shares.
    pub fn from_rows(layers: usize, total: u64, rows: &[Row]) -> Self {
        let taken: u64 = rows.iter().filter_map(|row| row.steps).sum();
        let shares: Vec<f64> = rows.iter().filter(|row| row.steps.is_none()).map(|row| row.share).collect();
        let mut divided = divide(total.saturating_sub(taken), &shares).into_iter();
        let stages = rows.iter().map(|row| {
            let steps = row.steps.or_else(|| divided.next()).unwrap_or(0);
            let whole = row.length.round();
            let mean = (whole != row.length).then_some(row.length);
            Stage { mean, ..Stage::new(steps, whole as usize, row.fixed) }
        });
        Self { layers, stages: stages.collect() }
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.stages.iter().map(|stage| stage.steps).sum()
    }

    /// The step in which a stage begins (0-based stage; one past the last gives the total).
    pub fn start(&self, stage: usize) -> u64 {
        self.stages[..stage.min(self.stages.len())].iter().map(|stage| stage.steps).sum()
    }

    /// The index of the stage that `step` belongs to; from the total on, the last stage with any steps.
    pub fn stage_at(&self, step: u64) -> usize {
        let mut end = 0;
        for (index, stage) in self.stages.iter().enumerate() {
            end += stage.steps;
            if step < end {
                return index;
            }
        }
        self.stages.iter().rposition(|stage| stage.steps > 0).unwrap_or(0)
    }

    /// The stage that `step` belongs to.
    pub fn lookup(&self, step: u64) -> &Stage {
        &self.stages[self.stage_at(step)]
    }

    /// The mean number of layers over all steps: layer FLOPs relative to full training are this over `layers` (the
    /// paper's rule: layers only, all of equal cost).
    pub fn mean_path_length(&self) -> f64 {
        let weighted: f64 = self.stages.iter().map(|s| s.steps as f64 * s.mean_length()).sum();
        weighted / (self.total_steps() as f64).max(1.0)
    }

    /// The layer-FLOPs speed-up against full training, `L * sum(T_s) / sum(T_s * len_s)`.
    pub fn speed_up(&self) -> f64 {
        self.layers as f64 / self.mean_path_length()
    }

    /// Sets the path length of a stage that is not over at `step`.
    ///
    /// # Errors
    /// A sentence saying why it can't be done.
    pub fn set_path_length(&mut self, step: u64, stage: usize, path_length: usize) -> Result<(), String> {
        let current = self.stage_at(step);
        let Some(row) = self.stages.get_mut(stage) else {
            return Err(format!("there is no stage {}; the schedule has {}", stage + 1, self.stages.len()));
        };
        if stage < current {
            return Err(format!("stage {} is over; the run is in stage {}", stage + 1, current + 1));
        }
        let fixed = row.fixed.path_length().max(1);
        if path_length < fixed || path_length > self.layers {
            return Err(format!(
                "path length {path_length} of stage {} must lie between {fixed} (its fixed layers) and {} (the full model)",
                stage + 1,
                self.layers
            ));
        }
        row.path_length = path_length;
        row.mean = None;
        Ok(())
    }

    /// Moves the end of a stage that is not over at `step`, so that it lasts `steps` in all: what it gains the stage behind it
    /// loses, and where that has no more than its last step the one behind that; what it loses the next one gains.
    ///
    /// # Errors
    /// For the last stage (its end is the run's), for fewer steps than it has been trained for, and where stages behind it
    /// would be left without a step. A sentence saying why.
    pub fn set_stage_steps(&mut self, step: u64, stage: usize, steps: u64) -> Result<(), String> {
        let current = self.stage_at(step);
        let Some(row) = self.stages.get(stage) else {
            return Err(format!("there is no stage {}; the schedule has {}", stage + 1, self.stages.len()));
        };
        if stage < current {
            return Err(format!("stage {} is over; the run is in stage {}", stage + 1, current + 1));
        }
        // Rows that an earlier edit has left without steps stay so.
        let behind: Vec<usize> = (stage + 1..self.stages.len()).filter(|&s| self.stages[s].steps > 0).collect();
        if behind.is_empty() || row.steps == 0 {
            return Err(format!("stage {} ends with the run; change the stages before it", stage + 1));
        }
        let least = if stage == current { (step - self.start(stage)).max(1) } else { 1 };
        let spare: u64 = behind.iter().map(|&s| self.stages[s].steps - 1).sum();
        let most = row.steps + spare;
        if steps < least || steps > most {
            return Err(format!(
                "stage {} can last {least} to {most} steps ({least} {}, and each stage behind it keeps one), not {steps}",
                stage + 1,
                if stage == current && step > self.start(stage) { "are trained" } else { "at least" },
            ));
        }
        let (mut gained, before) = (steps.saturating_sub(row.steps), row.steps);
        self.stages[stage].steps = steps;
        self.stages[behind[0]].steps += before.saturating_sub(steps);
        for s in behind {
            let taken = gained.min(self.stages[s].steps - 1);
            self.stages[s].steps -= taken;
            gained -= taken;
        }
        Ok(())
    }

    /// Ends the current stage before `step`; the next one begins there and takes over the steps that were left.
    ///
    /// # Errors
    /// In the last stage.
    pub fn next_stage(&mut self, step: u64) -> Result<(), String> {
        let current = self.stage_at(step);
        let Some(next) = (current + 1..self.stages.len()).find(|&s| self.stages[s].steps > 0) else {
            return Err(format!("stage {} is the last", current + 1));
        };
        let done = step - self.start(current);
        let left = self.stages[current].steps - done;
        self.stages[current].steps = done;
        self.stages[next].steps += left;
        Ok(())
    }

    /// Goes back to the path length of the stage before: what is left of the current stage is halved, the first half is
    /// trained as the stage before was, then the current stage goes on. Two rows are inserted.
    ///
    /// # Errors
    /// In the first stage, and where fewer than two steps are left to halve.
    pub fn previous_stage(&mut self, step: u64) -> Result<(), String> {
        let current = self.stage_at(step);
        let Some(before) = (0..current).rev().find(|&s| self.stages[s].steps > 0) else {
            return Err("there is no stage before this one".to_owned());
        };
        let done = step - self.start(current);
        let left = self.stages[current].steps - done;
        if left < 2 {
            return Err(format!("stage {} has fewer than two steps left to go back in", current + 1));
        }
        let back = Stage { steps: left.div_ceil(2), ..self.stages[before].clone() };
        let rest = Stage { steps: left / 2, ..self.stages[current].clone() };
        self.stages[current].steps = done;
        self.stages.splice(current + 1..current + 1, [back, rest]);
        Ok(())
    }
}

/// Divides `total` steps by shares, without losing one: boundaries are rounded, not lengths.
pub fn divide(total: u64, shares: &[f64]) -> Vec<u64> {
    let sum: f64 = shares.iter().sum();
    let mut ends = shares.iter().scan(0.0, |acc, share| {
        *acc += share;
        Some((total as f64 * *acc / sum).round() as u64)
    });
    let mut last = 0;
    let mut steps: Vec<u64> = Vec::with_capacity(shares.len());
    for end in ends.by_ref() {
        steps.push(end - last);
        last = end;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(layers: usize, rows: &[(u64, usize)]) -> Schedule {
        let fixed = LayerPath::from_layers(layers, [0, layers - 1]);
        let stages = rows.iter().map(|&(steps, path_length)| Stage::new(steps, path_length, fixed)).collect();
        Schedule { layers, stages }
    }

    #[test]
    fn reproduces_the_speed_ups_of_the_papers_rule() {
        // By hand.
        for (layers, rows, expected) in [
            (12, vec![(100, 6), (100, 8), (100, 10), (100, 12)], 1.333),
            (12, vec![(100, 6), (100, 9), (100, 12)], 1.333),
            (12, vec![(100, 6), (200, 8), (300, 10), (400, 12)], 1.200),
            (24, vec![(100, 12), (100, 16), (100, 20), (100, 24)], 1.333),
            (24, vec![(100, 12), (200, 16), (300, 20), (400, 24)], 1.200),
            (24, vec![(30, 24), (92, 12), (93, 16), (92, 20), (93, 24)], 1.301),
        ] {
            let got = schedule(layers, &rows).speed_up();
            assert!((got - expected).abs() < 1e-3, "{rows:?}: {got} != {expected}");
        }
    }

    #[test]
    fn looks_up_the_stage_of_each_step() {
        let s = schedule(12, &[(3, 6), (0, 8), (2, 12)]);
        assert_eq!((0..7).map(|step| s.stage_at(step)).collect::<Vec<_>>(), [0, 0, 0, 2, 2, 2, 2]);
        assert_eq!((s.start(0), s.start(2), s.start(3)), (0, 3, 5));
    }

    #[test]
    fn next_stage_hands_the_steps_left_to_the_next() {
        let mut s = schedule(12, &[(10, 6), (10, 12)]);
        s.next_stage(4).unwrap();
        assert_eq!(s.stages.iter().map(|s| s.steps).collect::<Vec<_>>(), [4, 16]);
        assert_eq!(s.lookup(4).path_length, 12);
        assert!(s.next_stage(5).unwrap_err().contains("stage 2 is the last"));
    }

    #[test]
    fn previous_stage_trains_half_of_the_rest_as_before() {
        let mut s = schedule(12, &[(10, 6), (11, 12)]);
        assert!(s.previous_stage(3).is_err());
        s.previous_stage(12).unwrap();
        let rows: Vec<_> = s.stages.iter().map(|s| (s.steps, s.path_length)).collect();
        assert_eq!(rows, [(10, 6), (2, 12), (5, 6), (4, 12)]);
        assert_eq!(s.lookup(12).path_length, 6);
        assert!(s.previous_stage(20).unwrap_err().contains("fewer than two"));
    }

    #[test]
    fn path_lengths_of_this_and_later_stages_can_be_set_and_no_others() {
        let mut s = schedule(12, &[(10, 6), (10, 12)]);
        s.set_path_length(3, 1, 9).unwrap();
        assert_eq!(s.stages[1].path_length, 9);
        assert!(s.set_path_length(12, 0, 7).unwrap_err().contains("stage 1 is over"));
        assert!(s.set_path_length(12, 5, 7).unwrap_err().contains("no stage 6"));
        for bad in [0, 1, 13] {
            assert!(s.set_path_length(12, 1, bad).unwrap_err().contains("between 2"));
        }
    }

    #[test]
    fn a_stages_end_can_be_moved_and_the_stages_behind_it_pay() {
        let steps = |s: &Schedule| s.stages.iter().map(|s| s.steps).collect::<Vec<_>>();
        let new = || schedule(12, &[(10, 6), (10, 8), (10, 10), (10, 12)]);
        let set = |step, stage, n| {
            let mut s = new();
            s.set_stage_steps(step, stage, n).map(|()| steps(&s))
        };
        assert_eq!(set(4, 0, 14).unwrap(), [14, 6, 10, 10]);
        assert_eq!(set(4, 0, 22).unwrap(), [22, 1, 7, 10], "the next keeps one, the one behind it pays");
        assert_eq!(set(4, 0, 37).unwrap(), [37, 1, 1, 1]);
        assert_eq!(set(4, 0, 4).unwrap(), [4, 16, 10, 10], "ends now");
        assert_eq!(set(4, 1, 3).unwrap(), [10, 3, 17, 10]);
        for (stage, n) in [(0, 3), (0, 38), (1, 0), (1, 29)] {
            let reason = set(4, stage, n).unwrap_err();
            assert!(
                reason.contains(&format!("stage {} can last", stage + 1)) && reason.contains("keeps one"),
                "{reason}"
            );
        }
        assert!(set(4, 3, 12).unwrap_err().contains("ends with the run"));
        assert!(set(14, 0, 12).unwrap_err().contains("is over"));
        assert!(set(4, 4, 12).unwrap_err().contains("no stage 5"));
        let mut passed = schedule(12, &[(10, 6), (0, 8), (10, 12)]);
        passed.set_stage_steps(0, 0, 12).unwrap();
        assert_eq!(steps(&passed), [12, 0, 8], "a row without steps stays so");
        assert!(passed.set_stage_steps(0, 1, 2).is_err());
    }

    proptest! {
        #[test]
        fn division_loses_no_step(total in 1u64..100_000, shares in prop::collection::vec(0.01f64..10.0, 1..9)) {
            prop_assert_eq!(divide(total, &shares).iter().sum::<u64>(), total);
        }

        #[test]
        fn edits_keep_the_total_and_the_past(
            rows in prop::collection::vec((1u64..20, 2usize..=12), 1..6),
            edits in prop::collection::vec((0u64..100, 0u8..3, 0u64..40), 0..8),
        ) {
            let mut s = schedule(12, &rows);
            let total = s.total_steps();
            let mut step = 0;
            for (ahead, kind, wanted) in edits {
                step = (step + ahead % 7).min(total - 1);
                let past: Vec<_> = (0..step).map(|k| s.lookup(k).path_length).collect();
                let before = s.clone();
                let done = match kind {
                    0 => s.next_stage(step),
                    1 => s.previous_stage(step),
                    _ => s.set_stage_steps(step, s.stage_at(step) + wanted as usize % 3, wanted),
                };
                prop_assert!(done.is_ok() || s == before, "what is refused changes nothing");
                prop_assert_eq!(s.total_steps(), total);
                prop_assert_eq!((0..step).map(|k| s.lookup(k).path_length).collect::<Vec<_>>(), past);
            }
        }
    }
}
