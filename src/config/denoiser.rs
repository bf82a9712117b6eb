//! Denoisers: how much of a sequence the objectives `prefix`, `span` and `ul2` hide, as plain numbers.
//!
//! Owns the counts (text per sequence, hidden tokens, spans, special tokens) and UL2's table of denoisers. They follow
//! from the config alone, so that a config can be checked and planned before any text is read. What is drawn stands in
//! `objective`.
//!
//! A decoder sees one stream of T + 1 tokens: a mode token where the objective has modes, what is given of the text,
//! then what is predicted; position i is fed token i and predicts token i + 1.

use super::ObjectiveConfig;

/// A mode of UL2 (Tay et al. 2022, section 3.1.2), told to the model by a token in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Regular: short spans, few tokens.
    R,
    /// Sequential: the end, from what stands before it.
    S,
    /// Extreme: long spans or many tokens.
    X,
}

impl Mode {
    /// Every mode, in the order of their tokens.
    pub const ALL: [Self; 3] = [Self::R, Self::S, Self::X];

    /// Its token, as `[R]`.
    pub fn token(self) -> String {
        format!("[{self:?}]")
    }
}

/// What is hidden of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hidden {
    /// Spans all over it (Raffel et al. 2020, section 3.1.4): `share` of the tokens, in spans of `mean` tokens on average.
    Spans {
        /// Mean length of a span, in tokens.
        mean: f64,
        /// Share of the text's tokens.
        share: f64,
    },
    /// Its end: `share` of the tokens on average.
    End {
        /// Share of the text's tokens.
        share: f64,
    },
}

/// One way to hide part of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denoiser {
    /// The mode that is told to the model, if any.
    pub mode: Option<Mode>,
    /// What is hidden.
    pub hidden: Hidden,
}

impl Denoiser {
    /// Tokens hidden of a text of `text` tokens (for `End`: on average), and the spans they stand in. T5's rules
    /// (`random_spans_noise_mask`): both are rounded, halves to even; at least one token is hidden and one stays; there is
    /// at least one span. The longest end is one less than twice the mean, so that all lengths from 1 on are as likely.
    pub fn counts(self, text: usize) -> (usize, usize) {
        let rounded = |share: f64| (text as f64 * share).round_ties_even() as usize;
        match self.hidden {
            Hidden::Spans { mean, share } => {
                let hidden = rounded(share).min(text.saturating_sub(1)).max(1);
                (hidden, ((hidden as f64 / mean).round_ties_even() as usize).max(1))
            }
            Hidden::End { share } => (rounded(share).min(text / 2).max(1), 1),
        }
    }

    /// Tokens of the stream that a text becomes: spans leave a sentinel each, and are predicted behind it; a last sentinel
    /// ends them.
    fn stream(self, text: usize) -> usize {
        let mode = usize::from(self.mode.is_some());
        match self.hidden {
            Hidden::Spans { .. } => mode + text + 2 * self.counts(text).1 + 1,
            Hidden::End { .. } => mode + text,
        }
    }

    /// Tokens of text that a sequence of `context` positions takes: as many as fit (as T5's `random_spans_helper`). Where
    /// one more would need another span, up to two positions stay empty. None if not even two tokens fit.
    pub fn text(self, context: usize) -> Option<usize> {
        (2..=context + 1).rev().find(|&text| self.stream(text) <= context + 1)
    }

    /// Sentinels that a sequence needs.
    fn sentinels(self, context: usize) -> usize {
        match (self.hidden, self.text(context)) {
            (Hidden::Spans { .. }, Some(text)) => self.counts(text).1 + 1,
            _ => 0,
        }
    }

    /// Positions of a sequence that predict something (for `End`: on average).
    fn predicted(self, context: usize) -> usize {
        let hidden = self.text(context).map_or(0, |text| self.counts(text).0);
        hidden + self.sentinels(context)
    }

    /// Why no sequence of `context` positions can be made: the key, and what would be right.
    pub fn problem(self, context: usize) -> Option<(&'static str, String)> {
        let Some(text) = self.text(context) else {
            let least = (2..).find(|&c| self.text(c).is_some()).unwrap_or(context);
            return Some(("model.context", format!("must be at least {least} for this objective, not {context}")));
        };
        let (hidden, spans) = self.counts(text);
        (text - hidden < spans).then(|| {
            let kept = text - hidden;
            let message = format!(
                "hides {hidden} of {text} tokens in {spans} spans, and the {kept} others can't stand between them; \
                 lower it, or raise objective.mean_span"
            );
            ("objective.mask_share", message)
        })
    }
}

/// UL2's seven denoisers (Tay et al. 2022, table 1), in the order of `objective.mixture`; `end` is the S-denoiser's share.
fn ul2(end: f64) -> [Denoiser; 7] {
    let spans = |mode, mean, share| Denoiser { mode: Some(mode), hidden: Hidden::Spans { mean, share } };
    [
        spans(Mode::R, 3.0, 0.15),
        spans(Mode::R, 8.0, 0.15),
        Denoiser { mode: Some(Mode::S), hidden: Hidden::End { share: end } },
        spans(Mode::X, 3.0, 0.5),
        spans(Mode::X, 8.0, 0.5),
        spans(Mode::X, 64.0, 0.15),
        spans(Mode::X, 64.0, 0.5),
    ]
}

impl ObjectiveConfig {
    /// The denoisers that sequences are drawn with, and the probability of each; none for the objectives that hide nothing
    /// of a decoder's text.
    pub fn denoisers(&self) -> Vec<(f64, Denoiser)> {
        let plain = |hidden| vec![(1.0, Denoiser { mode: None, hidden })];
        match self.name.as_str() {
            "prefix" => plain(Hidden::End { share: self.predicted_share }),
            "span" => plain(Hidden::Spans { mean: self.mean_span, share: self.mask_share }),
            "ul2" => {
                let sum: f64 = self.mixture.iter().sum();
                let all = self.mixture.iter().map(|weight| weight / sum).zip(ul2(self.predicted_share));
                all.filter(|(p, _)| *p > 0.0).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Tokens that the text's vocabulary needs behind its own: T5's sentinels, then UL2's modes.
    pub fn special_tokens(&self, context: usize) -> Vec<String> {
        let denoisers = self.denoisers();
        let sentinels = denoisers.iter().map(|(_, d)| d.sentinels(context)).max().unwrap_or(0);
        let has_modes = denoisers.iter().any(|(_, d)| d.mode.is_some());
        let modes = Mode::ALL.iter().filter(|_| has_modes).map(|m| m.token());
        (0..sentinels).map(|i| format!("<extra_id_{i}>")).chain(modes).collect()
    }

    /// The share of a decoder's positions that predict something, on average.
    pub fn predicted_share_of(&self, context: usize) -> f64 {
        let denoisers = self.denoisers();
        if denoisers.is_empty() {
            return 1.0;
        }
        denoisers.iter().map(|(p, d)| p * d.predicted(context) as f64).sum::<f64>() / context as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ObjectiveConfig {
        ObjectiveConfig { name: name.to_owned(), ..ObjectiveConfig::default() }
    }

    fn spans(mean: f64, share: f64) -> Denoiser {
        Denoiser { mode: None, hidden: Hidden::Spans { mean, share } }
    }

    #[test]
    fn spans_are_counted_as_t5_does() {
        // T5's own pair for 512 inputs: 568 tokens of text, 114 of targets, each part with its end-of-sequence token;
        // inputs are 568 - 85 + 28 + 1, targets 85 + 28 + 1.
        assert_eq!(spans(3.0, 0.15).counts(568), (85, 28));
        // Halves go to even: 10 * 0.15 = 1.5, 30 * 0.15 = 4.5, 3 / 2 = 1.5, 5 / 2 = 2.5.
        assert_eq!(spans(3.0, 0.15).counts(10), (2, 1));
        assert_eq!(spans(3.0, 0.15).counts(30), (4, 1));
        assert_eq!(spans(2.0, 0.3).counts(10), (3, 2));
        assert_eq!(spans(2.0, 0.5).counts(10), (5, 2));
        // At least one hidden, one kept, one span.
        assert_eq!(spans(3.0, 0.01).counts(5), (1, 1));
        assert_eq!(spans(1.0, 0.99).counts(5).0, 4);
        assert_eq!(spans(64.0, 0.15).counts(100), (15, 1));
    }

    #[test]
    fn text_and_targets_fill_the_context() {
        // Stream of n tokens: n + 2 spans + 1 last sentinel. T = 20: 16 tokens hide 2 in 1 span and make 19, 17 hide 3 in
        // 1 and make 20, 18 make 21 = T + 1.
        assert_eq!(spans(3.0, 0.15).text(20), Some(18));
        // n = 15 hides 8 (7.5 to even) in 3 spans (8 / 3): 22; n = 14 hides 7 in 2: 19. T = 20 leaves two empty.
        assert_eq!((spans(3.0, 0.5).text(20), spans(3.0, 0.5).text(21)), (Some(14), Some(15)));
        for d in ul2(0.25) {
            for context in 5..300 {
                let text = d.text(context).unwrap();
                let left = context + 1 - d.stream(text);
                assert!(left <= 2 && d.stream(text + 1) > context + 1, "{d:?} {context}");
                assert_eq!(d.problem(context), None, "{d:?} {context}");
            }
            let least = if d.mode == Some(Mode::S) { 2 } else { 5 };
            assert!(d.text(least - 1).is_none() || least == 2);
            assert!(d.text(least).is_some());
        }
    }

    #[test]
    fn special_tokens_are_those_that_are_needed() {
        assert!(named("causal").special_tokens(64).is_empty() && named("prefix").special_tokens(64).is_empty());
        // T = 20: one span, and the last sentinel.
        assert_eq!(named("span").special_tokens(20), ["<extra_id_0>", "<extra_id_1>"]);
        // Three tokens make a mode and a stream of 1 + 3 + 2 + 1 = 7.
        assert_eq!(named("ul2").special_tokens(6), ["<extra_id_0>", "<extra_id_1>", "[R]", "[S]", "[X]"]);
        // S alone needs no sentinels.
        let s = ObjectiveConfig { mixture: [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], ..named("ul2") };
        assert_eq!(s.special_tokens(64), ["[R]", "[S]", "[X]"]);
    }

    #[test]
    fn the_share_of_predicting_positions_is_counted_by_hand() {
        assert_eq!(named("causal").predicted_share_of(64), 1.0);
        // T = 20: 21 tokens of text, a quarter is 5 (5.25).
        assert_eq!(named("prefix").predicted_share_of(20), 0.25);
        // 18 tokens of text: 3 hidden (2.7), 1 sentinel before, 1 behind.
        assert_eq!(named("span").predicted_share_of(20), 5.0 / 20.0);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_key() {
        let (key, message) = Denoiser { mode: Some(Mode::R), ..spans(3.0, 0.15) }.problem(3).unwrap();
        assert!(key == "model.context" && message.contains("at least 5"), "{message}");
        let (key, message) = spans(1.0, 0.9).problem(60).unwrap();
        assert!(key == "objective.mask_share" && message.contains("objective.mean_span"), "{message}");
    }
}
