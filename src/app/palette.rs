//! The command palette: a line that is typed, what it could mean, and what is done with it.
//!
//! Commands are the rows of the one table of actions, and what they take is `argument`'s.

use super::App;
use super::actions::{ACTIONS, Binding};
use super::argument::{Given, Kind};
use super::fuzzy::{self, Hit};
use super::keymap::Row;
use super::keys::Key;
use super::line::Line;

/// The most lines that are remembered.
const REMEMBERED: usize = 100;

/// The palette as the person has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// What was typed.
    pub line: Line,
    /// Which suggestion is chosen.
    pub chosen: usize,
    /// Why the line can't be done.
    pub error: Option<String>,
    /// How far back in what was typed before.
    past: Option<usize>,
    /// What stood there before going back.
    draft: Line,
}

/// Something that the line could mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// A command's name, or what can be given to it.
    pub text: String,
    /// How what it takes is written.
    pub hint: &'static str,
    /// The key that does the same; empty: none.
    pub key: String,
    /// A sentence.
    pub about: String,
    /// Which characters of the text fit what was typed.
    pub marks: Vec<u32>,
}

/// What became of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The palette stays.
    Stays(Palette),
    /// It closes.
    Closes,
    /// It closes, and this is done.
    Does(&'static Binding, Given),
}

impl Palette {
    /// A palette in which a line stands.
    pub fn new(text: &str) -> Self {
        Self { line: Line::new(text), ..Self::default() }
    }

    /// The command and what is being given to it, once its name stands there with a space behind it.
    fn command(&self, app: &App) -> Option<(Row, &str)> {
        let (name, rest) = self.line.text().trim_start().split_once(' ')?;
        let row = app.commands().find(|row| row.binding.name == name && row.binding.takes != Kind::Nothing)?;
        Some((row, rest.trim_start()))
    }

    /// What the line could mean, the best first.
    pub fn suggestions(&self, app: &App) -> Vec<Suggestion> {
        if let Some((row, given)) = self.command(app) {
            let choices = row.binding.takes.choices(app);
            let hits = fuzzy::rank(given.trim_end(), choices.iter().map(|c| (c.text.as_str(), c.about.as_str())));
            let of = |Hit { at, marks }| {
                let (text, about) = (choices[at].text.clone(), choices[at].about.clone());
                Suggestion { text, hint: "", key: String::new(), about, marks }
            };
            return hits.into_iter().map(of).collect();
        }
        let rows: Vec<Row> = app.commands().collect();
        let hits = fuzzy::rank(self.line.text().trim(), rows.iter().map(|r| (r.binding.name, r.binding.help)));
        let of = |Hit { at, marks }| {
            let (binding, key) = (rows[at].binding, rows[at].keys.first());
            Suggestion {
                text: binding.name.to_owned(),
                hint: binding.takes.hint(),
                key: key.map_or(String::new(), |key| key.name()),
                about: binding.help.to_owned(),
                marks,
            }
        };
        hits.into_iter().map(of).collect()
    }

    /// How what the command takes is written, while nothing is given yet.
    pub fn hint(&self, app: &App) -> &'static str {
        self.command(app).filter(|(_, given)| given.is_empty()).map_or("", |(row, _)| row.binding.takes.hint())
    }

    /// What becomes of a key.
    #[must_use]
    pub fn key(mut self, key: Key, app: &App) -> Outcome {
        self.error = None;
        match key {
            Key::Esc | Key::Ctrl('g') => return Outcome::Closes,
            Key::Backspace if self.line.is_empty() => return Outcome::Closes,
            Key::Enter => return self.enter(app),
            Key::Tab => self.complete(app),
            Key::Ctrl('p') => self.remember(1, app),
            Key::Ctrl('n') => self.remember(-1, app),
            // Above the first suggestion lies what was typed before.
            Key::Up if self.chosen == 0 || self.past.is_some() => self.remember(1, app),
            Key::Down if self.past.is_some() => self.remember(-1, app),
            Key::Up | Key::BackTab => self.chosen = self.chosen.saturating_sub(1),
            Key::Down => self.chosen = (self.chosen + 1).min(self.suggestions(app).len().saturating_sub(1)),
            key => {
                if self.line.key(key) {
                    (self.chosen, self.past) = (0, None);
                }
            }
        }
        Outcome::Stays(self)
    }

    /// Puts in what was pasted.
    pub fn paste(&mut self, text: &str) {
        self.line.insert(text);
        (self.chosen, self.past, self.error) = (0, None, None);
    }

    /// Goes back in what was typed before, or on again.
    fn remember(&mut self, by: isize, app: &App) {
        let old = &app.ui.typed;
        if self.past.is_none() {
            self.draft = self.line.clone();
        }
        let back = self.past.map_or(0, |n| n + 1).saturating_add_signed(by).min(old.len());
        (self.past, self.chosen) = (back.checked_sub(1), 0);
        self.line = self.past.map_or_else(|| self.draft.clone(), |past| Line::new(&old[old.len() - 1 - past]));
    }

    /// Puts the chosen suggestion into the line.
    fn complete(&mut self, app: &App) {
        let suggestions = self.suggestions(app);
        let Some(suggestion) = suggestions.get(self.chosen.min(suggestions.len().saturating_sub(1))) else {
            return;
        };
        let text = match self.command(app) {
            Some((row, _)) => format!("{} {}", row.binding.name, suggestion.text),
            None if suggestion.hint.is_empty() => suggestion.text.clone(),
            None => format!("{} ", suggestion.text),
        };
        self.line = Line::new(&text);
        (self.chosen, self.past) = (0, None);
    }

    fn stays(mut self, error: String) -> Outcome {
        self.error = Some(error);
        Outcome::Stays(self)
    }

    fn enter(mut self, app: &App) -> Outcome {
        if self.line.text().trim().is_empty() && self.chosen == 0 {
            return Outcome::Closes;
        }
        let suggestions = self.suggestions(app);
        if let Some((row, given)) = self.command(app) {
            let (binding, takes) = (row.binding, row.binding.takes);
            // Something of a list need not be written out.
            let given = match suggestions.get(self.chosen) {
                Some(chosen) if !(given.is_empty() && self.chosen == 0) => chosen.text.as_str(),
                _ => given.trim_end(),
            };
            return match given {
                "" if binding.is_needed => {
                    let error = format!("{} needs {}", binding.name, takes.hint());
                    self.stays(error)
                }
                "" => Outcome::Does(binding, Given::Nothing),
                text => match takes.read(text, app) {
                    Ok(given) => Outcome::Does(binding, given),
                    Err(error) => self.stays(error),
                },
            };
        }
        if let Some(chosen) = suggestions.get(self.chosen)
            && let Some(row) = app.commands().find(|row| row.binding.name == chosen.text)
        {
            if row.binding.is_needed {
                self.complete(app);
                return Outcome::Stays(self);
            }
            return Outcome::Does(row.binding, Given::Nothing);
        }
        self.enter_in_part(app)
    }

    /// A name in part, and what is given to it: `eva 5`, `pa 9`.
    fn enter_in_part(self, app: &App) -> Outcome {
        let text = self.line.text().trim().to_owned();
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let mut named: Vec<Row> = app.commands().filter(|row| row.binding.name.starts_with(word)).collect();
        // Of several the first that takes something: `pa 9` is no pause.
        named.sort_by_key(|row| row.binding.takes == Kind::Nothing);
        if let Some(row) = named.first() {
            let name = row.binding.name;
            if row.binding.takes == Kind::Nothing {
                return self.stays(format!("{name} takes nothing"));
            }
            return Self::new(&format!("{name} {rest}")).enter(app);
        }
        if ACTIONS.iter().any(|b| b.name == word) {
            let why =
                if app.options.is_replay { "this is a recording: it can't be changed" } else { "only in a replay" };
            return self.stays(format!("{word}: {why}"));
        }
        self.stays(format!("no command is like `{text}`; Esc leaves, an empty line lists them all"))
    }
}

impl App {
    /// Every command that can be given now, with the keys that do the same where they are meant.
    pub fn commands(&self) -> impl Iterator<Item = Row> {
        self.keymap.all(self.mode())
    }

    /// Remembers a line that was done.
    pub(super) fn remember_line(&mut self, text: &str) {
        let text = text.trim();
        self.ui.typed.retain(|old| old != text);
        if !text.is_empty() {
            self.ui.typed.push(text.to_owned());
        }
        if self.ui.typed.len() > REMEMBERED {
            self.ui.typed.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::list::{Kind as RowKind, Row as RunRow};
    use super::super::runs::{News, Wish};
    use super::super::{Msg, Options, Overlay, Request, Screen, Seek, themes};
    use super::*;
    use crate::event::{Command, Event, Stamped, What};
    use crate::layer_path::LayerPath;
    use crate::schedule::{Schedule, Stage};

    /// In the second of three stages.
    fn app(is_replay: bool) -> App {
        let mut app = App::new(Options { read_only: is_replay, is_replay });
        let stages = [6, 8, 12].map(|n| Stage::new(10, n, LayerPath::from_layers(12, [0, 11]))).to_vec();
        let schedule = Schedule { layers: 12, stages };
        let (step, stage, expected) = (10, 1, vec![0.5; 12]);
        let event = Event::StageEntered { step, stage, path_length: 8, by_hand: false, expected, schedule };
        app.update(Msg::Event(Stamped { seq: 0, us: 0, event }));
        app
    }

    fn press(app: &mut App, key: Key) -> Vec<Request> {
        app.update(Msg::Key { key, us: 0 })
    }

    fn typed(app: &mut App, text: &str) {
        text.chars().for_each(|c| assert!(press(app, Key::Char(c)).is_empty()));
    }

    /// What comes of a line.
    fn done(app: &mut App, line: &str) -> Vec<Request> {
        typed(app, line);
        press(app, Key::Enter)
    }

    fn train(command: Command) -> Vec<Request> {
        vec![Request::Train(command)]
    }

    fn palette(app: &App) -> &Palette {
        match &app.ui.overlay {
            Overlay::Palette(palette) => palette,
            other => panic!("{other:?}"),
        }
    }

    /// The error that a line gets; the palette stays.
    fn error(line: &str) -> String {
        let mut app = app(false);
        assert!(done(&mut app, line).is_empty(), "{line}");
        palette(&app).error.clone().unwrap()
    }

    #[test]
    fn commands_with_what_they_take() {
        let mut app = app(false);
        let set = |stage, path_length| train(Command::SetPathLength { stage, path_length });
        assert_eq!(done(&mut app, ":step 1_000"), train(Command::Step { steps: 1000 }));
        assert_eq!(done(&mut app, ":step"), train(Command::Step { steps: 1 }), "what it takes may be left out");
        assert_eq!(done(&mut app, ":path 9"), set(1, 9));
        assert_eq!(done(&mut app, ":path 10 3"), set(2, 10));
        assert_eq!(done(&mut app, ":rate 0.5"), train(Command::SetLearningRateScale { scale: 0.5 }));
        assert_eq!(done(&mut app, ":measure norms"), train(Command::Measure { what: What::Norms }));
        assert_eq!(done(&mut app, ":eva"), train(Command::Evaluate), "a part of its name");
        assert_eq!(done(&mut app, ":pa 7"), set(1, 7), "and what it takes behind it");
        assert!(done(&mut app, ":stage 3").is_empty() && app.target_stage() == 2);
        let text = crate::note::Note::new("before the rate falls").unwrap();
        assert_eq!(done(&mut app, ":note before the rate falls"), train(Command::Note { text }));
        assert_eq!(app.ui.overlay, Overlay::None);
    }

    #[test]
    fn a_replay_has_its_own() {
        let mut app = app(true);
        assert_eq!(done(&mut app, ":goto 25"), [Request::Replay(Seek::Step(25))]);
        assert_eq!(done(&mut app, ":backward 5"), [Request::Replay(Seek::Steps(-5))]);
        assert!(done(&mut app, ":rate 2").is_empty());
        assert!(palette(&app).error.as_ref().unwrap().contains("this is a recording"));
    }

    #[test]
    fn what_is_wrong_is_one_sentence() {
        for (line, part) in [
            (":step x", "`x` is not a whole number"),
            (":step 0", "at least one step"),
            (":path 1", "between 2 and 12"),
            (":path 13 3", "between 2 and 12"),
            (":path 9 1", "stage 1 is over; now is 2"),
            (":path 9 4", "no stage 4; the last is 3"),
            (":path 9 3 1", "nothing more"),
            (":path ", "path needs LENGTH [STAGE]"),
            (":rate -1", "above 0"),
            (":measure guess", "known: curve"),
            (":pause now", "pause takes nothing"),
            (":goto 5", "goto: only in a replay"),
            (":xyzzy", "no command is like `xyzzy`"),
            (":note ", "note needs TEXT"),
            (&format!(":note {}", "x".repeat(201)), "room for 200 bytes"),
        ] {
            assert!(error(line).contains(part), "{line}: {}", error(line));
        }
        // The next key takes it away.
        let mut app = app(false);
        done(&mut app, ":step x");
        press(&mut app, Key::Backspace);
        assert_eq!(palette(&app).error, None);
        assert_eq!(done(&mut app, "4"), train(Command::Step { steps: 4 }));
    }

    #[test]
    fn names_are_completed_and_lists_chosen_from() {
        let mut app = app(false);
        typed(&mut app, ":meas");
        press(&mut app, Key::Tab);
        assert_eq!(palette(&app).line.text(), "measure ");
        let texts = |app: &App| palette(app).suggestions(app).into_iter().map(|s| s.text).collect::<Vec<_>>();
        assert_eq!(texts(&app).len(), crate::measurement::WHATS.len());
        typed(&mut app, "stab");
        assert_eq!(texts(&app), ["stability"]);
        assert_eq!(press(&mut app, Key::Enter), train(Command::Measure { what: What::Stability }));
        // What is needed is asked for by completing the name.
        typed(&mut app, ":stag");
        assert_eq!(texts(&app)[0], "stage");
        press(&mut app, Key::Enter);
        assert_eq!((palette(&app).line.text(), palette(&app).hint(&app)), ("stage ", "STAGE"));
        assert_eq!(texts(&app), ["2", "3"], "of those to come");
        press(&mut app, Key::Down);
        press(&mut app, Key::Enter);
        assert_eq!(app.target_stage(), 2);
        // Themes are known by name once the terminal has told of them.
        let theme = |name: &str| themes::Choice { name: name.to_owned(), about: String::new() };
        app.ui.themes = themes::Themes::new(vec![theme("default"), theme("mono")], 0);
        assert!(done(&mut app, ":theme mono").is_empty() && app.ui.themes.name() == "mono");
        assert!(done(&mut app, ":theme pink").is_empty());
        assert!(palette(&app).error.as_ref().unwrap().contains("known: default, mono"));
        press(&mut app, Key::Esc);
        // So are runs, which are looked for as soon as the palette opens.
        app.ui.runs.is_on = true;
        assert_eq!(press(&mut app, Key::Char(':')), [Request::Runs(Wish::List)]);
        let rows = vec![RunRow::new(RowKind::Config, "quickstart"), RunRow::new(RowKind::Run, "base-2")];
        app.update(Msg::Runs(News::Listed { place: "runs".to_owned(), rows }));
        typed(&mut app, "compare ");
        assert_eq!(texts(&app), ["base-2"], "a config has nothing to show");
        let compare = Request::Runs(Wish::Compare(RowKind::Run, "base-2".to_owned()));
        typed(&mut app, "base");
        assert_eq!(press(&mut app, Key::Enter), [compare]);
        // The list shows which key does the same.
        typed(&mut app, ":save");
        assert_eq!(palette(&app).suggestions(&app)[0].key, "c");
    }

    #[test]
    fn what_was_typed_comes_back() {
        let mut app = app(false);
        done(&mut app, ":step 3");
        done(&mut app, ":rate 2");
        done(&mut app, ":step 3");
        assert_eq!(app.ui.typed, ["rate 2", "step 3"], "each once");
        typed(&mut app, ":pa");
        for (key, line) in [
            (Key::Up, "step 3"),
            (Key::Up, "rate 2"),
            (Key::Up, "rate 2"),
            (Key::Down, "step 3"),
            (Key::Down, "pa"),
            (Key::Ctrl('n'), "pa"),
        ] {
            press(&mut app, key);
            assert_eq!(palette(&app).line.text(), line, "{key}");
        }
        for leave in [Key::Esc, Key::Ctrl('g')] {
            assert!(press(&mut app, leave).is_empty() && app.ui.overlay == Overlay::None);
            typed(&mut app, ":");
        }
        press(&mut app, Key::Backspace);
        assert_eq!(app.ui.overlay, Overlay::None);
    }

    #[test]
    fn a_command_that_is_meant_elsewhere_first_shows_where() {
        let mut app = app(false);
        assert!(done(&mut app, ":boundary-on").is_empty());
        assert_eq!((app.ui.screen, app.ui.chart.crosshair), (Screen::Loss, None), "shown, not yet done");
        assert!(app.ui.notice.as_ref().unwrap().contains("boundary-on is done here, by )"), "{:?}", app.ui.notice);
    }

    #[test]
    fn every_command_is_found_by_its_name_and_nothing_panics() {
        for is_replay in [false, true] {
            let app = app(is_replay);
            for row in app.commands() {
                let palette = Palette::new(row.binding.name);
                assert_eq!(palette.suggestions(&app)[0].text, row.binding.name);
                for rest in [" ", " x", " 3", " 3 3", " \u{301}"] {
                    let palette = Palette::new(&format!("{}{rest}", row.binding.name));
                    for key in [Key::Enter, Key::Tab, Key::Up, Key::Down] {
                        let _ = palette.clone().key(key, &app);
                    }
                }
            }
        }
    }

    #[test]
    fn control_c_works_and_pasted_lines_are_typed_not_done() {
        let mut app = app(false);
        typed(&mut app, ":st");
        app.update(Msg::Paste("ep 5\n".to_owned()));
        assert_eq!(palette(&app).line.text(), "step 5 ");
        assert_eq!(press(&mut app, Key::Ctrl('c')), train(Command::Stop));
        assert_eq!(app.ui.overlay, Overlay::None);
        assert!(app.update(Msg::Paste("q".to_owned())).is_empty() && app.ui.overlay == Overlay::None);
        assert!(app.ui.notice.as_ref().unwrap().contains("pasted"));
    }
}
