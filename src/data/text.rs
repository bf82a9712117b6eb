//! The text corpus: files of a person's own, tokenised once, drawn from at random.
//!
//! Owns the preparation: hash the files, train or load the tokenizer, tokenise both splits into token files in the cache,
//! keyed by content, so that the next run begins at once. A split is made by document: every 1/share-th is kept for
//! validation. Never holds the text in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::token_file::{Tokens, Writer};
use super::tokenizer::{Kind, TextTokenizer};
use super::{Corpus, DataError, OnProgress, Progress, Split, Vocabulary, documents, hex, report};
use crate::config::RunConfig;
use crate::rng::Rng;

/// Text that a trained tokenizer sees at most, spread evenly over the corpus.
const SAMPLE_BYTES: u64 = 32 << 20;
/// Text that is tokenised at a time.
const CHUNK_BYTES: usize = 4 << 20;

/// The corpus.
pub struct Text {
    tokenizer: TextTokenizer,
    vocabulary: Vocabulary,
    train: Tokens,
    validation: Tokens,
    about: String,
    key: String,
}

/// What is read, and what for.
struct Plan {
    train: Vec<PathBuf>,
    /// Files of validation text, if it is kept apart.
    validation: Vec<PathBuf>,
    share: f64,
    /// Bytes of all files on disk.
    bytes: u64,
    /// Bytes of a document of plain text.
    document: usize,
}

impl Plan {
    fn new(config: &RunConfig) -> Result<(Self, usize)> {
        let d = &config.data;
        let (train, others) = documents::files(Path::new(&d.path))?;
        let validation =
            if d.validation_path.is_empty() { Vec::new() } else { documents::files(Path::new(&d.validation_path))?.0 };
        let size = |file: &PathBuf| fs::metadata(file).map_or(0, |m| m.len());
        let train_bytes: u64 = train.iter().map(size).sum();
        let bytes = train_bytes + validation.iter().map(size).sum::<u64>();
        // Small texts are cut finer, so that both splits get some hundreds of documents to choose from.
        let document = (train_bytes / 400).clamp(512, 16_384) as usize;
        Ok((Self { train, validation, share: d.validation_share, bytes, document }, others))
    }

    /// Whether a document is kept for validation: each time the running share passes a whole number.
    fn is_validation(&self, index: u64) -> bool {
        self.validation.is_empty() && {
            let passed = |n: u64| (n as f64 * self.share + 0.5).floor();
            passed(index + 1) > passed(index)
        }
    }

    /// Hands every document with its split to `take`.
    fn each(&self, take: &mut dyn FnMut(String, Split, u64) -> Result<()>) -> Result<()> {
        let mut index = 0;
        let mut done = 0;
        documents::each(&self.train, self.document, &mut |text, at| {
            let split = if self.is_validation(index) { Split::Validation } else { Split::Train };
            (index, done) = (index + 1, at);
            take(text, split, at)
        })?;
        documents::each(&self.validation, self.document, &mut |text, at| take(text, Split::Validation, done + at))
    }
}

impl Text {
    /// Opens the text that a config names, preparing it if it hasn't been before.
    ///
    /// # Errors
    /// [`DataError`] for text that can't be read or is too short; [`super::Interrupted`].
    pub fn open(config: &RunConfig, progress: OnProgress<'_>) -> Result<Self> {
        let (plan, others) = Plan::new(config)?;
        let cache = cache_dir(&config.data.cache)?;
        fs::create_dir_all(&cache).with_context(|| format!("making the token cache {}", cache.display()))?;
        let content = content_key(&plan, progress)?;
        let mut tokenizer = open_tokenizer(config, &plan, &cache, &content, progress)?;
        let json = tokenizer.to_json().unwrap_or_else(|| "bytes".to_owned());
        let key = key_of(&[&content, &json, &format!("{} {}", plan.share, plan.document)]);
        let file = |split: &str| cache.join(format!("{key}.{split}.tokens"));
        let (train_file, validation_file) = (file("train"), file("validation"));
        let opened = || Some((Tokens::open(&train_file)?, Tokens::open(&validation_file)?));
        let (train, validation) = match opened() {
            Some(both) => both,
            None => {
                tokenise(&plan, &tokenizer, [&train_file, &validation_file], progress)?;
                opened().with_context(|| format!("the token files {key} in {} can't be read back", cache.display()))?
            }
        };
        // Behind the text's own tokens, so that the token files serve every objective.
        let vocabulary = tokenizer.add_special_tokens(&config.objective.special_tokens(config.model.context))?;
        let needed = config.model.context + 1;
        for (name, tokens, remedy) in [
            ("training", &train, "give more text with data.path"),
            (
                "validation",
                &validation,
                "it is cut off by whole documents: give more of them, raise data.validation_share or give data.validation_path",
            ),
        ] {
            if tokens.len() < needed {
                let n = tokens.len();
                return Err(DataError::new(format!(
                    "data.path: the {name} text has {n} tokens, one sequence needs {needed}; {remedy}, or lower model.context"
                ))
                .into());
            }
        }
        let passed = if others > 0 { format!(", {others} other files passed over") } else { String::new() };
        let about = format!(
            "{}, {} files, {} training and {} validation tokens, vocabulary {}{passed}",
            config.data.path,
            plan.train.len() + plan.validation.len(),
            train.len(),
            validation.len(),
            vocabulary.size
        );
        Ok(Self { tokenizer, vocabulary, train, validation, about, key })
    }
}

fn cache_dir(configured: &str) -> Result<PathBuf> {
    use etcetera::BaseStrategy;
    if !configured.is_empty() {
        return Ok(PathBuf::from(configured));
    }
    let base =
        etcetera::choose_base_strategy().context("finding the user's cache directory; set data.cache instead")?;
    Ok(base.cache_dir().join("raptr-tui").join("tokens"))
}

fn key_of(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    hex(&sha.finalize()[..12])
}

/// Checksum of all files' contents in order and of how each is read; their names don't matter otherwise.
fn content_key(plan: &Plan, progress: OnProgress<'_>) -> Result<String> {
    let mut sha = Sha256::new();
    let mut done = 0;
    let mut buffer = vec![0; 1 << 20];
    for (part, files) in [&plan.train, &plan.validation].into_iter().enumerate() {
        for file in files {
            let unreadable = |e| DataError::new(format!("{} can't be read: {e}", file.display()));
            sha.update([part as u8]);
            sha.update(format!("{:?}", documents::kind(file)));
            sha.update(fs::metadata(file).map_err(unreadable)?.len().to_le_bytes());
            let mut reader = fs::File::open(file).map_err(unreadable)?;
            loop {
                let n = std::io::Read::read(&mut reader, &mut buffer).map_err(unreadable)?;
                if n == 0 {
                    break;
                }
                sha.update(&buffer[..n]);
                done += n as u64;
                report(progress, Progress { what: "reading", done, total: plan.bytes })?;
            }
        }
    }
    Ok(hex(&sha.finalize()))
}

/// The tokenizer that the config asks for; one that is trained is kept in the cache.
fn open_tokenizer(
    config: &RunConfig,
    plan: &Plan,
    cache: &Path,
    content: &str,
    progress: OnProgress<'_>,
) -> Result<TextTokenizer> {
    let kind = Kind::of(&config.data.tokenizer);
    match kind {
        Kind::Bytes => return Ok(TextTokenizer::Bytes),
        Kind::File(file) => return TextTokenizer::load(file),
        Kind::Bpe | Kind::WordPiece => {}
    }
    let vocabulary = config.data.vocabulary;
    let key = key_of(&[content, &config.data.tokenizer, &format!("{vocabulary} {} {}", plan.share, plan.document)]);
    let file = cache.join(format!("{key}.tokenizer.json"));
    if let Some(known) = fs::read(&file).ok().and_then(|bytes| TextTokenizer::from_json(&bytes).ok()) {
        return Ok(known);
    }
    // Every n-th training document, so that the sample is spread over the corpus.
    let every = plan.bytes.div_ceil(SAMPLE_BYTES).max(1);
    let (mut sample, mut index) = (Vec::new(), 0u64);
    plan.each(&mut |text, split, done| {
        report(progress, Progress { what: "sampling", done, total: plan.bytes })?;
        if split == Split::Train {
            if index.is_multiple_of(every) {
                sample.push(text);
            }
            index += 1;
        }
        Ok(())
    })?;
    let trained = train_tokenizer(kind == Kind::WordPiece, sample, vocabulary, progress)?;
    if let Some(json) = trained.to_json() {
        let draft = file.with_extension(format!("unfinished-{}", std::process::id()));
        fs::write(&draft, json).with_context(|| format!("writing {}", draft.display()))?;
        fs::rename(&draft, &file).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(trained)
}

/// Trains a tokenizer beside this thread, which goes on asking whether it should stop: the training itself can't be
/// interrupted, but it can be left behind.
fn train_tokenizer(
    is_wordpiece: bool,
    sample: Vec<String>,
    vocabulary: usize,
    progress: OnProgress<'_>,
) -> Result<TextTokenizer> {
    let (sender, trained) = std::sync::mpsc::channel();
    rayon::spawn(move || {
        let train = if is_wordpiece { TextTokenizer::train_wordpiece } else { TextTokenizer::train_bpe };
        // A panic here would end the process; without an answer the other side says so.
        if let Ok(tokenizer) = std::panic::catch_unwind(|| train(&sample, vocabulary)) {
            // Nobody may be left to want it.
            let _ = sender.send(tokenizer);
        }
    });
    loop {
        report(progress, Progress { what: "training the tokenizer", done: 0, total: 0 })?;
        match trained.recv_timeout(Duration::from_millis(100)) {
            Ok(tokenizer) => return tokenizer,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("training the tokenizer failed without a word"),
        }
    }
}

/// Writes both splits' tokens, `[training, validation]`.
fn tokenise(plan: &Plan, tokenizer: &TextTokenizer, files: [&Path; 2], progress: OnProgress<'_>) -> Result<()> {
    let vocabulary = tokenizer.vocabulary().size;
    let mut writers = [Writer::create(files[0], vocabulary)?, Writer::create(files[1], vocabulary)?];
    let mut chunk: Vec<(String, Split)> = Vec::new();
    let mut chunk_bytes = 0;
    let end = tokenizer.end_of_text();
    let mut flush = |chunk: &mut Vec<(String, Split)>| -> Result<()> {
        let encoded: Result<Vec<Vec<u32>>> = chunk.par_iter().map(|(text, _)| tokenizer.encode(text)).collect();
        for (mut tokens, (_, split)) in encoded?.into_iter().zip(chunk.drain(..)) {
            tokens.extend(end);
            writers[usize::from(split == Split::Validation)].write(&tokens)?;
        }
        Ok(())
    };
    let done = plan.each(&mut |text, split, done| {
        chunk_bytes += text.len();
        chunk.push((text, split));
        if chunk_bytes >= CHUNK_BYTES {
            chunk_bytes = 0;
            flush(&mut chunk)?;
            report(progress, Progress { what: "tokenising", done, total: plan.bytes })?;
        }
        Ok(())
    });
    match done.and_then(|()| flush(&mut chunk)) {
        Ok(()) => writers.into_iter().try_for_each(Writer::finish),
        Err(error) => {
            writers.into_iter().for_each(Writer::discard);
            Err(error)
        }
    }
}

impl Corpus for Text {
    fn about(&self) -> String {
        self.about.clone()
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn checksum(&self) -> String {
        self.key.clone()
    }

    fn sequence(&self, split: Split, rng: &mut Rng, out: &mut [u32]) {
        let tokens = if split == Split::Train { &self.train } else { &self.validation };
        // `open` saw to it that a sequence fits.
        let starts = (tokens.len() - out.len() + 1) as u64;
        tokens.copy(rng.below(starts) as usize, out);
    }

    fn decode(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens)
    }

    fn tokenizer_json(&self) -> Option<String> {
        self.tokenizer.to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use crate::rng::{Purpose, keyed};
    use std::ops::ControlFlow;

    fn config(dir: &Path, tokenizer: &str) -> RunConfig {
        let mut c = RunConfig::default();
        c.model.context = 8;
        c.data.source = Source::Text;
        c.data.path = dir.join("text").display().to_string();
        c.data.cache = dir.join("cache").display().to_string();
        c.data.tokenizer = tokenizer.to_owned();
        c.data.vocabulary = 300;
        c
    }

    fn corpus_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("text")).unwrap();
        let paragraph =
            |i: usize| format!("Paragraph number {i} tells of the sea, the ship and the {}th whale.\n\n", i * 7 % 31);
        for (name, range) in [("a.txt", 0..300), ("b.md", 300..500)] {
            fs::write(dir.path().join("text").join(name), range.map(paragraph).collect::<String>()).unwrap();
        }
        dir
    }

    fn open(config: &RunConfig) -> Result<Text> {
        Text::open(config, &mut |_| ControlFlow::Continue(()))
    }

    #[test]
    fn splits_share_no_document_and_hold_all_text() {
        let dir = corpus_dir();
        let text = open(&config(dir.path(), "bytes")).unwrap();
        let all = |tokens: &Tokens| {
            let mut out = vec![0; tokens.len()];
            tokens.copy(0, &mut out);
            text.decode(&out)
        };
        let numbers = |text: &str| -> std::collections::HashSet<String> {
            text.split("number ").skip(1).map(|s| s.split(' ').next().unwrap().to_owned()).collect()
        };
        let (train, validation) = (numbers(&all(&text.train)), numbers(&all(&text.validation)));
        assert!(train.is_disjoint(&validation) && train.len() + validation.len() == 500);
        let share = validation.len() as f64 / 500.0;
        assert!((share - 0.05).abs() < 0.03, "{share}");
    }

    #[test]
    fn the_second_time_nothing_is_tokenised_and_a_damaged_cache_is_rebuilt() {
        let dir = corpus_dir();
        for tokenizer in ["bpe", "wordpiece", "bytes"] {
            let c = config(dir.path(), tokenizer);
            let what = |c: &RunConfig| {
                let mut seen = Vec::new();
                let text = Text::open(c, &mut |p| {
                    seen.push(p.what.to_owned());
                    ControlFlow::Continue(())
                });
                (seen, text.unwrap().checksum())
            };
            let (_, key) = what(&c);
            let (again, same) = what(&c);
            assert_eq!(key, same);
            assert!(again.iter().all(|w| w == "reading"), "{again:?}");
            let file = Path::new(&c.data.cache).join(format!("{key}.train.tokens"));
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
            assert_eq!(open(&c).unwrap().train.len() * 2 + 32, bytes.len());
        }
    }

    #[test]
    fn a_changed_text_is_another_corpus() {
        let dir = corpus_dir();
        let c = config(dir.path(), "bytes");
        let key = open(&c).unwrap().checksum();
        fs::write(dir.path().join("text/c.txt"), "more").unwrap();
        assert_ne!(open(&c).unwrap().checksum(), key);
    }

    #[test]
    fn equal_bytes_read_in_another_way_are_another_corpus() {
        let dir = corpus_dir();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let lines: String = (0..3000).map(|i| format!("{{\"text\":\"line {i}\"}}\n")).collect();
        let mut c = config(dir.path(), "bytes");
        c.data.validation_share = 0.3;
        let mut key = |name: &str| {
            fs::write(file(name), &lines).unwrap();
            c.data.path = file(name);
            open(&c).unwrap().checksum()
        };
        assert_ne!(key("a.jsonl"), key("a.txt"));
        assert_eq!(key("a.txt"), key("b.txt"));
    }

    #[test]
    fn sequences_are_windows_of_their_split() {
        let dir = corpus_dir();
        let text = open(&config(dir.path(), "bytes")).unwrap();
        let mut whole = vec![0; text.validation.len()];
        text.validation.copy(0, &mut whole);
        for index in 0..50 {
            let mut out = [0; 9];
            text.sequence(Split::Validation, &mut keyed(1, Purpose::EvaluationBatch, 0, index), &mut out);
            assert!(whole.windows(9).any(|w| w == out));
        }
    }

    #[test]
    fn too_little_text_and_interruption_are_said() {
        let dir = corpus_dir();
        let mut c = config(dir.path(), "bytes");
        c.model.context = 100_000;
        let error = open(&c).err().unwrap();
        assert!(error.is::<DataError>() && error.to_string().contains("one sequence needs 100001"), "{error}");
        let error = Text::open(&config(dir.path(), "bpe"), &mut |_| ControlFlow::Break(())).err().unwrap();
        assert!(error.is::<super::super::Interrupted>());
        let left = fs::read_dir(&c.data.cache)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().to_string_lossy().contains("unfinished"));
        assert_eq!(left.count(), 0);
    }
}
