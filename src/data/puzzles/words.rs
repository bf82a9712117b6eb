//! The words of the built-in puzzles; a word's place is its token.
//!
//! Documents of all kinds share one list, whatever the config: a model's size and a tokenizer don't depend on which kinds
//! are told and how hard they are. Owns the list and the numbers of its parts.

use std::ops::Range;

/// Ends a document.
pub const END: u32 = 0;
/// Hides a word, for `mlm`.
pub const MASK: u32 = 1;
/// Begin a document of their kind.
pub const SCENE: u32 = 2;
/// As [`SCENE`].
pub const LET: u32 = 3;
/// As [`SCENE`].
pub const MAP: u32 = 4;
/// One pointer further.
pub const THEN: u32 = 5;
/// Values of variables.
pub const DIGITS: Range<u32> = 6..16;
/// Variables, and places of a map.
pub const LETTERS: Range<u32> = 16..42;
/// Who opens a clause. Its [`VERBS`] have the same order.
pub const SUBJECTS: Range<u32> = 42..50;
/// What closes it.
pub const VERBS: Range<u32> = 50..58;

/// As [`SCENE`].
pub const CUPS: u32 = 58;
/// How cups are shuffled.
pub const MOVES: Range<u32> = 59..62;

/// Every word.
pub fn all() -> Vec<String> {
    let letters = ('a'..='z').map(String::from);
    let markers = ["<end>", "[mask]", "scene", "let", "map", ">"].map(str::to_owned);
    let digits = (0..10).map(|d| d.to_string());
    let subjects = ["dog", "owl", "cat", "bee", "duck", "frog", "lion", "wolf"].map(str::to_owned);
    let verbs = ["barks", "hoots", "purrs", "hums", "quacks", "croaks", "roars", "howls"].map(str::to_owned);
    let shuffles = ["cups", "roll", "flip", "twist"].map(str::to_owned);
    markers.into_iter().chain(digits).chain(letters).chain(subjects).chain(verbs).chain(shuffles).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_where_they_are_said_to() {
        let words = all();
        let word = |token: u32| words[token as usize].as_str();
        assert_eq!([END, MASK, SCENE, LET, MAP, THEN].map(word), ["<end>", "[mask]", "scene", "let", "map", ">"]);
        assert_eq!((word(DIGITS.start), word(DIGITS.end - 1)), ("0", "9"));
        assert_eq!((word(LETTERS.start), word(LETTERS.end - 1)), ("a", "z"));
        assert_eq!((word(SUBJECTS.start), word(SUBJECTS.end - 1)), ("dog", "wolf"));
        assert_eq!((word(VERBS.start), word(VERBS.end - 1), word(CUPS)), ("barks", "howls", "cups"));
        assert_eq!((word(MOVES.start), word(MOVES.end - 1), words.len()), ("roll", "twist", MOVES.end as usize));
    }
}
