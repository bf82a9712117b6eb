//! `raptr-tui export`, and what the screen's export key does: a run's weights, figures, charts or replay as files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::{Exit, looks_of, recording_file, user_of};
use crate::app::Pane;
use crate::cli::{Format, Train};
use crate::config::load::parse;
use crate::export::figures::Figures;
use crate::export::{self as exports, SUBJECTS, Subject};
use crate::player::tape::Tape;
use crate::tui::cast;
use crate::{recording, run_dir};

/// Writes a run in another tool's format.
///
/// # Errors
/// If the run can't be read, has no checkpoint where one is needed, or `out` can't be written.
pub fn export(args: &Train, name: &str, format: Format, speed: Option<f64>, out: &Path) -> Result<Exit> {
    let runs = &args.run_dir;
    let written = match format {
        Format::Hf => {
            let dir = run_dir::find(runs, name)?;
            let file = dir.join("config.toml");
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let config = parse(&file.display().to_string(), &text, &[])?;
            return Ok(Exit::text(exports::hf::write(&dir, &config, out)?));
        }
        Format::Csv => exports::write_tables(&figures(&recording_file(runs, name)?)?, &SUBJECTS, out)?,
        Format::Svg => exports::write_charts(&figures(&recording_file(runs, name)?)?, &SUBJECTS, out)?,
        Format::Cast => {
            let (tape, look) = (tape(&recording_file(runs, name)?)?, looks_of(args, &user_of(args, true)?)?.named());
            let file =
                if out.extension().is_some_and(|e| e == "cast") { out.to_owned() } else { out.join("replay.cast") };
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
            }
            let mut to = BufWriter::new(File::create(&file).with_context(|| format!("making {}", file.display()))?);
            cast::write(tape, &look, speed, &mut to)?;
            to.flush().with_context(|| format!("writing {}", file.display()))?;
            vec![file]
        }
    };
    Ok(Exit::text(written.iter().map(|file| format!("{}\n", file.display())).collect()))
}

/// The events of a recording that hold.
///
/// # Errors
/// If it can't be read.
pub(super) fn tape(file: &Path) -> Result<Tape> {
    let mut tape = Tape::default();
    recording::each(file, &mut |stamped| {
        tape.push(stamped);
    })?;
    Ok(tape)
}

fn figures(file: &Path) -> Result<Figures> {
    let tape = tape(file)?;
    let mut figures = Figures::default();
    tape.range(0..tape.len()).for_each(|stamped| figures.take(&stamped));
    Ok(figures)
}

/// What a pane shows, as subjects.
fn subjects(pane: Pane) -> &'static [Subject] {
    match pane {
        Pane::Loss => &[Subject::Loss, Subject::Evaluations],
        Pane::Strip | Pane::Layers => &[Subject::Layers],
        Pane::Transitions => &[Subject::Transitions],
        _ => &SUBJECTS,
    }
}

/// Writes what a pane shows, as charts and tables, and says where.
pub(super) type Exporter = Arc<dyn Fn(Pane) -> String + Send + Sync>;

/// The screen's export of a recording: into `exports` beside it, if that is a run's directory, or else here.
pub(super) fn exporter(file: PathBuf) -> Exporter {
    Arc::new(move |pane| {
        let folder = match file.parent() {
            Some(dir) if file.file_name().is_some_and(|name| name == recording::FILE) => dir.join("exports"),
            _ => PathBuf::from(file.file_stem().unwrap_or_default()).join("exports"),
        };
        let write = || -> Result<Vec<PathBuf>> {
            let (figures, subjects) = (figures(&file)?, subjects(pane));
            let charts = exports::write_charts(&figures, subjects, &folder)?;
            Ok([charts, exports::write_tables(&figures, subjects, &folder)?].concat())
        };
        match write() {
            Ok(files) => {
                let names = files.iter().filter_map(|f| f.file_name()).map(|n| n.to_string_lossy());
                format!("wrote {} in {}", names.collect::<Vec<_>>().join(", "), folder.display())
            }
            Err(error) => format!("not exported: {error:#}"),
        }
    })
}
