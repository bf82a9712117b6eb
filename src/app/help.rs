//! The help: what can be done here, grouped, narrowed down by what is typed.

use super::App;
use super::actions::{Mode, On, Scope};
use super::keymap::{Keymap, Place, Row};
use super::keys::Key;
use super::line::Line;

/// The help as the person has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help {
    /// Lines scrolled down.
    pub line: u16,
    /// What is looked for.
    pub filter: Line,
}

/// A line of the help.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A group's title.
    Title(&'static str),
    /// An action and its keys.
    Row(Row),
}

/// Lines of a page.
const PAGE: i32 = 10;

impl Help {
    /// What a key makes of it, of so many lines; none: it closes.
    #[must_use]
    pub fn key(mut self, key: Key, lines: usize) -> Option<Self> {
        match key {
            Key::Down => self = self.scrolled(1, lines),
            Key::Up => self = self.scrolled(-1, lines),
            Key::PageDown => self = self.scrolled(PAGE, lines),
            Key::PageUp => self = self.scrolled(-PAGE, lines),
            Key::Esc | Key::Char('?') if self.filter.is_empty() => return None,
            Key::Enter | Key::F(1) => return None,
            Key::Esc => self = Self::default(),
            // The sign for a search elsewhere: here it goes on without.
            Key::Char('/') if self.filter.is_empty() => {}
            key => {
                if self.filter.key(key) {
                    self.line = 0;
                }
            }
        }
        Some(self)
    }

    /// Scrolled down by lines, of so many; not past the end, from where the way back would seem dead.
    #[must_use]
    pub fn scrolled(self, by: i32, lines: usize) -> Self {
        let last = i32::try_from(lines).unwrap_or(i32::MAX).saturating_sub(1).min(i32::from(u16::MAX));
        let line = (i32::from(self.line) + by).clamp(0, last.max(0));
        Self { line: u16::try_from(line).unwrap_or(0), ..self }
    }

    /// Its lines: what is meant here first.
    pub fn entries(&self, keymap: &Keymap, place: Place) -> Vec<Entry> {
        let mut groups: [(&str, Vec<Row>); 4] = [
            ("Here", Vec::new()),
            (if place.mode == Mode::Replay { "Replay" } else { "The run" }, Vec::new()),
            ("Everywhere", Vec::new()),
            ("On other screens and panels", Vec::new()),
        ];
        let here = keymap.here(place);
        let elsewhere = keymap.all(place.mode).filter(|row| place.rank(row.binding) == 0);
        for row in here.chain(elsewhere).filter(|row| self.fits(row)) {
            let group = match (row.binding.on, row.binding.scope) {
                _ if place.rank(row.binding) == 0 => 3,
                (On::Panes(_) | On::Screens(_), _) => 0,
                (On::Everywhere, Scope::Run | Scope::Replay | Scope::Experiment) => 1,
                (On::Everywhere, _) => 2,
            };
            groups[group].1.push(row);
        }
        let filled = groups.into_iter().filter(|(_, rows)| !rows.is_empty());
        filled
            .flat_map(|(title, rows)| [Entry::Title(title)].into_iter().chain(rows.into_iter().map(Entry::Row)))
            .collect()
    }

    /// Whether a row has every word that is looked for, in its name, its sentence or its keys.
    fn fits(&self, row: &Row) -> bool {
        let keys: Vec<String> = row.keys.iter().map(|key| key.name()).collect();
        let text = format!("{} {} {}", row.binding.name, row.binding.help, keys.join(" ")).to_lowercase();
        self.filter.text().to_lowercase().split_whitespace().all(|word| text.contains(word))
    }
}

impl App {
    /// The help's lines.
    pub fn help_entries(&self, help: &Help) -> Vec<Entry> {
        help.entries(&self.keymap, self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    fn names(help: &Help) -> Vec<&'static str> {
        let entries = App::new(Options::default()).help_entries(help);
        entries.iter().filter_map(|e| if let Entry::Row(row) = e { Some(row.binding.name) } else { None }).collect()
    }

    fn typed(text: &str) -> Help {
        Help { line: 3, filter: Line::default() }.key(Key::Char('/'), 9).map_or_else(Help::default, |mut help| {
            for c in text.chars() {
                help = help.key(Key::Char(c), 9).unwrap();
            }
            help
        })
    }

    #[test]
    fn typing_narrows_it_down_by_sentence_name_and_key() {
        assert_eq!(names(&typed("write checkpoint")), ["save"]);
        assert_eq!(names(&typed("ctrl-z")), ["suspend"]);
        assert_eq!(names(&typed("next-st")), ["next-stage"]);
        assert_eq!(names(&typed("Learning 1.25 /")), ["lower-rate"]);
        assert_eq!(typed("x").line, 0, "from the top");
        assert!(names(&typed("no such thing")).is_empty());
        let replay = App::new(Options { read_only: true, is_replay: true });
        let lines = replay.help_entries(&Help::default());
        assert!(matches!(lines[0], Entry::Title("Replay")), "{lines:?}");
    }

    #[test]
    fn escape_clears_what_was_typed_and_then_closes() {
        let help = typed("rate").key(Key::Esc, 9).unwrap();
        assert_eq!(help, Help::default());
        assert_eq!(help.clone().key(Key::Esc, 9), None);
        assert_eq!(help.clone().key(Key::Char('?'), 9), None);
        let far = (0..50).fold(help, |help, _| help.key(Key::PageDown, 9).unwrap());
        assert_eq!(far.line, 8);
    }
}
