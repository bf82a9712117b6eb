//! Which of many names a few typed letters mean.
//!
//! Names match letter by letter with gaps, as in helix and its like (`nucleo-matcher`); sentences only word by word, since
//! a few letters lie scattered in any sentence.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// Something that fits what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its place among all.
    pub at: usize,
    /// Which characters of the name fit, in order.
    pub marks: Vec<u32>,
}

/// What a name's hit weighs beside one in its sentence.
const NAME: u32 = 4;

/// Those of (name, sentence) that fit what was typed, the best first; all, in their order, if nothing was.
pub fn rank<'a>(typed: &str, all: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Hit> {
    let pattern = |kind| Pattern::new(typed, CaseMatching::Ignore, Normalization::Smart, kind);
    let (letters, words) = (pattern(AtomKind::Fuzzy), pattern(AtomKind::Substring));
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut hits: Vec<(u32, Hit)> = Vec::new();
    for (at, (name, sentence)) in all.enumerate() {
        let mut marks = Vec::new();
        let its = letters.indices(Utf32Str::new(name, &mut buffer), &mut matcher, &mut marks).map(|score| {
            // `rate` is rather the command of that name than `lower-rate`.
            let whole = if name == typed { 2000 } else { u32::from(name.starts_with(typed)) * 1000 };
            NAME * score + whole
        });
        let score = its.or_else(|| words.score(Utf32Str::new(sentence, &mut buffer), &mut matcher));
        if let Some(score) = score {
            marks.sort_unstable();
            marks.dedup();
            let marks = if its.is_some() { marks } else { Vec::new() };
            hits.push((score, Hit { at, marks }));
        }
    }
    hits.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    hits.into_iter().map(|(_, hit)| hit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[(&str, &str)] = &[
        ("lower-rate", "Learning rate / 1.25."),
        ("rate", "A factor on the learning rate."),
        ("next-stage", "End this stage."),
        ("screen-loss", "The loss, large."),
        ("theme", "The next theme."),
    ];

    fn names(typed: &str) -> Vec<&'static str> {
        rank(typed, ALL.iter().copied()).iter().map(|hit| ALL[hit.at].0).collect()
    }

    #[test]
    fn names_go_before_sentences_and_whole_names_before_parts() {
        assert_eq!(names("rate")[..2], ["rate", "lower-rate"]);
        assert_eq!(names("nxst")[0], "next-stage");
        assert_eq!(names("loss")[0], "screen-loss");
        assert_eq!(names("screen loss"), ["screen-loss"]);
        assert_eq!(names("LEARNING factor"), ["rate"]);
        assert_eq!(names("next"), ["next-stage", "theme"]);
        assert_eq!(names("zzz"), [""; 0]);
        assert_eq!(names("").len(), ALL.len());
    }

    #[test]
    fn the_letters_that_fit_are_marked() {
        assert_eq!(rank("ns", ALL.iter().copied())[0], Hit { at: 2, marks: vec![0, 5] });
        assert_eq!(rank("factor", ALL.iter().copied())[0].marks, [0; 0]);
    }
}
