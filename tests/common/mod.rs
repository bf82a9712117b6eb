//! What the whole-program tests share: the binary in a folder of its own, and reading what it prints.
#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use raptr_tui::event::{Event, Stamped};
use raptr_tui::recording;

/// The tests' config: milliseconds per run.
pub const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tiny.toml");

/// A folder in which runs are made, and the program in it.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The program, with this folder as its own and nothing of the user's.
    pub fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raptr-tui"));
        command.args(args).current_dir(self.path());
        command.env("XDG_CACHE_HOME", self.path().join("cache")).env("HOME", self.path()).env_remove("RUST_BACKTRACE");
        command.env_remove("RAPTR_CONFIG").env_remove("XDG_CONFIG_HOME");
        command.stdin(Stdio::null());
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.program(args).output().unwrap()
    }

    /// Trains the tiny config to its end.
    pub fn train(&self, name: &str, more: &[&str]) -> Vec<Event> {
        let mut args = vec![TINY, "--headless", "--quiet", "--name", name];
        args.extend(more);
        let output = self.output(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.events(name)
    }

    /// What holds in a run's recording.
    pub fn events(&self, name: &str) -> Vec<Event> {
        recording::effective(&self.stamped(name)).into_iter().map(|s| s.event).collect()
    }

    pub fn stamped(&self, name: &str) -> Vec<Stamped> {
        recording::read(&self.run(name).join(recording::FILE)).unwrap()
    }

    pub fn run(&self, name: &str) -> PathBuf {
        self.path().join("runs").join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    }
}

/// What must be equal between runs that were interrupted and runs that weren't: steps, evaluations, transitions, stages.
pub fn curve(events: &[Event]) -> Vec<Event> {
    let kept = |e: &&Event| {
        matches!(
            e,
            Event::Stepped { .. } | Event::Evaluated { .. } | Event::TransitionMeasured(_) | Event::StageEntered { .. }
        )
    };
    events.iter().filter(kept).cloned().collect()
}

/// The checksum of the weights at the end.
pub fn final_weights(events: &[Event]) -> String {
    match events.last() {
        Some(Event::Finished { weights, .. }) => weights.clone(),
        other => panic!("the run did not finish: {other:?}"),
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
