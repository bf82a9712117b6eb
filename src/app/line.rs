//! A line of text that is being typed: the keys that edit it, by graphemes, as shells have them.

use unicode_segmentation::UnicodeSegmentation;

use super::keys::Key;

/// The most bytes a line takes.
const LONGEST: usize = 400;

/// A line and the place in it where typing goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// In bytes, at a grapheme's edge.
    cursor: usize,
}

impl Line {
    /// A line with the cursor at its end.
    pub fn new(text: &str) -> Self {
        let mut line = Self::default();
        line.insert(text);
        line
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor, and after it.
    pub fn halves(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Puts text in at the cursor: white space of any kind becomes a space, what can't be shown is left out.
    pub fn insert(&mut self, text: &str) {
        let room = LONGEST.saturating_sub(self.text.len());
        let mut fresh: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        fresh.retain(|c| !c.is_control());
        while fresh.len() > room {
            fresh.pop();
        }
        self.text.insert_str(self.cursor, &fresh);
        // A combining mark joins what stands before it: the edge then lies behind both.
        let at = self.cursor + fresh.len();
        let edge = self.edges().find(|edge| *edge >= at);
        self.cursor = edge.unwrap_or(self.text.len());
    }

    /// Edits the line if the key is one that does; says whether it was.
    pub fn key(&mut self, key: Key) -> bool {
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Backspace | Key::Ctrl('h') => self.cut(self.before()),
            Key::Delete | Key::Ctrl('d') => {
                let from = self.cursor;
                self.cursor = self.after();
                self.cut(from);
            }
            Key::Left | Key::Ctrl('b') => self.cursor = self.before(),
            Key::Right | Key::Ctrl('f') => self.cursor = self.after(),
            Key::Home | Key::Ctrl('a') => self.cursor = 0,
            Key::End | Key::Ctrl('e') => self.cursor = self.text.len(),
            Key::Ctrl('u') => self.cut(0),
            Key::Ctrl('k') => self.text.truncate(self.cursor),
            Key::Ctrl('w') => {
                let head = self.halves().0.trim_end();
                self.cut(head.rfind(' ').map_or(0, |space| space + 1));
            }
            _ => return false,
        }
        true
    }

    /// Removes what lies between a place before the cursor and the cursor.
    fn cut(&mut self, from: usize) {
        self.text.replace_range(from..self.cursor, "");
        self.cursor = from;
    }

    /// Edges of graphemes, from the start to the end.
    fn edges(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.text.grapheme_indices(true).map(|(at, _)| at).chain([self.text.len()])
    }

    fn before(&self) -> usize {
        self.edges().rev().find(|edge| *edge < self.cursor).unwrap_or(0)
    }

    fn after(&self) -> usize {
        self.edges().find(|edge| *edge > self.cursor).unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(keys: &[Key]) -> (String, String) {
        let mut line = Line::new("step 10");
        keys.iter().for_each(|key| {
            line.key(*key);
        });
        let (before, after) = line.halves();
        (before.to_owned(), after.to_owned())
    }

    #[test]
    fn keys_edit_as_in_a_shell() {
        let is = |keys: &[Key], before: &str, after: &str| {
            assert_eq!(typed(keys), (before.into(), after.into()), "{keys:?}")
        };
        is(&[Key::Backspace], "step 1", "");
        is(&[Key::Left, Key::Char('2')], "step 12", "0");
        is(&[Key::Home, Key::Delete], "", "tep 10");
        is(&[Key::Ctrl('w')], "step ", "");
        is(&[Key::Ctrl('w'), Key::Ctrl('w')], "", "");
        is(&[Key::Left, Key::Ctrl('u')], "", "0");
        is(&[Key::Home, Key::Right, Key::Ctrl('k')], "s", "");
        is(&[Key::Home, Key::Left, Key::Backspace, Key::End, Key::Right, Key::Delete], "step 10", "");
        assert!(!Line::default().key(Key::Enter) && !Line::default().key(Key::Up));
    }

    #[test]
    fn graphemes_are_whole_and_pasted_lines_are_one() {
        let mut line = Line::default();
        line.insert("层\n👩‍👩‍👧\te\u{301}\u{7}");
        assert_eq!(line.text(), "层 👩‍👩‍👧 e\u{301}");
        for left in ["层 👩‍👩‍👧 ", "层 👩‍👩‍👧", "层 ", "层", "", ""] {
            line.key(Key::Backspace);
            assert_eq!(line.text(), left);
        }
        line.insert(&"长".repeat(1000));
        assert!(line.text().len() <= LONGEST && line.text().chars().all(|c| c == '长'));
    }

    proptest! {
        #[test]
        fn any_keys_leave_the_cursor_at_an_edge(text in "\\PC{0,12}", keys in prop::collection::vec(0usize..14, 0..40)) {
            let all = [
                Key::Char('x'), Key::Char('\u{301}'), Key::Char('🏽'), Key::Backspace, Key::Delete, Key::Left, Key::Right,
                Key::Home, Key::End, Key::Ctrl('u'), Key::Ctrl('w'), Key::Ctrl('k'), Key::Char(' '), Key::Char('👩'),
            ];
            let mut line = Line::new(&text);
            for key in keys {
                line.key(all[key]);
                prop_assert!(line.edges().any(|edge| edge == line.cursor), "{line:?}");
            }
        }
    }
}
