//! Matrix products with bf16 inputs and f32 accumulation, over operands packed into tiles.
//!
//! A product contracts over its *depth*. Both operands are cut into tiles of 16 rows or columns (their *outer* dimension) by
//! 32 of depth, a tile being 16 x 16 *pairs*: two bf16 values, neighbours in depth, in one `u32` (the earlier in its low
//! half). The left operand's tiles are `[outer][pair]`, the right one's `[pair][outer]`, which is what AMX, `vdpbf16ps` and
//! the portable loop all want. Tiles stand `[outer tile][depth tile]`; missing rows, columns and depth are zeros. Results
//! are in f32, in panels or plain rows.
//!
//! Accumulation runs in one fixed order per kernel, so a product's bits depend on the processor's kind, but neither on
//! threads nor on how a product is cut along its outer dimensions. This file owns the format and the loops over blocks;
//! `pack` fills operands; the other files compute one block of 32 x 32.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod pack;
mod portable;

use std::sync::OnceLock;

use super::panels::{Onto, Out, Store, strip_by_strip};
use super::simd::{LANES, vectorised};
use super::transpose;

pub use pack::{Side, Source, pack, round};

/// Pairs in a tile.
pub const TILE: usize = transpose::TILE;
/// Rows or columns of a tile.
const OUTER: usize = transpose::SIDE;
/// Depth of a tile.
pub const DEPTH: usize = 32;
/// Rows and columns of one block of a result.
const BLOCK: usize = 2 * OUTER;
/// Depth tiles that a kernel takes at once: both panels then stay in the first two caches.
const CHUNK: usize = 16;

/// Pairs that a packed operand takes.
pub fn packed_len(outer: usize, depth: usize) -> usize {
    outer.div_ceil(OUTER) * depth.div_ceil(DEPTH) * TILE
}

/// A packed operand: outer tiles `first..` of one or several segments that follow each other in depth.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    data: &'a [u32],
    outer: usize,
    depth_tiles: usize,
    segments: usize,
}

impl<'a> Operand<'a> {
    /// An operand of `outer` rows or columns in `segments` segments of `depth` each, as [`pack`] fills them one by one.
    ///
    /// # Panics
    /// If the data are shorter.
    pub fn new(data: &'a [u32], outer: usize, depth: usize, segments: usize) -> Self {
        let length = segments * packed_len(outer, depth);
        assert!(data.len() >= length, "{} pairs for an operand of {length}", data.len());
        Self { data: &data[..length], outer, depth_tiles: depth.div_ceil(DEPTH), segments }
    }

    /// Rows or columns.
    pub fn outer(&self) -> usize {
        self.outer
    }

    /// Pairs from one segment to the next.
    fn segment(&self) -> usize {
        self.outer.div_ceil(OUTER) * self.depth_tiles * TILE
    }
}

/// Which rows or columns of a packed operand take part.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    of: Operand<'a>,
    first_tile: usize,
    outer: usize,
}

impl<'a> Operand<'a> {
    /// All of it.
    pub fn whole(self) -> Part<'a> {
        self.part(0, self.outer)
    }

    /// `outer` rows or columns from `first` on.
    ///
    /// # Panics
    /// If `first` is no tile's beginning, or the part exceeds the operand.
    pub fn part(self, first: usize, outer: usize) -> Part<'a> {
        assert!(first.is_multiple_of(OUTER) && first + outer <= self.outer, "{first}+{outer} of {}", self.outer);
        Part { of: self, first_tile: first / OUTER, outer }
    }
}

impl Part<'_> {
    fn tiles(&self) -> usize {
        self.outer.div_ceil(OUTER)
    }

    /// Where the panel of an outer tile begins. A missing second tile of a block is replaced by the first.
    fn panel(&self, tile: usize, segment: usize, depth_tile: usize) -> *const u32 {
        let tile = self.first_tile + if tile < self.tiles() { tile } else { tile - 1 };
        let at = segment * self.of.segment() + (tile * self.of.depth_tiles + depth_tile) * TILE;
        &raw const self.of.data[at]
    }
}

/// Where a kernel puts a 32 x 32 block.
#[derive(Clone, Copy)]
struct Block {
    data: *mut f32,
    /// Elements from one row to the next.
    row: usize,
    /// Elements from one 16 columns to the next.
    panel: usize,
    is_added: bool,
}

/// What a kernel multiplies: two panels of tiles on either side, in `segments` runs of `tiles` tiles each.
#[derive(Clone, Copy)]
struct Panels {
    a: [*const u32; 2],
    b: [*const u32; 2],
    tiles: usize,
    segments: usize,
    /// Pairs between the beginnings of two segments.
    a_segment: usize,
    b_segment: usize,
}

/// What computes a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// AMX tiles.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// `vdpbf16ps`.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Any processor.
    Portable,
}

impl Kernel {
    /// All that this processor can run, the fastest first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if amx::is_available() {
                all.push(Self::Amx);
            }
            if avx512::is_available() {
                all.push(Self::Avx512);
            }
        }
        all.push(Self::Portable);
        all
    }

    /// The fastest of this processor.
    pub fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "AMX",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX512-BF16",
            Self::Portable => "emulated",
        }
    }
}

/// `c = a b + onto` by the fastest kernel // c (m, n), a (m, depth) left, b (depth, n) right operand
///
/// # Panics
/// If the shapes don't fit.
pub fn product<'a>(c: Out<'_>, a: Part<'_>, b: Part<'_>, onto: impl Into<Onto<'a>>) {
    product_by(Kernel::best(), c, a, b, onto.into(), |_, _| {});
}

/// `y = a b + onto`; calls `after` with the first column and the panels of each few panels that are done, while they are in
/// cache. // y (m, n) panels, a (m, depth) left, b (depth, n) right operand
///
/// # Panics
/// If the shapes don't fit.
pub fn product_then<'a>(
    y: &mut [f32],
    a: Part<'_>,
    b: Part<'_>,
    onto: impl Into<Onto<'a>>,
    after: impl FnMut(usize, &mut [f32]),
) {
    let (c, done) = strip_by_strip(y, a.outer, b.outer, after);
    product_by(Kernel::best(), c, a, b, onto.into(), done);
}

/// As [`product`], by a given kernel, which must be one of [`Kernel::available`]; says `after` which panels are done.
pub fn product_by(
    kernel: Kernel,
    c: Out<'_>,
    a: Part<'_>,
    b: Part<'_>,
    onto: Onto<'_>,
    after: impl FnMut(usize, usize),
) {
    assert_eq!(
        (a.of.depth_tiles, a.of.segments),
        (b.of.depth_tiles, b.of.segments),
        "the operands of a product differ in depth"
    );
    let (m, n) = c.shape();
    assert_eq!((m, n), (a.outer, b.outer), "shape of a product");
    // SAFETY: `blocks` hands out blocks inside `c` and panels inside the operands; kernels are available by contract.
    match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Amx => amx::configured(|| blocks(c, a, b, onto, |c, p| unsafe { amx::block(c, p) }, after)),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512 => blocks(c, a, b, onto, |c, p| unsafe { avx512::block(c, p) }, after),
        Kernel::Portable => blocks(c, a, b, onto, |c, p| unsafe { portable::block(c, p) }, after),
    }
}

/// Cuts a product into chunks of depth and blocks of 32 x 32.
#[inline(always)]
fn blocks(
    mut c: Out<'_>,
    a: Part<'_>,
    b: Part<'_>,
    onto: Onto<'_>,
    kernel: impl Fn(Block, Panels),
    mut after: impl FnMut(usize, usize),
) {
    let (m, n) = c.shape();
    if m == 0 || n == 0 {
        return;
    }
    onto.check(&c);
    let (row, panel) = c.steps();
    let data = c.data();
    let (depth_tiles, segments) = (a.of.depth_tiles, a.of.segments);
    // Several short segments at once, or one long segment in pieces.
    let together = (CHUNK / depth_tiles.max(1)).clamp(1, segments.max(1));
    let mut edge = [0.0f32; BLOCK * BLOCK];
    for segment in (0..segments).step_by(together) {
        for depth_tile in (0..depth_tiles).step_by(CHUNK) {
            let is_first = segment == 0 && depth_tile == 0;
            let is_last = segment + together >= segments && depth_tile + CHUNK >= depth_tiles;
            let is_added = onto.store == Store::Add || !is_first;
            for j in (0..n).step_by(BLOCK) {
                for i in (0..m).step_by(BLOCK) {
                    let (it, jt) = (i / OUTER, j / OUTER);
                    let panels = Panels {
                        a: [a.panel(it, segment, depth_tile), a.panel(it + 1, segment, depth_tile)],
                        b: [b.panel(jt, segment, depth_tile), b.panel(jt + 1, segment, depth_tile)],
                        tiles: (depth_tiles - depth_tile).min(CHUNK),
                        segments: (segments - segment).min(together),
                        a_segment: a.of.segment(),
                        b_segment: b.of.segment(),
                    };
                    let at = i * row + jt * panel;
                    let block = Block { data: data.wrapping_add(at), row, panel, is_added };
                    let (rows, columns) = ((m - i).min(BLOCK), (n - j).min(BLOCK));
                    if rows == BLOCK && columns == BLOCK {
                        kernel(block, panels);
                    } else {
                        // At the edges, in a block aside that begins with what stands in c, so that no bit differs.
                        let aside = Block { data: edge.as_mut_ptr(), row: BLOCK, panel: LANES, is_added };
                        // SAFETY: `rows` rows of `columns` columns lie inside c, which is borrowed exclusively.
                        unsafe { copy(aside, block, rows, columns) };
                        kernel(aside, panels);
                        // SAFETY: as above.
                        unsafe { copy(block, aside, rows, columns) };
                    }
                    if is_first && !onto.bias.is_empty() {
                        add_bias(block, rows, &onto.bias[j..j + columns]);
                    }
                    if is_first && !onto.residual.is_empty() {
                        add_residual(block, rows, columns, onto.residual.as_ptr().wrapping_add(at));
                    }
                }
                if is_last {
                    after(j / OUTER, (n - j).min(BLOCK).div_ceil(OUTER));
                }
            }
        }
    }
}

/// Copies rows of up to 32 columns.
///
/// # Safety
/// Both blocks have these rows and columns, and share none of them.
unsafe fn copy(to: Block, from: Block, rows: usize, columns: usize) {
    for r in 0..rows {
        for first in (0..columns).step_by(LANES) {
            // SAFETY: the caller's.
            unsafe { lanes(to, r, first, columns).copy_from_slice(lanes(from, r, first, columns)) };
        }
    }
}

/// Sixteen lanes of a row of a block, or fewer.
///
/// # Safety
/// The block has this row and these columns, and nothing else refers to them.
#[inline(always)]
unsafe fn lanes<'a>(block: Block, r: usize, first: usize, columns: usize) -> &'a mut [f32] {
    let at = block.data.wrapping_add(r * block.row + first / LANES * block.panel);
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts_mut(at, LANES.min(columns - first)) }
}

vectorised! {
    /// To a block of these rows and as many columns.
    fn add_bias(block: Block, rows: usize, bias: &[f32]) {
        for first in (0..bias.len()).step_by(LANES) {
            for r in 0..rows {
                // SAFETY: `blocks` passes blocks inside a result that is borrowed exclusively.
                let c = unsafe { lanes(block, r, first, bias.len()) };
                c.iter_mut().zip(&bias[first..]).for_each(|(c, b)| *c += b);
            }
        }
    }
}

vectorised! {
    /// To a block of these rows and columns, what is laid out as it is.
    fn add_residual(block: Block, rows: usize, columns: usize, residual: *const f32) {
        let other = Block { data: residual.cast_mut(), ..block };
        for first in (0..columns).step_by(LANES) {
            for r in 0..rows {
                // SAFETY: as above; the residual reaches as far as the result, and is only read.
                let (c, x) = unsafe { (lanes(block, r, first, columns), &*lanes(other, r, first, columns)) };
                c.iter_mut().zip(x).for_each(|(c, x)| *c += x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::panels::Depth;
    use super::*;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = crate::rng::keyed(seed, crate::rng::Purpose::InitialWeights, 0, 0);
        (0..n).map(|_| rng.normal() as f32).collect()
    }

    fn bf16(x: f32) -> f64 {
        f64::from(f32::from_bits(round(x) & 0xffff_0000))
    }

    /// Packs `segments` pieces of depth one after the other.
    fn packed(side: Side, along: Depth, src: &[f32], outer: usize, depth: usize, segments: usize) -> Vec<u32> {
        let each = depth / segments;
        let mut all = Vec::new();
        for s in 0..segments {
            let mut one = vec![7; packed_len(outer, each)];
            let src = match along {
                Depth::Columns => Source::rows(&src[s * each..], outer, each, depth),
                Depth::Rows => Source::rows(&src[s * each * outer..], each, outer, outer),
            };
            pack(&mut one, side, along, src, each);
            all.extend(one);
        }
        all
    }

    #[test]
    fn every_kernel_and_layout_gives_the_product_of_the_rounded_inputs() {
        // Full blocks, edges, odd tiles, several chunks, several segments.
        for (m, n, depth, segments) in
            [(64, 96, 64, 1), (7, 5, 9, 1), (33, 80, 31, 1), (48, 40, 1100, 1), (50, 64, 1280, 5), (1, 1, 1, 1)]
        {
            let (a, b) = (numbers(m * depth, 1), numbers(depth * n, 2));
            // Transposed copies: layouts must not matter.
            let at: Vec<f32> = (0..depth * m).map(|x| a[x % m * depth + x / m]).collect();
            let bt: Vec<f32> = (0..depth * n).map(|x| b[x % depth * n + x / depth]).collect();
            let lefts = [(Depth::Columns, &a), (Depth::Rows, &at)];
            let rights = [(Depth::Rows, &b), (Depth::Columns, &bt)];
            for kernel in Kernel::available() {
                for ((la, a), (lb, b)) in lefts.into_iter().zip(rights) {
                    let left = packed(Side::Left, la, a, m, depth, segments);
                    let right = packed(Side::Right, lb, b, n, depth, segments);
                    let left = Operand::new(&left, m, depth / segments, segments).whole();
                    let right = Operand::new(&right, n, depth / segments, segments).whole();
                    let stride = n + 3;
                    let mut c = vec![0.5; m * stride];
                    product_by(kernel, Out::rows(&mut c, m, n, stride), left, right, Store::Add.into(), |_, _| {});
                    for (x, &value) in c.iter().enumerate() {
                        let (i, j) = (x / stride, x % stride);
                        let terms = |i: usize, j: usize| {
                            (0..depth).map(move |l| bf16(lefts[0].1[i * depth + l]) * bf16(rights[0].1[l * n + j]))
                        };
                        let right = if j < n { terms(i, j).sum::<f64>() } else { 0.0 };
                        let size = if j < n { terms(i, j).map(f64::abs).sum::<f64>() } else { 0.0 };
                        let error = (f64::from(value) - 0.5 - right).abs();
                        assert!(error <= 1e-6 * (size + 1.0), "{kernel:?} ({m}, {n}, {depth}) at {i}, {j}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn how_a_product_is_cut_changes_no_bit() {
        let (m, n, depth) = (96, 64, 700);
        let left = packed(Side::Left, Depth::Columns, &numbers(m * depth, 3), m, depth, 1);
        let right = packed(Side::Right, Depth::Rows, &numbers(depth * n, 4), n, depth, 1);
        let (left, right) = (Operand::new(&left, m, depth, 1), Operand::new(&right, n, depth, 1));
        for kernel in Kernel::available() {
            let mut whole = vec![0.0; m * n];
            product_by(
                kernel,
                Out::rows(&mut whole, m, n, n),
                left.whole(),
                right.whole(),
                Store::Set.into(),
                |_, _| {},
            );
            let mut parts = vec![0.0; m * n];
            for (i, rows) in [(0, 48), (48, 16), (64, 32)] {
                for j in [0, 32] {
                    let out = Out::rows(&mut parts[i * n + j..], rows, 32, n);
                    product_by(kernel, out, left.part(i, rows), right.part(j, 32), Store::Set.into(), |_, _| {});
                }
            }
            assert!(whole == parts, "{kernel:?}");
        }
    }

    #[test]
    #[should_panic(expected = "shape")]
    fn a_result_too_short_is_refused() {
        let data = [0; TILE];
        let operand = Operand::new(&data, 16, 32, 1).whole();
        product(Out::rows(&mut [0.0; 240], 15, 16, 16), operand, operand, Store::Set);
    }
}
