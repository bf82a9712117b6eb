//! One block of rows of a residual MLP: forward through the active layers, loss, and backward.
//!
//! Rows don't see each other, so a block goes all the way there and back in one thread's cache; the sums over rows
//! (gradients of parameters) are the block's own, and the engine adds them up in the order of the blocks. A layer is
//! `y = x + factor * f(x)`, `f` a linear layer, ReLU and a linear layer back; under pre-norm `f` sees `ln(x)`, under
//! post-norm the sum is normed. m = rows of the block, C = width, rC = width of the hidden layer.

use crate::config::{ModelConfig, Norm};
use crate::kernels::buffer::Buffer;
use crate::kernels::layer_norm::{self, STATS};
use crate::kernels::linear::{self, Copy, Precision, Ready};
use crate::kernels::panels::{Blocked, Depth, Out, Panels, Store, padded};
use crate::model::Parameter;
use crate::model::layout::mlp_place as place;

/// For packing bf16.
type Pairs = Buffer<u32>;

/// A linear layer with its weight as products need it.
#[derive(Clone, Copy)]
pub(super) struct Linear<'a> {
    precision: Precision,
    forward: Ready<'a>,
    /// Where there will be a backward pass.
    back: Option<Ready<'a>>,
    bias: &'a [f32],
    inputs: usize,
}

impl<'a> Linear<'a> {
    /// From weight and bias, with room for two copies of the weight.
    pub fn new(precision: Precision, copies: &'a mut [Copy; 2], p: &'a [Parameter], is_trained: bool) -> Self {
        let (weight, bias) = (&p[0].weight, &p[1].weight);
        let (k, n) = (p[0].shape[0], p[0].shape[1]);
        let [copy, turned] = copies;
        let forward = Ready::new(precision, copy, weight, k, n);
        let back = is_trained.then(|| Ready::transposed(precision, turned, weight, k, n));
        Self { precision, forward, back, bias, inputs: k }
    }

    /// y (m, n), x (m, k)
    fn forward(&self, y: &mut [f32], x: &[f32], pairs: &mut Pairs) {
        linear::forward(y, Panels::filling(x, self.inputs), self.forward, self.bias, &[], pairs);
    }

    /// Gradients of weight and bias from that of the output. // dy (m, n), x (m, k)
    fn of_parameters(&self, grads: &mut [Vec<f32>], dy: &[f32], x: &[f32], pairs: &mut Pairs) {
        let (k, n) = (self.inputs, self.bias.len());
        let (x, dy) = (Panels::filling(x, k), Panels::filling(dy, n));
        linear::product(self.precision, Out::rows(&mut grads[0], k, n, n), (x, Depth::Rows), dy, pairs, Store::Set);
        grads[1].fill(0.0);
        linear::add_column_sums(&mut grads[1], dy);
    }

    /// The gradient of the input from that of the output. // dx (m, k), dy (m, n)
    fn of_input(&self, dx: &mut [f32], dy: &[f32], pairs: &mut Pairs) {
        if let Some(back) = self.back {
            back.multiply(dx, Panels::filling(dy, self.bias.len()), pairs, Store::Set);
        }
    }
}

/// Gain and shift.
type Affine<'a> = [&'a [f32]; 2];

fn affine(p: &[Parameter]) -> Affine<'_> {
    [&p[0].weight, &p[1].weight]
}

/// An active layer.
pub(super) struct Layer<'a> {
    up: Linear<'a>,
    down: Linear<'a>,
    norm: Option<Affine<'a>>,
    /// Of its branch.
    factor: f32,
}

impl<'a> Layer<'a> {
    /// From its parameters, with room for copies of both weights.
    pub fn new(
        precision: Precision,
        [up, down]: &'a mut [[Copy; 2]; 2],
        p: &'a [Parameter],
        factor: f32,
        is_trained: bool,
    ) -> Self {
        Self {
            up: Linear::new(precision, up, &p[place::UP..], is_trained),
            down: Linear::new(precision, down, &p[place::DOWN..], is_trained),
            norm: p.get(place::LN..).filter(|p| !p.is_empty()).map(affine),
            factor,
        }
    }
}

/// The subnetwork at hand.
pub(super) struct Network<'a> {
    pub model: &'a ModelConfig,
    pub embed: Linear<'a>,
    pub layers: Vec<Layer<'a>>,
    /// Under pre-norm.
    pub ln_f: Option<Affine<'a>>,
    pub head: Linear<'a>,
}

impl<'a> Network<'a> {
    /// The final norm, if there is one among what stands behind the layers.
    pub fn final_norm(model: &ModelConfig, output: &'a [Parameter]) -> Option<Affine<'a>> {
        (model.norm == Norm::Pre).then(|| affine(&output[place::LN_F..]))
    }
}

/// What one layer keeps for its backward pass, and its output.
#[derive(Default)]
struct Slot {
    seen: Buffer<f32>,  // pre-norm: ln(x) (m, C)
    stats: Buffer<f32>, // (m, STATS)
    act: Buffer<f32>,   // behind the ReLU (m, rC)
    sum: Buffer<f32>,   // post-norm: before the norm (m, C)
    out: Buffer<f32>,   // (m, C)
}

/// Gradients on their way down.
#[derive(Default)]
struct Down {
    d: Buffer<f32>,     // of the stream (m, C)
    d_sum: Buffer<f32>, // of the layer's sum (m, C)
    branch: Buffer<f32>,
    d_act: Buffer<f32>, // (m, rC)
    d_seen: Buffer<f32>,
}

/// A block of rows and everything computed from it.
#[derive(Default)]
pub(super) struct Rows {
    points: Buffer<f32>, // (m, d)
    input: Buffer<f32>,  // what the first layer sees (m, C)
    slots: Vec<Slot>,
    active: usize,
    top: Buffer<f32>, // pre-norm: behind the final norm (m, C)
    top_stats: Buffer<f32>,
    predictions: Buffer<f32>, // (m, 1)
    down: Down,
    /// Of active parameters, in model order.
    pub grads: Vec<Vec<f32>>,
    /// Sum of squared errors.
    pub loss: f64,
}

impl Rows {
    /// Embedding, active layers, final norm and head. // tokens (m, d)
    pub fn forward(&mut self, net: &Network<'_>, tokens: &[u32], pairs: &mut Pairs) {
        let (d, c) = (net.model.context, net.model.width);
        let m = tokens.len() / d;
        let places = Blocked { rows: m, block: m, width: d };
        let points = self.points.fit(places.elements());
        for (row, tokens) in tokens.chunks_exact(d).enumerate() {
            for (i, &token) in tokens.iter().enumerate() {
                points[places.at(row, i)] = if token == 0 { -1.0 } else { 1.0 };
            }
        }
        net.embed.forward(self.input.fit(m * padded(c)), points, pairs);
        self.active = net.layers.len();
        if self.slots.len() < self.active {
            self.slots.resize_with(self.active, Slot::default);
        }
        for (index, layer) in net.layers.iter().enumerate() {
            let (before, rest) = self.slots.split_at_mut(index);
            let x = before.last().map_or(&self.input, |slot| &slot.out);
            rest[0].forward(net.model, layer, x, pairs);
        }
        let out = self.slots[..self.active].last().map_or(&self.input, |slot| &slot.out);
        let top = match net.ln_f {
            Some([gain, shift]) => {
                let top = self.top.fit(out.len());
                layer_norm::forward(top, self.top_stats.fit(m * STATS), out, gain, shift);
                &self.top
            }
            None => out,
        };
        net.head.forward(self.predictions.fit(m * padded(1)), top, pairs);
    }

    /// The residual stream behind the last active layer // (m, C)
    pub fn out(&self) -> &[f32] {
        self.slots[..self.active].last().map_or(&self.input, |slot| &slot.out)
    }

    /// One for each row.
    pub fn predictions(&self) -> impl Iterator<Item = f32> {
        self.predictions.iter().step_by(padded(1)).copied()
    }

    /// Takes the squared errors' sum. // values (m)
    pub fn score(&mut self, values: &[f32]) {
        self.loss = self.predictions().zip(values).map(|(p, v)| (f64::from(p) - f64::from(*v)).powi(2)).sum();
    }

    /// Behind [`Self::forward`]: gradients of all active parameters of `scale` times the sum of squared errors.
    pub fn backward(&mut self, net: &Network<'_>, values: &[f32], scale: f32, pairs: &mut Pairs) {
        let (input, rest) = self.grads.split_at_mut(2);
        let (layers, output) = rest.split_at_mut(rest.len() - if net.ln_f.is_some() { 4 } else { 2 });
        let (norm, head) = output.split_at_mut(output.len() - place::HEAD);
        let out = self.slots[..self.active].last().map_or(&self.input, |slot| &slot.out);
        // Predictions become their gradients.
        for (p, v) in self.predictions.iter_mut().step_by(padded(1)).zip(values) {
            *p = 2.0 * scale * (*p - v);
        }
        let top = if net.ln_f.is_some() { &self.top } else { out };
        net.head.of_parameters(head, &self.predictions, top, pairs);
        let d = self.down.d.fit(out.len());
        match (net.ln_f, norm) {
            (Some([gain, _]), [d_gain, d_shift]) => {
                let d_top = self.down.d_sum.fit(out.len());
                net.head.of_input(d_top, &self.predictions, pairs);
                d_gain.fill(0.0);
                d_shift.fill(0.0);
                layer_norm::backward(d, d_gain, d_shift, d_top, out, &self.top_stats, gain, &[]);
            }
            _ => net.head.of_input(d, &self.predictions, pairs),
        }
        let each = layers.len() / net.layers.len().max(1);
        for (index, layer) in net.layers.iter().enumerate().rev() {
            let (before, rest) = self.slots.split_at(index);
            let x = before.last().map_or(&self.input, |slot| &slot.out);
            rest[0].backward(net.model, layer, &mut layers[index * each..][..each], x, &mut self.down, pairs);
        }
        net.embed.of_parameters(input, &self.down.d, &self.points, pairs);
    }
}

impl Slot {
    fn forward(&mut self, model: &ModelConfig, layer: &Layer<'_>, x: &[f32], pairs: &mut Pairs) {
        let m = x.len() / padded(model.width);
        let stats = self.stats.fit(m * STATS);
        let seen = match layer.norm {
            Some([gain, shift]) if model.norm == Norm::Pre => {
                layer_norm::forward(self.seen.fit(x.len()), stats, x, gain, shift);
                &*self.seen
            }
            _ => x,
        };
        let act = self.act.fit(m * padded(layer.up.bias.len()));
        layer.up.forward(act, seen, pairs);
        act.iter_mut().for_each(|a| *a = a.max(0.0));
        let sum = if model.norm == Norm::Post { self.sum.fit(x.len()) } else { self.out.fit(x.len()) };
        layer.down.forward(sum, act, pairs);
        if model.residual {
            sum.iter_mut().zip(x).for_each(|(y, x)| *y = x + layer.factor * *y);
        } else {
            sum.iter_mut().for_each(|y| *y *= layer.factor);
        }
        if let (Norm::Post, Some([gain, shift])) = (model.norm, layer.norm) {
            layer_norm::forward(self.out.fit(x.len()), stats, &self.sum, gain, shift);
        }
    }

    /// Turns the gradient of the output into that of the input, and stores the parameters' gradients. // x (m, C)
    fn backward(
        &self,
        model: &ModelConfig,
        layer: &Layer<'_>,
        grads: &mut [Vec<f32>],
        x: &[f32],
        down: &mut Down,
        pairs: &mut Pairs,
    ) {
        let Down { d, d_sum, branch, d_act, d_seen } = down;
        let (of_mlp, of_norm) = grads.split_at_mut(place::LN);
        of_norm.iter_mut().for_each(|g| g.fill(0.0));
        let (of_up, of_down) = of_mlp.split_at_mut(place::DOWN);
        let n = x.len();
        match (model.norm, layer.norm, &mut *of_norm) {
            (Norm::Post, Some([gain, _]), [d_gain, d_shift]) => {
                layer_norm::backward(d_sum.fit(n), d_gain, d_shift, d, &self.sum, &self.stats, gain, &[]);
            }
            _ => d_sum.fit(n).copy_from_slice(d),
        }
        let branch = branch.fit(n);
        branch.iter_mut().zip(&**d_sum).for_each(|(b, d)| *b = layer.factor * d);
        layer.down.of_parameters(of_down, branch, &self.act, pairs);
        let d_act = d_act.fit(self.act.len());
        layer.down.of_input(d_act, branch, pairs);
        d_act.iter_mut().zip(&*self.act).for_each(|(d, a)| *d = if *a > 0.0 { *d } else { 0.0 });
        let is_pre = model.norm == Norm::Pre;
        layer.up.of_parameters(of_up, d_act, if is_pre { &self.seen } else { x }, pairs);
        let d_seen = d_seen.fit(n);
        layer.up.of_input(d_seen, d_act, pairs);
        let onto: &[f32] = if model.residual { d_sum } else { &[] };
        match (layer.norm, of_norm) {
            (Some([gain, _]), [d_gain, d_shift]) if is_pre => {
                layer_norm::backward(d, d_gain, d_shift, d_seen, x, &self.stats, gain, onto);
            }
            _ if model.residual => linear::add(d, d_seen, onto),
            _ => d.copy_from_slice(d_seen),
        }
    }
}
