//! Experiments, `compare` and `eval` through the program: interrupted or not they say the same, and what they say is what
//! the runs' events say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::{Place, TINY, stderr, stdout};
use raptr_tui::event::{Event, Why};
use raptr_tui::experiment::shipped::SHIPPED;
use raptr_tui::recording;
use serde_json::Value;

/// Full training, RaPTr, full training with RaPTr's FLOPs, and half the layers: milliseconds per run.
fn definition(more: &str) -> String {
    format!(
        r#"# An experiment of milliseconds.
question = "Does it work?"
config = "{TINY}"
seeds = 2
learning_rates = [5e-3, 2e-2]
{more}
[[arm]]
name = "full"
set = {{ method.name = "full", stage = [] }}
[[arm]]
name = "raptr"
[[arm]]
name = "full-short"
equal_flops_to = "raptr"
set = {{ method.name = "full", stage = [] }}
[[arm]]
name = "half"
role = "shallower"
learning_rates = [1e-2]
set = {{ method.name = "full", stage = [], model.layers = 2 }}
"#
    )
}

/// Three arms with two tuning runs each, and four arms with two seeds.
const RUNS: usize = 3 * 2 + 4 * 2;

fn place(more: &str) -> Place {
    let place = Place::new();
    place.write("tiny.toml", &definition(more));
    place
}

fn results(place: &Place) -> Value {
    serde_json::from_str(&fs::read_to_string(place.run("tiny").join("results.json")).unwrap()).unwrap()
}

fn events(place: &Place, run: &str) -> Vec<Event> {
    let file = place.run("tiny").join(run).join(recording::FILE);
    recording::effective(&recording::read(&file).unwrap()).into_iter().map(|s| s.event).collect()
}

/// Steps and full-model losses of a run, from its events.
fn curve(events: &[Event], layers: usize) -> Vec<(u64, f64)> {
    let losses = events.iter().filter_map(|event| match event {
        Event::Evaluated { step, why: Why::Cadence | Why::Final, scores } => {
            Some((*step, f64::from(scores.iter().find(|s| s.path_length == layers)?.loss)))
        }
        _ => None,
    });
    losses.collect()
}

/// FLOPs of a run's first so many steps.
fn flops(events: &[Event], steps: u64) -> f64 {
    let Event::Started(started) = &events[0] else { panic!() };
    let of = |event: &Event| match event {
        Event::Stepped { step, path, .. } if *step < steps => {
            started.fixed_flops + started.layer_flops * path.path_length() as f64
        }
        _ => 0.0,
    };
    events.iter().map(of).sum()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn run_names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.run("tiny")).unwrap().map(|e| e.unwrap().path());
    let runs = entries.filter(|path| path.join(recording::FILE).is_file());
    let mut names: Vec<String> = runs.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_table_says_what_the_runs_events_say() {
    let place = place("");
    let output = place.output(&["experiment", "tiny.toml", "--headless"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(run_names(&place).len(), RUNS);
    let results = results(&place);
    let arms = results["horizons"][0]["arms"].as_array().unwrap();
    let final_loss = |run: &str, layers: usize| curve(&events(&place, run), layers).last().unwrap().1;
    let mut losses: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut rates = BTreeMap::new();
    for arm in arms {
        let name = arm["name"].as_str().unwrap();
        let (steps, layers) = (arm["steps"].as_u64().unwrap(), if name == "half" { 2 } else { 4 });
        // The learning rate with the lower loss on the tuning seed.
        let on_tuning = |rate: &str| final_loss(&format!("{name}-{steps}-lr{rate}-seed0"), layers);
        let rate = if name == "half" {
            "1e-2"
        } else if on_tuning("5e-3") < on_tuning("2e-2") {
            "5e-3"
        } else {
            "2e-2"
        };
        assert!(near(arm["learning_rate"].as_f64().unwrap(), rate.parse().unwrap()), "{name}");
        let of_seed = |seed: u64| final_loss(&format!("{name}-{steps}-lr{rate}-seed{seed}"), layers);
        let both = vec![of_seed(1), of_seed(2)];
        let mean = (both[0] + both[1]) / 2.0;
        // Of two values the sample's standard deviation is their distance over the root of two.
        let std = (both[0] - both[1]).abs() / 2f64.sqrt();
        let loss = &arm["loss"];
        assert!(
            near(loss["mean"].as_f64().unwrap(), mean) && near(loss["std"].as_f64().unwrap(), std),
            "{name}: {loss}"
        );
        losses.insert(name.to_owned(), both);
        rates.insert(name.to_owned(), format!("{name}-{steps}-lr{rate}"));
    }
    // Differences by seed, 12.706 standard errors at one degree of freedom.
    let check = |difference: &Value, pairs: [f64; 2]| {
        let mean = (pairs[0] + pairs[1]) / 2.0;
        let error = (pairs[0] - pairs[1]).abs() / 2.0;
        assert!(near(difference["mean"].as_f64().unwrap(), mean), "{difference}");
        assert!(near(difference["standard_error"].as_f64().unwrap(), error), "{difference}");
        assert!((difference["half_width"].as_f64().unwrap() - 12.7062 * error).abs() < 1e-4, "{difference}");
        let verdict = if mean.abs() <= 12.7062 * error {
            "cant_tell"
        } else if mean < 0.0 {
            "better"
        } else {
            "worse"
        };
        assert_eq!(difference["verdict"], verdict);
    };
    let minus = |a: &str, b: &str| [losses[a][0] - losses[b][0], losses[a][1] - losses[b][1]];
    let arm = |name: &str| arms.iter().find(|a| a["name"] == name).unwrap();
    check(&arm("raptr")["to_baseline"], minus("raptr", "full"));
    check(&arm("half")["to_baseline"], minus("half", "full"));
    check(&arm("raptr")["equal_flops"]["trained"], minus("raptr", "full-short"));
    // The baseline's curve at raptr's FLOPs, by hand.
    let interpolated = [1, 2].map(|seed| {
        let spent = flops(&events(&place, &format!("{}-seed{seed}", rates["raptr"])), u64::MAX);
        let full = events(&place, &format!("{}-seed{seed}", rates["full"]));
        let points: Vec<(f64, f64)> = curve(&full, 4).iter().map(|&(step, loss)| (flops(&full, step), loss)).collect();
        let at = points.iter().rposition(|p| p.0 <= spent).unwrap();
        let ((x0, y0), (x1, y1)) = (points[at], points[at + 1]);
        losses["raptr"][seed - 1] - (y0 + (y1 - y0) * (spent - x0) / (x1 - x0))
    });
    check(&arm("raptr")["equal_flops"]["curve"], interpolated);
    // Path lengths 2, 3, 4 in equal parts: 4/3 by the paper's rule; all FLOPs save less.
    let speed_up = &arm("raptr")["speed_up"];
    assert!(near(speed_up["layers"].as_f64().unwrap(), 4.0 / 3.0), "{speed_up}");
    let spent = |name: &str| flops(&events(&place, &format!("{}-seed1", rates[name])), u64::MAX);
    assert!(near(speed_up["all"].as_f64().unwrap(), spent("full") / spent("raptr")));
    // Equal FLOPs are equal to within a step.
    assert!((spent("full-short") / spent("raptr") - 1.0).abs() < 0.5 / 18.0);
    // The same to people, in at most 100 columns.
    let text = stdout(&output);
    assert!(text.lines().all(|line| line.chars().count() <= 100 || line.starts_with("In ")), "{text}");
    let mean_of = |arm: &str| (losses[arm][0] + losses[arm][1]) / 2.0;
    let mean = mean_of("raptr");
    for part in ["raptr", &format!("{mean:.4}"), "can't tell", "fitness: unigram", "bigram", "floor", "1.333x"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    // What the table is worth, by its rules: the baseline beats the bigram table, and half of its layers.
    let fitness = &results["horizons"][0]["fitness"];
    check(&fitness["to_shallower"][0]["difference"], minus("full", "half"));
    let past = mean_of("full") - fitness["bigram"]["mean"].as_f64().unwrap();
    assert!((fitness["to_bigram"]["mean"].as_f64().unwrap() - past).abs() < 1e-9, "{fitness}");
    let is_beaten = |difference: &Value| difference["verdict"] == "better";
    let (bigram, half) = (is_beaten(&fitness["to_bigram"]), is_beaten(&fitness["to_shallower"][0]["difference"]));
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words.contains("This table can rank depth schedules"), bigram && half, "{text}");
    assert_eq!(words.contains("Can't tell how depth schedules rank here"), !(bigram && half), "{text}");
    assert_eq!(words.contains("full doesn't beat the bigram table"), !bigram, "{text}");
    assert_eq!(words.contains("full doesn't beat half (2 layers)"), !half, "{text}");
    assert_eq!(fs::read_to_string(place.run("tiny").join("results.txt")).unwrap(), text.split("\nIn ").next().unwrap());
    for measure in ["steps", "flops", "time"] {
        let svg = fs::read_to_string(place.run("tiny").join(format!("loss-by-{measure}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"));
        for arm in ["full", "raptr"] {
            assert!(svg.contains(&format!("{arm} {:.4}", mean_of(arm))), "{arm} and its last loss in the legend");
        }
    }
    // Again: nothing is trained, and with --json the same comes as JSON.
    let again = place.output(&["experiment", "tiny.toml", "--headless", "--json"]);
    assert!(again.status.success());
    assert_eq!(serde_json::from_str::<Value>(&stdout(&again)).unwrap(), results);
    assert_eq!(stderr(&again).matches("from earlier").count(), RUNS);
}

#[test]
fn arms_of_a_seed_begin_with_the_same_weights_and_see_the_same_text() {
    let place = place("");
    assert!(place.output(&["experiment", "tiny.toml", "--headless", "--quiet"]).status.success());
    let started = |run: &str| match events(&place, run).into_iter().next() {
        Some(Event::Started(started)) => *started,
        other => panic!("{other:?}"),
    };
    let first_loss = |run: &str| {
        let first = events(&place, run).into_iter().find_map(|e| match e {
            Event::Stepped { loss, .. } => Some(loss),
            _ => None,
        });
        first.unwrap()
    };
    let names = run_names(&place);
    let of = |arm: &str, seed: u64| {
        let is_it = |n: &&String| n.starts_with(&format!("{arm}-")) && n.ends_with(&format!("-seed{seed}"));
        names.iter().find(|n| is_it(n) && n.as_bytes()[arm.len() + 1].is_ascii_digit()).unwrap().clone()
    };
    for seed in [1, 2] {
        let full = started(&of("full", seed));
        assert_eq!(full.weights, started(&of("raptr", seed)).weights);
        assert_eq!(full.weights, started(&of("full-short", seed)).weights);
        assert_ne!(full.weights, started(&of("half", seed)).weights);
        assert_eq!(full.data_checksum, started(&of("half", seed)).data_checksum);
        // Same weights, same layers, same batch: the same loss.
        assert_eq!(first_loss(&of("full", seed)), first_loss(&of("full-short", seed)));
    }
    assert_ne!(started(&of("full", 1)).weights, started(&of("full", 2)).weights);
    assert_ne!(first_loss(&of("full", 1)), first_loss(&of("full", 2)));
    let arms = results(&place)["horizons"][0]["arms"].clone();
    assert_eq!((&arms[1]["same_start"], &arms[3]["same_start"]), (&Value::Bool(true), &Value::Null));
}

/// Kills the program if a test gives up on it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the experiment and, once `runs` are done and the next one has a checkpoint or two, sends a signal. Returns the
/// exit code.
fn interrupt(place: &Place, runs: usize, signal: i32) -> Option<i32> {
    let mut command = place.program(&["experiment", "tiny.toml", "--headless"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    let mut lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let mark = format!("[{runs}/");
    while !lines.next().expect("the experiment ended before it was interrupted").unwrap().starts_with(&mark) {}
    // The run behind it has a checkpoint, and hasn't ended.
    let is_live =
        |dir: &Path| fs::read_dir(dir.join("checkpoints")).is_ok_and(|all| all.count() >= 1) && !is_finished(dir);
    let began = std::time::Instant::now();
    let any_live = || fs::read_dir(place.run("tiny")).unwrap().any(|entry| is_live(&entry.unwrap().path()));
    while !any_live() && began.elapsed().as_secs() < 10 {}
    let pid = running.0.id().to_string();
    assert!(std::process::Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    running.0.wait().unwrap().code()
}

fn is_finished(run: &Path) -> bool {
    fs::read_to_string(run.join(recording::FILE)).is_ok_and(|text| text.contains("\"finished\""))
}

/// Without what a clock decides.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.remove("seconds");
            map.remove("time");
            for (_, inner) in map.iter_mut() {
                *inner = timeless(inner.take());
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| *inner = timeless(inner.take())),
        _ => {}
    }
    value
}

#[test]
fn an_interrupted_experiment_says_what_an_uninterrupted_one_does() {
    // Long enough that a signal comes in the middle of a run.
    let longer = "[set]\ntrain.steps = 300\ncheckpoint.every = 7\nevaluation.every = 50\n";
    let whole = place(longer);
    assert!(whole.output(&["experiment", "tiny.toml", "--headless", "--quiet"]).status.success());
    let cut = place(longer);
    assert_eq!(interrupt(&cut, 1, 9), None);
    assert_eq!(interrupt(&cut, 4, 15), Some(143));
    assert_eq!(interrupt(&cut, 7, 9), None);
    assert_eq!(interrupt(&cut, 10, 2), Some(130));
    let is_completed = |dir: &PathBuf| {
        let text = fs::read_to_string(dir.join(recording::FILE)).unwrap();
        text.lines().last().is_some_and(|line| line.contains("\"ending\":\"completed\""))
    };
    let done = run_names(&cut).into_iter().map(|name| cut.run("tiny").join(name)).filter(is_completed);
    let finished: Vec<(PathBuf, Vec<u8>)> =
        done.map(|dir| dir.join(recording::FILE)).map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    assert!(finished.len() >= 10);
    let output = cut.output(&["experiment", "tiny.toml", "--headless"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (file, bytes) in finished {
        assert_eq!(fs::read(&file).unwrap(), bytes, "{} was trained again", file.display());
    }
    let resumed = run_names(&cut).iter().any(|name| {
        let text = fs::read_to_string(cut.run("tiny").join(name).join(recording::FILE)).unwrap();
        text.contains("\"event\":\"resumed\"")
    });
    assert!(resumed, "no run was ever resumed: the signals came too late to test anything");
    assert_eq!(timeless(results(&cut)), timeless(results(&whole)));
}

#[test]
fn more_seeds_are_added_to_what_is_there() {
    let place = place("");
    let run = |seeds: &str| place.output(&["experiment", "tiny.toml", "--headless", "--seeds", seeds]);
    let one = run("1");
    assert!(one.status.success(), "{}", stderr(&one));
    assert!(
        stdout(&one).contains("can't tell") && stdout(&one).contains("one seed shows no spread"),
        "{}",
        stdout(&one)
    );
    let three = run("3");
    assert_eq!(stderr(&three).matches("from earlier").count(), 3 * 2 + 4);
    assert_eq!(results(&place)["horizons"][0]["arms"][1]["loss"]["n"], 3);
}

#[test]
fn what_belongs_to_something_else_is_refused() {
    let place = place("");
    let refused = |args: &[&str], code: i32, expected: &[&str]| {
        let output = place.output(&[&["experiment", "--quiet"], args].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{message}");
        for part in expected {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
        assert!(message.trim_end().lines().count() == 1 && !message.contains("panicked"), "{message}");
    };
    refused(&["nothing"], 2, &["nothing", "horizon"]);
    refused(&["bert-small"], 2, &["data.path", "--data"]);
    refused(&["tiny.toml", "--seeds", "0"], 2, &["`seeds`", "not 0"]);
    refused(&["tiny.toml", "--set", "train.stepz=1"], 2, &["stepz"]);
    refused(&["bert-small", "--data", "no/such"], 4, &["no/such"]);
    refused(&["bert-small", "--data", "nor/this"], 4, &["nor/this"]);
    assert!(place.output(&["experiment", "tiny.toml", "--headless", "--seeds", "1"]).status.success());
    refused(&["tiny.toml", "--set", "train.batch=3"], 1, &["different definition", "experiment.toml"]);
    // A run of that name is no experiment.
    place.train("taken", &[]);
    place.write("taken.toml", &definition(""));
    refused(&["taken.toml"], 1, &["is a run"]);
}

#[test]
fn an_arm_that_diverges_is_a_result() {
    let place = Place::new();
    let arm = r#"[[arm]]
name = "wild"
learning_rates = [1e30]
set = { method.name = "full", stage = [], model.norm = "none", optimizer.warmup = 0 }
"#;
    place.write("tiny.toml", &(definition("") + arm));
    let output = place.output(&["experiment", "tiny.toml", "--headless"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("2 diverged") && text.contains("some runs diverged: wild"), "{text}");
    // It is not trained again.
    let again = place.output(&["experiment", "tiny.toml", "--headless"]);
    assert_eq!(stderr(&again).matches("from earlier").count(), RUNS + 2);
}

#[test]
fn every_file_is_built_in() {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/experiments")).unwrap();
    let mut files: Vec<String> =
        files.map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    files.sort();
    let mut names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(files, names);
    assert!(SHIPPED.iter().all(|(_, text)| text.starts_with("# ")));
}

#[test]
fn compare_puts_runs_side_by_side() {
    let place = Place::new();
    let raptr = place.train("raptr", &[]);
    let full = place.train("full", &["--set", "method.name=full", "--set", "stage=[]"]);
    place.train("other", &["--set", "seed=1"]);
    let output = place.output(&["compare", "full", "raptr", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let (a, b) = (curve(&full, 4), curve(&raptr, 4));
    assert_eq!(json["runs"][0]["loss"].as_f64(), Some(a.last().unwrap().1));
    assert_eq!(json["runs"][1]["loss_at_equal_steps"].as_f64(), Some(b.last().unwrap().1));
    assert_eq!((&json["equal_steps"], json["notes"].as_array().unwrap().len()), (&Value::from(24.0), 0));
    // raptr has spent less: full's loss there lies between two of its evaluations.
    let spent = flops(&raptr, u64::MAX);
    assert!(near(json["equal_flops"].as_f64().unwrap(), spent));
    let ((x0, y0), (x1, y1)) = ((flops(&full, 16), a[2].1), (flops(&full, 24), a[3].1));
    let expected = y0 + (y1 - y0) * (spent - x0) / (x1 - x0);
    assert!(near(json["runs"][0]["loss_at_equal_flops"].as_f64().unwrap(), expected));
    let text = stdout(&place.output(&["compare", "full", "raptr", "other"]));
    assert!(
        text.contains("different parts of the text") && text.contains(&format!("{:.4}", b.last().unwrap().1)),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert_eq!(place.output(&["compare", "full"]).status.code(), Some(2));
    assert_eq!(place.output(&["compare", "full", "nothing"]).status.code(), Some(1));
}

#[test]
fn eval_says_what_the_run_itself_measured() {
    let place = Place::new();
    let script = "{\"at_step\":12,\"command\":\"evaluate_curve\"}\n{\"at_step\":12,\"command\":\"stop\"}\n";
    let script = place.write("c.jsonl", script);
    let events = place.train("a", &["--commands", &script]);
    let curve = events.iter().find_map(|event| match event {
        Event::Evaluated { why: Why::Curve, scores, .. } => Some(scores.clone()),
        _ => None,
    });
    let curve = curve.unwrap();
    let eval = |args: &[&str]| place.output(&[&["eval", "a"], args].concat());
    let all: Value = serde_json::from_str(&stdout(&eval(&["--path-length", "all", "--json"]))).unwrap();
    assert_eq!((&all["step"], &all["checkpoint"]), (&Value::from(12), &Value::from("checkpoints/step-00000012")));
    // To the bit: same weights, same batches, same layer paths.
    let scores: Vec<raptr_tui::event::Score> = serde_json::from_value(all["scores"].clone()).unwrap();
    assert_eq!(scores, curve);
    let full: Value = serde_json::from_str(&stdout(&eval(&["--json"]))).unwrap();
    assert_eq!(full["scores"].as_array().unwrap().len(), 1);
    assert_eq!(full["scores"][0], all["scores"][2]);
    let text = stdout(&eval(&["--path-length", "3"]));
    assert!(text.contains(&format!("3/4   {:.4}", curve[1].loss)), "{text}");
    for bad in ["1", "5", "many"] {
        let output = eval(&["--path-length", bad]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains("--path-length") && stderr(&output).contains("between 2"),
            "{}",
            stderr(&output)
        );
    }
    // What the run measured at the same step, to the bit; and what it can't, in a sentence.
    let script = "{\"at_step\":12,\"command\":\"measure\",\"what\":\"norms\"}\n{\"at_step\":12,\"command\":\"stop\"}\n";
    let script = place.write("m.jsonl", script);
    let events = place.train("m", &["--commands", &script]);
    let measured = events.iter().find_map(|event| if let Event::Measured(m) = event { Some(m.clone()) } else { None });
    let norms = place.output(&["eval", "m", "--measure", "norms", "--json"]);
    let norms: Value = serde_json::from_str(&stdout(&norms)).unwrap();
    let of_eval: raptr_tui::event::Measurement = serde_json::from_value(norms["measurements"][0].clone()).unwrap();
    assert_eq!(Some(of_eval), measured);
    let text = stdout(&eval(&["--measure", "norms", "--measure", "stability"]));
    assert!(text.contains("norm") && text.contains("psi"), "{text}");
    let unknown = eval(&["--measure", "guess"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("unknown measurement `guess`; known: curve"), "{}", stderr(&unknown));
    let impossible = eval(&["--measure", "coefficients"]);
    assert_eq!(impossible.status.code(), Some(1));
    assert!(stderr(&impossible).contains("coefficients can't be measured here"), "{}", stderr(&impossible));
    // A fully trained model with fewer layers is another one, whatever its method draws.
    place.train("f", &["--set", "method.name=full", "--set", "stage=[]"]);
    let f: Value =
        serde_json::from_str(&stdout(&place.output(&["eval", "f", "--path-length", "all", "--json"]))).unwrap();
    assert_ne!(f["scores"][0]["loss"], f["scores"][2]["loss"]);
}
