//! The shipped recordings: they parse, replay, and train again. Other processors round otherwise, so losses are compared
//! within a tolerance; layer paths, stages and commands exactly.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use raptr_tui::app::{App, Msg, Options, Seek};
use raptr_tui::config::load::parse;
use raptr_tui::event::{Ending, Event, Stamped};
use raptr_tui::player::Player;
use raptr_tui::recording;
use raptr_tui::rerun::{Closeness, Comparer, script};
use raptr_tui::session::{self, Job};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn every_shipped_recording_replays() {
    let folder: usize = std::fs::read_dir(file("recordings")).unwrap().count();
    assert_eq!(folder, recording::SHIPPED.len());
    for name in recording::SHIPPED {
        let events = recording::read(&file(name)).unwrap();
        let mut player = Player::new(events.iter().cloned().collect(), 1.0);
        player.seek(Seek::End);
        let mut app = App::new(Options { read_only: true, is_replay: true });
        app.run = player.run();
        let mut folded = App::new(app.options);
        events.iter().for_each(|e| {
            folded.update(Msg::Event(e.clone()));
        });
        assert!(app.run == folded.run, "{name}: a seek to the end shows what was folded");
        assert_eq!(app.run.ending, Some(Ending::Completed), "{name}");
        assert_eq!(app.run.step, app.run.total_steps());
        assert!(events.windows(2).all(|w| w[1].us >= w[0].us && w[1].seq > w[0].seq));
        // Full and subnetwork FLOPs as the layer paths tell.
        assert!(app.run.saved() > 0.1 && app.run.saved() < 0.5, "{}", app.run.saved());
    }
}

#[test]
fn the_steered_recording_trains_again() {
    let events = recording::read(&file("recordings/steered.jsonl")).unwrap();
    let Event::Started(started) = &events[0].event else { panic!("no start") };
    let config = parse("recording", &started.config, &[]).unwrap();
    let job = Job::Rerun("golden".into());
    let options =
        session::Options { job, config, script: script(&events), with_history: false, on_thread_start: || {} };
    let session = session::spawn(options).unwrap();
    let mut comparer = Comparer::new(&events, Closeness::Within(2e-3));
    session.events.iter().for_each(|s: Stamped| comparer.take(&s.event));
    session.join();
    let report = comparer.report();
    assert_eq!(report.difference, None);
    assert!(report.steps >= 100 && report.events > 130, "{report:?}");
}

#[test]
fn the_quickstart_comes_close_to_its_floor() {
    // A recorded run of README's first command.
    let events = recording::read(&file("recordings/quickstart.jsonl")).unwrap();
    let Event::Started(started) = &events[0].event else { panic!("no start") };
    let full = events.iter().rev().find_map(|s| match &s.event {
        Event::Evaluated { scores, .. } => Some(scores.last().unwrap().loss),
        _ => None,
    });
    assert!(full.unwrap() < 1.1 * started.floor.unwrap());
    assert!(events.last().unwrap().us < 300_000_000, "longer than five minutes");
}
