//! From a key to the frame that shows what it did, in a pseudo-terminal while every core trains.

use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

/// Times from writing the key that shows another screen to the end of the first frame that does.
pub fn latencies(count: usize) -> Vec<Duration> {
    const SIZE: PtySize = PtySize { cols: 120, rows: 36, pixel_width: 0, pixel_height: 0 };
    let place = tempfile::tempdir().unwrap();
    let pair = native_pty_system().openpty(SIZE).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_raptr-tui"));
    command.args(["quickstart", "--name", "keys", "--set", "train.steps=1000000", "--set", "checkpoint.every=0"]);
    command.args(["--set", "evaluation.every=0"]);
    command.cwd(place.path());
    command.env("TERM", "xterm-256color");
    command.env("HOME", place.path());
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut keys = pair.master.take_writer().unwrap();
    let (sender, output) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            if sender.send((Instant::now(), buffer[..n].to_vec())).is_err() {
                return;
            }
        }
    });
    let mut terminal = vt100::Parser::new(SIZE.rows, SIZE.cols, 0);
    // Waits until the screen shows (or no longer shows) some words; returns when the bytes that did it came.
    let mut until = |words: &str, is_shown: bool| {
        let mut at = Instant::now();
        while terminal.screen().contents().contains(words) != is_shown {
            let (came, bytes) = output.recv_timeout(Duration::from_secs(60)).expect("the screen stands still");
            terminal.process(&bytes);
            at = came;
        }
        at
    };
    // The Train screen has it, the Layers screen hasn't.
    const TRAIN: &str = "Transitions";
    until("RUNNING", true);
    until(TRAIN, true);
    let mut times = Vec::new();
    for i in 0..count {
        let is_shown = i % 2 == 1;
        let key = if is_shown { b"1" } else { b"2" };
        // Not in step with the frames.
        std::thread::sleep(Duration::from_millis(40 + (i as u64 * 17) % 31));
        let began = Instant::now();
        keys.write_all(key).unwrap();
        keys.flush().unwrap();
        times.push(until(TRAIN, is_shown).saturating_duration_since(began));
    }
    keys.write_all(b"\x03").unwrap();
    let _ = child.wait();
    times
}
