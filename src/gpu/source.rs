//! The kernels' text, made for one shape of model: the width of its residual stream, that of a head, and how activations
//! are kept are constants in it, so that a row's loop is unrolled into registers.

use super::Kind;

/// What the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Width of the residual stream, C.
    pub width: usize,
    /// Width of an attention head.
    pub head: usize,
    /// What activations are kept in: f32, or bf16.
    pub store: Kind,
}

/// The widest residual stream that the kernels are for: its sums stand in 48 KiB of shared memory.
pub const MOST_WIDTH: usize = 8192;

const PARTS: [&str; 7] = [
    include_str!("source/common.cuh"),
    include_str!("source/norm.cu"),
    include_str!("source/pointwise.cu"),
    include_str!("source/loss.cu"),
    include_str!("source/embedding.cu"),
    include_str!("source/optimizer.cu"),
    include_str!("source/attention.cu"),
];
const TENSOR: &str = include_str!("source/attention_tensor.cu");

impl Shape {
    /// Whether attention runs on the tensor cores.
    pub fn has_tensor_attention(self) -> bool {
        self.store == Kind::Bf16 && self.head.is_multiple_of(16) && self.head <= 128
    }

    /// Whether there is a quicker way back through attention that doesn't give the same bits each time.
    pub fn has_loose_attention(self) -> bool {
        self.has_tensor_attention() && self.head <= 64
    }

    /// All kernels as one program.
    pub fn program(self) -> String {
        let store = if self.store == Kind::Bf16 { "bf16" } else { "float" };
        let constants = format!("#define WIDTH {}\n#define HEAD {}\n#define STORE {store}\n", self.width, self.head);
        let tensor = if self.has_tensor_attention() { TENSOR } else { "" };
        constants + &PARTS.concat() + tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensor_cores_are_for_bf16_and_heads_of_whole_fragments() {
        let has = |head, store| Shape { width: 768, head, store }.program().contains("attention_forward_tensor");
        assert!(has(64, Kind::Bf16) && has(128, Kind::Bf16));
        assert!(!has(64, Kind::F32) && !has(20, Kind::Bf16) && !has(144, Kind::Bf16));
    }
}
