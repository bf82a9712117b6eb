//! The grammar of the built-in stories: what may be told, and with which probabilities.
//!
//! A story is a walk over parts (who, what they had, what happened, how it ended); each part is told by one of its
//! sentences; a sentence is made of plain words, words drawn from a class, and words that repeat what was drawn before.
//! Owns the tables and their reading; `stories` draws from them.

/// How likely the parts are that may follow a part: `(part, weight)`.
type Next = &'static [(usize, f64)];

/// Weight and slots of a sentence.
pub type Sentence = (f64, Vec<Slot>);

/// One part of a story.
pub struct Part {
    /// Ways to tell it: weight and template. `{class}` draws a word, `{class:x}` draws and remembers it as x,
    /// `{class:x!y}` draws another one than y's, `{=x}` repeats it, `{=x.he}` is x's pronoun.
    pub sentences: &'static [(f64, &'static str)],
    /// What may follow.
    pub next: Next,
}

/// The story's end; it begins the next one.
pub const END: &str = "<end>";

/// Classes of words, the likelier first.
pub static CLASSES: &[(&str, &[&str])] = &[
    (
        "name",
        &[
            "anna", "ben", "clara", "david", "ella", "frank", "grace", "henry", "iris", "jack", "kate", "leo", "mary",
            "noah", "olga", "peter",
        ],
    ),
    (
        "kind",
        &["fox", "bear", "mouse", "owl", "rabbit", "hedgehog", "cat", "goose", "otter", "badger", "frog", "squirrel"],
    ),
    (
        "mood",
        &[
            "small", "brave", "curious", "quiet", "clever", "sleepy", "cheerful", "shy", "gentle", "old", "young",
            "wild",
        ],
    ),
    ("thing", &["ball", "lantern", "book", "kite", "drum", "boat", "hat", "key", "bell", "basket", "whistle", "coin"]),
    ("colour", &["red", "blue", "golden", "green", "silver", "white", "brown", "purple"]),
    (
        "place",
        &["river", "forest", "hill", "garden", "bridge", "meadow", "well", "mill", "lake", "barn", "road", "tower"],
    ),
    ("time", &["morning", "evening", "winter", "summer", "autumn", "spring", "night", "afternoon"]),
    (
        "how",
        &[
            "slowly",
            "quickly",
            "softly",
            "gladly",
            "bravely",
            "quietly",
            "carefully",
            "sadly",
            "proudly",
            "kindly",
            "suddenly",
            "patiently",
        ],
    ),
    ("end", &["happy", "proud", "tired", "glad", "calm", "merry"]),
];

/// The parts; a story begins with the first.
pub static PARTS: &[Part] = &[
    Part {
        sentences: &[
            (0.6, "once there was a {mood} {kind:k} named {name:a} ."),
            (0.4, "{name:a} was a {mood} {kind:k} who lived near the {place} ."),
        ],
        next: &[(1, 1.0)],
    },
    Part {
        sentences: &[
            (0.5, "{=a} had a {mood} brother and a {colour:c} {thing:t} ."),
            (0.3, "{=a.he} {how} guarded a {colour:c} {thing:t} near the {place} ."),
            (0.2, "the {=k} {how} kept a {colour:c} {thing:t} under the bed ."),
        ],
        next: &[(2, 0.7), (3, 0.3)],
    },
    Part {
        sentences: &[
            (0.7, "{=a.he} had a {mood} friend named {name:b!a} ."),
            (0.3, "{name:b!a} the {mood} {kind} was the best friend of the {=k} ."),
        ],
        next: &[(4, 1.0)],
    },
    Part {
        sentences: &[
            (0.6, "one {mood} {time} {=a} lost the {=c} {=t} near the {place:p} ."),
            (0.4, "one {time} the {=t} {how} fell into the water by the {place:p} ."),
        ],
        next: &[(5, 0.5), (6, 0.5)],
    },
    Part {
        sentences: &[
            (0.5, "one {time} {=a} and {=b} {how} took the {=c} {=t} to the {place:p} ."),
            (0.5, "on a {mood} {time} {=b} hid the {=t} behind the {place:p} ."),
        ],
        next: &[(5, 0.6), (7, 0.4)],
    },
    Part {
        sentences: &[
            (0.5, "{=a.he} {how} looked for it all day long ."),
            (0.5, "the {=k} {how} went back to the {=p} to find it ."),
        ],
        next: &[(6, 0.8), (8, 0.2)],
    },
    Part {
        sentences: &[
            (0.5, "at last {=a} {how} found the {=c} {=t} at the {=p} ."),
            (0.5, "there was the {=t} , as {=c} as before ."),
        ],
        next: &[(8, 1.0)],
    },
    Part {
        sentences: &[
            (0.5, "{=b} {how} gave the {=t} back to {=a} ."),
            (0.5, "{=a} and {=b} {how} laughed until the {time} was over ."),
        ],
        next: &[(8, 1.0)],
    },
    Part {
        sentences: &[(0.5, "and {=a} was {end} ."), (0.5, "so the {=k} {how} went home , {end} and warm .")],
        next: &[(9, 1.0)],
    },
    Part { sentences: &[(1.0, END)], next: &[(0, 1.0)] },
];

/// Who is called he; the other names are called she.
pub static HE: &[&str] = &["ben", "david", "frank", "henry", "jack", "leo", "noah", "peter"];

/// A place in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// This very token.
    Word(u32),
    /// A word of a class, another one than `other`'s, remembered as `into`.
    Draw {
        /// Index into [`CLASSES`].
        class: usize,
        /// The memory to put it into.
        into: Option<usize>,
        /// The memory whose word is excluded.
        other: Option<usize>,
    },
    /// The word in a memory.
    Repeat(usize),
    /// The pronoun of the name in a memory.
    Pronoun(usize),
}

/// Memories of a story, by letter.
pub const MEMORIES: [char; 6] = ['a', 'b', 'k', 'c', 't', 'p'];

/// The grammar with words as tokens.
pub struct Grammar {
    /// Every word; its index is its token. Token 0 is [`END`], token 1 `[mask]`.
    pub words: Vec<String>,
    /// Tokens of each class.
    pub classes: Vec<Vec<u32>>,
    /// Probabilities within each class: `1 / sqrt(rank)`, normalised.
    pub weights: Vec<Vec<f64>>,
    /// For each part: its sentences, and what may follow.
    pub parts: Vec<(Vec<Sentence>, Next)>,
    /// Tokens of `he` and `she`.
    pub pronouns: [u32; 2],
    he: Vec<u32>,
}

impl Default for Grammar {
    fn default() -> Self {
        Self::new()
    }
}

impl Grammar {
    /// Reads the tables.
    pub fn new() -> Self {
        let mut words: Vec<String> = vec![END.to_owned(), "[mask]".to_owned()];
        let mut token = |word: &str| -> u32 {
            let at = words.iter().position(|w| w == word).unwrap_or_else(|| {
                words.push(word.to_owned());
                words.len() - 1
            });
            at as u32
        };
        let pronouns = [token("he"), token("she")];
        let classes: Vec<Vec<u32>> =
            CLASSES.iter().map(|(_, members)| members.iter().map(|w| token(w)).collect()).collect();
        let he = HE.iter().map(|w| token(w)).collect();
        let parts = PARTS.iter().map(|part| {
            let sentences = part.sentences.iter();
            let sentences = sentences.map(|&(weight, template)| (weight, slots(template, &mut token))).collect();
            (sentences, part.next)
        });
        let parts = parts.collect();
        let weights = classes.iter().map(|class| {
            let total: f64 = (1..=class.len()).map(|rank| 1.0 / (rank as f64).sqrt()).sum();
            (1..=class.len()).map(|rank| 1.0 / (rank as f64).sqrt() / total).collect()
        });
        let weights = weights.collect();
        Self { words, classes, weights, parts, pronouns, he }
    }

    /// The pronoun of a name.
    pub fn pronoun(&self, name: u32) -> u32 {
        self.pronouns[usize::from(!self.he.contains(&name))]
    }

    /// The probability of each member of a class, given the token that is excluded.
    pub fn distribution(&self, class: usize, excluded: Option<u32>) -> Vec<(u32, f64)> {
        let members = self.classes[class].iter().copied().zip(self.weights[class].iter().copied());
        let allowed: Vec<(u32, f64)> = members.filter(|(token, _)| Some(*token) != excluded).collect();
        let total: f64 = allowed.iter().map(|(_, p)| p).sum();
        allowed.into_iter().map(|(token, p)| (token, p / total)).collect()
    }

    /// Entropy of a story (nats) and its expected length (tokens, the end included), from the tables alone: choices are
    /// independent given the part, so their entropies add up, weighted by how often a story passes through.
    pub fn entropy(&self) -> (f64, f64) {
        let mut visits = vec![0.0; self.parts.len()];
        visits[0] = 1.0;
        let (mut nats, mut tokens) = (0.0, 0.0);
        // Parts only lead onward, but for the last, which begins the next story.
        for (index, (sentences, next)) in self.parts.iter().enumerate() {
            let v = visits[index];
            let is_end = index + 1 == self.parts.len();
            if !is_end {
                next.iter().for_each(|&(to, p)| visits[to] += v * p);
                nats += v * entropy(next.iter().map(|n| n.1));
            }
            nats += v * entropy(sentences.iter().map(|s| s.0));
            for (weight, slots) in sentences {
                tokens += v * weight * slots.len() as f64;
                for slot in slots {
                    nats += v * weight * self.slot_entropy(*slot);
                }
            }
        }
        (nats, tokens)
    }

    fn slot_entropy(&self, slot: Slot) -> f64 {
        let Slot::Draw { class, other, .. } = slot else {
            return 0.0;
        };
        let all = || self.weights[class].iter().copied();
        if other.is_none() {
            return entropy(all());
        }
        // The excluded word is itself a draw from the class.
        let excluded = self.classes[class].iter().zip(all());
        excluded.map(|(&token, p)| p * entropy(self.distribution(class, Some(token)).into_iter().map(|d| d.1))).sum()
    }
}

fn entropy(probabilities: impl Iterator<Item = f64>) -> f64 {
    probabilities.map(|p| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum()
}

/// Reads a template. The tables are ours, so a template that can't be read fails the first test that runs.
fn slots(template: &str, token: &mut impl FnMut(&str) -> u32) -> Vec<Slot> {
    let memory = |name: &str| MEMORIES.iter().position(|m| name.starts_with(*m)).unwrap_or(0);
    let read = |word: &str| {
        let Some(inner) = word.strip_prefix('{').and_then(|w| w.strip_suffix('}')) else {
            return Slot::Word(token(word));
        };
        if let Some(name) = inner.strip_prefix('=') {
            return if name.ends_with(".he") { Slot::Pronoun(memory(name)) } else { Slot::Repeat(memory(name)) };
        }
        let (class, into) = inner.split_once(':').map_or((inner, None), |(class, into)| (class, Some(into)));
        let (into, other) = into.map_or((None, None), |into| match into.split_once('!') {
            Some((into, other)) => (Some(memory(into)), Some(memory(other))),
            None => (Some(memory(into)), None),
        });
        let class = CLASSES.iter().position(|(name, _)| *name == class).unwrap_or(0);
        Slot::Draw { class, into, other }
    };
    template.split(' ').map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sound() {
        for (index, part) in PARTS.iter().enumerate() {
            let sum = |weights: &mut dyn Iterator<Item = f64>| weights.sum::<f64>();
            assert!((sum(&mut part.sentences.iter().map(|s| s.0)) - 1.0).abs() < 1e-12, "part {index}");
            assert!((sum(&mut part.next.iter().map(|n| n.1)) - 1.0).abs() < 1e-12, "part {index}");
            let is_end = index + 1 == PARTS.len();
            assert!(part.next.iter().all(|&(to, _)| is_end && to == 0 || to > index), "part {index} leads back");
            for word in part.sentences.iter().flat_map(|s| s.1.split(' ')).filter(|w| w.starts_with('{')) {
                let inner = &word[1..word.len() - 1];
                let class = inner.split(':').next().unwrap();
                assert!(inner.starts_with('=') || CLASSES.iter().any(|(name, _)| *name == class), "{word}");
            }
        }
        for (_, members) in CLASSES {
            assert!(members.iter().all(|w| CLASSES.iter().filter(|(_, m)| m.contains(w)).count() == 1));
        }
    }

    #[test]
    fn class_weights_fall_with_the_root_of_the_rank() {
        let g = Grammar::new();
        let total: f64 = (1..=8).map(|r| 1.0 / f64::from(r).sqrt()).sum();
        let colours = CLASSES.iter().position(|(name, _)| *name == "colour").unwrap();
        assert!((g.weights[colours][3] - 0.5 / total).abs() < 1e-12);
    }
}
