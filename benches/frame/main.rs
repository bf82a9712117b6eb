//! What a very long run costs the screen: a frame, the memory, a seek, opening the recording, and a key under load.
//!
//!     cargo bench --bench frame -- [--steps N] [--layers N] [--file] [--keys N]
//!
//! A synthetic recording of so many steps is folded and drawn: each screen at three sizes, medians and 99th percentiles.
//! `--file` also writes it down and opens it again. `--keys` presses keys in a pseudo-terminal while the quickstart is
//! trained on every core, and measures until the frame that shows what they did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod keys;
mod synthetic;

use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use raptr_tui::app::{App, Options as AppOptions, Screen, Seek};
use raptr_tui::player::Player;
use raptr_tui::player::tape::Tape;
use raptr_tui::recording;
use raptr_tui::view::glyphs::Glyphs;
use raptr_tui::view::theme::{Depth, find};
use raptr_tui::view::{Look, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

struct Options {
    steps: u64,
    layers: usize,
    file: bool,
    keys: usize,
}

fn options() -> Options {
    let mut options = Options { steps: 1_000_000, layers: 128, file: false, keys: 0 };
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(name) = args.next() {
        if name == "--file" {
            options.file = true;
            continue;
        }
        let value = args.next().unwrap_or_default();
        match name.as_str() {
            "--steps" => options.steps = value.parse().expect("--steps N"),
            "--layers" => options.layers = value.parse().expect("--layers N"),
            "--keys" => options.keys = value.parse().expect("--keys N"),
            _ => {
                eprintln!("options: --steps N, --layers N, --file, --keys N");
                std::process::exit(2)
            }
        }
    }
    options
}

/// The median and the 99th percentile, milliseconds.
fn summary(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    format!("{:>8.3} ms median {:>8.3} ms 99th percentile {:>8.3} ms longest", at(0.5), at(0.99), at(1.0))
}

/// Resident memory of this process, MiB; 0 where the system doesn't say.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    let options = options();
    println!("{} steps of a model of {} layers", options.steps, options.layers);
    let before = resident();
    let tape: Tape = synthetic::events(options.steps, options.layers).collect();
    println!("  the recording in memory {:>8.1} MiB", resident() - before);
    let (before, began) = (resident(), Instant::now());
    let mut player = Player::new(tape, 1.0);
    let each = began.elapsed().as_secs_f64() / options.steps as f64;
    println!("  folded at {:.2} us per event; the index holds {:.1} MiB", each * 1e6, resident() - before);
    seeks(&mut player);
    frames(&player);
    if options.file {
        file(&options);
    }
    if options.keys > 0 {
        println!("  a key to its frame, all cores training: {}", summary(keys::latencies(options.keys)));
    }
}

fn seeks(player: &mut Player) {
    let mut times = Vec::new();
    for i in 0..200u64 {
        // Here and there over the whole recording.
        let share = (i.wrapping_mul(2_654_435_761) % 10_000) as f64 / 10_000.0;
        let began = Instant::now();
        player.seek(Seek::Share(share));
        black_box(player.run());
        times.push(began.elapsed());
    }
    println!("  a seek to anywhere      {}", summary(times));
    let mut times = Vec::new();
    for i in 0..100u64 {
        let began = Instant::now();
        player.seek(if i % 2 == 0 { Seek::Steps(1) } else { Seek::Stages(-1) });
        black_box(player.run());
        times.push(began.elapsed());
    }
    println!("  a step on, a stage back {}", summary(times));
    player.seek(Seek::End);
}

fn frames(player: &Player) {
    let look = Look { theme: find("dark", Depth::True).unwrap(), glyphs: Glyphs::Braille };
    let mut app = App::new(AppOptions { read_only: true, is_replay: true });
    app.run = player.run();
    for (width, height) in [(80, 24), (120, 36), (200, 60)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        for screen in Screen::ALL {
            app.ui.screen = screen;
            let times = (0..300).map(|_| {
                let began = Instant::now();
                terminal.draw(|frame| draw(frame, &app, &look)).unwrap();
                began.elapsed()
            });
            println!("  a frame, {width:>3}x{height}, {:<8} {}", screen.name(), summary(times.collect()));
        }
    }
}

fn file(options: &Options) {
    let place = tempfile::tempdir().unwrap();
    let name = place.path().join(recording::FILE);
    let mut out = BufWriter::new(std::fs::File::create(&name).unwrap());
    for stamped in synthetic::events(options.steps, options.layers) {
        serde_json::to_writer(&mut out, &stamped).unwrap();
        out.write_all(b"\n").unwrap();
    }
    out.flush().unwrap();
    let size = std::fs::metadata(&name).unwrap().len() as f64 / 1048576.0;
    let began = Instant::now();
    let mut tape = Tape::default();
    recording::each(&name, &mut |stamped| {
        tape.push(stamped);
    })
    .unwrap();
    println!("  a recording of {size:.0} MiB is read in {:.2} s", began.elapsed().as_secs_f64());
    assert_eq!(tape.len() as u64, options.steps + 1 + synthetic::STAGES);
}
