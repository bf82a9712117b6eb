//! Matrix products in f32 over panels, by the calling thread: nothing packed, nothing allocated.
//!
//! Elements of the left operand are broadcast, panels of the right one are read a row (16 lanes) at a time. Each element
//! of a result sums over depth in order, by fused multiplications, in chunks of `CHUNK`: how a product is cut changes no
//! bit, nor does the kernel. This file owns the loops over blocks; the others compute one block in registers.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::panels::{Onto, Out, Panels, Store, strip_by_strip};
use super::simd::LANES;
#[cfg(target_arch = "x86_64")]
use super::simd::{Level, level};

/// Depth that a kernel sums in registers: its part of three panels of the right operand takes 48 KiB.
const CHUNK: usize = 256;

/// One block of a product as a kernel takes it: rows by panels.
#[derive(Clone, Copy)]
struct Block {
    /// The left operand's first element, and elements from 16 of depth to the next 16 where depth runs along lanes.
    a: *const f32,
    a_step: usize,
    /// The right operand's first row, and elements from one panel to the next.
    b: *const f32,
    b_panel: usize,
    depth: usize,
    /// The result, elements from one row and one panel to the next, and how many lanes of the last panel count.
    c: *mut f32,
    c_row: usize,
    c_panel: usize,
    lanes: usize,
    /// What is added, laid out as `c` is, and a row that is; or null.
    onto: *const f32,
    bias: *const f32,
    /// Where to fetch from, into the second cache: a line for each panel and 16 of depth.
    ahead: *const f32,
}

/// Memory that the next product will read: it is fetched while this one computes. Each panel, eight rows and 16 of depth
/// fetch a line, so that a product of 256 rows, columns and depth fetches two such operands.
#[derive(Clone, Copy, Default)]
pub struct Ahead<'a>(pub [&'a [f32]; 2]);

impl Ahead<'_> {
    /// Takes `lines` cache lines off what is to be fetched.
    #[inline(always)]
    fn take(&mut self, lines: usize) -> Option<*const f32> {
        let [now, next] = &mut self.0;
        if now.is_empty() {
            (*now, *next) = (std::mem::take(next), &[]);
        }
        let (taken, rest) = now.split_at((lines * LANES).min(now.len()));
        *now = rest;
        (!taken.is_empty()).then_some(taken.as_ptr())
    }
}

/// `by` elements further, unless it is null.
#[inline(always)]
fn further(p: *const f32, by: usize) -> *const f32 {
    if p.is_null() { p } else { p.wrapping_add(by) }
}

/// `c = a b + onto` // c (m, n), a (m, k), b (k, n)
///
/// # Panics
/// If the shapes don't fit.
pub fn product<'a>(c: Out<'_>, a: Panels<'_>, b: Panels<'_>, onto: impl Into<Onto<'a>>) {
    let (m, depth) = a.shape();
    go::<false>(c, a, b, m, depth, onto.into(), Ahead::default(), |_, _| {});
}

/// `y = a b + onto`; calls `after` with the first column and the panels of each few panels that are done, while they are in
/// cache. // y (m, n) panels, a (m, k), b (k, n)
///
/// # Panics
/// If the shapes don't fit.
pub fn product_then<'a>(
    y: &mut [f32],
    a: Panels<'_>,
    b: Panels<'_>,
    onto: impl Into<Onto<'a>>,
    after: impl FnMut(usize, &mut [f32]),
) {
    let (m, depth) = a.shape();
    let (c, done) = strip_by_strip(y, m, b.shape().1, after);
    go::<false>(c, a, b, m, depth, onto.into(), Ahead::default(), done);
}

/// `c = a^T b + onto` // c (m, n), a (k, m), b (k, n)
///
/// # Panics
/// If the shapes don't fit.
pub fn product_of_transposed<'a>(
    c: Out<'_>,
    a: Panels<'_>,
    b: Panels<'_>,
    onto: impl Into<Onto<'a>>,
    ahead: Ahead<'_>,
) {
    let (depth, m) = a.shape();
    go::<true>(c, a, b, m, depth, onto.into(), ahead, |_, _| {});
}

/// Cuts a product into chunks of depth and blocks of up to eight rows and three panels; says `after` which panels are done. `ACROSS`: depth runs across the
/// rows of `a` rather than along them.
#[allow(clippy::too_many_arguments)]
fn go<const ACROSS: bool>(
    mut c: Out<'_>,
    a: Panels<'_>,
    b: Panels<'_>,
    m: usize,
    depth: usize,
    onto: Onto<'_>,
    mut ahead: Ahead<'_>,
    mut after: impl FnMut(usize, usize),
) {
    let (b_rows, n) = b.shape();
    assert_eq!(depth, b_rows, "inner dimensions of a product");
    assert_eq!(c.shape(), (m, n), "shape of a product");
    if m == 0 || n == 0 {
        return;
    }
    onto.check(&c);
    let (c_row, c_panel) = c.steps();
    let panels = n.div_ceil(LANES);
    let ((a, a_step), (b, b_panel), c) = (a.layout(), b.layout(), c.data());
    for first in (0..depth.max(1)).step_by(CHUNK) {
        let added = match (first, onto.store, onto.residual) {
            (0, Store::Set, []) => std::ptr::null(),
            (0, Store::Set, residual) => residual.as_ptr(),
            _ => c.cast_const(),
        };
        let bias = if first == 0 && !onto.bias.is_empty() { onto.bias.as_ptr() } else { std::ptr::null() };
        let mut t = 0;
        while t < panels {
            // Never a single panel behind three if two and two will do.
            let count = match panels - t {
                4 => 2,
                left => left.min(3),
            };
            let a_first = if ACROSS { first * LANES } else { first / LANES * a_step };
            let block = Block {
                a: a.as_ptr().wrapping_add(a_first),
                a_step,
                b: b.as_ptr().wrapping_add(t * b_panel + first * LANES),
                b_panel,
                depth: (depth - first).min(CHUNK),
                c: c.wrapping_add(t * c_panel),
                c_row,
                c_panel,
                lanes: (n - (t + count - 1) * LANES).min(LANES),
                onto: further(added, t * c_panel),
                bias: further(bias, t * LANES),
                ahead: a.as_ptr(),
            };
            // SAFETY: `Panels` and `Out` hold `depth` and `m` rows and `n` columns, of which each block is a part; residual
            // and bias are as long as the result, by the assertions above. `c` is borrowed exclusively. The level says
            // what the processor has.
            unsafe { strip::<ACROSS>(block, count, m, &mut ahead) };
            if first + CHUNK >= depth {
                after(t, count);
            }
            t += count;
        }
    }
}

/// One strip of `count` panels, all rows.
///
/// # Safety
/// As [`Block`] says, for `m` rows and `count` panels.
#[inline(always)]
unsafe fn strip<const ACROSS: bool>(block: Block, count: usize, m: usize, ahead: &mut Ahead<'_>) {
    // The rows from i on. In a transposed left operand they begin at lane i % 16 of panel i / 16.
    let from = |i: usize| {
        let a = if ACROSS { i / LANES * block.a_step + i % LANES } else { i * LANES };
        let down = i * block.c_row;
        Block { a: block.a.wrapping_add(a), c: block.c.wrapping_add(down), onto: further(block.onto, down), ..block }
    };
    #[cfg(target_arch = "x86_64")]
    if level() == Level::Avx512 {
        let whole = m / avx512::ROWS * avx512::ROWS;
        for i in (0..whole).step_by(avx512::ROWS) {
            let ahead = ahead.take(count * block.depth.div_ceil(LANES)).unwrap_or(block.ahead);
            // SAFETY: the caller's, for these rows.
            unsafe { avx512::block::<{ avx512::ROWS }, ACROSS>(Block { ahead, ..from(i) }, count) };
        }
        for i in whole..m {
            // SAFETY: as above.
            unsafe { avx512::block::<1, ACROSS>(from(i), count) };
        }
        return;
    }
    let whole = m / portable::ROWS * portable::ROWS;
    for i in (0..whole).step_by(portable::ROWS) {
        // SAFETY: the caller's, for these rows.
        unsafe { portable::rows::<ACROSS>(from(i), count) };
    }
    for i in whole..m {
        // SAFETY: as above.
        unsafe { portable::row::<ACROSS>(from(i), count) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::panels::{from_rows, padded, to_rows};
    use super::*;
    use crate::kernels::simd::{Level, force};

    fn panels(rows: &[f32], width: usize) -> Vec<f32> {
        // What stands behind the last column must not matter.
        let mut panels = vec![f32::NAN; rows.len() / width * padded(width)];
        from_rows(&mut panels, rows, width);
        panels
    }

    #[test]
    fn products_of_any_shape_are_right_with_any_kernel() {
        let number = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 16.0;
        for (m, n, k) in [(8, 32, 4), (1, 1, 1), (19, 70, 13), (64, 64, 128), (9, 31, 3), (21, 48, 600)] {
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let at: Vec<f32> = (0..m * k).map(|x| a[x % m * k + x / m]).collect();
            let b: Vec<f32> = (0..k * n).map(|i| number(i + 7)).collect();
            let bias: Vec<f32> = (0..n).map(|i| number(i + 3)).collect();
            let old: Vec<f32> = (0..m * n).map(|i| number(i + 5)).collect();
            let (a_panels, at_panels, b_panels, old_panels) =
                (panels(&a, k), panels(&at, m), panels(&b, n), panels(&old, n));
            let (a_panels, at_panels) = (Panels::new(&a_panels, m, k), Panels::new(&at_panels, k, m));
            let b_panels = Panels::new(&b_panels, k, n);
            let exact =
                |x: usize| (0..k).map(|l| f64::from(a[x / n * k + l]) * f64::from(b[l * n + x % n])).sum::<f64>();
            let check = |c: &[f32], what: &str, more: &dyn Fn(usize) -> f32| {
                for (x, &value) in c.iter().enumerate() {
                    let right = exact(x) + f64::from(more(x));
                    assert!((f64::from(value) - right).abs() < 2e-3, "({m}, {n}, {k}) {what} {x}: {value} {right}");
                }
            };
            let mut all = Vec::new();
            for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
                force(level);
                for is_transposed in [false, true] {
                    let run = |c: Out<'_>, onto: Onto<'_>| match is_transposed {
                        false => product(c, a_panels, b_panels, onto),
                        true => product_of_transposed(c, at_panels, b_panels, onto, Ahead::default()),
                    };
                    // Plain rows with a gap, added to.
                    let mut c = vec![0.25; m * (n + 3)];
                    run(Out::rows(&mut c, m, n, n + 3), Store::Add.into());
                    assert!(c.iter().enumerate().all(|(x, &gap)| x % (n + 3) < n || gap == 0.25), "({m}, {n}, {k})");
                    let c: Vec<f32> = c.chunks(n + 3).flat_map(|row| row[..n].to_vec()).collect();
                    check(&c, "rows", &|_| 0.25);
                    // Panels, with bias and residual.
                    let mut p = vec![f32::NAN; m * padded(n)];
                    let onto = Onto { store: Store::Set, bias: &bias, residual: &old_panels };
                    run(Out::panels(&mut p, m, n), onto);
                    let mut rows = vec![0.0; m * n];
                    to_rows(&mut rows, Panels::new(&p, m, n));
                    check(&rows, "panels", &|x| bias[x % n] + old[x]);
                    all.push([c, rows]);
                }
            }
            force(Level::Avx512);
            assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "({m}, {n}, {k}): kernels differ");
        }
    }

    #[test]
    fn parts_of_a_product_have_the_bits_of_the_whole() {
        let (m, n, k) = (48, 80, 300);
        let number = |i: usize| ((i * 53 % 97) as f32 - 48.0) / 7.0;
        let (a, b): (Vec<f32>, Vec<f32>) = ((0..m * k).map(number).collect(), (0..k * n).map(number).collect());
        let (a, b) = (panels(&a, k), panels(&b, n));
        let (a, b) = (Panels::new(&a, m, k), Panels::new(&b, k, n));
        let (mut whole, mut parts) = (vec![0.0; m * n], vec![0.0; m * n]);
        product(Out::rows(&mut whole, m, n, n), a, b, Store::Set);
        for (rows, columns) in [(0..13, 0..80), (13..48, 0..32), (13..48, 32..80)] {
            let out = Out::rows(&mut parts, m, n, n);
            // SAFETY: one at a time.
            let out = unsafe { out.part(rows.clone(), columns.clone()) };
            product(out, a.rows(rows), b.columns(columns), Store::Set);
        }
        assert!(whole == parts);
    }

    #[test]
    #[should_panic(expected = "inner dimensions")]
    fn shapes_that_do_not_fit_are_refused() {
        let data = [0.0; 64];
        product(Out::rows(&mut [0.0; 4], 2, 2, 2), Panels::new(&data, 2, 3), Panels::new(&data, 2, 2), Store::Set);
    }
}
