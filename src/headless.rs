//! A run without a screen: one JSON event per line on stdout, text for people on stderr.
//!
//! Reads events and prints; owns no state of the run. The JSON is that of the recording.
#![allow(clippy::print_stderr)] // stderr is this file's business

use std::io::{self, IsTerminal, Write};

use crossbeam_channel::{Receiver, Sender};
use indicatif::{ProgressBar, ProgressStyle};

use crate::event::{Command, Event, Stamped, Started, Why};
use crate::schedule::Schedule;
use crate::step_time::StepTimes;

/// How much is printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Whether events go to stdout.
    pub json: bool,
    /// Whether text for people goes to stderr.
    pub text: bool,
    /// How a run began that is gone on with: it isn't told again.
    pub started: Option<Started>,
}

/// Prints events until the run ends, showing each to `watch` as well. Returns the last.
pub fn run(
    events: &Receiver<Stamped>,
    commands: &Sender<Command>,
    options: Options,
    mut watch: impl FnMut(&Stamped),
) -> Option<Event> {
    let mut out = io::stdout().lock();
    let mut human = Human::new(options.text);
    options.started.iter().for_each(|started| human.begin(started));
    let mut is_open = options.json;
    let mut last = None;
    for stamped in events {
        watch(&stamped);
        human.tell(&stamped);
        if is_open && stamped.event.is_recorded() {
            let written = serde_json::to_writer(&mut out, &stamped).map_err(io::Error::from);
            if written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err() {
                // Whoever read it has gone; what was trained must not be lost.
                is_open = false;
                human.say("stdout was closed: saving and stopping");
                let _ = commands.send(Command::Stop);
            }
        }
        last = Some(stamped.event);
    }
    last
}

/// Text for people on stderr.
struct Human {
    is_on: bool,
    bar: Option<ProgressBar>,
    layers: usize,
    total: u64,
    /// Loss since the last line: sum, count.
    loss: (f64, u32),
    last_line_us: u64,
    last_step: (u64, u64),
    tokens_per_step: u64,
    /// What those are.
    items: String,
    schedule: Option<Schedule>,
    times: StepTimes,
}

/// Wall time between step lines.
const LINE_EVERY_US: u64 = 2_000_000;

impl Human {
    fn new(is_on: bool) -> Self {
        Self {
            is_on,
            bar: None,
            layers: 0,
            total: 0,
            loss: (0.0, 0),
            last_line_us: 0,
            last_step: (0, 0),
            tokens_per_step: 0,
            items: String::new(),
            schedule: None,
            times: StepTimes::default(),
        }
    }

    /// What is known from the beginning on.
    fn begin(&mut self, s: &Started) {
        (self.layers, self.total, self.tokens_per_step) =
            (s.schedule.layers, s.schedule.total_steps(), s.tokens_per_step);
        self.items.clone_from(&s.items);
        self.schedule = Some(s.schedule.clone());
    }

    fn say(&self, line: &str) {
        if self.is_on {
            // A closed stderr must not end the run.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    fn tell(&mut self, stamped: &Stamped) {
        if !self.is_on {
            return;
        }
        self.times.take(stamped);
        if let Event::Progress { what, done, total } = &stamped.event {
            self.progress(what, *done, *total);
            return;
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some(line) = self.line(stamped) {
            self.say(&line);
        }
    }

    fn progress(&mut self, what: &str, done: u64, total: u64) {
        if !io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("{msg:12} [{bar:40}] {percent:>3} %  {eta} left") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        bar.set_length(total);
        bar.set_message(what.to_owned());
        bar.set_position(done);
    }

    fn line(&mut self, stamped: &Stamped) -> Option<String> {
        match &stamped.event {
            Event::Started(s) => {
                self.begin(s);
                let floor = s.floor.map_or(String::new(), |f| format!(", entropy floor {f:.4}"));
                Some(format!(
                    "run {}: {} {} on {}, {} parameters, {}{floor}",
                    s.run, s.method, s.objective, s.device, s.parameters, s.data
                ))
            }
            Event::Forked(forked) => {
                (self.last_step, self.last_line_us) = ((forked.step, stamped.us), stamped.us);
                let changes: String = forked.changes.iter().map(|change| format!("\n  {change}")).collect();
                Some(format!("forked from {}, {}, at step {}{changes}", forked.parent, forked.file, forked.step))
            }
            Event::Resumed { step, file, damaged, .. } => {
                (self.last_step, self.last_line_us) = ((*step, stamped.us), stamped.us);
                let passed = damaged.iter().map(|d| format!("passed over: {d}\n")).collect::<String>();
                Some(format!("{passed}resumed from {file} at step {step}"))
            }
            Event::StageEntered { step, stage, path_length, schedule, by_hand, .. } => {
                (self.layers, self.total) = (schedule.layers, schedule.total_steps());
                self.schedule = Some(schedule.clone());
                let hand = if *by_hand { " (by hand)" } else { "" };
                let stages = schedule.stages.len();
                Some(format!(
                    "step {step}: stage {}/{stages}, path length {path_length}/{}{hand}",
                    stage + 1,
                    schedule.layers
                ))
            }
            Event::Grown { step, from: 0, to, .. } => {
                Some(format!("step {step}: the first {to} layers exist; there is no full model yet"))
            }
            Event::Grown { step, from, to, .. } => Some(format!("step {step}: grown from {from} to {to} layers")),
            Event::ExpectationChanged { .. } | Event::PartsDrawn { .. } => None,
            Event::Stepped { step, path, loss, .. } => self.step_line(*step, path.path_length(), *loss, stamped.us),
            Event::Evaluated { step, why, scores } => {
                let each = scores.iter().map(|s| format!("{}/{}: {:.4}", s.path_length, self.layers, s.loss));
                let each: Vec<String> = each.collect();
                (*why != Why::Probe).then(|| {
                    format!("step {step}: evaluation ({}), loss at path length {}", why.word(), each.join(", "))
                })
            }
            Event::Measured(m) => {
                Some(format!("step {}: {} {}/{}  {}", m.step, m.name, m.path_length, self.layers, m.line()))
            }
            Event::TransitionMeasured(t) => {
                let recovered = t.recovery();
                let full = t.full.map_or(String::new(), |[was, now]| format!("; full model {was:.4} to {now:.4}"));
                Some(format!(
                    "step {}: transition {} to {} at {}: before {:.4}, entered {:.4}, peak {:.4}, after {:.4}, {recovered}{full}",
                    t.step, t.from, t.to, t.at, t.before, t.entered, t.peak, t.after
                ))
            }
            Event::Applied { step, command } => Some(format!("step {step}: {}", command.words())),
            Event::Refused { step, command, reason } => {
                Some(format!("step {step}: {}: refused, {reason}", command.words()))
            }
            Event::Saved { step, file, .. } => Some(format!("step {step}: saved {file}")),
            Event::Finished { step, ending, weights } => {
                let times = self.schedule.as_ref().and_then(|s| self.times.fit(s));
                let times = times.map_or(String::new(), |fit| format!("{}\n", fit.line()));
                Some(format!("{times}{ending:?} after {step} steps, weights {weights}"))
            }
            // The caller reports the failure, once.
            Event::Failed { .. } | Event::Progress { .. } | Event::ScheduleEdited { .. } => None,
        }
    }

    fn step_line(&mut self, step: u64, length: usize, loss: f32, us: u64) -> Option<String> {
        self.loss = (self.loss.0 + f64::from(loss), self.loss.1 + 1);
        let is_last = step + 1 == self.total;
        if us < self.last_line_us + LINE_EVERY_US && step > 0 && !is_last {
            return None;
        }
        let (before, before_us) = std::mem::replace(&mut self.last_step, (step + 1, us));
        let seconds = (us - before_us) as f64 / 1e6;
        let rate = (step + 1).saturating_sub(before) as f64 * self.tokens_per_step as f64 / seconds.max(1e-6);
        let (sum, steps) = std::mem::replace(&mut self.loss, (0.0, 0));
        let mean = sum / f64::from(steps);
        let of = if steps == 1 { String::new() } else { format!(" (mean of {steps} steps)") };
        self.last_line_us = us;
        Some(format!(
            "step {}/{}  path length {length}/{}  subnetwork loss {mean:.4}{of}  {rate:.0} {}/s",
            step + 1,
            self.total,
            self.layers,
            self.items
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ending, Measurement};
    use crate::layer_path::LayerPath;
    use crate::schedule::Stage;

    #[test]
    fn measurements_and_the_time_of_a_step_are_told() {
        let mut human = Human::new(true);
        let fixed = LayerPath::none(4);
        let schedule = Schedule { layers: 4, stages: vec![Stage::new(10, 2, fixed), Stage::new(10, 4, fixed)] };
        human.schedule = Some(schedule);
        human.layers = 4;
        for step in 0..20u64 {
            let n = if step < 10 { 2 } else { 4 };
            let us = (1..=step).map(|s| if s < 10 { 4000 } else { 6000 }).sum();
            let path = LayerPath::from_layers(4, 0..n);
            let event = Event::Stepped { step, stage: 0, path, loss: 1.0, learning_rate: 0.1, gradient_norm: 1.0 };
            human.times.take(&Stamped { seq: 0, us, event });
        }
        let (labels, values) = (vec!["1".to_owned()], vec![0.5]);
        let name = "psi by layer".to_owned();
        let m = Measurement { step: 20, name, path_length: 4, labels, values, spreads: vec![0.25] };
        let told = human.line(&Stamped { seq: 0, us: 0, event: Event::Measured(m) }).unwrap();
        assert_eq!(told, "step 20: psi by layer 4/4  1: 0.5000 ±0.2500");
        let event = Event::Finished { step: 20, ending: Ending::Completed, weights: "w".to_owned() };
        let told = human.line(&Stamped { seq: 0, us: 0, event }).unwrap();
        // 2 + n ms: 6 ms for all four layers, 5 on average.
        assert!(told.contains("2.00 + 1.00 n ms") && told.contains("1.200 by the schedule, 1.200 so far"), "{told}");
    }
}
