//! Exports: tables, charts and casts say what the recording says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use common::{Place, stderr, stdout};
use raptr_tui::app::run::Run;
use raptr_tui::event::{Event, Stamped};
use raptr_tui::recording;

const STEERED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/steered.jsonl");

fn events() -> Vec<Stamped> {
    recording::effective(&recording::read(Path::new(STEERED)).unwrap())
}

/// Rows by column name. None of the fields of these tables needs quotes but names of series.
fn table(file: &Path) -> Vec<HashMap<String, String>> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    let names: Vec<String> = lines.next().unwrap().split(',').map(str::to_owned).collect();
    lines
        .map(|line| {
            let fields: Vec<String> = line.split(',').map(str::to_owned).collect();
            assert_eq!(fields.len(), names.len(), "{line}");
            names.iter().cloned().zip(fields).collect()
        })
        .collect()
}

#[test]
fn tables_hold_what_was_recorded() {
    let place = Place::new();
    let output = place.output(&["export", STEERED, "--format", "csv", "--out", "tables"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 5);
    let (folder, events) = (place.path().join("tables"), events());
    let mut run = Run::default();
    events.iter().for_each(|stamped| run.apply(stamped));
    let started = run.started.as_ref().unwrap();

    let rows = table(&folder.join("loss.csv"));
    let stepped: Vec<&Event> = events.iter().map(|s| &s.event).filter(|e| matches!(e, Event::Stepped { .. })).collect();
    assert_eq!(rows.len(), stepped.len());
    let (mut sum, mut weight) = (0.0, 0.0);
    for (row, event) in rows.iter().zip(&stepped) {
        let Event::Stepped { step, stage, path, loss, learning_rate, .. } = event else { unreachable!() };
        assert_eq!(row["steps"], (step + 1).to_string());
        assert_eq!(row["tokens"], ((step + 1) * started.tokens_per_step).to_string());
        assert_eq!((&row["stage"], &row["layer_path"]), (&(stage + 1).to_string(), &path.to_string()));
        // To the bit.
        assert_eq!(row["loss"].parse::<f32>().unwrap().to_bits(), loss.to_bits());
        assert_eq!(row["learning_rate"].parse::<f32>().unwrap().to_bits(), learning_rate.to_bits());
        // The definition: weights .98^k of the k-th step back, divided by their sum.
        (sum, weight) = (0.98 * sum + f64::from(*loss), 0.98 * weight + 1.0);
        assert!((row["ema_0.98"].parse::<f64>().unwrap() - sum / weight).abs() < 1e-9);
    }
    // As the screen adds them up.
    let flops: f64 = rows.last().unwrap()["flops"].parse().unwrap();
    assert!((flops / run.flops.0 - 1.0).abs() < 1e-12, "{flops} {}", run.flops.0);

    let rows = table(&folder.join("layers.csv"));
    let active: Vec<u64> = rows.iter().map(|row| row["steps_active"].parse().unwrap()).collect();
    assert_eq!(active, run.visits);
    let last: Vec<Option<u64>> = rows.iter().map(|row| row["last_active_step"].parse().ok()).collect();
    assert_eq!(last, run.last_seen);
    let shares = |name: &str| rows.iter().map(|row| row[name].parse::<f64>().unwrap()).sum::<f64>();
    assert!((shares("share") / shares("expected_share") - 1.0).abs() < 0.02, "exact path lengths add up");

    let count = |wanted: fn(&Event) -> usize| events.iter().map(|s| wanted(&s.event)).sum::<usize>();
    let scores = count(|e| if let Event::Evaluated { scores, .. } = e { scores.len() } else { 0 });
    assert_eq!(table(&folder.join("evaluations.csv")).len(), scores);
    let transitions = count(|e| usize::from(matches!(e, Event::TransitionMeasured(_))));
    assert_eq!(table(&folder.join("transitions.csv")).len(), transitions);
    assert!(scores > 0 && transitions > 0);
}

#[test]
fn charts_and_casts_are_written() {
    let place = Place::new();
    let output = place.output(&["export", STEERED, "--format", "svg", "--out", "charts"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let svg = fs::read_to_string(place.path().join("charts/loss.svg")).unwrap();
    assert!(svg.contains("full model") && svg.contains("ema 0.98") && !svg.contains("NaN"));
    // The run was steered into its second stage.
    assert!(svg.contains("stage 2"));
    // The first curve's colour: on it, and in the legend.
    for name in ["loss", "evaluations", "transitions", "layers"] {
        let svg = fs::read_to_string(place.path().join(format!("charts/{name}.svg"))).unwrap();
        let curves = svg.lines().filter(|l| l.starts_with("<polyline") && l.contains("#0072B2")).count();
        assert_eq!(curves, 2, "{name}");
    }
    let args = ["export", STEERED, "--format", "cast", "--out", "a.cast", "--speed", "0.25", "--theme", "light"];
    let output = place.output(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "a.cast\n");
    let cast = fs::read_to_string(place.path().join("a.cast")).unwrap();
    assert!(cast.starts_with("{") && cast.contains("\"version\":2") && cast.lines().count() > 5);
    let output = place.output(&["export", "nothing", "--format", "csv", "--out", "tables"]);
    assert!(!output.status.success() && stderr(&output).contains("there is no run `nothing`"));
}

#[test]
fn a_theme_of_the_users_own_that_is_wrong_is_named() {
    let place = Place::new();
    place.write(".config/raptr-tui/themes/mine.toml", "base = \"dark\"\naccent = \"orangish\"\n");
    let output = place.output(&["list", "themes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("theme mine.toml: `accent` must be a colour"), "{}", stderr(&output));
    place.write(".config/raptr-tui/themes/mine.toml", "# Mine.\nbase = \"dark\"\n");
    let output = place.output(&["list", "themes"]);
    assert!(stdout(&output).lines().any(|l| l.starts_with("mine ") && l.ends_with("Mine.")), "{}", stdout(&output));
}
