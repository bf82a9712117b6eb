//! Which lines of the event log are shown: those of somebody, those that hold a text.

use super::keys::Key;
use super::line::Line;
use super::run::{self, From, Run};

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogView {
    /// Only lines of this kind.
    pub from: Option<From>,
    /// Only lines that hold this text, in whatever case.
    pub text: Line,
    /// Whether that is being typed.
    pub is_typing: bool,
}

impl LogView {
    /// The next kind of lines: all, and each kind in its turn.
    pub fn next(&mut self) {
        self.from = match self.from {
            None => Some(From::Schedule),
            Some(From::Schedule) => Some(From::You),
            Some(From::You) => Some(From::Run),
            Some(From::Run) => Some(From::Alarm),
            Some(From::Alarm) => None,
        };
    }

    /// Everything again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether some lines may be left out.
    pub fn is_filtered(&self) -> bool {
        self.from.is_some() || !self.text.is_empty()
    }

    /// What a key makes of the text that is being typed.
    pub fn key(&mut self, key: Key) {
        match key {
            Key::Enter => self.is_typing = false,
            Key::Esc => self.clear(),
            _ => {
                self.text.key(key);
            }
        }
    }

    /// The lines to be shown, oldest first.
    pub fn lines<'a>(&self, run: &'a Run) -> Vec<&'a run::Line> {
        let wanted = self.text.text().to_lowercase();
        let is_shown = |line: &&run::Line| {
            self.from.is_none_or(|from| line.from == from)
                && (wanted.is_empty() || line.text.to_lowercase().contains(&wanted))
        };
        run.log.iter().filter(is_shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::test_run::run;

    #[test]
    fn lines_are_chosen_by_whom_and_by_text() {
        let mut run = run(4, &[(10, 2)]);
        run.say(3, From::You, "Pause".to_owned());
        run.say(4, From::Alarm, "spike: loss 9".to_owned());
        let mut view = LogView::default();
        assert_eq!(view.lines(&run).len(), run.log.len());
        (0..2).for_each(|_| view.next());
        assert_eq!(view.from, Some(From::You));
        assert_eq!(view.lines(&run).iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), ["Pause"]);
        view.clear();
        view.is_typing = true;
        "PAUx".chars().for_each(|c| view.key(Key::Char(c)));
        assert!(view.lines(&run).is_empty() && view.is_filtered());
        view.key(Key::Backspace);
        assert_eq!(view.lines(&run).len(), 1);
        view.key(Key::Enter);
        assert!(!view.is_typing && view.text.text() == "PAU");
        view.key(Key::Esc);
        assert!(!view.is_filtered());
    }
}
