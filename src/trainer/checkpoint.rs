//! Checkpoints: the whole state of a run between two steps, as files that survive anything.
//!
//! A checkpoint is a folder `step-00000400` with `model.safetensors` (weights and moments), `state.json` (the loop) and
//! `sha256sums` over both (`sha256sum -c` reads it). It is written under another name, synced and renamed, so that a
//! folder of the right name is whole; checksums are verified on load all the same, and the next older one is used where
//! they fail. Keeps the newest K and the best, and beside them every one of a marked name: where a stage begins
//! (`step-00000400-stage-2`) and where a fork began (`step-00000400-fork`). Never touches a model: it moves host memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::LoopState;
use crate::data::hex;
use crate::model::Parameter;

const DIR: &str = "checkpoints";
const TENSORS: &str = "model.safetensors";
const STATE: &str = "state.json";
const SUMS: &str = "sha256sums";
const MOMENTS: [&str; 2] = ["first_moment.", "second_moment."];

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The loop between two steps.
    pub state: LoopState,
    /// Weights and moments, in model order.
    pub parameters: Vec<Parameter>,
}

/// What a checkpoint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Some step: kept while it is among the newest, or the best.
    Passing,
    /// Just before the first step of a stage (0-based), and before the model grows for it: kept.
    Stage(usize),
    /// What a fork began with: kept, since a rerun begins there too.
    Fork,
}

impl Kind {
    /// The end of the folder's name.
    fn mark(self) -> String {
        match self {
            Self::Passing => String::new(),
            Self::Stage(stage) => format!("-stage-{}", stage + 1),
            Self::Fork => "-fork".to_owned(),
        }
    }
}

/// Where a trainer puts its checkpoints.
pub trait Store: Send {
    /// Keeps a snapshot; returns its name relative to the run's directory.
    ///
    /// # Errors
    /// If it can't be written; what was there before is untouched.
    fn save(&mut self, snapshot: &Snapshot, kind: Kind) -> Result<String>;
}

/// Keeps nothing, but names what would have been kept: for reruns and measurements.
pub struct NoStore;

impl Store for NoStore {
    fn save(&mut self, snapshot: &Snapshot, kind: Kind) -> Result<String> {
        Ok(relative(snapshot.state.step, kind))
    }
}

/// The `checkpoints` folder of a run.
pub struct Folder {
    dir: PathBuf,
    keep: usize,
}

#[derive(Serialize, Deserialize)]
struct StateFile {
    format: u32,
    state: LoopState,
    /// Updates each parameter has had, where it isn't zero.
    updates: BTreeMap<String, u64>,
}

fn relative(step: u64, kind: Kind) -> String {
    format!("{DIR}/step-{step:08}{}", kind.mark())
}

/// A checkpoint by its folder's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Steps trained.
    pub step: u64,
    /// What it is of.
    pub kind: Kind,
    /// Its name relative to the run's directory.
    pub file: String,
}

impl Named {
    fn of(name: &str) -> Option<Self> {
        let (step, mark) = name.strip_prefix("step-")?.split_at_checked(8)?;
        let kind = match mark {
            "" => Kind::Passing,
            "-fork" => Kind::Fork,
            _ => Kind::Stage(mark.strip_prefix("-stage-")?.parse::<usize>().ok()?.checked_sub(1)?),
        };
        Some(Self { step: step.parse().ok()?, kind, file: format!("{DIR}/{name}") })
    }
}

impl Folder {
    /// The checkpoints of the run in `run_dir`, of which the newest `keep`, the best and the marked ones stay.
    ///
    /// # Errors
    /// If the folder can't be made.
    pub fn open(run_dir: &Path, keep: usize) -> Result<Self> {
        let dir = run_dir.join(DIR);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        for entry in entries(&dir)?.into_iter().filter(|e| is_unfinished(e)) {
            // A write that was cut off; nothing refers to it.
            fs::remove_dir_all(&entry).with_context(|| format!("removing {}", entry.display()))?;
        }
        Ok(Self { dir, keep })
    }

    fn prune(&self) -> Result<()> {
        let passing: Vec<Named> = finished(&self.dir)?.into_iter().filter(|c| c.kind == Kind::Passing).collect();
        let dir = |c: &Named| self.dir.join(c.file.trim_start_matches("checkpoints/"));
        let loss = |c: &Named| read_state(&dir(c)).ok().and_then(|s| s.state.full_loss);
        let scored = passing.iter().filter_map(|c| Some((c.step, loss(c)?)));
        let best = scored.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(step, _)| step);
        for old in passing.iter().rev().skip(self.keep).filter(|c| Some(c.step) != best) {
            let dir = dir(old);
            fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
        Ok(())
    }
}

impl Store for Folder {
    fn save(&mut self, snapshot: &Snapshot, kind: Kind) -> Result<String> {
        let name = relative(snapshot.state.step, kind);
        let target = self.dir.join(name.trim_start_matches("checkpoints/"));
        let draft = target.with_extension("unfinished");
        let written = write(&draft, snapshot).and_then(|()| {
            if target.exists() {
                // The same step was saved before (by hand, say): the new one takes its place.
                fs::remove_dir_all(&target)?;
            }
            fs::rename(&draft, &target)?;
            sync(&self.dir)
        });
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&draft);
            return Err(error.context(format!("writing checkpoint {}", target.display())));
        }
        self.prune()?;
        Ok(name)
    }
}

fn write(dir: &Path, snapshot: &Snapshot) -> Result<()> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    let updates = snapshot.parameters.iter().filter(|p| p.updates > 0).map(|p| (p.name.clone(), p.updates)).collect();
    let state = StateFile { format: 1, state: snapshot.state.clone(), updates };
    let mut sums = String::new();
    for (name, bytes) in [(TENSORS, tensors(&snapshot.parameters)?), (STATE, serde_json::to_vec_pretty(&state)?)] {
        write_synced(&dir.join(name), &bytes)?;
        let _ = writeln!(sums, "{}  {name}", hex(&Sha256::digest(&bytes)));
    }
    write_synced(&dir.join(SUMS), sums.as_bytes())?;
    sync(dir)
}

fn write_synced(file: &Path, bytes: &[u8]) -> Result<()> {
    let mut f = File::create(file)?;
    f.write_all(bytes)?;
    f.sync_all()?;
    Ok(())
}

/// Makes a folder's entries durable.
fn sync(dir: &Path) -> Result<()> {
    File::open(dir)?.sync_all()?;
    Ok(())
}

fn tensors(parameters: &[Parameter]) -> Result<Vec<u8>> {
    let mut named: Vec<(String, &[usize], Vec<u8>)> = Vec::new();
    for p in parameters {
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        named.push((p.name.clone(), &p.shape, bytes(&p.weight)));
        named.push((format!("{}{}", MOMENTS[0], p.name), &p.shape, bytes(&p.first_moment)));
        named.push((format!("{}{}", MOMENTS[1], p.name), &p.shape, bytes(&p.second_moment)));
    }
    let views: Result<Vec<_>, _> = named
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
        .collect();
    let views = views.map_err(|e: safetensors::SafeTensorError| anyhow::anyhow!("laying out tensors: {e}"))?;
    safetensors::serialize(views, None).map_err(|e| anyhow::anyhow!("laying out tensors: {e}"))
}

/// Reads one checkpoint and verifies it.
///
/// # Errors
/// Naming the file that is missing, torn or of another format.
pub fn read(dir: &Path) -> Result<Snapshot> {
    let sums_file = dir.join(SUMS);
    let sums = fs::read_to_string(&sums_file).with_context(|| format!("reading {}", sums_file.display()))?;
    let sums: HashMap<&str, &str> =
        sums.lines().filter_map(|l| l.split_once("  ").map(|(sum, name)| (name, sum))).collect();
    let verified = |name: &str| -> Result<Vec<u8>> {
        let file = dir.join(name);
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let sum = hex(&Sha256::digest(&bytes));
        ensure!(sums.get(name) == Some(&sum.as_str()), "{} is damaged: its checksum is wrong", file.display());
        Ok(bytes)
    };
    let state: StateFile =
        serde_json::from_slice(&verified(STATE)?).with_context(|| format!("reading {}", dir.join(STATE).display()))?;
    ensure!(state.format == 1, "{} has format {}; this version reads 1", dir.display(), state.format);
    let bytes = verified(TENSORS)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| anyhow::anyhow!("{}: {e}", dir.join(TENSORS).display()))?;
    let mut parameters = Vec::new();
    for (name, view) in file.iter().filter(|(name, _)| !MOMENTS.iter().any(|m| name.starts_with(m))) {
        let moment = |prefix: &str| -> Result<Vec<f32>> {
            let view = file.tensor(&format!("{prefix}{name}")).map_err(|e| anyhow::anyhow!("{prefix}{name}: {e}"))?;
            Ok(floats(view.data()))
        };
        parameters.push(Parameter {
            name: name.to_owned(),
            shape: view.shape().to_vec(),
            weight: floats(view.data()),
            first_moment: moment(MOMENTS[0])?,
            second_moment: moment(MOMENTS[1])?,
            updates: state.updates.get(name).copied().unwrap_or(0),
        });
    }
    Ok(Snapshot { state: state.state, parameters })
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn read_state(dir: &Path) -> Result<StateFile> {
    Ok(serde_json::from_slice(&fs::read(dir.join(STATE))?)?)
}

/// The loop's state of a checkpoint, unverified: to be looked at.
///
/// # Errors
/// If it can't be read.
pub fn state(dir: &Path) -> Result<LoopState> {
    Ok(read_state(dir)?.state)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))?;
    let mut found = listed.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

fn is_unfinished(dir: &Path) -> bool {
    dir.extension().is_some_and(|e| e == "unfinished")
}

/// Finished checkpoints, by step; at one step the passing one stands first.
fn finished(dir: &Path) -> Result<Vec<Named>> {
    let names = entries(dir)?.into_iter().filter(|p| !is_unfinished(p));
    let named = names.filter_map(|p| Named::of(&p.file_name()?.to_string_lossy()));
    let mut all: Vec<Named> = named.collect();
    all.sort_by_key(|c| (c.step, c.kind));
    Ok(all)
}

/// The checkpoints of a run by their names, oldest first. Looks into none.
///
/// # Errors
/// If the folder can't be listed; one that isn't there holds none.
pub fn list(run_dir: &Path) -> Result<Vec<Named>> {
    let dir = run_dir.join(DIR);
    if dir.is_dir() { finished(&dir) } else { Ok(Vec::new()) }
}

/// A checkpoint that could be read, and what was wrong with newer ones.
#[derive(Debug)]
pub struct Found {
    /// The newest whole snapshot.
    pub snapshot: Snapshot,
    /// Its name relative to the run's directory.
    pub file: String,
    /// One sentence for each newer one that was passed over.
    pub damaged: Vec<String>,
}

/// The newest checkpoint of a run that is whole.
///
/// # Errors
/// If there is none, saying what is wrong with each.
pub fn newest(run_dir: &Path) -> Result<Found> {
    let mut all = list(run_dir)?;
    // At one step the one that was written later: a stop, say, behind a stage's beginning.
    all.sort_by_cached_key(|c| (c.step, read_state(&run_dir.join(&c.file)).map_or(0, |s| s.state.events)));
    let mut damaged = Vec::new();
    for named in all.into_iter().rev() {
        match read(&run_dir.join(&named.file)) {
            Ok(snapshot) => {
                return Ok(Found { file: named.file, snapshot, damaged });
            }
            Err(error) => damaged.push(format!("{error:#}")),
        }
    }
    if damaged.is_empty() {
        bail!("{} holds no checkpoint yet; start the run anew", run_dir.display());
    }
    bail!("{} holds no checkpoint that can be read: {}", run_dir.display(), damaged.join("; "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;

    fn snapshot(step: u64, full_loss: Option<f32>) -> Snapshot {
        let mut state = LoopState::new(RunConfig::default().schedule());
        state.step = step;
        state.full_loss = full_loss;
        let parameter = |name: &str, shape: &[usize]| {
            let n: usize = shape.iter().product();
            let values = |scale: f32| (0..n).map(|i| i as f32 * scale + step as f32).collect::<Vec<_>>();
            Parameter {
                name: name.to_owned(),
                shape: shape.to_vec(),
                weight: values(0.1),
                first_moment: values(f32::MIN_POSITIVE),
                second_moment: values(1e-12),
                updates: step,
            }
        };
        Snapshot { state, parameters: vec![parameter("h.0.a", &[2, 3]), parameter("wte.weight", &[4])] }
    }

    fn sorted(mut snapshot: Snapshot) -> Snapshot {
        snapshot.parameters.sort_by(|a, b| a.name.cmp(&b.name));
        snapshot
    }

    #[test]
    fn a_snapshot_reads_back_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), 2).unwrap();
        let name = folder.save(&snapshot(7, Some(1.5)), Kind::Passing).unwrap();
        assert_eq!(name, "checkpoints/step-00000007");
        assert_eq!(sorted(read(&dir.path().join(name)).unwrap()), sorted(snapshot(7, Some(1.5))));
    }

    #[test]
    fn the_newest_and_the_best_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), 2).unwrap();
        for (step, loss) in [(1, Some(3.0)), (2, Some(1.0)), (3, Some(2.0)), (4, None), (5, Some(2.5))] {
            folder.save(&snapshot(step, loss), Kind::Passing).unwrap();
        }
        assert_eq!(names(dir.path()), ["step-00000002", "step-00000004", "step-00000005"]);
    }

    fn names(run: &Path) -> Vec<String> {
        list(run).unwrap().into_iter().map(|c| c.file.replace("checkpoints/", "")).collect()
    }

    #[test]
    fn marked_ones_are_never_thinned_out_and_take_no_place_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), 1).unwrap();
        let kinds = [(1, Kind::Fork), (2, Kind::Passing), (3, Kind::Stage(1)), (3, Kind::Passing), (4, Kind::Passing)];
        for (step, kind) in kinds {
            folder.save(&snapshot(step, None), kind).unwrap();
        }
        assert_eq!(names(dir.path()), ["step-00000001-fork", "step-00000003-stage-2", "step-00000004"]);
        fs::create_dir_all(dir.path().join("checkpoints/step-00000005-stage-0")).unwrap();
        fs::create_dir_all(dir.path().join("checkpoints/step-5")).unwrap();
        assert_eq!(list(dir.path()).unwrap().len(), 3, "no names of ours");
    }

    #[test]
    fn at_one_step_the_later_is_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), 2).unwrap();
        for (first, second) in [(Kind::Passing, Kind::Stage(1)), (Kind::Stage(1), Kind::Passing)] {
            let (mut early, mut late) = (snapshot(8, None), snapshot(8, None));
            (early.state.events, late.state.events) = (20, 21);
            folder.save(&early, first).unwrap();
            let file = folder.save(&late, second).unwrap();
            assert_eq!(newest(dir.path()).unwrap().file, file);
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), 5).unwrap();
        for step in 1..=3 {
            folder.save(&snapshot(step, None), Kind::Passing).unwrap();
        }
        let file = |step: u64, name: &str| dir.path().join(relative(step, Kind::Passing)).join(name);
        let bytes = fs::read(file(3, TENSORS)).unwrap();
        fs::write(file(3, TENSORS), &bytes[..bytes.len() / 2]).unwrap();
        let mut flipped = fs::read(file(2, STATE)).unwrap();
        flipped[20] ^= 1;
        fs::write(file(2, STATE), flipped).unwrap();
        let found = newest(dir.path()).unwrap();
        assert_eq!((found.snapshot.state.step, found.damaged.len()), (1, 2));
        assert!(found.damaged[0].contains("step-00000003") && found.damaged[0].contains("damaged"));
        fs::remove_file(file(1, SUMS)).unwrap();
        assert!(format!("{:#}", newest(dir.path()).unwrap_err()).contains("no checkpoint that can be read"));
    }

    #[test]
    fn a_write_that_was_cut_off_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let draft = dir.path().join("checkpoints/step-00000009.unfinished");
        fs::create_dir_all(&draft).unwrap();
        fs::write(draft.join(TENSORS), b"half").unwrap();
        assert!(newest(dir.path()).is_err(), "an unfinished one is no checkpoint");
        Folder::open(dir.path(), 1).unwrap();
        assert!(!draft.exists());
    }
}
