//! Every shipped config is parsed, validated and planned; the annotated one names every key with its default.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use raptr_tui::config::load::load;
use raptr_tui::config::shipped::{self, SHIPPED};
use raptr_tui::config::{RunConfig, Source};
use raptr_tui::plan::plan;

fn shipped(name: &str) -> RunConfig {
    // Text is the user's to name.
    let with_text = load(name, &["data.path=\"some/text\"".to_owned()]);
    with_text.or_else(|_| load(name, &[])).unwrap()
}

#[test]
fn every_file_is_built_in_and_valid() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).unwrap();
    let mut files: Vec<String> = files
        .map(|f| f.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut names = shipped::names();
    names.sort_unstable();
    assert_eq!(files, names);
    for (name, text) in SHIPPED {
        let config = shipped(name);
        let plan = plan(&config);
        assert!(plan.parameters > 0 && plan.flops > 0.0 && plan.flops <= plan.full_flops, "{name}");
        assert_eq!(plan.stages.iter().map(|s| s.steps).sum::<u64>(), config.train.steps, "{name}");
        assert!(shipped::about(text).len() > 30, "{name} says in its first line what it is for");
    }
}

#[test]
fn the_annotated_config_is_the_defaults_and_explains_every_key() {
    let text = shipped::find("annotated").unwrap();
    assert_eq!(load("annotated", &[]).unwrap(), RunConfig::default());
    let table: toml::Table = text.parse().unwrap();
    let written: toml::Table = RunConfig::default().to_toml().parse().unwrap();
    for (section, value) in &written {
        let Some(keys) = value.as_table() else {
            assert!(table.contains_key(section), "{section} is not explained");
            continue;
        };
        for key in keys.keys() {
            assert!(table[section].as_table().unwrap().contains_key(key), "{section}.{key} is not explained");
        }
    }
    for line in text.lines().filter(|l| l.contains(" = ")) {
        assert!(line.trim_start_matches("# ").contains(" # ") || line.starts_with('#'), "no comment: {line}");
    }
}

#[test]
fn the_papers_schedules_have_the_papers_speed_ups() {
    // By hand: 6-8-10-12 in equal stages, and 12-16-20-24 in stages of 1:2:3:4.
    for (name, layers, speed_up) in [("bert-base", 12, 4.0 / 3.0), ("ul2-1.6b", 24, 1.2), ("gpt-small", 12, 4.0 / 3.0)]
    {
        let config = shipped(name);
        assert_eq!(config.model.layers, layers);
        assert!((plan(&config).layer_speed_up - speed_up).abs() < 1e-3, "{name}");
    }
}

#[test]
fn plans_count_parameters_and_flops_as_closed_forms_do() {
    // GPT-2's layer: 12 C^2 + 13 C parameters. gpt-small: C 256, T 128, B 16, V 4096.
    let plan = plan(&shipped("gpt-small"));
    let c = 256.0;
    assert_eq!(plan.layer_parameters as f64, 12.0 * c * c + 13.0 * c);
    assert_eq!(plan.parameters as f64, 12.0 * (12.0 * c * c + 13.0 * c) + 4096.0 * c + 128.0 * c + 2.0 * c);
    // Six FLOPs per weight and token, 12 T C per layer and token for attention: about 138 GFLOP for a full step.
    let full = 2048.0 * (6.0 * (12.0 * 12.0 * c * c + 4096.0 * c) + 12.0 * 12.0 * 128.0 * c);
    assert!((plan.stages[3].step_flops / full - 1.0).abs() < 1e-9, "{} {full}", plan.stages[3].step_flops);
    assert!((plan.stages[0].layer_speed_up - 2.0).abs() < 1e-9 && plan.stages[0].speed_up < 2.0);
    // bert-base has BERT's size but for its second segment: 110 M with 30522 tokens, 512 positions.
    let bert = plan_parameters("bert-base");
    assert!((bert as f64 / 109.5e6 - 1.0).abs() < 0.01, "{bert}");
    // ul2-small is gpt-small with 20 tokens more: X (3, .5) hides 16 spans in 128 positions, so 17 sentinels, and 3 modes.
    assert_eq!(plan_parameters("ul2-small") as f64, plan.parameters as f64 + 20.0 * c);
    // Predicted positions, by hand: 17 + 6 + 1, 18 + 2 + 1, 32 (a quarter of 128), 48 + 16 + 1, 56 + 7 + 1, 19 + 1 + 1,
    // 62 + 1 + 1, each in a seventh of the sequences of 128.
    let predicted = f64::from(24 + 21 + 32 + 65 + 64 + 21 + 64) / 7.0 / 128.0;
    let full = 2048.0 * (6.0 * (12.0 * 12.0 * c * c + predicted * 4116.0 * c) + 12.0 * 12.0 * 128.0 * c);
    let ul2 = raptr_tui::plan::plan(&shipped("ul2-small"));
    assert!((ul2.stages[3].step_flops / full - 1.0).abs() < 1e-9, "{} {full}", ul2.stages[3].step_flops);
    let ul2 = plan_parameters("ul2-1.6b");
    assert!((1.5e9..1.7e9).contains(&(ul2 as f64)), "{ul2}");
}

#[test]
fn encoders_perceptrons_and_parts_of_layers_cost_what_closed_forms_say() {
    let near =
        |got: f64, expected: f64, what: &str| assert!((got / expected - 1.0).abs() < 1e-9, "{what}: {got} {expected}");
    // bert-small: C 256, T 128, B 16, V 4096. Products per token and layer: 4 C^2 and 2 T C of attention, 8 C^2 of the MLP;
    // at the 15 % that are masked a dense layer and the logits. Six FLOPs each in training.
    let (c, t) = (256.0, 128.0);
    let bert = plan(&shipped("bert-small"));
    let masked = 0.15 * (c * c + 4096.0 * c);
    for (stage, layers) in [(0, 6.0), (3, 12.0)] {
        let step = 2048.0 * 6.0 * (layers * (12.0 * c * c + 2.0 * t * c) + masked);
        near(bert.stages[stage].step_flops, step, "bert-small");
    }
    // polynomial: 512 points of 20 coordinates, 20 layers of 20 x 80 and 80 x 20, an embedding 20 x 20 and one output.
    let polynomial = plan(&shipped("polynomial"));
    for (stage, layers) in [(0, 8.0), (3, 20.0)] {
        let step = 512.0 * 6.0 * (layers * (20.0 * 80.0 + 80.0 * 20.0) + 20.0 * 20.0 + 20.0);
        near(polynomial.stages[stage].step_flops, step, "polynomial");
    }
    near(polynomial.flops, 1500.0 * 512.0 * 6.0 * (56.0 * 3200.0 + 4.0 * 420.0), "1500 steps each of 8, 12, 16, 20");
    // quickstart along the width: at 6 of 12 every layer has 2 of 4 heads, each of 16 columns of q, k, v and 16 rows of the
    // projection, and 128 of 256 columns of its MLP. C 64, T 64, B 16.
    let width = plan(&load("quickstart", &["method.axis=\"width\"".to_owned()]).unwrap());
    let (c, t) = (64.0, 64.0);
    let layer = c * (3.0 * 32.0) + 32.0 * c + 2.0 * t * 32.0 + 2.0 * c * 128.0;
    near(width.stages[0].step_flops, 1024.0 * 6.0 * (12.0 * layer + width.vocabulary as f64 * c), "width");
    assert_eq!(width.stages[0].layer_speed_up, 2.0);
}

#[test]
fn a_plan_says_so_where_raptr_never_reaches_the_full_model() {
    let notes = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let config = load("quickstart", &sets).unwrap();
        let plan = plan(&config);
        assert_eq!(plan.to_text("q", &config).matches("Note: ").count(), plan.notes.len());
        plan.notes
    };
    let short = "stage=[{path_length=6},{path_length=8}]";
    for axis in ["method.axis=\"depth\"", "method.axis=\"width\""] {
        let found = notes(&[short, axis]);
        assert!(matches!(&found[..], [note] if note.contains("8 of 12 layers")), "{axis}: {found:?}");
    }
    // A first stage of the full model doesn't make up for it; other methods never meant to end with it.
    assert_eq!(notes(&[short, "method.initial_full=0.1"]).len(), 1);
    assert!(notes(&[]).is_empty() && notes(&[short, "method.name=\"constant\""]).is_empty());
}

fn plan_parameters(name: &str) -> u64 {
    plan(&shipped(name)).parameters
}

#[test]
fn the_default_needs_no_text() {
    assert_eq!(load("quickstart", &[]).unwrap().data.source, Source::Stories);
}
