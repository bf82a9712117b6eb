//! The built-in puzzles: documents whose answers need several steps of reasoning, one after the other, unlimited, seeded,
//! with known probabilities.
//!
//! A text that depth helps with: at a laptop's scale real text is not, there no model gets past what two layers can do.
//! One token is one word. A document is a word for its kind, its words, and `<end>`; the kinds that the config enables are
//! equally likely. What may come next, and how likely, is a function of the document so far ([`Document`]), so
//! [`Corpus::surprisal`] is exact: random words cost the logarithm of the choice, answers nothing beyond whether one is
//! told. Owns the table of kinds; each kind is a file beside this one.

mod assignments;
mod lookups;
mod nesting;
mod tracking;
mod words;

use sha2::{Digest, Sha256};

use super::stories::pick;
use super::{Corpus, Split, Vocabulary};
use crate::config::DataConfig;
use crate::rng::Rng;

/// A document ends as soon as it can behind so many words.
const LENGTH: usize = 64;

/// An answer of one step more is so much rarer: easy ones must be frequent, or nothing is learnt that harder ones build on.
const RARER: f64 = 0.75;

/// A document as far as it was told.
trait Document {
    /// Every word that may come next, with its probability; none if the document is over.
    fn next(&self) -> Vec<(u32, f64)>;

    /// Takes one of them.
    fn take(&mut self, token: u32);

    /// If this next word is an answer: how many steps lead to it, from 1 to the kind's limit.
    fn difficulty(&self, token: u32) -> Option<usize>;
}

/// A kind of document.
struct Kind {
    /// What its answers are called, with their difficulty behind it.
    name: &'static str,
    /// The word it begins with.
    word: u32,
    /// Its limit of difficulty; 0: there are no such documents.
    limit: fn(&DataConfig) -> usize,
    begin: fn(usize) -> Box<dyn Document>,
}

/// Every kind.
static KINDS: &[Kind] = &[
    Kind { name: "nesting", word: words::SCENE, limit: |d| d.nesting, begin: nesting::Nesting::begin },
    Kind { name: "chain", word: words::LET, limit: |d| d.chain, begin: assignments::Assignments::begin },
    Kind { name: "hops", word: words::MAP, limit: |d| d.hops, begin: lookups::Lookups::begin },
    Kind { name: "moves", word: words::CUPS, limit: |d| d.moves, begin: tracking::Tracking::begin },
];

/// The corpus.
pub struct Puzzles {
    words: Vec<String>,
    vocabulary: Vocabulary,
    /// Names of the tokens behind the words.
    special: Vec<String>,
    /// Kinds that are told, with their limits.
    kinds: Vec<(&'static Kind, usize)>,
}

/// A text as far as it was told.
struct Reader<'a> {
    kinds: &'a [(&'static Kind, usize)],
    /// The document at hand and its kind; none between two.
    document: Option<(usize, Box<dyn Document>)>,
}

impl Reader<'_> {
    fn next(&self) -> Vec<(u32, f64)> {
        let Some((_, document)) = &self.document else {
            return uniform(self.kinds.iter().map(|(kind, _)| kind.word), 1.0);
        };
        let next = document.next();
        if next.is_empty() { vec![(words::END, 1.0)] } else { next }
    }

    /// Takes a word of [`Self::next`].
    fn take(&mut self, token: u32) {
        match &mut self.document {
            Some(_) if token == words::END => self.document = None,
            Some((_, document)) => document.take(token),
            None => {
                let kind = self.kinds.iter().position(|(kind, _)| kind.word == token);
                self.document = kind.map(|k| (k, (self.kinds[k].0.begin)(self.kinds[k].1)));
            }
        }
    }

    /// The class of a word of [`Self::next`].
    fn class(&self, token: u32) -> Option<usize> {
        let (kind, document) = self.document.as_ref()?;
        let before: usize = self.kinds[..*kind].iter().map(|(_, limit)| limit).sum();
        document.difficulty(token).map(|difficulty| before + difficulty - 1)
    }
}

/// How likely an answer comes after `steps`, none having come before, if each number of steps up to the limit is [`RARER`]
/// times as likely as the one before it.
fn ends(steps: usize, limit: usize) -> f64 {
    let left = limit.saturating_sub(steps) + 1;
    // Geometric weights of the numbers that are left: the first of them over their sum.
    if left == 1 { 1.0 } else { (1.0 - RARER) / (1.0 - RARER.powi(left as i32)) }
}

/// Tokens that are equally likely, `total` together.
fn uniform(tokens: impl Iterator<Item = u32>, total: f64) -> Vec<(u32, f64)> {
    let mut all: Vec<(u32, f64)> = tokens.map(|token| (token, total)).collect();
    let count = all.len() as f64;
    all.iter_mut().for_each(|(_, p)| *p /= count);
    all
}

impl Puzzles {
    /// The corpus whose kinds of documents have these limits.
    pub fn new(config: &DataConfig) -> Self {
        let words = words::all();
        let vocabulary = Vocabulary {
            size: words.len(),
            mask: Some(words::MASK),
            special: vec![words::END, words::MASK],
            added: vec![],
        };
        let kinds = KINDS.iter().map(|kind| (kind, (kind.limit)(config))).filter(|(_, limit)| *limit > 0).collect();
        Self { words, vocabulary, kinds, special: Vec::new() }
    }

    /// The same with more tokens, which no document holds.
    pub fn with_special_tokens(self, special: Vec<String>) -> Self {
        Self { vocabulary: self.vocabulary.extended(special.len()), special, ..self }
    }

    fn reader(&self) -> Reader<'_> {
        Reader { kinds: &self.kinds, document: None }
    }

    /// As in "nesting 4, hops 6".
    fn limits(&self) -> String {
        let limits: Vec<String> = self.kinds.iter().map(|(kind, limit)| format!("{} {limit}", kind.name)).collect();
        limits.join(", ")
    }
}

impl Corpus for Puzzles {
    fn about(&self) -> String {
        format!("built-in puzzles ({}), {} words", self.limits(), self.words.len())
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn checksum(&self) -> String {
        // The rules are code: a text that a fixed generator leads to stands for them.
        let mut text = vec![0; 16 * LENGTH];
        self.sequence(Split::Train, &mut crate::rng::keyed(0, crate::rng::Purpose::Batch, 0, 0), &mut text);
        let mut sha = Sha256::new();
        self.words.iter().for_each(|w| sha.update(format!("{w}\n")));
        sha.update(self.limits());
        text.iter().for_each(|token| sha.update(token.to_le_bytes()));
        super::hex(&sha.finalize()[..8])
    }

    // Text is never kept: the two splits differ by the generators they are handed.
    fn sequence(&self, _split: Split, rng: &mut Rng, out: &mut [u32]) {
        let mut reader = self.reader();
        for place in out {
            let next = reader.next();
            let token = next[pick(rng, next.iter().map(|(_, p)| *p))].0;
            reader.take(token);
            *place = token;
        }
    }

    fn surprisal(&self, sequence: &[u32]) -> Option<Vec<f32>> {
        let mut reader = self.reader();
        let surprisal = sequence.iter().map(|&token| {
            let p = reader.next().into_iter().find(|(t, _)| *t == token).map(|(_, p)| p)?;
            reader.take(token);
            Some(-p.ln() as f32)
        });
        surprisal.collect()
    }

    fn classes(&self) -> Vec<String> {
        let of =
            |(kind, limit): &(&Kind, usize)| (1..=*limit).map(|d| format!("{} {d}", kind.name)).collect::<Vec<_>>();
        self.kinds.iter().flat_map(of).collect()
    }

    fn class(&self, sequence: &[u32]) -> Vec<Option<usize>> {
        let mut reader = self.reader();
        let class = sequence.iter().map(|&token| {
            let class = reader.class(token);
            reader.take(token);
            class
        });
        class.collect()
    }

    fn decode(&self, tokens: &[u32]) -> String {
        let word =
            |&token: &u32| self.words.iter().chain(&self.special).nth(token as usize).map_or("?", String::as_str);
        let documents: Vec<String> =
            tokens.split(|&t| t == words::END).map(|d| d.iter().map(word).collect::<Vec<_>>().join(" ")).collect();
        documents.join("\n")
    }

    fn tokenizer_json(&self) -> Option<String> {
        super::tokenizer::word_level(&self.words, &self.special).ok()
    }
}

#[cfg(test)]
mod tests;
