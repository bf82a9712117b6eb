//! The built-in corpus: small English-like stories, unlimited, seeded, with known probabilities.
//!
//! One token is one word. Every sequence begins with a story's beginning, so what came before a token inside the sequence
//! is all there is to know, and [`Corpus::surprisal`] gives the exact `-ln p` of each: the loss that no causal model can
//! go below. The grammar is in `grammar`.

use sha2::{Digest, Sha256};

use super::grammar::{Grammar, MEMORIES, Slot};
use super::{Corpus, Split, Vocabulary};
use crate::rng::Rng;

type Memory = [u32; MEMORIES.len()];

/// The corpus.
pub struct Stories {
    grammar: Grammar,
    vocabulary: Vocabulary,
    /// Names of the tokens behind the words.
    special: Vec<String>,
}

/// One way in which a prefix may have come about.
#[derive(Clone, Copy)]
struct Hypothesis {
    probability: f64,
    part: usize,
    sentence: usize,
    slot: usize,
    memory: Memory,
}

impl Default for Stories {
    fn default() -> Self {
        Self::new()
    }
}

impl Stories {
    /// The corpus; it needs nothing.
    pub fn new() -> Self {
        let grammar = Grammar::new();
        let vocabulary = Vocabulary { size: grammar.words.len(), mask: Some(1), special: vec![0, 1], added: vec![] };
        Self { grammar, vocabulary, special: Vec::new() }
    }

    /// The same with more tokens, which no story holds.
    pub fn with_special_tokens(self, special: Vec<String>) -> Self {
        Self { vocabulary: self.vocabulary.extended(special.len()), special, ..self }
    }

    /// Entropy of the text in nats per token, in closed form.
    pub fn entropy_per_token(&self) -> f64 {
        let (nats, tokens) = self.grammar.entropy();
        nats / tokens
    }

    /// Every way to begin `part`, weighted by `probability`.
    fn begin(&self, part: usize, probability: f64, memory: Memory, into: &mut Vec<Hypothesis>) {
        for (sentence, (weight, _)) in self.grammar.parts[part].0.iter().enumerate() {
            into.push(Hypothesis { probability: probability * weight, part, sentence, slot: 0, memory });
        }
    }

    /// What a hypothesis says of the next token: tokens and their probabilities.
    fn next(&self, h: &Hypothesis) -> Vec<(u32, f64)> {
        match self.grammar.parts[h.part].0[h.sentence].1[h.slot] {
            Slot::Word(token) => vec![(token, 1.0)],
            Slot::Repeat(m) => vec![(h.memory[m], 1.0)],
            Slot::Pronoun(m) => vec![(self.grammar.pronoun(h.memory[m]), 1.0)],
            Slot::Draw { class, other, .. } => self.grammar.distribution(class, other.map(|m| h.memory[m])),
        }
    }

    /// Hypotheses behind a story's very beginning.
    fn opening(&self) -> Vec<Hypothesis> {
        let mut all = Vec::new();
        self.begin(0, 1.0, Memory::default(), &mut all);
        all
    }

    /// The probability of each token to come next.
    fn distribution(&self, hypotheses: &[Hypothesis]) -> Vec<f64> {
        let mut p = vec![0.0; self.vocabulary.size];
        for h in hypotheses {
            self.next(h).into_iter().for_each(|(token, q)| p[token as usize] += h.probability * q);
        }
        p
    }

    /// What remains of the hypotheses once `token` has come, normalised.
    fn observe(&self, hypotheses: &[Hypothesis], token: u32) -> Vec<Hypothesis> {
        let mut left = Vec::new();
        for h in hypotheses {
            let Some((_, p)) = self.next(h).into_iter().find(|(t, _)| *t == token) else {
                continue;
            };
            let mut h = Hypothesis { probability: h.probability * p, ..*h };
            let (sentences, next) = &self.grammar.parts[h.part];
            let slots = &sentences[h.sentence].1;
            if let Slot::Draw { into: Some(m), .. } = slots[h.slot] {
                h.memory[m] = token;
            }
            h.slot += 1;
            if h.slot < slots.len() {
                left.push(h);
            } else {
                next.iter().for_each(|&(part, weight)| self.begin(part, h.probability * weight, h.memory, &mut left));
            }
        }
        let total: f64 = left.iter().map(|h| h.probability).sum();
        left.iter_mut().for_each(|h| h.probability /= total);
        left
    }
}

/// Draws an index by weights that sum to 1.
pub(super) fn pick(rng: &mut Rng, weights: impl Iterator<Item = f64>) -> usize {
    let mut left = rng.uniform();
    let mut last = 0;
    for (index, weight) in weights.enumerate() {
        last = index;
        if left < weight {
            break;
        }
        left -= weight;
    }
    last
}

impl Corpus for Stories {
    fn about(&self) -> String {
        format!("built-in stories, {} words, {:.3} nats per word", self.grammar.words.len(), self.entropy_per_token())
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn checksum(&self) -> String {
        let mut sha = Sha256::new();
        self.grammar.words.iter().for_each(|w| sha.update(format!("{w}\n")));
        sha.update(format!("{:?}", self.grammar.parts));
        super::hex(&sha.finalize()[..8])
    }

    // Text is never kept: the two splits differ by the generators they are handed.
    fn sequence(&self, _split: Split, rng: &mut Rng, out: &mut [u32]) {
        let g = &self.grammar;
        let (mut filled, mut part, mut memory) = (0, 0, Memory::default());
        while filled < out.len() {
            let (sentences, next) = &g.parts[part];
            let (_, slots) = &sentences[pick(rng, sentences.iter().map(|s| s.0))];
            for slot in slots {
                let token = match *slot {
                    Slot::Word(token) => token,
                    Slot::Repeat(m) => memory[m],
                    Slot::Pronoun(m) => g.pronoun(memory[m]),
                    Slot::Draw { class, into, other } => {
                        let choices = g.distribution(class, other.map(|m| memory[m]));
                        let token = choices[pick(rng, choices.iter().map(|c| c.1))].0;
                        into.into_iter().for_each(|m| memory[m] = token);
                        token
                    }
                };
                if let Some(place) = out.get_mut(filled) {
                    *place = token;
                }
                filled += 1;
            }
            part = next[pick(rng, next.iter().map(|n| n.1))].0;
        }
    }

    fn surprisal(&self, sequence: &[u32]) -> Option<Vec<f32>> {
        let mut hypotheses = self.opening();
        let surprisal = sequence.iter().map(|&token| {
            let p = self.distribution(&hypotheses).get(token as usize).copied().unwrap_or(0.0);
            hypotheses = self.observe(&hypotheses, token);
            -p.ln() as f32
        });
        let surprisal: Vec<f32> = surprisal.collect();
        surprisal.iter().all(|s| s.is_finite()).then_some(surprisal)
    }

    fn decode(&self, tokens: &[u32]) -> String {
        let mut text = String::new();
        let mut is_first = true;
        for &token in tokens {
            let word = self.grammar.words.iter().chain(&self.special).nth(token as usize).map_or("?", String::as_str);
            if token == 0 {
                text.push('\n');
                continue;
            }
            if !text.is_empty() && !text.ends_with('\n') && !matches!(word, "." | ",") {
                text.push(' ');
            }
            let is_name = self.grammar.classes[0].contains(&token);
            let mut letters = word.chars();
            match letters.next() {
                Some(letter) if is_first || is_name => text.extend(letter.to_uppercase().chain(letters)),
                _ => text.push_str(word),
            }
            is_first = word == ".";
        }
        text
    }

    fn tokenizer_json(&self) -> Option<String> {
        super::tokenizer::word_level(&self.grammar.words, &self.special).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, keyed};

    fn sequence(stories: &Stories, seed: u64, index: u64, length: usize) -> Vec<u32> {
        let mut out = vec![0; length];
        stories.sequence(Split::Train, &mut keyed(seed, Purpose::Batch, 0, index), &mut out);
        out
    }

    #[test]
    fn sampled_surprisal_agrees_with_the_closed_form() {
        let stories = Stories::new();
        let per_token = stories.entropy_per_token();
        // Whole stories only: the mean over a cut one is not the mean over stories.
        let (mut nats, mut squares, mut tokens, mut count) = (0.0, 0.0, 0u32, 0.0);
        for index in 0..40 {
            let text = sequence(&stories, 1, index, 2000);
            let surprisal = stories.surprisal(&text).unwrap();
            let mut story = (0.0, 0);
            for (s, &token) in surprisal.iter().zip(&text) {
                story = (story.0 + f64::from(*s), story.1 + 1);
                if token == 0 {
                    let excess = story.0 - per_token * f64::from(story.1);
                    nats += story.0;
                    squares += excess * excess;
                    tokens += story.1;
                    count += 1.0;
                    story = (0.0, 0);
                }
            }
        }
        let sampled = nats / f64::from(tokens);
        // The excess over per_token * length has mean 0 over stories.
        let error = squares.sqrt() / f64::from(tokens);
        assert!((sampled - per_token).abs() < 4.0 * error, "{sampled} {per_token} +- {error} over {count} stories");
        assert!(error < 0.01 && per_token > 0.5 && per_token < 1.0, "{per_token} +- {error}");
    }

    #[test]
    fn next_token_probabilities_sum_to_one_on_any_prefix() {
        let stories = Stories::new();
        for index in 0..20 {
            let mut hypotheses = stories.opening();
            for token in sequence(&stories, 2, index, 150) {
                let p = stories.distribution(&hypotheses);
                assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                assert!(p[token as usize] > 0.0);
                hypotheses = stories.observe(&hypotheses, token);
            }
        }
    }

    #[test]
    fn what_is_told_is_remembered() {
        // The name after "one <time>" in part 3 is the one that was introduced.
        let stories = Stories::new();
        let text = stories.decode(&sequence(&stories, 3, 0, 4000));
        let mut lost = 0;
        for story in text.lines().filter(|s| s.contains(" lost the ")) {
            let name = story.split(" lost the ").next().unwrap().rsplit(' ').next().unwrap();
            assert!(story.matches(name).count() >= 2, "{story}");
            lost += 1;
        }
        assert!(lost > 5);
    }

    #[test]
    fn text_depends_on_the_generator_alone_and_does_not_repeat() {
        let stories = Stories::new();
        assert_eq!(sequence(&stories, 1, 5, 65), sequence(&stories, 1, 5, 65));
        let all: std::collections::HashSet<_> = (0..3000).map(|i| sequence(&stories, 1, i, 65)).collect();
        assert_eq!(all.len(), 3000);
        assert!(!all.contains(&sequence(&stories, 2, 0, 65)));
    }

    #[test]
    fn it_reads_like_english() {
        let stories = Stories::new();
        let text = stories.decode(&sequence(&stories, 4, 0, 60));
        assert!(text.starts_with(|c: char| c.is_uppercase()) && text.contains(". ") && !text.contains(" ."), "{text}");
    }
}
