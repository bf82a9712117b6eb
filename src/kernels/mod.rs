//! The kernels: the few numerical operations that the fast engine is written over, forward and backward.
//!
//! Plain functions over slices of `f32`, row-major, shapes in their docs. Work is split over fixed-size blocks and
//! reductions run in block order, so that no result depends on the number of threads. They run in the rayon pool they are
//! called from. Nothing here knows a parameter's name, a layer path or the model's structure.

pub mod attention;
pub mod cross_entropy;
pub mod embedding;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod math;
pub mod matmul;

/// Elements per block of an element-wise kernel or a reduction.
pub const BLOCK: usize = 4096;
/// Rows per block of a row-wise kernel.
pub const ROWS: usize = 16;
/// Columns per block of a column sum.
pub const COLUMNS: usize = 32;
