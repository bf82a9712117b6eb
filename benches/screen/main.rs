//! What the screen costs: the same run headless and with the screen open and drawing in a pseudo-terminal, by turns.
//!
//!     cargo bench --bench screen -- [--config NAME] [--steps N] [--rounds N] [--set KEY=VALUE]...
//!
//! The time of a step comes from the recording (the trainer's own clock), the first fifth left out. Figures are medians over
//! rounds, the ratio the median of the rounds' ratios. It also counts the frames that were drawn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use raptr_tui::event::Event;
use raptr_tui::recording;

/// What the program writes behind each frame.
const END_OF_FRAME: &[u8] = b"\x1b[?2026l";

struct Options {
    config: String,
    steps: u64,
    rounds: usize,
    sets: Vec<String>,
}

fn options() -> Options {
    let mut options = Options { config: "quickstart".to_owned(), steps: 600, rounds: 5, sets: Vec::new() };
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(name) = args.next() {
        let value = args.next().unwrap_or_default();
        match name.as_str() {
            "--config" => options.config = value,
            "--steps" => options.steps = value.parse().expect("--steps N"),
            "--rounds" => options.rounds = value.parse().expect("--rounds N"),
            "--set" => options.sets.push(value),
            _ => {
                eprintln!("options: --config NAME, --steps N, --rounds N, --set KEY=VALUE");
                std::process::exit(2)
            }
        }
    }
    options
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Options {
    fn arguments(&self, name: &str) -> Vec<String> {
        let fixed = [
            format!("train.steps={}", self.steps),
            // Nothing but steps in what is timed.
            "evaluation.every=0".to_owned(),
            "evaluation.transition_window=0".to_owned(),
            "checkpoint.every=0".to_owned(),
        ];
        let sets = fixed.iter().chain(&self.sets).flat_map(|set| ["--set".to_owned(), set.clone()]);
        [self.config.clone(), "--name".to_owned(), name.to_owned()].into_iter().chain(sets).collect()
    }
}

/// Microseconds per step, from the recording.
fn step_time(place: &Path, name: &str) -> f64 {
    let events = recording::read(&place.join("runs").join(name).join(recording::FILE)).unwrap();
    let steps: Vec<u64> = events.iter().filter(|s| matches!(s.event, Event::Stepped { .. })).map(|s| s.us).collect();
    let rest = &steps[steps.len() / 5..];
    (rest[rest.len() - 1] - rest[0]) as f64 / (rest.len() - 1) as f64
}

/// Whether the recording's last line says that the run has ended.
fn is_finished(file: &Path) -> bool {
    let mut tail = String::new();
    File::open(file)
        .and_then(|mut f| {
            let length = f.metadata()?.len();
            f.seek(SeekFrom::Start(length.saturating_sub(200)))?;
            f.read_to_string(&mut tail)
        })
        .is_ok_and(|_| tail.contains("\"event\":\"finished\""))
}

fn headless(options: &Options, place: &Path, name: &str) -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raptr-tui"));
    command.args(options.arguments(name)).args(["--headless", "--quiet"]).current_dir(place);
    assert!(command.stdout(Stdio::null()).stdin(Stdio::null()).status().unwrap().success());
    step_time(place, name)
}

/// The time of a step, and frames drawn.
fn with_screen(options: &Options, place: &Path, name: &str) -> (f64, usize) {
    let size = PtySize { cols: 120, rows: 36, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_raptr-tui"));
    command.args(options.arguments(name));
    command.cwd(place);
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut keys = pair.master.take_writer().unwrap();
    // The screen stays when the run is over, until it is told to go.
    let file = place.join("runs").join(name).join(recording::FILE);
    let leave = std::thread::spawn(move || {
        while !is_finished(&file) {
            std::thread::sleep(Duration::from_millis(200));
        }
        keys.write_all(b"q").unwrap();
        keys.flush().unwrap();
        keys
    });
    let (mut buffer, mut raw, mut frames) = ([0; 1 << 14], Vec::new(), 0);
    while let Ok(n @ 1..) = reader.read(&mut buffer) {
        raw.extend_from_slice(&buffer[..n]);
        frames += raw.windows(END_OF_FRAME.len()).filter(|w| *w == END_OF_FRAME).count();
        // The beginning of a mark that isn't whole yet.
        let kept = raw.len().saturating_sub(END_OF_FRAME.len() - 1);
        raw.drain(..kept);
    }
    drop(leave.join());
    assert!(child.wait().unwrap().success());
    (step_time(place, name), frames)
}

fn main() {
    let options = options();
    let place = tempfile::tempdir().unwrap();
    let (mut without, mut with, mut ratios, mut drawn) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..options.rounds {
        let a = headless(&options, place.path(), &format!("headless-{round}"));
        let (b, frames) = with_screen(&options, place.path(), &format!("screen-{round}"));
        without.push(a);
        with.push(b);
        ratios.push(a / b);
        drawn += frames;
    }
    let (a, b) = (median(without), median(with));
    println!("{}, {} steps, {} rounds", options.config, options.steps, options.rounds);
    println!("  headless    {:>9.3} ms/step", a / 1e3);
    println!("  with screen {:>9.3} ms/step, {:.0} frames per run", b / 1e3, drawn as f64 / options.rounds as f64);
    println!("  speed with the screen over headless: {:.3}", median(ratios));
}
