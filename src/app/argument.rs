//! What commands take: how it is written, what could be meant, and what was meant.

use super::App;
use super::runs::list::{Kind as RowKind, Row};
use crate::event::What;
use crate::measurement::WHATS;
use crate::note::Note;

/// A kind of argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Nothing,
    /// A number of steps.
    Steps,
    /// A path length, and perhaps the number of the stage it is for.
    PathLength,
    /// A stage's number, 1 for the first.
    Stage,
    /// A step of the run.
    Step,
    /// A positive factor.
    Factor,
    /// The name of a measurement.
    Measurement,
    /// The name of a theme.
    Theme,
    /// The name of a run or a recording.
    Run,
    /// A few words.
    Text,
}

/// What was given to a command.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Given {
    /// Nothing: a key was pressed, or the argument left out.
    #[default]
    Nothing,
    /// A whole number: steps, a step, a 0-based stage, a theme's or a run's place in its list.
    Whole(u64),
    /// A path length, and perhaps a 0-based stage.
    PathLength(usize, Option<usize>),
    /// A factor.
    Factor(f32),
    /// Something to measure.
    What(What),
    /// A few words.
    Note(Note),
}

/// Something that could be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// As it is typed.
    pub text: String,
    /// What it is.
    pub about: String,
}

impl Kind {
    /// How it is written.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Steps => "STEPS",
            Self::PathLength => "LENGTH [STAGE]",
            Self::Stage => "STAGE",
            Self::Step => "STEP",
            Self::Factor => "FACTOR",
            Self::Measurement => "WHAT",
            Self::Theme | Self::Run => "NAME",
            Self::Text => "TEXT",
        }
    }

    /// What could be meant, where that is a list.
    pub fn choices(self, app: &App) -> Vec<Choice> {
        let choice = |text: &str, about: String| Choice { text: text.to_owned(), about };
        match self {
            Self::Measurement => WHATS.iter().map(|(_, _, name, about)| choice(name, (*about).to_owned())).collect(),
            Self::Run => runs(app).map(|(_, row)| choice(&row.name, row.standing.text().1.to_owned())).collect(),
            Self::Theme => app.ui.themes.choices.iter().map(|c| choice(&c.name, c.about.clone())).collect(),
            Self::Stage => {
                let stages = app.run.schedule.iter().flat_map(|s| &s.stages).enumerate().skip(app.run.stage.index);
                let about = |path_length: usize, steps: u64| format!("path length {path_length}, {steps} steps");
                stages.map(|(i, s)| choice(&(i + 1).to_string(), about(s.path_length, s.steps))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Reads what was typed; it isn't empty.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn read(self, text: &str, app: &App) -> Result<Given, String> {
        let text = text.trim();
        match self {
            Self::Nothing => Err("nothing more can be given".to_owned()),
            Self::Steps => match whole(text)? {
                0 => Err("at least one step".to_owned()),
                steps => Ok(Given::Whole(steps)),
            },
            Self::Step => match (whole(text)?, app.run.total_steps()) {
                (step, total) if total > 0 && step > total => Err(format!("the run has {total} steps")),
                (step, _) => Ok(Given::Whole(step)),
            },
            Self::Stage => Ok(Given::Whole(stage(text, app)? as u64)),
            Self::PathLength => {
                let mut words = text.split_whitespace();
                let length = whole(words.next().unwrap_or_default())? as usize;
                let its = words.next().map(|word| stage(word, app)).transpose()?;
                if words.next().is_some() {
                    return Err("a path length and a stage, nothing more".to_owned());
                }
                app.check_path_length(its.unwrap_or_else(|| app.target_stage()), length)?;
                Ok(Given::PathLength(length, its))
            }
            Self::Factor => match text.parse::<f32>() {
                Ok(factor) if factor > 0.0 && factor <= 100.0 => Ok(Given::Factor(factor)),
                _ => Err(format!("`{text}` is not a factor; it lies above 0, up to 100")),
            },
            Self::Measurement => match What::named(text) {
                Ok(what) => Ok(Given::What(what)),
                Err(known) => Err(format!("`{text}` can't be measured; known: {known}")),
            },
            Self::Run => match runs(app).find(|(_, row)| row.name == text) {
                Some((place, _)) => Ok(Given::Whole(place as u64)),
                None => Err(format!("there is no run or recording `{text}`; screen Runs shows what there is")),
            },
            Self::Theme => app.ui.themes.find(text).map(|at| Given::Whole(at as u64)),
            Self::Text => Note::new(text).map(Given::Note),
        }
    }
}

/// What can be shown beside a run, each with its place in the list.
fn runs(app: &App) -> impl Iterator<Item = (usize, &Row)> {
    app.ui.runs.rows.iter().flatten().enumerate().filter(|(_, row)| row.kind != RowKind::Config)
}

fn whole(text: &str) -> Result<u64, String> {
    // As people write large numbers.
    let digits: String = text.chars().filter(|c| !matches!(c, '_' | ',')).collect();
    digits.parse().map_err(|_| format!("`{text}` is not a whole number"))
}

/// A stage that is yet to come, or goes on, from its number.
fn stage(text: &str, app: &App) -> Result<usize, String> {
    let stages = app.run.schedule.as_ref().map_or(0, |s| s.stages.len());
    let now = app.run.stage.index;
    match whole(text)?.checked_sub(1) {
        Some(stage) if (stage as usize) < now => Err(format!("stage {text} is over; now is {}", now + 1)),
        Some(stage) if (stage as usize) < stages => Ok(stage as usize),
        _ => Err(format!("there is no stage {text}; the last is {stages}")),
    }
}
