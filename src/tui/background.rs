//! Is the terminal's background light? Asked once, and never waited for.
//!
//! The question goes out before the first frame; the answer comes in among the keys, whenever it comes, and is picked out
//! there. A terminal that says nothing costs nothing.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Asks for the background's colour (OSC 11).
const QUESTION: &[u8] = b"\x1b]11;?\x1b\\";
/// The longest answer is `11;rgba:` and four times four digits with three strokes.
const LONGEST: usize = 32;

/// Who hasn't answered by then won't.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the terminal says, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Answer {
    is_awaited: bool,
    /// When it was asked for.
    asked: Option<Instant>,
    /// Since its beginning was seen.
    so_far: Option<String>,
}

/// What a key that came in was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A key.
    Key,
    /// A part of the answer.
    Part,
    /// The answer's end: whether the background is light.
    IsLight(bool),
}

/// Asks.
pub(super) fn ask() -> Answer {
    let mut out = io::stdout();
    let is_awaited = out.write_all(QUESTION).and_then(|()| out.flush()).is_ok();
    Answer { is_awaited, asked: Some(Instant::now()), so_far: None }
}

impl Answer {
    /// Takes in what the terminal library took for a key: it knows no such answer, and spells it.
    pub(super) fn take(&mut self, key: &KeyEvent) -> Heard {
        // One that has begun is heard to its end.
        let is_late = self.so_far.is_none() && self.asked.is_some_and(|asked| asked.elapsed() > PATIENCE);
        if !self.is_awaited || is_late {
            return Heard::Key;
        }
        let is_alt = key.modifiers.contains(KeyModifiers::ALT);
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        let Some(text) = &mut self.so_far else {
            if is_alt && key.code == KeyCode::Char(']') {
                self.so_far = Some(String::new());
                return Heard::Part;
            }
            return Heard::Key;
        };
        match key.code {
            // Its end is BEL, or ESC \.
            KeyCode::Char(c) if (is_control && c == 'g') || (is_alt && c == '\\') => {
                self.is_awaited = false;
                is_light(text).map_or(Heard::Part, Heard::IsLight)
            }
            KeyCode::Char(c) if "11;rgba:/".contains(c) || c.is_ascii_hexdigit() => {
                text.push(c);
                self.is_awaited = text.len() < LONGEST;
                Heard::Part
            }
            // That was no answer.
            _ => {
                self.is_awaited = false;
                Heard::Key
            }
        }
    }
}

/// Whether `11;rgb:RRRR/GGGG/BBBB` (or fewer digits) is nearer to white than to black.
fn is_light(answer: &str) -> Option<bool> {
    let colors = answer.strip_prefix("11;rgb:").or_else(|| answer.strip_prefix("11;rgba:"))?;
    let share = |digits: &str| {
        let value = u32::from_str_radix(digits, 16).ok()?;
        Some(f64::from(value) / (16f64.powi(i32::try_from(digits.len()).ok()?) - 1.0))
    };
    let parts: Vec<f64> = colors.split('/').map(share).collect::<Option<_>>()?;
    let [r, g, b, ..] = parts[..] else { return None };
    Some(0.2126 * r + 0.7152 * g + 0.0722 * b > 0.5)
}

/// What `COLORFGBG` says, where a terminal sets it: `15;0` is light on dark.
pub(super) fn of_variable(value: &str) -> Option<bool> {
    let background: u8 = value.rsplit(';').next()?.parse().ok()?;
    Some(matches!(background, 7 | 15))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As crossterm spells what a terminal sends.
    fn spelled(answer: &str) -> Vec<KeyEvent> {
        let mut keys = Vec::new();
        let mut is_alt = false;
        for c in answer.chars() {
            match c {
                '\x1b' => is_alt = true,
                '\x07' => keys.push(KeyEvent::new(KeyCode::Char('g'), KeyModifiers::CONTROL)),
                c => {
                    let alt = if std::mem::take(&mut is_alt) { KeyModifiers::ALT } else { KeyModifiers::NONE };
                    keys.push(KeyEvent::new(KeyCode::Char(c), alt));
                }
            }
        }
        keys
    }

    fn heard(text: &str) -> (Vec<Heard>, Answer) {
        let mut answer = Answer { is_awaited: true, asked: None, so_far: None };
        (spelled(text).iter().map(|key| answer.take(key)).collect(), answer)
    }

    #[test]
    fn an_answer_is_picked_out_from_among_the_keys() {
        for (text, light) in [
            ("\x1b]11;rgb:ffff/ffff/ffff\x07", true),
            ("\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\", true),
            ("\x1b]11;rgb:0000/2b2b/3636\x1b\\", false),
            ("\x1b]11;rgb:1e/1e/1e\x07", false),
            ("\x1b]11;rgba:ffff/ffff/ffff/0000\x07", true),
        ] {
            // Keys before, behind and after it stay keys.
            let (heard, mut answer) = heard(&format!("q{text}"));
            assert_eq!(heard[0], Heard::Key);
            assert!(heard[1..heard.len() - 1].iter().all(|h| *h == Heard::Part), "{text}");
            assert_eq!(heard.last(), Some(&Heard::IsLight(light)), "{text}");
            assert!(spelled(text).iter().all(|key| answer.take(key) == Heard::Key), "only one is awaited");
        }
    }

    #[test]
    fn what_is_no_answer_swallows_nothing_for_long() {
        let (all, _) = heard("\x1b]1?q");
        assert_eq!(all, [Heard::Part, Heard::Part, Heard::Key, Heard::Key]);
        let (all, _) = heard(&format!("\x1b]{}q", "1".repeat(100)));
        assert!(all.iter().filter(|h| **h == Heard::Part).count() <= LONGEST + 1);
        assert_eq!(all.last(), Some(&Heard::Key));
        let (all, _) = heard("\x1b]11;rgb:zz/00/00\x07");
        assert!(!all.iter().any(|h| matches!(h, Heard::IsLight(_))));
        let mut idle = Answer::default();
        assert!(spelled("\x1b]11;rgb:0/0/0\x07").iter().all(|key| idle.take(key) == Heard::Key));
    }

    #[test]
    fn the_variable_of_some_terminals() {
        assert_eq!(of_variable("15;0"), Some(false));
        assert_eq!(of_variable("0;default;15"), Some(true));
        assert_eq!(of_variable("0;default"), None);
    }
}
