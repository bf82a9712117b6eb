//! The themes there are, the one that is shown, and the picker that tries them out.

use super::keys::Key;

/// A theme to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// What it is, in a line.
    pub about: String,
}

/// The themes, and which is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Themes {
    /// Every theme.
    pub choices: Vec<Choice>,
    /// Index of the one that is shown.
    pub shown: usize,
    /// While the picker is open: what was shown before.
    before: Option<usize>,
}

impl Themes {
    /// These themes, one of them shown.
    pub fn new(choices: Vec<Choice>, shown: usize) -> Self {
        Self { choices, shown, before: None }
    }

    /// The name of the one that is shown.
    pub fn name(&self) -> &str {
        self.choices.get(self.shown).map_or("", |c| c.name.as_str())
    }

    /// Shows the next one, around.
    pub fn next(&mut self) {
        self.turn(1);
    }

    fn turn(&mut self, by: usize) {
        self.shown = (self.shown + by) % self.choices.len().max(1);
    }

    /// The index of the one of that name.
    ///
    /// # Errors
    /// A sentence that lists the known ones.
    pub fn find(&self, name: &str) -> Result<usize, String> {
        let names = || self.choices.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.choices.iter().position(|c| c.name == name);
        found.ok_or_else(|| format!("unknown theme `{name}`; known: {}", names()))
    }

    /// Whether the picker is open.
    pub fn is_open(&self) -> bool {
        self.before.is_some()
    }

    /// Opens the picker.
    pub fn open(&mut self) {
        self.before = Some(self.shown);
    }

    /// What a key does to the open picker: arrows try a theme, Enter keeps it, Esc goes back to the one before.
    pub fn key(&mut self, key: Key) {
        match key {
            Key::Down | Key::Tab | Key::Char('j' | 't' | 'T') => self.turn(1),
            Key::Up | Key::BackTab | Key::Char('k') => self.turn(self.choices.len().max(1) - 1),
            Key::Home | Key::Char('g') => self.shown = 0,
            Key::End | Key::Char('G') => self.shown = self.choices.len().saturating_sub(1),
            Key::Enter | Key::Char(' ') => self.before = None,
            Key::Esc | Key::Char('q') | Key::Ctrl('c') => self.cancel(),
            _ => {}
        }
    }

    fn cancel(&mut self) {
        if let Some(before) = self.before.take() {
            self.shown = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_theme_is_tried_and_kept_or_given_back() {
        let choices = ["default", "dark", "mono"].map(|n| Choice { name: n.to_owned(), about: String::new() });
        let mut themes = Themes::new(choices.to_vec(), 0);
        themes.open();
        themes.key(Key::Up);
        assert_eq!(themes.name(), "mono");
        themes.key(Key::Down);
        themes.key(Key::Down);
        assert_eq!((themes.name(), themes.is_open()), ("dark", true));
        themes.key(Key::Esc);
        assert_eq!((themes.name(), themes.is_open()), ("default", false));
        themes.open();
        themes.key(Key::End);
        themes.key(Key::Enter);
        assert_eq!((themes.name(), themes.is_open()), ("mono", false));
        assert_eq!(themes.find("pink").unwrap_err(), "unknown theme `pink`; known: default, dark, mono");
        assert_eq!(themes.find("dark"), Ok(1));
        // Where there is none, nothing happens.
        let mut none = Themes::default();
        none.next();
        none.open();
        none.key(Key::Up);
        assert_eq!(none.name(), "");
    }
}
