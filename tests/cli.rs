//! The command line: its flags are frozen, and each kind of bad input has one clear sentence and its exit code.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use clap::CommandFactory;
use common::{Place, TINY, curve, stderr, stdout};
use raptr_tui::app::actions::{ACTIONS, Scope};
use raptr_tui::cli::Cli;

#[test]
fn the_flags_are_these_and_no_others() {
    let flags = |command: &clap::Command| -> Vec<String> {
        let mut all: Vec<String> = command
            .get_arguments()
            .map(|a| a.get_long().map_or_else(|| a.get_id().to_string(), |l| format!("--{l}")))
            .collect();
        all.sort();
        all
    };
    let cli = Cli::command();
    assert_eq!(
        flags(&cli),
        [
            "--commands",
            "--compare",
            "--data",
            "--device",
            "--fork",
            "--headless",
            "--name",
            "--quiet",
            "--read-only",
            "--resume",
            "--run-dir",
            "--set",
            "--theme",
            "config"
        ]
    );
    let verbs: Vec<(String, Vec<String>)> =
        cli.get_subcommands().map(|c| (c.get_name().to_owned(), flags(c))).collect();
    let verbs: Vec<String> = verbs.into_iter().map(|(name, flags)| format!("{name} {}", flags.join(" "))).collect();
    assert_eq!(
        verbs,
        [
            "replay --compare --follow --speed recording",
            "rerun --headless recording",
            "plan --json --set config",
            "eval --json --measure --path-length run",
            "experiment --data --headless --json --seeds --set name",
            "compare --json runs",
            "export --format --out --speed run",
            "list what",
            "completions shell"
        ]
    );
    Cli::command().debug_assert();
}

#[test]
fn lists_plans_and_completions_print() {
    let place = Place::new();
    for (what, expected) in [
        ("configs", "quickstart"),
        ("experiments", "horizon"),
        ("methods", "raptr"),
        ("objectives", "mlm"),
        ("measurements", "psi"),
        ("themes", "colorblind"),
        ("recordings", "recordings/"),
        ("actions", "next-stage"),
    ] {
        let output = place.output(&["list", what]);
        assert!(output.status.success() && stdout(&output).contains(expected), "{what}: {}", stdout(&output));
    }
    let plan = stdout(&place.output(&["plan", "bert-base"]));
    assert!(plan.contains("1.333x") && plan.contains("6/12"), "{plan}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&place.output(&["plan", "ul2-1.6b", "--json"]))).unwrap();
    assert!((json["layer_speed_up"].as_f64().unwrap() - 1.2).abs() < 1e-3);
    assert!(stdout(&place.output(&["completions", "bash"])).contains("raptr-tui"));
    place.train("mine", &[]);
    assert!(stdout(&place.output(&["list", "runs"])).contains("step 24/24"));
}

/// Runs the program and holds it to an exit code and one sentence that names what is wrong.
fn refused(place: &Place, args: &[&str], code: i32, expected: &[&str]) {
    let output = place.output(args);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    for part in expected {
        assert!(message.contains(part), "{args:?}: no `{part}` in: {message}");
    }
    assert!(!message.contains("panicked") && !message.contains("RUST_BACKTRACE"), "{message}");
}

#[test]
fn bad_usage_and_configs_end_with_2() {
    let place = Place::new();
    let bad = place.write("bad.toml", "[train]\nstepz = 5\n");
    let torn = place.write("torn.toml", "[train\n");
    let set = |value: &'static str| -> Vec<&'static str> { vec![TINY, "--headless", "--set", value] };
    refused(&place, &["--no-such-flag"], 2, &["--no-such-flag"]);
    refused(&place, &["no-such-config", "--headless"], 2, &["no-such-config", "quickstart"]);
    refused(&place, &[&bad, "--headless"], 2, &["bad.toml", "stepz"]);
    refused(&place, &[&torn, "--headless"], 2, &["torn.toml", "line 1"]);
    refused(&place, &set("train.stepz=5"), 2, &["stepz"]);
    refused(&place, &set("method.name=drop"), 2, &["unknown method `drop`", "raptr", "full"]);
    refused(&place, &set("objective.name=next"), 2, &["unknown objective `next`", "causal"]);
    refused(&place, &set("model.layers=129"), 2, &["model.layers", "128"]);
    refused(&place, &set("stage=[{path_length=5}]"), 2, &["stage[1].path_length", "between 1 and model.layers (4)"]);
    refused(&place, &set("stage=[{path_length=3},{path_length=2}]"), 2, &["stage[2].path_length", "must not fall"]);
    refused(&place, &set("stage=[{path_length=3,steps=0},{path_length=4}]"), 2, &["stage[1].steps", "at least 1"]);
    refused(&place, &set("stage=[{path_length=3,steps=5},{path_length=4,steps=5}]"), 2, &["add up to 10", "24"]);
    refused(&place, &set("train.steps=0"), 2, &["train.steps", "not 0"]);
    refused(&place, &set("train.device=metal"), 2, &["train.device", "reference"]);
    let on_gpu = |engine| [TINY, "--headless", "--device", "cuda", "--set", engine];
    refused(&place, &on_gpu("train.engine=reference"), 2, &["train.device", "fast engine"]);
    #[cfg(not(feature = "cuda"))]
    refused(&place, &on_gpu("train.engine=fast"), 1, &["train.device", "without cuda", "--features cuda"]);
    refused(&place, &set("train.precision=fp8"), 2, &["precision", "fp8", "bf16"]);
    let reference = [TINY, "--headless", "--set", "train.engine=reference", "--set", "train.precision=bf16"];
    refused(&place, &reference, 2, &["train.precision", "fast engine"]);
    refused(&place, &[TINY, "--headless", "--theme", "pink"], 2, &["unknown theme `pink`", "mono"]);
    refused(&place, &["plan", "nothing"], 2, &["nothing"]);
    let commands = place.write("c.jsonl", "{\"command\":\"dance\"}\n");
    refused(&place, &[TINY, "--headless", "--commands", &commands], 2, &["c.jsonl, line 1", "dance"]);
    let paused = place.write("p.jsonl", "{\"at_step\":3,\"command\":\"pause\"}\n");
    refused(&place, &[TINY, "--headless", "--commands", &paused], 2, &["--commands", "paused at step 3", "`resume`"]);
    // Nothing was begun.
    assert!(!place.path().join("runs").exists());
    for name in ["../evil", "", "a/b", ".."] {
        refused(
            &place,
            &[TINY, "--headless", "--name", name],
            1,
            &["can't be named", "--name must be one folder's name"],
        );
    }
    assert!(!place.path().join("evil").exists());
    refused(&place, &["replay", "recordings/quickstart.jsonl", "--speed", "0"], 2, &["--speed", "between 0.01 and"]);
}

#[test]
fn data_that_cannot_be_read_ends_with_4() {
    let place = Place::new();
    place.write("empty/a.txt", "");
    place.write("none/picture.png", "x");
    place.write("short/a.txt", "few words\n");
    fs::create_dir_all(place.path().join("binary")).unwrap();
    fs::write(place.path().join("binary/a.txt"), [b'a', 0xff, 0xfe, b'\n']).unwrap();
    place.write("broken.json", "{}");
    place.write("good/a.txt", &"plain words, again and again.\n\n".repeat(400));
    let data = |name: &'static str| vec![TINY, "--headless", "--set", "data.tokenizer=bytes", "--data", name];
    refused(&place, &data("no/such"), 4, &["no/such", "can't be read"]);
    refused(&place, &data("none"), 4, &["holds no text", ".jsonl"]);
    refused(&place, &data("empty"), 4, &["0 tokens"]);
    refused(&place, &data("short"), 4, &["tokens", "one sequence needs 17"]);
    refused(&place, &data("binary"), 4, &["a.txt, line 1", "not UTF-8"]);
    refused(
        &place,
        &[TINY, "--headless", "--data", "good", "--set", "data.tokenizer=broken.json"],
        4,
        &["broken.json", "no tokenizer.json"],
    );
    refused(&place, &[TINY, "--headless", "--data", "good", "--set", "data.tokenizer=bert"], 4, &["bert", "bpe"]);
}

#[test]
fn runs_and_recordings_that_cannot_be_read_are_named() {
    let place = Place::new();
    place.train("a", &[]);
    refused(&place, &[TINY, "--headless", "--name", "a"], 1, &["exists already", "--resume a"]);
    refused(&place, &["--resume", "b", "--headless"], 1, &["no run `b`", "known: a"]);
    // What is to stand beside a run is looked for before the run begins.
    refused(&place, &[TINY, "--headless", "--name", "c", "--compare", "b"], 1, &["no run `b`", "known: a"]);
    let many = ["--compare", "a"].repeat(7);
    refused(&place, &[&[TINY, "--headless", "--name", "c"][..], &many].concat(), 2, &["--compare", "at most 6"]);
    assert!(!place.path().join("runs/c").exists());
    let events = place.run("a").join("events.jsonl");
    let text = fs::read_to_string(&events).unwrap();
    let middle = text.lines().nth(3).unwrap();
    fs::write(&events, text.replace(middle, &middle[..middle.len() / 2])).unwrap();
    refused(&place, &["rerun", "a", "--headless"], 4, &["events.jsonl", "line 4 is damaged"]);
    fs::write(&events, "no recording\n").unwrap();
    refused(&place, &["rerun", "a", "--headless"], 4, &["first line is damaged"]);
    fs::write(&events, &text).unwrap();
    for entry in fs::read_dir(place.run("a").join("checkpoints")).unwrap() {
        fs::write(entry.unwrap().path().join("state.json"), "{").unwrap();
    }
    refused(&place, &["--resume", "a", "--headless"], 4, &["no checkpoint that can be read", "damaged"]);
    refused(&place, &["export", "a", "--format", "hf", "--out", "x"], 4, &["no checkpoint that can be read"]);
    refused(&place, &["replay", "a"], 1, &["needs a terminal"]);
}

#[test]
fn changed_text_is_noticed_on_resume() {
    let place = Place::new();
    place.write("text/a.txt", &"plain words, again and again.\n\n".repeat(400));
    let script = place.write("c.jsonl", "{\"at_step\":9,\"command\":\"stop\"}\n");
    place.train("a", &["--data", "text", "--set", "data.tokenizer=bytes", "--commands", &script]);
    place.write("text/b.txt", "more words\n");
    refused(&place, &["--resume", "a", "--headless"], 4, &["has changed since the run began"]);
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    // A limit on file size stands for the full disk: checkpoints exceed it, the recording doesn't yet.
    let place = Place::new();
    let script = place.write("c.jsonl", "{\"at_step\":12,\"command\":\"stop\"}\n");
    let whole = place.train("whole", &[]);
    place.train("a", &["--commands", &script]);
    let kept = fs::read(place.run("a").join("checkpoints/step-00000012/model.safetensors")).unwrap();
    let program = env!("CARGO_BIN_EXE_raptr-tui");
    let limited = format!("trap '' XFSZ; ulimit -f 100; exec {program} --resume a --headless --quiet");
    let output = std::process::Command::new("bash").args(["-c", &limited]).current_dir(place.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let message = stderr(&output);
    assert!(message.contains("writing checkpoint") && message.contains("step-00000012"), "{message}");
    assert_eq!(fs::read(place.run("a").join("checkpoints/step-00000012/model.safetensors")).unwrap(), kept);
    // With room again it goes on as if nothing had been.
    let output = place.output(&["--resume", "a", "--headless", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(curve(&place.events("a")), curve(&whole));
}

/// The README's tables of keys, from the table of actions.
fn key_tables() -> String {
    let mut text = String::new();
    for (title, scopes) in [
        ("While a run is trained:", &[Scope::Run][..]),
        ("In a replay:", &[Scope::Replay]),
        ("In both:", &[Scope::Anywhere, Scope::Always]),
        ("While an experiment is trained (and those of both that look at its run):", &[Scope::Experiment]),
    ] {
        text.push_str(&format!("{title}\n\n| Key | `:` | |\n|---|---|---|\n"));
        for binding in ACTIONS.iter().filter(|b| scopes.contains(&b.scope)) {
            let keys: Vec<String> = binding.keys.iter().map(|key| format!("`{key}`")).collect();
            let takes = match (binding.takes.hint(), binding.is_needed) {
                ("", _) => String::new(),
                (hint, true) => format!(" {hint}"),
                (hint, false) => format!(" [{hint}]"),
            };
            let help = binding.help.trim_end_matches('.');
            text.push_str(&format!("| {} | `{}{takes}` | {help} |\n", keys.join(" "), binding.name));
        }
        text.push('\n');
    }
    text
}

/// `UPDATE_README=1 cargo test --test cli readme` writes the tables anew.
#[test]
fn the_readme_lists_every_key() {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(FILE).unwrap();
    let (begin, end) = ("<!-- keys: from the table of actions -->\n\n", "<!-- end of keys -->");
    let (before, rest) = readme.split_once(begin).unwrap();
    let (tables, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(FILE, format!("{before}{begin}{}{end}{after}", key_tables())).unwrap();
    } else {
        assert_eq!(tables, key_tables(), "UPDATE_README=1 cargo test --test cli readme");
    }
}
