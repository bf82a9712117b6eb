//! Our side: obeys the same lines as `benches/peers/torch_step.py`, and `peak` and `count LENGTH STEPS` besides.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use raptr_tui::config::Precision;
use raptr_tui::kernels::bf16::{self, Operand, Side};
use raptr_tui::kernels::blocks::{Band, for_blocks};
use raptr_tui::kernels::buffer::Buffer;
use raptr_tui::kernels::fp32;
use raptr_tui::kernels::linear::{Copy, Ready};
use raptr_tui::kernels::panels::{Depth, Out, Panels, Store};
use raptr_tui::model::fast::Fast;

use crate::shapes::{SHAPES, precision};
use crate::work::Work;

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of this process; 0 where there is no `/proc`, as in the next one.
fn minor_faults() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name in brackets: state, parent, group, session, terminal, terminal's group, flags, minor faults.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    rest.split_whitespace().nth(7).and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

/// The best rate of products of (2048, 256) rows with (256, 1024) weights, shared over the threads as a step does it.
fn peak(precision: Precision, pool: &rayon::ThreadPool) -> f64 {
    let (m, k, n, block) = (2048, 256, 1024, 256);
    let weight = vec![0.25f32; k * n];
    let [mut x, mut y] = [k, n].map(|width| {
        let mut buffer = Buffer::<f32>::default();
        buffer.fit(m * width).fill(0.5);
        buffer
    });
    let (mut copy, mut packed) = (Copy::default(), Buffer::<u32>::default());
    let ready = Ready::new(precision, &mut copy, &weight, k, n);
    let len = bf16::packed_len(block, k);
    for (a, x) in packed.fit(m / block * len).chunks_exact_mut(len).zip(x.chunks_exact_mut(block * k)) {
        bf16::pack(a, Side::Left, Depth::Columns, Panels::new(x, block, k), k);
    }
    let mut best = 0.0f64;
    for _ in 0..40 {
        let began = Instant::now();
        pool.install(|| {
            let bands = [Band::new(&mut y, block * n)];
            let nothing: [Band<'_, u32>; 0] = [];
            for_blocks(m / block, bands, nothing, |i, [y], []| {
                let y = Out::panels(y, block, n);
                match ready {
                    Ready::F32(w) => fp32::product(y, Panels::new(&x[i * block * k..], block, k), w, Store::Set),
                    Ready::Bf16(w, _) => {
                        let a = Operand::new(&packed[i * len..], block, k, 1);
                        bf16::product(y, a.whole(), w.whole(), Store::Set);
                    }
                }
            });
        });
        best = best.max(2.0 * (m * k * n) as f64 / began.elapsed().as_secs_f64() / 1e9);
    }
    best
}

pub fn run(args: &[String]) {
    let [shape, of, threads] = args else { panic!("worker SHAPE PRECISION THREADS") };
    let shape = SHAPES.iter().find(|s| s.name == shape).unwrap();
    let (precision, threads) = (precision(of).unwrap(), threads.parse().unwrap());
    let engine = Fast::new(&shape.model(), shape.vocabulary, 1, threads, precision).unwrap();
    let mut worker = Work::new(shape, engine);
    let mut pool = None;
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["memory"] => println!("{}", peak_memory()),
            ["peak"] => {
                let make = || rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                println!("{}", peak(precision, pool.get_or_insert_with(make)));
            }
            ["count", length, steps] => {
                let (length, steps) = (length.parse().unwrap(), steps.parse().unwrap());
                worker.train(length, 2);
                let (faults, allocations) = (minor_faults(), ALLOCATIONS.load(Ordering::Relaxed));
                worker.train(length, steps);
                // The batch's two vectors are not the engine's.
                let allocations = (ALLOCATIONS.load(Ordering::Relaxed) - allocations) as f64 - 2.0 * steps as f64;
                println!("{} {}", (minor_faults() - faults) / steps as f64, allocations / steps as f64);
            }
            [length, steps] => println!("{}", worker.train(length.parse().unwrap(), steps.parse().unwrap())),
            _ => panic!("{line}"),
        }
    }
}
