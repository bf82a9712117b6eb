//! One layer of the fast engine: forward, keeping what the backward pass needs, and backward.
//!
//! A layer is two sub-layers, `x + f(x)`: attention and MLP. Under pre-norm `f` sees `ln(x)`, under post-norm the sum is
//! normed. Knows nothing of which layers are active.

use super::Parameter;
use super::layout::place;
use crate::config::{Architecture, ModelConfig, Norm};
use crate::kernels::attention::{self, Shape};
use crate::kernels::gelu::{self, Gelu};
use crate::kernels::matmul::Store;
use crate::kernels::{layer_norm, linear};

/// What one sub-layer keeps for its backward pass, besides what `f` keeps. M = B*T rows.
#[derive(Default)]
struct Sub {
    /// Pre-norm: `ln(x)` // (M, C)
    normed: Vec<f32>,
    /// Post-norm: the sum before the norm // (M, C)
    sum: Vec<f32>,
    /// Of whichever norm there is // (M)
    stats: layer_norm::Stats,
    /// The sub-layer's output // (M, C)
    out: Vec<f32>,
}

/// What one active layer keeps between its forward and backward pass.
#[derive(Default)]
pub(super) struct Activations {
    attention: Sub,
    mlp: Sub,
    qkv: Vec<f32>,   // (M, 3C)
    mixed: Vec<f32>, // attention's output before its projection (M, C)
    lse: Vec<f32>,   // (B, H, T)
    up: Vec<f32>,    // before the GELU (M, rC)
    act: Vec<f32>,   // behind it (M, rC)
}

/// Buffers of the backward pass, shared by all layers.
#[derive(Default)]
pub(super) struct Scratch {
    d_in: Vec<f32>,    // gradient of f's input (M, C)
    d_mixed: Vec<f32>, // (M, C)
    d_qkv: Vec<f32>,   // (M, 3C)
    d_act: Vec<f32>,   // (M, rC)
    d_sum: Vec<f32>,   // post-norm: gradient of the sum (M, C)
}

/// The shape of a layer on one batch.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    pub shape: Shape,
    pub norm: Norm,
    pub residual: bool,
    pub inner: usize, // rC
    pub rows: usize,  // M
}

impl Geometry {
    pub fn new(m: &ModelConfig, sequences: usize, context: usize) -> Self {
        let causal = m.architecture == Architecture::Decoder;
        Self {
            shape: Shape { context, width: m.width, heads: m.heads, causal },
            norm: m.norm,
            residual: m.residual,
            inner: m.width * m.mlp_ratio,
            rows: sequences * context,
        }
    }

    /// Elements of an (M, C) buffer.
    pub fn size(&self) -> usize {
        self.rows * self.shape.width
    }
}

/// Makes a buffer as long as it must be; what it held is of no matter.
pub(super) fn fit<T: Clone + Default>(buffer: &mut Vec<T>, n: usize) -> &mut [T] {
    if buffer.len() != n {
        buffer.resize(n, T::default());
    }
    buffer
}

impl Activations {
    /// The layer's output // (M, C)
    pub fn out(&self) -> &[f32] {
        &self.mlp.out
    }

    /// Runs the layer on `x` // (M, C)
    pub fn forward(&mut self, g: Geometry, p: &[Parameter], x: &[f32]) {
        let Self { attention: attn, mlp, qkv, mixed, lse, up, act } = self;
        let c = g.shape.width;
        attn.begin(g, x, p, place::LN_1);
        linear::forward(
            fit(qkv, g.rows * 3 * c),
            attn.input(g, x),
            &p[place::QKV].weight,
            &p[place::QKV + 1].weight,
            None,
        );
        let lse = fit(lse, g.rows * g.shape.heads);
        attention::forward(g.shape, fit(mixed, g.size()), lse, qkv);
        attn.end(g, x, p, mixed, place::PROJ, place::LN_1);

        let x = &attn.out;
        mlp.begin(g, x, p, place::LN_2);
        let (weight, bias) = (&p[place::UP].weight, &p[place::UP + 1].weight);
        linear::forward(fit(up, g.rows * g.inner), mlp.input(g, x), weight, bias, None);
        gelu::forward(Gelu::Tanh, fit(act, g.rows * g.inner), up);
        mlp.end(g, x, p, act, place::DOWN, place::LN_2);
    }

    #[allow(clippy::too_many_arguments)]
    /// Turns the gradient of the output (`d`) into that of the input, and stores the parameters' gradients // d, x (M, C)
    pub fn backward(
        &self,
        g: Geometry,
        p: &[Parameter],
        grads: &mut [Vec<f32>],
        x: &[f32],
        d: &mut [f32],
        s: &mut Scratch,
        store: Store,
    ) {
        let Scratch { d_in, d_mixed, d_qkv, d_act, d_sum } = s;
        let c = g.shape.width;
        let (d_in, d_act) = (fit(d_in, g.size()), fit(d_act, g.rows * g.inner));

        let middle = &self.attention.out;
        self.mlp.sum_gradient(g, p, grads, d, d_sum, place::LN_2, store);
        linear_weight(grads, place::DOWN, &self.act, d, store);
        linear::backward_input(d_act, d, &p[place::DOWN].weight, c);
        gelu::backward(Gelu::Tanh, d_act, &self.up);
        linear_weight(grads, place::UP, self.mlp.input(g, middle), d_act, store);
        linear::backward_input(d_in, d_act, &p[place::UP].weight, g.inner);
        self.mlp.input_gradient(g, p, grads, middle, d, d_in, place::LN_2, store);

        let (d_mixed, d_qkv) = (fit(d_mixed, g.size()), fit(d_qkv, g.rows * 3 * c));
        self.attention.sum_gradient(g, p, grads, d, d_sum, place::LN_1, store);
        linear_weight(grads, place::PROJ, &self.mixed, d, store);
        linear::backward_input(d_mixed, d, &p[place::PROJ].weight, c);
        attention::backward(g.shape, d_qkv, d_mixed, &self.mixed, &self.lse, &self.qkv);
        linear_weight(grads, place::QKV, self.attention.input(g, x), d_qkv, store);
        linear::backward_input(d_in, d_qkv, &p[place::QKV].weight, 3 * c);
        self.attention.input_gradient(g, p, grads, x, d, d_in, place::LN_1, store);
    }
}

/// Gradients of the weight at `place` and the bias behind it.
fn linear_weight(grads: &mut [Vec<f32>], place: usize, x: &[f32], dy: &[f32], store: Store) {
    if let [weight, bias] = &mut grads[place..place + 2] {
        linear::backward_weight(weight, bias, x, dy, store);
    }
}

/// Gradients of the norm's gain at `place` and the shift behind it.
pub(super) fn norm_weight(
    grads: &mut [Vec<f32>],
    place: usize,
    dy: &[f32],
    x: &[f32],
    stats: &[[f32; 2]],
    store: Store,
) {
    if let [gain, shift] = &mut grads[place..place + 2] {
        layer_norm::backward_weight(gain, shift, dy, x, stats, store);
    }
}

impl Sub {
    /// Norms the input under pre-norm.
    fn begin(&mut self, g: Geometry, x: &[f32], p: &[Parameter], ln: usize) {
        if g.norm == Norm::Pre {
            let stats = fit(&mut self.stats, g.rows);
            layer_norm::forward(fit(&mut self.normed, g.size()), stats, x, &p[ln].weight, &p[ln + 1].weight);
        }
    }

    /// What `f` sees.
    fn input<'a>(&'a self, g: Geometry, x: &'a [f32]) -> &'a [f32] {
        if g.norm == Norm::Pre { &self.normed } else { x }
    }

    /// The last linear layer of `f`, added to the residual stream; the sum normed under post-norm.
    fn end(&mut self, g: Geometry, x: &[f32], p: &[Parameter], inner: &[f32], last: usize, ln: usize) {
        let residual = g.residual.then_some(x);
        let sum = if g.norm == Norm::Post { &mut self.sum } else { &mut self.out };
        linear::forward(fit(sum, g.size()), inner, &p[last].weight, &p[last + 1].weight, residual);
        if g.norm == Norm::Post {
            let stats = fit(&mut self.stats, g.rows);
            let out = fit(&mut self.out, g.size());
            layer_norm::forward(out, stats, &self.sum, &p[ln].weight, &p[ln + 1].weight);
        }
    }

    /// The gradient of the output (`d`) becomes that of the sum.
    #[allow(clippy::too_many_arguments)]
    fn sum_gradient(
        &self,
        g: Geometry,
        p: &[Parameter],
        grads: &mut [Vec<f32>],
        d: &mut [f32],
        d_sum: &mut Vec<f32>,
        ln: usize,
        store: Store,
    ) {
        if g.norm == Norm::Post {
            let d_sum = fit(d_sum, g.size());
            norm_weight(grads, ln, d, &self.sum, &self.stats, store);
            layer_norm::backward_input(d_sum, d, &self.sum, &self.stats, &p[ln].weight, Store::Set);
            d.copy_from_slice(d_sum);
        }
    }

    /// The gradient of the sum (`d`) and that of what `f` saw (`d_in`) become that of the input, in `d`.
    #[allow(clippy::too_many_arguments)]
    fn input_gradient(
        &self,
        g: Geometry,
        p: &[Parameter],
        grads: &mut [Vec<f32>],
        x: &[f32],
        d: &mut [f32],
        d_in: &[f32],
        ln: usize,
        store: Store,
    ) {
        let onto = if g.residual { Store::Add } else { Store::Set };
        if g.norm == Norm::Pre {
            norm_weight(grads, ln, d_in, x, &self.stats, store);
            layer_norm::backward_input(d, d_in, x, &self.stats, &p[ln].weight, onto);
        } else if onto == Store::Add {
            d.iter_mut().zip(d_in).for_each(|(d, d_in)| *d += d_in);
        } else {
            d.copy_from_slice(d_in);
        }
    }
}
