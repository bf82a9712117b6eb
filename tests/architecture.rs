//! The arrows: each module uses only those before it, and knows only what is its business.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules in order; each may use those of earlier rows, and of its own row.
const ORDER: &[&[&str]] = &[
    &["layer_path", "rng", "faults", "suspension"],
    &["subnetwork", "measurement", "note"],
    &["schedule", "theory"],
    &["method"],
    &["config"],
    &["event", "experiment_event", "learning_rate", "cost", "step_time"],
    &["data"],
    &["objective"],
    &["kernels"],
    &["gpu"],
    &["optim"],
    &["model"],
    &["measure"],
    &["trainer"],
    &["recording", "run_dir", "plan", "export", "signals"],
    &["fork"],
    &["session"],
    &["rerun", "headless"],
    &["experiment"],
];

/// The screen's side: it stands behind `event`, and beside all training.
const SCREEN: &[(&str, &[&str])] = &[
    ("app", &["event", "experiment_event", "layer_path", "measurement", "note", "schedule", "step_time"]),
    ("player", &["app", "event", "layer_path"]),
    ("view", &["app", "event", "experiment_event", "layer_path", "measurement", "schedule", "step_time"]),
    ("user_config", &["app", "config", "view"]),
    ("tui", &["app", "view", "player", "event", "experiment_event", "user_config", "faults", "suspension"]),
];

/// Words that a module must not mention.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (
        &[
            "layer_path",
            "subnetwork",
            "rng",
            "schedule",
            "theory",
            "method",
            "event",
            "experiment_event",
            "learning_rate",
            "cost",
            "measurement",
            "note",
            "step_time",
        ],
        &["candle", "ratatui", "crossterm", "crossbeam", "std::fs", "std::thread", "Instant", "SystemTime"],
    ),
    (
        &["config", "data", "objective", "kernels", "gpu", "optim", "model", "measure", "trainer"],
        &[
            "ratatui",
            "crossterm",
            "crossbeam",
            "std::thread",
            "Instant",
            "SystemTime",
            "VarMap",
            "Tensor::rand",
            "Dropout",
        ],
    ),
    (
        &["recording", "run_dir", "fork", "session", "rerun", "plan", "export", "player", "experiment"],
        &["ratatui", "crossterm"],
    ),
    (
        &["app", "view"],
        &["candle", "crossterm", "crossbeam", "std::fs", "std::thread", "Instant", "SystemTime", "Tensor"],
    ),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { sources(&path, found) } else { found.push(path) }
    }
}

/// Every line of code of `src/` with its file and number, tests and comments left out.
fn lines() -> Vec<(String, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50);
    let mut all = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap();
            all.push((name.clone(), number + 1, line.to_owned()));
        }
    }
    all
}

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|row| row.contains(&module))
}

/// The modules of this crate that a line mentions.
fn mentioned(line: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let used = line.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        // The modules of a list: what stands in inner braces is theirs.
        Some(list) => list.split([',', '}']).filter(|s| !s.starts_with(':')).map(|s| word(s.trim())).collect(),
        None => vec![word(rest)],
    });
    used.filter(|m| m.chars().next().is_some_and(char::is_lowercase) && m != "self").collect()
}

#[test]
fn no_arrow_points_the_wrong_way() {
    let mut wrong = Vec::new();
    for (file, number, line) in lines() {
        let from = module(&file);
        for to in mentioned(&line) {
            let is_allowed = match (rank(from), SCREEN.iter().find(|(m, _)| *m == from)) {
                (Some(mine), _) => rank(&to).is_some_and(|theirs| theirs <= mine),
                (_, Some((_, allowed))) => to == from || allowed.contains(&to.as_str()),
                // lib, main, cli, verbs see both sides.
                _ => true,
            };
            if !is_allowed {
                wrong.push(format!("src/{file}:{number}: {from} must not use {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_place() {
    for (file, ..) in lines() {
        let name = module(&file);
        let is_known = rank(name).is_some()
            || SCREEN.iter().any(|(m, _)| *m == name)
            || ["lib", "main", "cli", "verbs"].contains(&name);
        assert!(is_known, "src/{file}: give `{name}` a place in tests/architecture.rs");
    }
}

/// Whether a line has the word, and not as the beginning of a longer one.
fn mentions(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[at + word.len()..].starts_with(char::is_alphanumeric))
}

#[test]
fn no_module_mentions_what_is_not_its_business() {
    let mut wrong = Vec::new();
    for (file, number, line) in lines() {
        for (modules, words) in FORBIDDEN {
            if modules.contains(&module(&file)) {
                for word in words.iter().filter(|w| mentions(&line, w)) {
                    wrong.push(format!("src/{file}:{number}: {} must not know `{word}`", module(&file)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_in_the_kernels_and_one_memory_map() {
    for (file, number, line) in lines() {
        let is_allowed = ["kernels/", "gpu/"].iter().any(|dir| file.starts_with(dir)) || file == "data/token_file.rs";
        assert!(is_allowed || !line.contains("unsafe"), "src/{file}:{number}: unsafe code");
    }
}

#[test]
fn every_file_says_what_it_owns() {
    for (file, number, _) in lines().into_iter().filter(|(_, number, _)| *number == 1) {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(&file)).unwrap();
        let header = if file.ends_with(".rs") { "//!" } else { "// " };
        assert!(text.starts_with(header), "src/{file}:{number}: no header");
    }
}
