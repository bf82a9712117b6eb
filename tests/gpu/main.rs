//! The GPU engine and its kernels: on the host, where the kernels' own text is compiled by a C++ compiler; and the same
//! checks on an NVIDIA GPU where `RAPTR_GPU` names one (`RAPTR_GPU=0`, in a build with the feature `cuda`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, unsafe_code)]

#[path = "../common/oracle.rs"]
mod common;
#[cfg(feature = "cuda")]
mod driver;
mod engine;
mod host;
mod kernels;
mod memory;
mod train;

use std::process::Command;

use raptr_tui::gpu::Device;
use raptr_tui::gpu::source::Shape;

/// A device for kernels of a shape: an NVIDIA GPU where one is named, else the host; none where there is no compiler.
fn device(shape: Shape) -> Option<Box<dyn Device>> {
    #[cfg(feature = "cuda")]
    if let Ok(number) = std::env::var("RAPTR_GPU") {
        return Some(Box::new(raptr_tui::gpu::cuda::Cuda::open(number.parse().unwrap(), shape).unwrap()));
    }
    has_compiler().then(|| Box::new(host::Host::new(shape)) as Box<dyn Device>)
}

/// Whether a C++ compiler is there. On CI it must be.
fn has_compiler() -> bool {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let is_there = Command::new(&compiler).arg("--version").output().is_ok_and(|o| o.status.success());
    assert!(is_there || std::env::var_os("CI").is_none(), "no C++ compiler `{compiler}`");
    if !is_there {
        eprintln!("skipped: the GPU's kernels are tested with a C++ compiler, and there is no `{compiler}` (set CXX)");
    }
    is_there
}

/// Whether the tests run on a GPU, where only the host's own checks (of fences, of order) are left out.
fn is_on_gpu() -> bool {
    cfg!(feature = "cuda") && std::env::var_os("RAPTR_GPU").is_some()
}
