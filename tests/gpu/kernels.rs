//! Kernels and products one by one, against sums in f64.

use raptr_tui::gpu::launch::{Gelu, Kernels};
use raptr_tui::gpu::product::{End, Form, multiply};
use raptr_tui::gpu::source::Shape;
use raptr_tui::gpu::{Device, Kind, Memory, Span};
use raptr_tui::rng::{Purpose, keyed};

use crate::device;

const SHAPE: Shape = Shape { width: 20, head: 4, store: Kind::F32 };

fn kernels(shape: Shape) -> Option<Kernels> {
    Some(Kernels::new(device(shape)?, shape))
}

fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut rng = keyed(seed, Purpose::Batch, 0, 0);
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// Values on the device, rounded if they are kept in bf16.
fn put(device: &dyn Device, kind: Kind, values: &[f32]) -> Memory {
    let memory = device.allocate((values.len() * kind.size()).max(1)).unwrap();
    let bytes: Vec<u8> = match kind {
        Kind::Bf16 => values.iter().flat_map(|x| round(*x).to_bits().to_le_bytes()[2..].to_vec()).collect(),
        _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    device.upload(memory.span(kind, values.len()), &bytes).unwrap();
    memory
}

fn put_indices(device: &dyn Device, values: &[u32]) -> Memory {
    let memory = device.allocate(4 * values.len()).unwrap();
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    device.upload(memory.span(Kind::U32, values.len()), &bytes).unwrap();
    memory
}

fn get(device: &dyn Device, span: Span<'_>) -> Vec<f32> {
    let mut bytes = vec![0; span.bytes()];
    device.download(span, &mut bytes).unwrap();
    match span.kind() {
        Kind::Bf16 => {
            bytes.as_chunks().0.iter().map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)).collect()
        }
        _ => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    }
}

/// To bf16, to the nearest, ties to even.
fn round(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

fn assert_near(ours: &[f32], truth: &[f64], limit: f64, name: &str) {
    assert_eq!(ours.len(), truth.len(), "{name}");
    for (i, (x, y)) in ours.iter().zip(truth).enumerate() {
        assert!((f64::from(*x) - y).abs() <= limit * y.abs().max(1.0), "{name}, element {i}: {x} != {y}");
    }
}

#[test]
fn products_of_every_form_end_and_kind() {
    let [m, n, k] = [5, 7, 11];
    for kind in [Kind::F32, Kind::Bf16] {
        let Some(kernels) = kernels(Shape { store: kind, ..SHAPE }) else { return };
        let device = kernels.device();
        let round =
            |values: Vec<f32>| if kind == Kind::Bf16 { values.into_iter().map(round).collect() } else { values };
        let (a, b) = (round(random(1, m * k)), round(random(2, k * n)));
        let transposed = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
        };
        let before = round(random(3, m * n));
        let bias = round(random(4, n));
        for form in [Form::Plain, Form::RightTransposed, Form::LeftTransposed] {
            let a_there = if form == Form::LeftTransposed { transposed(&a, m, k) } else { a.clone() };
            let b_there = if form == Form::RightTransposed { transposed(&b, k, n) } else { b.clone() };
            let (left, right) = (put(device, kind, &a_there), put(device, kind, &b_there));
            let there = put(device, kind, &bias);
            for to in [Kind::F32, kind] {
                for end in [End::Set, End::Add, End::Bias(there.span(kind, n))] {
                    if matches!(end, End::Bias(_)) && to != kind {
                        continue;
                    }
                    let c = put(device, to, &before);
                    let factors = [left.span(kind, m * k), right.span(kind, k * n)];
                    multiply(device, c.span(to, m * n), form, factors, [m, n, k], end).unwrap();
                    let truth: Vec<f64> = (0..m * n)
                        .map(|i| {
                            let (row, column) = (i / n, i % n);
                            let sum: f64 =
                                (0..k).map(|j| f64::from(a[row * k + j]) * f64::from(b[j * n + column])).sum();
                            sum + match end {
                                End::Set => 0.0,
                                End::Add => f64::from(before[i]),
                                End::Bias(_) => f64::from(bias[column]),
                            }
                        })
                        .collect();
                    let limit = if to == Kind::Bf16 { 4e-3 } else { 1e-5 };
                    assert_near(&get(device, c.span(to, m * n)), &truth, limit, &format!("{kind:?} {form:?} {end:?}"));
                }
            }
        }
    }
}

#[test]
fn sums_over_rows_are_added_up_whole_and_in_stretches() {
    for (rows, n) in [(1, 1), (64, 33), (65, 300), (200, 257), (2000, 6)] {
        let Some(kernels) = kernels(SHAPE) else { return };
        let device = kernels.device();
        let values = random(5, rows * n);
        let d = put(device, Kind::F32, &values);
        let bands = Kernels::bands(rows);
        let partials = device.allocate(4 * bands * n).unwrap();
        kernels.column_sums(partials.span(Kind::F32, bands * n), d.span(Kind::F32, rows * n), [rows, n]).unwrap();
        let before = random(6, n);
        let to = put(device, Kind::F32, &before);
        let truth = |first: f64, c: usize| first + (0..rows).map(|r| f64::from(values[r * n + c])).sum::<f64>();
        for is_added in [true, false] {
            kernels.reduce(to.span(Kind::F32, n), partials.span(Kind::F32, bands * n), [bands, n], is_added).unwrap();
            let right: Vec<f64> = (0..n).map(|c| truth(if is_added { f64::from(before[c]) } else { 0.0 }, c)).collect();
            assert_near(&get(device, to.span(Kind::F32, n)), &right, 1e-4, &format!("{rows} x {n}"));
        }
    }
}

#[test]
fn gelus_have_published_values_and_slopes() {
    let Some(kernels) = kernels(SHAPE) else { return };
    let device = kernels.device();
    // x, x Phi(x) (tables of the normal distribution), and GPT-2's form of it.
    let points = [-3.0f32, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0];
    let exact = [-0.004_049_7, -0.158_655_3, -0.154_268_8, 0.0, 0.345_731_2, 0.841_344_7, 1.954_499_7, 2.995_950_3];
    let tanh = |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh());
    let n = points.len();
    let bias = vec![0.25f32; n];
    let pre: Vec<f32> = points.iter().map(|x| x - 0.25).collect();
    let (pre, bias) = (put(device, Kind::F32, &pre), put(device, Kind::F32, &bias));
    let (pre, bias) = (pre.span(Kind::F32, n), bias.span(Kind::F32, n));
    for (kind, right) in
        [(Gelu::Erf, exact.to_vec()), (Gelu::Tanh, points.iter().map(|&x| tanh(f64::from(x))).collect())]
    {
        let act = device.allocate(4 * n).unwrap();
        kernels.gelu_forward(kind, act.span(Kind::F32, n), pre, bias, [1, n]).unwrap();
        assert_near(&get(device, act.span(Kind::F32, n)), &right, 1e-6, "values");
        // The slope against differences of the values in f64: of x Phi(x) its derivative is Phi(x) + x phi(x).
        let d = put(device, Kind::F32, &vec![1.0; n]);
        let partials = device.allocate(4 * n).unwrap();
        kernels.gelu_backward(kind, d.span(Kind::F32, n), [pre, bias], partials.span(Kind::F32, n), [1, n]).unwrap();
        let slope = |i: usize| {
            let x = f64::from(points[i]);
            if kind == Gelu::Tanh {
                (tanh(x + 1e-5) - tanh(x - 1e-5)) / 2e-5
            } else {
                let phi = if x == 0.0 { 0.5 } else { exact[i] / x };
                phi + x * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
            }
        };
        let right: Vec<f64> = (0..n).map(slope).collect();
        assert_near(&get(device, d.span(Kind::F32, n)), &right, 2e-5, "slopes");
        assert_near(&get(device, partials.span(Kind::F32, n)), &right, 2e-5, "sums of one row");
    }
}

#[test]
fn cross_entropy_of_many_logits_in_rows_that_are_filled_up() {
    // More than one group of four per thread; a huge logit, and rows whose padding must not count.
    let (rows, vocabulary, stride) = (3, 2501, 2560);
    for has_bias in [false, true] {
        let Some(kernels) = kernels(SHAPE) else { return };
        let device = kernels.device();
        let mut values = random(7, rows * stride);
        values[5] = 80.0;
        let bias = random(8, vocabulary);
        let targets = [5u32, 0, 2500];
        let logits = put(device, Kind::F32, &values);
        let there = put(device, Kind::F32, &bias);
        let target_memory = put_indices(device, &targets);
        let losses = device.allocate(4 * rows).unwrap();
        // An i32 where it is no -1 is a u32.
        let targets_there = target_memory.span(Kind::I32, rows);
        let bias_there = has_bias.then(|| there.span(Kind::F32, vocabulary));
        let spans = (logits.span(Kind::F32, rows * stride), losses.span(Kind::F32, rows));
        kernels.cross_entropy(spans.0, bias_there, targets_there, spans.1, Some(0.5), [vocabulary, stride]).unwrap();
        let logit =
            |r: usize, c: usize| f64::from(values[r * stride + c]) + if has_bias { f64::from(bias[c]) } else { 0.0 };
        let mut gradient = vec![0.0; rows * stride];
        let mut right = Vec::new();
        for (r, &target) in targets.iter().enumerate() {
            let max = (0..vocabulary).map(|c| logit(r, c)).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..vocabulary).map(|c| (logit(r, c) - max).exp()).sum();
            right.push(max + sum.ln() - logit(r, target as usize));
            for c in 0..vocabulary {
                let one = if c == target as usize { 1.0 } else { 0.0 };
                gradient[r * stride + c] = 0.5 * ((logit(r, c) - max).exp() / sum - one);
            }
        }
        assert_near(&get(device, spans.1), &right, 1e-5, "losses");
        assert_near(&get(device, spans.0), &gradient, 1e-6, "gradient");
        let mean = device.allocate(8).unwrap();
        kernels.mean_loss(mean.span(Kind::F64, 1), spans.1).unwrap();
        let mut bytes = [0; 8];
        device.download(mean.span(Kind::F64, 1), &mut bytes).unwrap();
        assert!((f64::from_le_bytes(bytes) - right.iter().sum::<f64>() / 3.0).abs() < 1e-5);
    }
}

#[test]
fn squares_are_summed_in_double_precision_over_many_blocks() {
    let Some(kernels) = kernels(SHAPE) else { return };
    let device = kernels.device();
    let n = 20_001;
    let values = put(device, Kind::F32, &vec![0.1; n]);
    let blocks = Kernels::square_blocks(n);
    let (partials, to) = (device.allocate(8 * blocks).unwrap(), device.allocate(8).unwrap());
    kernels.squares(partials.span(Kind::F64, blocks), values.span(Kind::F32, n)).unwrap();
    kernels.sum_partials(to.span(Kind::F64, 1), partials.span(Kind::F64, blocks)).unwrap();
    let mut bytes = [0; 8];
    device.download(to.span(Kind::F64, 1), &mut bytes).unwrap();
    let right = n as f64 * f64::from(0.1f32) * f64::from(0.1f32);
    assert!((f64::from_le_bytes(bytes) - right).abs() < 1e-9);
}

#[test]
fn a_tokens_gradient_is_the_sum_over_its_occurrences() {
    let Some(kernels) = kernels(SHAPE) else { return };
    let device = kernels.device();
    let (c, rows) = (SHAPE.width, 41);
    let d = random(9, rows * c);
    // Token 2 stands in every third row, token 0 in the others.
    let of = |token: usize| (0..rows).filter(|r| (r % 3 == 0) == (token == 2)).map(|r| r as u32).collect::<Vec<_>>();
    let (zero, two) = (of(0), of(2));
    let first = [0, zero.len() as u32, rows as u32];
    let before = random(10, 3 * c);
    let there = put(device, Kind::F32, &before);
    let memories =
        [put_indices(device, &[0, 2]), put_indices(device, &first), put_indices(device, &[zero, two].concat())];
    let spans = [memories[0].span(Kind::U32, 2), memories[1].span(Kind::U32, 3), memories[2].span(Kind::U32, rows)];
    let d_there = put(device, Kind::F32, &d);
    kernels.embed_tokens_backward(there.span(Kind::F32, 3 * c), d_there.span(Kind::F32, rows * c), spans).unwrap();
    let truth: Vec<f64> = (0..3 * c)
        .map(|i| {
            let rows = if i / c == 1 { vec![] } else { of(i / c) };
            f64::from(before[i]) + rows.iter().map(|&r| f64::from(d[r as usize * c + i % c])).sum::<f64>()
        })
        .collect();
    assert_near(&get(device, there.span(Kind::F32, 3 * c)), &truth, 1e-5, "tokens");
}

#[test]
fn rounding_is_to_the_nearest_and_ties_go_to_even() {
    let Some(kernels) = kernels(Shape { store: Kind::Bf16, ..SHAPE }) else { return };
    let device = kernels.device();
    // Halves of a step of 2^-7 above 1: to the even one, below and above; just beside a half; and others.
    let step = 2.0f32.powi(-7);
    let values = [1.0, 1.0 + step / 2.0, 1.0 + 1.5 * step, -1.0 - 0.4999 * step, 3.0e38, 1e-40, 0.0, -2.7];
    let (from, to) = (put(device, Kind::F32, &values), device.allocate(2 * values.len()).unwrap());
    kernels.cast(to.span(Kind::Bf16, values.len()), from.span(Kind::F32, values.len())).unwrap();
    let ours = get(device, to.span(Kind::Bf16, values.len()));
    assert_eq!(ours[..4], [1.0, 1.0, 1.0 + 2.0 * step, -1.0]);
    assert_eq!(ours, values.map(round));
}
