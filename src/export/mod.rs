//! Exports: a run in another tool's format. A new format is a new file here and a value of `cli::Format`.

pub mod charts;
pub mod csv;
pub mod figures;
pub mod hf;
pub mod svg;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use figures::Figures;

/// What of a run's figures is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Each step's loss, raw and smoothed, and what it cost.
    Loss,
    /// Evaluations.
    Evaluations,
    /// Series that were measured.
    Measured,
    /// Changes of path length.
    Transitions,
    /// Layers' activity.
    Layers,
}

/// Every subject.
pub static SUBJECTS: [Subject; 5] =
    [Subject::Loss, Subject::Evaluations, Subject::Measured, Subject::Transitions, Subject::Layers];

impl Subject {
    /// Its name, and its files'.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Evaluations => "evaluations",
            Self::Measured => "measured",
            Self::Transitions => "transitions",
            Self::Layers => "layers",
        }
    }
}

/// Writes the tables of some subjects into a folder, which is made. Returns the files.
///
/// # Errors
/// If they can't be written.
pub fn write_tables(figures: &Figures, subjects: &[Subject], folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut written = Vec::new();
    for subject in subjects {
        let file = folder.join(format!("{}.csv", subject.name()));
        let writing = || format!("writing {}", file.display());
        let mut out = BufWriter::new(File::create(&file).with_context(writing)?);
        csv::write(figures, *subject, &mut out).and_then(|()| out.flush()).with_context(writing)?;
        written.push(file);
    }
    Ok(written)
}

/// Writes the charts of some subjects into a folder, which is made. Returns the files.
///
/// # Errors
/// If they can't be written.
pub fn write_charts(figures: &Figures, subjects: &[Subject], folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut written = Vec::new();
    for (name, chart) in subjects.iter().flat_map(|subject| charts::of(figures, *subject)) {
        let file = folder.join(format!("{name}.svg"));
        fs::write(&file, chart.to_svg()).with_context(|| format!("writing {}", file.display()))?;
        written.push(file);
    }
    Ok(written)
}
