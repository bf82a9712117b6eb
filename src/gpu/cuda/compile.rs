//! Compiles the kernels for one GPU, with CUDA's run-time compiler.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::{Result, anyhow, ensure};
use cudarc::nvrtc::{result, sys};

use crate::gpu::source::Shape;

/// What was compiled, by shape and architecture.
type Images = Mutex<HashMap<(Shape, (i32, i32)), Arc<Vec<u8>>>>;

/// As [`compile`], once per shape and architecture in a program.
///
/// # Errors
/// As [`compile`].
pub fn compiled(shape: Shape, capability: (i32, i32)) -> Result<Arc<Vec<u8>>> {
    static IMAGES: LazyLock<Images> = LazyLock::new(Mutex::default);
    // A thread that died while it held them left them as they were.
    let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(image) = images.get(&(shape, capability)) {
        return Ok(image.clone());
    }
    let image = Arc::new(compile(shape, capability)?);
    images.insert((shape, capability), image.clone());
    Ok(image)
}

/// Machine code for an architecture, as a module that the driver loads.
///
/// # Errors
/// If the compiler refuses; its words are in the error.
fn compile(shape: Shape, (major, minor): (i32, i32)) -> Result<Vec<u8>> {
    let source = CString::new(shape.program())?;
    let failed =
        |what: &str, error: result::NvrtcError| anyhow!("CUDA's run-time compiler failed while {what}: {error:?}");
    let program = result::create_program(&source, Some(c"kernels.cu")).map_err(|e| failed("starting", e))?;
    let options = [format!("--gpu-architecture=sm_{major}{minor}"), "--std=c++17".to_owned()];
    // SAFETY: the program is alive until it is destroyed below.
    let done = unsafe { result::compile_program(program, &options) };
    let image = match done {
        Ok(()) => image(program).map_err(|e| failed("giving the code", e)),
        // SAFETY: as above.
        Err(error) => Err(match unsafe { result::get_program_log(program) } {
            Ok(log) => {
                // SAFETY: the log ends in a zero.
                let log = unsafe { CStr::from_ptr(log.as_ptr()) }.to_string_lossy();
                anyhow!("CUDA's run-time compiler refuses the kernels for {shape:?}: {log}")
            }
            Err(_) => failed("compiling", error),
        }),
    };
    // SAFETY: alive, and not used again.
    unsafe { result::destroy_program(program) }.map_err(|e| failed("ending", e))?;
    let image = image?;
    ensure!(!image.is_empty(), "CUDA's run-time compiler gave no code for sm_{major}{minor}");
    Ok(image)
}

fn image(program: sys::nvrtcProgram) -> std::result::Result<Vec<u8>, result::NvrtcError> {
    let mut len = 0;
    // SAFETY: the program is alive, and has been compiled for a real architecture.
    unsafe { sys::nvrtcGetCUBINSize(program, &raw mut len) }.result()?;
    let mut image = vec![0; len];
    // SAFETY: as long as it was just said to be.
    unsafe { sys::nvrtcGetCUBIN(program, image.as_mut_ptr().cast()) }.result()?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Kind;

    /// The compiler needs no GPU: where it is there, the kernels must compile for the architectures we name.
    #[test]
    fn kernels_compile_for_every_architecture_and_shape() {
        // SAFETY: only tries to load the library.
        if !unsafe { sys::is_culib_present() } {
            // Asked for by name, it must be there.
            assert!(std::env::var_os("RAPTR_NVRTC").is_none(), "libnvrtc can't be loaded");
            return;
        }
        for capability in [(8, 0), (9, 0), (10, 0)] {
            for (width, head) in
                [(768, 64), (1024, 128), (4096, 128), (256, 64), (64, 4), (100, 20), (64, 16), (256, 32), (96, 48)]
            {
                for store in [Kind::F32, Kind::Bf16] {
                    let image = compile(Shape { width, head, store }, capability).unwrap();
                    assert_eq!(&image[..4], b"\x7fELF", "{capability:?} {width} {head} {store:?}");
                }
            }
        }
    }
}
