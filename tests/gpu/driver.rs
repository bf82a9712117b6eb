//! The driver side (`gpu::cuda`) without a GPU: these tests once more, and the program, in processes whose driver, compiler and
//! cuBLASLt are those of `on_host`.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

use crate::has_compiler;

/// The folder with the libraries; none where there is no compiler.
static LIBRARIES: LazyLock<Option<PathBuf>> = LazyLock::new(|| has_compiler().then(compile));

fn compile() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("driver-on-host-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let source = dir.join("driver.cpp");
    let header = format!("static const char* HEADER = R\"HEADER({})HEADER\";\n", include_str!("on_host/cuda.h"));
    let parts = [
        include_str!("on_host/driver.cpp"),
        include_str!("on_host/compiler.cpp"),
        include_str!("on_host/products.cpp"),
    ];
    std::fs::write(&source, header + &parts.concat()).unwrap();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let library = dir.join("libcuda.so");
    let flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread", "-ldl", "-o"];
    let done = Command::new(compiler).args(flags).arg(&library).arg(&source).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for name in ["libnvrtc.so", "libcublasLt.so"] {
        std::os::unix::fs::symlink(&library, dir.join(name)).unwrap();
    }
    dir
}

/// Runs a command with those libraries.
fn output(command: &mut Command) -> Option<Output> {
    let dir = LIBRARIES.as_ref()?;
    let command = command.env("LD_LIBRARY_PATH", dir).env("RAPTR_GPU", "0").env("TELL_GRAPHS", "1");
    Some(command.output().unwrap())
}

/// Some of the tests of this program, at least so many; and that graphs are launched in them.
fn run_tests(filters: &[&str], least: usize) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    // One at a time: memory is freed only when all streams have come to their ends.
    command.args(["--test-threads", "1", "--skip", "driver::"]).args(filters);
    let Some(output) = output(&mut command) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let graphs = errors.lines().find_map(|l| l.strip_prefix("graphs launched: ")).unwrap();
    assert!(graphs.parse::<usize>().unwrap() > 1200, "only {graphs} graphs were launched: were they made in vain?");
    let passed = text.matches("... ok").count();
    assert!(passed >= least, "only {passed} tests ran: {text}");
}

#[test]
fn kernels_and_steps_do_on_the_driver_what_they_do_beside_it() {
    run_tests(&["kernels::", "train::"], 14);
}

#[test]
fn the_engine_does_on_the_driver_what_it_does_beside_it() {
    run_tests(&["engine::"], 11);
}

#[test]
fn the_program_trains_on_the_driver_and_trains_the_same_again() {
    let dir = tempfile::tempdir().unwrap();
    let program = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raptr-tui"));
        command.args(args).arg("--run-dir").arg(dir.path());
        command
    };
    let told =
        |output: &Output| [&output.stdout, &output.stderr].map(|t| String::from_utf8_lossy(t).into_owned()).concat();
    let train = ["tests/tiny.toml", "--headless", "--quiet", "--name", "a", "--set", "train.precision=bf16"];
    let Some(trained) = output(program(&train).args(["--device", "cuda"])) else { return };
    assert!(trained.status.success(), "{}", told(&trained));
    assert!(told(&trained).contains("\"device\":\"GPU that is a CPU, fast, bf16\""), "{}", told(&trained));
    let rerun = ["rerun", "a", "--headless", "--quiet"];
    let again = output(&mut program(&rerun)).unwrap();
    assert!(told(&again).contains("identical") && told(&again).contains("(24 steps)"), "{}", told(&again));
    // On a machine without a GPU the rerun says what is missing; an evaluation of the same weights does without.
    // SAFETY: only tries to load the driver.
    if unsafe { libloading::Library::new("libcuda.so.1") }.is_err() {
        let without = program(&rerun).output().unwrap();
        assert_eq!(without.status.code(), Some(1), "{}", told(&without));
        assert!(
            told(&without).contains("recorded on GPU that is a CPU") && told(&without).contains("no NVIDIA driver")
        );
    }
    let [there, here] = [output(&mut program(&["eval", "a"])).unwrap(), program(&["eval", "a"]).output().unwrap()];
    assert!(there.status.success() && here.status.success(), "{}{}", told(&there), told(&here));
}
