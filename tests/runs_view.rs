//! The Runs screen as it is drawn: text and colour, at several sizes, with questions before it and with nothing to show.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/picture.rs"]
mod picture;

use picture::{look, render};
use raptr_tui::app::keys::Key;
use raptr_tui::app::mouse::Gesture;
use raptr_tui::app::runs::list::{Kind, Row, Standing};
use raptr_tui::app::runs::{Behind, Checkpoint, Details, News, Wish};
use raptr_tui::app::themes::{Choice, Themes};
use raptr_tui::app::{App, Msg, Options, Pane, Request, Screen, State, Tie};
use raptr_tui::event::Ending;
use raptr_tui::view::glyphs::Glyphs;
use raptr_tui::view::{Look, hit, room};
use ratatui::layout::Rect;

fn run(name: &str, standing: Standing, steps: (u64, u64), full_loss: Option<f32>, age: u64) -> Row {
    let (method, objective) = ("raptr".to_owned(), "causal".to_owned());
    let saves = Some(0.25 * steps.0 as f64 / steps.1 as f64);
    Row { standing, steps, full_loss, saves, age: Some(age), method, objective, ..Row::new(Kind::Run, name) }
}

fn app() -> App {
    let mut app = App::new(Options::default());
    app.tie = Tie::Nothing;
    app.ui.runs.is_on = true;
    app.ui.screen = Screen::Runs;
    let done = Standing::Over(Ending::Completed);
    let mut fork = run("quickstart-1-fork-1", Standing::Over(Ending::Stopped), (2100, 3000), Some(0.7012), 95);
    fork.parent = Some(("quickstart-1".to_owned(), 1500));
    let mut rows = vec![
        run("quickstart-1", done.clone(), (3000, 3000), Some(0.6498), 7100),
        fork,
        run("gpt-small-深い層の訓練-with-a-name-that-is-long", Standing::Live, (1200, 20000), None, 2),
        run("broken", Standing::Unreadable("broken/events.jsonl is no recording".to_owned()), (0, 0), None, 400_000),
        run("bert-small-2", Standing::Failed, (17, 1000), Some(4.125), 90_000),
    ];
    rows[3].saves = None;
    rows.push(Row {
        steps: (3000, 3000),
        full_loss: Some(0.6498),
        standing: done,
        ..Row::new(Kind::Recording, "recordings/quickstart.jsonl")
    });
    for (name, about) in [("quickstart", "Twelve layers in a minute and a half."), ("stacking", "Gradual stacking.")] {
        rows.push(Row { about: about.to_owned(), ..Row::new(Kind::Config, name) });
    }
    app.update(Msg::Runs(News::Listed { place: "runs".to_owned(), rows }));
    app
}

fn details(app: &mut App) {
    let fact = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let facts = vec![
        fact("trains", "raptr, causal"),
        fact("forked", "from quickstart-1 at step 1500"),
        fact("", "stage: 6-8-10-12 -> 6 (750 steps)-8 (750 steps)-12"),
        fact("stages", "   750 steps, 6/12 layers done"),
        fact("", "   750 steps, 8/12 layers done"),
        fact("", "  1500 steps, 12/12 layers"),
        fact("full model", "0.7012 at step 2100"),
        fact("checkpoints", "1500, 2000, 2100"),
    ];
    let at = |step, stage| Checkpoint { step, stage, file: format!("checkpoints/step-{step:08}"), left: 3000 - step };
    let checkpoints = vec![at(1500, Some(3)), at(2000, None), at(2100, None)];
    let of = app.ui.runs.chosen.clone();
    app.update(Msg::Runs(News::Details(Box::new(Details { of, facts, checkpoints }))));
}

fn press(app: &mut App, keys: &[Key]) {
    keys.iter().for_each(|&key| {
        app.update(Msg::Key { key, us: 0 });
    });
}

fn picture(app: &App, look: &Look, width: u16, height: u16) -> String {
    picture::picture(&render(app, look, width, height))
}

#[test]
fn runs_stand_in_a_tree_beside_what_is_chosen() {
    let mut app = app();
    press(&mut app, &[Key::Down, Key::Down]);
    details(&mut app);
    for (theme, width, height) in [("default", 120, 36), ("dark", 80, 24), ("mono", 60, 20)] {
        insta::assert_snapshot!(format!("runs-{theme}-{width}x{height}"), picture(&app, &look(theme), width, height));
    }
    let ascii = picture(&app, &Look { glyphs: Glyphs::Ascii, ..look("default") }, 120, 36);
    assert!(ascii.contains("> ` quickstart-1-fork-1  stopped"), "{ascii}");
    assert!(!["└ ", "▸", "✓", "…"].iter().any(|mark| ascii.contains(mark)), "{ascii}");
}

#[test]
fn questions_say_what_would_be_done() {
    let mut app = app();
    press(&mut app, &[Key::Down, Key::Down]);
    assert_eq!(app.ui.runs.chosen_row().unwrap().name, "quickstart-1-fork-1");
    details(&mut app);
    press(&mut app, &[Key::Char('F'), Key::Down, Key::Char('1'), Key::Char('2'), Key::Left]);
    insta::assert_snapshot!("runs-fork-100x30", picture(&app, &look("default"), 100, 30));
    press(&mut app, &[Key::Esc, Key::Enter]);
    let shown = picture(&app, &look("default"), 100, 30);
    assert!(
        shown.contains("Go on with quickstart-1-fork-1?") && shown.contains("of step 2100; 900 steps are left"),
        "{shown}"
    );
    press(&mut app, &[Key::Char('n'), Key::Char('G')]);
    details(&mut app);
    press(&mut app, &[Key::Enter]);
    let shown = picture(&app, &look("default"), 100, 30);
    assert!(shown.contains("Start stacking?") && shown.contains("Enter         starts it"), "{shown}");
}

#[test]
fn every_size_and_state_is_drawn() {
    let mut states = vec![App::new(Options::default()), app()];
    states[0].ui.screen = Screen::Runs;
    let mut filtered = app();
    press(&mut filtered, &"/nothing of that".chars().map(Key::Char).collect::<Vec<_>>());
    assert!(picture(&filtered, &look("default"), 80, 24).contains("/nothing of that"));
    let mut asked = app();
    details(&mut asked);
    press(&mut asked, &[Key::Char('F')]);
    asked.ui.runs.behind = Some(Behind { name: "live".to_owned(), state: State::Running, steps: (5, 10) });
    let mut idle = app();
    idle.ui.screen = Screen::Train;
    states.extend([filtered, asked, idle]);
    for app in &states {
        for (width, height) in (0..=130).step_by(7).flat_map(|w| (0..=40).step_by(3).map(move |h| (w, h))) {
            picture(app, &look("default"), width, height);
        }
    }
}

#[test]
fn themes_are_chosen_here_as_well_and_details_scroll_to_their_end() {
    let mut app = app();
    details(&mut app);
    let themes = ["default", "dark"].map(|n| Choice { name: n.to_owned(), about: String::new() });
    app.ui.themes = Themes::new(themes.to_vec(), 0);
    press(&mut app, &[Key::Char('T')]);
    assert!(picture(&app, &look("default"), 120, 36).contains("Themes"));
    press(&mut app, &[Key::Esc, Key::Tab]);
    assert_eq!(app.pane(), Pane::RunDetails);
    let area = Rect::new(0, 0, 80, 24);
    app.ui.room = room(&app, &look("default"), area);
    assert!(app.ui.room.details > 0, "{:?}", app.ui.room);
    press(&mut app, &[Key::Down; 99]);
    let lowest = picture(&app, &look("default"), 80, 24);
    press(&mut app, &[Key::Up]);
    assert_ne!(picture(&app, &look("default"), 80, 24), lowest, "no press is lost on the way back");
}

#[test]
fn the_mouse_chooses_rows_and_opens_them() {
    let mut app = app();
    app.tie = Tie::Watches;
    let place_of = |app: &App, text: &str| {
        let shown = picture(app, &look("default"), 120, 36);
        let (y, line) = shown
            .lines()
            .enumerate()
            .find(|(_, line)| line.contains(text))
            .unwrap_or_else(|| panic!("{text}:\n{shown}"));
        (line[..line.find(text).unwrap()].chars().count() as u16, y as u16)
    };
    let click = |app: &mut App, (x, y): (u16, u16), us: u64| {
        let target = hit(app, &look("default"), Rect::new(0, 0, 120, 36), x, y);
        app.update(Msg::Mouse { target, gesture: Gesture::Click, us })
    };
    for name in ["quickstart-1-fork-1", "bert-small-2", "quickstart.jsonl", "Gradual stacking"] {
        let at = place_of(&app, name);
        click(&mut app, at, 0);
        let (_, chosen) = app.ui.runs.chosen.clone().unwrap();
        assert!(chosen.contains(name) || chosen == "stacking", "{name}: {chosen}");
    }
    // A heading is no row.
    let before = app.ui.runs.chosen.clone();
    let heading = place_of(&app, "configs");
    click(&mut app, heading, 0);
    assert_eq!(app.ui.runs.chosen, before);
    // A second click soon does what Enter does: of a recording, show it.
    let at = place_of(&app, "quickstart.jsonl");
    click(&mut app, at, 5_000_000);
    let opened = click(&mut app, at, 5_200_000);
    let replay = Wish::Replay(Kind::Recording, "recordings/quickstart.jsonl".to_owned());
    assert!(opened.contains(&Request::Runs(replay)), "{opened:?}");
}
