//! One layer of the fast engine: forward, keeping what the backward pass needs, and backward.
//!
//! A layer is two sub-layers, `x + f(x)`: attention and MLP. Under pre-norm `f` sees `ln(x)`, under post-norm the sum is
//! normed. A factor on both branches, `x + a f(x)`, is multiplied into the copies that are made of their last matrices
//! anyway. Where only parts of a layer are computed, its parameters are those parts: fewer heads, a narrower hidden layer.
//! Each pass is a few sweeps over blocks of rows, in which everything that a row needs is done while it is in
//! cache, with attention between them; gradients of weights come last. Knows nothing of which layers are active.

use super::Parameter;
use super::layout::place;
use super::sums::Sums;
use crate::config::{Architecture, ModelConfig, Norm};
use crate::kernels::attention::{self, Shape};
use crate::kernels::blocks::{Band, for_blocks, with_scratch};
use crate::kernels::buffer::Buffer;
use crate::kernels::gelu::{self, Gelu};
use crate::kernels::layer_norm::{self, STATS};
use crate::kernels::linear::{self, Copy, Factor, Precision, Ready, WeightGradient, keep_left, keep_right};
use crate::kernels::panels::{Blocked, Panels, Store, padded};
use crate::subnetwork::Parts;

/// The input of a linear layer, kept for its weight's gradient: in f32 as it stands, in bf16 packed.
#[derive(Default)]
struct Kept {
    rows: Buffer<f32>,
    packed: Buffer<u32>,
}

/// What one active layer keeps between its forward and backward pass. M = B*T rows, A the width of its heads together
/// (C where all are computed).
#[derive(Default)]
pub(super) struct Activations {
    seen_1: Kept,         // pre-norm: ln_1(x) (M, C)
    stats_1: Buffer<f32>, // of whichever norm there is (M, STATS)
    qkv: Buffer<f32>,     // (M, 3A)
    lse: Buffer<f32>,     // (B, H, T)
    mixed: Kept,          // attention's output before its projection (M, A)
    sum_1: Buffer<f32>,   // post-norm: the sum before the norm (M, C)
    middle: Buffer<f32>,  // attention sub-layer's output (M, C)
    seen_2: Kept,
    stats_2: Buffer<f32>,
    slope: Buffer<f32>, // of the GELU (M, rC)
    act: Kept,          // behind the GELU (M, rC)
    sum_2: Buffer<f32>,
    out: Buffer<f32>, // (M, C)
}

/// The layer at work: its parameters, and the factor on its branches.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub parameters: &'a [Parameter],
    pub factor: f32,
}

/// Buffers shared by all layers.
#[derive(Default)]
pub(super) struct Scratch {
    /// Copies of the weights of the layer at work.
    weights: [Copy; 4],
    /// Where it has a factor: matrix and bias of proj and down, multiplied by it.
    scaled: [Buffer<f32>; 4],
    d_mid: Buffer<f32>,   // gradient of the attention sub-layer's output or sum (M, C)
    d_next: Buffer<f32>,  // of the layer's input (M, C)
    d_mixed: Buffer<f32>, // (M, A)
    d_qkv: Buffer<f32>,   // (M, 3A)
    d_act: Buffer<f32>,   // f32: (M, rC)
    /// bf16: gradients of the outputs of down, up, proj and qkv, packed.
    packed: [Buffer<u32>; 4],
    sums: Buffer<f32>, // of each block (blocks, Sums::total)
    /// Prefix lengths of the batch at work: (B), or none.
    pub prefixes: Vec<usize>,
}

/// The shape of a layer on one batch.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    /// Of attention; its width is A.
    pub shape: Shape,
    pub width: usize, // C
    pub norm: Norm,
    pub residual: bool,
    pub inner: usize, // rC, or what is computed of it
    pub rows: usize,  // M
    pub block: usize, // rows per block
}

impl Geometry {
    pub fn new(m: &ModelConfig, precision: Precision, sequences: usize, context: usize) -> Self {
        let causal = m.architecture == Architecture::Decoder;
        let block = crate::kernels::block_rows(sequences * context);
        Self {
            shape: Shape { context, width: m.width, heads: m.heads, causal, precision, block },
            width: m.width,
            norm: m.norm,
            residual: m.residual,
            inner: m.width * m.mlp_ratio,
            rows: sequences * context,
            block,
        }
    }

    /// The same of a layer of which only some parts are computed.
    pub fn of_parts(mut self, parts: Option<&Parts>) -> Self {
        if let Some(parts) = parts {
            let head = self.shape.width / self.shape.heads;
            self.shape.heads = parts.heads.len();
            self.shape.width = self.shape.heads * head;
            self.inner = parts.width();
        }
        self
    }

    pub fn blocks(&self) -> usize {
        self.rows.div_ceil(self.block)
    }

    /// Elements of an (M, `width`) buffer.
    pub fn size(&self, width: usize) -> usize {
        self.rows * padded(width)
    }

    /// How an (M, C) buffer stands.
    pub fn blocked(&self) -> Blocked {
        Blocked { rows: self.rows, block: self.block, width: self.width }
    }

    /// One block of a buffer of `width` columns, in its last block perhaps of fewer rows.
    pub fn of<'a>(&self, buffer: &'a [f32], block: usize, width: usize) -> &'a [f32] {
        self.of_plain(buffer, block, padded(width))
    }

    /// As [`Self::of`], of plain rows of `each` elements.
    pub fn of_plain<'a, T>(&self, buffer: &'a [T], block: usize, each: usize) -> &'a [T] {
        let first = (block * self.block * each).min(buffer.len());
        &buffer[first..(first + self.block * each).min(buffer.len())]
    }

    /// A buffer of `width` columns as a band.
    pub fn band<'a>(&self, buffer: &'a mut [f32], width: usize) -> Band<'a, f32> {
        Band::new(buffer, self.block * padded(width))
    }

    /// Rows' statistics as a band.
    pub fn stats<'a>(&self, buffer: &'a mut [f32]) -> Band<'a, f32> {
        Band::new(buffer, self.block * STATS)
    }

    /// Pairs of one packed block of `width` columns.
    fn packed(&self, width: usize) -> usize {
        linear::packed_len(self.shape.precision, width, self.block)
    }

    /// Pairs of all packed blocks of `width` columns, if they are kept.
    fn kept(&self, width: usize, is_kept: bool) -> usize {
        if is_kept { self.blocks() * self.packed(width) } else { 0 }
    }

    /// How a block's sums stand.
    fn sums(&self) -> Sums {
        Sums::new(self.width, self.shape.width, self.inner)
    }

    /// The four matrices (qkv, proj, up, down), or their transposes.
    fn ready<'a>(
        &self,
        layer: Layer<'a>,
        copies: &'a mut [Copy; 4],
        [scaled_proj, scaled_down]: [&'a mut Buffer<f32>; 2],
        transposed: bool,
    ) -> [Ready<'a>; 4] {
        let Shape { width: a, precision, .. } = self.shape;
        let (c, p) = (self.width, layer.parameters);
        let make = if transposed { Ready::transposed } else { Ready::new };
        let one = |place: usize, copy, k: usize, n: usize| make(precision, copy, &p[place].weight, k, n);
        let last = |place: usize, scaled, copy, k: usize, n: usize| {
            make(precision, copy, multiplied(&p[place].weight, layer.factor, scaled), k, n)
        };
        let [of_qkv, of_proj, of_up, of_down] = copies;
        let ((qkv, proj), (up, down)) = rayon::join(
            || rayon::join(|| one(place::QKV, of_qkv, c, 3 * a), || last(place::PROJ, scaled_proj, of_proj, a, c)),
            || {
                let inner = self.inner;
                rayon::join(|| one(place::UP, of_up, c, inner), || last(place::DOWN, scaled_down, of_down, inner, c))
            },
        );
        [qkv, proj, up, down]
    }
}

/// The values times the factor, in the buffer unless the factor is 1.
fn multiplied<'a>(values: &'a [f32], factor: f32, buffer: &'a mut Buffer<f32>) -> &'a [f32] {
    if factor == 1.0 {
        return values;
    }
    let scaled = buffer.fit(values.len());
    scaled.iter_mut().zip(values).for_each(|(y, x)| *y = factor * x);
    scaled
}

/// Makes a buffer as long as it must be; what it held is of no matter.
pub(super) fn fit<T: Clone + Default>(buffer: &mut Vec<T>, n: usize) -> &mut [T] {
    if buffer.len() != n {
        buffer.resize(n, T::default());
    }
    buffer
}

impl Kept {
    /// Both halves as they must be for `width` columns.
    fn fit(&mut self, g: Geometry, width: usize, is_kept: bool) -> (&mut [f32], &mut [u32]) {
        let is_f32 = g.shape.precision == Precision::F32;
        let rows = if is_kept && is_f32 { g.size(width) } else { 0 };
        (self.rows.fit(rows), self.packed.fit(g.kept(width, is_kept)))
    }
}

/// A block's own part of a buffer, or the thread's scratch where there is none.
fn own_or<'a>(own: &'a mut [f32], scratch: &'a mut [f32]) -> &'a mut [f32] {
    if own.is_empty() { scratch } else { own }
}

impl Activations {
    /// The layer's output // (M, C)
    pub fn out(&self) -> &[f32] {
        &self.out
    }

    /// Runs the layer on `x`, keeping what the backward pass needs if `is_kept`. // x (M, C)
    pub fn forward(&mut self, g: Geometry, layer: Layer<'_>, x: &[f32], s: &mut Scratch, is_kept: bool) {
        let Scratch { weights, scaled: [proj, proj_bias, down, down_bias], .. } = s;
        let ready = g.ready(layer, weights, [proj, down], false);
        let p = layer.parameters;
        let biases = [
            multiplied(&p[place::PROJ_BIAS].weight, layer.factor, proj_bias),
            multiplied(&p[place::DOWN_BIAS].weight, layer.factor, down_bias),
        ];
        self.queries(g, p, x, &ready[0], is_kept);
        let lse = self.lse.fit(g.rows * g.shape.heads);
        attention::forward(g.shape, &s.prefixes, self.mixed.rows.fit(g.size(g.shape.width)), lse, &self.qkv);
        self.mix(g, p, x, &ready, biases, is_kept);
    }

    /// First sweep: norm, and queries, keys and values.
    fn queries(&mut self, g: Geometry, p: &[Parameter], x: &[f32], weight: &Ready<'_>, is_kept: bool) {
        let (c, a) = (g.width, g.shape.width);
        let is_pre = g.norm == Norm::Pre;
        let (seen, packed) = self.seen_1.fit(g, c, is_kept);
        // Without a pre-norm the input itself is seen, and is kept elsewhere.
        let seen = if is_pre { seen } else { &mut [] };
        let stats = self.stats_1.fit(g.rows * STATS);
        let qkv = self.qkv.fit(g.size(3 * a));
        let (ln, bias) = (norms(g, p, place::LN_1), &p[place::QKV + 1].weight);
        for_blocks(
            g.blocks(),
            [g.band(seen, c), g.stats(stats), g.band(qkv, 3 * a)],
            [Band::new(packed, g.packed(c))],
            |block, [seen, stats, qkv], [packed]| {
                let x = g.of(x, block, c);
                with_scratch(|scratch| {
                    let ([spare, ..], pairs) = scratch.take([x.len(), 0, 0]);
                    let seen = match ln {
                        Some([gain, shift]) if is_pre => {
                            let seen = own_or(seen, spare);
                            layer_norm::forward(seen, stats, x, gain, shift);
                            &*seen
                        }
                        _ => x,
                    };
                    let seen = Panels::filling(seen, c);
                    linear::forward(qkv, seen, *weight, bias, &[], pairs);
                    keep_left(packed, seen, g.block);
                });
            },
        );
    }

    /// Last sweep: attention's projection, and the MLP.
    fn mix(
        &mut self,
        g: Geometry,
        p: &[Parameter],
        x: &[f32],
        ready: &[Ready<'_>; 4],
        [proj_bias, down_bias]: [&[f32]; 2],
        is_kept: bool,
    ) {
        let (c, a, inner) = (g.width, g.shape.width, g.inner);
        let (is_pre, is_post) = (g.norm == Norm::Pre, g.norm == Norm::Post);
        let [_, proj, up, down] = *ready;
        let (ln_1, ln_2) = (norms(g, p, place::LN_1), norms(g, p, place::LN_2));
        let up_bias = p[place::UP_BIAS].weight.as_slice();
        let mixed_packed = self.mixed.packed.fit(g.kept(a, is_kept));
        let mixed = &self.mixed.rows;
        let sum = if is_post { g.size(c) } else { 0 };
        let (sum_1, sum_2) = (self.sum_1.fit(sum), self.sum_2.fit(sum));
        let (middle, out) = (self.middle.fit(g.size(c)), self.out.fit(g.size(c)));
        // Under post-norm the first sweep left these to us.
        let stats_1 = if is_post { &mut *self.stats_1 } else { &mut [] };
        let stats_2 = self.stats_2.fit(g.rows * STATS);
        let (seen, seen_packed) = self.seen_2.fit(g, c, is_kept);
        let seen = if is_pre { seen } else { &mut [] };
        let (act, act_packed) = self.act.fit(g, inner, is_kept);
        let slope = self.slope.fit(if is_kept { g.size(inner) } else { 0 });
        for_blocks(
            g.blocks(),
            [
                g.band(sum_1, c),
                g.stats(stats_1),
                g.band(middle, c),
                g.band(seen, c),
                g.stats(stats_2),
                g.band(slope, inner),
                g.band(act, inner),
                g.band(sum_2, c),
                g.band(out, c),
            ],
            [
                Band::new(mixed_packed, g.packed(a)),
                Band::new(seen_packed, g.packed(c)),
                Band::new(act_packed, g.packed(inner)),
            ],
            |block,
             [sum_1, stats_1, middle, seen, stats_2, slope, act, sum_2, out],
             [packed_mixed, packed, packed_act]| {
                let (x, mixed) = (g.of(x, block, c), g.of(mixed, block, a));
                let mixed = Panels::filling(mixed, a);
                let wide = x.len() / padded(c) * padded(inner);
                with_scratch(|scratch| {
                    let ([spare_act, spare_seen, _], pairs) = scratch.take([wide, x.len(), 0]);
                    keep_left(packed_mixed, mixed, g.block);
                    let end = End { g, weight: proj, bias: proj_bias, norm: ln_1 };
                    end.run(middle, sum_1, stats_1, x, mixed, pairs);
                    let seen = match ln_2 {
                        Some([gain, shift]) if is_pre => {
                            let seen = own_or(seen, spare_seen);
                            layer_norm::forward(seen, stats_2, middle, gain, shift);
                            &*seen
                        }
                        _ => &*middle,
                    };
                    let seen = Panels::filling(seen, c);
                    keep_left(packed, seen, g.block);
                    let act = own_or(act, spare_act);
                    let rows = x.len() / padded(c);
                    up.multiply_then(act, seen, pairs, Store::Set, |first, x| {
                        let panels = first * rows..first * rows + x.len();
                        let slope = if is_kept { &mut slope[panels] } else { &mut [] };
                        gelu::forward(Gelu::Tanh, x, slope, &up_bias[first..inner.min(first + x.len() / rows)]);
                    });
                    let act = Panels::filling(act, inner);
                    keep_left(packed_act, act, g.block);
                    let end = End { g, weight: down, bias: down_bias, norm: ln_2 };
                    end.run(out, sum_2, stats_2, middle, act, pairs);
                });
            },
        );
    }
}

/// Gain and shift of the norm at `place`, if there are norms.
fn norms(g: Geometry, p: &[Parameter], place: usize) -> Option<[&[f32]; 2]> {
    (g.norm != Norm::None).then(|| [p[place].weight.as_slice(), p[place + 1].weight.as_slice()])
}

/// How a sub-layer ends: its last linear layer, added to the residual stream; the sum normed under post-norm.
struct End<'a> {
    g: Geometry,
    weight: Ready<'a>,
    bias: &'a [f32],
    norm: Option<[&'a [f32]; 2]>,
}

impl End<'_> {
    /// Of a block of rows: `x` is the sub-layer's input, `f` the last layer's. // y, sum, x (m, C)
    fn run(
        &self,
        y: &mut [f32],
        sum: &mut [f32],
        stats: &mut [f32],
        x: &[f32],
        f: Panels<'_>,
        pairs: &mut Buffer<u32>,
    ) {
        let residual = if self.g.residual { x } else { &[] };
        match self.norm {
            Some([gain, shift]) if self.g.norm == Norm::Post => {
                linear::forward(sum, f, self.weight, self.bias, residual, pairs);
                layer_norm::forward(y, stats, sum, gain, shift);
            }
            _ => linear::forward(y, f, self.weight, self.bias, residual, pairs),
        }
    }
}

impl Activations {
    /// Turns the gradient of the output (`d`) into that of the input, and stores the parameters' gradients; those of proj
    /// and down have yet to be multiplied by the layer's factor // d, x (M, C)
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &self,
        g: Geometry,
        layer: Layer<'_>,
        grads: &mut [Vec<f32>],
        x: &[f32],
        d: &mut Buffer<f32>,
        s: &mut Scratch,
        store: Store,
    ) {
        let (c, a, p) = (g.width, g.shape.width, layer.parameters);
        // Out of the scratch for as long as the sweeps use the rest of it.
        let (mut weights, mut scaled) = (std::mem::take(&mut s.weights), std::mem::take(&mut s.scaled));
        let [proj, _, down, _] = &mut scaled;
        let ready = g.ready(layer, &mut weights, [proj, down], true);
        let widths = [c, g.inner, c, 3 * a];
        for (packed, width) in s.packed.iter_mut().zip(widths) {
            packed.fit(g.kept(width, true));
        }
        let sums = g.sums();
        s.sums.fit(g.blocks() * sums.total());
        self.through_mlp(g, p, &ready, d, s);
        let d_qkv = s.d_qkv.fit(g.size(3 * a));
        attention::backward(g.shape, &s.prefixes, d_qkv, &s.d_mixed, &self.mixed.rows, &self.lse, &self.qkv);
        self.through_queries(g, p, x, &ready[0], s);
        self.weights(g, grads, x, d, s, store);
        sums.store(grads, &s.sums, g.norm != Norm::None, store);
        std::mem::swap(d, &mut s.d_next);
        (s.weights, s.scaled) = (weights, scaled);
    }

    /// First sweep backward: through the MLP and attention's projection, from `d` to `d_mid` and `d_mixed`.
    fn through_mlp(&self, g: Geometry, p: &[Parameter], ready: &[Ready<'_>; 4], d: &mut [f32], s: &mut Scratch) {
        let (c, a, inner) = (g.width, g.shape.width, g.inner);
        let sums = g.sums();
        let [_, proj, up, down] = *ready;
        let (is_pre, is_post) = (g.norm == Norm::Pre, g.norm == Norm::Post);
        let (ln_1, ln_2) = (norms(g, p, place::LN_1), norms(g, p, place::LN_2));
        let d_act = s.d_act.fit(if g.shape.precision == Precision::F32 { g.size(inner) } else { 0 });
        let [packed_down, packed_up, packed_proj, _] = &mut s.packed;
        for_blocks(
            g.blocks(),
            [
                g.band(d, c),
                g.band(s.d_mid.fit(g.size(c)), c),
                g.band(s.d_mixed.fit(g.size(a)), a),
                g.band(d_act, inner),
                Band::new(&mut s.sums, sums.total()),
            ],
            [
                Band::new(packed_down, g.packed(c)),
                Band::new(packed_up, g.packed(inner)),
                Band::new(packed_proj, g.packed(c)),
            ],
            |block, [d, d_mid, d_mixed, d_act, totals], [packed_down, packed_up, packed_proj]| {
                let wide = d.len() / padded(c) * padded(inner);
                let of = |buffer| g.of(buffer, block, c);
                let stats = |stats| g.of_plain(stats, block, STATS);
                totals.fill(0.0);
                let mut totals = sums.split(totals);
                with_scratch(|scratch| {
                    let ([d_in, spare, copy], pairs) = scratch.take([d.len(), wide, d.len()]);
                    if let (Some([gain, _]), true) = (ln_2, is_post) {
                        copy.copy_from_slice(d);
                        let [dgain, dshift] = &mut totals.ln_2;
                        layer_norm::backward(d, dgain, dshift, copy, of(&self.sum_2), stats(&self.stats_2), gain, &[]);
                    }
                    // `d` is now the gradient of the MLP's sum.
                    let d_sum = Panels::filling(d, c);
                    linear::add_column_sums(totals.down, d_sum);
                    keep_right(packed_down, d_sum, g.block);
                    let d_act = own_or(d_act, spare);
                    let (rows, slope) = (d.len() / padded(c), g.of(&self.slope, block, inner));
                    down.multiply_then(d_act, d_sum, pairs, Store::Set, |first, d| {
                        gelu::backward(d, &slope[first * rows..first * rows + d.len()]);
                        let sums = &mut totals.up[first..inner.min(first + d.len() / rows)];
                        linear::add_column_sums(sums, Panels::new(d, rows, sums.len()));
                    });
                    let d_act = Panels::filling(d_act, inner);
                    keep_right(packed_up, d_act, g.block);
                    up.multiply(d_in, d_act, pairs, Store::Set);
                    match ln_2 {
                        Some([gain, _]) if is_pre => {
                            let onto: &[f32] = if g.residual { d } else { &[] };
                            let [dgain, dshift] = &mut totals.ln_2;
                            let (x, stats) = (of(&self.middle), stats(&self.stats_2));
                            layer_norm::backward(d_mid, dgain, dshift, d_in, x, stats, gain, onto);
                        }
                        _ if g.residual => linear::add(d_mid, d_in, d),
                        _ => d_mid.copy_from_slice(d_in),
                    }
                    if let (Some([gain, _]), true) = (ln_1, is_post) {
                        copy.copy_from_slice(d_mid);
                        let [dgain, dshift] = totals.ln_1;
                        let (x, stats) = (of(&self.sum_1), stats(&self.stats_1));
                        layer_norm::backward(d_mid, dgain, dshift, copy, x, stats, gain, &[]);
                    }
                    let d_mid = Panels::filling(d_mid, c);
                    linear::add_column_sums(totals.proj, d_mid);
                    keep_right(packed_proj, d_mid, g.block);
                    proj.multiply(d_mixed, d_mid, pairs, Store::Set);
                });
            },
        );
    }

    /// Last sweep backward: through queries, keys and values, from `d_qkv` and `d_mid` to `d_next`.
    fn through_queries(&self, g: Geometry, p: &[Parameter], x: &[f32], qkv: &Ready<'_>, s: &mut Scratch) {
        let (c, a) = (g.width, g.shape.width);
        let sums = g.sums();
        let ln = norms(g, p, place::LN_1);
        let Scratch { d_mid, d_next, d_qkv, packed, sums: totals, .. } = s;
        let (d_mid, d_qkv) = (&**d_mid, &**d_qkv);
        for_blocks(
            g.blocks(),
            [g.band(d_next.fit(g.size(c)), c), Band::new(totals, sums.total())],
            [Band::new(&mut packed[3], g.packed(3 * a))],
            |block, [d_next, totals], [packed]| {
                let totals = sums.split(totals);
                let (d_mid, d_qkv) = (g.of(d_mid, block, c), g.of(d_qkv, block, 3 * a));
                with_scratch(|scratch| {
                    let ([d_in, ..], pairs) = scratch.take([d_mid.len(), 0, 0]);
                    let d_qkv = Panels::filling(d_qkv, 3 * a);
                    linear::add_column_sums(totals.qkv, d_qkv);
                    keep_right(packed, d_qkv, g.block);
                    qkv.multiply(d_in, d_qkv, pairs, Store::Set);
                    match ln {
                        Some([gain, _]) if g.norm == Norm::Pre => {
                            let onto = if g.residual { d_mid } else { &[] };
                            let [dgain, dshift] = totals.ln_1;
                            let (x, stats) = (g.of(x, block, c), g.of_plain(&self.stats_1, block, STATS));
                            layer_norm::backward(d_next, dgain, dshift, d_in, x, stats, gain, onto);
                        }
                        _ if g.residual => linear::add(d_next, d_in, d_mid),
                        _ => d_next.copy_from_slice(d_in),
                    }
                });
            },
        );
    }

    /// Gradients of the four matrices.
    fn weights(&self, g: Geometry, grads: &mut [Vec<f32>], x: &[f32], d: &[f32], s: &Scratch, store: Store) {
        let (c, a) = (g.width, g.shape.width);
        let [qkv, _, proj, _, up, _, down, ..] = grads else {
            return;
        };
        let is_pre = g.norm == Norm::Pre;
        let left = |rows, packed, width| Factor { rows, packed, width };
        let right = |rows, index: usize, width| Factor { rows, packed: &s.packed[index], width };
        let seen_1 = if is_pre { &*self.seen_1.rows } else { x };
        let seen_2 = if is_pre { &*self.seen_2.rows } else { &*self.middle };
        let gradients = [
            WeightGradient::new(down, left(&self.act.rows, &self.act.packed, g.inner), right(d, 0, c), store),
            WeightGradient::new(up, left(seen_2, &self.seen_2.packed, c), right(&s.d_act, 1, g.inner), store),
            WeightGradient::new(qkv, left(seen_1, &self.seen_1.packed, c), right(&s.d_qkv, 3, 3 * a), store),
            WeightGradient::new(proj, left(&self.mixed.rows, &self.mixed.packed, a), right(&s.d_mid, 2, c), store),
        ];
        linear::weight_gradients(g.shape.precision, g.rows, g.block, gradients);
    }
}
