//! One function per kernel: checks that memory covers the shapes, lays out grid and arguments.
//!
//! The constants at the top are the kernels' own. Shapes are in the docs of `source/*.cu`; M = rows, C = width.
#![allow(unsafe_code)]

use anyhow::Result;

use super::device::{Argument, Device, Kind, Span};
use super::product::{self, End, Form};
use super::source::Shape;

/// Rows of a block of [`Kernels::norm_backward`].
const NORM_ROWS: usize = 64;
/// Rows of a block of the passes that sum over rows.
const BAND: usize = 64;
/// Columns of such a block.
const BAND_COLUMNS: usize = 256;
/// Warps, and so rows, of a block of passes over rows.
const ROW_WARPS: usize = 8;
/// Queries or keys of a block of plain attention.
const ATTENTION_WARPS: usize = 4;
/// The same on the tensor cores.
const TILE: usize = 64;
/// Elements of a block of sums of squares.
const SQUARES: usize = 8192;
/// The most parameters that one buffer may have for [`Kernels::adamw`].
pub const MOST_PARAMETERS: usize = 16;

/// A device with the kernels for one shape of model.
pub struct Kernels {
    device: Box<dyn Device>,
    shape: Shape,
}

/// A norm's gain and shift // (C) each
pub type Norm<'a> = [Span<'a>; 2];

/// What [`Kernels::add_norm`] reads and writes; what is `None` is left out.
#[derive(Clone, Copy, Default)]
pub struct AddNorm<'a> {
    /// The residual stream // f32 (M, C)
    pub x: Option<Span<'a>>,
    /// The branch // (M, C)
    pub y: Option<Span<'a>>,
    /// The branch's bias // (C)
    pub bias: Option<Span<'a>>,
    /// Factor on branch and bias.
    pub factor: f32,
    /// Gain and shift.
    pub norm: Option<Norm<'a>>,
    /// `x + factor (y + bias)` // f32 (M, C)
    pub sum: Option<Span<'a>>,
    /// Mean and reciprocal deviation of each row // (M, 2)
    pub stats: Option<Span<'a>>,
    /// The norm of the sum, or the sum // f32 (M, C)
    pub normed: Option<Span<'a>>,
    /// The same, as activations are kept // (M, C)
    pub copy: Option<Span<'a>>,
}

/// What [`Kernels::norm_backward`] reads and writes.
#[derive(Clone, Copy)]
pub struct NormBackward<'a> {
    /// The gradient of the norm's output, as activations are kept or f32 // (M, C)
    pub dy: Span<'a>,
    /// The norm's input // f32 (M, C)
    pub x: Span<'a>,
    /// (M, 2)
    pub stats: Span<'a>,
    /// (C)
    pub gain: Span<'a>,
    /// What else flows into the input's gradient // f32 (M, C)
    pub residual: Option<Span<'a>>,
    /// The input's gradient // f32 (M, C)
    pub dx: Span<'a>,
    /// `factor * dx` // (M, C)
    pub copy: Option<Span<'a>>,
    /// See `copy`.
    pub factor: f32,
}

/// Scalar factors of the parameters of one buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// Where each ends: its first element behind it, a multiple of 4.
    pub ends: Vec<u64>,
    /// 1 - learning rate * decay.
    pub keep: Vec<f32>,
    /// Learning rate over the first moment's correction.
    pub rate: Vec<f32>,
    /// One over the root of the second moment's correction.
    pub root: Vec<f32>,
    /// Decay rates of the moments, one minus those, epsilon, factor on the gradient.
    pub common: [f32; 6],
}

impl Factors {
    /// As `source/optimizer.cu` has them.
    ///
    /// # Panics
    /// If there are none, or more than [`MOST_PARAMETERS`].
    fn words(&self) -> Vec<u64> {
        let n = self.ends.len();
        assert!(n > 0 && n <= MOST_PARAMETERS && self.ends.iter().all(|end| end.is_multiple_of(4)), "{:?}", self.ends);
        // Behind the last, as of the last.
        let padded = |values: &[f32]| -> Vec<f32> { (0..MOST_PARAMETERS).map(|i| values[i.min(n - 1)]).collect() };
        let floats = [padded(&self.keep), padded(&self.rate), padded(&self.root), self.common.to_vec()].concat();
        let pairs = floats.chunks_exact(2).map(|p| u64::from(p[0].to_bits()) | u64::from(p[1].to_bits()) << 32);
        (0..MOST_PARAMETERS).map(|i| self.ends.get(i).copied().unwrap_or(u64::MAX)).chain(pairs).collect()
    }
}

/// A batch for attention.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    /// B
    pub sequences: usize,
    /// T
    pub context: usize,
    /// H, those that are computed.
    pub heads: usize,
    /// Whether a position sees only itself and those before it.
    pub is_causal: bool,
    /// How many leading positions see one another all the same // u32 (B)
    pub prefixes: Option<Span<'a>>,
}

/// Whether an exact GELU, or GPT-2's form with tanh.
pub use crate::kernels::gelu::Gelu;

/// An argument, with what the kernel needs of it.
enum Needs<'a> {
    /// So many elements of a kind, or none at all.
    Of(Option<Span<'a>>, Kind, usize),
    Int(usize),
    Flag(bool),
    Float(f32),
    Long(usize),
    Struct(Vec<u64>),
}

use Needs::{Flag, Float, Int, Long};

/// Blocks for so many elements, one a thread, that are counted in 32 bits.
fn elements(n: usize) -> [usize; 2] {
    assert!(n < 1 << 32, "{n} elements in one launch");
    [n.div_ceil(256), 1]
}

fn f32s(span: Span<'_>, len: usize) -> Needs<'_> {
    Needs::Of(Some(span), Kind::F32, len)
}

fn u32s(span: Span<'_>, len: usize) -> Needs<'_> {
    Needs::Of(Some(span), Kind::U32, len)
}

fn maybe_f32s(span: Option<Span<'_>>, len: usize) -> Needs<'_> {
    Needs::Of(span, Kind::F32, len)
}

impl Kernels {
    /// The kernels of a device for a shape that it was opened for.
    pub fn new(device: Box<dyn Device>, shape: Shape) -> Self {
        Self { device, shape }
    }

    /// What computes.
    pub fn device(&self) -> &dyn Device {
        self.device.as_ref()
    }

    /// What the kernels were compiled for.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    fn store<'a>(&self, span: Span<'a>, len: usize) -> Needs<'a> {
        Needs::Of(Some(span), self.shape.store, len)
    }

    fn maybe_store<'a>(&self, span: Option<Span<'a>>, len: usize) -> Needs<'a> {
        Needs::Of(span, self.shape.store, len)
    }

    /// Asks for a kernel. Callers name the kernel's parameters in order, each with all that this grid touches of it.
    ///
    /// # Panics
    /// If a span is shorter than that or of another kind.
    fn run(&self, kernel: &'static str, grid: [usize; 2], threads: usize, needs: Vec<Needs<'_>>) -> Result<()> {
        if grid.contains(&0) {
            // Nothing to do, as for the parameters behind the layers of a model that has none.
            return Ok(());
        }
        let arguments = needs.into_iter().enumerate().map(|(i, needs)| match needs {
            Needs::Of(None, ..) => Argument::Address(0),
            Needs::Of(Some(span), kind, len) => {
                let is_enough = span.kind() == kind && span.len() >= len;
                assert!(is_enough, "{kernel}: argument {i} must be {len} elements of {kind:?}, not {span:?}");
                Argument::Address(span.address())
            }
            Int(n) => Argument::Int(u32::try_from(n).unwrap_or(u32::MAX)),
            Flag(is) => Argument::Int(u32::from(is)),
            Float(x) => Argument::Float(x),
            Long(n) => Argument::Long(n as u64),
            Needs::Struct(words) => Argument::Struct(words),
        });
        let arguments: Vec<_> = arguments.collect();
        // SAFETY: this is private; each caller below lists the kernel's parameters as its text has them, and what was just
        // checked is what its loops touch. Spans borrow the memory, so it is alive, and the device frees memory only behind
        // what was asked for before.
        unsafe { self.device.launch(kernel, grid, threads, &arguments) }
    }

    /// A product of row-major matrices: [`product::multiply`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn multiply<'a>(
        &self,
        c: Span<'a>,
        form: Form,
        factors: [Span<'a>; 2],
        shape: [usize; 3],
        end: End<'a>,
    ) -> Result<()> {
        product::multiply(self.device(), c, form, factors, shape, end)
    }

    /// `sum = x + factor (y + bias)`, and its norm // of `rows` rows
    ///
    /// # Errors
    /// If the device fails.
    pub fn add_norm(&self, a: AddNorm<'_>, rows: usize) -> Result<()> {
        let c = self.shape.width;
        let m = rows * c;
        let [gain, shift] = a.norm.map_or([None; 2], |norm| norm.map(Some));
        let needs = vec![
            maybe_f32s(a.x, m),
            self.maybe_store(a.y, m),
            maybe_f32s(a.bias, c),
            Float(a.factor),
            maybe_f32s(gain, c),
            maybe_f32s(shift, c),
            maybe_f32s(a.sum, m),
            maybe_f32s(a.stats, 2 * rows),
            maybe_f32s(a.normed, m),
            self.maybe_store(a.copy, m),
            Int(rows),
        ];
        self.run("add_norm", [rows.div_ceil(ROW_WARPS), 1], ROW_WARPS * 32, needs)
    }

    /// How many rows of three sums [`Self::norm_backward`] writes.
    pub fn norm_blocks(rows: usize) -> usize {
        rows.div_ceil(NORM_ROWS)
    }

    /// A norm's backward pass. Each block's sums for the gradients of gain, shift and the bias before go to `partials` //
    /// (norm_blocks(M), 3, C)
    ///
    /// # Errors
    /// If the device fails.
    pub fn norm_backward(&self, b: NormBackward<'_>, partials: Span<'_>, rows: usize) -> Result<()> {
        let c = self.shape.width;
        let m = rows * c;
        let blocks = Self::norm_blocks(rows);
        let [kept, single] = if b.dy.kind() == self.shape.store { [Some(b.dy), None] } else { [None, Some(b.dy)] };
        let needs = vec![
            self.maybe_store(kept, m),
            maybe_f32s(single, m),
            f32s(b.x, m),
            f32s(b.stats, 2 * rows),
            f32s(b.gain, c),
            maybe_f32s(b.residual, m),
            f32s(b.dx, m),
            self.maybe_store(b.copy, m),
            Float(b.factor),
            f32s(partials, blocks * 3 * c),
            Int(rows),
        ];
        self.run("norm_backward", [blocks, 1], ROW_WARPS * 32, needs)
    }

    /// How many rows of sums the passes that sum over bands of rows write.
    pub fn bands(rows: usize) -> usize {
        rows.div_ceil(BAND)
    }

    fn band_grid(rows: usize, n: usize) -> [usize; 2] {
        [n.div_ceil(BAND_COLUMNS), Self::bands(rows)]
    }

    /// `act = gelu(pre + bias)` // act, pre (M, n), bias (n)
    ///
    /// # Errors
    /// If the device fails.
    pub fn gelu_forward(
        &self,
        kind: Gelu,
        act: Span<'_>,
        pre: Span<'_>,
        bias: Span<'_>,
        [rows, n]: [usize; 2],
    ) -> Result<()> {
        let m = rows * n;
        let is_exact = Flag(kind == Gelu::Erf);
        let needs = vec![self.store(act, m), self.store(pre, m), f32s(bias, n), Int(rows), Int(n), is_exact];
        self.run("gelu_forward", Self::band_grid(rows, n), BAND_COLUMNS / 2, needs)
    }

    /// `d *= gelu'(pre + bias)`, its sums over each band of rows in `partials` // d, pre (M, n), bias (n), partials
    /// (bands(M), n)
    ///
    /// # Errors
    /// If the device fails.
    pub fn gelu_backward(
        &self,
        kind: Gelu,
        d: Span<'_>,
        [pre, bias]: [Span<'_>; 2],
        partials: Span<'_>,
        [rows, n]: [usize; 2],
    ) -> Result<()> {
        let m = rows * n;
        let partials = f32s(partials, Self::bands(rows) * n);
        let is_exact = Flag(kind == Gelu::Erf);
        let needs = vec![self.store(d, m), self.store(pre, m), f32s(bias, n), partials, Int(rows), Int(n), is_exact];
        self.run("gelu_backward", Self::band_grid(rows, n), BAND_COLUMNS / 2, needs)
    }

    /// Sums over each band of rows // d (M, n), partials (bands(M), n)
    ///
    /// # Errors
    /// If the device fails.
    pub fn column_sums(&self, partials: Span<'_>, d: Span<'_>, [rows, n]: [usize; 2]) -> Result<()> {
        let needs = vec![f32s(partials, Self::bands(rows) * n), self.store(d, rows * n), Int(rows), Int(n)];
        self.run("column_sums", Self::band_grid(rows, n), BAND_COLUMNS / 2, needs)
    }

    /// `dx = residual + dy`, `copy = factor * dx`, and the copy's sums over each band of rows // (M, C), partials (bands(M),
    /// C)
    ///
    /// # Errors
    /// If the device fails.
    pub fn add_gradient(
        &self,
        [residual, dx, partials]: [Option<Span<'_>>; 3],
        [dy, copy]: [Option<Span<'_>>; 2],
        factor: f32,
        rows: usize,
    ) -> Result<()> {
        let c = self.shape.width;
        let m = rows * c;
        let needs = vec![
            maybe_f32s(residual, m),
            self.maybe_store(dy, m),
            maybe_f32s(dx, m),
            self.maybe_store(copy, m),
            Float(factor),
            maybe_f32s(partials, Self::bands(rows) * c),
            Int(rows),
            Int(c),
        ];
        self.run("add_gradient", Self::band_grid(rows, c), BAND_COLUMNS / 2, needs)
    }

    /// `to (+)= ` the sum of `count` partial sums of n that begin `stride` apart.
    ///
    /// # Errors
    /// If the device fails.
    pub fn reduce(&self, to: Span<'_>, partials: Span<'_>, [count, stride]: [usize; 2], is_added: bool) -> Result<()> {
        let n = to.len();
        let needs = vec![
            f32s(to, n),
            f32s(partials, (count - 1) * stride + n),
            Int(count),
            Int(stride),
            Int(n),
            Flag(is_added),
        ];
        self.run("reduce", [n.div_ceil(32), 1], 256, needs)
    }

    /// Makes the copy that products read.
    ///
    /// # Errors
    /// If the device fails.
    pub fn cast(&self, to: Span<'_>, from: Span<'_>) -> Result<()> {
        let n = from.len();
        self.run("cast", [n.div_ceil(256), 1], 256, vec![self.store(to, n), f32s(from, n), Long(n)])
    }

    /// `to[i] = from[rows[i]]` // to (P, C), from (M, C), rows (P), each below M
    ///
    /// # Errors
    /// If the device fails.
    pub fn gather_rows(&self, to: Span<'_>, from: Span<'_>, rows: Span<'_>) -> Result<()> {
        let (c, count) = (self.shape.width, rows.len());
        let needs = vec![f32s(to, count * c), f32s(from, from.len()), u32s(rows, count), Int(count), Int(c)];
        self.run("gather_rows", elements(count * c), 256, needs)
    }

    /// The way back // to (M, C), from (P, C), place i32 (M): -1, or a row below P
    ///
    /// # Errors
    /// If the device fails.
    pub fn scatter_rows(&self, to: Span<'_>, from: Span<'_>, place: Span<'_>) -> Result<()> {
        let (c, rows) = (self.shape.width, place.len());
        let place = Needs::Of(Some(place), Kind::I32, rows);
        let needs = vec![f32s(to, rows * c), f32s(from, from.len()), place, Int(rows), Int(c)];
        self.run("scatter_rows", elements(rows * c), 256, needs)
    }

    /// Some rows and columns of a matrix of `width` columns // part (rows.len(), columns.len())
    ///
    /// # Errors
    /// If the device fails.
    pub fn gather_part(
        &self,
        part: Span<'_>,
        whole: Span<'_>,
        [rows, columns]: [Span<'_>; 2],
        width: usize,
    ) -> Result<()> {
        let (r, c) = (rows.len(), columns.len());
        let (part, whole) = (f32s(part, r * c), f32s(whole, whole.len()));
        let needs = vec![part, whole, u32s(rows, r), u32s(columns, c), Int(r), Int(c), Int(width)];
        self.run("gather_part", elements(r * c), 256, needs)
    }

    /// And back into it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn scatter_part(
        &self,
        whole: Span<'_>,
        part: Span<'_>,
        [rows, columns]: [Span<'_>; 2],
        width: usize,
    ) -> Result<()> {
        let (r, c) = (rows.len(), columns.len());
        let (whole, part) = (f32s(whole, whole.len()), f32s(part, r * c));
        let needs = vec![whole, part, u32s(rows, r), u32s(columns, c), Int(r), Int(c), Int(width)];
        self.run("scatter_part", elements(r * c), 256, needs)
    }

    /// Losses of rows of logits; with a scale, the logits' gradient in their place // logits (P, stride), bias f32
    /// (vocabulary), targets i32 (P), losses (P)
    ///
    /// # Panics
    /// If the stride is no multiple of 8 or less than the vocabulary.
    ///
    /// # Errors
    /// If the device fails.
    pub fn cross_entropy(
        &self,
        logits: Span<'_>,
        bias: Option<Span<'_>>,
        targets: Span<'_>,
        losses: Span<'_>,
        scale: Option<f32>,
        [vocabulary, stride]: [usize; 2],
    ) -> Result<()> {
        assert!(stride.is_multiple_of(8) && stride >= vocabulary, "{vocabulary} logits in rows of {stride}");
        let rows = targets.len();
        let needs = vec![
            self.store(logits, rows * stride),
            maybe_f32s(bias, vocabulary),
            Needs::Of(Some(targets), Kind::I32, rows),
            f32s(losses, rows),
            Float(scale.unwrap_or(0.0)),
            Int(vocabulary),
            Int(stride),
            Flag(scale.is_some()),
        ];
        self.run("cross_entropy", [rows, 1], 512, needs)
    }

    /// The mean of losses // to f64 (1)
    ///
    /// # Errors
    /// If the device fails.
    pub fn mean_loss(&self, to: Span<'_>, losses: Span<'_>) -> Result<()> {
        let n = losses.len();
        self.run("mean_loss", [1, 1], 512, vec![Needs::Of(Some(to), Kind::F64, 1), f32s(losses, n), Int(n)])
    }

    /// How many sums [`Self::squares`] writes.
    pub fn square_blocks(n: usize) -> usize {
        n.div_ceil(SQUARES)
    }

    /// Sums of squares of blocks of values // partials f64 (square_blocks(n)), values (n)
    ///
    /// # Errors
    /// If the device fails.
    pub fn squares(&self, partials: Span<'_>, values: Span<'_>) -> Result<()> {
        let n = values.len();
        let blocks = Self::square_blocks(n);
        let needs = vec![Needs::Of(Some(partials), Kind::F64, blocks), f32s(values, n), Long(n)];
        self.run("squares", [blocks, 1], 512, needs)
    }

    /// Their sum // to f64 (1), partials f64 (any)
    ///
    /// # Errors
    /// If the device fails.
    pub fn sum_partials(&self, to: Span<'_>, partials: Span<'_>) -> Result<()> {
        let n = partials.len();
        let f64s = |span, n| Needs::Of(Some(span), Kind::F64, n);
        self.run("sum_partials", [1, 1], 512, vec![f64s(to, 1), f64s(partials, n), Int(n)])
    }

    /// `x = tokens[id] + positions[t]` // x (M, C), ids u32 (M), each below the vocabulary
    ///
    /// # Errors
    /// If the device fails.
    pub fn embed(&self, x: Span<'_>, ids: Span<'_>, [tokens, positions]: [Span<'_>; 2], context: usize) -> Result<()> {
        let (c, rows) = (self.shape.width, ids.len());
        let needs = vec![
            f32s(x, rows * c),
            u32s(ids, rows),
            f32s(tokens, tokens.len()),
            f32s(positions, context * c),
            Int(rows),
            Int(context),
        ];
        self.run("embed", [rows.div_ceil(ROW_WARPS), 1], ROW_WARPS * 32, needs)
    }

    /// Adds to each token's gradient what flows into its occurrences // d_tokens (V, C), d (M, C), ids u32 (U) distinct,
    /// first (U + 1) into rows (M)
    ///
    /// # Errors
    /// If the device fails.
    pub fn embed_tokens_backward(
        &self,
        d_tokens: Span<'_>,
        d: Span<'_>,
        [ids, first, rows]: [Span<'_>; 3],
    ) -> Result<()> {
        let (c, distinct) = (self.shape.width, ids.len());
        let needs = vec![
            f32s(d_tokens, d_tokens.len()),
            f32s(d, rows.len() * c),
            u32s(ids, distinct),
            u32s(first, distinct + 1),
            u32s(rows, rows.len()),
        ];
        self.run("embed_tokens_backward", [distinct, 1], ROW_WARPS * 32, needs)
    }

    /// Positions' gradients: sums over sequences // d_positions (T, C), d (B, T, C)
    ///
    /// # Errors
    /// If the device fails.
    pub fn embed_positions_backward(
        &self,
        d_positions: Span<'_>,
        d: Span<'_>,
        [sequences, context]: [usize; 2],
        is_added: bool,
    ) -> Result<()> {
        let n = context * self.shape.width;
        let needs = vec![f32s(d_positions, n), f32s(d, sequences * n), Int(sequences), Int(context), Flag(is_added)];
        self.run("embed_positions_backward", [n.div_ceil(256), 1], 256, needs)
    }

    /// One AdamW update; without a gradient, as with one of zeros // all (n), n a multiple of 4
    ///
    /// # Errors
    /// If the device fails.
    pub fn adamw(
        &self,
        [weight, first, second]: [Span<'_>; 3],
        gradient: Option<Span<'_>>,
        copy: Option<Span<'_>>,
        factors: &Factors,
    ) -> Result<()> {
        let n = weight.len();
        assert!(n.is_multiple_of(4), "{n} elements are no multiple of 4");
        let needs = vec![
            f32s(weight, n),
            f32s(first, n),
            f32s(second, n),
            maybe_f32s(gradient, n),
            self.maybe_store(copy, n),
            Long(n),
            Needs::Struct(factors.words()),
        ];
        self.run("adamw", [(n / 4).div_ceil(256), 1], 256, needs)
    }
}

/// Attention. A = heads that are computed times their width.
impl Kernels {
    /// Kernel, grid and how many rows, of attention over queries or keys.
    fn attention(&self, plain: &'static str, tensor: &'static str, h: Heads<'_>) -> (&'static str, [usize; 2]) {
        let (name, rows) = if self.shape.has_tensor_attention() { (tensor, TILE) } else { (plain, ATTENTION_WARPS) };
        (name, [h.context.div_ceil(rows), h.sequences * h.heads])
    }

    fn heads<'a>(h: Heads<'a>) -> [Needs<'a>; 4] {
        let prefixes = Needs::Of(h.prefixes, Kind::U32, h.sequences);
        [prefixes, Int(h.context), Int(h.heads), Flag(h.is_causal)]
    }

    /// Elements of a (B, H, T) buffer, and of an (M, A) one.
    fn sizes(&self, h: Heads<'_>) -> [usize; 2] {
        let statistics = h.sequences * h.heads * h.context;
        [statistics, statistics * self.shape.head]
    }

    /// `out = softmax(q k^T / sqrt(head)) v` of each head // out (M, A), lse (B, H, T), qkv (M, 3A)
    ///
    /// # Errors
    /// If the device fails.
    pub fn attention_forward(&self, out: Span<'_>, lse: Span<'_>, qkv: Span<'_>, h: Heads<'_>) -> Result<()> {
        let [statistics, a] = self.sizes(h);
        let (name, grid) = self.attention("attention_forward", "attention_forward_tensor", h);
        let mut needs = vec![self.store(out, a), f32s(lse, statistics), self.store(qkv, 3 * a)];
        needs.extend(Self::heads(h));
        self.run(name, grid, 128, needs)
    }

    /// The gradient of queries, keys and values // d_qkv, qkv (M, 3A), d_out, out (M, A), lse, delta (scratch) (B, H, T)
    ///
    /// # Errors
    /// If the device fails.
    pub fn attention_backward(
        &self,
        d_qkv: Span<'_>,
        [d_out, out, qkv]: [Span<'_>; 3],
        [lse, delta]: [Span<'_>; 2],
        h: Heads<'_>,
    ) -> Result<()> {
        let [statistics, a] = self.sizes(h);
        let needs =
            vec![f32s(delta, statistics), self.store(d_out, a), self.store(out, a), Int(h.context), Int(h.heads)];
        let rows = [h.context.div_ceil(ATTENTION_WARPS), h.sequences * h.heads];
        self.run("attention_delta", rows, 128, needs)?;
        for (plain, tensor) in [
            ("attention_backward_queries", "attention_backward_queries_tensor"),
            ("attention_backward_keys", "attention_backward_keys_tensor"),
        ] {
            let (name, grid) = self.attention(plain, tensor, h);
            let mut needs = vec![
                self.store(d_qkv, 3 * a),
                self.store(d_out, a),
                self.store(qkv, 3 * a),
                f32s(lse, statistics),
                f32s(delta, statistics),
            ];
            needs.extend(Self::heads(h));
            self.run(name, grid, 128, needs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_stand_as_the_kernel_reads_them() {
        let factors = Factors {
            ends: vec![64, 128],
            keep: vec![0.5, 1.0],
            rate: vec![0.1, 0.2],
            root: vec![3.0, 4.0],
            common: [0.9, 0.95, 0.1, 0.05, 1e-8, 0.25],
        };
        let words = factors.words();
        // 16 ends, 48 floats in pairs, and the six common ones.
        assert_eq!(words.len(), 16 + 24 + 3);
        assert_eq!((words[0], words[1], words[2]), (64, 128, u64::MAX));
        let float = |i: usize| f32::from_bits((words[16 + i / 2] >> (32 * (i % 2))) as u32);
        assert_eq!((float(0), float(1), float(15), float(17), float(33)), (0.5, 1.0, 1.0, 0.2, 4.0));
        assert_eq!((float(48), float(53)), (0.9, 0.25));
    }
}
