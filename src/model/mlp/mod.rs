//! The fast engine of the residual MLP: the theory's network, on the CPU.
//!
//! Owns parameters and their gradients, and shares the rows of a batch out over threads, block by block; `rows` does the
//! arithmetic. Inactive layers take no part. Blocks depend on the batch alone and are added up in order, so that the number
//! of threads changes no bit. Knows nothing of schedules, data or files.

mod rows;

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Engine, Parameter, UpdateRule, layout};
use crate::config::ModelConfig;
use crate::kernels::block_rows;
use crate::kernels::blocks::with_scratch;
use crate::kernels::linear::{Copy, Precision};
use crate::kernels::panels::{Panels, to_rows};
use crate::layer_path::LayerPath;
use crate::objective::Batch;
use crate::optim;
use crate::subnetwork::Subnetwork;
use rows::{Layer, Linear, Network, Rows};

/// The engine.
pub struct Mlp {
    model: ModelConfig,
    precision: Precision,
    pool: ThreadPool,
    /// In model order.
    parameters: Vec<Parameter>,
    work: Work,
    /// Of active parameters, in model order.
    gradients: Vec<Vec<f32>>,
    /// The layer path of the gradient at hand.
    path: Option<LayerPath>,
}

/// Buffers that outlive a step.
#[derive(Default)]
struct Work {
    /// Of the weights of embedding and head.
    ends: [[Copy; 2]; 2],
    /// Of the weights of active layers.
    layers: Vec<[[Copy; 2]; 2]>,
    /// One for each block of rows.
    rows: Vec<Rows>,
}

/// What a pass over a batch is for.
#[derive(Clone, Copy, PartialEq)]
enum Pass {
    /// Predictions.
    Forward,
    /// Gradients of this many times the sum of squared errors.
    Train(f32),
}

impl Mlp {
    /// The engine with initial weights from the seed; 0 threads: one per core.
    ///
    /// # Errors
    /// If the system can't start the threads.
    pub fn new(model: &ModelConfig, seed: u64, threads: usize, precision: Precision) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("kernels-{i}"));
        Ok(Self {
            model: model.clone(),
            precision,
            pool: pool.build().context("starting the kernel threads")?,
            parameters: layout::initial(model, VOCABULARY, seed),
            work: Work::default(),
            gradients: Vec::new(),
            path: None,
        })
    }

    fn check(&self, batch: &Batch, subnetwork: &Subnetwork) -> Result<()> {
        let path = subnetwork.path();
        let d = self.model.context;
        ensure!(batch.sequences > 0, "an empty batch");
        ensure!(
            batch.context == d && batch.inputs.len() == batch.sequences * d && batch.values.len() == batch.sequences,
            "a batch of {} coordinates and {} values, {} points of {} were announced (the model takes {d})",
            batch.inputs.len(),
            batch.values.len(),
            batch.sequences,
            batch.context
        );
        ensure!(path.layers() == self.model.layers, "layer path {path} for a model of {} layers", self.model.layers);
        let is_whole = (0..path.path_length()).all(|slot| subnetwork.parts(slot).is_none());
        ensure!(is_whole, "a residual MLP has no attention heads to choose from: layers are computed whole");
        if let Some(token) = batch.inputs.iter().find(|&&token| token as usize >= VOCABULARY) {
            bail!("coordinate {token} is neither 0 (for -1) nor 1 (for +1)");
        }
        Ok(())
    }

    /// Runs the subnetwork on a batch; returns its blocks.
    fn run(&mut self, batch: &Batch, subnetwork: &Subnetwork, pass: Pass) -> Result<&[Rows]> {
        self.check(batch, subnetwork)?;
        let path = subnetwork.path();
        let Self { model, precision, pool, parameters, work, .. } = self;
        let Work { ends, layers, rows } = work;
        if layers.len() < path.path_length() {
            layers.resize_with(path.path_length(), Default::default);
        }
        let block = block_rows(batch.sequences);
        let blocks = batch.sequences.div_ceil(block);
        if rows.len() < blocks {
            rows.resize_with(blocks, Rows::default);
        }
        let sizes: Vec<usize> = active(model, path).map(|i| parameters[i].weight.len()).collect();
        pool.install(|| {
            let net = network(model, *precision, parameters, ends, layers, subnetwork, pass != Pass::Forward);
            let tokens = batch.inputs.par_chunks(block * model.context);
            let blocks = rows.par_iter_mut().zip(tokens).zip(batch.values.par_chunks(block));
            blocks.with_max_len(1).for_each(|((rows, tokens), values)| {
                with_scratch(|scratch| {
                    let (_, pairs) = scratch.take([0; 3]);
                    rows.forward(&net, tokens, pairs);
                    rows.score(values);
                    if let Pass::Train(scale) = pass {
                        rows.grads.resize_with(sizes.len(), Vec::new);
                        rows.grads.iter_mut().zip(&sizes).for_each(|(gradient, &n)| gradient.resize(n, 0.0));
                        rows.backward(&net, values, scale, pairs);
                    }
                });
            });
        });
        Ok(&self.work.rows[..blocks])
    }
}

/// Tokens that coordinates are written in.
const VOCABULARY: usize = 2;

/// Parameters before and in a layer, by the model's shapes.
fn counts(model: &ModelConfig) -> (usize, usize) {
    (layout::input_shapes(model, VOCABULARY).len(), layout::layer_shapes(model).len())
}

/// Places of the parameters that take part.
fn active(model: &ModelConfig, path: LayerPath) -> impl Iterator<Item = usize> {
    let (input, each) = counts(model);
    let behind = input + each * model.layers;
    let output = behind..behind + layout::output_shapes(model, VOCABULARY).len();
    let layers = (0..model.layers).filter(move |&layer| path.is_active(layer));
    (0..input).chain(layers.flat_map(move |layer| input + layer * each..input + (layer + 1) * each)).chain(output)
}

/// The subnetwork, its weights made ready.
fn network<'a>(
    model: &'a ModelConfig,
    precision: Precision,
    parameters: &'a [Parameter],
    [embed, head]: &'a mut [[Copy; 2]; 2],
    layers: &'a mut [[[Copy; 2]; 2]],
    subnetwork: &Subnetwork,
    is_trained: bool,
) -> Network<'a> {
    let (input, each) = counts(model);
    let layers = subnetwork.path().active().zip(layers).enumerate().map(|(slot, (layer, copies))| {
        let p = &parameters[input + layer * each..][..each];
        Layer::new(precision, copies, p, subnetwork.factor(slot), is_trained)
    });
    let output = &parameters[input + each * model.layers..];
    let place = layout::mlp_place::HEAD;
    Network {
        model,
        embed: Linear::new(precision, embed, &parameters[layout::mlp_place::EMBED..], is_trained),
        layers: layers.collect(),
        ln_f: Network::final_norm(model, output),
        head: Linear::new(precision, head, &output[output.len() - place..], is_trained),
    }
}

/// The mean squared error of all rows.
fn mean(rows: &[Rows], count: usize) -> f64 {
    rows.iter().map(|rows| rows.loss).sum::<f64>() / count as f64
}

impl Engine for Mlp {
    fn about(&self) -> String {
        let threads = self.pool.current_num_threads();
        let precision = if self.precision == Precision::Bf16 { ", bf16" } else { "" };
        format!("cpu, {threads} thread{}, fast{precision}", if threads == 1 { "" } else { "s" })
    }

    fn gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32> {
        ensure!(!micro_batches.is_empty(), "no batch to train on");
        // No gradient is at hand until this one is whole.
        self.path = None;
        let path = subnetwork.path();
        let mut total: Vec<Vec<f32>> =
            active(&self.model, path).map(|i| vec![0.0; self.parameters[i].weight.len()]).collect();
        let mut loss = 0.0;
        for batch in micro_batches {
            let scale = 1.0 / (batch.sequences * micro_batches.len()) as f32;
            let rows = self.run(batch, subnetwork, Pass::Train(scale))?;
            loss += mean(rows, batch.sequences);
            for rows in rows {
                for (total, gradient) in total.iter_mut().zip(&rows.grads) {
                    total.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
                }
            }
        }
        (self.gradients, self.path) = (total, Some(path));
        Ok((loss / micro_batches.len() as f64) as f32)
    }

    fn gradient_norm(&mut self) -> Result<f32> {
        self.path.context("a norm needs a gradient")?;
        let gradients = &self.gradients;
        let squares = self.pool.install(|| gradients.iter().map(|g| optim::sum_of_squares(g)).sum::<f64>());
        Ok(squares.sqrt() as f32)
    }

    fn update(&mut self, rule: &UpdateRule) -> Result<()> {
        let path = self.path.context("an update needs a gradient")?;
        let Self { model, pool, parameters, gradients, .. } = self;
        let mut gradients = active(model, path).zip(&*gradients).peekable();
        pool.install(|| {
            for (i, p) in parameters.iter_mut().enumerate() {
                match gradients.next_if(|(place, _)| *place == i) {
                    Some((_, gradient)) => optim::adamw(p, Some(gradient), rule),
                    None if rule.zero_gradient_for_skipped => optim::adamw(p, None, rule),
                    None => {}
                }
            }
        });
        Ok(())
    }

    fn loss(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<f32> {
        Ok(mean(self.run(batch, subnetwork, Pass::Forward)?, batch.sequences) as f32)
    }

    fn logits(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        let rows = self.run(batch, subnetwork, Pass::Forward)?;
        Ok(rows.iter().flat_map(Rows::predictions).collect())
    }

    fn outputs(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        let width = self.model.width;
        let mut all = Vec::with_capacity(batch.sequences * width);
        for rows in self.run(batch, subnetwork, Pass::Forward)? {
            let panels = Panels::filling(rows.out(), width);
            let first = all.len();
            all.resize(first + panels.shape().0 * width, 0.0);
            to_rows(&mut all[first..], panels);
        }
        Ok(all)
    }

    fn gradients(&mut self) -> Result<Vec<(String, Vec<f32>)>> {
        let path = self.path.context("no gradient has been computed")?;
        let named = active(&self.model, path).zip(&self.gradients);
        Ok(named.map(|(i, gradient)| (self.parameters[i].name.clone(), gradient.clone())).collect())
    }

    fn parameters(&self) -> Result<Vec<Parameter>> {
        Ok(self.parameters.clone())
    }

    fn set_parameters(&mut self, parameters: Vec<Parameter>) -> Result<()> {
        layout::check_fit(&layout::shapes(&self.model, VOCABULARY), &parameters).map_err(anyhow::Error::msg)?;
        self.parameters = parameters;
        self.path = None;
        Ok(())
    }

    fn weights_checksum(&self) -> Result<String> {
        Ok(layout::checksum(self.parameters.iter()))
    }
}
