//! The program: reads the command line, does what it says, and ends with the exit code that belongs to what happened.
#![allow(clippy::print_stdout, clippy::print_stderr)] // the program's own voice

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use raptr_tui::cli::{Cli, Verb};
use raptr_tui::verbs::{self, Exit};

fn main() -> ExitCode {
    // Wrong usage ends in clap with exit code 2.
    let cli = Cli::parse();
    let exit = match cli.command {
        None => verbs::train(&cli.train),
        Some(Verb::Replay { recording, speed, references, follow }) => {
            verbs::replay(&cli.train, &recording, speed, &references, follow)
        }
        Some(Verb::Rerun { recording, headless }) => verbs::rerun(&cli.train, &recording, headless),
        Some(Verb::Plan { config, sets, json }) => verbs::plan(&config, &sets, json),
        Some(Verb::Eval { run, path_length, measure, json }) => {
            verbs::eval(&cli.train.run_dir, &run, path_length.as_deref(), &measure, json)
        }
        Some(Verb::Experiment { name, seeds, sets, data, headless, json }) => {
            verbs::experiment(&cli.train, &verbs::Asked { name: &name, seeds, sets: &sets, data, json, headless })
        }
        Some(Verb::Compare { runs, json }) => verbs::compare(&cli.train.run_dir, &runs, json),
        Some(Verb::Export { run, format, speed, out }) => verbs::export(&cli.train, &run, format, speed, &out),
        Some(Verb::List { what }) => verbs::list(&cli.train, what),
        Some(Verb::Completions { shell }) => Ok(verbs::completions(shell)),
    };
    let exit = exit.unwrap_or_else(|error| Exit {
        code: verbs::exit_code(&error),
        text: String::new(),
        error: Some(format!("{error:#}")),
    });
    // Whoever read stdout or stderr may have gone; that is no reason to panic.
    let _ = write!(std::io::stdout(), "{}", exit.text);
    if let Some(error) = exit.error {
        let mark = if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            "\x1b[1;31merror:\x1b[0m"
        } else {
            "error:"
        };
        let _ = writeln!(std::io::stderr(), "{mark} {error}");
    }
    ExitCode::from(exit.code)
}
