//! One layer on the GPU: forward, keeping what the backward pass needs, and backward.
//!
//! The same layer as the CPU's `block`, as whole passes over (M, C) instead of sweeps over blocks of rows: two sub-layers,
//! `x + a f(x)`, with the norm before `f` or behind the sum. The residual stream and its gradient are f32, what products
//! read and write is kept as the precision says. Knows nothing of which layers are active.

use anyhow::Result;

use super::buffer::Buffer;
use super::norm;
use super::state::{Gradients, Weights};
use crate::config::{Architecture, ModelConfig, Norm};
use crate::gpu::launch::{AddNorm, Gelu, Heads, Kernels, NormBackward};
use crate::gpu::product::{End, Form};
use crate::gpu::source::Shape;
use crate::gpu::{Device, Kind, Span};
use crate::model::layout::place;
use crate::subnetwork::Parts;

/// The shape of a layer on one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub sequences: usize, // B
    pub context: usize,   // T
    pub width: usize,     // C
    /// Heads that are computed, and the width of one.
    pub heads: usize,
    pub head: usize,
    pub inner: usize, // rC, or what is computed of it
    pub norm: Norm,
    pub residual: bool,
    pub is_causal: bool,
    /// How activations are kept.
    pub store: Kind,
    /// Whether the last bits of a gradient may differ from time to time, where that is quicker.
    pub is_loose: bool,
}

impl Geometry {
    pub fn new(m: &ModelConfig, shape: Shape, is_loose: bool, sequences: usize, context: usize) -> Self {
        Self {
            sequences,
            context,
            width: m.width,
            heads: m.heads,
            head: m.width / m.heads,
            inner: m.width * m.mlp_ratio,
            norm: m.norm,
            residual: m.residual,
            is_causal: m.architecture == Architecture::Decoder,
            store: shape.store,
            is_loose: is_loose && shape.has_loose_attention(),
        }
    }

    /// The same of a layer of which only some parts are computed.
    pub fn of_parts(self, parts: Option<&Parts>) -> Self {
        parts.map_or(self, |parts| Self { heads: parts.heads.len(), inner: parts.width(), ..self })
    }

    /// Whether asking for a layer's passes takes about as long as they do: by estimate, for no GPU was at hand (`cargo bench
    /// --bench gpu` measures it). A launch takes the host 2 to 4 us; 2^30 is some 60 us of products in a layer's 17.
    pub fn is_small(&self) -> bool {
        self.rows() * self.width * self.width <= 1 << 30
    }

    /// M = B*T.
    pub fn rows(&self) -> usize {
        self.sequences * self.context
    }

    /// A: the width of the heads that are computed, together.
    pub fn heads_width(&self) -> usize {
        self.heads * self.head
    }

    /// Sums of blocks of rows that a pass may write, in floats.
    pub fn partials(&self) -> usize {
        let widest = (3 * self.heads_width()).max(self.inner).max(self.width);
        (Kernels::norm_blocks(self.rows()) * 3 * self.width).max(Kernels::bands(self.rows()) * widest)
    }
}

/// What one active layer keeps between its forward and backward pass.
#[derive(Default)]
pub(super) struct Activations {
    seen_1: Buffer,  // ln_1(x), or x // (M, C)
    stats_1: Buffer, // of whichever norm there is // (M, 2)
    qkv: Buffer,     // (M, 3A)
    lse: Buffer,     // (B, H, T)
    mixed: Buffer,   // attention's output before its projection // (M, A)
    sum_1: Buffer,   // post-norm: the sum before the norm // (M, C)
    middle: Buffer,  // attention sub-layer's output // (M, C)
    seen_2: Buffer,
    stats_2: Buffer,
    pre: Buffer, // before the GELU, without its bias // (M, rC)
    act: Buffer, // behind it // (M, rC)
    sum_2: Buffer,
    out: Buffer, // (M, C)
}

/// Buffers shared by all layers.
#[derive(Default)]
pub(super) struct Scratch {
    branch: Buffer,    // a branch's output, or its gradient // (M, C)
    d_seen: Buffer,    // (M, C)
    d_wide: Buffer,    // (M, rC)
    d_mixed: Buffer,   // (M, A)
    d_qkv: Buffer,     // (M, 3A)
    delta: Buffer,     // (B, H, T)
    d_queries: Buffer, // zeros between passes, where they are loose // f32 (M, A)
    partials: Buffer,  // Geometry::partials
}

/// The layer at work: its weights, and the factor on its branches.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub weights: Weights<'a>,
    pub factor: f32,
}

/// What a layer's backward pass runs with.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub kernels: &'a Kernels,
    pub g: &'a Geometry,
    pub scratch: &'a Scratch,
    pub heads: Heads<'a>,
    /// Whether gradients are added to what is there.
    pub is_added: bool,
}

/// The active layer below: under pre-norm the backward pass of a layer's first norm also makes the gradient of that one's
/// MLP branch, and the sums of its bias.
#[derive(Clone, Copy)]
pub(super) struct Below<'a> {
    pub factor: f32,
    pub grads: &'a Gradients,
}

/// A layer's buffers: what kind, and how many elements.
pub(super) type Sizes<const N: usize> = [(Kind, usize); N];

impl Activations {
    /// Kinds and lengths of all buffers, in order.
    pub fn sizes(g: &Geometry) -> Sizes<13> {
        let (m, c, a, inner, store) = (g.rows(), g.width, g.heads_width(), g.inner, g.store);
        let sum = if g.norm == Norm::Post { m * c } else { 0 };
        let stats = if g.norm == Norm::None { 0 } else { 2 * m };
        [
            (store, m * c),
            (Kind::F32, stats),
            (store, 3 * m * a),
            (Kind::F32, m * g.heads),
            (store, m * a),
            (Kind::F32, sum),
            (Kind::F32, m * c),
            (store, m * c),
            (Kind::F32, stats),
            (store, m * inner),
            (store, m * inner),
            (Kind::F32, sum),
            (Kind::F32, m * c),
        ]
    }

    /// Makes room.
    pub fn fit(&mut self, device: &dyn Device, g: &Geometry) -> Result<()> {
        let Self { seen_1, stats_1, qkv, lse, mixed, sum_1, middle, seen_2, stats_2, pre, act, sum_2, out } = self;
        let all = [seen_1, stats_1, qkv, lse, mixed, sum_1, middle, seen_2, stats_2, pre, act, sum_2, out];
        all.into_iter().zip(Self::sizes(g)).try_for_each(|(buffer, (kind, len))| buffer.fit(device, kind, len))
    }

    /// The layer's output // f32 (M, C)
    pub fn out(&self, g: &Geometry) -> Span<'_> {
        self.out.span(Kind::F32, g.rows() * g.width)
    }

    /// Runs the layer on `x`; there must be room // f32 (M, C)
    pub fn forward(
        &self,
        kernels: &Kernels,
        g: &Geometry,
        layer: Layer<'_>,
        x: Span<'_>,
        s: &Scratch,
        heads: Heads<'_>,
    ) -> Result<()> {
        let (m, c, a, inner) = (g.rows(), g.width, g.heads_width(), g.inner);
        let Layer { weights: w, factor } = layer;
        let (is_pre, is_post) = (g.norm == Norm::Pre, g.norm == Norm::Post);
        let norm = |at: usize| [w.single(at), w.single(at + 1)];
        let (seen_1, qkv) = (self.seen_1.span(g.store, m * c), self.qkv.span(g.store, 3 * m * a));
        let (mixed, lse) = (self.mixed.span(g.store, m * a), self.lse.span(Kind::F32, m * g.heads));
        let (middle, seen_2) = (self.middle.span(Kind::F32, m * c), self.seen_2.span(g.store, m * c));
        let (pre, act) = (self.pre.span(g.store, m * inner), self.act.span(g.store, m * inner));
        let branch = s.branch.span(g.store, m * c);

        let first = AddNorm { x: Some(x), copy: Some(seen_1), ..AddNorm::default() };
        let first = if is_pre {
            AddNorm { norm: Some(norm(place::LN_1)), stats: Some(self.stats_1.span(Kind::F32, 2 * m)), ..first }
        } else {
            first
        };
        kernels.add_norm(first, m)?;
        let bias = End::Bias(w.factor(place::QKV_BIAS));
        kernels.multiply(qkv, Form::Plain, [seen_1, w.factor(place::QKV)], [m, 3 * a, c], bias)?;
        kernels.attention_forward(mixed, lse, qkv, heads)?;
        kernels.multiply(branch, Form::Plain, [mixed, w.factor(place::PROJ)], [m, c, a], End::Set)?;
        let sum = AddNorm {
            x: g.residual.then_some(x),
            y: Some(branch),
            bias: Some(w.single(place::PROJ_BIAS)),
            factor,
            copy: Some(seen_2),
            ..AddNorm::default()
        };
        kernels.add_norm(
            match g.norm {
                Norm::None => AddNorm { sum: Some(middle), ..sum },
                Norm::Pre => AddNorm {
                    sum: Some(middle),
                    norm: Some(norm(place::LN_2)),
                    stats: Some(self.stats_2.span(Kind::F32, 2 * m)),
                    ..sum
                },
                Norm::Post => AddNorm {
                    sum: Some(self.sum_1.span(Kind::F32, m * c)),
                    norm: Some(norm(place::LN_1)),
                    stats: Some(self.stats_1.span(Kind::F32, 2 * m)),
                    normed: Some(middle),
                    ..sum
                },
            },
            m,
        )?;
        kernels.multiply(pre, Form::Plain, [seen_2, w.factor(place::UP)], [m, inner, c], End::Set)?;
        kernels.gelu_forward(Gelu::Tanh, act, pre, w.single(place::UP_BIAS), [m, inner])?;
        kernels.multiply(branch, Form::Plain, [act, w.factor(place::DOWN)], [m, c, inner], End::Set)?;
        let out = self.out(g);
        let sum = AddNorm {
            x: g.residual.then_some(middle),
            y: Some(branch),
            bias: Some(w.single(place::DOWN_BIAS)),
            factor,
            ..AddNorm::default()
        };
        kernels.add_norm(
            if is_post {
                AddNorm {
                    sum: Some(self.sum_2.span(Kind::F32, m * c)),
                    norm: Some(norm(place::LN_2)),
                    stats: Some(self.stats_2.span(Kind::F32, 2 * m)),
                    normed: Some(out),
                    ..sum
                }
            } else {
                AddNorm { sum: Some(out), ..sum }
            },
            m,
        )
    }

    /// The gradients of the layer's parameters (added to what is there if `is_added`); `d`, the gradient of its output,
    /// becomes that of its input. `is_prepared`: the layer above had this one as `below`. // x, d f32 (M, C)
    pub fn backward(
        &self,
        pass: Pass<'_>,
        layer: Layer<'_>,
        grads: &Gradients,
        [x, d]: [Span<'_>; 2],
        is_prepared: bool,
        below: Option<Below<'_>>,
    ) -> Result<()> {
        let Pass { kernels, g, scratch: s, heads, is_added } = pass;
        let (m, c, a, inner) = (g.rows(), g.width, g.heads_width(), g.inner);
        let Layer { weights: w, factor } = layer;
        let residual = g.residual.then_some(d);
        let end = if is_added { End::Add } else { End::Set };
        let [branch, d_seen] = [&s.branch, &s.d_seen].map(|buffer| buffer.span(g.store, m * c));
        let (d_wide, d_mixed) = (s.d_wide.span(g.store, m * inner), s.d_mixed.span(g.store, m * a));
        let d_qkv = s.d_qkv.span(g.store, 3 * m * a);
        let partials = s.partials.span(Kind::F32, g.partials());
        let bands = Kernels::bands(m);
        let weight = |at: usize, left: Span<'_>, right: Span<'_>, shape: [usize; 2]| {
            kernels.multiply(grads.of(at), Form::LeftTransposed, [left, right], [shape[0], shape[1], m], end)
        };
        let band_sums = |at: usize, n: usize| kernels.reduce(grads.of(at), partials, [bands, n], is_added);
        // Makes d the gradient of the norm's input, and of it that of the branch below, if there is one: its factor, and the
        // gradient of its bias.
        let norm = |ln: usize, stats: &Buffer, [x, dy]: [Span<'_>; 2], residual, to: Option<(f32, Span<'_>)>| {
            let backward = NormBackward {
                dy,
                x,
                stats: stats.span(Kind::F32, 2 * m),
                gain: w.single(ln),
                residual,
                dx: d,
                copy: to.map(|_| branch),
                factor: to.map_or(0.0, |(factor, _)| factor),
            };
            let (own, bias) = ([grads.of(ln), grads.of(ln + 1)], to.map(|(_, bias)| bias));
            norm::backward(kernels, backward, own, bias, partials, m, is_added)
        };

        // The MLP sub-layer.
        if g.norm == Norm::Post {
            let sum = self.sum_2.span(Kind::F32, m * c);
            norm(place::LN_2, &self.stats_2, [sum, d], None, Some((factor, grads.of(place::DOWN_BIAS))))?;
        } else if !is_prepared {
            kernels.add_gradient([Some(d), None, Some(partials)], [None, Some(branch)], factor, m)?;
            band_sums(place::DOWN_BIAS, c)?;
        }
        let (pre, act) = (self.pre.span(g.store, m * inner), self.act.span(g.store, m * inner));
        weight(place::DOWN, act, branch, [inner, c])?;
        kernels.multiply(d_wide, Form::RightTransposed, [branch, w.factor(place::DOWN)], [m, inner, c], End::Set)?;
        kernels.gelu_backward(Gelu::Tanh, d_wide, [pre, w.single(place::UP_BIAS)], partials, [m, inner])?;
        band_sums(place::UP_BIAS, inner)?;
        weight(place::UP, self.seen_2.span(g.store, m * c), d_wide, [c, inner])?;
        kernels.multiply(d_seen, Form::RightTransposed, [d_wide, w.factor(place::UP)], [m, c, inner], End::Set)?;

        // Between the two: d becomes the gradient of the attention sub-layer's sum, its copy that of the branch.
        match g.norm {
            Norm::Pre => {
                let middle = self.middle.span(Kind::F32, m * c);
                norm(
                    place::LN_2,
                    &self.stats_2,
                    [middle, d_seen],
                    residual,
                    Some((factor, grads.of(place::PROJ_BIAS))),
                )?;
            }
            Norm::None => {
                kernels.add_gradient([residual, Some(d), Some(partials)], [Some(d_seen), Some(branch)], factor, m)?;
                band_sums(place::PROJ_BIAS, c)?;
            }
            Norm::Post => {
                kernels.add_gradient([residual, Some(d), None], [Some(d_seen), None], 1.0, m)?;
                let sum = self.sum_1.span(Kind::F32, m * c);
                norm(place::LN_1, &self.stats_1, [sum, d], None, Some((factor, grads.of(place::PROJ_BIAS))))?;
            }
        }

        // The attention sub-layer.
        let (mixed, qkv) = (self.mixed.span(g.store, m * a), self.qkv.span(g.store, 3 * m * a));
        weight(place::PROJ, mixed, branch, [a, c])?;
        kernels.multiply(d_mixed, Form::RightTransposed, [branch, w.factor(place::PROJ)], [m, a, c], End::Set)?;
        let statistics = [&self.lse, &s.delta].map(|buffer| buffer.span(Kind::F32, m * g.heads));
        let d_queries = g.is_loose.then(|| s.d_queries.span(Kind::F32, m * a));
        kernels.attention_backward(d_qkv, [d_mixed, mixed, qkv], statistics, d_queries, heads)?;
        kernels.column_sums(partials, d_qkv, [m, 3 * a])?;
        band_sums(place::QKV_BIAS, 3 * a)?;
        weight(place::QKV, self.seen_1.span(g.store, m * c), d_qkv, [c, 3 * a])?;
        kernels.multiply(d_seen, Form::RightTransposed, [d_qkv, w.factor(place::QKV)], [m, c, 3 * a], End::Set)?;
        if g.norm == Norm::Pre {
            let to = below.map(|b| (b.factor, b.grads.of(place::DOWN_BIAS)));
            norm(place::LN_1, &self.stats_1, [x, d_seen], residual, to)
        } else {
            kernels.add_gradient([residual, Some(d), None], [Some(d_seen), None], 1.0, m)
        }
    }
}

impl Scratch {
    /// Kinds and lengths of all buffers, in order.
    pub fn sizes(g: &Geometry) -> Sizes<8> {
        let (m, a) = (g.rows(), g.heads_width());
        [
            (g.store, m * g.width),
            (g.store, m * g.width),
            (g.store, m * g.inner),
            (g.store, m * a),
            (g.store, 3 * m * a),
            (Kind::F32, m * g.heads),
            (Kind::F32, if g.is_loose { m * a } else { 0 }),
            (Kind::F32, g.partials()),
        ]
    }

    pub fn fit(&mut self, device: &dyn Device, g: &Geometry) -> Result<()> {
        let Self { branch, d_seen, d_wide, d_mixed, d_qkv, delta, d_queries, partials } = self;
        let all = [branch, d_seen, d_wide, d_mixed, d_qkv, delta, d_queries, partials];
        all.into_iter().zip(Self::sizes(g)).try_for_each(|(buffer, (kind, len))| buffer.fit(device, kind, len))
    }

    /// For passes over sums of blocks outside the layers.
    pub fn partials(&self, len: usize) -> Span<'_> {
        self.partials.span(Kind::F32, len)
    }
}
