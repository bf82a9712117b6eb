//! Experiments whose arms are of every kind (models that grow, layers that are dropped, parities), and the one without arms:
//! what their tables say is what the recordings say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Place, TINY, stderr, stdout};
use raptr_tui::event::{Event, Measurement};
use raptr_tui::recording;
use serde_json::Value;

fn results(place: &Place, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(place.run(name).join("results.json")).unwrap()).unwrap()
}

fn arm<'a>(results: &'a Value, name: &str) -> &'a Value {
    results["horizons"][0]["arms"].as_array().unwrap().iter().find(|arm| arm["name"] == name).unwrap()
}

fn events(place: &Place, experiment: &str, run: &Value) -> Vec<Event> {
    let file = place.run(experiment).join(run["name"].as_str().unwrap()).join(recording::FILE);
    recording::effective(&recording::read(&file).unwrap()).into_iter().map(|s| s.event).collect()
}

/// Full-model losses of a run with the steps before them, from its events.
fn losses(events: &[Event], layers: usize) -> Vec<(u64, f64)> {
    let of = |event: &Event| match event {
        Event::Evaluated { step, scores, .. } => {
            Some((*step, f64::from(scores.iter().find(|s| s.path_length == layers)?.loss)))
        }
        _ => None,
    };
    let mut all: Vec<(u64, f64)> = events.iter().filter_map(of).collect();
    all.dedup();
    all
}

/// FLOPs of a whole run.
fn flops(events: &[Event]) -> f64 {
    let Event::Started(started) = &events[0] else { panic!() };
    let of = |event: &Event| match event {
        Event::Stepped { path, .. } => started.fixed_flops + started.layer_flops * path.path_length() as f64,
        _ => 0.0,
    };
    events.iter().map(of).sum()
}

fn near(a: &Value, b: f64) -> bool {
    let a = a.as_f64().unwrap();
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

#[test]
fn models_that_grow_and_layers_that_are_dropped_stand_in_one_table() {
    let place = Place::new();
    // Stages of 80 steps; path lengths 2, 3, 4 are 3 on average.
    let text = format!(
        r#"# Every kind of arm.
question = "Does it work?"
config = "{TINY}"
seeds = 2
learning_rates = [1e-2]
[set]
train.steps = 240
evaluation.every = 40
evaluation.transition_window = 0
checkpoint.every = 0
[[arm]]
name = "full"
set = {{ method.name = "full", stage = [] }}
[[arm]]
name = "raptr"
[[arm]]
name = "constant"
set = {{ method.name = "constant" }}
[[arm]]
name = "stacking"
set = {{ method.name = "stacking", optimizer.rewarmup = 4 }}
[[arm]]
name = "pld"
set = {{ method.name = "pld", stage = [] }}
[[arm]]
name = "full-short"
equal_flops_to = "raptr"
set = {{ method.name = "full", stage = [] }}
"#
    );
    place.write("kinds.toml", &text);
    let output = place.output(&["experiment", "kinds.toml", "--headless", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let results = results(&place, "kinds");
    let runs = |name: &str| arm(&results, name)["runs"].as_array().unwrap().clone();
    let of = |name: &str| runs(name).iter().map(|run| events(&place, "kinds", run)).collect::<Vec<_>>();
    for name in ["full", "raptr", "constant", "stacking", "pld", "full-short"] {
        let last: Vec<f64> = of(name).iter().map(|events| losses(events, 4).last().unwrap().1).collect();
        assert!(near(&arm(&results, name)["loss"]["mean"], (last[0] + last[1]) / 2.0), "{name}");
    }
    // A model that grows is whole from the last stage on: three evaluations instead of seven.
    let curve = runs("stacking")[0]["curve"].clone();
    let steps: Vec<u64> = curve.as_array().unwrap().iter().map(|point| point["steps"].as_u64().unwrap()).collect();
    assert_eq!(steps, [160, 200, 240]);
    assert_eq!(steps, losses(&of("stacking")[0], 4).iter().map(|l| l.0).collect::<Vec<_>>());
    assert_eq!(runs("pld")[0]["curve"].as_array().unwrap().len(), 7);
    // Layers of each step as the recording has them: 2, 3 and 4 of each third, 3 in each step.
    let full = flops(&of("full")[0]);
    for name in ["raptr", "constant", "stacking"] {
        let speed_up = &arm(&results, name)["speed_up"];
        assert!(near(&speed_up["layers"], 4.0 / 3.0) && near(&speed_up["all"], full / flops(&of(name)[0])), "{name}");
    }
    let spent = |name: &str| of(name).iter().map(|events| flops(events)).sum::<f64>();
    assert!(near(&arm(&results, "pld")["speed_up"]["all"], 2.0 * full / spent("pld")));
    // At equal FLOPs: each against the one arm that was trained to so many, also where that was computed for another.
    for name in ["raptr", "constant", "stacking"] {
        let equal = &arm(&results, name)["equal_flops"];
        assert_eq!(equal["trained_arm"], "full-short", "{name}");
        assert!((spent(name) / spent("full-short") - 1.0).abs() < 0.01);
        let last = |name: &str| of(name).iter().map(|e| losses(e, 4).last().unwrap().1).collect::<Vec<_>>();
        let (mine, short) = (last(name), last("full-short"));
        let mean = (mine[0] - short[0] + mine[1] - short[1]) / 2.0;
        assert!(near(&equal["trained"]["mean"], mean), "{name}: {equal}");
        // And the baseline's own curve is there, whatever the arm's.
        assert_eq!(equal["curve"]["n"], 2);
    }
    let far = (spent("pld") / spent("full-short") - 1.0).abs();
    assert_eq!(arm(&results, "pld")["equal_flops"]["trained_arm"].is_null(), far > 0.01, "{far}");
    // And against each other, seed by seed: those that take raptr's steps and FLOPs.
    let rivals = &results["horizons"][0]["rivals"];
    assert_eq!(rivals["method"], "raptr");
    let others = rivals["others"].as_array().unwrap();
    for name in ["constant", "stacking"] {
        let other = others.iter().find(|other| other[0] == name).unwrap();
        let last = |name: &str| of(name).iter().map(|e| losses(e, 4).last().unwrap().1).collect::<Vec<_>>();
        let (mine, raptrs) = (last(name), last("raptr"));
        assert!(near(&other[1]["mean"], (mine[0] - raptrs[0] + mine[1] - raptrs[1]) / 2.0), "{name}: {other}");
    }
    assert!(others.iter().all(|other| !["full", "full-short"].contains(&other[0].as_str().unwrap())), "{rivals}");
    let text = stdout(&output);
    assert!(text.contains("at equal steps and FLOPs") && text.contains("- raptr"), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("no full model, and no loss of one, before its last stage: stacking"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100 || line.starts_with("In ")), "{text}");
    for measure in ["steps", "flops", "time"] {
        let svg = fs::read_to_string(place.run("kinds").join(format!("loss-by-{measure}.svg"))).unwrap();
        assert!(!svg.contains("NaN"));
        for arm in results["horizons"][0]["arms"].as_array().unwrap() {
            let legend = format!("{} {:.4}", arm["name"].as_str().unwrap(), arm["loss"]["mean"].as_f64().unwrap());
            assert!(svg.contains(&legend), "no `{legend}`");
        }
    }
    // The same of single runs.
    let names = [runs("full")[0]["name"].clone(), runs("stacking")[0]["name"].clone()];
    let files = names.map(|name| format!("runs/kinds/{}", name.as_str().unwrap()));
    let compared = place.output(&["compare", &files[0], &files[1]]);
    assert!(stdout(&compared).contains("had no full model at its beginning"), "{}", stdout(&compared));
}

#[test]
fn what_is_measured_beside_the_loss_is_tabled_and_drawn() {
    let place = Place::new();
    let text = r#"# Parities.
question = "Which degrees?"
seeds = 2
learning_rates = [5e-3]
[config]
model = { architecture = "mlp", layers = 4, width = 16, context = 8, init_std = 0.25 }
objective = { name = "polynomial", degrees = 2, monomials = 5 }
train = { steps = 60, batch = 64 }
optimizer = { warmup = 5 }
evaluation = { every = 20, batches = 2, transition_batches = 1 }
stage = [{ path_length = 2 }, { path_length = 4 }]
[[arm]]
name = "full"
set = { method.name = "full", stage = [] }
[[arm]]
name = "raptr"
[[arm]]
name = "decreasing"
set = { method.name = "decreasing" }
[[arm]]
name = "half"
role = "shallower"
set = { method.name = "full", stage = [], model.layers = 2 }
"#;
    place.write("parities.toml", text);
    let output = place.output(&["experiment", "parities.toml", "--headless", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let results = results(&place, "parities");
    let table = &results["horizons"][0]["measured"][0];
    assert_eq!(
        (&table["name"], &table["labels"]),
        (&"coefficient error by degree".into(), &serde_json::json!(["1", "2"]))
    );
    let text = stdout(&output);
    for (row, name) in table["arms"].as_array().unwrap().iter().zip(["full", "raptr", "decreasing", "half"]) {
        assert_eq!(row["arm"], name);
        let layers = if name == "half" { 2 } else { 4 };
        let last = |run: &Value| -> Measurement {
            let mut measured = events(&place, "parities", run).into_iter().filter_map(|event| match event {
                Event::Measured(m) if m.path_length == layers && m.step == 60 => Some(m),
                _ => None,
            });
            measured.next_back().unwrap()
        };
        let runs = arm(&results, name)["runs"].as_array().unwrap();
        let both: Vec<Measurement> = runs.iter().map(last).collect();
        for degree in 0..2 {
            let [a, b] = [0, 1].map(|run| f64::from(both[run].values[degree]));
            let found = &row["values"][degree];
            let std = (a - b).abs() / 2f64.sqrt();
            assert!(near(&found["mean"], (a + b) / 2.0) && near(&found["std"], std), "{name}: {found}");
            assert!(text.contains(&format!("{:.4} ±{std:.4}", (a + b) / 2.0)), "{name}:\n{text}");
        }
        let svg = place.run("parities").join(format!("coefficient-error-by-degree-{name}.svg"));
        let svg = fs::read_to_string(svg).unwrap();
        let of_degree_2 = place.run("parities").join("coefficient-error-by-degree-of-2.svg");
        let of_degree_2 = fs::read_to_string(of_degree_2).unwrap();
        // Each line's last mean stands in the legend.
        let mean = |degree: usize| row["values"][degree]["mean"].as_f64().unwrap();
        assert!(svg.contains(&format!("1 {:.4}", mean(0))) && svg.contains(&format!("2 {:.4}", mean(1))), "{name}");
        assert!(of_degree_2.contains(&format!("{name} {:.4}", mean(1))), "{name}");
    }
    // No tokens, no tables of them; and that is no reason to call the baseline unfinished.
    assert!(text.contains("no tables to beat") && !text.contains("no finished run"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100 || line.starts_with("In ")), "{text}");
}

#[test]
fn the_stability_experiment_holds_the_lemma_against_the_oracle_values() {
    let place = Place::new();
    let config = format!("transformer.config={TINY}");
    let small = ["--set", "linear.depths=[6,12]", "--set", &config, "--set", "transformer.depths=[2,4]"];
    let args = [&["experiment", "stability", "--headless", "--set", "transformer.steps=6"][..], &small[..]].concat();
    let output = place.output(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let found = results(&place, "stability");
    // The lemma's values, with and without what the lemma asks for.
    let oracle = [0.507, 0.428, 1.42, 1.40, 0.71, 0.72];
    let rows = found["against_oracle"].as_array().unwrap();
    assert_eq!(rows.len(), oracle.len());
    for (row, value) in rows.iter().zip(oracle) {
        assert_eq!((&row["agrees"], row["oracle"].as_f64()), (&Value::Bool(true), Some(value)));
        assert!((row["mean"].as_f64().unwrap() - value).abs() < 0.09, "{row}");
    }
    assert!(text.contains("6 of 6 agree") && text.contains("after 6 steps"), "{text}");
    let all = found["transformers"].as_array().unwrap();
    let of = |variant: &str, layers: u64, steps: u64| {
        let is_it = |row: &&Value| row["variant"] == variant && row["layers"] == layers && row["steps"] == steps;
        all.iter().find(is_it).unwrap_or_else(|| panic!("{variant} {layers} {steps}"))
    };
    let mean = |row: &Value, key: &str| row[key]["mean"].as_f64().unwrap();
    for variant in ["residual + norm", "norm alone", "residual alone"] {
        for (layers, steps) in [(2, 0), (4, 0), (2, 6), (4, 6)] {
            let row = of(variant, layers, steps);
            let psi: Vec<f64> = row["psi"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert_eq!((psi.len() as u64, row["diverged"].as_u64()), (layers, Some(0)));
            let average = psi.iter().sum::<f64>() / layers as f64;
            assert!((mean(row, "mean_psi") - average).abs() < 1e-9, "{row}");
            assert!((mean(row, "psi_root") - average * (layers as f64).sqrt()).abs() < 1e-9, "{row}");
            assert!((mean(row, "without_one") - mean(row, "full") - mean(row, "gap")).abs() < 1e-9, "{row}");
        }
    }
    // Without residual connections the output without a layer is another one altogether.
    assert!(mean(of("norm alone", 4, 0), "mean_psi") > 2.0 * mean(of("residual + norm", 4, 0), "mean_psi"));
    for name in ["psi-linear", "psi-transformers", "gap-transformers", "psi-by-layer"] {
        let svg = fs::read_to_string(place.run("stability").join(format!("{name}.svg"))).unwrap();
        let is_linear = name == "psi-linear";
        let labels = ["residual + norm", "norm alone", "residual alone"].into_iter().flat_map(|variant| {
            let moments: &[&str] = if is_linear { &[""] } else { &[", new", ", 6 steps"] };
            moments.iter().map(move |moment| format!("{variant}{moment}"))
        });
        assert!(labels.into_iter().all(|label| svg.contains(&label)) && !svg.contains("NaN"), "{name}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100 || line.starts_with("In ")), "{text}");
    // Again, as JSON: the same numbers.
    let again = place.output(&[&args[..], &["--json", "--quiet"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&stdout(&again)).unwrap(), found);
    assert!(stdout(&place.output(&["list", "experiments"])).contains("stability"));
    let wrong = place.output(&["experiment", "stability", "--set", "transformer.steps=0"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("`transformer.steps`"), "{}", stderr(&wrong));
}

#[test]
fn the_stability_experiment_can_be_interrupted() {
    let place = Place::new();
    let config = format!("transformer.config={TINY}");
    let sets = ["--set", "linear.depths=[2]", "--set", &config, "--set", "transformer.steps=100000"];
    let args = [&["experiment", "stability", "--headless"][..], &sets[..]].concat();
    let mut child = place.program(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The linear networks are done: it trains.
    while !lines.next().expect("it ended before it was interrupted").unwrap().starts_with("[1/") {}
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-2", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(rest.last().unwrap().contains("nothing was kept"), "{rest:?}");
    assert!(!place.run("stability").join("results.json").exists());
}
