//! A note: a few words that a person writes into a run's recording. A plain value that is copied as the other commands are.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most bytes of a note.
const LONGEST: usize = 200;

/// A few words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// UTF-8, zeros behind it.
    bytes: [u8; LONGEST],
    length: u8,
}

impl Note {
    /// A note of at least one and at most 200 bytes, white space at its ends left out.
    ///
    /// # Errors
    /// A sentence, if it is empty or too long.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a note needs words".to_owned());
        }
        let too_long = || format!("a note has room for {LONGEST} bytes; these are {}", text.len());
        let length = u8::try_from(text.len()).map_err(|_| too_long())?;
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..text.len()).ok_or_else(too_long)?.copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length })
    }

    /// The words.
    pub fn text(&self) -> &str {
        // Made of a whole string only.
        self.bytes.get(..usize::from(self.length)).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for Note {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Command;

    #[test]
    fn a_note_is_a_command_as_json() {
        let command = Command::Note { text: Note::new("  长 before the rate falls ").unwrap() };
        let json = serde_json::to_string(&command).unwrap();
        assert_eq!(json, r#"{"command":"note","text":"长 before the rate falls"}"#);
        assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command);
        for text in ["", " ", &"x".repeat(201), &"x".repeat(300), &"长".repeat(67)] {
            let error = serde_json::from_str::<Note>(&format!("{text:?}")).unwrap_err().to_string();
            assert!(error.contains("a note "), "{error}");
        }
        assert_eq!(Note::new(&"x".repeat(200)).unwrap().text().len(), 200);
    }
}
