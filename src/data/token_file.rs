//! Token files: tokens on disk, mapped into memory, so that a corpus may be larger than memory.
//!
//! A header of 32 bytes (magic, bytes per token, count, checksum), then the tokens, little endian, two bytes each where
//! the vocabulary allows. Written under another name, synced and renamed: a file of the right name is whole.
#![allow(unsafe_code)] // one memory map

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use memmap2::Mmap;

const MAGIC: &[u8; 8] = b"RAPTRTK2";
const HEADER: usize = 32;

/// A checksum that goes on with one more token (FNV-1a, a token at a time): it finds damage, not malice.
fn checked(sum: u64, token: u32) -> u64 {
    (sum ^ u64::from(token)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The checksum of no tokens.
const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

fn header(width: u64, count: u64, sum: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&width.to_le_bytes());
    bytes[16..24].copy_from_slice(&count.to_le_bytes());
    bytes[24..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Writes a token file.
pub struct Writer {
    out: BufWriter<File>,
    draft: PathBuf,
    file: PathBuf,
    width: u64,
    count: u64,
    sum: u64,
}

impl Writer {
    /// Begins a file for tokens below `vocabulary`.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn create(file: &Path, vocabulary: usize) -> Result<Self> {
        // Two processes may prepare the same text at once.
        let draft = file.with_extension(format!("unfinished-{}", std::process::id()));
        let out = File::create(&draft).with_context(|| format!("making {}", draft.display()))?;
        let mut out = BufWriter::with_capacity(1 << 20, out);
        out.write_all(&[0; HEADER]).with_context(|| format!("writing {}", draft.display()))?;
        let width = if vocabulary <= 1 << 16 { 2 } else { 4 };
        Ok(Self { out, draft, file: file.to_owned(), width, count: 0, sum: EMPTY })
    }

    /// Adds tokens.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn write(&mut self, tokens: &[u32]) -> Result<()> {
        self.count += tokens.len() as u64;
        self.sum = tokens.iter().fold(self.sum, |sum, &token| checked(sum, token));
        let mut put = |bytes: &[u8]| self.out.write_all(bytes);
        let written = tokens
            .iter()
            .try_for_each(|&t| if self.width == 2 { put(&(t as u16).to_le_bytes()) } else { put(&t.to_le_bytes()) });
        written.with_context(|| format!("writing {}", self.draft.display()))
    }

    /// Makes the file durable under its name.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn finish(self) -> Result<()> {
        use std::io::Seek;
        let name = self.draft.clone();
        let finish = || -> Result<()> {
            let mut file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            file.rewind()?;
            file.write_all(&header(self.width, self.count, self.sum))?;
            file.sync_all()?;
            fs::rename(&self.draft, &self.file)?;
            Ok(())
        };
        finish().with_context(|| format!("writing {}", name.display()))
    }

    /// Gives up; the draft is removed.
    pub fn discard(self) {
        drop(self.out);
        let _ = fs::remove_file(self.draft);
    }
}

/// A token file, mapped.
pub struct Tokens {
    map: Mmap,
    width: usize,
    count: usize,
}

impl Tokens {
    /// Opens a token file; none if it isn't there, isn't whole or is damaged. Reads it once, for the checksum: a token that
    /// the model has no row for must not come out of it.
    pub fn open(file: &Path) -> Option<Self> {
        let f = File::open(file).ok()?;
        // SAFETY: a mapped file must not be changed by anyone while it is mapped. Ours are written once under another
        // name and then only renamed, never written again; a reader of bytes tolerates any content.
        let map = unsafe { Mmap::map(&f) }.ok()?;
        let number = |at: usize| map.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        if map.get(..8)? != MAGIC {
            return None;
        }
        let (width, count) = (usize::try_from(number(8)?).ok()?, usize::try_from(number(16)?).ok()?);
        let is_whole = matches!(width, 2 | 4) && count.checked_mul(width)?.checked_add(HEADER)? == map.len();
        let sum = number(24)?;
        let tokens = is_whole.then_some(Self { map, width, count })?;
        (tokens.checksum() == sum).then_some(tokens)
    }

    fn checksum(&self) -> u64 {
        let bytes = &self.map[HEADER..];
        if self.width == 2 {
            bytes.chunks_exact(2).fold(EMPTY, |sum, b| checked(sum, u32::from(u16::from_le_bytes([b[0], b[1]]))))
        } else {
            bytes.chunks_exact(4).fold(EMPTY, |sum, b| checked(sum, u32::from_le_bytes([b[0], b[1], b[2], b[3]])))
        }
    }

    /// How many tokens it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Copies tokens from `start` on.
    ///
    /// # Panics
    /// If there aren't that many.
    pub fn copy(&self, start: usize, out: &mut [u32]) {
        assert!(start + out.len() <= self.count, "tokens {start}..{} of {}", start + out.len(), self.count);
        let bytes = &self.map[HEADER + start * self.width..];
        if self.width == 2 {
            for (o, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *o = u32::from(u16::from_le_bytes([b[0], b[1]]));
            }
        } else {
            for (o, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                *o = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_in_both_widths_and_a_cut_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        for (vocabulary, highest) in [(1 << 16, 65_535), (1 << 17, 100_000)] {
            let file = dir.path().join(format!("{vocabulary}.tokens"));
            let mut writer = Writer::create(&file, vocabulary).unwrap();
            writer.write(&[1, 2, 3]).unwrap();
            writer.write(&[highest, 5]).unwrap();
            assert!(Tokens::open(&file).is_none(), "not there before it is finished");
            writer.finish().unwrap();
            let tokens = Tokens::open(&file).unwrap();
            let mut out = [0; 3];
            tokens.copy(2, &mut out);
            assert_eq!((tokens.len(), out), (5, [3, highest, 5]));
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
            assert!(Tokens::open(&file).is_none());
            for at in [9, 17, 25, HEADER, bytes.len() - 1] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x40;
                fs::write(&file, damaged).unwrap();
                assert!(Tokens::open(&file).is_none(), "byte {at} of {} is damaged", bytes.len());
            }
        }
    }
}
