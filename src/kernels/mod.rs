//! The kernels: the few numerical operations that the fast engine is written over, forward and backward.
//!
//! Plain functions over slices of `f32`, shapes in their docs: activations in panels (`panels`), parameters and their
//! gradients row-major. Work is split over fixed-size blocks and
//! reductions run in block order, so that no result depends on the number of threads. They run in the rayon pool they are
//! called from. Nothing here knows a parameter's name, a layer path or the model's structure.

pub mod adamw;
pub mod attention;
pub mod bf16;
pub mod blocks;
pub mod buffer;
pub mod cross_entropy;
pub mod embedding;
pub mod fp32;
pub mod gelu;
pub mod heads;
pub mod layer_norm;
pub mod linear;
pub mod math;
pub mod panels;
pub mod simd;
pub mod transpose;

/// Elements per block of the optimizer and of sums of squares.
pub const BLOCK: usize = 4096;

/// Rows per block of a pass over `rows` rows: enough blocks for eight threads, large enough for products to be quick, small
/// enough for what a block holds (half a megabyte behind the MLP's first product, at width 256) to stay in a core's second
/// cache, and a whole number of bf16 tiles.
pub fn block_rows(rows: usize) -> usize {
    (rows.div_ceil(8)).clamp(64, 128).next_multiple_of(32)
}
