//! The real program in a real (pseudo) terminal: keys, resizing, signals, failures. Waits for what the screen shows, never
//! for a time.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(unix)]

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use std::time::{Duration, Instant};

use common::{Place, TINY, stderr, stdout};
use portable_pty::PtySize;
use raptr_tui::event::{Command, Ending, Event};
use terminal::{PATIENCE, Screen, assert_restored};

const LONG: &[&str] = &[TINY, "--name", "a", "--set", "train.steps=1000000", "--set", "checkpoint.every=0"];

#[test]
fn a_run_is_steered_by_keys_and_reruns_to_the_same_bits() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    screen.see("● RUNNING");
    screen.press(" ");
    let shown = screen.see("‖ PAUSED");
    let step = |shown: &str| -> u64 {
        let rest = &shown[shown.find("step ").unwrap() + 5..];
        rest[..rest.find('/').unwrap()].parse().unwrap()
    };
    let paused_at = step(&shown);
    screen.press("...");
    screen.wait("three more steps", |s| s.contains("PAUSED") && step(s) == paused_at + 3);
    screen.press("+");
    screen.see("stage 1: path length 3");
    screen.press("E");
    screen.see("evaluate the model");
    screen.press("C");
    screen.see("loss by path length  now");
    screen.press("1");
    screen.press("c");
    screen.see("saved checkpoints/step-");
    screen.press("}");
    screen.see("learning rate x 1.25");
    screen.press("n");
    screen.see("End stage 1 now?");
    screen.press("y");
    screen.see("next stage");
    screen.press(".");
    screen.see("stage 2/3, path length 3");
    screen.press("p");
    screen.see("Go back to path length");
    screen.press("y");
    screen.see("previous stage");
    screen.press(" ");
    screen.see("● RUNNING");
    screen.press("q");
    screen.see("save and stop");
    screen.press("s");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
    assert!(raw.contains("a: Stopped after"), "the summary stands on the normal screen");
    assert!(matches!(place.events("a").last(), Some(Event::Finished { ending: Ending::Stopped, .. })));
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

#[test]
fn a_schedule_edited_on_the_screen_is_trained_and_reruns_to_the_same_bits() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    screen.see("● RUNNING");
    screen.press(" ");
    screen.see("‖ PAUSED");
    screen.press("P");
    screen.see("nothing is drafted");
    screen.press("0");
    screen.see("stage 1 can last");
    screen.press("\x1b[D");
    screen.press("\x1b[C");
    screen.press("400000");
    screen.see("as drafted");
    screen.press("\x1b[B");
    screen.press("\x1b[C");
    screen.press("+");
    screen.see("3 → 4");
    screen.press("\r");
    screen.see("stage 2: path length 4");
    screen.see("stage 1: 400000 steps");
    screen.press(" ");
    screen.see("● RUNNING");
    screen.press("q");
    screen.see("save and stop");
    screen.press("s");
    assert_eq!(screen.end().0, 0);
    let applied =
        |command| place.events("a").iter().any(|e| matches!(e, Event::Applied { command: c, .. } if *c == command));
    assert!(applied(Command::SetStageSteps { stage: 0, steps: 400_000 }));
    assert!(applied(Command::SetPathLength { stage: 1, path_length: 4 }));
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

#[test]
fn an_evaluation_can_be_given_up_and_the_run_goes_on() {
    let place = Place::new();
    let long = [LONG, &["--set", "evaluation.every=0", "--set", "evaluation.batches=20000"]].concat();
    let mut screen = Screen::open(&place, &long, &[], (120, 36));
    screen.see("● RUNNING");
    screen.press("E");
    screen.see("EVALUATING");
    screen.press("\x1b");
    screen.see("cancel the evaluation");
    screen.see("● RUNNING");
    screen.press("q");
    screen.see("save and stop");
    screen.press("s");
    assert_eq!(screen.end().0, 0);
    let events = place.events("a");
    assert!(!events.iter().any(|e| matches!(e, Event::Evaluated { .. })));
    let cancelled = events.iter().position(|e| matches!(e, Event::Applied { command: Command::Cancel, .. })).unwrap();
    assert!(matches!(&events[cancelled - 1], Event::Refused { command: Command::Evaluate, .. }));
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

#[test]
fn control_c_saves_and_leaves() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (80, 24));
    screen.see("● RUNNING");
    screen.press("\x03");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
    assert!(place.events("a").iter().any(|e| matches!(e, Event::Saved { .. })));
}

#[test]
fn signals_leave_a_clean_terminal() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
        let place = Place::new();
        let mut screen = Screen::open(&place, LONG, &[], (80, 24));
        screen.see("● RUNNING");
        screen.signal(signal);
        let (got, raw) = screen.end();
        assert_eq!(got, code, "{signal}");
        assert_restored(&raw);
        assert!(matches!(place.events("a").last(), Some(Event::Finished { ending: Ending::Stopped, .. })));
    }
}

#[test]
fn another_run_is_drawn_beside_and_its_figures_stand_at_the_crosshair() {
    let place = Place::new();
    place.train("a", &[]);
    place.train("b", &["--set", "seed=9"]);
    let args = ["replay", "a", "--speed", "64", "--compare", "runs/b", "--compare", "a"];
    let mut screen = Screen::open(&place, &args, &[], (120, 36));
    screen.see("✓ FINISHED");
    screen.press("3");
    screen.see("Beside other runs");
    let shown = screen.see("= FLOPs");
    assert!(shown.contains(" b  ") && shown.contains("to equal loss"), "{shown}");
    screen.press("ix");
    let shown = screen.see("tokens");
    assert!(shown.contains("loss ") && shown.contains("ema "), "{shown}");
    screen.press("z");
    screen.see("FROZEN");
    screen.press("\u{1b}[D");
    screen.press("q");
    assert_eq!(screen.end().0, 0);
}

#[test]
fn a_finished_run_stays_on_the_screen_and_replays() {
    let place = Place::new();
    let mut screen = Screen::open(&place, &[TINY, "--name", "a"], &[], (100, 30));
    screen.see("✓ FINISHED");
    screen.press("+");
    screen.see("the run is over");
    screen.press("q");
    assert_eq!(screen.end().0, 0);
    let mut screen = Screen::open(&place, &["replay", "a", "--speed", "64"], &[], (100, 30));
    screen.see("✓ FINISHED");
    screen.press("g");
    screen.press(":goto 10\r");
    screen.see("step 10/24");
    screen.press(",");
    screen.see("step 9/24");
    screen.press("n");
    screen.see("this is a recording");
    screen.press("]");
    screen.see("stage 3/3");
    screen.press("q");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
}

#[test]
fn resizing_at_any_time_is_survived() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    screen.see("● RUNNING");
    for (cols, rows) in [(80, 24), (20, 3), (1, 1), (200, 60), (40, 10), (39, 9), (60, 14), (120, 36)] {
        screen.master.resize(PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }).unwrap();
        screen.terminal.screen_mut().set_size(rows, cols);
    }
    screen.press("\x0c");
    screen.see("Transitions");
    screen.master.resize(PtySize { cols: 39, rows: 8, pixel_width: 0, pixel_height: 0 }).unwrap();
    screen.terminal.screen_mut().set_size(8, 39);
    screen.see("screen too small");
    screen.press("\x03");
    assert_eq!(screen.end().0, 0);
}

#[test]
fn a_resize_draws_everything_even_if_the_size_is_the_old_one_again() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    screen.see("Transitions");
    // The terminal was made small and large again: what was drawn is lost, the size is the same.
    screen.terminal = vt100::Parser::new(36, 120, 0);
    screen.signal("-WINCH");
    screen.see("Transitions");
    screen.press("\x03");
    assert_eq!(screen.end().0, 0);
}

#[test]
fn without_colour_the_layers_can_still_be_read() {
    let place = Place::new();
    let mut screen = Screen::open(&place, &[TINY, "--name", "a"], &[("NO_COLOR", "1")], (100, 30));
    let shown = screen.see("✓ FINISHED");
    let row = |label: &str| shown.lines().find(|l| l.contains(label)).unwrap();
    assert!(row("4-3").contains('█') && row("4-3").contains('▀'), "{shown}");
    assert!(row("2-1").contains('█') && row("2-1").contains('▄'), "{shown}");
    screen.press("q");
    let (_, raw) = screen.end();
    assert!(!raw.contains("\x1b[38;"), "colours under NO_COLOR");
}

#[test]
fn a_trainer_failure_is_shown_on_a_living_screen() {
    let place = Place::new();
    let args = [TINY, "--name", "a", "--set", "train.steps=1000000", "--set", "checkpoint.every=0"];
    let mut screen = Screen::open(&place, &args, &[], (100, 30));
    screen.see("● RUNNING");
    // The checkpoints' folder becomes a file: the next one can't be written.
    std::fs::remove_dir_all(place.run("a").join("checkpoints")).unwrap();
    std::fs::write(place.run("a").join("checkpoints"), "in the way").unwrap();
    screen.press("c");
    let shown = screen.see("The run has failed");
    assert!(shown.contains("FAILED") && shown.contains("writing checkpoint"), "{shown}");
    screen.press("?");
    screen.see("Pause training, or resume it.");
    screen.press("\x1b");
    screen.wait("no help", |s| !s.contains("Pause training, or resume it."));
    screen.press("q");
    let (code, raw) = screen.end();
    assert_eq!(code, 1);
    assert_restored(&raw);
    assert!(raw.contains("error:"), "the reason stands on the normal screen too");
}

#[test]
fn a_dumb_terminal_and_a_pipe_get_no_escape_codes() {
    let place = Place::new();
    let screen = Screen::open(&place, &[TINY, "--name", "a"], &[("TERM", "dumb")], (80, 24));
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert!(raw.contains("\"event\":\"started\"") && !raw.contains("\x1b[?1049h"));
    let piped = place.output(&[TINY, "--name", "b"]);
    assert!(piped.status.success() && !piped.stdout.contains(&0x1b) && !piped.stderr.contains(&0x1b));
}

#[test]
fn commands_are_typed_with_what_they_take() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    screen.see("● RUNNING");
    screen.press(":");
    screen.see("Tab completes");
    screen.press("paus\r");
    screen.see("‖ PAUSED");
    screen.press(":path 9\r");
    screen.see("path lengths lie between");
    screen.press("\x15path 3\r");
    screen.see("stage 1: path length 3");
    // A pasted line is typed, not done, whatever keys its letters are.
    screen.press(":");
    screen.press("\x1b[200~note 长 query\x1b[201~");
    screen.see(":note 长 query");
    screen.press("\r");
    screen.see("note: 长 query");
    screen.press("\x1b[200~q\x1b[201~");
    screen.see("pasted text is only taken");
    screen.press("?");
    screen.see("type to search");
    screen.press("checkpoint");
    let shown = screen.wait("one row", |s| s.contains("search: checkpoint") && !s.contains("Suspend the program"));
    assert!(shown.contains("Write a checkpoint now."), "{shown}");
    screen.press("\x03");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
    let note =
        |e: &Event| matches!(e, Event::Applied { command: Command::Note { text }, .. } if text.text() == "长 query");
    assert!(place.events("a").iter().any(note), "the note is in the recording");
    let rerun = place.output(&["rerun", "a", "--headless", "--quiet"]);
    assert!(rerun.status.success() && stdout(&rerun).contains("identical"), "{}", stderr(&rerun));
}

/// What a terminal sends for the mouse at a cell that shows a text: a press of button 0, or a turn of the wheel (64, 65).
fn mouse(screen: &Screen, button: u8, text: &str) -> String {
    let shown = screen.text();
    let (row, line) = shown.lines().enumerate().find(|(_, line)| line.contains(text)).expect(text);
    let column = line[..line.find(text).unwrap()].chars().count();
    format!("\x1b[<{button};{};{}M", column + 2, row + 1)
}

#[test]
fn the_mouse_works_until_it_is_switched_off() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    screen.see("● RUNNING");
    screen.press(" ");
    screen.see("‖ PAUSED");
    screen.press(&mouse(&screen, 0, "5 Log"));
    screen.wait("the log alone", |s| !s.contains("Transitions"));
    screen.press("1");
    screen.see("Transitions");
    screen.press(&mouse(&screen, 0, "? help"));
    screen.see("type to search");
    screen.press(&mouse(&screen, 65, "type to search"));
    screen.see("↑ 3 ");
    screen.press("\x1b");
    screen.wait("no help", |s| !s.contains("type to search"));
    screen.press("m");
    screen.see("the mouse is the terminal's");
    screen.press(":mouse\r");
    screen.see("the mouse works here");
    screen.press("\x03");
    let (_, raw) = screen.end();
    assert_restored(&raw);
    let switches: Vec<&str> = raw.matches("\x1b[?1000h").chain(raw.matches("\x1b[?1000l")).collect();
    assert_eq!(switches.iter().filter(|s| s.ends_with('h')).count(), 2, "on, and on again");
    assert!(raw.rfind("\x1b[?1000l") > raw.rfind("\x1b[?1000h"), "left switched off");
}

#[test]
fn the_user_changes_keys_theme_and_mouse() {
    let place = Place::new();
    let file = place.write("my.toml", "mouse = false\n[keys]\npause = [\"u\", \"f5\"]\n");
    let env: &[(&str, &str)] = &[("RAPTR_CONFIG", &file)];
    let mut screen = Screen::open(&place, LONG, env, (120, 36));
    screen.see("● RUNNING");
    screen.see("u pause");
    screen.press("u");
    screen.see("‖ PAUSED");
    screen.press("\x1b[15~");
    screen.see("● RUNNING");
    screen.press("\x03");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert!(!raw.contains("\x1b[?1000h"), "the mouse is left to the terminal");
    // Also where XDG says; and what can't be is said before anything is begun.
    place.write("xdg/raptr-tui/config.toml", "[keys]\npause = \"c\"\n");
    let xdg = place.path().join("xdg");
    let args = [TINY, "--name", "b"];
    let screen = Screen::open(&place, &args, &[("XDG_CONFIG_HOME", xdg.to_str().unwrap())], (80, 24));
    let (code, raw) = screen.end();
    assert_eq!(code, 2, "{raw}");
    assert!(raw.contains("config.toml") && raw.contains("`c` is the key of `save` already"), "{raw}");
    assert!(!place.run("b").exists() && !raw.contains("\x1b[?1049h"));
    // Without a screen nobody asks.
    let mut headless = place.program(&[TINY, "--name", "c", "--headless", "--quiet"]);
    assert!(headless.env("XDG_CONFIG_HOME", &xdg).status().unwrap().success());
}

#[test]
fn a_read_only_screen_refuses_to_steer() {
    let place = Place::new();
    let mut screen = Screen::open(&place, &[LONG, &["--read-only"]].concat(), &[], (100, 30));
    screen.see("READ-ONLY");
    screen.press(" ");
    screen.see("read-only: keys that change the run are off");
    screen.signal("-TERM");
    assert_eq!(screen.end().0, 143);
}

#[test]
fn an_experiment_is_left_and_gone_on_with() {
    let place = Place::new();
    let text = format!(
        "question = \"?\"\nconfig = \"{TINY}\"\nseeds = 1\n[set]\ntrain.steps = 4000\ncheckpoint.every = 0\n\
         [[arm]]\nname = \"full\"\nset = {{ method.name = \"full\", stage = [] }}\n[[arm]]\nname = \"raptr\"\n"
    );
    place.write("tiny.toml", &text);
    let mut screen = Screen::open(&place, &["experiment", "tiny.toml"], &[], (120, 36));
    let shown = screen.see("▸full");
    assert!(shown.contains("seed 1") && shown.contains("runs 0/2"), "{shown}");
    screen.press(" ");
    screen.see("‖ PAUSED");
    screen.press(" ");
    screen.see("● RUNNING");
    screen.press("?");
    screen.see("the same command goes on");
    screen.press("\x1b");
    screen.wait("no help", |s| !s.contains("the same command goes on"));
    screen.press("q");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
    assert!(raw.contains("the same command goes on"), "{raw}");
    let run = place.run("tiny").join("full-4000-lr1e-2-seed1");
    let left = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    assert!(left.contains("\"ending\":\"stopped\""), "it came too late to stop anything");
    let mut screen = Screen::open(&place, &["experiment", "tiny.toml"], &[], (100, 30));
    screen.see("✓ FINISHED");
    screen.see("fitness: unigram");
    screen.press("q");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
    assert!(raw.contains("speed-up: layers"), "the table stands on the normal screen");
    let events = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    assert!(events.starts_with(&left) && events.contains("\"event\":\"resumed\""));
    // A signal saves as well.
    place.write("long.toml", &text.replace("4000", "1000000"));
    let mut screen = Screen::open(&place, &["experiment", "long.toml"], &[], (80, 24));
    screen.see("● RUNNING");
    screen.see("step ");
    screen.signal("-TERM");
    let (code, raw) = screen.end();
    assert_eq!(code, 143);
    assert_restored(&raw);
}

/// Waits until something outside of the screen holds; only a failing test waits long.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn suspended_it_gives_the_terminal_back_and_goes_on_where_it_was() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    screen.see("● RUNNING");
    screen.press("\x1a");
    let stat = format!("/proc/{}/stat", screen.child.process_id().unwrap());
    let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|s| s.rsplit(')').next().unwrap().starts_with(" T "));
    until("the process stands still", is_stopped);
    while let Ok(bytes) = screen.output.recv_timeout(Duration::from_millis(200)) {
        screen.raw.extend(bytes);
    }
    assert_restored(&String::from_utf8_lossy(&screen.raw));
    // Whatever the shell has drawn in between, all of the screen comes back.
    screen.drawn = screen.raw.len();
    screen.terminal = vt100::Parser::new(36, 120, 0);
    screen.signal("-CONT");
    screen.see("Transitions");
    screen.press(" ");
    screen.see("‖ PAUSED");
    screen.press("\x03");
    let (code, raw) = screen.end();
    assert_eq!(code, 0);
    assert_restored(&raw);
    assert!(matches!(place.events("a").last(), Some(Event::Finished { ending: Ending::Stopped, .. })));
}

#[test]
fn a_panic_of_the_screen_leaves_a_clean_terminal_and_a_saved_run() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[("RAPTR_TEST_PANIC", "screen")], (100, 30));
    screen.see("● RUNNING");
    screen.press("\x0c");
    let (code, raw) = screen.end();
    assert_eq!(code, 1);
    assert_restored(&raw);
    assert_eq!(raw.matches("\x1b[?1049l").count(), 1, "left twice, the cursor would be set back");
    let after = &raw[raw.find("\x1b[?1049l").unwrap()..];
    assert!(after.contains("asked to panic in the screen") && after.contains("the screen has failed"), "{after}");
    let events = place.events("a");
    assert!(matches!(events.last(), Some(Event::Finished { ending: Ending::Stopped, .. })), "{:?}", events.last());
    assert!(events.iter().any(|e| matches!(e, Event::Saved { .. })));
}

#[test]
fn a_panic_of_the_trainer_is_told_on_a_living_screen() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[("RAPTR_TEST_PANIC", "trainer")], (100, 30));
    screen.see("● RUNNING");
    screen.press("c");
    let shown = screen.see("The run has failed");
    assert!(shown.contains("the trainer panicked: asked to panic in the trainer"), "{shown}");
    screen.press("x");
    screen.press("q");
    let (code, raw) = screen.end();
    assert_eq!(code, 1);
    assert_restored(&raw);
    assert!(!raw[..raw.rfind("\x1b[?1049l").unwrap()].contains("stack backtrace"), "a panic's text on the screen");
    assert!(matches!(place.events("a").last(), Some(Event::Failed { .. })));
}

#[test]
fn a_storm_of_resizes_and_keys_is_survived() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    screen.see("● RUNNING");
    for i in 0..200u16 {
        let (cols, rows) = (1 + i * 37 % 180, 1 + i * 23 % 60);
        screen.master.resize(PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }).unwrap();
        screen.press(["1", "2", "\t", "e", "\x1b", "t", "k"][usize::from(i % 7)]);
    }
    screen.master.resize(PtySize { cols: 120, rows: 36, pixel_width: 0, pixel_height: 0 }).unwrap();
    screen.terminal = vt100::Parser::new(36, 120, 0);
    // No Esc before the digit: both in one read are Alt and the digit. The digit leads out of an expanded pane as well.
    screen.press("1");
    // Keys that come with a change of size may be left unread until the next one.
    screen.see_pressing("\x0c", "Transitions");
    screen.press("\x03");
    assert_eq!(screen.end().0, 0);
}

#[test]
fn a_light_terminal_is_asked_once_and_its_answer_is_no_key() {
    let place = Place::new();
    let mut screen = Screen::open(&place, LONG, &[], (120, 36));
    let shown = screen.see("● RUNNING");
    assert!(shown.contains("Transitions"));
    let state = |screen: &Screen| screen.terminal.screen().cell(0, 1).unwrap().fgcolor();
    assert_eq!(state(&screen), vt100::Color::Idx(2), "green on dark");
    assert_eq!(String::from_utf8_lossy(&screen.raw).matches("\x1b]11;?").count(), 1);
    screen.press("\x1b]11;rgb:ffff/ffff/ffff\x1b\\");
    // Pressing on: a key that came behind the answer is seen, so the answer was.
    screen.press(" ");
    screen.see("‖ PAUSED");
    screen.press(" ");
    let shown = screen.see("● RUNNING");
    assert_eq!(state(&screen), vt100::Color::Idx(4), "blue on light");
    assert!(shown.contains("Transitions"), "the answer pressed keys: {shown}");
    // Who names a theme isn't asked about the terminal.
    screen.press("\x03");
    assert_eq!(screen.end().0, 0);
    let mut screen = Screen::open(&place, &[TINY, "--name", "b", "--theme", "dark"], &[], (80, 24));
    screen.see("✓ FINISHED");
    screen.press("q");
    assert!(!screen.end().1.contains("\x1b]11;?"));
}

#[test]
fn themes_are_tried_kept_and_given_back() {
    let place = Place::new();
    place.write(".config/raptr-tui/themes/mine.toml", "# My own.\nbase = \"dark\"\ngood = \"#0a141e\"\n");
    let args = [TINY, "--name", "a", "--theme", "mine"];
    let mut screen = Screen::open(&place, &args, &[("COLORTERM", "truecolor")], (120, 36));
    screen.see("✓ FINISHED");
    let state = |screen: &Screen| screen.terminal.screen().cell(0, 1).unwrap().fgcolor();
    assert_eq!(state(&screen), vt100::Color::Rgb(10, 20, 30));
    screen.press("T");
    let shown = screen.see("Esc back");
    assert!(shown.contains("▸ mine") && shown.contains("My own.") && shown.contains("colorblind"), "{shown}");
    screen.press("g");
    screen.see("▸ default ");
    assert_eq!(state(&screen), vt100::Color::Idx(2), "the whole screen wears what is tried");
    screen.press("\x1b");
    screen.wait("the picker gone", |s| !s.contains("Esc back"));
    assert_eq!(state(&screen), vt100::Color::Rgb(10, 20, 30));
    screen.press(":theme light\r");
    screen.wait("the light theme", |s| !s.contains(":theme"));
    screen.press("T");
    screen.see("▸ light ");
    screen.press("\r");
    screen.press("q");
    assert_eq!(screen.end().0, 0);
}

#[test]
fn a_panel_is_exported_beside_its_recording() {
    let place = Place::new();
    place.train("a", &[]);
    let mut screen = Screen::open(&place, &["replay", "a", "--speed", "64"], &[], (120, 36));
    screen.see("✓ FINISHED");
    screen.press("w");
    screen.see("wrote loss.svg");
    screen.press("q");
    assert_eq!(screen.end().0, 0);
    let folder = place.run("a").join("exports");
    for name in ["loss.svg", "loss.csv", "evaluations.csv"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
}

#[test]
fn a_replay_is_scrubbed() {
    let place = Place::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/steered.jsonl");
    let mut screen = Screen::open(&place, &["replay", shipped], &[], (120, 36));
    screen.see("REPLAY");
    screen.press("G");
    let shown = screen.see("✓ FINISHED");
    let bar = shown.lines().find(|l| l.contains("━━━") && l.contains('●')).unwrap();
    assert!(bar.contains('▲'), "{bar}");
    screen.press(":goto 50\r");
    screen.see("step 50/");
    screen.press(">");
    screen.see("x2");
    // A click in the middle of the bar: half of the recording.
    screen.press("\x1b[<0;64;35M\x1b[<0;64;35m");
    screen.wait("half of it", |s| s.contains(" 50% ") || s.contains(" 49% ") || s.contains(" 51% "));
    screen.press("q");
    assert_eq!(screen.end().0, 0);
}
