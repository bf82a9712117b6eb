//! The run's directory: what lies where, and who may write in it.
//!
//! `config.toml` (resolved), `tokenizer.json`, `events.jsonl` (`recording`), `checkpoints/` (`trainer::checkpoint`),
//! `raptr.log`, `lock`, of a fork `forked.json`. Owns names and the lock; never looks into the files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::recording;

/// The resolved config's name inside a run's directory.
pub const CONFIG: &str = "config.toml";

/// The name of the file that says where a fork comes from, as its recording does, for whoever lists many runs.
pub const FORKED: &str = "forked.json";

/// A run's directory, held by this process alone.
pub struct RunDir {
    dir: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes the directory of a new run below `runs`. Without a name, the config's with the next free number.
    ///
    /// # Errors
    /// If the name is taken or can't be a directory's.
    pub fn create(runs: &Path, name: Option<&str>, config: &str) -> Result<Self> {
        fs::create_dir_all(runs).with_context(|| format!("making the run directory {}", runs.display()))?;
        if let Some(name) = name {
            let is_one = Path::new(name).components().eq([std::path::Component::Normal(name.as_ref())]);
            if !is_one {
                bail!("a run can't be named `{name}`: --name must be one folder's name, below {}", runs.display());
            }
            let dir = runs.join(name);
            return match fs::create_dir(&dir) {
                Ok(()) => Self::lock(dir),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    bail!(
                        "the run {} exists already; choose another --name, or go on with --resume {name}",
                        dir.display()
                    )
                }
                Err(e) => Err(e).with_context(|| format!("making the run's directory {}", dir.display())),
            };
        }
        let stem = Path::new(config).file_stem().map_or("run".into(), |s| s.to_string_lossy());
        for number in 1u32.. {
            let dir = runs.join(format!("{stem}-{number}"));
            match fs::create_dir(&dir) {
                Ok(()) => return Self::lock(dir),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    return Err(e).with_context(|| format!("making the run's directory {}", dir.display()));
                }
            }
        }
        bail!("{} holds too many runs named {stem}", runs.display())
    }

    /// Opens the directory of a run to go on with it: a directory, a name below `runs`, or `latest`.
    ///
    /// # Errors
    /// If there is no such run, or another process trains it.
    pub fn open(runs: &Path, name: &str) -> Result<Self> {
        Self::lock(find(runs, name)?)
    }

    fn lock(dir: PathBuf) -> Result<Self> {
        let name = dir.join("lock");
        let file = File::create(&name).with_context(|| format!("making {}", name.display()))?;
        if file.try_lock().is_err() {
            bail!("the run {} is being trained by another process", dir.display());
        }
        Ok(Self { dir, _lock: file })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The run's name.
    pub fn name(&self) -> String {
        self.dir.file_name().map_or_else(|| self.dir.display().to_string(), |n| n.to_string_lossy().into_owned())
    }

    /// Its resolved config.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// Its log file.
    pub fn log_file(&self) -> PathBuf {
        self.dir.join("raptr.log")
    }
}

/// Whether a process trains the run in a directory.
pub fn is_held(dir: &Path) -> bool {
    // Shared, so that those who look don't see each other.
    File::open(dir.join("lock")).is_ok_and(|file| file.try_lock_shared().is_err())
}

/// The directory of an existing run: a directory, a name below `runs`, or `latest`.
///
/// # Errors
/// If there is no such run.
pub fn find(runs: &Path, name: &str) -> Result<PathBuf> {
    if name == "latest" {
        let newest = list(runs)?.into_iter().max_by_key(|(_, changed)| *changed);
        return newest.map(|(dir, _)| dir).with_context(|| format!("there is no run in {} yet", runs.display()));
    }
    let candidates = [runs.join(name), PathBuf::from(name)];
    let found = candidates.iter().find(|dir| dir.join(recording::FILE).is_file());
    found.cloned().with_context(|| {
        let known: Vec<String> = list(runs).unwrap_or_default().iter().map(|(dir, _)| run_name(dir)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("there is no run `{name}` in {}; known: {known}", runs.display())
    })
}

fn run_name(dir: &Path) -> String {
    dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Every run below `runs` with the time of its last event, sorted by name.
///
/// # Errors
/// If the directory can't be listed; one that isn't there holds no runs.
pub fn list(runs: &Path) -> Result<Vec<(PathBuf, SystemTime)>> {
    if !runs.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(runs).with_context(|| format!("listing {}", runs.display()))? {
        let dir = entry?.path();
        if let Ok(meta) = fs::metadata(dir.join(recording::FILE)) {
            found.push((dir, meta.modified()?));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_and_never_taken_twice() {
        let runs = tempfile::tempdir().unwrap();
        let a = RunDir::create(runs.path(), None, "configs/tiny.toml").unwrap();
        let b = RunDir::create(runs.path(), None, "tiny").unwrap();
        assert_eq!((a.name(), b.name()), ("tiny-1".to_owned(), "tiny-2".to_owned()));
        let named = RunDir::create(runs.path(), Some("mine"), "tiny").unwrap();
        assert_eq!(named.name(), "mine");
        let error = RunDir::create(runs.path(), Some("mine"), "tiny").err().unwrap().to_string();
        assert!(error.contains("exists already") && error.contains("--resume mine"), "{error}");
    }

    #[test]
    fn a_run_has_one_trainer_at_a_time() {
        let runs = tempfile::tempdir().unwrap();
        let held = RunDir::create(runs.path(), Some("a"), "").unwrap();
        fs::write(held.path().join(recording::FILE), "").unwrap();
        assert!(RunDir::open(runs.path(), "a").err().unwrap().to_string().contains("another process"));
        assert!(is_held(held.path()) && !is_held(runs.path()));
        let dir = held.path().to_owned();
        drop(held);
        assert!(!is_held(&dir));
        assert!(RunDir::open(runs.path(), "latest").is_ok());
        let error = RunDir::open(runs.path(), "b").err().unwrap().to_string();
        assert!(error.contains("no run `b`") && error.contains("known: a"), "{error}");
    }
}
