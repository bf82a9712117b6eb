//! An NVIDIA GPU as a device: driver, run-time compiler and cuBLASLt, loaded when one is opened.
//!
//! One stream, in which everything runs in order; nothing waits but `download` and `collect`. Owns context, stream and module. No
//! header, library or compiler of CUDA is needed to build this: what is missing when the program runs is said then.
#![allow(unsafe_code)]

mod compile;
mod graphs;
mod heap;
mod products;
mod requests;
mod staging;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use cudarc::driver::{CudaContext, DriverError, result, sys};

use self::graphs::Graphs;
use self::heap::{Heap, Later, free};
use self::products::Products;
use self::requests::Requests;
use self::staging::Staging;
use super::calls::Call;
use super::device::{Argument, Columns, Device, Memory, OutOfMemory};
use super::source::Shape;
use super::{Request, Span};

/// The oldest architecture with what our kernels use: bf16 products and copies into shared memory without waiting.
const LEAST_CAPABILITY: (i32, i32) = (8, 0);

/// Whether a driver and a GPU are there.
pub fn is_there() -> bool {
    // SAFETY: only tries to load the driver.
    let has_driver = unsafe { sys::is_culib_present() };
    has_driver && CudaContext::device_count().is_ok_and(|n| n > 0)
}

/// The device.
pub struct Cuda {
    context: Arc<CudaContext>,
    name: String,
    stream: sys::CUstream,
    module: sys::CUmodule,
    functions: RefCell<HashMap<&'static str, sys::CUfunction>>,
    products: RefCell<Products>,
    staging: RefCell<Staging>,
    requests: RefCell<Requests>,
    /// What was asked for since [`Device::together`] was begun, if it was.
    calls: RefCell<Option<Vec<Call>>>,
    graphs: RefCell<Graphs>,
    later: Arc<Later>,
}

// SAFETY: stream, module and handles may be used from any thread, by one at a time: `Cuda` is not `Sync`. Every function
// binds the context to its thread first.
unsafe impl Send for Cuda {}

/// A driver's error as a sentence.
fn driver(doing: &'static str) -> impl Fn(DriverError) -> anyhow::Error {
    move |error| {
        let name = error.error_string().map_or_else(|_| format!("{error:?}"), |s| s.to_string_lossy().into_owned());
        anyhow!("the GPU failed while {doing}: {name}")
    }
}

/// That a library of CUDA can be loaded.
fn need(is_there: bool, library: &str) -> Result<()> {
    ensure!(
        is_there,
        "{library} can't be loaded: install the CUDA toolkit, or put the folder that has it into LD_LIBRARY_PATH (PyTorch's \
         packages bring it, in site-packages/nvidia/.../lib); or use --device cpu"
    );
    Ok(())
}

/// That a GPU of that number is there, and all libraries of CUDA that are needed.
///
/// # Errors
/// Saying what isn't, and what to do.
pub fn find(number: usize) -> Result<()> {
    // Asked once: to try is to load them, and that takes its time.
    // SAFETY: these only try to load libraries.
    static LIBRARIES: LazyLock<[bool; 3]> = LazyLock::new(|| unsafe {
        [sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present(), cudarc::cublaslt::sys::is_culib_present()]
    });
    let [has_driver, has_compiler, has_products] = *LIBRARIES;
    ensure!(has_driver, "no NVIDIA driver (libcuda) is here; use --device cpu");
    let count = CudaContext::device_count().map_err(driver("counting GPUs"))?;
    let there = usize::try_from(count).unwrap_or(0);
    ensure!(number < there, "no GPU {number}: this machine has {there}, counted from 0");
    need(has_compiler, "CUDA's run-time compiler (libnvrtc)")?;
    need(has_products, "cuBLASLt (libcublasLt)")
}

/// The context of a GPU, kept for as long as the program runs: libraries hold on to it, and a new one takes its time.
fn context(number: usize) -> Result<Arc<CudaContext>> {
    static CONTEXTS: LazyLock<Mutex<HashMap<usize, Arc<CudaContext>>>> = LazyLock::new(Mutex::default);
    // A thread that died while it held them left them as they were.
    let mut contexts = CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(context) = contexts.get(&number) {
        return Ok(context.clone());
    }
    let context = CudaContext::new(number).map_err(driver("opening a context"))?;
    contexts.insert(number, context.clone());
    Ok(context)
}

/// While this lives, calls are collected and nothing is freed; it ends that however it ends.
struct Collecting<'a>(&'a Cuda);

impl<'a> Collecting<'a> {
    fn begin(cuda: &'a Cuda) -> Self {
        *cuda.calls.borrow_mut() = Some(Vec::new());
        cuda.later.is_collecting.store(true, Ordering::Relaxed);
        Self(cuda)
    }
}

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        let Cuda { calls, later, context, .. } = self.0;
        *calls.borrow_mut() = None;
        later.is_collecting.store(false, Ordering::Relaxed);
        let dropped = std::mem::take(&mut *later.addresses());
        dropped.into_iter().for_each(|address| free(context, address));
    }
}

impl Cuda {
    /// The GPU of that number, with the kernels compiled for a shape of model: a second or two.
    ///
    /// # Errors
    /// If there is no such GPU, it is too old, or a library of CUDA is missing.
    pub fn open(number: usize, shape: Shape) -> Result<Self> {
        find(number)?;
        let context = context(number)?;
        // It may have been opened on another thread.
        context.bind_to_thread().map_err(driver("binding its context"))?;
        let name = context.name().map_err(driver("asking for its name"))?;
        let capability = context.compute_capability().map_err(driver("asking for its architecture"))?;
        if capability < LEAST_CAPABILITY {
            let ((major, minor), (least, of)) = (capability, LEAST_CAPABILITY);
            bail!("the {name} has compute capability {major}.{minor}; {least}.{of} (Ampere) or newer is needed");
        }
        let image = compile::compiled(shape, capability)?;
        let stream =
            result::stream::create(result::stream::StreamKind::NonBlocking).map_err(driver("making a stream"))?;
        // SAFETY: the image is a whole module for this GPU, as the compiler made it.
        let module =
            unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(driver("loading the kernels"))?;
        Ok(Self {
            name,
            stream,
            module,
            functions: RefCell::default(),
            products: RefCell::new(Products::new()?),
            staging: RefCell::default(),
            requests: RefCell::default(),
            calls: RefCell::default(),
            graphs: RefCell::default(),
            later: Arc::default(),
            context,
        })
    }

    fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(driver("binding its context"))
    }

    /// That nothing is asked for between calls that are collected: it would come before them.
    fn not_collecting(&self) -> Result<()> {
        ensure!(self.calls.borrow().is_none(), "calls that are collected are kernels and products alone");
        Ok(())
    }

    /// Asks for calls that were collected.
    ///
    /// # Safety
    /// As for [`Call::ask`].
    unsafe fn ask_all(&self, calls: &[Call]) -> Result<()> {
        let mut graphs = self.graphs.borrow_mut();
        // SAFETY: the stream is ours, and the rest by our own contract.
        unsafe { graphs.ask(calls, self.stream, &|call| call.ask(self)) }
    }

    fn wait(&self) -> Result<()> {
        // SAFETY: our stream, alive.
        unsafe { result::stream::synchronize(self.stream) }.map_err(driver("computing"))?;
        self.staging.borrow_mut().reset();
        Ok(())
    }

    fn function(&self, name: &'static str) -> Result<sys::CUfunction> {
        if let Some(function) = self.functions.borrow().get(name) {
            return Ok(*function);
        }
        // SAFETY: our module, alive.
        let function = unsafe { result::module::get_function(self.module, CString::new(name)?) };
        let function = function.map_err(driver("looking up a kernel")).with_context(|| format!("kernel {name}"))?;
        self.functions.borrow_mut().insert(name, function);
        Ok(function)
    }
}

impl Device for Cuda {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn memory(&self) -> Result<[u64; 2]> {
        self.bind()?;
        let (free, total) = result::mem_get_info().map_err(driver("asking for its memory"))?;
        Ok([free as u64, total as u64])
    }

    fn allocate(&self, bytes: usize) -> Result<Memory> {
        self.bind()?;
        let size = bytes.max(256);
        // SAFETY: a plain allocation; it is freed once, by `Memory`.
        let address = match unsafe { result::malloc_sync(size) } {
            Ok(address) => address,
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let [free, total] = self.memory()?;
                return Err(OutOfMemory { asked: bytes as u64, free, total }.into());
            }
            Err(error) => return Err(driver("allocating memory")(error)),
        };
        let memory =
            Memory::new(address, bytes, Arc::new(Heap { context: self.context.clone(), later: self.later.clone() }));
        // SAFETY: the allocation is that long.
        unsafe { result::memset_d8_async(address, 0, size, self.stream) }.map_err(driver("clearing memory"))?;
        Ok(memory)
    }

    fn clear(&self, span: Span<'_>) -> Result<()> {
        self.not_collecting()?;
        self.bind()?;
        if span.is_empty() {
            return Ok(());
        }
        // SAFETY: a span is within memory that is alive.
        unsafe { result::memset_d8_async(span.address(), 0, span.bytes(), self.stream) }
            .map_err(driver("clearing memory"))
    }

    fn upload(&self, to: Span<'_>, bytes: &[u8]) -> Result<()> {
        self.not_collecting()?;
        ensure!(bytes.len() <= to.bytes(), "{} bytes for {to:?}", bytes.len());
        self.bind()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let mut staging = self.staging.borrow_mut();
        let staged = staging.take(bytes)?;
        let is_staged = staged.is_some();
        // SAFETY: the span is long enough (above). What is staged stays as it is until the stream has been waited for;
        // else we wait below, before the caller's bytes go.
        unsafe { result::memcpy_htod_async(to.address(), staged.unwrap_or(bytes), self.stream) }
            .map_err(driver("copying to it"))?;
        drop(staging);
        if is_staged { Ok(()) } else { self.wait() }
    }

    fn download(&self, from: Span<'_>, bytes: &mut [u8]) -> Result<()> {
        self.not_collecting()?;
        ensure!(bytes.len() <= from.bytes(), "{} bytes of {from:?}", bytes.len());
        self.bind()?;
        if bytes.is_empty() {
            return self.wait();
        }
        // SAFETY: the span is long enough (above), and we wait before the bytes are looked at.
        unsafe { result::memcpy_dtoh_async(bytes, from.address(), self.stream) }.map_err(driver("copying from it"))?;
        self.wait()
    }

    fn request(&self, from: Span<'_>) -> Result<Request> {
        self.not_collecting()?;
        self.bind()?;
        // SAFETY: the context is bound, and the stream ours.
        let number = unsafe { self.requests.borrow_mut().ask(from, self.stream) }?;
        self.staging.borrow_mut().mark(number);
        Ok(Request(number))
    }

    fn collect(&self, request: Request) -> Result<Vec<u8>> {
        self.bind()?;
        let bytes = self.requests.borrow_mut().take(request.0)?;
        self.staging.borrow_mut().passed(request.0);
        Ok(bytes)
    }

    fn together(&self, ask: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.bind()?;
        self.not_collecting()?;
        let collecting = Collecting::begin(self);
        ask()?;
        let calls = self.calls.borrow_mut().take().unwrap_or_default();
        // SAFETY: whoever asked kept the contract, and what was dropped since has not been freed.
        let done = unsafe { self.ask_all(&calls) };
        drop(collecting);
        done
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: [usize; 2],
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        if let Some(calls) = self.calls.borrow_mut().as_mut() {
            calls.push(Call::launch(kernel, grid, threads, arguments));
            return Ok(());
        }
        self.bind()?;
        let function = self.function(kernel)?;
        let [x, y] = [u32::try_from(grid[0])?, u32::try_from(grid[1])?];
        ensure!(y < 1 << 16, "{kernel}: {y} rows of blocks; lower train.batch or model.context");
        let mut pointers: Vec<_> = arguments.iter().map(Argument::pointer).collect();
        let threads = u32::try_from(threads)?;
        // SAFETY: by our own contract; the driver copies arguments before it returns.
        unsafe { result::launch_kernel(function, (x, y, 1), (threads, 1, 1), 0, self.stream, &mut pointers) }
            .map_err(driver("launching a kernel"))
            .with_context(|| format!("kernel {kernel}, grid {x} x {y}"))
    }

    unsafe fn multiply(&self, product: &Columns<'_>) -> Result<()> {
        if let Some(calls) = self.calls.borrow_mut().as_mut() {
            calls.push(Call::multiply(product));
            return Ok(());
        }
        self.bind()?;
        // SAFETY: by our own contract.
        unsafe { self.products.borrow_mut().multiply(product, self.stream) }
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        if self.bind().is_ok() {
            // SAFETY: ours, not used again; what fails here fails because the device is lost.
            unsafe {
                let _ = result::stream::synchronize(self.stream);
                self.graphs.borrow_mut().close();
                let _ = result::module::unload(self.module);
                let _ = result::stream::destroy(self.stream);
            }
            self.products.borrow_mut().close();
            self.staging.borrow_mut().close();
            self.requests.borrow_mut().close();
        }
    }
}
