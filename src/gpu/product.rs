//! Matrix products of row-major matrices, in terms of cuBLAS's column-major ones.
//!
//! A row-major (r, c) matrix read column by column is its transpose (c, r), so every product is asked for transposed:
//! `C^T = B^T A^T`.
#![allow(unsafe_code)]

use anyhow::Result;

use super::device::{Columns, Device};
use super::{Kind, Span};

/// Which of the factors stand transposed in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `a (m, k) b (k, n)`
    Plain,
    /// `a (m, k) b^T`, b standing as (n, k): back through a layer, or from features to logits.
    RightTransposed,
    /// `a^T b (k, n)`, a standing as (k, m): a weight's gradient.
    LeftTransposed,
}

/// What becomes of the product.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// It is written.
    Set,
    /// It is added to what is there.
    Add,
    /// To each row a bias is added // (n)
    Bias(Span<'a>),
}

/// `c (m, n) = ` the product, row-major // m, n and k of `[m, n, k]`
///
/// # Panics
/// If a matrix is shorter than its shape.
///
/// # Errors
/// If the device fails.
pub fn multiply<'a>(
    device: &dyn Device,
    c: Span<'a>,
    form: Form,
    [a, b]: [Span<'a>; 2],
    [m, n, k]: [usize; 3],
    end: End<'a>,
) -> Result<()> {
    let (is_added, bias) = match end {
        End::Set => (false, None),
        End::Add => (true, None),
        End::Bias(bias) => (false, Some(bias)),
    };
    let covers = |span: Span<'_>, len: usize| span.len() >= len;
    assert!(m > 0 && n > 0 && k > 0, "an empty product ({m}, {n}, {k})");
    assert!(covers(a, m * k) && covers(b, k * n) && covers(c, m * n), "{form:?} ({m}, {n}, {k}) of {a:?} {b:?} {c:?}");
    assert!(a.kind() == b.kind() && (c.kind() == a.kind() || c.kind() == Kind::F32), "{a:?} {b:?} {c:?}");
    assert!(bias.is_none_or(|bias| covers(bias, n) && bias.kind() == c.kind()), "{bias:?} for {c:?}");
    // Of b, a: whether its transpose, which is what stands there column by column, must be transposed back.
    let transposed = [form == Form::RightTransposed, form == Form::LeftTransposed];
    let strides = [if transposed[0] { k } else { n }, if transposed[1] { m } else { k }];
    let columns = Columns { transposed, m: n, n: m, k, factors: [b, a], strides, c, stride: n, bias, is_added };
    // SAFETY: the matrices have no gaps between rows, and cover their shapes (asserted above).
    unsafe { device.multiply(&columns) }
}
