//! The GPU: memory, our kernels and the products that the GPU engine (`model::gpu`) is written over.
//!
//! [`device`] is the narrow interface to whatever computes, [`source`] the kernels' text, [`launch`] one checked function
//! per kernel, [`product`] the matrix products, [`calls`] what of it comes again. `cuda` implements the interface on an NVIDIA GPU (feature `cuda`, nothing
//! of CUDA is needed to build it: driver, compiler and cuBLASLt are loaded at run time); the tests implement it on the
//! host, with the same kernels compiled by a C++ compiler. Nothing here knows a layer path or the model's structure.
//!
//! Everything runs in one queue, in the order it was asked for. Every sum is taken in an order that depends on shapes
//! alone, so the same step on the same GPU gives the same bits.

pub mod calls;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
pub mod launch;
pub mod product;
pub mod source;

pub use device::{Device, Kind, Memory, Request, Span};
