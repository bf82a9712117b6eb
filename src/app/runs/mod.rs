//! The Runs screen: what there is, which of it is chosen, and what the person wants done with it.
//!
//! What is found in directories comes in as [`News`], what is wanted goes out as a [`Wish`]; here is what lies between.
//! Never looks into a directory itself.

mod act;
pub mod list;

pub use act::Act;
pub(super) use act::asked;

use super::State;
use super::compare::Reference;
use super::keys::Key;
use super::line::Line;
use crate::event::Ending;
use list::{Kind, Place, Row, Standing};

/// Something to be done with runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Look again for what there is.
    List,
    /// Tell more of one.
    Look(Kind, String),
    /// Show it from its recording; of a live one, go on showing.
    Replay(Kind, String),
    /// Train it on from its newest checkpoint.
    Resume(String),
    /// Train a new run of a config.
    Start(String),
    /// Train a new run from a run's checkpoint on.
    Fork {
        /// The run.
        run: String,
        /// The checkpoint, relative to its directory.
        file: String,
        /// What is to be different: path lengths from there on, as in `9-12`, or KEY=VALUE, with spaces between.
        changes: String,
    },
    /// Back to the run that this program trains.
    Return,
    /// Show it beside whatever run is shown, or no longer.
    Compare(Kind, String),
}

/// What was found out.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// What there is: where runs are kept, and the rows.
    Listed {
        /// The directory of runs.
        place: String,
        /// In any order.
        rows: Vec<Row>,
    },
    /// More of one.
    Details(Box<Details>),
    /// A run to be shown beside others.
    Compared(Box<Reference>),
    /// A wish that can't be fulfilled, in a sentence.
    Refused(String),
}

/// More of a row than fits into it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Of which.
    pub of: Option<(Kind, String)>,
    /// Facts, each with its name; a name that is empty goes on with the one before.
    pub facts: Vec<(String, String)>,
    /// Checkpoints, oldest first.
    pub checkpoints: Vec<Checkpoint>,
}

/// A checkpoint that a fork may begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Steps trained.
    pub step: u64,
    /// The stage that begins there, from 1 on.
    pub stage: Option<usize>,
    /// Relative to the run's directory.
    pub file: String,
    /// Steps that are left from there on, if nothing is changed.
    pub left: u64,
}

/// A question that stands before a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Start a config?
    Start(String),
    /// Resume a run?
    Resume(String),
    /// Fork a run, at which checkpoint, with what changes?
    Fork {
        /// The run.
        run: String,
        /// Index into its checkpoints.
        at: usize,
        /// What is to be different.
        changes: Line,
    },
}

/// A run that is trained while something else is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Behind {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Steps trained, and steps in all.
    pub steps: (u64, u64),
}

/// The state of the Runs screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    /// Where runs are kept.
    pub place: String,
    /// What there is; none as long as that isn't known.
    pub rows: Option<Vec<Row>>,
    /// The row that is chosen.
    pub chosen: Option<(Kind, String)>,
    /// What was found out about it.
    pub details: Option<Details>,
    /// Words that every row shown must contain.
    pub filter: Line,
    /// Whether the filter is being typed.
    pub is_typing: bool,
    /// Lines that the details are scrolled down by.
    pub line: usize,
    /// What is asked.
    pub question: Option<Question>,
    /// Whether there is anybody to fulfil wishes.
    pub is_on: bool,
    /// Whether a fork was asked for before its checkpoints were known.
    pub is_fork_awaited: bool,
    /// The parent that was asked for as a fork's company.
    pub parent: Option<String>,
    /// The run that is trained behind what is shown.
    pub behind: Option<Behind>,
}

impl Runs {
    /// The rows that are shown, in order.
    pub fn shown(&self) -> Vec<Place> {
        list::arranged(self.rows.as_deref().unwrap_or_default(), self.filter.text())
    }

    /// A row by its place.
    pub fn row(&self, place: Place) -> Option<&Row> {
        self.rows.as_deref()?.get(place.row)
    }

    /// The row that is chosen.
    pub fn chosen_row(&self) -> Option<&Row> {
        let (kind, name) = self.chosen.as_ref()?;
        self.rows.as_deref()?.iter().find(|row| row.kind == *kind && row.name == *name)
    }

    /// Details of the row that is chosen, if they have come.
    pub fn chosen_details(&self) -> Option<&Details> {
        self.details.as_ref().filter(|d| d.of.is_some() && d.of == self.chosen)
    }

    /// The screen is shown: what there is may have changed since.
    pub fn enter(&self) -> Vec<Wish> {
        if self.is_on { vec![Wish::List] } else { Vec::new() }
    }

    /// A run was begun: whoever comes back here wants that one, and not what it was begun from.
    pub fn choose_anew(&mut self) {
        (self.chosen, self.filter) = (None, Line::default());
    }

    /// Takes in what was found out; the second is a sentence to tell.
    pub fn take(&mut self, news: News) -> (Vec<Wish>, Option<String>) {
        match news {
            News::Listed { place, rows } => {
                (self.place, self.rows) = (place, Some(rows));
                if self.chosen_row().is_none() {
                    self.chosen = self.first_choice();
                }
                (self.look(), None)
            }
            News::Details(details) => {
                self.details = Some(*details);
                let is_awaited = self.is_fork_awaited && self.chosen_details().is_some();
                (Vec::new(), if is_awaited { self.fork().err() } else { None })
            }
            News::Refused(why) => (Vec::new(), Some(why)),
            // Not this screen's.
            News::Compared(_) => (Vec::new(), None),
        }
    }

    /// What a person most likely wants: the run that is open, or the newest, or the first config.
    fn first_choice(&self) -> Option<(Kind, String)> {
        let rows = self.rows.as_deref().unwrap_or_default();
        let places = self.shown();
        let find = |is_wanted: &dyn Fn(&Row) -> bool| places.iter().map(|p| &rows[p.row]).find(|r| is_wanted(r));
        let newest = places.iter().map(|p| &rows[p.row]).filter(|r| r.kind == Kind::Run).min_by_key(|r| r.age);
        let found = find(&|r| matches!(r.standing, Standing::Here))
            .or(newest)
            .or_else(|| find(&|r| r.kind == Kind::Config))
            .or_else(|| find(&|_| true));
        found.map(|row| (row.kind, row.name.clone()))
    }

    fn look(&mut self) -> Vec<Wish> {
        (self.line, self.is_fork_awaited) = (0, false);
        self.chosen.iter().map(|(kind, name)| Wish::Look(*kind, name.clone())).collect()
    }

    /// Chooses the row that stands so many lines further.
    pub fn go(&mut self, by: isize) -> Vec<Wish> {
        let shown = self.shown();
        let rows = self.rows.as_deref().unwrap_or_default();
        let id = |place: &Place| (rows[place.row].kind, rows[place.row].name.clone());
        let now = shown.iter().position(|p| Some(id(p)) == self.chosen);
        let to = now.map_or(0, |now| now.saturating_add_signed(by)).min(shown.len().saturating_sub(1));
        let before = self.chosen.clone();
        self.chosen = shown.get(to).map(id).or(before.clone());
        if self.chosen == before { Vec::new() } else { self.look() }
    }

    /// What Enter does: what is most natural for the row.
    pub fn open(&mut self) -> Vec<Wish> {
        let Some(row) = self.chosen_row() else {
            return Vec::new();
        };
        let (kind, name) = (row.kind, row.name.clone());
        match (&row.kind, &row.standing) {
            (Kind::Config, _) => self.question = Some(Question::Start(name)),
            (_, Standing::Here) => return vec![Wish::Return],
            (Kind::Run, Standing::Over(Ending::Stopped) | Standing::CutOff) => {
                self.question = Some(Question::Resume(name))
            }
            _ => return vec![Wish::Replay(kind, name)],
        }
        Vec::new()
    }

    /// Asks whether to go on with the run that is chosen.
    ///
    /// # Errors
    /// A sentence, if it can't be.
    pub fn resume(&mut self) -> Result<(), String> {
        let row = self.chosen_row().filter(|row| row.kind == Kind::Run).ok_or("only a run can be resumed")?;
        match &row.standing {
            Standing::Here => return Err("this run is open already; Enter goes back to it".to_owned()),
            Standing::Live => return Err("another program trains this run; v watches it".to_owned()),
            Standing::Over(Ending::Completed) => {
                return Err("this run is finished; F forks it, v shows it again".to_owned());
            }
            _ => self.question = Some(Question::Resume(row.name.clone())),
        }
        Ok(())
    }

    /// Shows the recording of what is chosen.
    ///
    /// # Errors
    /// A sentence, if there is none.
    pub fn replay(&self) -> Result<Wish, String> {
        let row = self.chosen_row().filter(|row| row.kind != Kind::Config);
        let row = row.ok_or("a config has no recording yet; Enter starts it")?;
        if let Standing::Unreadable(why) = &row.standing {
            return Err(why.clone());
        }
        Ok(Wish::Replay(row.kind, row.name.clone()))
    }

    /// Shows what is chosen beside the run that is open, or no longer.
    ///
    /// # Errors
    /// A sentence, if it has nothing to be compared.
    pub fn compare(&self) -> Result<Wish, String> {
        let row = self.chosen_row().filter(|row| row.kind != Kind::Config);
        let row = row.ok_or("a config has nothing to compare yet; Enter starts it")?;
        Ok(Wish::Compare(row.kind, row.name.clone()))
    }

    /// Asks where to fork the run that is chosen, as soon as its checkpoints are known.
    ///
    /// # Errors
    /// A sentence, if it can't be forked.
    pub fn fork(&mut self) -> Result<(), String> {
        let row = self.chosen_row().filter(|row| row.kind == Kind::Run);
        let row = row.ok_or("only a run can be forked: a recording has no weights")?;
        let run = row.name.clone();
        if let Some(here) = self.rows.iter().flatten().find(|row| row.standing == Standing::Here) {
            return Err(format!("{} is being trained here; one run at a time: stop it first (Enter, q)", here.name));
        }
        let is_known = self.chosen_details().is_some();
        self.is_fork_awaited = !is_known;
        let details = self.chosen_details().ok_or("looking for its checkpoints…")?;
        let stage = details.checkpoints.iter().rposition(|c| c.stage.is_some() && c.left > 0);
        let any = details.checkpoints.iter().rposition(|c| c.left > 0);
        let at = stage.or(any).or_else(|| details.checkpoints.len().checked_sub(1));
        let at = at.ok_or_else(|| format!("{run} has no checkpoint to fork from"))?;
        self.question = Some(Question::Fork { run, at, changes: Line::default() });
        Ok(())
    }

    /// One level back: the filter, then nothing. Says whether there was one.
    pub fn back(&mut self) -> bool {
        let had = !self.filter.is_empty();
        self.filter = Line::default();
        had
    }

    /// A key, if it belongs to what is typed or asked here; none: it means what the table of keys says. The program's own
    /// keys, as to leave, are not for here.
    pub fn key(&mut self, key: Key) -> Option<Vec<Wish>> {
        if let Some(question) = self.question.take() {
            return Some(self.answer(question, key));
        }
        if !self.is_typing {
            return None;
        }
        match key {
            Key::Enter => self.is_typing = false,
            Key::Esc => (self.is_typing, self.filter) = (false, Line::default()),
            Key::Up => return Some(self.go(-1)),
            Key::Down => return Some(self.go(1)),
            key if !self.filter.key(key) => return None,
            _ => {}
        }
        let is_shown =
            |place: &Place| self.row(*place).map(|r| (r.kind, &r.name)) == self.chosen.as_ref().map(|(k, n)| (*k, n));
        if self.shown().iter().any(is_shown) {
            return Some(Vec::new());
        }
        self.chosen = self.first_choice();
        Some(self.look())
    }

    /// Pasted text, if something is being typed.
    pub fn paste(&mut self, text: &str) -> bool {
        match &mut self.question {
            Some(Question::Fork { changes, .. }) => changes.insert(text),
            None if self.is_typing => self.filter.insert(text),
            _ => return false,
        }
        true
    }

    fn answer(&mut self, question: Question, key: Key) -> Vec<Wish> {
        match (question, key) {
            (Question::Start(config), Key::Enter | Key::Char('y')) => vec![Wish::Start(config)],
            (Question::Resume(run), Key::Enter | Key::Char('y')) => vec![Wish::Resume(run)],
            (Question::Resume(run), Key::Char('v')) => vec![Wish::Replay(Kind::Run, run)],
            (Question::Start(_) | Question::Resume(_), _) | (Question::Fork { .. }, Key::Esc) => Vec::new(),
            (Question::Fork { run, at, changes }, Key::Enter) => {
                let file = self.chosen_details().and_then(|d| d.checkpoints.get(at)).map(|c| c.file.clone());
                let wish = file.map(|file| Wish::Fork { run, file, changes: changes.text().trim().to_owned() });
                wish.into_iter().collect()
            }
            (Question::Fork { run, at, mut changes }, key) => {
                let last = self.chosen_details().map_or(0, |d| d.checkpoints.len().saturating_sub(1));
                let at = match key {
                    Key::Up => at.saturating_sub(1),
                    Key::Down => (at + 1).min(last),
                    key => {
                        changes.key(key);
                        at
                    }
                };
                self.question = Some(Question::Fork { run, at, changes });
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Kind, name: &str, standing: Standing, age: u64) -> Row {
        Row { standing, age: Some(age), ..Row::new(kind, name) }
    }

    fn runs() -> Runs {
        let mut runs = Runs { is_on: true, ..Runs::default() };
        let rows = vec![
            row(Kind::Run, "done", Standing::Over(Ending::Completed), 10),
            row(Kind::Run, "half", Standing::Over(Ending::Stopped), 5),
            row(Kind::Run, "live", Standing::Live, 99),
            Row::new(Kind::Config, "quickstart"),
            Row::new(Kind::Config, "stacking"),
        ];
        runs.take(News::Listed { place: "runs".to_owned(), rows });
        runs
    }

    fn choose(runs: &mut Runs, kind: Kind, name: &str) {
        runs.chosen = Some((kind, name.to_owned()));
    }

    fn details(runs: &mut Runs, name: &str) {
        let checkpoint = |step, stage, left| Checkpoint { step, stage, file: format!("c{step}"), left };
        let checkpoints = vec![checkpoint(5, None, 19), checkpoint(8, Some(2), 16), checkpoint(24, None, 0)];
        let of = Some((Kind::Run, name.to_owned()));
        runs.take(News::Details(Box::new(Details { of, facts: Vec::new(), checkpoints })));
    }

    #[test]
    fn what_is_chosen_first_is_what_one_likely_wants() {
        assert_eq!(runs().chosen, Some((Kind::Run, "half".to_owned())), "the newest run, since it isn't over");
        let first = |standing: Standing| {
            let mut runs = Runs::default();
            let rows = vec![row(Kind::Run, "a", standing, 5), Row::new(Kind::Config, "quickstart")];
            runs.take(News::Listed { place: String::new(), rows });
            runs.chosen.unwrap().1
        };
        assert_eq!(first(Standing::Over(Ending::Completed)), "a");
        assert_eq!(first(Standing::CutOff), "a");
        // What was chosen stays so, if it is still there.
        let mut runs = runs();
        choose(&mut runs, Kind::Config, "stacking");
        let rows = vec![Row::new(Kind::Config, "quickstart"), Row::new(Kind::Config, "stacking")];
        runs.take(News::Listed { place: String::new(), rows });
        assert_eq!(runs.chosen_row().unwrap().name, "stacking");
    }

    #[test]
    fn enter_does_what_is_natural() {
        let mut runs = runs();
        for (kind, name, wishes) in [
            (Kind::Run, "done", vec![Wish::Replay(Kind::Run, "done".to_owned())]),
            (Kind::Run, "live", vec![Wish::Replay(Kind::Run, "live".to_owned())]),
            (Kind::Run, "half", Vec::new()),
            (Kind::Config, "quickstart", Vec::new()),
        ] {
            choose(&mut runs, kind, name);
            assert_eq!(runs.open(), wishes, "{name}");
        }
        assert_eq!(runs.key(Key::Char('y')), Some(vec![Wish::Start("quickstart".to_owned())]));
        choose(&mut runs, Kind::Run, "half");
        runs.open();
        assert_eq!(runs.key(Key::Char('x')), Some(Vec::new()), "anything but yes is no");
        runs.open();
        assert_eq!(runs.key(Key::Enter), Some(vec![Wish::Resume("half".to_owned())]));
        choose(&mut runs, Kind::Run, "live");
        assert!(runs.resume().unwrap_err().contains("another program"));
        choose(&mut runs, Kind::Run, "done");
        assert!(runs.resume().unwrap_err().contains("F forks it"));
        choose(&mut runs, Kind::Config, "stacking");
        assert!(runs.fork().is_err() && runs.replay().is_err() && runs.resume().is_err() && runs.compare().is_err());
    }

    #[test]
    fn a_fork_begins_where_the_arrows_say_with_what_was_typed() {
        let mut runs = runs();
        choose(&mut runs, Kind::Run, "done");
        assert!(runs.fork().unwrap_err().contains("looking for its checkpoints"));
        details(&mut runs, "half");
        assert_eq!(runs.question, None, "another run's");
        details(&mut runs, "done");
        assert!(runs.question.is_some(), "as soon as they are known");
        "9-12".chars().for_each(|c| {
            runs.key(Key::Char(c));
        });
        assert!(matches!(&runs.question, Some(Question::Fork { at: 1, .. })), "the last stage's beginning");
        runs.key(Key::Up);
        runs.key(Key::Up);
        let (run, file) = ("done".to_owned(), "c5".to_owned());
        assert_eq!(runs.key(Key::Enter), Some(vec![Wish::Fork { run, file, changes: "9-12".to_owned() }]));
        runs.fork().unwrap();
        assert_eq!((runs.key(Key::Esc), &runs.question), (Some(Vec::new()), &None));
    }

    #[test]
    fn a_filter_is_typed_and_moves_the_choice_to_what_is_left() {
        let mut runs = runs();
        assert_eq!(runs.key(Key::Char('x')), None, "nothing is typed yet");
        runs.is_typing = true;
        let mut wishes = Vec::new();
        for c in "stack".chars() {
            wishes.extend(runs.key(Key::Char(c)).unwrap());
        }
        assert_eq!(runs.chosen, Some((Kind::Config, "stacking".to_owned())));
        assert!(wishes.contains(&Wish::Look(Kind::Config, "stacking".to_owned())), "{wishes:?}");
        assert_eq!(runs.key(Key::Ctrl('c')), None, "the program's keys stay its own");
        runs.key(Key::Enter);
        assert!(!runs.is_typing && runs.shown().len() == 1);
        assert!(runs.back() && !runs.back());
        assert_eq!(runs.shown().len(), 5);
        assert_eq!(runs.go(-1), [Wish::Look(Kind::Config, "quickstart".to_owned())]);
        assert_eq!(runs.go(-100).len(), 1);
        assert_eq!(runs.go(-1), []);
    }
}
