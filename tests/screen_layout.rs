//! The layout on a synthetic run: what fits is shown whole, scrolling stays in its pane, plain consoles get plain glyphs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/picture.rs"]
mod picture;

use picture::{look, render, text};
use raptr_tui::app::actions::Mode;
use raptr_tui::app::keys::Key;
use raptr_tui::app::mouse::{Gesture, Target};
use raptr_tui::app::{App, Msg, Options, Overlay, Pane, Request, Screen, Seek, State};
use raptr_tui::event::{Command, Event, Measurement, Score, Stamped, Started, Transition, Why};
use raptr_tui::layer_path::LayerPath;
use raptr_tui::measurement::FORECAST;
use raptr_tui::schedule::{Schedule, Stage};
use raptr_tui::view::glyphs::Glyphs;
use raptr_tui::view::theme::{Depth, find};
use raptr_tui::view::{Look, hit, room};
use ratatui::layout::Rect;

/// Two stages of 100 steps, of which 150 are trained.
fn app(layers: usize) -> App {
    let mut app = App::new(Options::default());
    let fixed = LayerPath::from_layers(layers, [0, layers - 1]);
    let lengths = [layers / 2, layers - 1];
    let stages = lengths.map(|path_length| Stage::new(100, path_length, fixed)).to_vec();
    let schedule = Schedule { layers, stages };
    let text = String::from;
    send(
        &mut app,
        Event::Started(Box::new(Started {
            format: 1,
            version: text("0.1.0"),
            run: text("synthetic"),
            method: text("raptr"),
            objective: text("causal"),
            loss_unit: "nats per token".into(),
            items: "tokens".into(),
            device: text("cpu"),
            data: text("stories"),
            schedule: schedule.clone(),
            parameters: 1000,
            tokens_per_step: 1024,
            layer_flops: 3e8,
            fixed_flops: 5e8,
            floor: Some(1.3),
            data_checksum: text("x"),
            weights: text("y"),
            config: String::new(),
        })),
    );
    for step in 0..150 {
        let stage = usize::from(step >= 100);
        let path_length = lengths[stage];
        if step % 100 == 0 {
            let expected = vec![0.5; layers];
            let schedule = schedule.clone();
            send(&mut app, Event::StageEntered { step, stage, path_length, by_hand: false, expected, schedule });
        }
        let path = LayerPath::from_layers(layers, 0..path_length);
        let loss = 1.5 + 1.0 / (step as f32 + 1.0);
        send(&mut app, Event::Stepped { step, stage, path, loss, learning_rate: 3e-3, gradient_norm: 0.8 });
    }
    let (at, after, full) = (100, 1.5125, [10.125, 1.375]);
    send(
        &mut app,
        Event::TransitionMeasured(Transition {
            step: 150,
            at,
            stage: 1,
            from: lengths[0],
            to: lengths[1],
            before: 10.75,
            entered: 10.875,
            peak: 10.9375,
            after,
            full: Some(full),
            recovered_after: Some(2000),
        }),
    );
    app
}

fn send(app: &mut App, event: Event) {
    // Eighteen milliseconds a step, so that there is a speed.
    let us = (app.run.step + 1) * 18_000;
    app.update(Msg::Event(Stamped { seq: 0, us, event }));
}

fn press(app: &mut App, key: Key, times: usize) {
    for _ in 0..times {
        app.update(Msg::Key { key, us: 0 });
    }
}

fn shown(app: &App, ascii: bool, width: u16, height: u16) -> String {
    let glyphs = if ascii { Glyphs::Ascii } else { Glyphs::Braille };
    let look = Look { theme: find("default", Depth::Sixteen).unwrap(), glyphs };
    text(&render(app, &look, width, height))
}

#[test]
fn a_larger_screen_shows_no_less() {
    let app = app(12);
    for (width, height) in [(80, 24), (100, 30), (120, 36), (180, 50)] {
        let shown = shown(&app, false, width, height);
        let header: String = shown.lines().take(3).collect();
        for figure in ["saved", "lr 3.00e-3", "tok/s", "step 150/200"] {
            assert!(header.contains(figure), "{figure} at {width}x{height}:\n{shown}");
        }
    }
}

#[test]
fn transitions_are_cut_between_columns_only() {
    let app = app(12);
    let row = |width, height| {
        let shown = shown(&app, false, width, height);
        let row = shown.lines().find(|line| line.contains("6→11")).unwrap();
        row.split_once("6→11").unwrap().1.trim_end_matches('│').split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let whole = "10.750 10.875 10.938 1.5125 2000 steps 10.125 1.375";
    assert_eq!(row(120, 36), whole);
    for width in 100..120 {
        let row = row(width, 36);
        let rest = whole.strip_prefix(&row).unwrap();
        assert!(rest.is_empty() || rest.starts_with(' '), "{row} at {width}");
    }
}

#[test]
fn only_the_pane_with_the_focus_scrolls_and_no_further_than_it_goes() {
    let mut app = app(128);
    let layers = |app: &App| shown(app, false, 120, 36).contains("│128 ");
    assert!(layers(&app));
    press(&mut app, Key::BackTab, 1);
    assert_eq!(app.pane(), Pane::Log);
    press(&mut app, Key::Up, 1000);
    assert!(layers(&app), "the log was scrolled, the layers were not");
    assert!(app.ui.scroll < app.run.log.len());
    press(&mut app, Key::Tab, 3);
    assert_eq!(app.pane(), Pane::Layers);
    press(&mut app, Key::Up, 1);
    assert!(layers(&app), "nothing is above the topmost");
    app.ui.room = room(&app, &look("default"), Rect::new(0, 0, 120, 36));
    press(&mut app, Key::Down, 1);
    assert!(!layers(&app));
    // Down to the input's layer and no further: the way back begins with the first press.
    press(&mut app, Key::Down, 1000);
    let lowest = |app: &App| shown(app, false, 120, 36).contains("│  1 ");
    assert!(lowest(&app));
    press(&mut app, Key::Up, 1);
    assert!(!lowest(&app));
    press(&mut app, Key::Up, 1000);
    assert!(layers(&app));
    press(&mut app, Key::Char('?'), 1);
    press(&mut app, Key::Down, 1000);
    assert!(matches!(&app.ui.overlay, Overlay::Help(help) if help.line < 100));
}

/// A forecast with spreads.
fn series() -> Measurement {
    let (labels, values) = (["6", "7", "8", "12"].map(str::to_owned).to_vec(), vec![2.5, 2.25, 2.0, 1.5]);
    let name = FORECAST.to_owned();
    Measurement { step: 150, name, path_length: 12, labels, values, spreads: vec![0.1, 0.1, 1e-5, 0.0] }
}

#[test]
fn a_plain_console_gets_ascii_and_box_drawing_only() {
    let mut app = app(12);
    let scores = (2..=12).map(|path_length| Score { path_length, loss: 2.0, spread: 0.1, batches: 4 }).collect();
    send(&mut app, Event::Evaluated { step: 150, why: Why::Curve, scores });
    send(&mut app, Event::Evaluated { step: 150, why: Why::Cadence, scores: Vec::new() });
    let mut states = vec![app.clone()];
    states.extend(['?', 'q', 'n', ' ', '-', '1', '{'].map(|key| {
        let mut app = app.clone();
        press(&mut app, Key::Char(key), 1);
        app
    }));
    send(&mut app, Event::Measured(series()));
    // Every screen, every page of what was measured, and the editor with a draft.
    for keys in [&['2'][..], &['3'], &['4'], &['5'], &['P'], &['P', '+'], &['P', '1']] {
        let mut app = app.clone();
        keys.iter().for_each(|key| press(&mut app, Key::Char(*key), 1));
        states.push(app);
    }
    for page in 0..3 {
        let mut app = app.clone();
        press(&mut app, Key::Char('4'), 1);
        press(&mut app, Key::Right, page);
        states.push(app);
    }
    app.ui.overlay = Overlay::Menu;
    states.push(app.clone());
    app.ui.overlay = Overlay::Confirm(Command::NextStage);
    states.push(app);
    for app in &states {
        for (width, height) in [(120, 36), (80, 24), (50, 20), (40, 10), (39, 9)] {
            let shown = shown(app, true, width, height);
            let other = shown.chars().find(|c| !c.is_ascii() && !"─│┌┐└┘".contains(*c));
            assert_eq!(other, None, "{width}x{height}:\n{shown}");
        }
    }
}

#[test]
fn granted_steps_are_forgotten_by_a_resume_as_the_trainer_forgets_them() {
    let mut app = app(12);
    send(&mut app, Event::Applied { step: 150, command: Command::Pause });
    send(&mut app, Event::Applied { step: 150, command: Command::Step { steps: 9 } });
    assert_eq!(app.state(), State::Stepping);
    send(&mut app, Event::Resumed { step: 150, keep: 150, file: "checkpoint".to_owned(), damaged: Vec::new() });
    assert_eq!(app.state(), State::Running);
}

#[test]
fn every_help_text_fits_eighty_columns() {
    let mut app = app(12);
    press(&mut app, Key::Char('?'), 1);
    let shown = shown(&app, false, 80, 100);
    for row in app.keymap.all(Mode::Run) {
        assert!(shown.contains(row.binding.help), "cut: {}", row.binding.help);
        let names: Vec<String> = row.keys.iter().map(|key| key.name()).collect();
        assert!(shown.contains(&names.join(" ")), "cut: {names:?}");
    }
}

/// The cell in which a text begins on the screen.
fn place_of(app: &App, text: &str, width: u16, height: u16) -> (u16, u16) {
    let shown = shown(app, false, width, height);
    let found = shown.lines().enumerate().find_map(|(y, line)| Some((line.find(text)?, y, line)));
    let (at, y, line) = found.unwrap_or_else(|| panic!("no {text} in\n{shown}"));
    (line[..at].chars().count() as u16, y as u16)
}

fn under_mouse(app: &App, (x, y): (u16, u16), width: u16, height: u16) -> Target {
    let look = Look { theme: find("default", Depth::Sixteen).unwrap(), glyphs: Glyphs::Braille };
    hit(app, &look, Rect::new(0, 0, width, height), x, y)
}

fn mouse(app: &mut App, at: (u16, u16), gesture: Gesture, us: u64) -> Vec<Request> {
    let target = under_mouse(app, at, 120, 36);
    app.update(Msg::Mouse { target, gesture, us })
}

#[test]
fn the_mouse_finds_what_is_drawn() {
    let app = app(12);
    for (width, height) in [(120, 36), (100, 24), (80, 24), (200, 60)] {
        let at = |text: &str| under_mouse(&app, place_of(&app, text, width, height), width, height);
        for screen in Screen::ALL {
            assert_eq!(at(&format!("{} {}", screen.number(), screen.name())), Target::Tab(screen), "{width}x{height}");
        }
        let mut focused = app.clone();
        for _ in app.ui.screen.panes() {
            let target = under_mouse(&focused, place_of(&focused, "▸", width, height), width, height);
            assert!(matches!(target, Target::Pane(p, _) if p == focused.pane()), "{target:?} at {width}x{height}");
            press(&mut focused, Key::Tab, 1);
        }
        for (text, name) in
            [("Space pause", "pause"), ("? help", "help"), (": command", "commands"), ("q quit", "quit")]
        {
            assert!(matches!(at(text), Target::Footer(b) if b.name == name), "{text}: {:?}", at(text));
        }
        // The ribbon's ends are the run's, and a stage's label is over its first step.
        let (x, y) = place_of(&app, "2 path", width, height);
        let Target::Ribbon(step) = under_mouse(&app, (x, y), width, height) else { panic!("no ribbon") };
        let start = app.run.schedule.as_ref().unwrap().start(1);
        assert!(step.abs_diff(start) <= app.run.total_steps() / u64::from(width) + 1, "{step}, not {start}");
        assert_eq!(under_mouse(&app, (1, y), width, height), Target::Ribbon(0));
    }
    // Anywhere, at any size: an answer, and none where there is no screen.
    for (width, height) in [(0, 0), (1, 1), (39, 9), (40, 10), (59, 13), (130, 40)] {
        for (x, y) in (0..=width).flat_map(|x| (0..=height).map(move |y| (x, y))) {
            let target = under_mouse(&app, (x, y), width, height);
            assert!(x < width && y < height || target == Target::Nothing, "{x} {y} of {width}x{height}");
            if let Target::Pane(_, shares) = target {
                assert!(shares.iter().all(|s| (0.0..=1.0).contains(s)));
            }
        }
    }
}

#[test]
fn the_mouse_points_at_the_chart_and_zooms_into_it() {
    let mut app = app(12);
    press(&mut app, Key::Char('3'), 1);
    // The corner of both axes; the chart begins right of it.
    let (left, bottom) = place_of(&app, "└0", 120, 36);
    let at = |share: f64| (left + 1 + (share * f64::from(118 - left - 1)).round() as u16, bottom - 3);
    mouse(&mut app, at(0.0), Gesture::Click, 0);
    assert_eq!(app.crosshair_step(), Some(0));
    mouse(&mut app, at(0.5), Gesture::Drag, 100);
    let step = app.crosshair_step().unwrap();
    assert!((74..=76).contains(&step), "{step} of 150");
    press(&mut app, Key::Esc, 1);
    assert_eq!(app.crosshair_step(), None);
    // What lies under the wheel stays there.
    mouse(&mut app, at(1.0), Gesture::WheelUp, 0);
    let (from, to) = app.chart_ends();
    assert!((to - 150.0).abs() < 1e-9 && (from - 30.0).abs() < 1e-9, "{from} {to}");
    // The figures of the axis may have become longer or shorter.
    let (left, _) = place_of(&app, "└", 120, 36);
    mouse(&mut app, (left + 1, bottom - 3), Gesture::WheelUp, 0);
    // To within half a column.
    assert!((app.chart_ends().0 - 30.0).abs() < 0.1, "{:?}", app.chart_ends());
    assert!(shown(&app, false, 120, 36).contains("FROZEN"));
    press(&mut app, Key::Char('0'), 1);
    assert_eq!(app.chart_ends(), (0.0, 150.0));
}

#[test]
fn arrows_are_the_charts_on_its_screen_only() {
    let mut app = app(12);
    press(&mut app, Key::Char('i'), 1);
    assert_eq!(app.crosshair_step(), Some(149));
    press(&mut app, Key::Left, 1);
    assert_eq!(app.crosshair_step(), Some(149), "not on the Train screen");
    press(&mut app, Key::Char('h'), 1);
    press(&mut app, Key::Char('3'), 1);
    // A hundredth of the 149 steps between the ends is one, rounded; then ten times as far.
    press(&mut app, Key::Left, 1);
    assert_eq!(app.crosshair_step(), Some(147));
    press(&mut app, Key::PageUp, 1);
    assert_eq!(app.crosshair_step(), Some(137));
}

#[test]
fn clicks_and_the_wheel_do_what_keys_do() {
    let mut app = app(12);
    let tab = place_of(&app, "3 Loss", 120, 36);
    mouse(&mut app, tab, Gesture::Click, 0);
    assert_eq!(app.ui.screen, Screen::Loss);
    press(&mut app, Key::Char('1'), 1);
    // A click gives the focus, a second one soon expands, the wheel scrolls what it is over.
    press(&mut app, Key::Tab, 2);
    let layers = place_of(&app, "▸", 120, 36);
    press(&mut app, Key::Tab, 3);
    assert_ne!(app.pane(), Pane::Layers);
    mouse(&mut app, layers, Gesture::WheelDown, 0);
    assert_eq!((app.pane(), app.ui.scroll), (Pane::Layers, 3));
    mouse(&mut app, layers, Gesture::WheelUp, 0);
    mouse(&mut app, layers, Gesture::Click, 1_000_000);
    assert!(!app.ui.expanded && app.ui.scroll == 0);
    mouse(&mut app, layers, Gesture::Click, 1_300_000);
    assert!(app.ui.expanded);
    mouse(&mut app, layers, Gesture::Click, 2_000_000);
    assert!(app.ui.expanded, "too late for a double click");
    press(&mut app, Key::Esc, 1);
    // The footer's keys can be pressed with the mouse.
    let help = place_of(&app, "? help", 120, 36);
    mouse(&mut app, help, Gesture::Click, 0);
    assert!(matches!(app.ui.overlay, Overlay::Help(_)));
    mouse(&mut app, (60, 18), Gesture::WheelDown, 0);
    assert!(matches!(&app.ui.overlay, Overlay::Help(help) if help.line == 3));
    mouse(&mut app, (0, 0), Gesture::Click, 0);
    assert_eq!(app.ui.overlay, Overlay::None, "a click beside it closes it");
    // The palette's suggestions as well.
    ":scale".chars().for_each(|c| press(&mut app, Key::Char(c), 1));
    let log = place_of(&app, "log-scale", 120, 36);
    assert_eq!(under_mouse(&app, log, 120, 36), Target::Suggestion(0));
    mouse(&mut app, log, Gesture::Click, 0);
    assert!(app.ui.overlay == Overlay::None && shown(&app, false, 120, 36).contains(", log"));
    // What asks for an answer is not answered by a click beside it.
    press(&mut app, Key::Char('q'), 1);
    assert!(mouse(&mut app, (0, 0), Gesture::Click, 0).is_empty() && app.ui.overlay == Overlay::Quit);
}

#[test]
fn the_wheel_zooms_the_chart_where_the_mouse_is() {
    let mut app = app(12);
    press(&mut app, Key::Char('3'), 1);
    let (left, width) = (20, 60);
    let step_under = |app: &App, x: u16| {
        let Target::Pane(Pane::Loss, [share, _]) = under_mouse(app, (x, 10), 120, 36) else { panic!("no chart") };
        let (from, to) = app.chart_ends();
        from + share * (to - from)
    };
    let all = app.chart_ends();
    let before = step_under(&app, left + width / 2);
    for _ in 0..4 {
        mouse(&mut app, (left + width / 2, 10), Gesture::WheelUp, 0);
    }
    let zoomed = app.chart_ends();
    assert!((zoomed.1 - zoomed.0) < 0.5 * (all.1 - all.0), "{zoomed:?} of {all:?}");
    assert!((step_under(&app, left + width / 2) - before).abs() < 2.0, "what is under the mouse stays there");
    // A click points at a step, and dragging moves on from there.
    mouse(&mut app, (left + width / 2, 10), Gesture::Click, 0);
    let pointed = app.crosshair_step().unwrap();
    assert!((pointed as f64 - before).abs() <= 2.0, "{pointed} {before}");
    mouse(&mut app, (left + width, 10), Gesture::Drag, 0);
    assert!(app.crosshair_step().unwrap() > pointed);
    // At the end of a chart that follows the run it goes on to do so.
    let mut app = self::app(12);
    press(&mut app, Key::Char('3'), 1);
    mouse(&mut app, (118, 10), Gesture::WheelUp, 0);
    assert!(app.ui.chart.window.follows() && app.chart_ends().0 > 0.0, "{:?}", app.chart_ends());
    for _ in 0..9 {
        mouse(&mut app, (118, 10), Gesture::WheelDown, 0);
    }
    // Out again to all of it, and on to what is planned.
    assert_eq!(app.chart_ends(), (0.0, 200.0));
}

#[test]
fn the_ribbon_moves_a_replay_and_chooses_a_stage_of_a_run() {
    let app = app(12);
    let total = app.run.total_steps();
    let mut replay = App { options: Options { read_only: true, is_replay: true }, ..app.clone() };
    for gesture in [Gesture::Click, Gesture::Drag] {
        let seek = replay.update(Msg::Mouse { target: Target::Ribbon(total / 2), gesture, us: 0 });
        assert_eq!(seek, [Request::Replay(Seek::Step(total / 2))]);
    }
    let last = app.run.schedule.as_ref().unwrap().stages.len() - 1;
    let mut run = app;
    assert!(run.update(Msg::Mouse { target: Target::Ribbon(total - 1), gesture: Gesture::Click, us: 0 }).is_empty());
    assert_eq!(run.target_stage(), last);
}
