//! The command line as types: what may be typed, and nothing of what it does.
//!
//! Kept small; a test holds the list of flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// A terminal workbench for progressive-subnetwork (RaPTr) pretraining.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done; 1 error; 2 usage or config; 3 diverged; 4 unreadable checkpoint, recording or data;\n\
                        129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM after saving."
)]
pub struct Cli {
    /// What to do; without a command a run is trained.
    #[command(subcommand)]
    pub command: Option<Verb>,
    /// Training flags.
    #[command(flatten)]
    pub train: Train,
}

/// Flags of a training run.
#[derive(Debug, Args)]
pub struct Train {
    /// A shipped config (see `raptr-tui list configs`) or a TOML file [default: quickstart]
    pub config: Option<String>,
    /// No screen: one JSON event per line on stdout, text for people on stderr (automatic without a terminal)
    #[arg(long)]
    pub headless: bool,
    /// Override any key of the config; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Train on this text
    #[arg(long, value_name = "FILE|DIR")]
    pub data: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long)]
    pub device: Option<String>,
    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = "runs", global = true)]
    pub run_dir: PathBuf,
    /// The new run's name [default: the config's, numbered]
    #[arg(long)]
    pub name: Option<String>,
    /// Go on with a run from its newest checkpoint
    #[arg(long, value_name = "RUN|latest", conflicts_with_all = ["config", "sets", "data", "name"])]
    pub resume: Option<String>,
    /// A new run from a run's checkpoint on: its newest, or that of a step, or where a stage begins; --set changes how it goes on
    #[arg(long, value_name = "RUN[:STEP|:stage-N]", conflicts_with_all = ["config", "data", "resume"])]
    pub fork: Option<String>,
    /// Commands for the run, one JSON object per line, as {"at_step":120,"command":"next_stage"}; - is stdin
    #[arg(long, value_name = "FILE|-")]
    pub commands: Option<PathBuf>,
    /// The screen's colours (see `raptr-tui list themes`)
    #[arg(long, global = true)]
    pub theme: Option<String>,
    /// Draw another run beside this one: a run, its directory, or an events.jsonl; repeatable
    #[arg(long = "compare", value_name = "RUN")]
    pub references: Vec<String>,
    /// The screen only shows: keys that would change the run are off
    #[arg(long)]
    pub read_only: bool,
    /// Nothing on stderr but errors
    #[arg(long, global = true)]
    pub quiet: bool,
}

/// What else can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show a recording on the workbench screen
    Replay {
        /// A run, its directory, or an events.jsonl
        recording: String,
        /// How many times faster than it happened
        #[arg(long, default_value_t = 1.0, value_parser = speed)]
        speed: f64,
        /// Draw another run beside this one; repeatable
        #[arg(long = "compare", value_name = "RUN")]
        references: Vec<String>,
        /// Of a run that is being trained: show how it stands, and go on with it
        #[arg(long)]
        follow: bool,
    },
    /// Train a recorded run again with its recorded commands and report the first difference
    Rerun {
        /// A run, its directory, or an events.jsonl
        recording: String,
        /// No screen
        #[arg(long)]
        headless: bool,
    },
    /// Print parameters, memory, FLOPs and speed-up per stage, before anything is trained
    Plan {
        /// A shipped config or a TOML file
        config: String,
        /// Override any key of the config; repeatable
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Evaluate a run's newest checkpoint: the full model, or with fewer active layers
    Eval {
        /// A run or its directory
        run: String,
        /// Active layers, or all lengths [default: the full model alone]
        #[arg(long, value_name = "N|all")]
        path_length: Option<String>,
        /// Measure this as well; repeatable (see `raptr-tui list measurements`)
        #[arg(long, value_name = "NAME")]
        measure: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Train methods over seeds and compare them; called again, it goes on where it was left
    Experiment {
        /// A shipped experiment (see `raptr-tui list experiments`) or a TOML file
        name: String,
        /// Seeds to report [default: the experiment's]
        #[arg(long, value_name = "N")]
        seeds: Option<u64>,
        /// Override any key of the config of every arm; repeatable
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// Train on this text
        #[arg(long, value_name = "FILE|DIR")]
        data: Option<PathBuf>,
        /// No screen: progress on stderr, the table on stdout (automatic without a terminal)
        #[arg(long)]
        headless: bool,
        /// The results as JSON
        #[arg(long)]
        json: bool,
    },
    /// Put runs side by side: losses at equal steps, FLOPs and time
    Compare {
        /// Runs, their directories, or recordings; others are compared with the first
        #[arg(required = true, num_args = 2..)]
        runs: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a run in another tool's format
    Export {
        /// A run, its directory, or a recording
        run: String,
        /// The format
        #[arg(long)]
        format: Format,
        /// Of a cast: how many times faster than it happened [default: done in a minute]
        #[arg(long, value_name = "X", value_parser = speed)]
        speed: Option<f64>,
        /// The folder to make, or a cast's file
        #[arg(long, value_name = "DIR|FILE")]
        out: PathBuf,
    },
    /// List what there is
    List {
        /// Of what
        what: Listed,
    },
    /// Print a completion script
    Completions {
        /// For this shell
        shell: Shell,
    },
}

/// Formats of `export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A Hugging Face model folder
    Hf,
    /// Figures as tables: losses, evaluations, series, transitions, layers
    Csv,
    /// The same as charts
    Svg,
    /// The replay as an asciinema cast
    Cast,
}

/// What `list` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Shipped configs
    Configs,
    /// Shipped experiments
    Experiments,
    /// Methods
    Methods,
    /// Objectives
    Objectives,
    /// What can be measured
    Measurements,
    /// Themes
    Themes,
    /// Runs in the run directory
    Runs,
    /// Shipped recordings
    Recordings,
    /// What can be done on the screen, with the keys that do it
    Actions,
}

/// A speed of a replay.
fn speed(text: &str) -> Result<f64, String> {
    let speed: Option<f64> = text.parse().ok();
    speed.filter(|s| (0.01..=1e6).contains(s)).ok_or_else(|| "a speed lies between 0.01 and 1000000".to_owned())
}
