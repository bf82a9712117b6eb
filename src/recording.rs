//! The recording: a run's event log, one JSON object per line.
//!
//! Owns the file's form. It is written on the trainer's side before an event goes anywhere else, line by line, so it is
//! whole up to the last event even if everything dies; a torn last line is taken as the end, a torn line before it is an
//! error that names it. Never interprets the events, but for one: a `resumed` event takes back those of a lost branch.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::event::{Event, FORMAT, Stamped, Started};
use crate::layer_path::LayerPath;

/// The recording's name inside a run's directory.
pub const FILE: &str = "events.jsonl";

/// The longest first line that is read by itself: a `started` event with its config.
const LONGEST_HEAD: u64 = 1 << 20;

/// Recordings that ship in `recordings/`.
pub static SHIPPED: &[&str] = &[
    "recordings/quickstart.jsonl",
    "recordings/steered.jsonl",
    "recordings/polynomial.jsonl",
    "recordings/depth-matters.jsonl",
    "recordings/bert-small.jsonl",
    "recordings/ul2-small.jsonl",
];

/// A recording that can't be read.
#[derive(Debug)]
pub struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// Appends events to a recording.
pub struct Writer {
    file: File,
    name: PathBuf,
}

impl Writer {
    /// Begins a recording.
    ///
    /// # Errors
    /// If there is one already or the file can't be made.
    pub fn create(dir: &Path) -> Result<Self> {
        let name = dir.join(FILE);
        let file = OpenOptions::new().append(true).create_new(true).open(&name);
        Ok(Self { file: file.with_context(|| format!("making {}", name.display()))?, name })
    }

    /// Goes on with a recording; a torn last line is cut off first.
    ///
    /// # Errors
    /// If the file can't be opened or cut.
    pub fn append(dir: &Path) -> Result<Self> {
        let name = dir.join(FILE);
        let bytes = std::fs::read(&name).with_context(|| format!("reading {}", name.display()))?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let file =
            OpenOptions::new().append(true).open(&name).with_context(|| format!("opening {}", name.display()))?;
        file.set_len(whole as u64).with_context(|| format!("cutting {}", name.display()))?;
        Ok(Self { file, name })
    }

    /// Adds one event in a single write.
    ///
    /// # Errors
    /// If it can't be written, as on a full disk.
    pub fn write(&mut self, stamped: &Stamped) -> Result<()> {
        let mut line = serde_json::to_vec(stamped)?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("writing {}", self.name.display()))
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().with_context(|| format!("writing {}", self.name.display()))
    }
}

/// Every event of a recording, in the order of writing.
///
/// # Errors
/// [`Unreadable`], naming the file and the line.
pub fn read(file: &Path) -> Result<Vec<Stamped>> {
    let mut events = Vec::new();
    each(file, &mut |stamped| events.push(stamped))?;
    Ok(events)
}

/// Hands out every event of a recording, in the order of writing, one at a time. Returns how many bytes they take up: what
/// lies behind them is torn.
///
/// # Errors
/// [`Unreadable`], naming the file and the line.
pub fn each(file: &Path, take: &mut dyn FnMut(Stamped)) -> Result<u64> {
    let unreadable = |why: String| Unreadable(format!("{}: {why}", file.display()));
    let cannot = |e: std::io::Error| unreadable(format!("can't be read: {e}"));
    let mut reader = BufReader::with_capacity(1 << 18, File::open(file).map_err(cannot)?);
    let (mut line, mut number, mut is_first, mut whole) = (Vec::new(), 0, true, 0);
    let mut torn: Option<(usize, String)> = None;
    let mut read = 0;
    while reader.read_until(b'\n', &mut line).map_err(cannot)? > 0 {
        number += 1;
        if !line.iter().all(u8::is_ascii_whitespace) {
            if let Some((number, why)) = torn {
                return Err(unreadable(format!("line {number} is damaged: {why}")).into());
            }
            match parse(&line) {
                Ok(stamped) => {
                    if std::mem::take(&mut is_first) {
                        check_first(&stamped.event).map_err(unreadable)?;
                    }
                    take(stamped);
                    whole = read + line.len() as u64;
                }
                Err(e) => torn = Some((number, e.to_string())),
            }
        }
        read += line.len() as u64;
        line.clear();
    }
    match (is_first, torn) {
        (true, Some(_)) => Err(unreadable("is no recording: its first line is damaged".to_owned()).into()),
        (true, None) => Err(unreadable("is empty".to_owned()).into()),
        _ => Ok(whole),
    }
}

/// How a recording begins, and how many bytes of it tell that; no more is read.
///
/// # Errors
/// If the file can't be opened, or is no recording.
pub fn head(file: &Path) -> Result<(Started, u64)> {
    let mut line = Vec::new();
    let opened = File::open(file).with_context(|| format!("opening {}", file.display()))?;
    BufReader::new(opened).take(LONGEST_HEAD).read_until(b'\n', &mut line)?;
    let first = serde_json::from_slice(&line).with_context(|| format!("{} is no recording", file.display()))?;
    let Stamped { event: Event::Started(started), .. } = first else {
        bail!("{} doesn't begin with a `started` event", file.display());
    };
    Ok((*started, line.len() as u64))
}

/// What a recording begins with.
fn check_first(event: &Event) -> Result<(), String> {
    match event {
        Event::Started(started) if started.format > FORMAT => {
            Err(format!("has format {}; this version reads up to {FORMAT}", started.format))
        }
        Event::Started(_) => Ok(()),
        _ => Err("is no recording: it doesn't begin with a `started` event".to_owned()),
    }
}

/// A step as it is written: nearly every line is one.
#[derive(Deserialize)]
struct SteppedLine {
    seq: u64,
    us: u64,
    step: u64,
    stage: usize,
    path: LayerPath,
    loss: f32,
    learning_rate: f32,
    gradient_norm: f32,
}

/// An event from its line. A tagged enum is read in two passes, through a copy of every value; steps have a way of their
/// own around that.
fn parse(line: &[u8]) -> serde_json::Result<Stamped> {
    const MARK: &[u8] = b"\"event\":\"stepped\"";
    if line[..line.len().min(96)].windows(MARK.len()).any(|w| w == MARK)
        && let Ok(line) = serde_json::from_slice::<SteppedLine>(line)
    {
        let SteppedLine { seq, us, step, stage, path, loss, learning_rate, gradient_norm } = line;
        return Ok(Stamped {
            seq,
            us,
            event: Event::Stepped { step, stage, path, loss, learning_rate, gradient_norm },
        });
    }
    serde_json::from_slice(line)
}

/// Reads a recording while somebody writes it: what has come since.
pub struct Follower {
    file: File,
    /// A line that has no end yet.
    torn: Vec<u8>,
}

impl Follower {
    /// Of a recording, behind its first bytes, so many as [`each`] has read.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn open(name: &Path, behind: u64) -> Result<Self> {
        let mut file = File::open(name).with_context(|| format!("opening {}", name.display()))?;
        file.seek(SeekFrom::Start(behind))?;
        Ok(Self { file, torn: Vec::new() })
    }

    /// The events whose lines have come to their end since; a line that is torn is waited for.
    ///
    /// # Errors
    /// If the file can't be read, or a line of it is no event.
    pub fn read(&mut self) -> Result<Vec<Stamped>> {
        self.file.read_to_end(&mut self.torn).context("reading a recording that is being written")?;
        let whole = self.torn.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.torn.drain(..whole).collect();
        let lines = lines.split(|&b| b == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
        lines.map(|line| parse(line).context("a line of the recording is damaged")).collect()
    }
}

/// The recording that a person means: a file, or a run's directory.
pub fn file_of(name: &Path) -> PathBuf {
    if name.is_dir() { name.join(FILE) } else { name.to_owned() }
}

/// The events that hold: what a later `resumed` event took back is left out.
pub fn effective(events: &[Stamped]) -> Vec<Stamped> {
    let mut kept: Vec<Stamped> = Vec::with_capacity(events.len());
    for stamped in events {
        if let Event::Resumed { keep, .. } = stamped.event {
            kept.retain(|s| s.seq < keep);
        }
        kept.push(stamped.clone());
    }
    kept
}

/// The events that hold and that the run itself trained, a fork's own from where it was forked, behind its `started`.
pub fn own(events: &[Stamped]) -> Vec<Stamped> {
    let mut held = effective(events);
    if let Some(at) = held.iter().rposition(|s| matches!(s.event, Event::Forked(_))) {
        held.drain(1.min(at)..at);
    }
    held
}

/// How many of a recording's events hold when a run goes on from a checkpoint that was written after `written` events:
/// those, and the one that told of the checkpoint if it got into the recording.
pub fn keep(events: &[Stamped], written: u64, file: &str) -> u64 {
    let told = effective(events)
        .into_iter()
        .any(|s| s.seq == written && matches!(&s.event, Event::Saved { file: f, .. } if f == file));
    written + u64::from(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Command;

    fn applied(seq: u64) -> Stamped {
        Stamped { seq, us: seq * 10, event: Event::Applied { step: seq, command: Command::Pause } }
    }

    fn started() -> String {
        let event = serde_json::json!({"seq":0,"us":0,"event":"started","format":1,"version":"","run":"","method":"raptr",
            "objective":"causal","device":"","data":"","schedule":{"layers":1,"stages":[]},"parameters":1,
            "tokens_per_step":1,"layer_flops":1.0,"fixed_flops":1.0,"floor":null,"data_checksum":"","weights":"",
            "config":""});
        event.to_string()
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join(FILE);
        std::fs::write(&name, text).unwrap();
        (dir, name)
    }

    #[test]
    fn events_read_back_and_a_torn_tail_is_the_end() {
        let line = serde_json::to_string(&applied(1)).unwrap();
        let (dir, name) = file(&format!("{}\n{line}\n{{\"seq\":2,\"us", started()));
        assert_eq!(read(&name).unwrap()[1..], [applied(1)]);
        let mut writer = Writer::append(dir.path()).unwrap();
        writer.write(&applied(2)).unwrap();
        assert_eq!(read(&name).unwrap()[1..], [applied(1), applied(2)]);
    }

    #[test]
    fn steps_are_read_to_the_same_bits_as_any_other_event() {
        for name in SHIPPED {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
            for line in text.lines() {
                let (quick, plain): (_, Stamped) =
                    (parse(line.as_bytes()).unwrap(), serde_json::from_str(line).unwrap());
                // Text, for equal floats could have other bits.
                assert_eq!(serde_json::to_string(&quick).unwrap(), serde_json::to_string(&plain).unwrap());
                assert_eq!(quick, plain);
            }
        }
        let odd =
            r#"{"seq":1,"us":2,"event":"applied","step":3,"command":{"command":"stop"},"x":"\"event\":\"stepped\""}"#;
        assert!(matches!(parse(odd.as_bytes()).unwrap().event, Event::Applied { step: 3, .. }));
    }

    #[test]
    fn what_is_read_at_once_and_what_is_followed_make_the_whole() {
        let line = serde_json::to_string(&applied(1)).unwrap();
        let (half, rest) = line.split_at(line.len() / 2);
        // Torn in its midst, before its end of line, and not at all.
        for (tail, more) in [(half, format!("{rest}\n")), (line.as_str(), "\n".to_owned()), ("", format!("{line}\n"))] {
            let (_dir, name) = file(&format!("{}\n{tail}", started()));
            let mut events = Vec::new();
            let end = each(&name, &mut |stamped| events.push(stamped)).unwrap();
            let mut follower = Follower::open(&name, end).unwrap();
            OpenOptions::new().append(true).open(&name).unwrap().write_all(more.as_bytes()).unwrap();
            events.extend(follower.read().unwrap());
            assert_eq!(events[1..], [applied(1)], "{tail}");
            assert_eq!(head(&name).unwrap().1, started().len() as u64 + 1);
        }
    }

    #[test]
    fn a_follower_waits_for_the_end_of_a_line() {
        let line = serde_json::to_string(&applied(1)).unwrap();
        let (half, rest) = line.split_at(line.len() / 2);
        let (_dir, name) = file(&format!("{}\n{half}", started()));
        let mut follower = Follower::open(&name, 0).unwrap();
        assert_eq!(follower.read().unwrap().len(), 1);
        let mut writer = OpenOptions::new().append(true).open(&name).unwrap();
        writer.write_all(rest.as_bytes()).unwrap();
        assert_eq!(follower.read().unwrap(), []);
        writer.write_all(format!("\n{line}\nnonsense").as_bytes()).unwrap();
        assert_eq!(follower.read().unwrap(), [applied(1), applied(1)]);
        writer.write_all(b"\n").unwrap();
        assert!(follower.read().is_err());
    }

    #[test]
    fn a_torn_line_in_the_middle_is_named() {
        let line = serde_json::to_string(&applied(1)).unwrap();
        let (_dir, name) = file(&format!("{}\n{{\"seq\n{line}\n", started()));
        assert!(read(&name).unwrap_err().to_string().contains("line 2 is damaged"));
    }

    #[test]
    fn what_is_no_recording_says_so() {
        let line = serde_json::to_string(&applied(1)).unwrap();
        for (text, expected) in [
            ("", "is empty"),
            ("hello", "first line is damaged"),
            (line.as_str(), "doesn't begin"),
            (&started().replace("\"format\":1", "\"format\":99"), "format 99"),
        ] {
            let (_dir, name) = file(text);
            let error = read(&name).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(FILE), "{error}");
        }
        assert!(read(Path::new("no/such")).unwrap_err().to_string().contains("no/such"));
    }

    #[test]
    fn a_resume_takes_back_the_lost_branch() {
        let resumed = |seq, keep| Stamped {
            seq,
            us: 0,
            event: Event::Resumed { step: 0, keep, file: String::new(), damaged: Vec::new() },
        };
        let events = [applied(0), applied(1), applied(2), resumed(1, 1), applied(2)];
        let held: Vec<u64> = effective(&events).iter().map(|s| s.seq).collect();
        assert_eq!(held, [0, 1, 2]);
    }
}
