//! The two ends of the fast engine: embedding before the layers, final norm, head and loss behind them.
//!
//! Logits exist only for predicted positions, a block of rows at a time.

use anyhow::{Result, ensure};

use super::Parameter;
use super::block::Geometry;
use super::layout::has_embedding_norm;
use super::sums::reduce;
use crate::config::{Architecture, ModelConfig, Norm};
use crate::kernels::blocks::{Band, for_blocks, with_scratch};
use crate::kernels::buffer::Buffer;
use crate::kernels::gelu::{self, Gelu};
use crate::kernels::layer_norm::STATS;
use crate::kernels::linear::{Copy, Factor, Ready, WeightGradient, keep_left, keep_right, weight_gradients};
use crate::kernels::panels::{Blocked, Panels, Store, padded, to_rows};
use crate::kernels::{block_rows, cross_entropy, embedding, layer_norm, linear};
use crate::objective::{Batch, NO_TARGET};

/// Rows of logits that exist at a time, about.
const LOGIT_ROWS: usize = 1024;

/// Logits of one block, about: they pass through a thread's cache several times.
const BLOCK_LOGITS: usize = 1 << 18;

/// For sweeps that pack nothing.
const NOTHING: [Band<'static, u32>; 0] = [];

/// Places among the parameters before the layers (`layout::input_shapes`).
pub(super) const WTE: usize = 0;
pub(super) const WPE: usize = 1;
pub(super) const LN_EMBED: usize = 2;

/// The embedding's buffers.
#[derive(Default)]
pub(super) struct Input {
    sum: Buffer<f32>, // before the norm, where there is one (M, C)
    stats: Buffer<f32>,
    x: Buffer<f32>, // what the first layer sees (M, C)
    d_sum: Buffer<f32>,
    totals: Buffer<f32>, // gradients of gain and shift, by block (blocks, 2C)
}

impl Input {
    /// What the first active layer sees // (M, C)
    pub fn out(&self) -> &[f32] {
        &self.x
    }

    pub fn forward(&mut self, g: Geometry, m: &ModelConfig, p: &[Parameter], batch: &Batch) {
        let c = m.width;
        let norm = has_embedding_norm(m).then(|| [&p[LN_EMBED].weight, &p[LN_EMBED + 1].weight]);
        let sum = self.sum.fit(if norm.is_some() { g.size(c) } else { 0 });
        let stats = self.stats.fit(g.rows * STATS);
        let bands = [g.band(self.x.fit(g.size(c)), c), g.band(sum, c), g.stats(stats)];
        for_blocks(g.blocks(), bands, NOTHING, |block, [x, sum, stats], []| {
            let (ids, first) = (g.of_plain(&batch.inputs, block, 1), block * g.block);
            let (tokens, positions) = (&p[WTE].weight, &p[WPE].weight);
            let plain = if norm.is_some() { &mut *sum } else { &mut *x };
            embedding::forward(plain, ids, tokens, positions, first, batch.context, c);
            if let Some([gain, shift]) = norm {
                layer_norm::forward(x, stats, sum, gain, shift);
            }
        });
    }

    /// Stores the gradients; that of the token embedding is added to the head's // d (M, C)
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &mut self,
        g: Geometry,
        m: &ModelConfig,
        p: &[Parameter],
        grads: &mut [Vec<f32>],
        batch: &Batch,
        d: &[f32],
        store: Store,
    ) {
        let d = if has_embedding_norm(m) {
            let d_sum = self.d_sum.fit(d.len());
            let (x, stats, gain) = (&self.sum, &self.stats, &p[LN_EMBED].weight);
            norm_backward(g.block, d_sum, d, x, stats, gain, &mut self.totals, grads, LN_EMBED, store);
            &self.d_sum
        } else {
            d
        };
        if let [tokens, positions, ..] = grads {
            embedding::backward(tokens, positions, d, g.blocked(), &batch.inputs, batch.context, store);
        }
    }
}

/// A norm's backward pass over blocks of `block` rows; stores the gradients of the gain at `place` and the shift behind it.
#[allow(clippy::too_many_arguments)]
fn norm_backward(
    block: usize,
    dx: &mut [f32],
    dy: &[f32],
    x: &[f32],
    stats: &[f32],
    gain: &[f32],
    totals: &mut Buffer<f32>,
    grads: &mut [Vec<f32>],
    place: usize,
    store: Store,
) {
    let c = gain.len();
    let each = padded(c);
    let blocks = (dx.len() / each).div_ceil(block);
    let totals = totals.fit(blocks * 2 * c);
    let bands = [Band::new(dx, block * each), Band::new(totals, 2 * c)];
    for_blocks(blocks, bands, NOTHING, |index, [dx, totals], []| {
        totals.fill(0.0);
        let (dgain, dshift) = totals.split_at_mut(c);
        let first = index * block;
        let (dy, x, stats) = (&dy[first * each..], &x[first * each..], &stats[first * STATS..]);
        layer_norm::backward(dx, dgain, dshift, dy, x, stats, gain, &[]);
    });
    for (i, gradient) in grads[place..place + 2].iter_mut().enumerate() {
        reduce(gradient, totals, 2 * c, i * c, store);
    }
}

/// The head's buffers. P = predicted positions.
#[derive(Default)]
pub(super) struct Output {
    normed: Buffer<f32>, // final norm (M, C)
    stats: Buffer<f32>,
    rows: Vec<usize>,
    /// Rows of a block of what is made from the predicted rows.
    block: usize,
    targets: Vec<usize>,
    hidden: Buffer<f32>,  // gathered rows (P, C)
    slope: Buffer<f32>,   // encoder: of the GELU (P, C)
    act: Buffer<f32>,     // encoder: behind it (P, C)
    head_ln: Buffer<f32>, // encoder: normed (P, C)
    head_stats: Buffer<f32>,
    logits: Buffer<f32>, // (LOGIT_ROWS, V)
    losses: Buffer<f32>,
    d_top: Buffer<f32>, // gradient of what the logits are made from (P, C)
    d_row: Buffer<f32>, // (P, C)
    d_hidden: Buffer<f32>,
    /// Copies of weights: of wte, of its transpose, and of an encoder's dense layer.
    copies: [Copy; 3],
    /// bf16: packed factors of gradients of weights.
    packed: [Buffer<u32>; 2],
    totals: Buffer<f32>,
}

/// What the head's parameters are, by their places behind the layers (`layout::output_shapes`).
pub(super) struct Places {
    pub ln_f: Option<usize>,
    /// Of `head.dense.weight`; the bias, the norm and the vocabulary's bias follow.
    pub head: Option<usize>,
}

pub(super) fn places(m: &ModelConfig) -> Places {
    let ln_f = (m.norm == Norm::Pre).then_some(0);
    let head = (m.architecture == Architecture::Encoder).then_some(if ln_f.is_some() { 2 } else { 0 });
    Places { ln_f, head }
}

/// The GELU of an encoder's head: that of the Hugging Face model it maps onto.
pub(super) fn head_gelu(m: &ModelConfig) -> Gelu {
    if m.norm == Norm::Pre { Gelu::Erf } else { Gelu::Tanh }
}

impl Output {
    /// The rows to be predicted and what they are made from: final norm, gathering, and an encoder's dense head.
    /// What a backward pass needs is kept if `is_kept`.
    fn top(&mut self, g: Geometry, m: &ModelConfig, p: &[Parameter], x: &[f32], is_kept: bool) {
        let c = m.width;
        let Places { ln_f, head } = places(m);
        let shape = self.predicted(c);
        let x = if let Some(ln) = ln_f {
            let normed = self.normed.fit(x.len());
            let stats = self.stats.fit(g.rows * STATS);
            for_blocks(g.blocks(), [g.band(normed, c), g.stats(stats)], NOTHING, |block, [y, stats], []| {
                layer_norm::forward(y, stats, g.of(x, block, c), &p[ln].weight, &p[ln + 1].weight);
            });
            &*normed
        } else {
            x
        };
        let (block, size, each) = (shape.block, shape.elements(), shape.block * padded(c));
        embedding::gather(self.hidden.fit(size), shape, x, g.blocked(), &self.rows);
        if let Some(at) = head {
            let weight = Ready::new(g.shape.precision, &mut self.copies[2], &p[at].weight, c, c);
            let (bias, gain, shift) = (&p[at + 1].weight, &p[at + 2].weight, &p[at + 3].weight);
            let bands = [
                Band::new(self.act.fit(size), each),
                Band::new(self.slope.fit(if is_kept { size } else { 0 }), each),
                Band::new(self.head_ln.fit(size), each),
                Band::new(self.head_stats.fit(shape.rows * STATS), block * STATS),
            ];
            let hidden = &self.hidden;
            for_blocks(shape.rows.div_ceil(block), bands, NOTHING, |index, [act, slope, y, stats], []| {
                with_scratch(|scratch| {
                    let (_, pairs) = scratch.take([0; 3]);
                    let x = Panels::filling(&hidden[index * each..][..act.len()], c);
                    weight.multiply(act, x, pairs, Store::Set);
                    gelu::forward(head_gelu(m), act, slope, bias);
                    layer_norm::forward(y, stats, act, gain, shift);
                });
            });
        }
    }

    /// How what is made of the predicted rows stands.
    fn predicted(&self, width: usize) -> Blocked {
        Blocked { rows: self.rows.len(), block: self.block, width }
    }

    /// The mean loss; with `backward`, also the gradient of the last layer's output (in `d`) and of the head's and the
    /// token embedding's parameters. // x, d (M, C)
    #[allow(clippy::too_many_arguments)]
    pub fn loss(
        &mut self,
        g: Geometry,
        m: &ModelConfig,
        input: &[Parameter],
        p: &[Parameter],
        x: &[f32],
        batch: &Batch,
        mut backward: Option<Backward<'_>>,
    ) -> Result<f32> {
        self.rows.clear();
        self.targets.clear();
        for (row, &target) in batch.targets.iter().enumerate().filter(|(_, t)| **t != NO_TARGET) {
            self.rows.push(row);
            self.targets.push(target as usize);
        }
        ensure!(!self.rows.is_empty(), "a batch has no token to predict; raise objective.mask_share or train.batch");
        let is_trained = backward.is_some();
        let c = m.width;
        let (wte, vocabulary) = (&input[WTE].weight, input[WTE].shape[0]);
        let count = self.rows.len();
        self.block = logit_rows(count, vocabulary);
        self.top(g, m, p, x, is_trained);
        let block = self.block;
        let bias = places(m).head.map(|at| at + 4);
        let bias_weight: &[f32] = bias.map_or(&[], |b| p[b].weight.as_slice());
        let scale = backward.as_ref().map(|b| b.scale / count as f32);
        let [copy, back_copy, _] = &mut self.copies;
        let [packed_left, packed_right] = &mut self.packed;
        // Rows times wte transposed, and back.
        let forward = Ready::transposed(g.shape.precision, copy, wte, vocabulary, c);
        let back = if is_trained { Ready::new(g.shape.precision, back_copy, wte, vocabulary, c) } else { forward };
        let chunk = LOGIT_ROWS / block * block;
        self.losses.fit(count);
        let features_all: &[f32] = if bias.is_some() { &self.head_ln } else { &self.hidden };
        let (each, wide) = (padded(c), padded(vocabulary));
        let d_top = self.d_top.fit(if is_trained { count * each } else { 0 });
        for first in (0..count).step_by(chunk) {
            let n = (count - first).min(chunk);
            let blocks = n.div_ceil(block);
            let packed_len =
                |width: usize| if is_trained { linear::packed_len(g.shape.precision, width, block) } else { 0 };
            let features = &features_all[first * each..(first + n) * each];
            let targets = &self.targets[first..first + n];
            let logits = self.logits.fit(n * wide);
            let left = packed_left.fit(blocks * packed_len(vocabulary));
            let right = packed_right.fit(blocks * packed_len(c));
            let totals = self.totals.fit(if is_trained { blocks * bias_weight.len() } else { 0 });
            let d_top = if is_trained { &mut d_top[first * each..(first + n) * each] } else { &mut [] };
            for_blocks(
                blocks,
                [
                    Band::new(logits, block * wide),
                    Band::new(&mut self.losses[first..first + n], block),
                    Band::new(d_top, block * each),
                    Band::new(totals, bias_weight.len()),
                ],
                [Band::new(left, packed_len(vocabulary)), Band::new(right, packed_len(c))],
                |index, [logits, losses, d_top, totals], [left, right]| {
                    let rows = index * block..(index * block + losses.len());
                    let features = Panels::new(&features[rows.start * each..], rows.len(), c);
                    with_scratch(|scratch| {
                        let (_, pairs) = scratch.take([0; 3]);
                        linear::forward(logits, features, forward, bias_weight, &[], pairs);
                        cross_entropy::rows(losses, logits, &targets[rows], vocabulary, scale);
                        if is_trained {
                            let logits = Panels::filling(logits, vocabulary);
                            back.multiply(d_top, logits, pairs, Store::Set);
                            keep_left(left, logits, block);
                            keep_right(right, features, block);
                            if !totals.is_empty() {
                                totals.fill(0.0);
                                linear::add_column_sums(totals, logits);
                            }
                        }
                    });
                },
            );
            if let Some(b) = &mut backward {
                let store = if first == 0 { b.store } else { Store::Add };
                let left = Factor { rows: logits, packed: left, width: vocabulary };
                let right = Factor { rows: features, packed: right, width: c };
                let gradient = WeightGradient::new(&mut b.input_grads[WTE], left, right, store);
                weight_gradients(g.shape.precision, n, block, [gradient]);
                if let Some(bias) = bias {
                    reduce(&mut b.grads[bias], totals, vocabulary, 0, store);
                }
            }
        }
        if let Some(b) = backward {
            self.backward(g, m, p, x, b);
        }
        Ok((self.losses.iter().map(|&l| f64::from(l)).sum::<f64>() / count as f64) as f32)
    }

    /// From the gradient of the features (`d_top`) to that of the last layer's output.
    fn backward(&mut self, g: Geometry, m: &ModelConfig, p: &[Parameter], x: &[f32], b: Backward<'_>) {
        let Backward { grads, d, store, .. } = b;
        let c = m.width;
        let Places { ln_f, head } = places(m);
        let shape = self.predicted(c);
        let (block, each) = (shape.block, shape.block * padded(c));
        if let Some(at) = head {
            let d_row = self.d_row.fit(shape.elements());
            let (stats, gain) = (&self.head_stats, &p[at + 2].weight);
            norm_backward(block, d_row, &self.d_top, &self.act, stats, gain, &mut self.totals, grads, at + 2, store);
            let [left, right] = &mut self.packed;
            let weight = Ready::transposed(g.shape.precision, &mut self.copies[2], &p[at].weight, c, c);
            let (blocks, packed_len) = (shape.rows.div_ceil(block), linear::packed_len(g.shape.precision, c, block));
            let (left, right) = (left.fit(blocks * packed_len), right.fit(blocks * packed_len));
            let totals = self.totals.fit(blocks * c);
            let (slope, hidden) = (&self.slope, &self.hidden);
            for_blocks(
                blocks,
                [Band::new(d_row, each), Band::new(&mut self.d_top, each), Band::new(totals, c)],
                [Band::new(left, packed_len), Band::new(right, packed_len)],
                |index, [d_row, d_hidden, totals], [left, right]| {
                    let first = index * each;
                    gelu::backward(d_row, &slope[first..]);
                    totals.fill(0.0);
                    let hidden = Panels::filling(&hidden[first..first + d_row.len()], c);
                    let d_row = Panels::filling(d_row, c);
                    linear::add_column_sums(totals, d_row);
                    keep_left(left, hidden, block);
                    keep_right(right, d_row, block);
                    with_scratch(|scratch| weight.multiply(d_hidden, d_row, scratch.take([0; 3]).1, Store::Set));
                },
            );
            let left = Factor { rows: hidden, packed: left, width: c };
            let right = Factor { rows: d_row, packed: right, width: c };
            let gradient = WeightGradient::new(&mut grads[at], left, right, store);
            weight_gradients(g.shape.precision, shape.rows, block, [gradient]);
            reduce(&mut grads[at + 1], totals, c, 0, store);
        }
        let Some(ln) = ln_f else {
            return embedding::scatter(d, g.blocked(), &self.d_top, shape, &self.rows);
        };
        let d_hidden = self.d_hidden.fit(d.len());
        embedding::scatter(d_hidden, g.blocked(), &self.d_top, shape, &self.rows);
        let (stats, gain) = (&self.stats, &p[ln].weight);
        norm_backward(g.block, d, d_hidden, x, stats, gain, &mut self.totals, grads, ln, store);
    }

    /// All logits // (M, V), plain rows
    pub fn logits(
        &mut self,
        g: Geometry,
        m: &ModelConfig,
        input: &[Parameter],
        p: &[Parameter],
        x: &[f32],
    ) -> Vec<f32> {
        let (c, vocabulary) = (m.width, input[WTE].shape[0]);
        self.rows = (0..g.rows).collect();
        self.block = logit_rows(g.rows, vocabulary);
        self.top(g, m, p, x, false);
        let (block, each) = (self.block, padded(c));
        let bias: &[f32] = places(m).head.map_or(&[], |at| p[at + 4].weight.as_slice());
        let mut logits = vec![0.0; g.rows * vocabulary];
        let features: &[f32] = if bias.is_empty() { &self.hidden } else { &self.head_ln };
        let weight = Ready::transposed(g.shape.precision, &mut self.copies[0], &input[WTE].weight, vocabulary, c);
        let bands = [Band::new(&mut logits, block * vocabulary)];
        for_blocks(g.rows.div_ceil(block), bands, NOTHING, |index, [logits], []| {
            let rows = logits.len() / vocabulary;
            let features = Panels::new(&features[index * block * each..], rows, c);
            with_scratch(|scratch| {
                let ([panels, ..], pairs) = scratch.take([rows * padded(vocabulary), 0, 0]);
                linear::forward(panels, features, weight, bias, &[], pairs);
                to_rows(logits, Panels::new(panels, rows, vocabulary));
            });
        });
        logits
    }
}

/// Rows of a block of `count` predicted rows.
fn logit_rows(count: usize, vocabulary: usize) -> usize {
    block_rows(count).min((BLOCK_LOGITS / vocabulary).clamp(32, 256) / 32 * 32)
}

/// What a backward pass writes.
pub(super) struct Backward<'a> {
    /// Gradients of the parameters before the layers.
    pub input_grads: &'a mut [Vec<f32>],
    /// Gradients of those behind the layers.
    pub grads: &'a mut [Vec<f32>],
    /// Gradient of the last layer's output // (M, C)
    pub d: &'a mut [f32],
    /// Weight of this batch's loss.
    pub scale: f32,
    /// Whether earlier gradients are added to.
    pub store: Store,
}
