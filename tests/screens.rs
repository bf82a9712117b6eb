//! The screen, text and colour: snapshots of real recordings, and every size and state without a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/picture.rs"]
mod picture;

use std::path::Path;

use picture::{look, picture, render, text};
use proptest::prelude::*;
use raptr_tui::app::compare::Reference;
use raptr_tui::app::experiment::{Board, Ended};
use raptr_tui::app::help::Help;
use raptr_tui::app::keys::Key;
use raptr_tui::app::machine::{Gpu, Sample};
use raptr_tui::app::{App, Msg, Options, Overlay, Request};
use raptr_tui::event::{Cause, Command, Ending, Event, Measurement, Score, Stamped, What, Why};
use raptr_tui::experiment_event::{ExperimentEvent, RunRow, RunState};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::measurement::FORECAST;
use raptr_tui::method::Moments;
use raptr_tui::recording;
use raptr_tui::schedule::{Schedule, Stage};
use raptr_tui::view::Look;
use raptr_tui::view::glyphs::Glyphs;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

fn shipped(name: &str) -> Vec<Stamped> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(name);
    recording::effective(&recording::read(&file).unwrap())
}

/// An app that has seen events up to the end of a step.
fn app_at(events: &[Stamped], step: u64) -> App {
    let mut app = App::new(Options::default());
    for event in events {
        if matches!(event.event, Event::Stepped { step: s, .. } if s >= step) {
            break;
        }
        app.update(Msg::Event(event.clone()));
    }
    app
}

#[test]
fn the_screen_at_every_tier_in_colour_and_without() {
    let events = shipped("quickstart.jsonl");
    let app = app_at(&events, 1130);
    for theme in ["default", "mono"] {
        for (width, height) in [(120, 36), (80, 24), (50, 20), (40, 10), (39, 9)] {
            let name = format!("{theme}-{width}x{height}");
            insta::assert_snapshot!(name, picture(&render(&app, &look(theme), width, height)));
        }
    }
}

/// The quickstart after so many steps, as another run to be compared with.
fn reference(name: &str, step: u64, shift: f32) -> Msg {
    let mut events = shipped("quickstart.jsonl");
    for stamped in &mut events {
        match &mut stamped.event {
            Event::Stepped { loss, .. } => *loss += shift,
            Event::Evaluated { scores, .. } => scores.iter_mut().for_each(|s| s.loss += shift),
            Event::Started(started) => started.layer_flops *= 1.4,
            _ => {}
        }
    }
    Msg::Reference(Box::new(Reference { name: name.to_owned(), run: app_at(&events, step).run }))
}

/// The Loss screen after 1700 steps and these keys.
fn loss_screen(keys: &[Key]) -> App {
    let mut app = app_at(&shipped("quickstart.jsonl"), 1700);
    press(&mut app, &[Key::Char('3')]);
    press(&mut app, keys);
    app
}

#[test]
fn the_loss_screen_in_every_state() {
    let c = Key::Char;
    let compared = {
        let mut app = loss_screen(&[c('x'), c('x')]);
        app.update(reference("base", 3000, 0.06));
        app.update(reference("early-训练", 900, -0.04));
        app
    };
    let broken = {
        let mut app = App::new(Options::default());
        for stamped in shipped("quickstart.jsonl").into_iter().take(420) {
            let event = match stamped.event {
                Event::Stepped { step, stage, path, learning_rate, gradient_norm, .. }
                    if (200..240).contains(&step) =>
                {
                    Event::Stepped { step, stage, path, loss: f32::NAN, learning_rate, gradient_norm }
                }
                event => event,
            };
            app.update(Msg::Event(Stamped { event, ..stamped }));
        }
        press(&mut app, &[c('3')]);
        app
    };
    let states = [
        ("plain", loss_screen(&[])),
        ("crosshair", loss_screen(&[c('z'), c('z'), c('i'), c('h'), c('h'), c('h')])),
        ("log", loss_screen(&[c('y'), c('s'), c('i')])),
        ("compared", compared),
        ("nan", broken),
        ("transition", loss_screen(&[Key::Tab, Key::Up])),
    ];
    for (name, app) in &states {
        for (width, height) in [(120, 36), (80, 24), (60, 20)] {
            let name = format!("loss-{name}-{width}x{height}");
            insta::assert_snapshot!(name, picture(&render(app, &look("dark"), width, height)));
        }
        let mono = render(app, &look("mono"), 120, 36);
        insta::assert_snapshot!(format!("loss-{name}-mono"), picture(&mono));
        let ascii = render(app, &Look { glyphs: Glyphs::Ascii, ..look("default") }, 120, 36);
        insta::assert_snapshot!(format!("loss-{name}-ascii"), text(&ascii));
    }
}

#[test]
fn a_steered_run_shows_what_was_done() {
    let events = shipped("steered.jsonl");
    let app = app_at(&events, u64::MAX);
    insta::assert_snapshot!("steered-120x36", picture(&render(&app, &look("dark"), 120, 36)));
}

/// A model that grows from 6 to 9 to 12 layers, in its second stage.
fn stacking() -> App {
    let mut app = App::new(Options::default());
    let Event::Started(mut started) = shipped("quickstart.jsonl")[0].event.clone() else { panic!("no start") };
    let none = LayerPath::none(12);
    let stages = [6, 9, 12].map(|length| Stage::new(40, length, none)).to_vec();
    let schedule = Schedule { layers: 12, stages };
    (started.schedule, started.method, started.run) = (schedule.clone(), "stacking".into(), "grown".into());
    let mut us = 0;
    let mut send = |event: Event| {
        us += 20_000;
        app.update(Msg::Event(Stamped { seq: 0, us, event }));
    };
    send(Event::Started(started));
    for (stage, step, from, to) in [(0, 0, 0, 6), (1, 40, 6, 9)] {
        let sources: Vec<usize> = if from == 0 { Vec::new() } else { (0..from).chain(2 * from - to..from).collect() };
        let copies = if from == 0 { LayerPath::none(to) } else { LayerPath::from_layers(to, from..to) };
        send(Event::Grown { step, from, to, sources, copies, moments: Moments::Copy });
        let expected = (0..12).map(|layer| f32::from(u8::from(layer < to))).collect();
        let schedule = schedule.clone();
        send(Event::StageEntered { step, stage, path_length: to, by_hand: false, expected, schedule });
        for step in step..step + 30 + 10 * u64::from(stage == 0) {
            let (path, loss) = (LayerPath::from_layers(12, 0..to), 4.0 - 0.02 * step as f32);
            send(Event::Stepped { step, stage, path, loss, learning_rate: 1e-3, gradient_norm: 1.0 });
        }
        let scores = vec![Score { path_length: to, loss: 3.0, spread: 0.1, batches: 4 }];
        send(Event::Evaluated { step: step + 30, why: Why::Cadence, scores });
    }
    app
}

#[test]
fn layers_that_do_not_exist_yet_are_told_from_inactive_ones() {
    let app = stacking();
    for theme in ["default", "mono"] {
        insta::assert_snapshot!(format!("stacking-{theme}-120x36"), picture(&render(&app, &look(theme), 120, 36)));
    }
    let shown = text(&render(&app, &look("default"), 120, 36));
    assert!(shown.contains("full not yet") && shown.contains("does not exist yet") && shown.contains('╳'), "{shown}");
    assert!(app.run.full.is_empty(), "no figure of a full model that isn't one");
    let shown = text(&render(&app, &Look { glyphs: Glyphs::Ascii, ..look("default") }, 120, 36));
    assert!(shown.contains("x does not exist yet") && shown.contains("xxx"), "{shown}");
}

#[test]
fn colour_is_in_the_snapshot() {
    let app = app_at(&shipped("quickstart.jsonl"), 500);
    let [a, b] = ["dark", "light"].map(|theme| render(&app, &look(theme), 100, 30));
    assert_eq!(text(&a), text(&b));
    assert_ne!(picture(&a), picture(&b));
}

#[test]
fn help_and_palette_in_colour_and_without() {
    let typed = |text: &str| {
        let mut app = app_at(&shipped("quickstart.jsonl"), 400);
        text.chars().for_each(|c| press(&mut app, &[Key::Char(c)]));
        app
    };
    let mut wrong = typed(":path 99");
    press(&mut wrong, &[Key::Enter]);
    for (name, app) in [
        ("help", typed("?")),
        ("help-searched", typed("?learning")),
        ("palette", typed(":rate")),
        ("palette-stage", typed(":stage ")),
        ("palette-wrong", wrong),
    ] {
        for (theme, width, height) in [("dark", 120, 36), ("mono", 80, 24)] {
            let name = format!("{name}-{theme}-{width}x{height}");
            insta::assert_snapshot!(name, picture(&render(&app, &look(theme), width, height)));
        }
    }
}

fn press(app: &mut App, keys: &[Key]) {
    keys.iter().for_each(|&key| {
        app.update(Msg::Key { key, us: 0 });
    });
}

#[test]
fn what_lies_over_the_screen_says_what_it_must() {
    let events = shipped("quickstart.jsonl");
    let shown = |keys: &[Key]| {
        let mut app = app_at(&events, 400);
        press(&mut app, keys);
        text(&render(&app, &look("default"), 100, 30))
    };
    let c = Key::Char;
    assert!(shown(&[c('?')]).contains("Evaluate the full model now."));
    assert!(shown(&[c('q')]).contains("save and stop"));
    let next = shown(&[c('n')]);
    assert!(next.contains("End stage 1 now? Its") && next.contains("at path length 8 instead of 6"), "{next}");
    assert!(shown(&[c('+')]).contains("→(7)"), "asked, not yet done");
    assert!(shown(&[c(' ')]).contains("PAUSING…"));
    assert!(shown(&[c('y')]).contains(", log"));
    let layers = shown(&[c('2')]);
    assert!(layers.contains("Layers, steps 0 to 399") && !layers.contains("Transitions"), "{layers}");
    // Expanded, the panel has the body to itself.
    let alone = shown(&[Key::Tab, c('e')]);
    assert!(alone.contains("Layers by step") && !alone.contains("Transitions"), "{alone}");
}

/// The steered recording, and a forecast and a stability to look at.
fn measured() -> App {
    let mut app = app_at(&shipped("steered.jsonl"), u64::MAX);
    let layers = app.run.layers();
    let mut send = |name: &str, labels: Vec<String>, values: Vec<f32>, spreads: Vec<f32>| {
        let m = Measurement { step: app.run.step, name: name.to_owned(), path_length: layers, labels, values, spreads };
        app.update(Msg::Event(Stamped { seq: 0, us: app.run.us, event: Event::Measured(m) }));
    };
    let labels = |range: std::ops::RangeInclusive<usize>| range.map(|n| n.to_string()).collect::<Vec<_>>();
    send("psi by layer", labels(1..=layers), vec![0.8, 0.4, 0.2, 0.001], Vec::new());
    send(FORECAST, labels(2..=layers), vec![3.5, 3.25, 3.0], vec![0.1, 0.05, 0.0]);
    app
}

#[test]
fn measurements_are_pages_of_the_eval_screen() {
    // The curve of the recording, psi, a forecast, each at the head in its turn; with colour and without.
    let mut app = measured();
    press(&mut app, &[Key::Char('4')]);
    let mut shown = Vec::new();
    for page in 0..3 {
        for theme in ["dark", "mono"] {
            let buffer = render(&app, &look(theme), 100, 24);
            if theme == "mono" {
                insta::assert_snapshot!(format!("measured-{page}"), picture(&buffer));
            }
            shown.push(text(&buffer));
        }
        assert_eq!(shown[2 * page], shown[2 * page + 1], "the theme changes no character");
        press(&mut app, &[Key::Right]);
    }
    for (page, parts) in [
        ["Measurements: 1 of 3", "loss by path length  ", "4.0620 ±0.0447"],
        ["Measurements: 2 of 3", "psi by layer  now", "0.8000"],
        ["Measurements: 3 of 3", "forecast", "3.2500 ±0.0500"],
    ]
    .iter()
    .enumerate()
    {
        assert!(parts.iter().all(|part| shown[2 * page].contains(part)), "{}", shown[2 * page]);
    }
    // Nothing yet.
    let mut empty = App::new(Options::default());
    press(&mut empty, &[Key::Char('4')]);
    let shown = text(&render(&empty, &look("default"), 100, 24));
    assert!(shown.contains("M measures") && shown.contains("E evaluates now"), "{shown}");
}

/// A run in its second stage on a machine, with a spike behind it and something measured.
fn watched() -> App {
    let mut app = app_at(&shipped("quickstart.jsonl"), 900);
    let path = LayerPath::from_layers(12, (0..12).filter(|layer| layer % 3 != 1));
    let mut us = app.run.us;
    for step in 900..1020 {
        us += 25_000;
        let loss = if step == 1000 { 4.0 } else { 0.8 };
        let event = Event::Stepped { step, stage: 1, path, loss, learning_rate: 3e-3, gradient_norm: 1.0 };
        app.update(Msg::Event(Stamped { seq: 0, us, event }));
    }
    let mut measure = |name: &str, labels: Vec<String>, values: Vec<f32>, spreads: Vec<f32>| {
        let m = Measurement { step: 1000, name: name.to_owned(), path_length: 12, labels, values, spreads };
        app.update(Msg::Event(Stamped { seq: 0, us, event: Event::Measured(m) }));
    };
    let numbers = |range: std::ops::RangeInclusive<u16>| range.map(|n| n.to_string()).collect::<Vec<_>>();
    let curve = [1.2, 1.0, 0.9, 0.85, 0.82, 0.81, 0.8, 0.795, 0.792, 0.79, 0.788].to_vec();
    measure("loss by path length", numbers(2..=12), curve, vec![0.05; 11]);
    measure("psi by layer", numbers(1..=12), (1..=12u8).map(|n| 1.0 / f32::from(n)).collect(), Vec::new());
    measure("gradient norm by layer", numbers(1..=12), (1..=12u8).map(|n| 0.1 * f32::from(n)).collect(), Vec::new());
    app.update(Msg::Machine(Sample {
        processors: Some(1.5),
        processor_count: Some(2),
        threads: Some(5),
        memory: Some(300 << 20),
        peak_memory: Some(3 << 29),
        total_memory: Some(4 << 30),
        free_disk: Some(700 << 20),
        gpu: None,
    }));
    app
}

#[test]
fn each_screen_at_two_sizes_in_colour_and_without() {
    let app = watched();
    for (name, key) in [("train", '1'), ("layers", '2'), ("eval", '4'), ("log", '5'), ("plan", 'P')] {
        let mut app = app.clone();
        press(&mut app, &[Key::Char(key)]);
        for (width, height) in [(120, 36), (80, 24)] {
            let [dark, mono] = ["dark", "mono"].map(|theme| render(&app, &look(theme), width, height));
            assert_eq!(text(&dark), text(&mono), "the theme changes no character");
            insta::assert_snapshot!(format!("screen-{name}-{width}x{height}"), picture(&dark));
        }
    }
}

#[test]
fn the_gpu_that_a_run_uses_is_on_the_machine_panel() {
    let mut app = watched();
    let gpu =
        Gpu { memory: Some(9 << 30), total_memory: Some(144 << 30), utilisation: Some(0.97), temperature: Some(61) };
    app.update(Msg::Machine(Sample { gpu: Some(gpu), processors: Some(1.0), ..Sample::default() }));
    for name in ["default", "mono"] {
        let shown = text(&render(&app, &look(name), 120, 36));
        let line = |what: &str| shown.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{shown}"));
        assert!(line("    GPU ").contains("97%  61 °C"), "{shown}");
        assert!(line("GPU mem ").contains("9.0 of 144.0 GiB"), "{shown}");
    }
}

#[test]
fn what_calls_for_a_look_is_seen_from_everywhere_until_it_was_looked_at() {
    let mut app = watched();
    let shown = |app: &App| text(&render(app, &look("default"), 120, 36));
    assert_eq!(app.new_alerts(), 2, "the spike and the disk: {:?}", app.alerts());
    assert!(shown(&app).contains("⚠ 2"), "{}", shown(&app));
    press(&mut app, &[Key::Char('5')]);
    let log = shown(&app);
    assert!(
        !log.contains("⚠") && log.contains("spike: loss 4.0000; the mean is") && log.contains("700 MiB are left"),
        "{log}"
    );
    // Nothing is heard for a while, though training is due.
    let mut app = app_at(&shipped("quickstart.jsonl"), 400);
    press(&mut app, &[Key::Char('5')]);
    app.update(Msg::Tick { us: 0 });
    app.update(Msg::Tick { us: 11_000_000 });
    assert!(shown(&app).contains("⚠ STALLED") && shown(&app).contains("nothing heard of the trainer for 11 s"));
}

#[test]
fn the_footer_says_how_a_measurement_is_given_up() {
    let mut app = app_at(&shipped("quickstart.jsonl"), 400);
    let last = |app: &App| text(&render(app, &look("default"), 120, 36)).lines().last().unwrap().to_owned();
    assert!(!last(&app).contains("give up"));
    press(&mut app, &[Key::Char('C')]);
    assert!(last(&app).starts_with(" Esc give up measuring"), "{}", last(&app));
    press(&mut app, &[Key::Esc]);
    assert!(!last(&app).contains("give up"));
}

#[test]
fn a_screen_of_128_layers_and_one_of_nothing_are_drawn_as_well() {
    let long = synthetic(128, 3000, 1.0, "训练🦖运行ﾃｽﾄ");
    let empty = App::new(Options::default());
    for (name, app) in [("128", &long), ("empty", &empty)] {
        let all = ['2', '4', '5'].map(|key| {
            let mut app = app.clone();
            press(&mut app, &[Key::Char(key)]);
            text(&render(&app, &look("default"), 120, 36))
        });
        insta::assert_snapshot!(format!("screens-{name}"), all.join("\n"));
    }
    // The oldest steps are still there, and a column says how many it stands for.
    let mut app = long;
    press(&mut app, &[Key::Char('2')]);
    let whole = text(&render(&app, &look("default"), 120, 36));
    assert!(whole.contains("steps 0 to 2999") && whole.contains("by 64s"), "{whole}");
    press(&mut app, &[Key::Char('z')]);
    let finer = text(&render(&app, &look("default"), 120, 36));
    assert!(finer.contains("to 2999") && finer.contains("by 32s"), "{finer}");
}

#[test]
fn a_schedule_is_edited_on_the_screen_and_applied_as_commands() {
    let mut app = app_at(&shipped("quickstart.jsonl"), 100);
    let shown = |app: &App| text(&render(app, &look("default"), 120, 36));
    let keys = |text: &str| text.chars().map(Key::Char).collect::<Vec<_>>();
    press(&mut app, &keys("P"));
    let table = app.run.schedule.clone().unwrap();
    let first = table.stages[0].steps;
    assert!(shown(&app).contains("nothing is drafted"), "{}", shown(&app));
    press(&mut app, &keys("50"));
    assert!(shown(&app).contains("stage 1 can last 100 to"), "{}", shown(&app));
    press(&mut app, &[Key::Enter]);
    assert!(app.pending.is_empty() && matches!(app.ui.overlay, Overlay::Schedule(_)), "refused before it is asked");
    press(&mut app, &[Key::Esc]);
    press(&mut app, &keys("150"));
    let drafted = shown(&app);
    assert!(drafted.contains(&format!("{first} → 150")) || drafted.contains("150_"), "{drafted}");
    assert!(drafted.contains("as drafted") && drafted.contains("points"), "{drafted}");
    let steps = Command::SetStageSteps { stage: 0, steps: 150 };
    let requests = app.update(Msg::Key { key: Key::Enter, us: 0 });
    assert_eq!(requests, [Request::Train(steps)]);
    assert_eq!((&app.ui.overlay, &app.pending[..]), (&Overlay::None, &[steps][..]));
    // The table changes when the trainer says so.
    assert_eq!(app.run.schedule.as_ref(), Some(&table));
    // What only shows a run can draft, but not apply.
    let mut replay = app_at(&shipped("quickstart.jsonl"), 100);
    replay.options = Options { read_only: true, is_replay: true };
    press(&mut replay, &keys("P150"));
    assert!(shown(&replay).contains("to be looked at only"), "{}", shown(&replay));
    assert_eq!(replay.update(Msg::Key { key: Key::Enter, us: 0 }), []);
    assert!(replay.pending.is_empty());
}

#[test]
fn a_forecast_comes_before_the_question_is_answered() {
    let mut app = app_at(&shipped("quickstart.jsonl"), 400);
    press(&mut app, &[Key::Char('n')]);
    let shown = |app: &App| text(&render(app, &look("default"), 100, 30));
    assert!(shown(&app).contains("computing…") && shown(&app).contains("y  yes"), "{}", shown(&app));
    let command = Command::Measure { what: What::Forecast };
    let labels = ["5", "6", "7", "8", "12"].map(str::to_owned).to_vec();
    let values = vec![2.75, 2.5, 2.375, 2.25, 2.0];
    let (step, name) = (app.run.step, FORECAST.to_owned());
    let m = Measurement { step, name, path_length: 12, labels, values, spreads: Vec::new() };
    for event in [Event::Applied { step, command }, Event::Measured(m)] {
        app.update(Msg::Event(Stamped { seq: 0, us: 0, event }));
    }
    let now = shown(&app);
    for part in ["End stage 1 now?", "forecast now", "6: 2.500 now", "8: 2.250 -0.250", "full: 2.000 -0.500", "y  yes"]
    {
        assert!(now.contains(part), "no {part}: {now}");
    }
    // Steps later it says how old it is.
    let path = LayerPath::full(12);
    let event = Event::Stepped { step, stage: 0, path, loss: 2.0, learning_rate: 0.1, gradient_norm: 1.0 };
    app.update(Msg::Event(Stamped { seq: 0, us: 0, event }));
    assert!(shown(&app).contains("forecast one step ago") && shown(&app).contains("6: 2.500 now"));
    // And it is there before the question, if it was asked for at this step.
    press(&mut app, &[Key::Esc]);
    assert_eq!(app.update(Msg::Key { key: Key::Char('n'), us: 0 }).len(), 1, "an old one is asked for anew");
}

#[test]
fn a_failure_is_shown_with_the_last_checkpoint() {
    let mut app = app_at(&shipped("quickstart.jsonl"), 300);
    let reason = "the loss of step 300 is not finite".to_owned();
    let last_checkpoint = Some("checkpoints/step-00000200".to_owned());
    let event = Event::Failed { step: 300, cause: Cause::Diverged, reason, last_checkpoint };
    app.update(Msg::Event(Stamped { seq: 0, us: 0, event }));
    for (width, height) in [(120, 36), (60, 20), (40, 10)] {
        let shown = text(&render(&app, &look("default"), width, height));
        assert!(shown.contains("FAILED") && shown.contains("not finite") && shown.contains("step-00000200"), "{shown}");
    }
}

/// States that screens must survive.
fn fixtures() -> Vec<(&'static str, App)> {
    let recorded = shipped("quickstart.jsonl");
    let with = |keys: &[Key], mut app: App| {
        press(&mut app, keys);
        app
    };
    let failed = {
        let mut app = app_at(&recorded, 40);
        let event =
            Event::Failed {
                step: 4, cause: Cause::Error, reason: "很长的原因 ".repeat(40), last_checkpoint: None
            };
        app.update(Msg::Event(Stamped { seq: 0, us: 0, event }));
        app
    };
    let finished = {
        let mut app = app_at(&recorded, 40);
        let event = Event::Finished { step: 40, ending: Ending::Stopped, weights: String::new() };
        app.update(Msg::Event(Stamped { seq: 0, us: 0, event }));
        app
    };
    let c = Key::Char;
    vec![
        ("empty", App::new(Options::default())),
        ("started", app_at(&recorded, 0)),
        ("one step", app_at(&recorded, 1)),
        ("running", app_at(&recorded, 700)),
        ("one layer", synthetic(1, 50, 1.0, "run")),
        ("128 layers", synthetic(128, 3000, 1.0, "run")),
        ("flat loss", synthetic(12, 50, 0.0, "run")),
        ("huge loss", synthetic(12, 50, 1e30, "run")),
        ("wide name", synthetic(12, 50, 1.0, "训练🦖运行ﾃｽﾄ")),
        ("help", with(&[c('?')], app_at(&recorded, 100))),
        ("searched help", with(&[c('?'), c('r'), c('长'), Key::Backspace], app_at(&recorded, 100))),
        ("palette", with(&[c(':'), c('r'), c('a')], app_at(&recorded, 100))),
        (
            "palette, wide",
            with(&[c(':'), c('n'), c('o'), c('t'), c('e'), c(' '), c('长'), c('🦖')], app_at(&recorded, 100)),
        ),
        ("palette, wrong", with(&[c(':'), c('x'), c('x'), Key::Enter], app_at(&recorded, 100))),
        ("quit", with(&[c('q')], app_at(&recorded, 100))),
        ("confirm", with(&[c('n')], app_at(&recorded, 100))),
        ("menu", with(&[c('M')], app_at(&recorded, 100))),
        ("psi", with(&[c('4'), Key::Right], measured())),
        ("evaluations", with(&[c('4'), Key::Tab, Key::Tab, Key::Up], measured())),
        ("editor", with(&[c('P'), c('3'), c('0'), Key::Down, Key::Right, c('+')], app_at(&recorded, 100))),
        ("editor, refused", with(&[c('P'), c('3')], app_at(&recorded, 100))),
        ("layers", with(&[c('2')], app_at(&recorded, 900))),
        ("128 on layers", with(&[c('2')], synthetic(128, 3000, 1.0, "run"))),
        ("log", with(&[c('5'), Key::Tab], app_at(&recorded, 900))),
        ("log scale", with(&[c('y'), c('s')], app_at(&recorded, 900))),
        ("expanded", with(&[Key::Tab, Key::Tab, c('e')], app_at(&recorded, 900))),
        ("scrolled", with(&[Key::BackTab, Key::Up, Key::Up], app_at(&recorded, 900))),
        ("failed", failed),
        ("finished", finished),
    ]
}

fn synthetic(layers: usize, steps: u64, scale: f32, name: &str) -> App {
    let mut app = App::new(Options::default());
    let Event::Started(mut started) = shipped("quickstart.jsonl")[0].event.clone() else { panic!("no start") };
    let fixed = LayerPath::from_layers(layers, [0]);
    let stages = vec![Stage::new(steps / 2, layers.div_ceil(2), fixed), Stage::new(steps, layers, fixed)];
    let schedule = Schedule { layers, stages };
    started.schedule = schedule.clone();
    started.run = name.to_owned();
    let mut send = |event: Event, us: u64| {
        app.update(Msg::Event(Stamped { seq: 0, us, event }));
    };
    send(Event::Started(started), 0);
    let expected = vec![0.5; layers];
    send(Event::StageEntered { step: 0, stage: 0, path_length: 1, by_hand: true, expected, schedule }, 0);
    for step in 0..steps {
        let path = LayerPath::from_layers(layers, (0..layers).filter(|l| !(l + step as usize).is_multiple_of(3)));
        let loss = scale * (1.0 + (step as f32).sin());
        send(Event::Stepped { step, stage: 0, path, loss, learning_rate: 1e-3, gradient_norm: 1.0 }, step * 1000);
    }
    send(Event::Applied { step: steps, command: Command::Pause }, 0);
    app
}

#[test]
fn no_size_and_no_state_panics() {
    for (name, app) in fixtures() {
        for theme in ["default", "mono"] {
            for glyphs in [Glyphs::Braille, Glyphs::Ascii] {
                let look = Look { glyphs, ..look(theme) };
                for width in (0..=130).step_by(7).chain([1, 39, 40, 59, 60, 99, 100]) {
                    for height in (0..=40).step_by(3).chain([1, 9, 10, 13, 14, 16, 24]) {
                        let drawn = std::panic::catch_unwind(|| render(&app, &look, width, height));
                        assert!(drawn.is_ok(), "{name}, {theme}, {width}x{height}");
                    }
                }
            }
        }
    }
}

#[test]
fn ascii_glyphs_are_ascii() {
    let app = app_at(&shipped("quickstart.jsonl"), 900);
    let look = Look { glyphs: Glyphs::Ascii, ..look("default") };
    let shown = text(&render(&app, &look, 120, 36));
    let strip = shown.lines().find(|l| l.contains("12-11")).unwrap();
    assert!(strip.contains('#') && strip.contains('\''), "{strip}");
    // Frames are the line-drawing set that every console has; blocks, diamonds and braille are not.
    let is_plain = |c: char| c.is_ascii() || "│─┌┐└┘".contains(c);
    let others: Vec<char> = shown.chars().filter(|c| !is_plain(*c)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_small_screen_still_tells_step_and_loss() {
    let app = app_at(&shipped("quickstart.jsonl"), 700);
    let shown = text(&render(&app, &look("default"), 39, 5));
    assert!(shown.contains("step 700/") && shown.contains("loss ") && shown.contains("training goes on"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_is_shown_depends_on_the_events_alone(cut in 0usize..1000) {
        // All at once, or in two parts with drawing in between.
        let events = shipped("steered.jsonl");
        let whole = app_at(&events, u64::MAX);
        let cut = cut % events.len();
        let mut parts = App::new(Options::default());
        for (index, event) in events.iter().enumerate() {
            if index == cut {
                render(&parts, &look("default"), 90, 30);
            }
            parts.update(Msg::Event(event.clone()));
        }
        prop_assert_eq!(whole, parts);
    }
}

#[test]
fn what_is_kept_does_not_grow_with_the_run() {
    let app = synthetic(128, 60_000, 1.0, "long");
    assert!(app.run.history.len() <= 62_000 && app.run.paths.len() <= 1024);
}

/// An experiment in the middle: two arms tuned, the first seeds done, one diverged, the quickstart being trained.
fn board() -> Board {
    let mut rows = Vec::new();
    for horizon in [1000, 2000] {
        let row = |arm: &str, seed: u64, rate: Option<f64>| RunRow {
            name: String::new(),
            arm: arm.to_owned(),
            horizon,
            seed,
            learning_rate: rate,
            is_tuning: rate.is_some(),
            steps: horizon,
            flops: horizon as f64 * 1e9,
        };
        for arm in ["full", "raptr"] {
            rows.extend([2e-3, 4e-3].map(|rate| row(arm, 0, Some(rate))));
        }
        for seed in 1..=3 {
            rows.extend(["full", "raptr", "half"].map(|arm| row(arm, seed, None)));
        }
    }
    let mut board = Board::default();
    let (name, question) = ("horizon".to_owned(), "Does it last?".to_owned());
    board.apply(&ExperimentEvent::Begun { name, question, rows });
    let done = |board: &mut Board, row, loss| {
        let state = RunState::Done { loss };
        board.apply(&ExperimentEvent::Run { row, state, from_earlier: true });
    };
    (0..4).for_each(|row| done(&mut board, row, 0.9));
    for arm in ["full", "raptr"] {
        board.apply(&ExperimentEvent::Tuned { arm: arm.to_owned(), horizon: 1000, learning_rate: Some(4e-3) });
    }
    for (row, loss) in [(4, 0.7012), (5, 0.7103), (7, 0.7054)] {
        done(&mut board, row, loss);
    }
    board.apply(&ExperimentEvent::Run { row: 6, state: RunState::Diverged, from_earlier: false });
    board.apply(&ExperimentEvent::Run { row: 8, state: RunState::Running, from_earlier: false });
    for stamped in shipped("quickstart.jsonl") {
        if matches!(stamped.event, Event::Stepped { step: 700.., .. }) {
            break;
        }
        board.apply(&ExperimentEvent::Of { row: 8, stamped });
    }
    board
}

fn render_board(board: &Board, look: &Look, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| raptr_tui::view::experiment::draw(frame, board, look)).unwrap();
    terminal.backend().buffer().clone()
}

#[test]
fn an_experiments_screen_in_colour_and_without() {
    let board = board();
    for theme in ["default", "mono"] {
        for (width, height) in [(120, 36), (80, 24)] {
            let name = format!("experiment-{theme}-{width}x{height}");
            insta::assert_snapshot!(name, picture(&render_board(&board, &look(theme), width, height)));
        }
    }
}

#[test]
fn an_experiment_can_be_drawn_at_every_size_and_in_every_state() {
    let live = board();
    let ended = [
        Ended::Finished("== 10 steps ==\narm  loss\n".repeat(30)),
        Ended::Stopped,
        Ended::Failed("the disk is full".to_owned()),
        Ended::Lost,
    ];
    let mut boards = vec![Board::default(), live.clone()];
    let mut helped = live.clone();
    (helped.help, helped.scroll) = (Some(Help { line: 3, ..Help::default() }), -99);
    boards.push(helped);
    for state in ended {
        let mut board = live.clone();
        (board.ended, board.scroll) = (Some(state), 7);
        boards.push(board);
    }
    let ascii = Look { glyphs: Glyphs::Ascii, ..look("mono") };
    for board in &boards {
        for (width, height) in [(0, 0), (1, 1), (39, 9), (40, 10), (60, 12), (80, 24), (200, 60)] {
            render_board(board, &look("default"), width, height);
            let shown = text(&render_board(board, &ascii, width, height));
            assert!(shown.chars().all(|c| c.is_ascii() || "│─┌┐└┘".contains(c)), "{shown}");
        }
    }
}
