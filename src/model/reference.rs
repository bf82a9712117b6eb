//! The reference engine: the same model in candle's plain ops, differentiated by candle's autograd. The oracle.
//!
//! Slow on purpose: only ops that are known to have a backward pass are used (no fused softmax, no fused norm). Parameters
//! stay in host memory and go to the device for each call, so that checkpoints and updates are those of the fast engine.
//! Parts of layers are whole layers with the other parts masked: right, and no cheaper.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use candle_core::{D, DType, Device, Tensor, Var};

use super::ends::head_gelu;
use super::{Engine, Parameter, UpdateRule, check_prefixes, layout, parts};
use crate::config::{Architecture, ModelConfig, Norm};
use crate::kernels::gelu::Gelu;
use crate::kernels::layer_norm::EPSILON;
use crate::objective::{Batch, NO_TARGET};
use crate::optim;
use crate::subnetwork::{Parts, Subnetwork};

/// The engine.
pub struct Reference {
    model: ModelConfig,
    device: Device,
    /// What is computed in: f64 for the tests' truth.
    dtype: DType,
    parameters: Vec<Parameter>,
    /// By parameter; none for those that took no part.
    gradients: Vec<Option<Vec<f32>>>,
    /// The subnetwork of the gradient at hand.
    subnetwork: Option<Subnetwork>,
}

/// Parameters on the device, looked up by name.
struct Weights<'a> {
    named: Vec<(&'a str, Var)>,
}

impl Weights<'_> {
    fn get(&self, name: &str) -> Result<&Tensor> {
        let found = self.named.iter().find(|(n, _)| *n == name);
        Ok(found.with_context(|| format!("no parameter {name}"))?.1.as_tensor())
    }
}

impl Reference {
    /// The engine with initial weights from the seed, computing in `dtype` on `device`.
    pub fn new(model: &ModelConfig, vocabulary: usize, seed: u64, device: Device, dtype: DType) -> Self {
        let parameters = layout::initial(model, vocabulary, seed);
        let gradients = vec![None; parameters.len()];
        Self { model: model.clone(), device, dtype, parameters, gradients, subnetwork: None }
    }

    /// Uploads what the subnetwork needs.
    fn upload(&self, subnetwork: &Subnetwork) -> Result<Weights<'_>> {
        let path = subnetwork.path();
        let takes_part = |p: &&Parameter| layer_of(&p.name).is_none_or(|layer| path.is_active(layer));
        let named = self.parameters.iter().filter(takes_part).map(|p| {
            let tensor = Tensor::from_slice(&p.weight, p.shape.as_slice(), &self.device)?.to_dtype(self.dtype)?;
            Ok((p.name.as_str(), Var::from_tensor(&tensor)?))
        });
        Ok(Weights { named: named.collect::<Result<_>>()? })
    }

    fn norm(&self, x: &Tensor, w: &Weights<'_>, name: &str) -> Result<Tensor> {
        let mean = x.mean_keepdim(D::Minus1)?;
        let centred = x.broadcast_sub(&mean)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + f64::from(EPSILON))?.sqrt()?)?;
        let scaled = normed.broadcast_mul(w.get(&format!("{name}.weight"))?)?;
        Ok(scaled.broadcast_add(w.get(&format!("{name}.bias"))?)?)
    }

    fn linear(&self, x: &Tensor, w: &Weights<'_>, name: &str) -> Result<Tensor> {
        let y = x.broadcast_matmul(w.get(&format!("{name}.weight"))?)?;
        Ok(y.broadcast_add(w.get(&format!("{name}.bias"))?)?)
    }

    fn attention(
        &self,
        x: &Tensor,
        w: &Weights<'_>,
        name: &str,
        parts: Option<&Parts>,
        prefixes: &[usize],
    ) -> Result<Tensor> {
        let (b, t, c) = x.dims3()?;
        let h = self.model.heads;
        let qkv = self.linear(x, w, &format!("{name}.attn.qkv"))?;
        let part = |i: usize| -> Result<Tensor> {
            Ok(qkv.narrow(2, i * c, c)?.reshape((b, t, h, c / h))?.transpose(1, 2)?.contiguous()?) // (B, H, T, d)
        };
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?.contiguous()?)? * (1.0 / ((c / h) as f64).sqrt()))?;
        let scores = if self.model.architecture == Architecture::Decoder {
            // Position i sees the first i + 1, and at least the prefix. (B or 1, 1, T, T)
            let prefixes = if prefixes.is_empty() { &[0] } else { prefixes };
            let hidden = |prefix: usize, i: usize| i % t > i / t && i % t >= prefix;
            let mask = prefixes
                .iter()
                .flat_map(|&prefix| (0..t * t).map(move |i| if hidden(prefix, i) { f32::NEG_INFINITY } else { 0.0 }));
            let mask = Tensor::from_iter(mask, &self.device)?.reshape((prefixes.len(), 1, t, t))?;
            scores.broadcast_add(&mask.to_dtype(self.dtype)?)?
        } else {
            scores
        };
        let mixed = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
        let mixed = mixed.transpose(1, 2)?.reshape((b, t, c))?;
        let d = c / h;
        let heads = parts.map(|p| p.heads.iter().map(|head| head * d..(head + 1) * d).collect());
        let mixed = self.masked(mixed, heads)?;
        self.linear(&mixed, w, &format!("{name}.attn.proj"))
    }

    fn mlp(&self, x: &Tensor, w: &Weights<'_>, name: &str, parts: Option<&Parts>) -> Result<Tensor> {
        let up = gelu(Gelu::Tanh, &self.linear(x, w, &format!("{name}.mlp.up"))?)?;
        let up = self.masked(up, parts.map(|p| p.columns.clone()))?;
        self.linear(&up, w, &format!("{name}.mlp.down"))
    }

    /// `x` with zeros in all columns outside the ranges, if there are any.
    fn masked(&self, x: Tensor, columns: Option<Vec<Range<usize>>>) -> Result<Tensor> {
        let Some(columns) = columns else {
            return Ok(x);
        };
        let width = x.dim(D::Minus1)?;
        let is_in = |i: usize| f32::from(u8::from(columns.iter().any(|range| range.contains(&i))));
        let mask = Tensor::from_iter((0..width).map(is_in), &self.device)?.to_dtype(self.dtype)?;
        Ok(x.broadcast_mul(&mask)?)
    }

    /// One sub-layer around `factor * f`.
    fn around(
        &self,
        x: &Tensor,
        w: &Weights<'_>,
        ln: &str,
        factor: f32,
        f: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let seen = if self.model.norm == Norm::Pre { &self.norm(x, w, ln)? } else { x };
        let y = (f(seen)? * f64::from(factor))?;
        let y = if self.model.residual { (x + y)? } else { y };
        if self.model.norm == Norm::Post { self.norm(&y, w, ln) } else { Ok(y) }
    }

    /// The residual stream behind the last active layer // (B, T, C), of an MLP (B, C)
    fn stream(&self, batch: &Batch, subnetwork: &Subnetwork, w: &Weights<'_>) -> Result<Tensor> {
        let m = &self.model;
        check_prefixes(batch, m)?;
        let (b, t, c) = (batch.sequences, batch.context, m.width);
        if m.architecture == Architecture::Mlp {
            let points = batch.inputs.iter().map(|&token| if token == 0 { -1.0f32 } else { 1.0 });
            let points = Tensor::from_iter(points, &self.device)?.reshape((b, t))?.to_dtype(self.dtype)?;
            let mut x = self.linear(&points, w, "embed")?;
            for (slot, layer) in subnetwork.path().active().enumerate() {
                let name = format!("h.{layer}");
                x = self.around(&x, w, &format!("{name}.ln"), subnetwork.factor(slot), |x| {
                    let up = self.linear(x, w, &format!("{name}.mlp.up"))?.relu()?;
                    self.linear(&up, w, &format!("{name}.mlp.down"))
                })?;
            }
            return Ok(x);
        }
        let ids = Tensor::from_slice(&batch.inputs, b * t, &self.device)?;
        let tokens = w.get("wte.weight")?.index_select(&ids, 0)?.reshape((b, t, c))?;
        let mut x = tokens.broadcast_add(&w.get("wpe.weight")?.narrow(0, 0, t)?)?;
        if layout::has_embedding_norm(m) {
            x = self.norm(&x, w, "ln_embed")?;
        }
        for (slot, layer) in subnetwork.path().active().enumerate() {
            let (name, factor, parts) = (format!("h.{layer}"), subnetwork.factor(slot), subnetwork.parts(slot));
            let attention = |x: &Tensor| self.attention(x, w, &name, parts, &batch.prefixes);
            x = self.around(&x, w, &format!("{name}.ln_1"), factor, attention)?;
            x = self.around(&x, w, &format!("{name}.ln_2"), factor, |x| self.mlp(x, w, &name, parts))?;
        }
        Ok(x)
    }

    /// Logits // (B*T, V), of an MLP (B, 1)
    fn forward(&self, batch: &Batch, subnetwork: &Subnetwork, w: &Weights<'_>) -> Result<Tensor> {
        let m = &self.model;
        let (b, t, c) = (batch.sequences, batch.context, m.width);
        let mut x = self.stream(batch, subnetwork, w)?;
        if m.norm == Norm::Pre {
            x = self.norm(&x, w, "ln_f")?;
        }
        if m.architecture == Architecture::Mlp {
            return self.linear(&x, w, "head");
        }
        let x = x.reshape((b * t, c))?;
        let wte = w.get("wte.weight")?.t()?;
        if m.architecture == Architecture::Decoder {
            return Ok(x.matmul(&wte)?);
        }
        let x = gelu(head_gelu(m), &self.linear(&x, w, "head.dense")?)?;
        let x = self.norm(&x, w, "head.ln")?;
        Ok(x.matmul(&wte)?.broadcast_add(w.get("head.bias")?)?)
    }

    fn mean_loss(&self, batch: &Batch, subnetwork: &Subnetwork, w: &Weights<'_>) -> Result<Tensor> {
        let logits = self.forward(batch, subnetwork, w)?;
        if self.model.architecture == Architecture::Mlp {
            let n = batch.values.len();
            ensure!(n == batch.sequences, "a batch of {n} values for {} points", batch.sequences);
            let values = Tensor::from_slice(&batch.values, (n, 1), &self.device)?.to_dtype(self.dtype)?;
            return Ok((logits - values)?.sqr()?.mean_all()?);
        }
        let predicted = || batch.targets.iter().enumerate().filter(|(_, t)| **t != NO_TARGET);
        let rows: Vec<u32> = predicted().map(|(row, _)| row as u32).collect();
        let targets: Vec<u32> = predicted().map(|(_, &t)| t as u32).collect();
        let n = rows.len();
        ensure!(n > 0, "a batch has no token to predict; raise objective.mask_share or train.batch");
        let logits = logits.index_select(&Tensor::from_vec(rows, n, &self.device)?, 0)?;
        let log_p = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
        let targets = Tensor::from_vec(targets, (n, 1), &self.device)?;
        Ok(log_p.gather(&targets, 1)?.mean_all()?.neg()?)
    }
}

/// The layer a parameter belongs to.
fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("h.")?.split('.').next()?.parse().ok()
}

fn gelu(kind: Gelu, x: &Tensor) -> Result<Tensor> {
    let inner = match kind {
        Gelu::Tanh => ((x + (x.powf(3.0)? * 0.044_715)?)? * (2.0 / std::f64::consts::PI).sqrt())?.tanh()?,
        Gelu::Erf => (x * std::f64::consts::FRAC_1_SQRT_2)?.erf()?,
    };
    Ok((x * ((inner + 1.0)? * 0.5)?)?)
}

fn scalar(x: &Tensor) -> Result<f32> {
    Ok(x.to_dtype(DType::F64)?.to_scalar::<f64>()? as f32)
}

impl Engine for Reference {
    fn about(&self) -> String {
        let device = match &self.device {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
            Device::Metal(_) => "metal",
        };
        format!("{device}, reference")
    }

    fn gradient(&mut self, micro_batches: &[Batch], subnetwork: &Subnetwork) -> Result<f32> {
        ensure!(!micro_batches.is_empty(), "no batch to train on");
        let weights = self.upload(subnetwork)?;
        let mut total: Option<Tensor> = None;
        for batch in micro_batches {
            let loss = (self.mean_loss(batch, subnetwork, &weights)? / micro_batches.len() as f64)?;
            total = Some(total.map_or(Ok(loss.clone()), |t| t + &loss)?);
        }
        let total = total.context("no batch to train on")?;
        let store = total.backward()?;
        let mut gradients = vec![None; self.parameters.len()];
        for (p, gradient) in self.parameters.iter().zip(&mut gradients) {
            let Some((_, var)) = weights.named.iter().find(|(name, _)| *name == p.name) else {
                continue;
            };
            let tensor = store.get(var).with_context(|| format!("{} has no gradient", p.name))?;
            *gradient = Some(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?);
        }
        let loss = scalar(&total)?;
        drop(weights);
        (self.gradients, self.subnetwork) = (gradients, Some(subnetwork.clone()));
        Ok(loss)
    }

    fn gradient_norm(&mut self) -> Result<f32> {
        Ok(self.gradients.iter().flatten().map(|g| optim::sum_of_squares(g)).sum::<f64>().sqrt() as f32)
    }

    fn update(&mut self, rule: &UpdateRule) -> Result<()> {
        let subnetwork = self.subnetwork.as_ref().context("an update needs a gradient")?;
        let m = &self.model;
        let slot_of = |layer: usize| subnetwork.path().active().position(|active| active == layer);
        let each = layout::layer_shapes(m).len();
        let first = self.parameters.iter().position(|p| layer_of(&p.name).is_some()).unwrap_or(0);
        for (i, (p, gradient)) in self.parameters.iter_mut().zip(&self.gradients).enumerate() {
            let computed = layer_of(&p.name).and_then(slot_of).and_then(|slot| subnetwork.parts(slot));
            match (gradient, computed) {
                (Some(gradient), Some(computed)) => {
                    let index = (i - first) % each;
                    let narrow = parts::narrowed(m, computed, index, p, gradient);
                    parts::update(m, computed, index, p, &narrow, rule);
                }
                (Some(gradient), None) => optim::adamw(p, Some(gradient), rule),
                (None, _) if rule.zero_gradient_for_skipped => optim::adamw(p, None, rule),
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn loss(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<f32> {
        scalar(&self.mean_loss(batch, subnetwork, &self.upload(subnetwork)?)?)
    }

    fn logits(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        let logits = self.forward(batch, subnetwork, &self.upload(subnetwork)?)?;
        Ok(logits.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?)
    }

    fn outputs(&mut self, batch: &Batch, subnetwork: &Subnetwork) -> Result<Vec<f32>> {
        let stream = self.stream(batch, subnetwork, &self.upload(subnetwork)?)?;
        Ok(stream.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?)
    }

    fn gradients(&mut self) -> Result<Vec<(String, Vec<f32>)>> {
        self.subnetwork.as_ref().context("no gradient has been computed")?;
        let named = self.parameters.iter().zip(&self.gradients);
        Ok(named.filter_map(|(p, g)| Some((p.name.clone(), g.clone()?))).collect())
    }

    fn parameters(&self) -> Result<Vec<Parameter>> {
        Ok(self.parameters.clone())
    }

    fn set_parameters(&mut self, parameters: Vec<Parameter>) -> Result<()> {
        let shapes: Vec<_> = self.parameters.iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
        layout::check_fit(&shapes, &parameters).map_err(anyhow::Error::msg)?;
        self.parameters = parameters;
        self.subnetwork = None;
        Ok(())
    }

    fn weights_checksum(&self) -> Result<String> {
        Ok(layout::checksum(self.parameters.iter()))
    }
}
