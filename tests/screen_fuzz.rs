//! Every size from nothing to 130 x 40, every screen, every odd state: nothing panics, and no row is wider than the screen.
//!
//! All sizes of all states on all screens would take minutes; each state and screen gets every n-th size, another n-th for
//! each, so that every size is drawn many times. `RAPTR_FUZZ=all` draws them all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use raptr_tui::app::keys::Key;
use raptr_tui::app::{App, Msg, Options, ReplayMark, ReplayState, Screen};
use raptr_tui::event::{Cause, Event, Measurement, Score, Stamped, Started, Transition, Why};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::recording;
use raptr_tui::schedule::{Schedule, Stage};
use raptr_tui::view::glyphs::{GLYPHS, Glyphs};
use raptr_tui::view::theme::{Depth, find};
use raptr_tui::view::{Look, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::text::Span;

/// One of so many sizes is drawn of each state and screen.
const ONE_IN: usize = 37;

fn started(layers: usize, steps: u64, name: &str) -> Started {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/quickstart.jsonl");
    let Event::Started(started) = recording::read(&file).unwrap().swap_remove(0).event else { panic!("no start") };
    let mut started = *started;
    let fixed = LayerPath::from_layers(layers, [0]);
    let stages = vec![Stage::new(steps / 2, layers.div_ceil(2), fixed), Stage::new(steps - steps / 2, layers, fixed)];
    started.schedule = Schedule { layers, stages };
    started.run = name.to_owned();
    started
}

/// A run of so many steps whose losses are given.
fn run(layers: usize, steps: u64, name: &str, loss: impl Fn(u64) -> f32) -> App {
    let mut app = App::new(Options::default());
    let mut seq = 0;
    let mut send = |us: u64, event: Event| {
        app.update(Msg::Event(Stamped { seq, us, event }));
        seq += 1;
    };
    let started = started(layers, steps.max(2), name);
    let schedule = started.schedule.clone();
    send(0, Event::Started(Box::new(started)));
    for step in 0..steps {
        let stage = usize::from(step >= steps.max(2) / 2);
        if step == 0 || (step == steps / 2 && step > 0) {
            let (expected, schedule) = (vec![0.5; layers], schedule.clone());
            let path_length = schedule.stages[stage].path_length;
            let by_hand = stage == 1;
            send(step * 9, Event::StageEntered { step, stage, path_length, by_hand, expected, schedule });
        }
        let path = LayerPath::from_layers(layers, (0..layers).filter(|l| !(l + step as usize).is_multiple_of(3)));
        let (loss, learning_rate) = (loss(step), 1e-3);
        send(step * 9_000, Event::Stepped { step, stage, path, loss, learning_rate, gradient_norm: loss });
        if step % 1000 == 7 {
            let scores = vec![Score { path_length: layers, loss, spread: 0.1, batches: 4 }];
            send(step * 9_000, Event::Evaluated { step, why: Why::Cadence, scores });
        }
    }
    app
}

fn send(app: &mut App, event: Event) {
    app.update(Msg::Event(Stamped { seq: u64::MAX, us: u64::MAX / 2, event }));
}

/// A transition and series with figures that no run should have.
fn with_odd_figures(mut app: App, odd: f32) -> App {
    let (layers, step) = (app.run.layers(), app.run.step);
    let full = Some([odd, -odd]);
    let (before, entered, peak, after) = (odd, 1.0, odd, odd);
    let transition = Transition {
        step,
        at: 1,
        stage: 1,
        from: 1,
        to: layers,
        before,
        entered,
        peak,
        after,
        full,
        recovered_after: None,
    };
    send(&mut app, Event::TransitionMeasured(transition));
    for (name, labels, values) in [
        ("psi: 长🦖 \u{200b}name", vec!["1".to_owned(), "ﾃｽﾄ".to_owned()], vec![odd, 0.0]),
        ("empty", Vec::new(), Vec::new()),
        ("more labels than values", vec!["a".to_owned(); 40], vec![1.0]),
    ] {
        let name = name.to_owned();
        send(
            &mut app,
            Event::Measured(Measurement { step, name, path_length: layers, labels, values, spreads: vec![odd] }),
        );
    }
    app
}

fn replayed(mut app: App) -> App {
    app.options = Options { read_only: true, is_replay: true };
    app.update(Msg::Marks(vec![
        ReplayMark::Stage { place: 3, stage: 1 },
        ReplayMark::Hand { place: 70 },
        ReplayMark::Failure { place: usize::MAX },
    ]));
    let state = ReplayState {
        is_playing: true,
        speed: 64.0,
        share: 0.7,
        events: 10,
        at_us: 1 << 60,
        length_us: u64::MAX,
        ..ReplayState::default()
    };
    app.update(Msg::Replay(state));
    app
}

fn failed(mut app: App) -> App {
    let reason = "the loss is not finite 🦖 and this sentence goes on for longer than any screen is wide ".repeat(4);
    send(&mut app, Event::Failed { step: 3, cause: Cause::Diverged, reason, last_checkpoint: Some("x".repeat(200)) });
    app
}

fn states() -> Vec<(&'static str, App)> {
    let sine = |step: u64| 3.0 + (step as f32).sin();
    let odd = |step: u64| match step % 5 {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3 => -1.0,
        _ => 1e30,
    };
    let wide = "训练🦖运行ﾃｽﾄ 👩‍👩‍👧‍👧 a\u{0301}\u{200b}\u{200d}";
    vec![
        ("nothing yet", App::new(Options::default())),
        ("started", run(12, 0, "run", sine)),
        ("one step", run(12, 1, "run", sine)),
        ("not finite", with_odd_figures(run(12, 60, "run", odd), f32::NAN)),
        ("infinite", with_odd_figures(run(12, 60, "run", |_| f32::INFINITY), f32::INFINITY)),
        ("flat", with_odd_figures(run(12, 500, "run", |_| 2.0), 0.0)),
        ("one layer", run(1, 400, "run", sine)),
        ("128 layers", with_odd_figures(run(128, 3000, "run", sine), 1.0)),
        ("a million steps", run(128, 1_000_000, "run", sine)),
        ("wide name", replayed(run(12, 90, wide, sine))),
        ("long name", replayed(run(3, 90, &"long ".repeat(60), sine))),
        ("failed", failed(run(12, 90, wide, sine))),
    ]
}

/// A frame's rows are as wide as the screen.
fn check(app: &App, look: &Look, width: u16, height: u16, what: &str) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let drawn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        terminal.draw(|frame| draw(frame, app, look)).unwrap();
    }));
    assert!(drawn.is_ok(), "{what} at {width}x{height}");
    let buffer = terminal.backend().buffer();
    for y in 0..height {
        let mut x = 0;
        while x < width {
            let columns = Span::raw(buffer[(x, y)].symbol()).width().max(1) as u16;
            x += columns;
        }
        assert!(x <= width, "{what} at {width}x{height}: row {y} is {x} wide");
    }
}

#[test]
fn every_size_of_every_screen_in_every_state() {
    let one_in = if std::env::var("RAPTR_FUZZ").is_ok_and(|v| v == "all") { 1 } else { ONE_IN };
    let mut turn = 0;
    for (name, mut app) in states() {
        for screen in Screen::ALL {
            app.ui.screen = screen;
            for is_expanded in [false, true] {
                app.ui.expanded = is_expanded;
                let (_, glyphs, _) = GLYPHS[turn % GLYPHS.len()];
                let theme = ["default", "light", "mono"][turn % 3];
                let look = Look { theme: find(theme, Depth::True).unwrap(), glyphs };
                turn += 1;
                let what = format!("{name}, {}, {glyphs:?}", screen.name());
                for index in (0..131 * 41).filter(|i| (i + turn) % one_in == 0) {
                    check(&app, &look, (index % 131) as u16, (index / 131) as u16, &what);
                }
            }
        }
    }
}

#[test]
fn what_lies_over_the_screen_at_every_size() {
    let look = Look { theme: find("dark", Depth::True).unwrap(), glyphs: Glyphs::Braille };
    let app = with_odd_figures(run(12, 200, "训练🦖", |step| step as f32), 1.0);
    for keys in ["?", "?zz", ":", ":n", "q", "n", "M", "4", "T"] {
        let mut app = app.clone();
        app.ui.themes.choices = (0..30)
            .map(|i| raptr_tui::app::themes::Choice { name: format!("theme {i} 长"), about: "about ".repeat(20) })
            .collect();
        for key in keys.chars() {
            app.update(Msg::Key { key: Key::Char(key), us: 0 });
        }
        for index in (0..131 * 41).step_by(ONE_IN) {
            check(&app, &look, (index % 131) as u16, (index / 131) as u16, keys);
        }
    }
}
