//! Kernels one by one, at the sizes of the reference shape: 12 layers of width 256, 4 heads, T 128, B 16, V 4096.
//!
//!     cargo bench --bench kernels [-- FILTER]
//!
//! Items are floating-point operations, so that `Gitem/s` reads GFLOP/s; kernels that move memory rather than multiply show
//! bytes as well. What the machine can do stands in the rows of `peak`, measured in the same run: fused multiplications of
//! registers, and the best product there is. Every kernel runs on all cores, shared over blocks as a training step shares it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use raptr_tui::config::Precision;
use raptr_tui::kernels::adamw::{self, Factors};
use raptr_tui::kernels::attention::{self, Shape};
use raptr_tui::kernels::blocks::{Band, for_blocks, with_scratch};
use raptr_tui::kernels::buffer::Buffer;
use raptr_tui::kernels::gelu::{self, Gelu};
use raptr_tui::kernels::linear::{self, Copy, Factor, Ready, WeightGradient};
use raptr_tui::kernels::panels::{Blocked, Panels, Store};
use raptr_tui::kernels::{block_rows, cross_entropy, embedding, layer_norm};
use raptr_tui::rng::{Purpose, keyed};

/// Rows, B*T.
const ROWS: usize = 16 * 128;
const CONTEXT: usize = 128;
const WIDTH: usize = 256;
const HEADS: usize = 4;
const INNER: usize = 4 * WIDTH;
const VOCABULARY: usize = 4096;
/// Nothing packed.
const NOTHING: [Band<'static, u32>; 0] = [];

const BOTH: [Precision; 2] = [Precision::F32, Precision::Bf16];

fn main() {
    divan::main();
}

/// Numbers of standard deviation 1, a cache line at a time.
fn numbers(n: usize, index: u64) -> Buffer<f32> {
    let mut rng = keyed(1, Purpose::InitialWeights, 0, index);
    let mut buffer = Buffer::default();
    buffer.fit(n).iter_mut().for_each(|x| *x = rng.normal() as f32);
    buffer
}

fn ids() -> Vec<u32> {
    let mut rng = keyed(1, Purpose::Batch, 0, 0);
    (0..ROWS).map(|_| rng.below(VOCABULARY as u64) as u32).collect()
}

/// What a (ROWS, k) x (k, n) product takes.
fn flops(k: usize, n: usize) -> ItemsCount {
    ItemsCount::new(2 * ROWS * k * n)
}

fn floats(n: usize) -> BytesCount {
    BytesCount::new(4 * n)
}

/// What the machine can do.
mod peak {
    use super::*;

    /// Multiplications and additions of a call on one thread.
    const ROUNDS: usize = 1 << 18;

    #[divan::bench]
    fn multiply_add_in_registers_f32(bencher: Bencher<'_, '_>) {
        let threads = rayon::current_num_threads();
        let each = registers(1);
        bencher.counter(ItemsCount::new(threads * each * ROUNDS)).bench(|| {
            rayon::broadcast(|_| registers(divan::black_box(ROUNDS)));
        });
    }

    /// Runs `rounds` rounds; returns the operations of one.
    fn registers(rounds: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if raptr_tui::kernels::simd::level() == raptr_tui::kernels::simd::Level::Avx512 {
            // SAFETY: the level says that the processor has it.
            #[allow(unsafe_code)]
            return unsafe { avx512(rounds) };
        }
        let mut sums = divan::black_box([[0.5f32; 16]; 8]);
        for _ in 0..rounds {
            sums.iter_mut().flatten().for_each(|x| *x = x.mul_add(0.5, 0.25));
        }
        divan::black_box(sums);
        2 * 16 * 8
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn avx512(rounds: usize) -> usize {
        use std::arch::x86_64::*;
        // Twenty-four independent sums hide the latency of any processor; they tend to 0.5. (Behind a black box, or they
        // would be one and the same to the compiler.)
        let (half, quarter) = (_mm512_set1_ps(0.5), _mm512_set1_ps(0.25));
        let mut sums = [half; 24].map(divan::black_box);
        for _ in 0..rounds {
            sums.iter_mut().for_each(|x| *x = _mm512_fmadd_ps(*x, half, quarter));
        }
        divan::black_box(sums);
        2 * 16 * 24
    }
}

/// `y = x W + b` in all blocks of rows, the weight's copy made beforehand.
mod products {
    use super::*;

    fn run(bencher: Bencher<'_, '_>, precision: Precision, k: usize, n: usize) {
        let (x, weight, bias) = (numbers(ROWS * k, 1), numbers(k * n, 2), vec![0.5; n]);
        let mut copy = Copy::default();
        let ready = Ready::new(precision, &mut copy, &weight, k, n);
        let (mut y, block) = (numbers(ROWS * n, 3), block_rows(ROWS));
        bencher.counter(flops(k, n)).bench_local(|| {
            for_blocks(ROWS / block, [Band::new(&mut y, block * n)], NOTHING, |i, [y], []| {
                let x = Panels::new(&x[i * block * k..], block, k);
                with_scratch(|scratch| {
                    let (_, pairs) = scratch.take([0; 3]);
                    linear::forward(y, x, ready, &bias, &[], pairs);
                });
            });
        });
    }

    #[divan::bench(args = BOTH)]
    fn qkv_256_to_768(bencher: Bencher<'_, '_>, precision: Precision) {
        run(bencher, precision, WIDTH, 3 * WIDTH);
    }

    #[divan::bench(args = BOTH)]
    fn projection_256_to_256(bencher: Bencher<'_, '_>, precision: Precision) {
        run(bencher, precision, WIDTH, WIDTH);
    }

    #[divan::bench(args = BOTH)]
    fn up_256_to_1024(bencher: Bencher<'_, '_>, precision: Precision) {
        run(bencher, precision, WIDTH, INNER);
    }

    #[divan::bench(args = BOTH)]
    fn down_1024_to_256(bencher: Bencher<'_, '_>, precision: Precision) {
        run(bencher, precision, INNER, WIDTH);
    }

    #[divan::bench(args = BOTH)]
    fn logits_256_to_4096(bencher: Bencher<'_, '_>, precision: Precision) {
        run(bencher, precision, WIDTH, VOCABULARY);
    }

    /// `dw = x^T dy`, both factors kept as the step keeps them.
    fn gradient(bencher: Bencher<'_, '_>, precision: Precision, k: usize, n: usize) {
        let (x, dy, block) = (numbers(ROWS * k, 1), numbers(ROWS * n, 2), block_rows(ROWS));
        let mut packed = [k, n].map(|width| {
            let mut buffer = Buffer::<u32>::default();
            buffer.fit(ROWS / block * linear::packed_len(precision, width, block));
            buffer
        });
        let lengths = [k, n].map(|width| linear::packed_len(precision, width, block));
        for i in 0..ROWS / block {
            let [left, right] = &mut packed;
            let part = |buffer, length| -> &mut [u32] { &mut Buffer::<u32>::deref_mut(buffer)[i * length..][..length] };
            linear::keep_left(part(left, lengths[0]), Panels::new(&x[i * block * k..], block, k), block);
            linear::keep_right(part(right, lengths[1]), Panels::new(&dy[i * block * n..], block, n), block);
        }
        let mut dw = vec![0.0; k * n];
        bencher.counter(flops(k, n)).bench_local(|| {
            let left = Factor { rows: &x, packed: &packed[0], width: k };
            let right = Factor { rows: &dy, packed: &packed[1], width: n };
            let dw = WeightGradient::new(&mut dw, left, right, Store::Set);
            linear::weight_gradients(precision, ROWS, block, [dw]);
        });
    }

    use std::ops::DerefMut;

    #[divan::bench(args = BOTH)]
    fn gradient_of_qkv_weight(bencher: Bencher<'_, '_>, precision: Precision) {
        gradient(bencher, precision, WIDTH, 3 * WIDTH);
    }

    #[divan::bench(args = BOTH)]
    fn gradient_of_up_weight(bencher: Bencher<'_, '_>, precision: Precision) {
        gradient(bencher, precision, WIDTH, INNER);
    }

    #[divan::bench(args = BOTH)]
    fn copy_of_up_weight(bencher: Bencher<'_, '_>, precision: Precision) {
        let (weight, mut copy) = (numbers(WIDTH * INNER, 1), Copy::default());
        bencher.counter(floats(2 * WIDTH * INNER)).bench_local(|| {
            Ready::new(precision, &mut copy, &weight, WIDTH, INNER);
        });
    }
}

mod attention_of_four_heads {
    use super::*;

    fn shape(precision: Precision, causal: bool) -> Shape {
        Shape { context: CONTEXT, width: WIDTH, heads: HEADS, causal, precision, block: block_rows(ROWS) }
    }

    /// Two products forward, five backward, of T x T x C each for every sequence; counted in full for causal masks too.
    fn flops(products: usize) -> ItemsCount {
        ItemsCount::new(products * 2 * ROWS * CONTEXT * WIDTH)
    }

    const CASES: [(Precision, bool); 4] =
        [(Precision::F32, true), (Precision::F32, false), (Precision::Bf16, true), (Precision::Bf16, false)];

    #[divan::bench(args = CASES)]
    fn forward(bencher: Bencher<'_, '_>, (precision, causal): (Precision, bool)) {
        let (qkv, mut y, mut lse) = (numbers(ROWS * 3 * WIDTH, 1), numbers(ROWS * WIDTH, 2), vec![0.0; ROWS * HEADS]);
        let shape = shape(precision, causal);
        bencher.counter(flops(2)).bench_local(|| attention::forward(shape, &[], &mut y, &mut lse, &qkv));
    }

    #[divan::bench(args = CASES)]
    fn backward(bencher: Bencher<'_, '_>, (precision, causal): (Precision, bool)) {
        let (qkv, mut y, mut lse) = (numbers(ROWS * 3 * WIDTH, 1), numbers(ROWS * WIDTH, 2), vec![0.0; ROWS * HEADS]);
        let shape = shape(precision, causal);
        attention::forward(shape, &[], &mut y, &mut lse, &qkv);
        let (dy, mut dqkv) = (numbers(ROWS * WIDTH, 3), numbers(ROWS * 3 * WIDTH, 4));
        bencher.counter(flops(5)).bench_local(|| attention::backward(shape, &[], &mut dqkv, &dy, &y, &lse, &qkv));
    }
}

/// Element by element, or row by row: memory is what they wait for.
mod passes {
    use super::*;

    #[divan::bench]
    fn layer_norm_forward(bencher: Bencher<'_, '_>) {
        let (x, mut y, mut stats) = (numbers(ROWS * WIDTH, 1), numbers(ROWS * WIDTH, 2), vec![0.0; 2 * ROWS]);
        let (gain, shift, block) = (vec![1.0; WIDTH], vec![0.0; WIDTH], block_rows(ROWS));
        bencher.counter(floats(2 * ROWS * WIDTH)).bench_local(|| {
            let bands = [Band::new(&mut y, block * WIDTH), Band::new(&mut stats, 2 * block)];
            for_blocks(ROWS / block, bands, NOTHING, |i, [y, stats], []| {
                layer_norm::forward(y, stats, &x[i * block * WIDTH..][..block * WIDTH], &gain, &shift);
            });
        });
    }

    #[divan::bench]
    fn layer_norm_backward(bencher: Bencher<'_, '_>) {
        let [x, dy, mut dx] = [1, 2, 3].map(|i| numbers(ROWS * WIDTH, i));
        let (gain, block) = (vec![1.0; WIDTH], block_rows(ROWS));
        let stats: Vec<f32> = (0..2 * ROWS).map(|i| (i % 2) as f32).collect();
        let mut sums = vec![0.0; ROWS / block * 2 * WIDTH];
        bencher.counter(floats(3 * ROWS * WIDTH)).bench_local(|| {
            let bands = [Band::new(&mut dx, block * WIDTH), Band::new(&mut sums, 2 * WIDTH)];
            for_blocks(ROWS / block, bands, NOTHING, |i, [dx, sums], []| {
                let of = |x| -> &[f32] { &Buffer::<f32>::deref(x)[i * block * WIDTH..][..block * WIDTH] };
                let (dgain, dshift) = sums.split_at_mut(WIDTH);
                let stats = &stats[2 * i * block..][..2 * block];
                layer_norm::backward(dx, dgain, dshift, of(&dy), of(&x), stats, &gain, &[]);
            });
        });
    }

    use std::ops::Deref;

    #[divan::bench(args = [Gelu::Tanh, Gelu::Erf])]
    fn gelu_with_bias_and_slope(bencher: Bencher<'_, '_>, kind: Gelu) {
        let (x, mut y, mut slope) = (numbers(ROWS * INNER, 1), numbers(ROWS * INNER, 2), numbers(ROWS * INNER, 3));
        let (bias, block) = (vec![0.1; INNER], block_rows(ROWS));
        bencher.counter(floats(3 * ROWS * INNER)).bench_local(|| {
            let bands = [Band::new(&mut y, block * INNER), Band::new(&mut slope, block * INNER)];
            for_blocks(ROWS / block, bands, NOTHING, |i, [y, slope], []| {
                y.copy_from_slice(&x[i * block * INNER..][..block * INNER]);
                gelu::forward(kind, y, slope, &bias);
            });
        });
    }

    #[divan::bench]
    fn cross_entropy_with_gradient(bencher: Bencher<'_, '_>) {
        // As many rows at a time as a block of the head has.
        const BLOCK: usize = 64;
        let (x, mut logits, mut losses) =
            (numbers(BLOCK * VOCABULARY, 1), numbers(ROWS * VOCABULARY, 2), vec![0.0; ROWS]);
        let targets: Vec<usize> = ids().into_iter().map(|id| id as usize).collect();
        bencher.counter(floats(2 * ROWS * VOCABULARY)).bench_local(|| {
            let bands = [Band::new(&mut logits, BLOCK * VOCABULARY), Band::new(&mut losses, BLOCK)];
            for_blocks(ROWS / BLOCK, bands, NOTHING, |i, [logits, losses], []| {
                logits.copy_from_slice(&x);
                cross_entropy::rows(losses, logits, &targets[i * BLOCK..][..BLOCK], VOCABULARY, Some(1e-3));
            });
        });
    }

    #[divan::bench]
    fn embedding_forward(bencher: Bencher<'_, '_>) {
        let (tokens, positions) = (numbers(VOCABULARY * WIDTH, 1), numbers(CONTEXT * WIDTH, 2));
        let (ids, mut x, block) = (ids(), numbers(ROWS * WIDTH, 3), block_rows(ROWS));
        bencher.counter(floats(2 * ROWS * WIDTH)).bench_local(|| {
            for_blocks(ROWS / block, [Band::new(&mut x, block * WIDTH)], NOTHING, |i, [x], []| {
                let first = i * block;
                embedding::forward(x, &ids[first..][..block], &tokens, &positions, first, CONTEXT, WIDTH);
            });
        });
    }

    #[divan::bench]
    fn embedding_backward(bencher: Bencher<'_, '_>) {
        let (dx, mut dtokens, mut dpositions) =
            (numbers(ROWS * WIDTH, 1), numbers(VOCABULARY * WIDTH, 2), numbers(CONTEXT * WIDTH, 3));
        let (ids, shape) = (ids(), Blocked { rows: ROWS, block: block_rows(ROWS), width: WIDTH });
        bencher.counter(floats(3 * ROWS * WIDTH)).bench_local(|| {
            embedding::backward(&mut dtokens, &mut dpositions, &dx, shape, &ids, CONTEXT, Store::Set);
        });
    }

    #[divan::bench]
    fn adamw_of_a_layer(bencher: Bencher<'_, '_>) {
        const N: usize = 12 * WIDTH * WIDTH;
        let [mut w, mut m, mut v, g] = [1, 2, 3, 4].map(|i| numbers(N, i));
        v.iter_mut().for_each(|v| *v = v.abs());
        let factors = Factors {
            betas: [0.9, 0.95],
            gains: [0.1, 0.05],
            keep: 0.999,
            rate: 1e-4,
            root: 1.0,
            epsilon: 1e-8,
            scale: 1.0,
        };
        // Three read and written, one read.
        bencher.counter(floats(7 * N)).bench_local(|| adamw::update(&mut w, &mut m, &mut v, &g, &factors));
    }

    #[divan::bench]
    fn gradient_norm_of_a_layer(bencher: Bencher<'_, '_>) {
        const N: usize = 12 * WIDTH * WIDTH;
        let g = numbers(N, 1);
        bencher.counter(floats(N)).bench_local(|| adamw::sum_of_squares(&g));
    }
}
