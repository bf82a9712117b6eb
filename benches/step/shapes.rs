//! The shapes that are measured on a CPU, and how precisions are called.

use raptr_tui::config::{Architecture, Precision};

use crate::shape::{self, Shape};

const REFERENCE: Shape = Shape {
    name: "reference",
    architecture: Architecture::Decoder,
    layers: 12,
    width: 256,
    heads: 4,
    context: 128,
    batch: 16,
    vocabulary: 4096,
};

pub static SHAPES: &[Shape] = &[
    REFERENCE,
    Shape { name: "small", width: 128, context: 64, ..REFERENCE },
    Shape { name: "large", width: 512, heads: 8, context: 256, batch: 8, ..REFERENCE },
    Shape { name: "mlm", architecture: Architecture::Encoder, ..REFERENCE },
];

pub fn precision(name: &str) -> Option<Precision> {
    [Precision::F32, Precision::Bf16].into_iter().find(|p| shape::name(*p) == name)
}
