//! A process that trains on demand.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use raptr_tui::config::{Architecture, Precision};

use crate::shape::{self, Shape};

/// Threads of every contender.
pub const THREADS: usize = 2;

pub struct Contender {
    pub name: String,
    /// Seconds per step, by path length and round.
    pub seconds: Vec<Vec<f64>>,
    /// Steps that take about a second, by path length.
    steps: Vec<usize>,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Contender {
    /// This very program, told to be a worker.
    pub fn ours(args: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("worker").args(args);
        Self::start("raptr-tui".to_owned(), command)
    }

    /// PyTorch on the device of that name.
    pub fn torch(python: &str, s: &Shape, precision: Precision, mode: &str, device: &str) -> Self {
        // On a machine that this was not built on, it is started in the project's folder.
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/torch_step.py");
        let is_here = std::path::Path::new(built).exists();
        let script = if is_here { built } else { "benches/peers/torch_step.py" };
        let architecture = if s.architecture == Architecture::Decoder { "decoder" } else { "encoder" };
        let numbers = [s.layers, s.width, s.heads, s.context, s.batch, s.vocabulary].map(|n| n.to_string());
        let mut command = Command::new(python);
        command.arg(script).arg(architecture).args(numbers).args([shape::name(precision), mode]);
        command.arg(THREADS.to_string()).arg(device);
        Self::start(format!("torch {mode}"), command)
    }

    /// A process that says `ready` when it is.
    fn start(name: String, mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut contender = Self { name, seconds: Vec::new(), steps: Vec::new(), child, input, output };
        let ready = contender.line();
        assert!(ready.starts_with("ready"), "{}: {ready}", contender.name);
        contender
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{} has died", self.name);
        line
    }

    /// Sends a line; the numbers of the answer.
    pub fn ask(&mut self, line: &str) -> Vec<f64> {
        writeln!(self.input, "{line}").unwrap();
        self.line().split_whitespace().map(|n| n.parse().unwrap()).collect()
    }

    fn train(&mut self, length: usize, steps: usize) -> f64 {
        self.ask(&format!("{length} {steps}"))[0] / steps as f64
    }

    pub fn warm_up(&mut self, lengths: &[usize]) {
        for &length in lengths {
            self.train(length, 3);
            let seconds = self.train(length, 3);
            self.steps.push((1.0 / seconds).round().max(1.0) as usize);
            self.seconds.push(Vec::new());
        }
    }

    pub fn round(&mut self, lengths: &[usize]) {
        for (i, &length) in lengths.iter().enumerate() {
            // Whoever was at work before may still spin.
            std::thread::sleep(Duration::from_millis(100));
            let seconds = self.train(length, self.steps[i]);
            self.seconds[i].push(seconds);
        }
    }
}
