//! The fast engine: explicit forward and backward over the kernels, on the CPU.
//!
//! The layer path is a loop: forward over the active layers, backward over them in reverse, the optimizer over their
//! parameters alone. Activations and gradients live in slots that are handed to active layers in order, so a skipped layer
//! has neither. Buffers are kept from step to step. Knows nothing of schedules, data or files.

use anyhow::{Context, Result, ensure};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::block::{Activations, Geometry, Layer, Scratch, fit};
use super::ends::{Backward, Input, Output};
use super::layout::place;
use super::{Engine, Parameter, UpdateRule, check_batch, layout, parts};
use crate::config::ModelConfig;
use crate::kernels::bf16::Kernel;
use crate::kernels::buffer::Buffer;
use crate::kernels::linear::Precision;
use crate::kernels::panels::{Panels, Store, to_rows};
use crate::objective::Batch;
use crate::optim;
use crate::subnetwork::Subnetwork;

/// The engine.
pub struct Fast {
    model: ModelConfig,
    vocabulary: usize,
    precision: Precision,
    pool: ThreadPool,
    weights: Weights,
    work: Work,
}

/// Parameters by place.
struct Weights {
    input: Vec<Parameter>,
    layers: Vec<Vec<Parameter>>,
    output: Vec<Parameter>,
}

/// Buffers that outlive a step.
#[derive(Default)]
struct Work {
    input: Input,
    slots: Vec<Activations>,
    /// One per active layer of which only parts are computed: their weights.
    compact: Vec<Vec<Parameter>>,
    output: Output,
    scratch: Scratch,
    d: Buffer<f32>,
    input_grads: Vec<Vec<f32>>,
    /// One per active layer of the last gradient, in order.
    layer_grads: Vec<Vec<Vec<f32>>>,
    output_grads: Vec<Vec<f32>>,
    /// The subnetwork of the gradient at hand.
    subnetwork: Option<Subnetwork>,
}

impl Weights {
    fn split(model: &ModelConfig, vocabulary: usize, all: Vec<Parameter>) -> Self {
        let mut all = all.into_iter();
        let mut take = |n: usize| all.by_ref().take(n).collect::<Vec<_>>();
        Self {
            input: take(layout::input_shapes(model, vocabulary).len()),
            layers: (0..model.layers).map(|_| take(layout::layer_shapes(model).len())).collect(),
            output: take(layout::output_shapes(model, vocabulary).len()),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.input.iter().chain(self.layers.iter().flatten()).chain(&self.output)
    }
}

/// One gradient buffer per parameter.
fn gradient_buffers(grads: &mut Vec<Vec<f32>>, parameters: &[Parameter]) {
    grads.resize_with(parameters.len(), Vec::new);
    for (gradient, p) in grads.iter_mut().zip(parameters) {
        fit(gradient, p.weight.len());
    }
}

impl Fast {
    /// The engine with initial weights from the seed; 0 threads: one per core.
    ///
    /// # Errors
    /// If the system can't start the threads.
    pub fn new(
        model: &ModelConfig,
        vocabulary: usize,
        seed: u64,
        threads: usize,
        precision: Precision,
    ) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("kernels-{i}"));
        Ok(Self {
            model: model.clone(),
            vocabulary,
            precision,
            pool: pool.build().context("starting the kernel threads")?,
            weights: Weights::split(model, vocabulary, layout::initial(model, vocabulary, seed)),
            work: Work::default(),
        })
    }
}

impl Weights {
    /// Gathers what a subnetwork needs of layers of which only parts are computed.
    fn gather(&self, m: &ModelConfig, work: &mut Work, subnetwork: &Subnetwork) {
        let path = subnetwork.path();
        work.compact.resize_with(path.path_length().max(work.compact.len()), Vec::new);
        for (slot, layer) in path.active().enumerate() {
            if let Some(parts) = subnetwork.parts(slot) {
                parts::gather(m, parts, &self.layers[layer], &mut work.compact[slot]);
            }
        }
    }

    /// The layer that is active as number `slot`, as the subnetwork computes it.
    fn layer<'a>(
        &'a self,
        compact: &'a [Vec<Parameter>],
        subnetwork: &Subnetwork,
        slot: usize,
        layer: usize,
    ) -> Layer<'a> {
        let is_whole = subnetwork.parts(slot).is_none();
        let parameters = if is_whole { &self.layers[layer] } else { &compact[slot] };
        Layer { parameters, factor: subnetwork.factor(slot) }
    }

    /// Runs embedding and active layers, layer j of the path keeping its activations in slot j.
    fn forward(&self, g: Geometry, m: &ModelConfig, work: &mut Work, batch: &Batch, subnetwork: &Subnetwork) {
        let path = subnetwork.path();
        work.scratch.prefixes.clone_from(&batch.prefixes);
        work.input.forward(g, m, &self.input, batch);
        if work.slots.len() < path.path_length() {
            work.slots.resize_with(path.path_length(), Activations::default);
        }
        for (slot, layer) in path.active().enumerate() {
            let (before, rest) = work.slots.split_at_mut(slot);
            let x = before.last().map_or(work.input.out(), Activations::out);
            let now = self.layer(&work.compact, subnetwork, slot, layer);
            rest[0].forward(g.of_parts(subnetwork.parts(slot)), now, x, &mut work.scratch, true);
        }
    }

    /// As [`Self::forward`], but with two slots for all layers: nothing is kept. Returns the last layer's output // (M, C)
    /// and the head.
    fn forward_only<'a>(
        &self,
        g: Geometry,
        m: &ModelConfig,
        work: &'a mut Work,
        batch: &Batch,
        subnetwork: &Subnetwork,
    ) -> (&'a [f32], &'a mut Output) {
        work.scratch.prefixes.clone_from(&batch.prefixes);
        work.input.forward(g, m, &self.input, batch);
        if work.slots.len() < 2 {
            work.slots.resize_with(2, Activations::default);
        }
        let Work { input, slots, output, scratch, compact, .. } = work;
        let (a, b) = slots.split_at_mut(1);
        let mut count = 0;
        for layer in subnetwork.path().active() {
            let (now, before) = if count % 2 == 0 { (&mut a[0], &b[0]) } else { (&mut b[0], &a[0]) };
            let x = if count == 0 { input.out() } else { before.out() };
            let at_work = self.layer(compact, subnetwork, count, layer);
            now.forward(g.of_parts(subnetwork.parts(count)), at_work, x, scratch, false);
            count += 1;
        }
        let x = match count {
            0 => input.out(),
            n if n % 2 == 1 => a[0].out(),
            _ => b[0].out(),
        };
        (x, output)
    }
}

impl Weights {
    /// Loss and gradient of one micro-batch, weighed by `scale`; gradients are stored or added.
    #[allow(clippy::too_many_arguments)]
    fn loss_and_gradient(
        &self,
        g: Geometry,
        m: &ModelConfig,
        work: &mut Work,
        batch: &Batch,
        subnetwork: &Subnetwork,
        scale: f32,
        store: Store,
    ) -> Result<f32> {
        let path = subnetwork.path();
        self.forward(g, m, work, batch, subnetwork);
        let Work { input, slots, output, scratch, compact, d, input_grads, layer_grads, output_grads, .. } = work;
        d.fit(g.size(m.width));
        let top = path.path_length().checked_sub(1).map_or(input.out(), |slot| slots[slot].out());
        let backward = Backward { input_grads, grads: output_grads, d, scale, store };
        let loss = output.loss(g, m, &self.input, &self.output, top, batch, Some(backward))?;
        for (slot, layer) in (0..path.path_length()).rev().zip(path.active().rev()) {
            let x = if slot == 0 { input.out() } else { slots[slot - 1].out() };
            let g = g.of_parts(subnetwork.parts(slot));
            let layer = self.layer(compact, subnetwork, slot, layer);
            slots[slot].backward(g, layer, &mut layer_grads[slot], x, d, scratch, store);
        }
        input.backward(g, m, &self.input, input_grads, batch, d, store);
        Ok(loss)
    }
}

impl Engine for Fast {
    fn about(&self) -> String {
        let threads = self.pool.current_num_threads();
        let precision = match self.precision {
            Precision::F32 => String::new(),
            Precision::Bf16 => format!(", bf16 ({})", Kernel::best().name()),
        };
        format!("cpu, {threads} thread{}, fast{precision}", if threads == 1 { "" } else { "s" })
    }

    fn gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32> {
        ensure!(!micro_batches.is_empty(), "no batch to train on");
        for batch in micro_batches {
            check_batch(batch, subnetwork, &self.model, self.vocabulary)?;
        }
        let path = subnetwork.path();
        let Self { model, precision, pool, weights, work, .. } = self;
        gradient_buffers(&mut work.input_grads, &weights.input);
        gradient_buffers(&mut work.output_grads, &weights.output);
        // Kept when the path gets shorter, as Bernoulli sampling has it from step to step.
        let length = path.path_length().max(work.layer_grads.len());
        work.layer_grads.resize_with(length, Vec::new);
        weights.gather(model, work, subnetwork);
        for (slot, layer) in path.active().enumerate() {
            let layer = weights.layer(&work.compact, subnetwork, slot, layer);
            gradient_buffers(&mut work.layer_grads[slot], layer.parameters);
        }
        // No gradient is at hand until this one is whole.
        work.subnetwork = None;
        let scale = 1.0 / micro_batches.len() as f32;
        pool.install(|| {
            let mut sum = 0.0;
            for (index, batch) in micro_batches.iter().enumerate() {
                let store = if index == 0 { Store::Set } else { Store::Add };
                let g = Geometry::new(model, *precision, batch.sequences, batch.context);
                sum += f64::from(weights.loss_and_gradient(g, model, work, batch, subnetwork, scale, store)?);
            }
            multiply_last(&mut work.layer_grads, subnetwork);
            work.subnetwork = Some(subnetwork.clone());
            Ok((sum / micro_batches.len() as f64) as f32)
        })
    }

    fn gradient_norm(&mut self) -> Result<f32> {
        let Work { input_grads, layer_grads, output_grads, .. } = &self.work;
        let length = self.work.subnetwork.as_ref().context("a norm needs a gradient")?.path().path_length();
        let all = input_grads.iter().chain(layer_grads[..length].iter().flatten()).chain(output_grads);
        let squares = self.pool.install(|| all.map(|gradient| optim::sum_of_squares(gradient)).sum::<f64>());
        Ok(squares.sqrt() as f32)
    }

    fn update(&mut self, rule: &UpdateRule) -> Result<()> {
        let Self { model, pool, weights, work, .. } = self;
        let subnetwork = work.subnetwork.as_ref().context("an update needs a gradient")?;
        let path = subnetwork.path();
        let mut slots = work.layer_grads.iter().enumerate();
        pool.install(|| {
            update_all(&mut weights.input, &work.input_grads, rule);
            for (layer, parameters) in weights.layers.iter_mut().enumerate() {
                match path.is_active(layer).then(|| slots.next()).flatten() {
                    Some((slot, gradients)) => match subnetwork.parts(slot) {
                        Some(parts) => {
                            for (index, (p, gradient)) in parameters.iter_mut().zip(gradients).enumerate() {
                                parts::update(model, parts, index, p, gradient, rule);
                            }
                        }
                        None => update_all(parameters, gradients, rule),
                    },
                    None if rule.zero_gradient_for_skipped => {
                        parameters.iter_mut().for_each(|p| optim::adamw(p, None, rule));
                    }
                    None => {}
                }
            }
            update_all(&mut weights.output, &work.output_grads, rule);
        });
        Ok(())
    }

    fn loss(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<f32> {
        check_batch(batch, subnetwork, &self.model, self.vocabulary)?;
        let Self { model, precision, pool, weights, work, .. } = self;
        let g = Geometry::new(model, *precision, batch.sequences, batch.context);
        pool.install(|| {
            weights.gather(model, work, subnetwork);
            let (x, output) = weights.forward_only(g, model, work, batch, subnetwork);
            output.loss(g, model, &weights.input, &weights.output, x, batch, None)
        })
    }

    fn logits(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        check_batch(batch, subnetwork, &self.model, self.vocabulary)?;
        let Self { model, precision, pool, weights, work, .. } = self;
        let g = Geometry::new(model, *precision, batch.sequences, batch.context);
        pool.install(|| {
            weights.gather(model, work, subnetwork);
            let (x, output) = weights.forward_only(g, model, work, batch, subnetwork);
            Ok(output.logits(g, model, &weights.input, &weights.output, x))
        })
    }

    fn outputs(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        check_batch(batch, subnetwork, &self.model, self.vocabulary)?;
        let Self { model, precision, pool, weights, work, .. } = self;
        let g = Geometry::new(model, *precision, batch.sequences, batch.context);
        let (x, _) = pool.install(|| weights.forward_only(g, model, work, batch, subnetwork));
        let mut rows = vec![0.0; g.rows * model.width];
        for (block, rows) in rows.chunks_mut(g.block * model.width).enumerate() {
            to_rows(rows, Panels::filling(g.of(x, block, model.width), model.width));
        }
        Ok(rows)
    }

    fn gradients(&mut self) -> Result<Vec<(String, Vec<f32>)>> {
        let subnetwork = self.work.subnetwork.as_ref().context("no gradient has been computed")?;
        let named = |parameters: &[Parameter], gradients: &[Vec<f32>]| {
            parameters.iter().zip(gradients).map(|(p, g)| (p.name.clone(), g.clone())).collect::<Vec<_>>()
        };
        let mut all = named(&self.weights.input, &self.work.input_grads);
        for (slot, layer) in subnetwork.path().active().enumerate() {
            let (layer, gradients) = (&self.weights.layers[layer], &self.work.layer_grads[slot]);
            match subnetwork.parts(slot) {
                Some(parts) => all.extend(layer.iter().zip(gradients).enumerate().map(|(index, (p, gradient))| {
                    (p.name.clone(), parts::widened(&self.model, parts, index, p, gradient))
                })),
                None => all.extend(named(layer, gradients)),
            }
        }
        all.extend(named(&self.weights.output, &self.work.output_grads));
        Ok(all)
    }

    fn parameters(&self) -> Result<Vec<Parameter>> {
        Ok(self.weights.iter().cloned().collect())
    }

    fn set_parameters(&mut self, parameters: Vec<Parameter>) -> Result<()> {
        layout::check_fit(&layout::shapes(&self.model, self.vocabulary), &parameters).map_err(anyhow::Error::msg)?;
        self.weights = Weights::split(&self.model, self.vocabulary, parameters);
        self.work.subnetwork = None;
        Ok(())
    }

    fn weights_checksum(&self) -> Result<String> {
        Ok(layout::checksum(self.weights.iter()))
    }
}

/// Multiplies the gradients of each active layer's last matrices by its factor: the layer computes `factor * (x W + b)`.
fn multiply_last(layer_grads: &mut [Vec<Vec<f32>>], subnetwork: &Subnetwork) {
    for (slot, gradients) in layer_grads.iter_mut().enumerate().take(subnetwork.path().path_length()) {
        let factor = subnetwork.factor(slot);
        if factor != 1.0 {
            for at in [place::PROJ, place::PROJ_BIAS, place::DOWN, place::DOWN_BIAS] {
                gradients[at].iter_mut().for_each(|g| *g *= factor);
            }
        }
    }
}

fn update_all(parameters: &mut [Parameter], gradients: &[Vec<f32>], rule: &UpdateRule) {
    for (p, gradient) in parameters.iter_mut().zip(gradients) {
        optim::adamw(p, Some(gradient), rule);
    }
}
