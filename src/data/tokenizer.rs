//! Tokenizers: bytes, one that is trained on the text, or a `tokenizer.json`.
//!
//! Training is deterministic: equal text gives an equal tokenizer on any machine. Knows no files but the one it is told
//! to read.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, anyhow};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Tokenizer, Trainer, decoders,
};

use super::{DataError, Vocabulary};

const END_OF_TEXT: &str = "<|endoftext|>";
const WORDPIECE_SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// Tokens of the byte tokenizer: 256 bytes, the end of a text, the mask.
pub const BYTES_VOCABULARY: usize = 258;

/// Turns text into tokens and back.
pub enum TextTokenizer {
    /// One token per byte.
    Bytes,
    /// One of the `tokenizers` crate.
    Trained(Box<Tokenizer>),
}

/// Which tokenizer a config asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// One token per byte.
    Bytes,
    /// Byte-level BPE, trained.
    Bpe,
    /// BERT's WordPiece, lower case, trained.
    WordPiece,
    /// A `tokenizer.json`.
    File(&'a Path),
}

impl<'a> Kind<'a> {
    /// What `data.tokenizer` names.
    pub fn of(name: &'a str) -> Self {
        match name {
            "bytes" => Self::Bytes,
            "bpe" => Self::Bpe,
            "wordpiece" => Self::WordPiece,
            file => Self::File(Path::new(file)),
        }
    }
}

/// The crate's errors as ours.
fn own(error: tokenizers::Error) -> anyhow::Error {
    anyhow!("{error}")
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`DataError`] if it can't be read.
    pub fn load(file: &Path) -> Result<Self> {
        let name = file.display();
        let bytes = std::fs::read(file).map_err(|e| {
            DataError::new(format!("data.tokenizer: {name} can't be read: {e} (or say bytes, bpe or wordpiece)"))
        })?;
        Self::from_json(&bytes)
            .map_err(|e| DataError::new(format!("data.tokenizer: {name} is no tokenizer.json: {e}")).into())
    }

    /// A tokenizer from the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// If it isn't one.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(own)?;
        // Windows are cut from one long text: nothing is padded, cut or framed here.
        tokenizer.with_padding(None).with_truncation(None).map_err(own)?;
        Ok(Self::Trained(Box::new(tokenizer)))
    }

    /// Trains a byte-level BPE on texts.
    ///
    /// # Errors
    /// If the crate fails.
    pub fn train_bpe(texts: &[String], vocabulary: usize) -> Result<Self> {
        let pre_tokenizer = ByteLevel::new(false, false, true);
        let specials: Vec<AddedToken> = [END_OF_TEXT, "<mask>"].map(|s| AddedToken::from(s, true)).into();
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocabulary)
            .min_frequency(2)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(specials.clone())
            .build();
        trainer.feed(texts.iter(), |text| words(&pre_tokenizer, NormalizedString::from(text))).map_err(own)?;
        let mut model = BPE::default();
        trainer.train(&mut model).map_err(own)?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer)).with_decoder(Some(ByteLevel::default()));
        tokenizer.add_special_tokens(specials).map_err(own)?;
        Ok(Self::Trained(Box::new(tokenizer)))
    }

    /// Trains BERT's WordPiece, lower case, on texts.
    ///
    /// # Errors
    /// If the crate fails.
    pub fn train_wordpiece(texts: &[String], vocabulary: usize) -> Result<Self> {
        let normalizer = BertNormalizer::new(true, true, None, true);
        let process = |text: &str| {
            let mut normalized = NormalizedString::from(text);
            normalizer.normalize(&mut normalized)?;
            words(&BertPreTokenizer, normalized)
        };
        // The trainer numbers inner characters (##x) in the order of a hash map, which differs from process to process:
        // named beforehand, in order, they have fixed numbers.
        let mut inner: BTreeSet<char> = BTreeSet::new();
        for text in texts {
            for word in process(text).map_err(own)? {
                inner.extend(word.chars().skip(1));
            }
        }
        let specials = WORDPIECE_SPECIALS.iter().map(|s| (*s).to_owned()).chain(inner.iter().map(|c| format!("##{c}")));
        let mut trainer = WordPieceTrainer::builder()
            .show_progress(false)
            .vocab_size(vocabulary)
            .min_frequency(2)
            .special_tokens(specials.map(|s| AddedToken::from(s, true)).collect())
            .build();
        trainer.feed(texts.iter(), process).map_err(own)?;
        let mut model = WordPiece::builder().unk_token("[UNK]".to_owned()).build().map_err(own)?;
        trainer.train(&mut model).map_err(own)?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_normalizer(Some(normalizer)).map_err(own)?;
        tokenizer
            .with_pre_tokenizer(Some(BertPreTokenizer))
            .with_decoder(Some(decoders::wordpiece::WordPiece::default()));
        let specials = WORDPIECE_SPECIALS.iter().map(|s| AddedToken::from(*s, true));
        tokenizer.add_special_tokens(specials.collect::<Vec<_>>()).map_err(own)?;
        Ok(Self::Trained(Box::new(tokenizer)))
    }

    /// Its tokens.
    pub fn vocabulary(&self) -> Vocabulary {
        match self {
            Self::Bytes => {
                Vocabulary { size: BYTES_VOCABULARY, mask: Some(257), special: vec![256, 257], added: vec![] }
            }
            Self::Trained(t) => {
                let added = t.get_added_tokens_decoder();
                let mut special: Vec<u32> =
                    added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
                special.sort_unstable();
                let mask = ["[MASK]", "<mask>"].iter().find_map(|name| t.token_to_id(name));
                // Ids may have gaps: the size is the highest id + 1.
                let highest = t.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
                Vocabulary { size: highest, mask, special, added: vec![] }
            }
        }
    }

    /// Makes sure that there are tokens of these names: those that aren't there yet are numbered behind all others.
    ///
    /// # Errors
    /// [`DataError`] if the numbers behind are taken, as they may be in a tokenizer whose numbers have gaps.
    pub fn add_special_tokens(&mut self, names: &[String]) -> Result<Vocabulary> {
        let before = self.vocabulary();
        let Self::Trained(t) = self else {
            return Ok(before.extended(names.len()));
        };
        if names.is_empty() {
            return Ok(before);
        }
        let known: Vec<Option<u32>> = names.iter().map(|name| t.token_to_id(name)).collect();
        t.add_special_tokens(names.iter().map(|name| AddedToken::from(name.clone(), true))).map_err(own)?;
        let mut added = Vec::with_capacity(names.len());
        for (name, known) in names.iter().zip(known) {
            let id = t.token_to_id(name).filter(|&id| known == Some(id) || id as usize >= before.size);
            added.push(id.ok_or_else(|| {
                DataError::new(format!(
                    "data.tokenizer: its numbers have gaps, so that {name} can't be put behind them"
                ))
            })?);
        }
        Ok(Vocabulary { added, ..self.vocabulary() })
    }

    /// The token that stands between two documents, if there is one.
    pub fn end_of_text(&self) -> Option<u32> {
        match self {
            Self::Bytes => Some(256),
            Self::Trained(t) => [END_OF_TEXT, "</s>", "[SEP]"].iter().find_map(|name| t.token_to_id(name)),
        }
    }

    /// Text as tokens, without markers.
    ///
    /// # Errors
    /// If the crate fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Self::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Self::Trained(t) => Ok(t.encode_fast(text, false).map_err(own)?.get_ids().to_vec()),
        }
    }

    /// Tokens as text, for people.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Self::Bytes => {
                let bytes: Vec<u8> = tokens.iter().filter_map(|&t| u8::try_from(t).ok()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::Trained(t) => t.decode(tokens, false).unwrap_or_default(),
        }
    }

    /// As a `tokenizer.json`; bytes have none.
    pub fn to_json(&self) -> Option<String> {
        match self {
            Self::Bytes => None,
            Self::Trained(t) => t.to_string(true).ok(),
        }
    }
}

/// The words that a trainer counts.
fn words(pre_tokenizer: &dyn PreTokenizer, text: NormalizedString) -> tokenizers::Result<Vec<String>> {
    let mut split = PreTokenizedString::from(text);
    pre_tokenizer.pre_tokenize(&mut split)?;
    let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
    Ok(splits.into_iter().map(|(word, _, _)| word.to_owned()).collect())
}

/// A `tokenizer.json` for words in order of their numbers, and special tokens behind them.
///
/// # Errors
/// If the crate fails.
pub fn word_level(words: &[String], special: &[String]) -> Result<String> {
    let vocabulary = words.iter().cloned().zip(0u32..).collect();
    let model = WordLevel::builder().vocab(vocabulary).unk_token("[mask]".to_owned()).build().map_err(own)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(WhitespaceSplit));
    if !special.is_empty() {
        tokenizer.add_special_tokens(special.iter().map(|s| AddedToken::from(s.clone(), true))).map_err(own)?;
    }
    tokenizer.to_string(true).map_err(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<String> {
        let line = |i: usize| {
            format!("The quick brown fox number {i} jumps over the lazy dogs, again and again; née {}!", i % 7)
        };
        (0..200).map(line).collect()
    }

    #[test]
    fn trained_tokenizers_give_the_text_back() {
        let bpe = TextTokenizer::train_bpe(&texts(), 400).unwrap();
        let text = "The fox jumps, née again – 日本!";
        assert_eq!(bpe.decode(&bpe.encode(text).unwrap()), text);
        assert!(bpe.vocabulary().size <= 400 && bpe.vocabulary().mask.is_some() && bpe.end_of_text().is_some());
        let wordpiece = TextTokenizer::train_wordpiece(&texts(), 120).unwrap();
        let ids = wordpiece.encode("the LAZY fox jumps").unwrap();
        assert_eq!(wordpiece.decode(&ids), "the lazy fox jumps");
        let v = wordpiece.vocabulary();
        assert!(v.size <= 120 && v.mask == Some(4) && v.special == [0, 1, 2, 3, 4], "{v:?}");
        assert_eq!(TextTokenizer::Bytes.decode(&TextTokenizer::Bytes.encode("née").unwrap()), "née");
    }

    #[test]
    fn training_again_gives_the_same_tokenizer() {
        for train in [TextTokenizer::train_bpe, TextTokenizer::train_wordpiece] {
            let one = train(&texts(), 300).unwrap().to_json();
            for _ in 0..3 {
                assert_eq!(one, train(&texts(), 300).unwrap().to_json());
            }
        }
    }

    #[test]
    fn special_tokens_come_behind_all_others_and_into_the_file() {
        let names = ["<extra_id_0>", "<extra_id_1>", "[R]"].map(str::to_owned);
        let text = "the fox jumps";
        for mut tokenizer in [
            TextTokenizer::train_bpe(&texts(), 400).unwrap(),
            TextTokenizer::train_wordpiece(&texts(), 120).unwrap(),
            TextTokenizer::Bytes,
        ] {
            let (before, ids) = (tokenizer.vocabulary(), tokenizer.encode(text).unwrap());
            let after = tokenizer.add_special_tokens(&names).unwrap();
            let size = before.size as u32;
            assert_eq!((after.size, &after.added), (before.size + 3, &vec![size, size + 1, size + 2]));
            assert_eq!(after.special, [before.special, after.added.clone()].concat());
            assert_eq!((after.mask, tokenizer.encode(text).unwrap()), (before.mask, ids));
            let Some(json) = tokenizer.to_json() else { continue };
            // As the export's users will load it: special tokens with these numbers, cut out of any text.
            let mut again = TextTokenizer::from_json(json.as_bytes()).unwrap();
            assert_eq!(again.encode("the[R]<extra_id_1>").unwrap()[1..], [size + 2, size + 1]);
            let listed: serde_json::Value = serde_json::from_str(&json).unwrap();
            let last = listed["added_tokens"].as_array().unwrap().last().unwrap();
            assert_eq!((last["content"].as_str(), last["special"].as_bool()), (Some("[R]"), Some(true)));
            // Tokens that are there already keep their numbers.
            let names = ["[R]", "[S]"].map(str::to_owned);
            assert_eq!(again.add_special_tokens(&names).unwrap().added, [size + 2, size + 3]);
        }
    }

    #[test]
    fn words_and_special_tokens_have_their_numbers_in_the_file() {
        let own = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let json = word_level(&own(&["<end>", "[mask]", "fox"]), &own(&["<extra_id_0>", "[S]"])).unwrap();
        let read = TextTokenizer::from_json(json.as_bytes()).unwrap();
        assert_eq!(read.encode("fox <extra_id_0> fox [S]").unwrap(), [2, 3, 2, 4]);
        assert_eq!(read.vocabulary().special, [3, 4]);
    }

    #[test]
    fn a_file_reads_back_and_others_are_refused() {
        let json = TextTokenizer::train_bpe(&texts(), 300).unwrap().to_json().unwrap();
        let again = TextTokenizer::from_json(json.as_bytes()).unwrap();
        assert_eq!(again.to_json().unwrap(), json);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.json");
        std::fs::write(&file, "{}").unwrap();
        let error = TextTokenizer::load(&file).err().unwrap().to_string();
        assert!(error.contains("t.json is no tokenizer.json"), "{error}");
        assert!(TextTokenizer::load(Path::new("no/such")).err().unwrap().is::<DataError>());
    }
}
