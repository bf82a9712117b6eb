//! A norm's backward pass whole: what it passes on, and the gradients that are sums over its rows.

use anyhow::Result;

use crate::gpu::Span;
use crate::gpu::launch::{Kernels, NormBackward};

/// Also the gradients of gain and shift, and of the bias of the branch that the norm's `copy` goes on to, if there is one //
/// partials: (norm_blocks(rows), 3, C)
pub(super) fn backward(
    kernels: &Kernels,
    norm: NormBackward<'_>,
    [gain, shift]: [Span<'_>; 2],
    bias: Option<Span<'_>>,
    partials: Span<'_>,
    rows: usize,
    is_added: bool,
) -> Result<()> {
    kernels.norm_backward(norm, partials, rows)?;
    let c = kernels.shape().width;
    for (part, to) in [Some(gain), Some(shift), bias].into_iter().enumerate() {
        if let Some(to) = to {
            let sums = partials.part(part * c..partials.len());
            kernels.reduce(to, sums, [Kernels::norm_blocks(rows), 3 * c], is_added)?;
        }
    }
    Ok(())
}
