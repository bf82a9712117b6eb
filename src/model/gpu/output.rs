//! What stands behind the layers on the GPU: final norm, head and loss.
//!
//! Logits exist only for predicted positions, some thousand rows at a time.

use anyhow::Result;

use super::batch::OnDevice;
use super::buffer::{Buffer, download, download_kept};
use super::layer::{Geometry, Sizes};
use super::norm;
use super::state::{Gradients, Weights};
use crate::config::ModelConfig;
use crate::gpu::launch::{AddNorm, Kernels, NormBackward};
use crate::gpu::product::{End, Form};
use crate::gpu::{Device, Kind, Span};
use crate::model::ends::{Places, WTE, head_gelu, places};

/// Rows of the token table, and elements of a row of logits, are filled up to a multiple of this: whole vectors in products.
pub(super) const VOCABULARY_UNIT: usize = 64;

/// Logits that exist at a time, at most about.
const LOGITS: usize = 1 << 28;

/// Rows of logits that exist at a time: parts of about equal size.
pub(super) fn logit_rows(predicted: usize, vocabulary: usize) -> usize {
    let most = (LOGITS / vocabulary.next_multiple_of(VOCABULARY_UNIT)).max(64);
    let parts = predicted.div_ceil(most);
    predicted.div_ceil(parts).next_multiple_of(64).min(predicted)
}

/// The head's buffers. P = predicted positions, V = vocabulary filled up.
#[derive(Default)]
pub(super) struct Output {
    x: Buffer,          // the predicted rows of the stream, where they aren't all // f32 (P, C)
    stats: Buffer,      // of the final norm // (P, 2)
    hidden: Buffer,     // what the head sees // (P, C)
    pre: Buffer,        // encoder: of the GELU // (P, C)
    act: Buffer,        // encoder: behind it // (P, C)
    sum: Buffer,        // encoder: the same in f32, as the norm sees it // (P, C)
    head_stats: Buffer, // encoder // (P, 2)
    features: Buffer,   // encoder: what logits are made from // (P, C)
    logits: Buffer,     // (logit_rows, V)
    losses: Buffer,     // (P)
    d_features: Buffer, // (P, C)
    d_row: Buffer,      // encoder: (P, C)
    d_single: Buffer,   // gradient of the predicted rows // f32 (P, C)
    partials: Buffer,   // sums of blocks of rows of logits, or of the head's norms
}

/// What the head is computed from.
#[derive(Clone, Copy)]
pub(super) struct Top<'a> {
    pub kernels: &'a Kernels,
    pub g: &'a Geometry,
    pub model: &'a ModelConfig,
    pub vocabulary: usize,
    /// Before the layers: the token table is the head's matrix.
    pub input: Weights<'a>,
    /// Behind the layers.
    pub output: Weights<'a>,
    /// What the last layer gave // f32 (M, C)
    pub x: Span<'a>,
    pub batch: &'a OnDevice,
}

impl Top<'_> {
    /// Elements of a row of logits.
    fn wide(&self) -> usize {
        self.vocabulary.next_multiple_of(VOCABULARY_UNIT)
    }

    /// Logits of features (n, C) // to (n, wide)
    fn logits(&self, to: Span<'_>, features: Span<'_>) -> Result<()> {
        let (n, c) = (features.len() / self.g.width, self.g.width);
        let factors = [features, self.input.factor(WTE)];
        self.kernels.multiply(to, Form::RightTransposed, factors, [n, self.wide(), c], End::Set)
    }
}

/// What a step writes at the head.
#[derive(Clone, Copy)]
pub(super) struct Backward<'a> {
    pub input_grads: &'a Gradients,
    pub grads: &'a Gradients,
    /// Gradient of the last layer's output // f32 (M, C)
    pub d: Span<'a>,
    /// Weight of this batch's loss.
    pub scale: f32,
    pub is_added: bool,
}

impl Output {
    /// Kinds and lengths of all buffers, in order, with `predicted` of the rows predicted. There is some room for batches in
    /// which a few more are, so that buffers stay as they are.
    pub fn sizes(g: &Geometry, m: &ModelConfig, vocabulary: usize, predicted: usize) -> Sizes<14> {
        let is_all = predicted == g.rows();
        let p = predicted.next_multiple_of(g.rows().div_ceil(8)).min(g.rows());
        let Places { ln_f, head } = places(m);
        let (n, store) = (p * g.width, g.store);
        let if_head = usize::from(head.is_some());
        let rows = logit_rows(p, vocabulary);
        let wide = vocabulary.next_multiple_of(VOCABULARY_UNIT);
        let of_bias = if_head * Kernels::bands(rows) * wide;
        let of_norms = (Kernels::norm_blocks(p) * 3).max(Kernels::bands(p)) * g.width;
        [
            (Kind::F32, if is_all { 0 } else { n }),
            (Kind::F32, if ln_f.is_some() { 2 * p } else { 0 }),
            (store, n),
            (store, if_head * n),
            (store, if_head * n),
            (Kind::F32, if_head * n),
            (Kind::F32, if_head * 2 * p),
            (store, if_head * n),
            (store, rows * wide),
            (Kind::F32, p),
            (store, n),
            (store, if_head * n),
            (Kind::F32, if is_all { 0 } else { n }),
            (Kind::F32, of_bias.max(of_norms)),
        ]
    }

    /// Makes room for a batch of which `p` rows are predicted.
    pub fn fit(
        &mut self,
        device: &dyn Device,
        g: &Geometry,
        m: &ModelConfig,
        vocabulary: usize,
        p: usize,
    ) -> Result<()> {
        let Self {
            x,
            stats,
            hidden,
            pre,
            act,
            sum,
            head_stats,
            features,
            logits,
            losses,
            d_features,
            d_row,
            d_single,
            partials,
        } = self;
        let all = [
            x, stats, hidden, pre, act, sum, head_stats, features, logits, losses, d_features, d_row, d_single,
            partials,
        ];
        let sizes = Self::sizes(g, m, vocabulary, p);
        all.into_iter().zip(sizes).try_for_each(|(buffer, (kind, len))| buffer.fit(device, kind, len))
    }

    /// The predicted rows of the stream // f32 (P, C)
    fn stream<'a>(&'a self, top: Top<'a>) -> Span<'a> {
        if top.batch.is_all_predicted() { top.x } else { self.x.span(Kind::F32, top.batch.predicted() * top.g.width) }
    }

    /// What logits are made from: the predicted rows, final norm, an encoder's dense head // (P, C)
    fn features(&self, top: Top<'_>) -> Result<Span<'_>> {
        let Top { kernels, g, model: m, output: w, batch, .. } = top;
        let (p, c) = (batch.predicted(), g.width);
        let n = p * c;
        let Places { ln_f, head } = places(m);
        let rows = self.stream(top);
        if !batch.is_all_predicted() {
            kernels.gather_rows(rows, top.x, batch.rows())?;
        }
        let hidden = self.hidden.span(g.store, n);
        let plain = AddNorm { x: Some(rows), copy: Some(hidden), ..AddNorm::default() };
        let all = ln_f.map_or(plain, |at| AddNorm {
            norm: Some([w.single(at), w.single(at + 1)]),
            stats: Some(self.stats.span(Kind::F32, 2 * p)),
            ..plain
        });
        kernels.add_norm(all, p)?;
        let Some(at) = head else {
            return Ok(hidden);
        };
        let [pre, act, features] = [&self.pre, &self.act, &self.features].map(|buffer| buffer.span(g.store, n));
        kernels.multiply(pre, Form::Plain, [hidden, w.factor(at)], [p, c, c], End::Set)?;
        kernels.gelu_forward(head_gelu(m), act, pre, w.single(at + 1), [p, c])?;
        let all = AddNorm {
            y: Some(act),
            factor: 1.0,
            norm: Some([w.single(at + 2), w.single(at + 3)]),
            sum: Some(self.sum.span(Kind::F32, n)),
            stats: Some(self.head_stats.span(Kind::F32, 2 * p)),
            copy: Some(features),
            ..AddNorm::default()
        };
        kernels.add_norm(all, p)?;
        Ok(features)
    }

    /// The mean loss into `to` (f64); with `backward`, also the gradient of the last layer's output, of the head's
    /// parameters and of the token table.
    pub fn loss(&self, top: Top<'_>, to: Span<'_>, backward: Option<Backward<'_>>) -> Result<()> {
        let Top { kernels, g, model: m, vocabulary, input, output: w, batch, .. } = top;
        let (p, c, wide) = (batch.predicted(), g.width, top.wide());
        let features = self.features(top)?;
        let bias = places(m).head.map(|at| at + 4);
        let losses = self.losses.span(Kind::F32, p);
        let d_features = self.d_features.span(g.store, p * c);
        let chunk = logit_rows(p, vocabulary);
        for first in (0..p).step_by(chunk) {
            let n = chunk.min(p - first);
            let features = features.part(first * c..(first + n) * c);
            let logits = self.logits.span(g.store, n * wide);
            let targets = batch.targets().part(first..first + n);
            top.logits(logits, features)?;
            let scale = backward.map(|b| b.scale / p as f32);
            let weight = bias.map(|at| w.single(at));
            let losses = losses.part(first..first + n);
            kernels.cross_entropy(logits, weight, targets, losses, scale, [vocabulary, wide])?;
            let Some(b) = backward else {
                continue;
            };
            let d_features = d_features.part(first * c..(first + n) * c);
            kernels.multiply(d_features, Form::Plain, [logits, input.factor(WTE)], [n, c, wide], End::Set)?;
            let is_added = b.is_added || first > 0;
            let end = if is_added { End::Add } else { End::Set };
            kernels.multiply(b.input_grads.of(WTE), Form::LeftTransposed, [logits, features], [wide, c, n], end)?;
            if let Some(at) = bias {
                let bands = Kernels::bands(n);
                let partials = self.partials.span(Kind::F32, bands * wide);
                kernels.column_sums(partials, logits, [n, wide])?;
                kernels.reduce(b.grads.of(at), partials, [bands, wide], is_added)?;
            }
        }
        kernels.mean_loss(to, losses)?;
        backward.map_or(Ok(()), |b| self.backward(top, b))
    }

    /// From the gradient of the features to that of the last layer's output.
    fn backward(&self, top: Top<'_>, b: Backward<'_>) -> Result<()> {
        let Top { kernels, g, model: m, output: w, batch, .. } = top;
        let (p, c) = (batch.predicted(), g.width);
        let n = p * c;
        let Places { ln_f, head } = places(m);
        let end = if b.is_added { End::Add } else { End::Set };
        let d_single = if batch.is_all_predicted() { b.d } else { self.d_single.span(Kind::F32, n) };
        let d_features = self.d_features.span(g.store, n);
        let partials = |len: usize| self.partials.span(Kind::F32, len);
        let of_norm = Kernels::norm_blocks(p) * 3 * c;
        if let Some(at) = head {
            let d_row = self.d_row.span(g.store, n);
            let [hidden, pre] = [&self.hidden, &self.pre].map(|buffer| buffer.span(g.store, n));
            let backward = NormBackward {
                dy: d_features,
                x: self.sum.span(Kind::F32, n),
                stats: self.head_stats.span(Kind::F32, 2 * p),
                gain: w.single(at + 2),
                residual: None,
                dx: d_single,
                copy: Some(d_row),
                factor: 1.0,
            };
            let grads = [b.grads.of(at + 2), b.grads.of(at + 3)];
            norm::backward(kernels, backward, grads, None, partials(of_norm), p, b.is_added)?;
            let bands = Kernels::bands(p);
            kernels.gelu_backward(head_gelu(m), d_row, [pre, w.single(at + 1)], partials(bands * c), [p, c])?;
            kernels.reduce(b.grads.of(at + 1), partials(bands * c), [bands, c], b.is_added)?;
            kernels.multiply(b.grads.of(at), Form::LeftTransposed, [hidden, d_row], [c, c, p], end)?;
            kernels.multiply(d_features, Form::RightTransposed, [d_row, w.factor(at)], [p, c, c], End::Set)?;
        }
        if let Some(at) = ln_f {
            let backward = NormBackward {
                dy: d_features,
                x: self.stream(top),
                stats: self.stats.span(Kind::F32, 2 * p),
                gain: w.single(at),
                residual: None,
                dx: d_single,
                copy: None,
                factor: 0.0,
            };
            let grads = [b.grads.of(at), b.grads.of(at + 1)];
            norm::backward(kernels, backward, grads, None, partials(of_norm), p, b.is_added)?;
        } else {
            kernels.add_gradient([None, Some(d_single), None], [Some(d_features), None], 1.0, p)?;
        }
        if batch.is_all_predicted() { Ok(()) } else { kernels.scatter_rows(b.d, d_single, batch.place()) }
    }

    /// All logits // (M, vocabulary), of a batch of which every row counts as predicted
    pub fn logits(&self, top: Top<'_>) -> Result<Vec<f32>> {
        let Top { kernels, g, model: m, vocabulary, output: w, batch, .. } = top;
        let (p, c, wide) = (batch.predicted(), g.width, top.wide());
        let features = self.features(top)?;
        let bias = places(m).head.map(|at| download::<f32>(kernels.device(), w.single(at + 4))).transpose()?;
        let chunk = logit_rows(p, vocabulary);
        let mut all = Vec::with_capacity(p * vocabulary);
        for first in (0..p).step_by(chunk) {
            let n = chunk.min(p - first);
            let logits = self.logits.span(g.store, n * wide);
            top.logits(logits, features.part(first * c..(first + n) * c))?;
            for row in download_kept(kernels.device(), logits)?.chunks_exact(wide) {
                let bias_of = |i: usize| bias.as_ref().map_or(0.0, |bias| bias[i]);
                all.extend(row[..vocabulary].iter().enumerate().map(|(i, logit)| logit + bias_of(i)));
            }
        }
        Ok(all)
    }
}
