//! A device that is this machine: the kernels' text compiled by a C++ compiler over `on_host/cuda.h`, products as cuBLAS
//! defines them. Memory is fenced, so that a kernel that writes beside it is seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use anyhow::{Context, Result, ensure};
use libloading::Library;
use raptr_tui::gpu::calls::{Call, Next, Repeats};
use raptr_tui::gpu::device::{Argument, Columns, OutOfMemory, Release};
use raptr_tui::gpu::source::Shape;
use raptr_tui::gpu::{Device, Kind, Memory, Request, Span};

/// As `on_host/cuda.h` has it.
#[repr(C)]
struct Launch {
    grid: [u32; 2],
    threads: u32,
    is_greedy: u32,
}

type Kernel = unsafe extern "C" fn(*const Launch, *mut *mut c_void) -> i32;

/// One library per shape, compiled once per test program.
static LIBRARIES: LazyLock<Mutex<HashMap<Shape, Arc<Library>>>> = LazyLock::new(Mutex::default);

fn library(shape: Shape) -> Arc<Library> {
    let mut all = LIBRARIES.lock().unwrap();
    all.entry(shape).or_insert_with(|| Arc::new(compile(shape))).clone()
}

fn compile(shape: Shape) -> Library {
    // It may run on another machine than it was built on.
    let dir = std::env::temp_dir();
    let name = format!("kernels-{}-{}-{:?}-{}", shape.width, shape.head, shape.store, std::process::id());
    let (source, library) = (dir.join(format!("{name}.cpp")), dir.join(format!("{name}.so")));
    std::fs::write(&source, concat!(include_str!("on_host/cuda.h"), "\n").to_owned() + &shape.program()).unwrap();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    // Hidden: else what is static in a function would be one for all libraries, though its size is another in each.
    let flags = ["-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-w", "-U_FORTIFY_SOURCE"];
    let flags = flags.into_iter().chain(["-fvisibility=hidden", "-o"]);
    let done = Command::new(&compiler).args(flags).arg(&library).arg(&source).output();
    let done = done.unwrap_or_else(|e| panic!("these tests need a C++ compiler (`{compiler}`: {e}); set CXX"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // SAFETY: made a line above; loading it runs nothing.
    let loaded = unsafe { Library::new(&library) }.unwrap();
    let _ = (std::fs::remove_file(source), std::fs::remove_file(library));
    loaded
}

/// Bytes on both sides of an allocation that nobody may write.
const FENCE: usize = 256;

/// Counts what is allocated, and gives it back.
#[derive(Default)]
pub struct Heap {
    pub now: AtomicU64,
    pub most: AtomicU64,
    /// Bytes by address.
    alive: Mutex<HashMap<u64, usize>>,
}

impl Heap {
    /// That nobody wrote beside an allocation.
    fn check(&self, kernel: &str) {
        for (&address, &bytes) in self.alive.lock().unwrap().iter() {
            // SAFETY: this is how `allocate` laid it out, and it is alive.
            let [before, behind] = [address - FENCE as u64, address + bytes as u64]
                .map(|first| unsafe { std::slice::from_raw_parts(first as *const u8, FENCE) });
            let is_whole = before.iter().chain(behind).all(|&byte| byte == 0xA5);
            assert!(is_whole, "{kernel} wrote beside its memory of {bytes} bytes");
        }
    }
}

impl Release for Heap {
    fn release(&self, address: u64, bytes: usize) {
        self.now.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.alive.lock().unwrap().remove(&address);
        // SAFETY: allocated with the same layout.
        unsafe { std::alloc::dealloc((address - FENCE as u64) as *mut u8, layout(bytes)) };
    }
}

fn layout(bytes: usize) -> std::alloc::Layout {
    std::alloc::Layout::from_size_align(bytes + 2 * FENCE, 256).unwrap()
}

/// The device.
pub struct Host {
    shape: Shape,
    library: Arc<Library>,
    pub heap: Arc<Heap>,
    /// Bytes it has.
    limit: u64,
    /// Whether warps run one after the other, the last one first, each as far as it gets.
    is_greedy: bool,
    /// How often each kernel was asked for, by name.
    pub launches: Arc<Mutex<HashMap<&'static str, usize>>>,
    /// Copies that were asked for, by number.
    requests: RefCell<HashMap<usize, Vec<u8>>>,
    /// What is being collected, and what was made of what came again: the calls as they were then.
    calls: RefCell<Option<Vec<Call>>>,
    repeats: RefCell<Repeats<Vec<Call>>>,
    /// How often what was made was asked for.
    pub repeated: Arc<AtomicU64>,
}

impl Host {
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            library: library(shape),
            heap: Arc::default(),
            limit: u64::MAX,
            is_greedy: false,
            launches: Arc::default(),
            requests: RefCell::default(),
            calls: RefCell::default(),
            repeats: RefCell::default(),
            repeated: Arc::default(),
        }
    }

    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    pub fn greedy(self) -> Self {
        Self { is_greedy: true, ..self }
    }
}

fn read(kind: Kind, address: u64, index: usize) -> f32 {
    // SAFETY: callers stay within spans, which are within allocations.
    unsafe {
        match kind {
            Kind::Bf16 => f32::from_bits(u32::from((address as *const u16).add(index).read()) << 16),
            _ => (address as *const f32).add(index).read(),
        }
    }
}

fn write(kind: Kind, address: u64, index: usize, value: f32) {
    // SAFETY: as in `read`.
    unsafe {
        match kind {
            Kind::Bf16 => {
                let bits = value.to_bits();
                let rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
                (address as *mut u16).add(index).write(rounded as u16);
            }
            _ => (address as *mut f32).add(index).write(value),
        }
    }
}

impl Device for Host {
    fn name(&self) -> String {
        "host".to_owned()
    }

    fn memory(&self) -> Result<[u64; 2]> {
        Ok([self.limit - self.heap.now.load(Ordering::Relaxed), self.limit])
    }

    fn allocate(&self, bytes: usize) -> Result<Memory> {
        let now = self.heap.now.load(Ordering::Relaxed);
        if now + bytes as u64 > self.limit {
            let (asked, free) = (bytes as u64, self.limit - now);
            return Err(OutOfMemory { asked, free, total: self.limit }.into());
        }
        let now = self.heap.now.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        self.heap.most.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the layout is not empty, and everything is written within it.
        let address = unsafe {
            let first = std::alloc::alloc(layout(bytes));
            std::ptr::write_bytes(first, 0xA5, bytes + 2 * FENCE);
            std::ptr::write_bytes(first.add(FENCE), 0, bytes);
            first as u64 + FENCE as u64
        };
        self.heap.alive.lock().unwrap().insert(address, bytes);
        Ok(Memory::new(address, bytes, self.heap.clone()))
    }

    fn clear(&self, span: Span<'_>) -> Result<()> {
        assert!(self.calls.borrow().is_none(), "between calls that are collected");
        // SAFETY: a span is within an allocation.
        unsafe { std::ptr::write_bytes(span.address() as *mut u8, 0, span.bytes()) };
        Ok(())
    }

    fn upload(&self, to: Span<'_>, bytes: &[u8]) -> Result<()> {
        assert!(self.calls.borrow().is_none(), "between calls that are collected");
        ensure!(bytes.len() <= to.bytes(), "{} bytes for {to:?}", bytes.len());
        // SAFETY: checked a line above.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.address() as *mut u8, bytes.len()) };
        Ok(())
    }

    fn download(&self, from: Span<'_>, bytes: &mut [u8]) -> Result<()> {
        assert!(self.calls.borrow().is_none(), "between calls that are collected");
        ensure!(bytes.len() <= from.bytes(), "{} bytes of {from:?}", bytes.len());
        // SAFETY: checked a line above.
        unsafe { std::ptr::copy_nonoverlapping(from.address() as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn request(&self, from: Span<'_>) -> Result<Request> {
        let mut bytes = vec![0; from.bytes()];
        self.download(from, &mut bytes)?;
        let number = (0..).find(|n| !self.requests.borrow().contains_key(n)).unwrap();
        self.requests.borrow_mut().insert(number, bytes);
        Ok(Request(number))
    }

    fn collect(&self, request: Request) -> Result<Vec<u8>> {
        self.requests.borrow_mut().remove(&request.0).context("no such request")
    }

    /// As CUDA's: what comes again is made of what was asked for before.
    fn together(&self, ask: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        *self.calls.borrow_mut() = Some(Vec::new());
        let asked = ask();
        let calls = self.calls.borrow_mut().take().unwrap();
        asked?;
        let key = Repeats::<Vec<Call>>::key(&calls);
        let mut repeats = self.repeats.borrow_mut();
        let calls = match repeats.next(&key) {
            Next::Plain => calls,
            Next::Make => {
                repeats.keep(key, Some(calls.clone()));
                calls
            }
            Next::Ready(before) => {
                self.repeated.fetch_add(1, Ordering::Relaxed);
                before.clone()
            }
        };
        // SAFETY: nothing has been dropped since they were asked for.
        calls.iter().try_for_each(|call| unsafe { call.ask(self) })
    }

    unsafe fn launch(
        &self,
        name: &'static str,
        grid: [usize; 2],
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        if let Some(calls) = self.calls.borrow_mut().as_mut() {
            calls.push(Call::launch(name, grid, threads, arguments));
            return Ok(());
        }
        assert!(grid[0] > 0 && grid[1] > 0 && grid[1] < 1 << 16, "{name}: a grid of {grid:?}");
        *self.launches.lock().unwrap().entry(name).or_default() += 1;
        // SAFETY: every kernel of the program is exported as such a function.
        let kernel = unsafe { self.library.get::<Kernel>(name.as_bytes()) };
        let kernel = kernel.with_context(|| format!("no kernel {name} for {:?}", self.shape))?;
        let mut pointers: Vec<_> = arguments.iter().map(Argument::pointer).collect();
        let launch =
            Launch { grid: grid.map(|n| n as u32), threads: threads as u32, is_greedy: u32::from(self.is_greedy) };
        // SAFETY: by our own contract.
        let done = unsafe { kernel(&raw const launch, pointers.as_mut_ptr()) };
        ensure!(done == 0, "{name} is not for {threads} threads");
        self.heap.check(name);
        Ok(())
    }

    unsafe fn multiply(&self, p: &Columns<'_>) -> Result<()> {
        if let Some(calls) = self.calls.borrow_mut().as_mut() {
            calls.push(Call::multiply(p));
            return Ok(());
        }
        let [a, b] = p.factors;
        for column in 0..p.n {
            for row in 0..p.m {
                let mut sum = 0.0f64;
                for k in 0..p.k {
                    let at_a = if p.transposed[0] { k + row * p.strides[0] } else { row + k * p.strides[0] };
                    let at_b = if p.transposed[1] { column + k * p.strides[1] } else { k + column * p.strides[1] };
                    assert!(at_a < a.len() && at_b < b.len());
                    sum += f64::from(read(a.kind(), a.address(), at_a) * read(b.kind(), b.address(), at_b));
                }
                let at = row + column * p.stride;
                assert!(at < p.c.len());
                let (kind, address) = (p.c.kind(), p.c.address());
                if p.is_added {
                    sum += f64::from(read(kind, address, at));
                }
                if let Some(bias) = p.bias {
                    sum += f64::from(read(bias.kind(), bias.address(), row));
                }
                write(kind, address, at, sum as f32);
            }
        }
        Ok(())
    }
}
