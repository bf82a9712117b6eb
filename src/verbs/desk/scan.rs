//! What there is to open, read from the heads and tails of recordings: quickly, however many and however long they are.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::app::runs::list::{Kind, Row, Standing};
use crate::config::shipped;
use crate::event::{Event, Forked, Stamped, Started, Why};
use crate::{recording, run_dir};

/// How much of a recording's end is read, and how much if its last evaluation isn't in it.
const TAILS: [u64; 2] = [1 << 13, 1 << 17];

/// Every run below `runs`, every shipped recording that lies in the working directory, every shipped config. `here` is the
/// directory of the run that this program trains.
///
/// # Errors
/// If the directory of runs can't be listed.
pub(super) fn rows(runs: &Path, here: Option<&Path>) -> Result<Vec<Row>> {
    let now = SystemTime::now();
    let mut rows = Vec::new();
    for (name, dir) in runs_below(runs)? {
        rows.push(Row { name, ..run(&dir, now, here == Some(dir.as_path())) });
    }
    for name in recording::SHIPPED.iter().filter(|name| Path::new(name).is_file()) {
        rows.push(recorded(Kind::Recording, name, Path::new(name)));
    }
    for (name, text) in shipped::SHIPPED.iter().filter(|(name, _)| *name != "annotated") {
        rows.push(Row { about: shipped::about(text).to_owned(), ..Row::new(Kind::Config, name) });
    }
    Ok(rows)
}

/// Runs with their names: those in the directory, and those of experiments, a level deeper.
fn runs_below(runs: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if !runs.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(runs).with_context(|| format!("listing {}", runs.display()))? {
        let dir = entry?.path();
        let name = dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        if dir.join(recording::FILE).is_file() {
            found.push((name, dir));
        } else if dir.is_dir() {
            let deeper = run_dir::list(&dir)?.into_iter().map(|(dir, _)| dir);
            let named = |d: &Path| format!("{name}/{}", d.file_name().unwrap_or_default().to_string_lossy());
            found.extend(deeper.map(|dir| (named(&dir), dir)));
        }
    }
    Ok(found)
}

/// A run's row, but for its name.
fn run(dir: &Path, now: SystemTime, is_here: bool) -> Row {
    let file = dir.join(recording::FILE);
    let mut row = recorded(Kind::Run, "", &file);
    let changed = fs::metadata(&file).and_then(|meta| meta.modified()).ok();
    row.age = changed.and_then(|then| now.duration_since(then).ok()).map(|age| age.as_secs());
    row.parent = parent(dir).map(|f| (f.parent, f.step));
    if is_here {
        row.standing = Standing::Here;
    } else if row.standing == Standing::CutOff && run_dir::is_held(dir) {
        row.standing = Standing::Live;
    }
    row
}

/// Where a run was forked, as its directory says beside its recording.
fn parent(dir: &Path) -> Option<Forked> {
    serde_json::from_slice(&fs::read(dir.join(run_dir::FORKED)).ok()?).ok()
}

/// A recording's row.
fn recorded(kind: Kind, name: &str, file: &Path) -> Row {
    let mut row = Row::new(kind, name);
    match read(file) {
        Ok((started, tail)) => {
            row.method = started.method.clone();
            row.objective = started.objective.clone();
            row.steps = (tail.step.unwrap_or(0), started.schedule.total_steps());
            row.full_loss = tail.full_loss;
            row.saves = saves(&started, row.steps.0);
            row.standing = tail.standing.unwrap_or(Standing::CutOff);
        }
        Err(error) => row.standing = Standing::Unreadable(format!("{error:#}")),
    }
    row
}

/// What the end of a recording tells.
#[derive(Debug, Default, PartialEq)]
struct Tail {
    /// None: the last event doesn't end the run.
    standing: Option<Standing>,
    step: Option<u64>,
    full_loss: Option<f32>,
}

fn read(file: &Path) -> Result<(Started, Tail)> {
    let (started, head) = recording::head(file)?;
    let mut file = File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let length = file.metadata()?.len();
    let mut tail = Tail::default();
    for most in TAILS {
        let from = length.saturating_sub(most).max(head);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::with_capacity((length - from.min(length)) as usize);
        file.by_ref().take(most).read_to_end(&mut bytes)?;
        tail = end(&bytes, from > head, started.schedule.layers);
        if tail.full_loss.is_some() || from <= head {
            break;
        }
    }
    Ok((started, tail))
}

/// Goes through a recording's end from its last line on, parsing no more lines than must be. The first is torn, if it was
/// cut out of the middle; the last, if it has no end.
fn end(bytes: &[u8], is_cut: bool, layers: usize) -> Tail {
    let mut tail = Tail::default();
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let mut lines: Vec<&[u8]> = bytes[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect();
    if is_cut && !lines.is_empty() {
        lines.remove(0);
    }
    for (index, line) in lines.iter().rev().enumerate() {
        let (is_last, is_told) = (index == 0, tail.step.is_some());
        let is_wanted = match name_of(line) {
            b"evaluated" => true,
            b"stepped" | b"resumed" | b"forked" => !is_told,
            b"finished" | b"failed" => is_last || !is_told,
            _ => false,
        };
        if !is_wanted {
            continue;
        }
        let Ok(Stamped { event, .. }) = serde_json::from_slice(line) else { continue };
        match event {
            Event::Stepped { step, .. } => tail.step = Some(step + 1),
            Event::Resumed { step, .. } => tail.step = Some(step),
            Event::Forked(Forked { step, .. }) => tail.step = Some(step),
            Event::Finished { step, ending, .. } => {
                tail.step = Some(step);
                tail.standing = is_last.then_some(Standing::Over(ending));
            }
            Event::Failed { step, .. } => {
                tail.step = Some(step);
                tail.standing = is_last.then_some(Standing::Failed);
            }
            Event::Evaluated { why, scores, .. } if !matches!(why, Why::Transition | Why::Probe) => {
                tail.full_loss = scores.iter().find(|s| s.path_length == layers).map(|s| s.loss);
            }
            _ => {}
        }
        if tail.step.is_some() && tail.full_loss.is_some() {
            break;
        }
    }
    tail
}

/// The name of a line's event, without parsing the line: it stands near the beginning.
fn name_of(line: &[u8]) -> &[u8] {
    const KEY: &[u8] = b"\"event\":\"";
    let head = &line[..line.len().min(120)];
    let Some(at) = head.windows(KEY.len()).position(|w| w == KEY) else {
        return b"";
    };
    let name = &head[at + KEY.len()..];
    &name[..name.iter().position(|&b| b == b'"').unwrap_or(0)]
}

/// The share of all FLOPs that a table of stages saves over its first steps.
fn saves(started: &Started, steps: u64) -> Option<f64> {
    let of = |layers: f64| layers * started.layer_flops + started.fixed_flops;
    let (mut left, mut spent) = (steps, 0.0);
    for stage in &started.schedule.stages {
        let here = stage.steps.min(left);
        spent += here as f64 * of(stage.mean_length());
        left -= here;
    }
    let full = steps as f64 * of(started.schedule.layers as f64);
    (full > 0.0).then(|| 1.0 - spent / full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Ending;

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/quickstart.jsonl")
    }

    #[test]
    fn head_and_tail_tell_what_the_whole_does() {
        let mut whole = crate::app::run::Run::default();
        recording::read(&shipped()).unwrap().iter().for_each(|e| whole.apply(e));
        let row = recorded(Kind::Recording, "q", &shipped());
        assert_eq!(row.steps, (whole.step, whole.total_steps()));
        assert_eq!(
            (row.full_loss, row.standing),
            (whole.full.last().map(|f| f.loss), Standing::Over(Ending::Completed))
        );
        // It was steered by nobody, so what its table saves is what it saved.
        assert!((row.saves.unwrap() - whole.saved()).abs() < 1e-9, "{:?} {}", row.saves, whole.saved());
    }

    #[test]
    fn every_cut_of_a_recording_is_read() {
        let text = fs::read_to_string(shipped()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(recording::FILE);
        let lines: Vec<&str> = text.lines().collect();
        let head: usize = lines[..1300].iter().map(|l| l.len() + 1).sum();
        // In the middle of a line, behind it, in the middle of the next.
        for cut in [head - 2, head, head + 5] {
            fs::write(&file, &text.as_bytes()[..cut]).unwrap();
            let mut whole = crate::app::run::Run::default();
            recording::read(&file).unwrap().iter().for_each(|e| whole.apply(e));
            let row = run(dir.path(), SystemTime::now(), false);
            assert_eq!((row.steps.0, row.full_loss), (whole.step, whole.full.last().map(|f| f.loss)), "{cut}");
            assert_eq!(row.standing, Standing::CutOff);
        }
        let held = run_dir::RunDir::open(dir.path(), ".").unwrap();
        assert_eq!(run(dir.path(), SystemTime::now(), false).standing, Standing::Live);
        drop(held);
        fs::write(&file, "nonsense\n").unwrap();
        assert!(
            matches!(run(dir.path(), SystemTime::now(), false).standing, Standing::Unreadable(why) if why.contains("no recording"))
        );
        fs::write(&file, "").unwrap();
        assert!(matches!(run(dir.path(), SystemTime::now(), false).standing, Standing::Unreadable(_)));
    }

    #[test]
    fn runs_of_experiments_are_found_and_other_folders_are_not() {
        let runs = tempfile::tempdir().unwrap();
        for name in ["a", "horizon/full-seed1"] {
            fs::create_dir_all(runs.path().join(name)).unwrap();
            fs::copy(shipped(), runs.path().join(name).join(recording::FILE)).unwrap();
        }
        fs::create_dir_all(runs.path().join("empty/deeper/still")).unwrap();
        let rows = rows(runs.path(), Some(&runs.path().join("a"))).unwrap();
        let mut found: Vec<_> =
            rows.iter().filter(|r| r.kind == Kind::Run).map(|r| (r.name.clone(), r.standing.clone())).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let finished = Standing::Over(Ending::Completed);
        assert_eq!(found, [("a".to_owned(), Standing::Here), ("horizon/full-seed1".to_owned(), finished)]);
        assert!(rows.iter().any(|r| r.kind == Kind::Config && r.name == "quickstart" && !r.about.is_empty()));
        assert!(super::rows(Path::new("no/such"), None).unwrap().iter().all(|r| r.kind != Kind::Run));
    }
}
