//! The verbs of the command line: each puts the parts together for one task.
//!
//! Beside `headless` and `tui` the only place that sees both the training and the screen. Prints nothing itself: what is
//! to be said comes back as [`Exit`].

mod desk;
mod eval;
mod experiment;
mod export;
mod look_up;
mod references;
mod rerun;
mod train;

pub use eval::{compare, eval};
pub use experiment::{Asked, experiment};
pub use export::export;
pub use look_up::{completions, list, plan, replay};
pub use rerun::rerun;
pub use train::train;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cli::Train;
use crate::config::load::ConfigError;
use crate::data::DataError;
use crate::event::{Cause, Ending, Event};
use crate::recording::{self, Unreadable};
use crate::run_dir;
use crate::tui::looks::{self, Looks, Wishes};
use crate::user_config::{self, UserConfig};

/// How a verb ends.
#[derive(Debug, Default)]
pub struct Exit {
    /// The process's exit code.
    pub code: u8,
    /// For stdout.
    pub text: String,
    /// One sentence for stderr.
    pub error: Option<String>,
}

impl Exit {
    fn text(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

/// The exit code that an error calls for.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigError>() {
        2
    } else if error.is::<DataError>() || error.is::<Unreadable>() {
        4
    } else {
        1
    }
}

/// The exit code of a run that ended with this event.
fn code_of(last: Option<&Event>, signal: Option<u8>) -> u8 {
    match last {
        Some(Event::Failed { cause, .. }) => match cause {
            Cause::Error => 1,
            Cause::Config => 2,
            Cause::Diverged => 3,
            Cause::Unreadable => 4,
        },
        Some(Event::Finished { ending: Ending::Completed, .. }) => 0,
        Some(Event::Finished { ending, .. }) => signal.unwrap_or(u8::from(*ending == Ending::Aborted)),
        // The trainer ended without a word.
        _ => 1,
    }
}

/// What the user has set, if there will be a screen, and the theme that was asked for.
///
/// To be called before anything is begun: what is wrong with it is a slip of the keyboard.
fn user_of(args: &Train, has_screen: bool) -> Result<UserConfig> {
    let mut user = if has_screen { user_config::load()? } else { UserConfig::default() };
    if args.theme.is_some() {
        user.theme.clone_from(&args.theme);
    }
    Ok(user)
}

/// The themes, and the one that is wanted, in the colours and glyphs that are.
///
/// # Errors
/// [`ConfigError`] if there is no such theme, or one of the user's can't be read.
fn looks_of(args: &Train, user: &UserConfig) -> Result<Looks> {
    let wishes = Wishes { theme: user.theme.clone(), depth: user.colors, glyphs: user.glyphs };
    let looks = Looks::gather(&wishes, looks::user_themes().as_deref());
    looks.map_err(|problem| {
        let origin = match (problem.starts_with("unknown theme"), &args.theme) {
            (false, _) => "a theme of the user's own",
            (true, Some(_)) => "--theme",
            (true, None) => "`theme` in the user's config",
        };
        ConfigError { origin: origin.to_owned(), problems: vec![problem] }.into()
    })
}

/// Whether there is a terminal that a screen can be drawn on.
fn has_terminal() -> bool {
    lacks_terminal().is_none()
}

/// Why there is no terminal that a screen could be drawn on, if so.
fn lacks_terminal() -> Option<String> {
    if !std::io::stdout().is_terminal() {
        return Some("stdout is none".to_owned());
    }
    if !std::io::stdin().is_terminal() {
        return Some("stdin is none".to_owned());
    }
    match std::env::var("TERM") {
        Ok(term) if !term.is_empty() && term != "dumb" => None,
        Ok(term) => Some(format!("TERM is `{term}`")),
        Err(_) => Some("TERM is not set".to_owned()),
    }
}

/// The recording's file that a person means: a shipped one's name, a file, a directory, or a run's name.
fn recording_file(runs: &Path, name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if path.join(recording::FILE).is_file() {
        return Ok(recording::file_of(path));
    }
    Ok(recording::file_of(&run_dir::find(runs, name)?))
}
