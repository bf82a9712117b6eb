//! Documents: what text files hold, one after the other, however large.
//!
//! A line of a `.jsonl` (its field `text`) is a document; a `.txt` or `.md` is cut into documents at blank lines, so that
//! one large book still divides into training and validation text. `.gz` and `.zst` are unpacked on the way. Nothing is
//! held but the document at hand.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::DataError;

/// What can be read, without the ending of a packed file.
const ENDINGS: [&str; 3] = ["txt", "md", "jsonl"];
const PACKED: [&str; 2] = ["gz", "zst"];

/// The text files that a path names: itself, or those below it, sorted by name; and how many other files stand there.
///
/// # Errors
/// [`DataError`] if there is no such path or no text below it.
pub fn files(path: &Path) -> Result<(Vec<PathBuf>, usize)> {
    let name = path.display();
    let meta = fs::metadata(path).map_err(|e| DataError::new(format!("data.path: {name} can't be read: {e}")))?;
    if meta.is_file() {
        // A file that was named is taken as text whatever it is called.
        return Ok((vec![path.to_owned()], 0));
    }
    let (mut found, mut others) = (Vec::new(), 0);
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let unreadable = |e: io::Error| DataError::new(format!("data.path: {} can't be listed: {e}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            if entry.is_dir() {
                folders.push(entry);
            } else if ending(&entry).is_some() {
                found.push(entry);
            } else {
                others += 1;
            }
        }
    }
    if found.is_empty() {
        return Err(DataError::new(format!(
            "data.path: {name} holds no text; .txt, .md and .jsonl are read, also with .gz or .zst behind"
        ))
        .into());
    }
    found.sort();
    Ok((found, others))
}

/// How a file is read: the kind of text, if its name has one of the known endings, and the kind of packing, if any.
pub fn kind(file: &Path) -> (Option<&'static str>, Option<&'static str>) {
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or("").to_lowercase();
    let mut parts = name.rsplit('.');
    let last = parts.next().unwrap_or("");
    let packed = PACKED.into_iter().find(|p| *p == last);
    let last = if packed.is_some() { parts.next().unwrap_or("") } else { last };
    (ENDINGS.into_iter().find(|e| *e == last), packed)
}

fn ending(file: &Path) -> Option<&'static str> {
    kind(file).0
}

/// Counts the bytes that were read from a file.
struct Counted {
    file: File,
    count: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.count.set(self.count.get() + n as u64);
        Ok(n)
    }
}

/// Frame after frame of a zstd file, as `zstd` and `pzstd` write them.
enum Zst<R: BufRead> {
    Frame(Box<StreamingDecoder<R, FrameDecoder>>),
    Between(R),
    Taken,
}

impl<R: BufRead> Read for Zst<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Self::Taken) {
                Self::Frame(mut frame) => {
                    let n = frame.read(buffer)?;
                    if n > 0 || buffer.is_empty() {
                        *self = Self::Frame(frame);
                        return Ok(n);
                    }
                    *self = Self::Between(frame.into_inner());
                }
                Self::Between(mut reader) => {
                    if reader.fill_buf()?.is_empty() {
                        *self = Self::Between(reader);
                        return Ok(0);
                    }
                    *self = Self::Frame(Box::new(StreamingDecoder::new(reader).map_err(io::Error::other)?));
                }
                // Left behind by an error.
                Self::Taken => return Ok(0),
            }
        }
    }
}

/// Opens a file for reading, unpacked. `count` goes up by the bytes that are taken from the disk.
fn open(file: &Path, count: &Rc<Cell<u64>>) -> io::Result<Box<dyn BufRead>> {
    let raw = BufReader::with_capacity(1 << 16, Counted { file: File::open(file)?, count: count.clone() });
    Ok(match kind(file).1 {
        Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(raw))),
        Some("zst") => Box::new(BufReader::new(Zst::Between(raw))),
        _ => Box::new(raw),
    })
}

/// Hands every document of the files to `take`, in order, with the bytes read from disk so far. Documents of plain text
/// are `size` bytes or longer, up to the next blank line.
///
/// # Errors
/// [`DataError`] naming file and line if something can't be read; whatever `take` returns.
pub fn each(files: &[PathBuf], size: usize, take: &mut dyn FnMut(String, u64) -> Result<()>) -> Result<()> {
    let count = Rc::new(Cell::new(0));
    for file in files {
        let bad = |line: usize, why: String| DataError::new(format!("{}, line {line}: {why}", file.display()));
        let mut reader =
            open(file, &count).map_err(|e| DataError::new(format!("{} can't be read: {e}", file.display())))?;
        let is_jsonl = ending(file) == Some("jsonl");
        // A line of JSON is a document; a line of plain text may be a whole book, and is taken in pieces.
        let piece = if is_jsonl { u64::MAX } else { 8 * size as u64 };
        let (mut text, mut line, mut number, mut taken) = (String::new(), Vec::new(), 1, 0);
        loop {
            let n = (&mut reader).take(piece).read_until(b'\n', &mut line).map_err(|e| bad(number, e.to_string()))?;
            if n == 0 && line.is_empty() {
                break;
            }
            let whole = match std::str::from_utf8(&line) {
                Ok(utf8) => utf8.len(),
                // A piece may end within a character; the next one has its rest.
                Err(e) if e.error_len().is_none() && n > 0 && line.last() != Some(&b'\n') => e.valid_up_to(),
                Err(e) => {
                    let at = taken + e.valid_up_to() + 1;
                    return Err(bad(number, format!("not UTF-8 at byte {at} of the line")).into());
                }
            };
            let rest = line.split_off(whole);
            // Just found valid.
            let utf8 = std::str::from_utf8(&line).unwrap_or_default();
            let utf8 = if number == 1 && taken == 0 { utf8.trim_start_matches('\u{feff}') } else { utf8 };
            let is_blank = taken == 0 && utf8.ends_with('\n') && utf8.trim().is_empty();
            if is_jsonl {
                if !utf8.trim().is_empty() {
                    take(json_text(utf8).map_err(|why| bad(number, why))?, count.get())?;
                }
            } else {
                text.push_str(utf8);
                // Text without blank lines is cut once it is far too long.
                if (is_blank && text.len() >= size) || text.len() >= 8 * size {
                    take(std::mem::take(&mut text), count.get())?;
                }
            }
            (number, taken) = if utf8.ends_with('\n') { (number + 1, 0) } else { (number, taken + line.len()) };
            line = rest;
        }
        if !text.trim().is_empty() {
            take(text, count.get())?;
        }
    }
    Ok(())
}

/// The field `text` of a line of JSON.
fn json_text(line: &str) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct Line {
        text: String,
    }
    serde_json::from_str::<Line>(line).map(|l| l.text).map_err(|e| format!("no JSON object with a field `text`: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn collect(files: &[PathBuf], size: usize) -> Result<Vec<String>> {
        let mut all = Vec::new();
        each(files, size, &mut |document, _| {
            all.push(document);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn files_are_found_by_ending_and_sorted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["z.txt", "a.md", "b/c.jsonl.gz", "b/d.TXT.zst", "picture.png", "x.tar.gz"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let (found, others) = files(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|f| f.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!((names, others), (vec!["a.md", "b/c.jsonl.gz", "b/d.TXT.zst", "z.txt"], 2));
        assert!(files(Path::new("no/such")).unwrap_err().is::<DataError>());
        let empty = tempfile::tempdir().unwrap();
        assert!(files(empty.path()).unwrap_err().to_string().contains("holds no text"));
    }

    #[test]
    fn plain_text_is_cut_at_blank_lines_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        let text = "one one\none\n\ntwo\n\nthree three three\n";
        fs::write(&file, text).unwrap();
        let documents = collect(&[file], 10).unwrap();
        assert_eq!(documents, ["one one\none\n\n", "two\n\nthree three three\n"]);
        assert_eq!(documents.concat(), text);
    }

    #[test]
    fn one_endless_line_is_taken_in_pieces_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        // Characters of three bytes: pieces of 8 * 10 bytes end within them.
        let text = "日本語".repeat(100);
        fs::write(&file, &text).unwrap();
        let documents = collect(std::slice::from_ref(&file), 10).unwrap();
        assert_eq!(documents.concat(), text);
        assert!(documents.iter().all(|d| d.len() <= 3 * 80), "{:?}", documents.iter().map(String::len));
        // A file that ends within a character, and a wrong byte behind the first piece.
        fs::write(&file, &text.as_bytes()[..899]).unwrap();
        let error = collect(std::slice::from_ref(&file), 10).unwrap_err().to_string();
        assert!(error.contains("line 1: not UTF-8 at byte 898 of the line"), "{error}");
        let mut bytes = text.into_bytes();
        bytes[300] = 0xff;
        fs::write(&file, bytes).unwrap();
        let error = collect(&[file], 10).unwrap_err().to_string();
        assert!(error.contains("line 1: not UTF-8 at byte 301 of the line"), "{error}");
    }

    #[test]
    fn packed_files_read_as_plain_ones() {
        let dir = tempfile::tempdir().unwrap();
        let gz = dir.path().join("a.jsonl.GZ");
        let mut packer = flate2::write::GzEncoder::new(File::create(&gz).unwrap(), flate2::Compression::fast());
        packer.write_all(b"{\"text\":\"one\",\"id\":1}\n\n{\"text\":\"two\\nlines\"}\n").unwrap();
        packer.finish().unwrap();
        assert_eq!(collect(&[gz], 10).unwrap(), ["one", "two\nlines"]);
        // Two zstd frames, one after the other.
        let zst = dir.path().join("b.txt.zst");
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let mut bytes = ruzstd::encoding::compress_to_vec(&b"first\n"[..], level);
        bytes.extend(ruzstd::encoding::compress_to_vec(&b"second\n"[..], level));
        fs::write(&zst, bytes).unwrap();
        assert_eq!(collect(&[zst], 100).unwrap(), ["first\nsecond\n"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes, expected) in [
            ("a.txt", &b"good\nbad \xff\n"[..], "a.txt, line 2: not UTF-8 at byte 5"),
            ("b.jsonl", b"{\"text\":\"x\"}\n{\"txt\":1}\n", "b.jsonl, line 2: no JSON object"),
            ("c.txt.gz", b"this is no gzip", "c.txt.gz, line 1"),
            ("d.txt.zst", b"this is no zstd", "d.txt.zst, line 1"),
        ] {
            let file = dir.path().join(name);
            fs::write(&file, bytes).unwrap();
            let error = collect(&[file], 10).unwrap_err();
            assert!(error.is::<DataError>() && error.to_string().contains(expected), "{error}");
        }
    }
}
