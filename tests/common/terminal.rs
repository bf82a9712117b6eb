//! The program in a (pseudo) terminal: what is typed, and what its screen shows.
#![allow(dead_code)] // each test file uses its part

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::common::Place;

/// Longest wait for anything; only a failing test takes it.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Screen {
    pub child: Box<dyn Child + Send + Sync>,
    pub master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    pub output: Receiver<Vec<u8>>,
    pub terminal: vt100::Parser,
    pub raw: Vec<u8>,
    /// How much of `raw` the terminal has been given: only whole frames, as a terminal that synchronises draws them.
    pub drawn: usize,
}

/// What the program writes behind each frame.
const END_OF_FRAME: &[u8] = b"\x1b[?2026l";

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

impl Screen {
    pub fn open(place: &Place, args: &[&str], env: &[(&str, &str)], size: (u16, u16)) -> Self {
        let size = PtySize { cols: size.0, rows: size.1, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_raptr-tui"));
        command.args(args);
        command.cwd(place.path());
        for theirs in ["NO_COLOR", "RAPTR_CONFIG", "XDG_CONFIG_HOME"] {
            command.env_remove(theirs);
        }
        for (key, value) in [("TERM", "xterm-256color"), ("HOME", place.path().to_str().unwrap())].iter().chain(env) {
            command.env(key, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let terminal = vt100::Parser::new(size.rows, size.cols, 0);
        Self { child, master: pair.master, keys, output, terminal, raw: Vec::new(), drawn: 0 }
    }

    pub fn text(&self) -> String {
        self.terminal.screen().contents()
    }

    /// Reads what has come, or waits a little for it.
    fn read(&mut self) {
        if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(200)) {
            self.raw.extend(bytes);
            let fresh = &self.raw[self.drawn..];
            if let Some(at) = fresh.windows(END_OF_FRAME.len()).rposition(|w| w == END_OF_FRAME) {
                let frames = &fresh[..at + END_OF_FRAME.len()];
                self.terminal.process(frames);
                self.drawn += frames.len();
            }
        }
    }

    /// Reads until the screen is as wanted.
    pub fn wait(&mut self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        while !is_wanted(&self.text()) {
            assert!(began.elapsed() < PATIENCE, "never saw {what}; the screen shows:\n{}", self.text());
            self.read();
        }
        self.text()
    }

    /// As [`Self::see`], pressing a key again and again meanwhile.
    pub fn see_pressing(&mut self, key: &str, text: &str) -> String {
        let began = Instant::now();
        while !self.text().contains(text) {
            assert!(began.elapsed() < PATIENCE, "never saw {text}; the screen shows:\n{}", self.text());
            self.press(key);
            self.read();
        }
        self.text()
    }

    pub fn see(&mut self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for the program's end; returns its code and everything it wrote.
    pub fn end(mut self) -> (u32, String) {
        let began = Instant::now();
        loop {
            while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(50)) {
                self.raw.extend(bytes);
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(200)) {
                    self.raw.extend(bytes);
                }
                return (status.exit_code(), String::from_utf8_lossy(&self.raw).into_owned());
            }
            assert!(began.elapsed() < PATIENCE, "the program doesn't end; the screen shows:\n{}", self.text());
        }
    }
}

/// The terminal was given back: out of the alternate screen, cursor shown.
pub fn assert_restored(raw: &str) {
    let left = raw.rfind("\x1b[?1049l").expect("never left the alternate screen");
    assert!(left > raw.rfind("\x1b[?1049h").unwrap() && raw[left..].contains("\x1b[?25h"));
}
