//! The Runs screen of the real program in a (pseudo) terminal: what it offers, and what comes of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(unix)]

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use std::process::Stdio;

use common::{Place, TINY, curve, final_weights};
use raptr_tui::event::{Ending, Event};
use terminal::{Screen, assert_restored};

/// A run that never ends by itself.
const LONG: &[&str] =
    &[TINY, "--set", "train.steps=1000000", "--set", "checkpoint.every=0", "--set", "evaluation.every=0"];

/// From a live run to the recording of another, `whole`.
fn replay_whole(screen: &mut Screen) {
    screen.press("6");
    screen.see("open here");
    screen.press("/whole\r");
    screen.see("full model");
    screen.press("v");
}

/// From that recording on: asks for a config to be trained.
fn start_from_replay(screen: &mut Screen, config: &str) {
    screen.press("6");
    screen.see("▸ whole");
    screen.press("\x1b");
    screen.see("configs");
    screen.press(&format!("/{config}\r"));
    screen.see("parameters");
    screen.press("\r");
    screen.see(&format!("Start {config}?"));
    screen.press("\r");
}

#[test]
fn without_arguments_it_trains_the_quickstart_until_there_are_runs_and_then_shows_them() {
    let place = Place::new();
    let mut screen = Screen::open(&place, &[], &[], (120, 36));
    screen.see("● RUNNING");
    screen.press("\x03");
    assert_eq!(screen.end().0, 0);
    let before = place.stamped("quickstart-1");
    let mut screen = Screen::open(&place, &[], &[], (120, 36));
    let shown = screen.see("checkpoints");
    assert!(shown.contains("NO RUN OPEN") && shown.contains("1 run in runs") && shown.contains("■ stopped"), "{shown}");
    screen.press(" ");
    screen.see("no run is open");
    screen.press("q");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
    assert_eq!(place.stamped("quickstart-1"), before, "looking changes nothing");
    // Whoever asks for something gets that.
    let mut screen = Screen::open(&place, &[TINY, "--name", "tiny"], &[], (120, 36));
    screen.see("✓ FINISHED");
    screen.press("q");
    assert_eq!(screen.end().0, 0);
}

#[test]
fn a_live_run_goes_on_while_others_are_looked_at_and_is_alone() {
    let place = Place::new();
    let whole = place.train("whole", &[]);
    let mut screen = Screen::open(&place, &[LONG, &["--name", "live"]].concat(), &[], (120, 36));
    screen.see("● RUNNING");
    replay_whole(&mut screen);
    let shown = screen.see("REPLAY");
    assert!(shown.contains("whole"), "{shown}");
    screen.see("live ");
    screen.press("G");
    screen.see("step 24/24");
    // One run at a time.
    start_from_replay(&mut screen, "stacking");
    screen.see("live is being trained here; one run at a time");
    // q leads back, not out.
    screen.press("q");
    screen.see("● RUNNING");
    screen.press("q");
    screen.see("save and stop");
    screen.press("s");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
    assert!(raw.contains("live: Stopped after"), "the summary stands on the normal screen");
    assert!(matches!(place.events("live").last(), Some(Event::Finished { ending: Ending::Stopped, step: 1.., .. })));
    assert_eq!(final_weights(&place.events("whole")), final_weights(&whole));
}

#[test]
fn a_run_begun_while_one_that_has_ended_lies_behind_is_come_back_to() {
    let place = Place::new();
    place.train("whole", &[]);
    let script = place.write("stop.jsonl", "{\"at_step\":6000,\"command\":\"stop\"}\n");
    let live = [LONG, &["--name", "live", "--commands", &script]].concat();
    let mut screen = Screen::open(&place, &live, &[], (120, 36));
    screen.see("● RUNNING");
    replay_whole(&mut screen);
    screen.see("REPLAY");
    screen.see("■ live 6000/1000000 behind");
    start_from_replay(&mut screen, "quickstart");
    screen.wait("the new run", |s| s.contains("● RUNNING") && s.contains("quickstart-1"));
    screen.press("6");
    screen.see("open here");
    screen.press("\r");
    let shown = screen.see("● RUNNING");
    assert!(shown.contains("quickstart-1"), "{shown}");
    screen.press("q");
    screen.see("save and stop");
    screen.press("s");
    assert_eq!(screen.end().0, 0);
    assert!(matches!(place.events("quickstart-1").last(), Some(Event::Finished { ending: Ending::Stopped, .. })));
}

#[test]
fn a_stopped_run_is_resumed_and_a_finished_one_forked_from_the_screen() {
    let place = Place::new();
    let whole = place.train("whole", &[]);
    let script = place.write("stop.jsonl", "{\"at_step\":11,\"command\":\"stop\"}\n");
    place.train("half", &["--commands", &script]);
    // The newest that isn't over is what one likely wants.
    let mut screen = Screen::open(&place, &[], &[], (120, 36));
    screen.see("checkpoints");
    screen.press("\r");
    screen.see("Go on with half?");
    screen.see("step 11");
    screen.press("\r");
    screen.see("✓ FINISHED");
    let events = place.events("half");
    assert_eq!((curve(&events), final_weights(&events)), (curve(&whole), final_weights(&whole)));
    screen.press("6");
    screen.see("2 runs in runs");
    screen.press("/whole\r");
    screen.see("╭ whole");
    screen.see("8 (stage 2)");
    screen.press("F");
    screen.see("Fork whole where?");
    screen.see("stage 3 begins");
    screen.press("\x1b[A");
    screen.press("3-4 nonsense\r");
    screen.see("is neither path lengths");
    screen.press("F");
    screen.see("Fork whole where?");
    screen.press("\x1b[A");
    screen.press("4\r");
    screen.wait("the fork's end", |s| s.contains("whole-fork-1") && s.contains("✓ FINISHED"));
    screen.press("5");
    let shown = screen.see("forked from whole after 8 steps");
    assert!(shown.contains("stage: 2-3-4 -> 2 (8 steps)-4"), "{shown}");
    screen.press("6");
    screen.see("└ whole-fork-1");
    screen.press("q");
    assert_eq!(screen.end().0, 0);
    let events = place.events("whole-fork-1");
    assert!(events.iter().any(|e| matches!(e, Event::StageEntered { step: 8, path_length: 4, .. })));
    let rerun = place.output(&["rerun", "whole-fork-1", "--headless", "--quiet"]);
    assert!(rerun.status.success(), "{}", common::stderr(&rerun));
}

#[test]
fn a_run_that_another_program_trains_is_followed_to_its_end() {
    let place = Place::new();
    let mut trainer = place.program(&[LONG, &["--headless", "--quiet", "--name", "live"]].concat());
    let mut trainer = trainer.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !place.run("live").join("events.jsonl").is_file() {
        assert!(trainer.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    let mut screen = Screen::open(&place, &["replay", "live", "--follow"], &[], (120, 36));
    let shown = screen.see("● RUNNING");
    assert!(shown.contains("READ-ONLY"), "{shown}");
    screen.press("+");
    screen.see("it can't be changed");
    // Held still, moved within, and back to where the trainer is; some steps must have come for that.
    screen.see("tok/s");
    screen.press(" ");
    screen.see("‖ REPLAY");
    screen.press("g.");
    screen.see("step 1/1000000");
    screen.press("F");
    screen.see("● RUNNING");
    screen.press("6");
    screen.see("● live");
    screen.press("r");
    screen.see("another program trains this run");
    screen.press("1");
    screen.see("Events");
    let pid = trainer.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(trainer.wait().unwrap().code(), Some(143));
    screen.see("■ STOPPED");
    screen.press("q");
    assert_eq!(screen.end().0, 0, "whoever only looks on leaves with 0");
    // Leaving in the midst doesn't touch the run either.
    let mut trainer = place.program(&["--resume", "live", "--headless", "--quiet"]);
    let mut trainer = trainer.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !std::fs::read_to_string(place.run("live").join("events.jsonl")).unwrap().contains("\"resumed\"") {
        assert!(trainer.try_wait().unwrap().is_none());
    }
    let mut screen = Screen::open(&place, &["replay", "live", "--follow"], &[], (80, 24));
    screen.see("● RUNNING");
    screen.press("q");
    assert_eq!(screen.end().0, 0);
    assert!(trainer.try_wait().unwrap().is_none(), "it goes on");
    trainer.kill().unwrap();
    trainer.wait().unwrap();
}
