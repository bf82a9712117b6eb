//! The files that an experiment ends in: JSON, text and charts, in its directory.
//!
//! Owns their names. Computes nothing.

use anyhow::Result;

use super::dir::ExperimentDir;
use super::results::Results;
use super::{charts, text};

/// Writes every form of the results into the experiment's directory.
///
/// # Errors
/// If a file can't be written.
pub fn write(dir: &ExperimentDir, results: &Results) -> Result<()> {
    dir.write("results.json", &(serde_json::to_string_pretty(results)? + "\n"))?;
    dir.write("results.txt", &text::table(results))?;
    for (name, svg) in charts::all(results) {
        dir.write(&name, &svg)?;
    }
    Ok(())
}
