//! A run as a Hugging Face model folder that `transformers` loads, with equal logits.
//!
//! A decoder trained with prefixes is a `GPT2LMHeadModel` too, by weights and shape; that its prefixes want to be seen from
//! both sides is told, and noted in `config.json`, as the class sees every token from one side unless it is given a mask.
//!
//! A decoder with pre-norm becomes `GPT2LMHeadModel`, an encoder with post-norm `BertForMaskedLM`, one with pre-norm
//! `RobertaPreLayerNormForMaskedLM`. Writes `config.json`, `model.safetensors`, the tokenizer, and
//! `reference_logits.json`: our logits of a few sequences, for `tests/hf_check.py` to compare.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::config::{Architecture, ModelConfig, Norm, Precision, RunConfig};
use crate::data::DataError;
use crate::kernels::layer_norm::EPSILON;
use crate::layer_path::LayerPath;
use crate::method;
use crate::model::{self, Parameter};
use crate::objective::{Batch, NO_TARGET};
use crate::rng::{Purpose, Rng, keyed};
use crate::trainer::{LoopState, checkpoint};

/// A model class of `transformers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Gpt2,
    Bert,
    RobertaPreLayerNorm,
}

/// Markers that tokenizers have, by their role in `transformers`; the first name that exists is taken.
const MARKERS: [(&str, &[&str]); 6] = [
    ("pad_token", &["[PAD]", "<pad>"]),
    ("unk_token", &["[UNK]", "<unk>"]),
    ("cls_token", &["[CLS]", "<s>"]),
    ("sep_token", &["[SEP]", "</s>"]),
    ("eos_token", &["<|endoftext|>", "</s>", "<end>"]),
    ("mask_token", &["[MASK]", "<mask>", "[mask]"]),
];

/// The markers of a `tokenizer.json`: role, name, number. One that the tokenizer lacks must not be named, or
/// `transformers` adds it under a number that the model has no row for.
fn markers(tokenizer_json: &Value) -> Vec<(&'static str, &'static str, u64)> {
    let number = |name: &str| {
        let added = tokenizer_json["added_tokens"].as_array().into_iter().flatten();
        let mut added = added.filter(|t| t["content"] == name).filter_map(|t| t["id"].as_u64());
        added.next().or_else(|| tokenizer_json["model"]["vocab"][name].as_u64())
    };
    let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, number(name)?)));
    MARKERS.iter().filter_map(|(role, names)| first(names).map(|(name, id)| (*role, name, id))).collect()
}

/// RoBERTa's number of the padding token, and the position it counts from: that number + 1. A token with this number gets
/// no position, so where the tokenizer has no padding it must be one that no text holds: -1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Padding(i64);

impl Padding {
    fn of(markers: &[(&str, &str, u64)]) -> Self {
        Self(markers.iter().find(|m| m.0 == "pad_token").and_then(|m| i64::try_from(m.2).ok()).unwrap_or(-1))
    }

    fn first_position(self) -> usize {
        // -1 or more, so 0 or more.
        usize::try_from(self.0 + 1).unwrap_or(0)
    }
}

/// What must be known of a decoder that was trained with prefixes.
const PREFIX_NOTE: &str = "it was trained with prefixes that see themselves whole, which is not GPT-2's own mask: give the class a 4-D \
     attention_mask (batch, 1, T, T) in which the prompt's positions see one another; without one its logits are those of \
     our causal mask, and worse than it can do\n";

/// Whether sequences have prefixes under the run's objective.
fn has_prefixes(config: &RunConfig) -> bool {
    !config.objective.denoisers().is_empty()
}

fn class_of(m: &ModelConfig) -> Result<Class> {
    match (m.architecture, m.norm, m.residual) {
        (Architecture::Decoder, Norm::Pre, true) => Ok(Class::Gpt2),
        (Architecture::Encoder, Norm::Post, true) => Ok(Class::Bert),
        (Architecture::Encoder, Norm::Pre, true) => Ok(Class::RobertaPreLayerNorm),
        _ => bail!(
            "no Hugging Face model has this shape; a decoder with model.norm = \"pre\", or an encoder with \"pre\" or \"post\", \
             both with model.residual = true, can be exported"
        ),
    }
}

/// Writes the run in `run_dir` into the folder `out`. Returns what to tell.
///
/// # Errors
/// If there is no checkpoint, no such model class, or the folder can't be written.
pub fn write(run_dir: &Path, config: &RunConfig, out: &Path) -> Result<String> {
    let class = class_of(&config.model)?;
    let found = checkpoint::newest(run_dir).map_err(|e| DataError::new(format!("{e:#}")))?;
    let mut by_name: HashMap<String, Parameter> =
        found.snapshot.parameters.into_iter().map(|p| (p.name.clone(), p)).collect();
    let vocabulary = by_name.get("wte.weight").and_then(|p| p.shape.first().copied());
    let vocabulary = vocabulary.with_context(|| format!("{} has no parameter wte.weight", found.file))?;
    let state = &found.snapshot.state;
    let config = &as_it_exists(config, state.existing);
    let mut ordered = Vec::new();
    for (name, _) in model::shapes(&config.model, vocabulary) {
        ordered.push(by_name.remove(&name).with_context(|| format!("{} has no parameter {name}", found.file))?);
    }
    fold_factors(config, state, &mut ordered)?;
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let write = |name: &str, bytes: &[u8]| {
        let file = out.join(name);
        fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))
    };
    let tokenizer = run_dir.join("tokenizer.json");
    let mut marked = Vec::new();
    if tokenizer.is_file() {
        let bytes = fs::read(&tokenizer).with_context(|| format!("reading {}", tokenizer.display()))?;
        let parsed = serde_json::from_slice(&bytes).with_context(|| format!("reading {}", tokenizer.display()))?;
        marked = markers(&parsed);
        write("tokenizer.json", &bytes)?;
        write("tokenizer_config.json", &serde_json::to_vec_pretty(&tokenizer_config(config, &marked))?)?;
    }
    let padding = Padding::of(&marked);
    write("model.safetensors", &tensors(class, padding, &ordered)?)?;
    write("config.json", &serde_json::to_vec_pretty(&config_json(class, padding, config, vocabulary))?)?;
    let mask = marked.iter().find(|m| m.0 == "mask_token").map(|m| m.2 as u32);
    write("reference_logits.json", &serde_json::to_vec(&reference(config, vocabulary, padding, mask, ordered)?)?)?;
    let mut told = format!("{} of {} is now a {class:?} model in {}\n", found.file, run_dir.display(), out.display());
    if has_prefixes(config) {
        told.push_str(PREFIX_NOTE);
    }
    Ok(told)
}

/// The config of the model that a run has come to: of a model that has yet to grow, the layers that exist.
fn as_it_exists(config: &RunConfig, existing: Option<usize>) -> RunConfig {
    let mut config = config.clone();
    config.model.layers = existing.unwrap_or(config.model.layers).min(config.model.layers);
    config
}

/// Multiplies the last matrices of each layer by the factor that the method's evaluation has for it, as stochastic depth's
/// survival: the exported model has no place for factors.
fn fold_factors(config: &RunConfig, state: &LoopState, parameters: &mut [Parameter]) -> Result<()> {
    let method = method::find(&config.method.name).map_err(anyhow::Error::msg)?;
    let (settings, shape, schedule, step) = (&config.method, config.model.shape(), &state.schedule, state.step);
    if config.model.layers != schedule.layers {
        return Ok(());
    }
    let whole =
        method.evaluated(&method::Context { settings, shape, schedule, step }, LayerPath::full(schedule.layers));
    for layer in 0..schedule.layers {
        let factor = whole.factor(layer);
        let is_last = |p: &&mut Parameter| {
            let name = p.name.strip_prefix(&format!("h.{layer}.")).unwrap_or("");
            name.starts_with("attn.proj") || name.starts_with("mlp.down")
        };
        parameters.iter_mut().filter(is_last).for_each(|p| p.weight.iter_mut().for_each(|w| *w *= factor));
    }
    Ok(())
}

/// Our logits of two random sequences, one shorter than the context, with the mask in their middle.
fn reference(
    config: &RunConfig,
    vocabulary: usize,
    padding: Padding,
    mask: Option<u32>,
    parameters: Vec<Parameter>,
) -> Result<Value> {
    let mut engine = model::fast::Fast::new(&config.model, vocabulary, 0, 0, Precision::F32)?;
    model::Engine::set_parameters(&mut engine, parameters)?;
    let mut rng = keyed(0, Purpose::EvaluationBatch, 0, 0);
    let (mut all_ids, mut all_logits) = (Vec::new(), Vec::new());
    for context in [config.model.context.min(64), config.model.context.div_ceil(2).min(17)] {
        let mut ids = sequence(context, vocabulary, padding, &mut rng);
        if let (Some(mask), Some(middle)) = (mask, ids.get_mut(context / 2)) {
            *middle = mask;
        }
        let targets = vec![NO_TARGET; context];
        let batch = Batch { sequences: 1, context, inputs: ids.clone(), targets, ..Batch::default() };
        let logits = model::Engine::logits(&mut engine, &batch, &LayerPath::full(config.model.layers).into())?;
        all_logits.push(logits.chunks(vocabulary).map(<[f32]>::to_vec).collect::<Vec<_>>());
        all_ids.push(ids);
    }
    Ok(json!({ "input_ids": all_ids, "logits": all_logits }))
}

/// Random tokens, all but the padding, which RoBERTa gives no position.
fn sequence(context: usize, vocabulary: usize, padding: Padding, rng: &mut Rng) -> Vec<u32> {
    let tokens = (0..vocabulary as u32).filter(|&t| i64::from(t) != padding.0);
    let tokens: Vec<u32> = tokens.collect();
    (0..context).map(|_| tokens[rng.below(tokens.len() as u64) as usize]).collect()
}

fn config_json(class: Class, padding: Padding, config: &RunConfig, vocabulary: usize) -> Value {
    let m = &config.model;
    let (architecture, model_type) = match class {
        Class::Gpt2 => ("GPT2LMHeadModel", "gpt2"),
        Class::Bert => ("BertForMaskedLM", "bert"),
        Class::RobertaPreLayerNorm => ("RobertaPreLayerNormForMaskedLM", "roberta-prelayernorm"),
    };
    let mut value = json!({
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": vocabulary,
        "initializer_range": m.init_std,
        "tie_word_embeddings": true,
        "torch_dtype": "float32",
    });
    let more = if class == Class::Gpt2 {
        json!({
            "n_layer": m.layers, "n_head": m.heads, "n_embd": m.width, "n_inner": m.width * m.mlp_ratio,
            "n_positions": m.context, "activation_function": "gelu_new", "layer_norm_epsilon": EPSILON,
            "bos_token_id": 0, "eos_token_id": 0, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
        })
    } else {
        let offset = if class == Class::Bert { 0 } else { padding.first_position() };
        json!({
            "num_hidden_layers": m.layers, "num_attention_heads": m.heads, "hidden_size": m.width,
            "intermediate_size": m.width * m.mlp_ratio, "max_position_embeddings": m.context + offset,
            "hidden_act": "gelu_new", "layer_norm_eps": EPSILON, "type_vocab_size": 1,
            "pad_token_id": if class == Class::Bert { 0 } else { padding.0 },
            "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "is_decoder": false,
        })
    };
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
        if has_prefixes(config) {
            value.insert("prefix_attention".to_owned(), json!(true));
        }
    }
    value
}

fn tokenizer_config(config: &RunConfig, markers: &[(&str, &str, u64)]) -> Value {
    let mut value = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.model.context,
        "clean_up_tokenization_spaces": false,
    });
    if let Some(value) = value.as_object_mut() {
        value.extend(markers.iter().map(|(role, name, _)| ((*role).to_owned(), json!(name))));
    }
    value
}

/// A tensor as the file will hold it.
struct Out {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn out(name: impl Into<String>, p: &Parameter) -> Out {
    Out { name: name.into(), shape: p.shape.clone(), values: p.weight.clone() }
}

/// The matrix (in, out) as torch's `Linear` wants it: (out, in), columns `from..to` of the original.
fn transposed(name: impl Into<String>, p: &Parameter, from: usize, to: usize) -> Out {
    let (rows, cols) = (p.shape[0], p.shape[1]);
    let values = (from..to).flat_map(|j| (0..rows).map(move |i| (i, j))).map(|(i, j)| p.weight[i * cols + j]).collect();
    Out { name: name.into(), shape: vec![to - from, rows], values }
}

fn tensors(class: Class, padding: Padding, parameters: &[Parameter]) -> Result<Vec<u8>> {
    let all: Vec<Out> =
        parameters.iter().flat_map(|p| if class == Class::Gpt2 { gpt2(p) } else { bert(class, padding, p) }).collect();
    let mut all = all;
    if class != Class::Gpt2 {
        // Segment embeddings, which we have none of.
        let width = parameters.first().map_or(0, |p| p.shape[1]);
        let name = format!("{}.embeddings.token_type_embeddings.weight", prefix(class));
        all.push(Out { name, shape: vec![1, width], values: vec![0.0; width] });
    }
    let bytes: Vec<Vec<u8>> = all.iter().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views: Result<Vec<_>, _> = all
        .iter()
        .zip(&bytes)
        .map(|(t, bytes)| Ok((t.name.as_str(), TensorView::new(Dtype::F32, t.shape.clone(), bytes)?)))
        .collect();
    let views = views.map_err(|e: safetensors::SafeTensorError| anyhow::anyhow!("laying out tensors: {e}"))?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| anyhow::anyhow!("laying out tensors: {e}"))
}

fn gpt2(p: &Parameter) -> Vec<Out> {
    // GPT-2's `Conv1D` keeps matrices (in, out), as we do.
    let name = p.name.replace("attn.qkv", "attn.c_attn").replace("attn.proj", "attn.c_proj");
    let name = name.replace("mlp.up", "mlp.c_fc").replace("mlp.down", "mlp.c_proj");
    vec![out(format!("transformer.{name}"), p)]
}

fn prefix(class: Class) -> &'static str {
    if class == Class::Bert { "bert" } else { "roberta_prelayernorm" }
}

fn bert(class: Class, padding: Padding, p: &Parameter) -> Vec<Out> {
    let root = prefix(class);
    let whole = |name: String| {
        if p.shape.len() == 2 { transposed(name, p, 0, p.shape[1]) } else { out(name, p) }
    };
    let Some(inner) = p.name.strip_prefix("h.") else {
        return vec![bert_outside(class, padding, p, whole)];
    };
    let (layer, rest) = inner.split_once('.').unwrap_or((inner, ""));
    let (part, kind) = rest.rsplit_once('.').unwrap_or((rest, ""));
    let layer = format!("{root}.encoder.layer.{layer}");
    let is_bert = class == Class::Bert;
    let name = match part {
        "attn.qkv" => {
            let c = p.shape[p.shape.len() - 1] / 3;
            let parts = ["query", "key", "value"].into_iter().enumerate();
            return parts
                .map(|(i, part)| {
                    let name = format!("{layer}.attention.self.{part}.{kind}");
                    if p.shape.len() == 2 {
                        transposed(name, p, i * c, (i + 1) * c)
                    } else {
                        Out { name, shape: vec![c], values: p.weight[i * c..(i + 1) * c].to_vec() }
                    }
                })
                .collect();
        }
        "attn.proj" => "attention.output.dense",
        "mlp.up" => "intermediate.dense",
        "mlp.down" => "output.dense",
        // BERT norms the sum behind a sub-layer, RoBERTa-PreLayerNorm the input before it.
        "ln_1" if is_bert => "attention.output.LayerNorm",
        "ln_2" if is_bert => "output.LayerNorm",
        "ln_1" => "attention.LayerNorm",
        _ => "intermediate.LayerNorm",
    };
    vec![whole(format!("{layer}.{name}.{kind}"))]
}

/// Parameters outside the layers.
fn bert_outside(class: Class, padding: Padding, p: &Parameter, whole: impl Fn(String) -> Out) -> Out {
    let root = prefix(class);
    let is_bert = class == Class::Bert;
    let head = |bert: &str, roberta: &str| {
        if is_bert { format!("cls.predictions.{bert}") } else { format!("lm_head.{roberta}") }
    };
    let (part, kind) = p.name.rsplit_once('.').unwrap_or((&p.name, ""));
    match part {
        "wte" => out(format!("{root}.embeddings.word_embeddings.{kind}"), p),
        "wpe" if is_bert => out(format!("{root}.embeddings.position_embeddings.{kind}"), p),
        "wpe" => {
            let width = p.shape[1];
            let mut values = vec![0.0; padding.first_position() * width];
            values.extend(&p.weight);
            let shape = vec![p.shape[0] + padding.first_position(), width];
            Out { name: format!("{root}.embeddings.position_embeddings.{kind}"), shape, values }
        }
        "ln_embed" => out(format!("{root}.embeddings.LayerNorm.{kind}"), p),
        "ln_f" => out(format!("{root}.LayerNorm.{kind}"), p),
        "head.dense" => whole(format!("{}.{kind}", head("transform.dense", "dense"))),
        "head.ln" => out(format!("{}.{kind}", head("transform.LayerNorm", "layer_norm")), p),
        // `head.bias`
        _ => out(head("bias", "bias"), p),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_markers_that_the_tokenizer_has_are_named() {
        // As the stories' words, and as a trained BPE.
        let words = json!({ "added_tokens": [], "model": { "vocab": { "<end>": 0, "[mask]": 1, "fox": 2 } } });
        assert_eq!(markers(&words), [("eos_token", "<end>", 0), ("mask_token", "[mask]", 1)]);
        let bpe = json!({
            "added_tokens": [{ "id": 0, "content": "<|endoftext|>" }, { "id": 1, "content": "<mask>" }],
            "model": { "vocab": { "a": 2 } },
        });
        assert_eq!(markers(&bpe), [("eos_token", "<|endoftext|>", 0), ("mask_token", "<mask>", 1)]);
        let config = tokenizer_config(&RunConfig::default(), &markers(&words));
        assert_eq!((config["mask_token"].as_str(), config.get("pad_token")), (Some("[mask]"), None));
    }

    #[test]
    fn no_token_of_the_text_is_taken_for_padding() {
        // RoBERTa gives padding no position, so the mask, token 1 of the stories, must not be it.
        let padding = Padding::of(&[("mask_token", "[mask]", 1)]);
        assert_eq!((padding.0, padding.first_position()), (-1, 0));
        let padding = Padding::of(&[("pad_token", "<pad>", 1)]);
        assert_eq!((padding.0, padding.first_position()), (1, 2));
        let mut config = RunConfig::default();
        (config.model.architecture, config.model.context) = (Architecture::Encoder, 3);
        let json = config_json(Class::RobertaPreLayerNorm, padding, &config, 10);
        assert_eq!((json["pad_token_id"].as_i64(), json["max_position_embeddings"].as_u64()), (Some(1), Some(5)));
        let wpe = Parameter {
            name: "wpe.weight".to_owned(),
            shape: vec![3, 2],
            weight: vec![1.0; 6],
            first_moment: vec![],
            second_moment: vec![],
            updates: 0,
        };
        let moved = bert_outside(Class::RobertaPreLayerNorm, padding, &wpe, |_| out("", &wpe));
        assert_eq!((moved.shape, &moved.values[..5]), (vec![5, 2], &[0.0, 0.0, 0.0, 0.0, 1.0][..]));
    }
}
