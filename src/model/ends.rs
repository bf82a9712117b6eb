//! The two ends of the fast engine: embedding before the layers, final norm, head and loss behind them.
//!
//! Logits exist only for predicted positions, a block of rows at a time.

use anyhow::{Result, ensure};

use super::Parameter;
use super::block::{fit, norm_weight};
use super::layout::has_embedding_norm;
use crate::config::{Architecture, ModelConfig, Norm};
use crate::kernels::gelu::{self, Gelu};
use crate::kernels::matmul::{Store, View, matmul};
use crate::kernels::{cross_entropy, embedding, layer_norm, linear};
use crate::objective::{Batch, NO_TARGET};

/// Rows of logits that exist at a time.
const LOGIT_ROWS: usize = 512;

/// Places among the parameters before the layers (`layout::input_shapes`).
const WTE: usize = 0;
const WPE: usize = 1;
const LN_EMBED: usize = 2;

/// The embedding's buffers.
#[derive(Default)]
pub(super) struct Input {
    sum: Vec<f32>, // before the norm, where there is one (M, C)
    stats: layer_norm::Stats,
    x: Vec<f32>, // what the first layer sees (M, C)
    d_sum: Vec<f32>,
}

impl Input {
    /// What the first active layer sees // (M, C)
    pub fn out(&self) -> &[f32] {
        &self.x
    }

    pub fn forward(&mut self, m: &ModelConfig, p: &[Parameter], batch: &Batch) {
        let n = batch.inputs.len() * m.width;
        let normed = has_embedding_norm(m);
        let sum = fit(if normed { &mut self.sum } else { &mut self.x }, n);
        embedding::forward(sum, &batch.inputs, &p[WTE].weight, &p[WPE].weight, batch.context, m.width);
        if normed {
            let stats = fit(&mut self.stats, batch.inputs.len());
            layer_norm::forward(fit(&mut self.x, n), stats, &self.sum, &p[LN_EMBED].weight, &p[LN_EMBED + 1].weight);
        }
    }

    /// Stores the gradients; that of the token embedding is added to the head's // d (M, C)
    pub fn backward(
        &mut self,
        m: &ModelConfig,
        p: &[Parameter],
        grads: &mut [Vec<f32>],
        batch: &Batch,
        d: &[f32],
        store: Store,
    ) {
        let d = if has_embedding_norm(m) {
            norm_weight(grads, LN_EMBED, d, &self.sum, &self.stats, store);
            let d_sum = fit(&mut self.d_sum, d.len());
            layer_norm::backward_input(d_sum, d, &self.sum, &self.stats, &p[LN_EMBED].weight, Store::Set);
            &*d_sum
        } else {
            d
        };
        if let [tokens, positions, ..] = grads {
            embedding::backward(tokens, positions, d, &batch.inputs, batch.context, m.width, store);
        }
    }
}

/// The head's buffers. P = predicted positions.
#[derive(Default)]
pub(super) struct Output {
    normed: Vec<f32>, // final norm (M, C)
    stats: layer_norm::Stats,
    rows: Vec<usize>,
    targets: Vec<usize>,
    hidden: Vec<f32>,  // gathered rows (P, C)
    dense: Vec<f32>,   // encoder: before the GELU (P, C)
    act: Vec<f32>,     // encoder: behind it (P, C)
    head_ln: Vec<f32>, // encoder: normed (P, C)
    head_stats: layer_norm::Stats,
    logits: Vec<f32>, // (LOGIT_ROWS, V)
    losses: Vec<f32>,
    d_top: Vec<f32>, // gradient of what the logits are made from (P, C)
    d_row: Vec<f32>, // (P, C)
    d_hidden: Vec<f32>,
}

/// What the head's parameters are, by their places behind the layers (`layout::output_shapes`).
struct Places {
    ln_f: Option<usize>,
    /// Of `head.dense.weight`; the bias, the norm and the vocabulary's bias follow.
    head: Option<usize>,
}

fn places(m: &ModelConfig) -> Places {
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
    fn top(&mut self, m: &ModelConfig, p: &[Parameter], x: &[f32]) {
        let c = m.width;
        let Places { ln_f, head } = places(m);
        let x = if let Some(ln) = ln_f {
            let normed = fit(&mut self.normed, x.len());
            layer_norm::forward(normed, fit(&mut self.stats, x.len() / c), x, &p[ln].weight, &p[ln + 1].weight);
            &*normed
        } else {
            x
        };
        let n = self.rows.len() * c;
        embedding::gather(fit(&mut self.hidden, n), x, &self.rows, c);
        if let Some(at) = head {
            let dense = fit(&mut self.dense, n);
            linear::forward(dense, &self.hidden, &p[at].weight, &p[at + 1].weight, None);
            gelu::forward(head_gelu(m), fit(&mut self.act, n), dense);
            let stats = fit(&mut self.head_stats, self.rows.len());
            layer_norm::forward(fit(&mut self.head_ln, n), stats, &self.act, &p[at + 2].weight, &p[at + 3].weight);
        }
    }

    /// The mean loss; with `backward`, also the gradient of the last layer's output (in `d`) and of the head's and the
    /// token embedding's parameters. // x, d (M, C)
    #[allow(clippy::too_many_arguments)]
    pub fn loss(
        &mut self,
        m: &ModelConfig,
        input: &[Parameter],
        p: &[Parameter],
        x: &[f32],
        batch: &Batch,
        backward: Option<Backward<'_>>,
    ) -> Result<f32> {
        self.rows.clear();
        self.targets.clear();
        for (row, &target) in batch.targets.iter().enumerate().filter(|(_, t)| **t != NO_TARGET) {
            self.rows.push(row);
            self.targets.push(target as usize);
        }
        ensure!(!self.rows.is_empty(), "a batch has no token to predict; raise objective.mask_share or train.batch");
        self.top(m, p, x);
        let c = m.width;
        let wte = &input[WTE].weight;
        let vocabulary = input[WTE].shape[0];
        let count = self.rows.len();
        let bias = places(m).head.map(|at| at + 4);
        let scale = backward.as_ref().map(|b| b.scale / count as f32);
        let mut backward = backward;
        fit(&mut self.losses, count);
        if backward.is_some() {
            fit(&mut self.d_top, count * c);
        }
        let features_all = if bias.is_some() { &self.head_ln } else { &self.hidden };
        for first in (0..count).step_by(LOGIT_ROWS) {
            let last = (first + LOGIT_ROWS).min(count);
            let n = last - first;
            let logits = fit_at_least(&mut self.logits, n * vocabulary);
            let features = View::new(&features_all[first * c..last * c], n, c);
            logits_of(logits, features, wte, bias.map(|b| p[b].weight.as_slice()), vocabulary, c);
            cross_entropy::rows(&mut self.losses[first..last], logits, &self.targets[first..last], vocabulary, scale);
            if let Some(b) = &mut backward {
                let d_logits = View::new(logits, n, vocabulary);
                matmul(&mut self.d_top[first * c..last * c], d_logits, View::new(wte, vocabulary, c), Store::Set);
                let store = if first == 0 { b.store } else { Store::Add };
                matmul(&mut b.input_grads[WTE], d_logits.t(), features, store);
                if let Some(bias) = bias {
                    linear::column_sums(&mut b.grads[bias], logits, store, |_, value, _| value);
                }
            }
        }
        if let Some(b) = backward {
            self.backward(m, p, x, b);
        }
        Ok((self.losses.iter().map(|&l| f64::from(l)).sum::<f64>() / count as f64) as f32)
    }

    /// From the gradient of the features (`d_top`) to that of the last layer's output.
    fn backward(&mut self, m: &ModelConfig, p: &[Parameter], x: &[f32], b: Backward<'_>) {
        let Backward { grads, d, store, .. } = b;
        let c = m.width;
        let Places { ln_f, head } = places(m);
        let n = self.rows.len() * c;
        let d_rows = if let Some(at) = head {
            norm_weight(grads, at + 2, &self.d_top, &self.act, &self.head_stats, store);
            let d_row = fit(&mut self.d_row, n);
            layer_norm::backward_input(d_row, &self.d_top, &self.act, &self.head_stats, &p[at + 2].weight, Store::Set);
            gelu::backward(head_gelu(m), d_row, &self.dense);
            if let [weight, bias] = &mut grads[at..at + 2] {
                linear::backward_weight(weight, bias, &self.hidden, d_row, store);
            }
            linear::backward_input(&mut self.d_top, d_row, &p[at].weight, c);
            &self.d_top
        } else {
            &self.d_top
        };
        let Some(ln) = ln_f else {
            return embedding::scatter(d, d_rows, &self.rows, c);
        };
        let d_hidden = fit(&mut self.d_hidden, d.len());
        embedding::scatter(d_hidden, d_rows, &self.rows, c);
        norm_weight(grads, ln, d_hidden, x, &self.stats, store);
        layer_norm::backward_input(d, d_hidden, x, &self.stats, &p[ln].weight, Store::Set);
    }

    /// All logits // (M, V)
    pub fn logits(&mut self, m: &ModelConfig, input: &[Parameter], p: &[Parameter], x: &[f32]) -> Vec<f32> {
        let (c, vocabulary) = (m.width, input[WTE].shape[0]);
        self.rows = (0..x.len() / c).collect();
        self.top(m, p, x);
        let bias = places(m).head.map(|at| p[at + 4].weight.as_slice());
        let mut logits = vec![0.0; self.rows.len() * vocabulary];
        let features = View::new(if bias.is_some() { &self.head_ln } else { &self.hidden }, self.rows.len(), c);
        logits_of(&mut logits, features, &input[WTE].weight, bias, vocabulary, c);
        logits
    }
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

/// A buffer that only ever grows, cut to `n`.
fn fit_at_least(buffer: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if buffer.len() < n {
        buffer.resize(n, 0.0);
    }
    &mut buffer[..n]
}

/// `logits = features wte^T (+ bias)` // (n, V) = (n, C) (V, C)^T
fn logits_of(logits: &mut [f32], features: View<'_>, wte: &[f32], bias: Option<&[f32]>, vocabulary: usize, c: usize) {
    if let Some(bias) = bias {
        logits.chunks_exact_mut(vocabulary).for_each(|row| row.copy_from_slice(bias));
    }
    let store = if bias.is_some() { Store::Add } else { Store::Set };
    matmul(logits, features, View::new(wte, vocabulary, c).t(), store);
}
