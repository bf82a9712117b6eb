//! The parameters of a model: names, shapes, order and initial values. Every engine, checkpoint and export shares them.
//!
//! Matrices are (in, out), as in GPT-2's files. The shapes are chosen so that a checkpoint *is* a Hugging Face model:
//! `GPT2LMHeadModel` (decoder, pre-norm), `BertForMaskedLM` (encoder, post-norm),
//! `RobertaPreLayerNormForMaskedLM` (encoder, pre-norm). The residual MLP of `polynomial` has shapes of its own.

use sha2::{Digest, Sha256};

use super::Parameter;
use crate::config::{Architecture, ModelConfig, Norm};
use crate::data::hex;
use crate::rng::{Purpose, keyed};

/// Places of a layer's parameters among its own, as [`layer_shapes`] lists them.
pub(super) mod place {
    pub const QKV: usize = 0;
    pub const QKV_BIAS: usize = 1;
    pub const PROJ: usize = 2;
    pub const PROJ_BIAS: usize = 3;
    pub const UP: usize = 4;
    pub const UP_BIAS: usize = 5;
    pub const DOWN: usize = 6;
    pub const DOWN_BIAS: usize = 7;
    pub const LN_1: usize = 8;
    pub const LN_2: usize = 10;
}

/// The same of a residual MLP: before the layers, in a layer, and behind them, counted from the end.
pub(super) mod mlp_place {
    pub const EMBED: usize = 0;
    pub const UP: usize = 0;
    pub const DOWN: usize = 2;
    pub const LN: usize = 4;
    pub const LN_F: usize = 0;
    /// From the end: weight and bias.
    pub const HEAD: usize = 2;
}

/// Whether the embedding is normed: in encoders always (as BERT's is), in decoders under post-norm.
pub fn has_embedding_norm(m: &ModelConfig) -> bool {
    match m.norm {
        Norm::Pre => m.architecture == Architecture::Encoder,
        Norm::Post => m.architecture != Architecture::Mlp,
        Norm::None => false,
    }
}

fn pair(shapes: &mut Vec<(String, Vec<usize>)>, name: &str, weight: Vec<usize>) {
    let out = weight[weight.len() - 1];
    shapes.push((format!("{name}.weight"), weight));
    shapes.push((format!("{name}.bias"), vec![out]));
}

/// Names and shapes of one layer's parameters, without the prefix `h.i.`; [`place`] numbers them.
pub fn layer_shapes(m: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let (c, r) = (m.width, m.width * m.mlp_ratio);
    let mut shapes = Vec::new();
    if m.architecture == Architecture::Mlp {
        pair(&mut shapes, "mlp.up", vec![c, r]);
        pair(&mut shapes, "mlp.down", vec![r, c]);
        if m.norm != Norm::None {
            pair(&mut shapes, "ln", vec![c]);
        }
        return shapes;
    }
    pair(&mut shapes, "attn.qkv", vec![c, 3 * c]);
    pair(&mut shapes, "attn.proj", vec![c, c]);
    pair(&mut shapes, "mlp.up", vec![c, r]);
    pair(&mut shapes, "mlp.down", vec![r, c]);
    if m.norm != Norm::None {
        pair(&mut shapes, "ln_1", vec![c]);
        pair(&mut shapes, "ln_2", vec![c]);
    }
    shapes
}

/// Names and shapes of what stands before the layers, in order.
pub fn input_shapes(m: &ModelConfig, vocabulary: usize) -> Vec<(String, Vec<usize>)> {
    if m.architecture == Architecture::Mlp {
        let mut shapes = Vec::new();
        pair(&mut shapes, "embed", vec![m.context, m.width]);
        return shapes;
    }
    let mut shapes =
        vec![("wte.weight".to_owned(), vec![vocabulary, m.width]), ("wpe.weight".to_owned(), vec![m.context, m.width])];
    if has_embedding_norm(m) {
        pair(&mut shapes, "ln_embed", vec![m.width]);
    }
    shapes
}

/// Names and shapes of what stands behind the layers, in order. Logits are products with `wte.weight`; a residual MLP's one
/// output has a head of its own.
pub fn output_shapes(m: &ModelConfig, vocabulary: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Vec::new();
    if m.norm == Norm::Pre {
        pair(&mut shapes, "ln_f", vec![m.width]);
    }
    if m.architecture == Architecture::Mlp {
        pair(&mut shapes, "head", vec![m.width, 1]);
    }
    if m.architecture == Architecture::Encoder {
        pair(&mut shapes, "head.dense", vec![m.width, m.width]);
        pair(&mut shapes, "head.ln", vec![m.width]);
        shapes.push(("head.bias".to_owned(), vec![vocabulary]));
    }
    shapes
}

/// Names and shapes of all parameters, in model order.
pub fn shapes(m: &ModelConfig, vocabulary: usize) -> Vec<(String, Vec<usize>)> {
    let mut all = input_shapes(m, vocabulary);
    for layer in 0..m.layers {
        all.extend(layer_shapes(m).into_iter().map(|(name, shape)| (format!("h.{layer}.{name}"), shape)));
    }
    all.extend(output_shapes(m, vocabulary));
    all
}

/// Initial parameters: matrices normal with `init_std` (projections back into the residual stream with
/// `init_std / sqrt(2 L)`, as GPT-2's), norms 1, biases 0. A function of the seed and the parameter's place alone.
pub fn initial(m: &ModelConfig, vocabulary: usize, seed: u64) -> Vec<Parameter> {
    let shapes = shapes(m, vocabulary).into_iter().enumerate();
    shapes
        .map(|(index, (name, shape))| {
            let n = shape.iter().product();
            let weight = if shape.len() == 2 {
                let is_projection = name.ends_with("attn.proj.weight") || name.ends_with("mlp.down.weight");
                let std = if is_projection { m.init_std / (2.0 * m.layers as f64).sqrt() } else { m.init_std };
                let mut rng = keyed(seed, Purpose::InitialWeights, 0, index as u64);
                (0..n).map(|_| (std * rng.normal()) as f32).collect()
            } else if name.ends_with(".weight") {
                vec![1.0; n]
            } else {
                vec![0.0; n]
            };
            Parameter { name, shape, weight, first_moment: vec![0.0; n], second_moment: vec![0.0; n], updates: 0 }
        })
        .collect()
}

/// Checksum of all weights' bits in model order.
pub fn checksum<'a>(parameters: impl Iterator<Item = &'a Parameter>) -> String {
    let mut sha = Sha256::new();
    let mut bytes = Vec::new();
    for p in parameters {
        sha.update(p.name.as_bytes());
        bytes.clear();
        bytes.extend(p.weight.iter().flat_map(|w| w.to_le_bytes()));
        sha.update(&bytes);
    }
    hex(&sha.finalize()[..8])
}

/// Why parameters don't fit a model: the first that is missing, superfluous or of another shape.
///
/// # Errors
/// One sentence.
pub fn check_fit(expected: &[(String, Vec<usize>)], given: &[Parameter]) -> Result<(), String> {
    for (i, (name, shape)) in expected.iter().enumerate() {
        let Some(p) = given.get(i) else {
            return Err(format!("the parameter {name} is missing"));
        };
        if p.name != *name {
            return Err(format!("the parameter {name} was expected where {} stands", p.name));
        }
        let n: usize = shape.iter().product();
        if p.shape != *shape || [&p.weight, &p.first_moment, &p.second_moment].iter().any(|v| v.len() != n) {
            return Err(format!("the parameter {name} has shape {:?}, the model needs {shape:?}", p.shape));
        }
    }
    given.get(expected.len()).map_or(Ok(()), |p| Err(format!("the model has no parameter {}", p.name)))
}
