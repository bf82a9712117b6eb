//! The experiment's directory: what lies where, and whose it is.
//!
//! `experiment.toml` (the definition, everything written out), one directory per run (`run_dir`), `results.json`,
//! `results.txt`, `*.svg`, `lock`. Owns the lock and the rule that one directory holds one definition. Never
//! looks into a run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::definition::Experiment;
use crate::{recording, run_dir};

const DEFINITION: &str = "experiment.toml";

/// An experiment's directory, held by this process alone.
pub struct ExperimentDir {
    dir: PathBuf,
    _lock: File,
}

impl ExperimentDir {
    /// Opens the directory of an experiment below `runs`, or makes it.
    ///
    /// # Errors
    /// If it belongs to something else or to another definition, or another process trains it.
    pub fn open(runs: &Path, experiment: &Experiment) -> Result<Self> {
        let opened = Self::hold(runs, &experiment.name)?;
        let file = opened.dir.join(DEFINITION);
        if file.exists() {
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            // Read as a definition, not compared as text: a key that is new since then has its default.
            let earlier: Option<Experiment> = toml::from_str(&text).ok();
            // More seeds, or fewer, make no other experiment: each run is what it was.
            let is_same = !has_runs(&opened.dir)?
                || earlier.is_some_and(|e| Experiment { seeds: experiment.seeds, ..e } == *experiment);
            if !is_same {
                bail!(
                    "{} belongs to a different definition of this experiment (see {DEFINITION} there); \
                     use another --run-dir, or move it away",
                    opened.dir.display()
                );
            }
        }
        opened.write(DEFINITION, &experiment.to_toml())?;
        Ok(opened)
    }

    /// Opens the directory of an experiment that has no runs, or makes it.
    ///
    /// # Errors
    /// If it belongs to something else, or another process holds it.
    pub fn without_runs(runs: &Path, name: &str) -> Result<Self> {
        let opened = Self::hold(runs, name)?;
        if has_runs(&opened.dir)? {
            bail!("{} holds runs of another experiment; use another --run-dir, or move it away", opened.dir.display());
        }
        Ok(opened)
    }

    /// The directory of that name, held.
    fn hold(runs: &Path, name: &str) -> Result<Self> {
        let dir = runs.join(name);
        if dir.join(recording::FILE).exists() {
            bail!("{} is a run; give the experiment another name or use another --run-dir", dir.display());
        }
        fs::create_dir_all(&dir).with_context(|| format!("making the experiment's directory {}", dir.display()))?;
        let name = dir.join("lock");
        let lock = File::create(&name).with_context(|| format!("making {}", name.display()))?;
        if lock.try_lock().is_err() {
            bail!("the experiment in {} is under way in another process", dir.display());
        }
        Ok(Self { dir, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Writes a file whole: beside, then renamed.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let (file, draft) = (self.dir.join(name), self.dir.join(format!("{name}.unfinished")));
        let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, &file));
        written.with_context(|| format!("writing {}", file.display()))
    }
}

/// Whether anything was trained below a directory; a definition that trained nothing yet may still be mended.
fn has_runs(dir: &Path) -> Result<bool> {
    Ok(!run_dir::list(dir)?.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(steps: u64, seeds: u64) -> Experiment {
        let text =
            format!("question = \"?\"\nseeds = {seeds}\n[config]\ntrain.steps = {steps}\n[[arm]]\nname = \"full\"");
        Experiment::parse("t", &text, &[]).unwrap()
    }

    #[test]
    fn a_directory_holds_one_definition() {
        let runs = tempfile::tempdir().unwrap();
        let open = |e: &Experiment| ExperimentDir::open(runs.path(), e);
        let held = open(&experiment(10, 1)).unwrap();
        assert!(open(&experiment(10, 1)).err().unwrap().to_string().contains("another process"));
        drop(held);
        drop(open(&experiment(10, 3)).unwrap());
        // Nothing was trained yet: it may be mended.
        drop(open(&experiment(12, 3)).unwrap());
        drop(open(&experiment(10, 3)).unwrap());
        fs::create_dir(runs.path().join("t/full-10")).unwrap();
        fs::write(runs.path().join("t/full-10").join(recording::FILE), "").unwrap();
        let error = open(&experiment(11, 3)).err().unwrap().to_string();
        assert!(error.contains("different definition") && !error.contains('\n'), "{error}");
        // A key that is new since the definition was written has its default.
        let file = runs.path().join("t").join(DEFINITION);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("mlp_ratio = 4\n", "")).unwrap();
        drop(open(&experiment(10, 3)).unwrap());
        fs::write(runs.path().join("t").join(recording::FILE), "").unwrap();
        assert!(open(&experiment(10, 3)).err().unwrap().to_string().contains("is a run"));
    }
}
