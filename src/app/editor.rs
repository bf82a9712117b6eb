//! The schedule editor: a draft of the table of stages, and the commands that make the table what the draft is.
//!
//! Checks with the same edits as the trainer makes ([`Schedule`]'s), so what it would refuse is told before it is asked. The
//! run goes on meanwhile: what a draft implies is reckoned anew from where the run stands. Never touches the run.

use super::keys::Key;
use super::run::Run;
use crate::event::Command;
use crate::schedule::Schedule;

/// What of a stage is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// How many steps it lasts.
    #[default]
    Steps,
    /// Its path length.
    Length,
}

/// The editor.
#[derive(Clone, Debug, PartialEq)]
pub struct Editor {
    /// The table that the draft was made of.
    base: Schedule,
    /// The draft.
    draft: Schedule,
    /// The stage that is chosen.
    row: usize,
    /// What of it.
    column: Column,
    /// A number that is being typed, and the draft before it.
    typed: Option<(String, Schedule)>,
    /// Why the last key did nothing.
    problem: Option<String>,
}

/// What a key made of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It goes on.
    Stays(Editor),
    /// It is left, the draft dropped.
    Closes,
    /// These are to be asked of the trainer, in this order.
    Applies(Vec<Command>),
}

impl Editor {
    /// On the stage that the run is in, or a later one; none before there is a table.
    pub fn open(run: &Run, stage: usize) -> Option<Self> {
        let base = run.schedule.clone().filter(|table| !table.stages.is_empty())?;
        let row = stage.clamp(base.stage_at(run.step), base.stages.len().saturating_sub(1));
        Some(Self { draft: base.clone(), base, row, column: Column::default(), typed: None, problem: None })
    }

    /// The draft.
    pub fn draft(&self) -> &Schedule {
        &self.draft
    }

    /// The chosen stage, and what of it.
    pub fn cursor(&self) -> (usize, Column) {
        (self.row, self.column)
    }

    /// The number that is being typed.
    pub fn typed(&self) -> Option<&str> {
        self.typed.as_ref().map(|(text, _)| text.as_str())
    }

    /// Whether anything is changed.
    pub fn is_changed(&self) -> bool {
        self.draft != self.base
    }

    /// Why the draft can't be applied as it stands, or why the last key did nothing.
    pub fn problem(&self, run: &Run) -> Option<String> {
        self.problem.clone().or_else(|| self.commands(run).err())
    }

    /// The commands that make the run's table the draft, each allowed behind the ones before it.
    ///
    /// # Errors
    /// A sentence saying why there are none.
    pub fn commands(&self, run: &Run) -> Result<Vec<Command>, String> {
        let Some(mut table) = run.schedule.clone() else {
            return Err("there is no table of stages yet".to_owned());
        };
        if table.stages.len() != self.draft.stages.len() {
            return Err("the table has changed under the draft; Esc drops it".to_owned());
        }
        let mut commands = Vec::new();
        for (stage, wanted) in self.draft.stages.iter().enumerate() {
            if table.stages[stage].path_length != wanted.path_length {
                table.set_path_length(run.step, stage, wanted.path_length)?;
                commands.push(Command::SetPathLength { stage, path_length: wanted.path_length });
            }
        }
        // From the front: what an earlier stage gains or loses has then been paid when a later one's turn comes.
        for (stage, wanted) in self.draft.stages.iter().enumerate() {
            if table.stages[stage].steps != wanted.steps {
                table.set_stage_steps(run.step, stage, wanted.steps)?;
                commands.push(Command::SetStageSteps { stage, steps: wanted.steps });
            }
        }
        Ok(commands)
    }

    /// Follows the run's table where nothing is drafted.
    pub fn follow(&mut self, run: &Run) {
        if let Some(table) = run.schedule.as_ref().filter(|table| **table != self.base) {
            if !self.is_changed() {
                self.draft = table.clone();
                self.typed = None;
            }
            self.base = table.clone();
            self.row = self.row.min(self.draft.stages.len().saturating_sub(1));
        }
    }

    /// What a key makes of it.
    pub fn key(mut self, key: Key, run: &Run) -> Outcome {
        self.follow(run);
        self.problem = None;
        match key {
            Key::Esc if self.typed.is_some() => self.untype(),
            Key::Esc | Key::Char('q' | 'P') => return Outcome::Closes,
            Key::Up | Key::Char('k') => self.go(run, -1),
            Key::Down | Key::Char('j') => self.go(run, 1),
            Key::Left | Key::Right | Key::Tab | Key::BackTab | Key::Char('h' | 'l') => {
                self.typed = None;
                self.column = if self.column == Column::Steps { Column::Length } else { Column::Steps };
            }
            Key::Char('+' | '=') => self.change_by(run, 1),
            Key::Char('-') => self.change_by(run, -1),
            Key::Char('u') => {
                self.typed = None;
                self.draft = self.base.clone();
            }
            Key::Char(digit) if digit.is_ascii_digit() => self.type_digit(run, digit),
            Key::Backspace => self.untype_digit(run),
            Key::Enter => {
                // A number that was refused is not passed over in silence.
                if let Some((text, before)) = &self.typed
                    && let Ok(value) = text.parse()
                    && let Err(problem) = self.set(run, before.clone(), value)
                {
                    self.problem = Some(problem);
                    return Outcome::Stays(self);
                }
                match self.commands(run) {
                    Ok(commands) if commands.is_empty() => return Outcome::Closes,
                    Ok(commands) => return Outcome::Applies(commands),
                    Err(problem) => self.problem = Some(problem),
                }
            }
            _ => {}
        }
        Outcome::Stays(self)
    }

    /// The value under the cursor.
    fn value(&self) -> u64 {
        let stage = &self.draft.stages[self.row];
        match self.column {
            Column::Steps => stage.steps,
            Column::Length => stage.path_length as u64,
        }
    }

    /// Another value under the cursor, in a draft.
    fn set(&self, run: &Run, mut draft: Schedule, value: u64) -> Result<Schedule, String> {
        match self.column {
            Column::Steps => draft.set_stage_steps(run.step, self.row, value)?,
            Column::Length => {
                let before = draft.stages[self.row].clone();
                draft.set_path_length(run.step, self.row, value as usize)?;
                // Where a layer's worth differs from a layer, its share stays until the trainer has reckoned anew.
                draft.stages[self.row].mean = before.mean.map(|m| m * value as f64 / before.path_length.max(1) as f64);
            }
        }
        Ok(draft)
    }

    fn change_by(&mut self, run: &Run, by: i64) {
        self.typed = None;
        let unit = match self.column {
            Column::Steps => step_unit(self.draft.total_steps()),
            Column::Length => 1,
        };
        let now = self.value();
        // To round numbers first: they are what one remembers.
        let wanted = match by > 0 {
            true => (now / unit + 1) * unit,
            false => now.saturating_sub(1) / unit * unit,
        };
        match self.set(run, self.draft.clone(), wanted) {
            Ok(draft) => self.draft = draft,
            Err(problem) => self.problem = Some(problem),
        }
    }

    fn type_digit(&mut self, run: &Run, digit: char) {
        let (mut text, before) = self.typed.take().unwrap_or_else(|| (String::new(), self.draft.clone()));
        if text.len() < 12 {
            text.push(digit);
        }
        match text.parse().map_err(|_| String::new()).and_then(|value| self.set(run, before.clone(), value)) {
            Ok(draft) => self.draft = draft,
            Err(problem) => {
                self.draft = before.clone();
                self.problem = Some(problem).filter(|p| !p.is_empty());
            }
        }
        self.typed = Some((text, before));
    }

    fn untype_digit(&mut self, run: &Run) {
        let Some((mut text, before)) = self.typed.take() else {
            return;
        };
        self.draft = before;
        let last = (text.pop(), text.pop()).1;
        if let Some(last) = last {
            self.typed = Some((text, self.draft.clone()));
            self.type_digit(run, last);
        }
    }

    fn untype(&mut self) {
        if let Some((_, before)) = self.typed.take() {
            self.draft = before;
        }
    }

    fn go(&mut self, run: &Run, by: isize) {
        self.typed = None;
        let last = self.draft.stages.len().saturating_sub(1);
        let first = self.base.stage_at(run.step).min(last);
        self.row = self.row.saturating_add_signed(by).clamp(first, last);
    }
}

/// By how many steps + and - change a stage: about a hundredth of the run, in round numbers.
fn step_unit(total: u64) -> u64 {
    let mut unit = 1;
    while unit * 100 < total {
        // 1, 2, 5, 10, 20, 50, ...
        unit = if unit.to_string().starts_with('2') { unit / 2 * 5 } else { unit * 2 };
    }
    unit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::app::test_run::{run, stepped};

    /// A run of 10 + 10 + 10 steps at 2, 3, 4 of 4 layers, four steps in.
    fn four_in() -> Run {
        let mut run = run(4, &[(10, 2), (10, 3), (10, 4)]);
        (0..4).for_each(|step| stepped(&mut run, step, 2));
        run
    }

    fn press(run: &Run, editor: Editor, keys: &[Key]) -> Editor {
        keys.iter().fold(editor, |editor, key| match editor.key(*key, run) {
            Outcome::Stays(editor) => editor,
            other => panic!("{other:?}"),
        })
    }

    fn text(digits: &str) -> Vec<Key> {
        digits.chars().map(Key::Char).collect()
    }

    fn lengths(editor: &Editor) -> Vec<(u64, usize)> {
        editor.draft().stages.iter().map(|s| (s.steps, s.path_length)).collect()
    }

    #[test]
    fn typing_drafts_and_enter_applies_as_commands() {
        let run = four_in();
        let editor = press(&run, Editor::open(&run, 0).unwrap(), &text("15"));
        assert_eq!(lengths(&editor), [(15, 2), (5, 3), (10, 4)]);
        let editor = press(&run, editor, &[Key::Down, Key::Right, Key::Char('+'), Key::Left]);
        let editor = press(&run, editor, &text("3"));
        assert_eq!(lengths(&editor), [(15, 2), (3, 4), (12, 4)]);
        let wanted = vec![
            Command::SetPathLength { stage: 1, path_length: 4 },
            Command::SetStageSteps { stage: 0, steps: 15 },
            Command::SetStageSteps { stage: 1, steps: 3 },
        ];
        assert_eq!(editor.key(Key::Enter, &run), Outcome::Applies(wanted));
    }

    #[test]
    fn what_the_trainer_would_refuse_is_told_before_it_is_asked() {
        let run = four_in();
        let open = || Editor::open(&run, 0).unwrap();
        let editor = press(&run, open(), &text("3"));
        assert!(editor.problem(&run).unwrap().contains("can last 4 to 28 steps"), "{editor:?}");
        let Outcome::Stays(editor) = editor.key(Key::Enter, &run) else { panic!("applied") };
        assert!(editor.problem.as_ref().unwrap().contains("4 are trained"));
        assert_eq!(lengths(&editor), [(10, 2), (10, 3), (10, 4)]);
        let editor = press(&run, open(), &[Key::Right, Key::Char('9')]);
        assert!(editor.problem(&run).unwrap().contains("must lie between"));
        let editor = press(&run, open(), &[Key::Down, Key::Down, Key::Char('7')]);
        assert!(editor.problem(&run).unwrap().contains("ends with the run"));
        // The run goes on while one thinks.
        let editor = press(&run, open(), &text("6"));
        let mut on = run.clone();
        (4..7).for_each(|step| stepped(&mut on, step, 2));
        assert!(editor.problem(&on).unwrap().contains("7 are trained"));
        assert!(matches!(editor.key(Key::Enter, &on), Outcome::Stays(_)));
    }

    #[test]
    fn esc_drops_a_number_first_and_then_the_draft() {
        let run = four_in();
        let editor = press(&run, Editor::open(&run, 0).unwrap(), &[Key::Char('+')]);
        assert_eq!(lengths(&editor)[0].0, 11);
        let editor = press(&run, editor, &text("20"));
        assert_eq!(lengths(&editor)[0].0, 20);
        let editor = press(&run, editor, &text("1"));
        assert!(editor.problem(&run).is_some());
        let editor = press(&run, editor, &[Key::Backspace]);
        assert_eq!((lengths(&editor)[0].0, editor.typed()), (20, Some("20")));
        let editor = press(&run, editor, &[Key::Esc]);
        assert_eq!(lengths(&editor)[0].0, 11);
        assert_eq!(editor.clone().key(Key::Esc, &run), Outcome::Closes);
        let editor = press(&run, editor, &[Key::Char('u')]);
        assert!(!editor.is_changed());
        assert_eq!(editor.key(Key::Enter, &run), Outcome::Closes);
    }

    #[test]
    fn an_untouched_draft_follows_the_table_and_a_touched_one_stays() {
        let mut run = four_in();
        let untouched = Editor::open(&run, 0).unwrap();
        let touched = press(&run, untouched.clone(), &[Key::Char('+')]);
        run.schedule.as_mut().unwrap().set_path_length(4, 2, 3).unwrap();
        assert_eq!(lengths(&press(&run, untouched, &[Key::Up]))[2], (10, 3));
        let touched = press(&run, touched, &[Key::Up]);
        assert_eq!(lengths(&touched)[2], (10, 4));
        let back = Command::SetPathLength { stage: 2, path_length: 4 };
        assert_eq!(touched.commands(&run).unwrap(), [back, Command::SetStageSteps { stage: 0, steps: 11 }]);
        run.schedule.as_mut().unwrap().previous_stage(14).unwrap();
        assert!(touched.commands(&run).unwrap_err().contains("has changed under the draft"));
    }

    #[test]
    fn plus_and_minus_go_to_round_numbers_first() {
        // Units of 20 in a run of 1200 steps.
        let mut run = run(4, &[(410, 2), (390, 3), (400, 4)]);
        (0..4).for_each(|step| stepped(&mut run, step, 2));
        let steps = |keys: &str| lengths(&press(&run, Editor::open(&run, 0).unwrap(), &text(keys)))[0].0;
        assert_eq!(["+", "++", "-", "--", "+-"].map(steps), [420, 440, 400, 380, 400]);
    }

    #[test]
    fn units_are_round() {
        assert_eq!([1, 30, 100, 101, 1200, 30_000, 1_000_000].map(step_unit), [1, 1, 1, 2, 20, 500, 10_000]);
    }

    proptest! {
        #[test]
        fn whatever_is_drafted_the_commands_make_it_so(keys in prop::collection::vec(0usize..10, 0..60)) {
            let run = four_in();
            let all = [
                Key::Up, Key::Down, Key::Left, Key::Char('+'), Key::Char('-'), Key::Char('1'), Key::Char('3'), Key::Char('7'),
                Key::Backspace, Key::Char('u'),
            ];
            let mut editor = Editor::open(&run, 0).unwrap();
            for key in keys {
                if let Outcome::Stays(on) = editor.clone().key(all[key], &run) {
                    editor = on;
                }
            }
            let mut table = run.schedule.clone().unwrap();
            for command in editor.commands(&run).unwrap() {
                match command {
                    Command::SetPathLength { stage, path_length } => table.set_path_length(4, stage, path_length).unwrap(),
                    Command::SetStageSteps { stage, steps } => table.set_stage_steps(4, stage, steps).unwrap(),
                    other => panic!("{other:?}"),
                }
            }
            prop_assert_eq!(&table, editor.draft());
            prop_assert_eq!(table.total_steps(), 30);
        }
    }
}
