//! Keys as the app knows them, apart from any terminal library: their names for people, and the names read back.
//!
//! What a key does is `keymap`'s.

use std::fmt;
use std::str::FromStr;

/// A key, with what was held down beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A character, as typed (shift included).
    Char(char),
    /// Control and a letter.
    Ctrl(char),
    /// Alt and a character.
    Alt(char),
    /// A function key.
    F(u8),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Insert.
    Insert,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Shift and arrow up.
    ShiftUp,
    /// Shift and arrow down.
    ShiftDown,
    /// Shift and arrow left.
    ShiftLeft,
    /// Shift and arrow right.
    ShiftRight,
    /// Home.
    Home,
    /// End.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
}

/// Keys with a name: as people read it, as configs write it, and other spellings that are understood.
const NAMES: &[(Key, &str, &[&str])] = &[
    (Key::Char(' '), "Space", &[]),
    (Key::Enter, "Enter", &["return"]),
    (Key::Esc, "Esc", &["escape"]),
    (Key::BackTab, "Shift-Tab", &["backtab"]),
    (Key::Tab, "Tab", &[]),
    (Key::Backspace, "Backspace", &[]),
    (Key::Delete, "Delete", &["del"]),
    (Key::Insert, "Insert", &["ins"]),
    (Key::ShiftUp, "Shift-↑", &["shift-up"]),
    (Key::ShiftDown, "Shift-↓", &["shift-down"]),
    (Key::ShiftLeft, "Shift-←", &["shift-left"]),
    (Key::ShiftRight, "Shift-→", &["shift-right"]),
    (Key::Up, "↑", &["up"]),
    (Key::Down, "↓", &["down"]),
    (Key::Left, "←", &["left"]),
    (Key::Right, "→", &["right"]),
    (Key::Home, "Home", &[]),
    (Key::End, "End", &[]),
    (Key::PageUp, "PgUp", &["pageup"]),
    (Key::PageDown, "PgDn", &["pagedown"]),
];

/// What a terminal sends for Control and these letters is another key's.
const TWINS: [(char, Key); 4] = [('i', Key::Tab), ('m', Key::Enter), ('h', Key::Backspace), ('[', Key::Esc)];

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name, _)) = NAMES.iter().find(|(key, ..)| key == self) {
            return f.write_str(name);
        }
        match self {
            Self::Ctrl(c) => write!(f, "Ctrl-{}", c.to_uppercase()),
            Self::Alt(c) => write!(f, "Alt-{c}"),
            Self::F(n) => write!(f, "F{n}"),
            Self::Char(c) => write!(f, "{c}"),
            // Every other key has a name; a test goes through them.
            other => write!(f, "{other:?}"),
        }
    }
}

impl Key {
    /// Its name for people.
    pub fn name(self) -> String {
        self.to_string()
    }
}

impl FromStr for Key {
    type Err = String;

    /// Reads a name: a character, `space`, `enter`, `f5`, `ctrl-x`, `alt-x`, `shift-left`; in any case but that of a character.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut chars = text.chars();
        if let (Some(c), None) = (chars.next(), chars.next())
            && !c.is_control()
            && !NAMES.iter().any(|(_, name, _)| *name == text)
        {
            return Ok(Self::Char(c));
        }
        let lower = text.to_lowercase();
        if let Some((key, ..)) =
            NAMES.iter().find(|(_, name, others)| name.to_lowercase() == lower || others.contains(&lower.as_str()))
        {
            return Ok(*key);
        }
        let one = |rest: &str| {
            let mut chars = rest.chars();
            chars.next().filter(|c| chars.next().is_none() && !c.is_control())
        };
        if let Some(c) = lower.strip_prefix("ctrl-").and_then(one) {
            if let Some((_, twin)) = TWINS.iter().find(|(twin, _)| *twin == c) {
                return Err(format!("terminals send {twin} for `{text}`: bind `{}`", twin.name().to_lowercase()));
            }
            return Ok(Self::Ctrl(c));
        }
        // Letters keep their case: Alt-a is not Alt-A.
        if lower.starts_with("alt-")
            && let Some(c) = text.get(4..).and_then(one)
        {
            return Ok(Self::Alt(c));
        }
        if let Some(c) = lower.strip_prefix("shift-").and_then(one).filter(|c| c.is_alphabetic()) {
            return Ok(Self::Char(c.to_uppercase().next().unwrap_or(c)));
        }
        if let Some(n) = lower.strip_prefix('f').and_then(|n| n.parse().ok()).filter(|n| (1..=12).contains(n)) {
            return Ok(Self::F(n));
        }
        Err(format!(
            "`{text}` is not a key; keys are written `x`, `space`, `enter`, `f5`, `ctrl-x`, `alt-x`, `shift-left`, `pgup`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let chars = ['a', 'A', '+', '?', 'é', '-', 'f', '·'];
        let mut keys: Vec<Key> = NAMES.iter().map(|(key, ..)| *key).collect();
        keys.extend(chars.map(Key::Char));
        keys.extend(chars.map(Key::Alt));
        keys.extend(['a', 'z', '\\', ']'].map(Key::Ctrl));
        keys.extend((1..=12).map(Key::F));
        for key in keys {
            assert_eq!(key.name().parse(), Ok(key), "{key}");
            assert!(!key.name().contains("Key"), "{key}");
        }
    }

    #[test]
    fn other_spellings_and_what_is_no_key() {
        let reads = |text: &str, key| assert_eq!(text.parse::<Key>(), Ok(key), "{text}");
        reads("SPACE", Key::Char(' '));
        reads("ctrl-C", Key::Ctrl('c'));
        reads("shift-x", Key::Char('X'));
        reads("shift-left", Key::ShiftLeft);
        reads("Escape", Key::Esc);
        reads("pagedown", Key::PageDown);
        reads("alt-F", Key::Alt('F'));
        reads("F12", Key::F(12));
        for text in ["", "xx", "f13", "f0", "ctrl-", "alt-", "shift-1", "ctrl-xy", "hyper-x"] {
            assert!(text.parse::<Key>().unwrap_err().contains("is not a key"), "{text}");
        }
        let twin = "ctrl-i".parse::<Key>().unwrap_err();
        assert!(twin.contains("terminals send Tab") && twin.contains("bind `tab`"), "{twin}");
    }
}
