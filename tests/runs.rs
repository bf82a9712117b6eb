//! The three promises, through the program: stop and resume equals uninterrupted, rerun equals the live run, one thread
//! equals many; and what signals, kills and torn files do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use common::{Place, TINY, curve, final_weights, stderr, stdout};
use raptr_tui::event::{Command, Ending, Event, Stamped, Why};

/// Kills the program if a test gives up on it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn signal(&self, signal: i32) {
        let pid = self.0.id().to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        assert!(sent.success());
    }

    fn code(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

/// Starts a run and reads its events until one is wanted.
fn start_until(place: &Place, args: &[&str], mut is_wanted: impl FnMut(&Event) -> bool) -> (Running, Box<dyn BufRead>) {
    let mut child = place.program(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out: Box<dyn BufRead> = Box::new(BufReader::new(child.stdout.take().unwrap()));
    let running = Running(child);
    let mut line = String::new();
    loop {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the run ended before what was waited for");
        let stamped: Stamped = serde_json::from_str(&line).unwrap();
        if is_wanted(&stamped.event) {
            return (running, out);
        }
    }
}

fn is_step(event: &Event, wanted: u64) -> bool {
    matches!(event, Event::Stepped { step, .. } if *step == wanted)
}

#[test]
fn headless_prints_the_recording() {
    let place = Place::new();
    let output = place.output(&[TINY, "--headless", "--name", "a"]);
    assert_eq!(output.status.code(), Some(0));
    let printed: Vec<Stamped> = stdout(&output).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(printed, place.stamped("a"));
    let events = place.events("a");
    let stages: Vec<usize> = events
        .iter()
        .filter_map(|e| match e {
            Event::StageEntered { path_length, .. } => Some(*path_length),
            _ => None,
        })
        .collect();
    assert_eq!(stages, [2, 3, 4]);
    let path_lengths = events.iter().filter_map(|e| match e {
        Event::Stepped { path, .. } => Some(path.path_length()),
        _ => None,
    });
    let expected: Vec<usize> = [2, 3, 4].into_iter().flat_map(|k| [k; 8]).collect();
    assert_eq!(path_lengths.collect::<Vec<_>>(), expected);
    for file in ["config.toml", "tokenizer.json", "events.jsonl", "raptr.log", "checkpoints/step-00000024/sha256sums"] {
        assert!(place.run("a").join(file).is_file(), "{file}");
    }
    assert!(stderr(&output).contains("entropy floor") && stderr(&output).contains("stage 3/3"));
}

#[test]
fn training_learns_and_the_seed_decides() {
    let place = Place::new();
    let more = ["--set", "train.steps=150", "--set", "checkpoint.every=0"];
    let events = place.train("a", &more);
    let full: Vec<f32> = events
        .iter()
        .filter_map(|e| match e {
            Event::Evaluated { why: Why::Cadence | Why::Final, scores, .. } => Some(scores.last().unwrap().loss),
            _ => None,
        })
        .collect();
    assert!(full.last().unwrap() < &(0.6 * full[0]), "{full:?}");
    assert_eq!(curve(&events), curve(&place.train("b", &more)));
    let other = place.train("c", &[&more[..], &["--set", "seed=1"]].concat());
    assert_ne!(final_weights(&events), final_weights(&other));
}

#[test]
fn threads_and_evaluations_change_nothing() {
    let place = Place::new();
    let one = place.train("one", &["--set", "train.threads=1"]);
    let two = place.train("two", &["--set", "train.threads=2"]);
    assert_eq!((curve(&one), final_weights(&one)), (curve(&two), final_weights(&two)));
    let steps =
        |events: &[Event]| events.iter().filter(|e| matches!(e, Event::Stepped { .. })).cloned().collect::<Vec<_>>();
    let busy = place.train("busy", &["--set", "evaluation.every=1", "--set", "checkpoint.every=1"]);
    assert_eq!((steps(&one), final_weights(&one)), (steps(&busy), final_weights(&busy)));
    let idle = place.train("idle", &["--set", "evaluation.every=0", "--set", "evaluation.transition_window=0"]);
    assert_eq!((steps(&one), final_weights(&one)), (steps(&idle), final_weights(&idle)));
}

#[test]
fn accumulated_micro_batches_are_one_large_batch() {
    let place = Place::new();
    let losses = |events: &[Event]| -> Vec<f32> {
        events.iter().filter_map(|e| if let Event::Stepped { loss, .. } = e { Some(*loss) } else { None }).collect()
    };
    let whole = losses(&place.train("whole", &["--set", "train.batch=8", "--set", "train.steps=6"]));
    let halves = losses(&place.train("halves", &["--set", "train.accumulate=2", "--set", "train.steps=6"]));
    for (a, b) in whole.iter().zip(&halves) {
        assert!((a - b).abs() < 1e-4 * a, "{a} {b}");
    }
}

#[test]
fn the_reference_engine_trains_the_same_run() {
    let place = Place::new();
    let steps = ["--set", "train.steps=8"];
    let fast = place.train("fast", &steps);
    let reference = place.train("reference", &[&steps[..], &["--set", "train.engine=reference"]].concat());
    for (a, b) in curve(&fast).iter().zip(&curve(&reference)) {
        if let (Event::Stepped { loss: a, path: p, .. }, Event::Stepped { loss: b, path: q, .. }) = (a, b) {
            assert_eq!(p, q);
            assert!((a - b).abs() < 1e-3 * a, "{a} {b}");
        }
    }
}

/// Stop at `step` by a scripted command, resume, and compare with a run that was never stopped.
fn stop_and_resume(place: &Place, whole: &[Event], step: u64) {
    let name = format!("stopped-{step}");
    let script = place.write(&format!("{name}.jsonl"), &format!("{{\"at_step\":{step},\"command\":\"stop\"}}\n"));
    let output = place.output(&[TINY, "--headless", "--quiet", "--name", &name, "--commands", &script]);
    assert_eq!(output.status.code(), Some(0));
    let ended = matches!(place.events(&name).last(), Some(Event::Finished { ending: Ending::Stopped, step: s, .. }) if *s == step);
    assert!(ended);
    let output = place.output(&["--resume", &name, "--headless", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let events = place.events(&name);
    assert_eq!(curve(&events), curve(whole), "stopped at {step}");
    assert_eq!(final_weights(&events), final_weights(whole));
    let rerun = place.output(&["rerun", &name, "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

#[test]
fn stop_and_resume_equals_uninterrupted() {
    let place = Place::new();
    let whole = place.train("whole", &[]);
    // At the start, at an evaluation, at a stage boundary, within a transition's window, at a checkpoint, near the end.
    for step in [0, 5, 8, 11, 16, 20, 23] {
        stop_and_resume(&place, &whole, step);
    }
}

#[test]
fn a_killed_run_goes_on_as_if_it_had_not_been() {
    let place = Place::new();
    // Long enough that the kill comes in the middle.
    let more = ["--set", "train.steps=400", "--set", "checkpoint.every=7", "--set", "evaluation.every=50"];
    let whole = place.train("whole", &more);
    for kill_at in [90, 222] {
        let name = format!("killed-{kill_at}");
        let args = [&[TINY, "--headless", "--quiet", "--name", &name][..], &more].concat();
        let (running, _out) = start_until(&place, &args, |e| is_step(e, kill_at));
        running.signal(9);
        assert_eq!(running.code(), None);
        // What a kill leaves in the middle of a checkpoint and of a line.
        let draft = place.run(&name).join("checkpoints/step-99999999.unfinished");
        fs::create_dir_all(&draft).unwrap();
        fs::write(draft.join("model.safetensors"), "half").unwrap();
        let output = place.output(&["--resume", "latest", "--headless", "--quiet"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let events = place.events(&name);
        assert_eq!(curve(&events), curve(&whole), "killed at {kill_at}");
        assert_eq!(final_weights(&events), final_weights(&whole));
        assert!(!draft.exists());
        let rerun = place.output(&["rerun", &name, "--headless", "--quiet"]);
        assert!(rerun.status.success(), "{}", stderr(&rerun));
    }
}

#[test]
fn a_run_killed_before_its_first_checkpoint_says_so() {
    let place = Place::new();
    let args = [TINY, "--headless", "--quiet", "--set", "train.steps=100000", "--set", "checkpoint.every=0"];
    let (running, _out) = start_until(&place, &args, |e| is_step(e, 3));
    running.signal(9);
    assert_eq!(running.code(), None);
    let output = place.output(&["--resume", "latest", "--headless", "--quiet"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("holds no checkpoint yet"), "{}", stderr(&output));
}

#[test]
fn a_torn_checkpoint_is_passed_over_for_the_one_before() {
    let place = Place::new();
    let whole = place.train("whole", &[]);
    let script =
        place.write("c.jsonl", "{\"at_step\":10,\"command\":\"save\"}\n{\"at_step\":13,\"command\":\"stop\"}\n");
    place.output(&[TINY, "--headless", "--quiet", "--name", "torn", "--commands", &script]);
    let newest = place.run("torn").join("checkpoints/step-00000013/model.safetensors");
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() - 100]).unwrap();
    let output = place.output(&["--resume", "torn", "--headless"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("passed over") && stderr(&output).contains("step-00000013"),
        "{}",
        stderr(&output)
    );
    let events = place.events("torn");
    assert_eq!((curve(&events), final_weights(&events)), (curve(&whole), final_weights(&whole)));
}

/// Every control, as a script.
const STEERED: &str = r#"{"at_step":2,"command":"pause"}
{"at_step":2,"command":"step","steps":3}
{"at_step":5,"command":"evaluate"}
{"at_step":5,"command":"set_path_length","stage":0,"path_length":3}
{"at_step":5,"command":"resume"}
{"at_step":6,"command":"evaluate_curve"}
{"at_step":7,"command":"next_stage"}
{"at_step":9,"command":"set_path_length","stage":2,"path_length":9}
{"at_step":9,"command":"previous_stage"}
{"at_step":10,"command":"set_learning_rate_scale","scale":0.5}
{"at_step":12,"command":"save"}
{"at_step":12,"command":"resume"}
{"at_step":14,"command":"set_path_length","stage":4,"path_length":2}
"#;

#[test]
fn a_run_steered_by_every_control_reruns_to_the_same_bits() {
    let place = Place::new();
    let script = place.write("steer.jsonl", STEERED);
    let events = place.train("steered", &["--commands", &script]);
    let applied = events.iter().filter(|e| matches!(e, Event::Applied { .. })).count();
    let refused: Vec<&String> =
        events.iter().filter_map(|e| if let Event::Refused { reason, .. } = e { Some(reason) } else { None }).collect();
    assert_eq!((applied, refused.len()), (11, 2), "{refused:?}");
    assert!(refused[0].contains("must lie between 2") && refused[1].contains("not paused"));
    let by_hand = events.iter().filter(|e| matches!(e, Event::StageEntered { by_hand: true, .. })).count();
    assert!(by_hand >= 3, "{by_hand}");
    let measured = events.iter().filter(|e| matches!(e, Event::TransitionMeasured(_))).count();
    assert_eq!(measured, 2, "3 to 2 and 2 to 3; the others changed no path length");
    let halved =
        events.iter().any(|e| matches!(e, Event::Applied { step: 10, command: Command::SetLearningRateScale { .. } }));
    assert!(halved);
    let rerun = place.output(&["rerun", "steered", "--headless", "--quiet"]);
    assert!(rerun.status.success(), "{}", stderr(&rerun));
    assert!(stdout(&rerun).contains("identical") && stdout(&rerun).contains("(24 steps)"), "{}", stdout(&rerun));
}

/// Stages' ends moved: of the 8 + 8 + 8 steps 6 + 4 + 14 become, then 6 + 12 + 6; what can't be is refused.
const MOVED: &str = r#"{"at_step":3,"command":"set_stage_steps","stage":0,"steps":6}
{"at_step":3,"command":"set_stage_steps","stage":1,"steps":4}
{"at_step":7,"command":"set_stage_steps","stage":0,"steps":9}
{"at_step":8,"command":"set_stage_steps","stage":2,"steps":3}
{"at_step":9,"command":"set_stage_steps","stage":1,"steps":12}
"#;

#[test]
fn stages_of_another_length_keep_the_three_promises() {
    let place = Place::new();
    let script = place.write("moved.jsonl", MOVED);
    let events = place.train("moved", &["--commands", &script]);
    let lengths: Vec<usize> = events
        .iter()
        .filter_map(|e| if let Event::Stepped { path, .. } = e { Some(path.path_length()) } else { None })
        .collect();
    assert_eq!(lengths, [vec![2; 6], vec![3; 12], vec![4; 6]].concat());
    let refused: Vec<&String> =
        events.iter().filter_map(|e| if let Event::Refused { reason, .. } = e { Some(reason) } else { None }).collect();
    assert_eq!(refused.len(), 2);
    assert!(refused[0].contains("stage 1 is over") && refused[1].contains("stage 3 ends with the run"), "{refused:?}");
    // The learning rate goes over the whole run, whose length has not changed.
    let rates = |events: &[Event]| -> Vec<f32> {
        let rate = |e: &Event| if let Event::Stepped { learning_rate, .. } = e { Some(*learning_rate) } else { None };
        events.iter().filter_map(rate).collect()
    };
    assert_eq!(rates(&events), rates(&place.train("unmoved", &[])));
    // Rerun; one thread as many; stopped between the edits and resumed.
    let rerun = place.output(&["rerun", "moved", "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
    let alone = place.train("alone", &["--commands", &script, "--set", "train.threads=1"]);
    assert_eq!((curve(&alone), final_weights(&alone)), (curve(&events), final_weights(&events)));
    let (before, after) = MOVED.split_at(MOVED.find("{\"at_step\":7").unwrap());
    let first = place.write("first.jsonl", &format!("{before}{{\"at_step\":5,\"command\":\"stop\"}}\n"));
    let then = place.write("then.jsonl", after);
    let output = place.output(&[TINY, "--headless", "--quiet", "--name", "cut", "--commands", &first]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = place.output(&["--resume", "cut", "--headless", "--quiet", "--commands", &then]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let cut = place.events("cut");
    assert_eq!((curve(&cut), final_weights(&cut)), (curve(&events), final_weights(&events)));
    let rerun = place.output(&["rerun", "cut", "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

#[test]
fn a_rerun_finds_the_first_difference() {
    let place = Place::new();
    place.train("a", &[]);
    let file = place.run("a").join("events.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|l| l.contains("\"stepped\"") && l.contains("\"step\":7,")).unwrap();
    let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["loss"] = (event["loss"].as_f64().unwrap() * 1.0001).into();
    fs::write(&file, text.replace(line, &event.to_string())).unwrap();
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert_eq!(rerun.status.code(), Some(1));
    assert!(stderr(&rerun).contains("differs") && stderr(&rerun).contains("\"step\":7"), "{}", stderr(&rerun));
    assert!(!stderr(&rerun).contains("recorded on"), "{}", stderr(&rerun));
    let text = fs::read_to_string(&file).unwrap().replacen("\"device\":\"cpu", "\"device\":\"NVIDIA H200", 1);
    fs::write(&file, text).unwrap();
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    let told = stderr(&rerun);
    assert!(told.contains("recorded on \"NVIDIA H200") && told.contains("ran on \"cpu"), "{told}");
    assert!(!stderr(&rerun).contains("train.deterministic"), "{}", stderr(&rerun));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("deterministic = true", "deterministic = false", 1)).unwrap();
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(stderr(&rerun).contains("train.deterministic is false"), "{}", stderr(&rerun));
}

#[test]
fn signals_save_and_leave_with_their_codes() {
    for (signal, code) in [(2, 130), (15, 143), (1, 129)] {
        let place = Place::new();
        let args = [
            TINY,
            "--headless",
            "--quiet",
            "--name",
            "a",
            "--set",
            "train.steps=1000000",
            "--set",
            "checkpoint.every=0",
        ];
        let (running, _out) = start_until(&place, &args, |e| is_step(e, 20));
        running.signal(signal);
        assert_eq!(running.code(), Some(code));
        let events = place.events("a");
        assert!(matches!(events.last(), Some(Event::Finished { ending: Ending::Stopped, .. })));
        assert!(matches!(events[events.len() - 2], Event::Saved { .. }));
    }
}

#[test]
fn a_signal_is_honoured_inside_an_evaluation_and_the_evaluation_done_anew() {
    let place = Place::new();
    // Evaluations that would take minutes.
    let long =
        ["--set", "evaluation.batches=200000", "--set", "train.batch=1", "--set", "evaluation.transition_batches=1"];
    let args = [
        &[TINY, "--headless", "--quiet", "--name", "a", "--set", "evaluation.every=9", "--set", "train.steps=18"][..],
        &long,
    ]
    .concat();
    let began = std::time::Instant::now();
    let (running, _out) = start_until(&place, &args, |e| matches!(e, Event::Started(_)));
    running.signal(15);
    assert_eq!(running.code(), Some(143));
    assert!(began.elapsed().as_secs() < 60);
    let events = place.events("a");
    assert!(!events.iter().any(|e| matches!(e, Event::Evaluated { .. } | Event::StageEntered { .. })));
    assert!(matches!(events.last(), Some(Event::Finished { ending: Ending::Stopped, step: 0, .. })));
}

#[test]
fn usr1_saves_and_goes_on_and_a_second_interrupt_aborts() {
    let place = Place::new();
    let args =
        [TINY, "--headless", "--quiet", "--name", "a", "--set", "train.steps=1000000", "--set", "checkpoint.every=0"];
    let (running, mut out) = start_until(&place, &args, |e| is_step(e, 5));
    running.signal(10);
    let mut line = String::new();
    while !line.contains("\"saved\"") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0);
    }
    while !line.contains("\"stepped\"") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it goes on");
    }
    running.signal(2);
    assert_eq!(running.code(), Some(130));
}

#[test]
fn a_closed_stdout_saves_and_stops() {
    let place = Place::new();
    let args = [TINY, "--headless", "--quiet", "--name", "a", "--set", "train.steps=1000000"];
    let (running, out) = start_until(&place, &args, |e| is_step(e, 5));
    drop(out);
    assert_eq!(running.code(), Some(0));
    assert!(matches!(place.events("a").last(), Some(Event::Finished { ending: Ending::Stopped, .. })));
}

#[test]
fn a_run_that_diverges_stops_before_the_step_and_keeps_the_state() {
    let place = Place::new();
    let args = [
        TINY,
        "--headless",
        "--quiet",
        "--name",
        "a",
        "--set",
        "optimizer.learning_rate=1e30",
        "--set",
        "optimizer.warmup=0",
        "--set",
        "evaluation.every=0",
        "--set",
        "evaluation.transition_window=0",
        "--set",
        "model.norm=none",
    ];
    let output = place.output(&args);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let message = stderr(&output);
    for part in ["not finite", "step", "layer path", "first sequence", "newest checkpoint"] {
        assert!(message.contains(part), "{message}");
    }
    let events = place.events("a");
    assert!(matches!(events.last(), Some(Event::Failed { .. })));
    assert!(matches!(events[events.len() - 2], Event::Saved { .. }));
}

#[test]
fn text_of_ones_own_is_trained_on_with_every_tokenizer_and_objective() {
    let place = Place::new();
    let sentence =
        |i: usize| format!("The whale number {i} swam past the old ship, and the ship {} sailed on.\n\n", i * 13 % 17);
    place.write("text/a.txt", &(0..300).map(sentence).collect::<String>());
    for (name, more) in [
        ("bytes", &["--set", "data.tokenizer=bytes"][..]),
        ("bpe", &["--set", "data.tokenizer=bpe", "--set", "data.vocabulary=300"]),
        (
            "wordpiece",
            &[
                "--set",
                "data.tokenizer=wordpiece",
                "--set",
                "data.vocabulary=200",
                "--set",
                "objective.name=mlm",
                "--set",
                "model.architecture=encoder",
                "--set",
                "model.norm=post",
            ],
        ),
    ] {
        let events = place.train(name, &[&["--data", "text"][..], more].concat());
        let losses: Vec<f32> = events
            .iter()
            .filter_map(|e| match e {
                Event::Evaluated { why: Why::Cadence | Why::Final, scores, .. } => Some(scores.last().unwrap().loss),
                _ => None,
            })
            .collect();
        assert!(losses.last().unwrap() < &losses[0], "{name}: {losses:?}");
        let out = place.path().join("hf").join(name);
        let export = place.output(&["export", name, "--format", "hf", "--out", out.to_str().unwrap()]);
        assert!(export.status.success(), "{}", stderr(&export));
        assert!(out.join("model.safetensors").is_file() && out.join("config.json").is_file());
    }
}

#[test]
fn a_panic_of_the_trainer_becomes_an_event() {
    use raptr_tui::run_dir::RunDir;
    use raptr_tui::session::{self, Job};
    let place = Place::new();
    // No config that was checked has no heads; the kernels divide by their number.
    let mut config = raptr_tui::config::RunConfig::default();
    config.model.heads = 0;
    let run = RunDir::create(place.path(), Some("a"), "").unwrap();
    let options = session::Options {
        job: Job::New(run),
        config,
        script: Vec::new(),
        with_history: false,
        on_thread_start: raptr_tui::tui::terminal::mark_survivable_thread,
    };
    let session = session::spawn(options).unwrap();
    let last = session.events.iter().last().unwrap().event;
    session.join();
    let Event::Failed { reason, .. } = last else { panic!("{last:?}") };
    assert!(reason.contains("the trainer panicked"), "{reason}");
}
