//! One function per kernel: checks that memory covers the shapes, lays out grid and arguments.
//!
//! Here is what all launches go through; a file for each file of kernels in `source/`. The constants at their tops are the
//! kernels' own. Shapes are in the docs of `source/*.cu`; M = rows, C = width.
#![allow(unsafe_code)]

mod attention;
mod embedding;
mod loss;
mod norm;
mod optimizer;
mod pointwise;

pub use attention::Heads;
pub use norm::{AddNorm, Norm, NormBackward};
pub use optimizer::{Factors, MOST_PARAMETERS};
pub use pointwise::Gelu;

use anyhow::Result;

use super::device::{Argument, Device, Kind, Span};
use super::product::{self, End, Form};
use super::source::Shape;

/// Warps, and so rows, of a block of passes over rows.
const ROW_WARPS: usize = 8;

/// A device with the kernels for one shape of model.
pub struct Kernels {
    device: Box<dyn Device>,
    shape: Shape,
}
/// An argument, with what the kernel needs of it.
enum Needs<'a> {
    /// So many elements of a kind, or none at all.
    Of(Option<Span<'a>>, Kind, usize),
    Int(usize),
    Flag(bool),
    Float(f32),
    Double(f64),
    Long(usize),
    Struct(Vec<u64>),
}

use Needs::{Double, Flag, Float, Int, Long};

/// Blocks for so many elements, one a thread, that are counted in 32 bits.
fn elements(n: usize) -> [usize; 2] {
    assert!(n < 1 << 32, "{n} elements in one launch");
    [n.div_ceil(256), 1]
}

fn f32s(span: Span<'_>, len: usize) -> Needs<'_> {
    Needs::Of(Some(span), Kind::F32, len)
}

fn u32s(span: Span<'_>, len: usize) -> Needs<'_> {
    Needs::Of(Some(span), Kind::U32, len)
}

fn maybe_f32s(span: Option<Span<'_>>, len: usize) -> Needs<'_> {
    Needs::Of(span, Kind::F32, len)
}

impl Kernels {
    /// The kernels of a device for a shape that it was opened for.
    pub fn new(device: Box<dyn Device>, shape: Shape) -> Self {
        Self { device, shape }
    }

    /// What computes.
    pub fn device(&self) -> &dyn Device {
        self.device.as_ref()
    }

    /// What the kernels were compiled for.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    fn store<'a>(&self, span: Span<'a>, len: usize) -> Needs<'a> {
        Needs::Of(Some(span), self.shape.store, len)
    }

    fn maybe_store<'a>(&self, span: Option<Span<'a>>, len: usize) -> Needs<'a> {
        Needs::Of(span, self.shape.store, len)
    }

    /// Asks for a kernel. Callers name the kernel's parameters in order, each with all that this grid touches of it.
    ///
    /// # Panics
    /// If a span is shorter than that or of another kind.
    fn run(&self, kernel: &'static str, grid: [usize; 2], threads: usize, needs: Vec<Needs<'_>>) -> Result<()> {
        if grid.contains(&0) {
            // Nothing to do, as for the parameters behind the layers of a model that has none.
            return Ok(());
        }
        let arguments = needs.into_iter().enumerate().map(|(i, needs)| match needs {
            Needs::Of(None, ..) => Argument::Address(0),
            Needs::Of(Some(span), kind, len) => {
                let is_enough = span.kind() == kind && span.len() >= len;
                assert!(is_enough, "{kernel}: argument {i} must be {len} elements of {kind:?}, not {span:?}");
                Argument::Address(span.address())
            }
            Int(n) => Argument::Int(u32::try_from(n).unwrap_or(u32::MAX)),
            Flag(is) => Argument::Int(u32::from(is)),
            Float(x) => Argument::Float(x),
            Double(x) => Argument::Double(x),
            Long(n) => Argument::Long(n as u64),
            Needs::Struct(words) => Argument::Struct(words),
        });
        let arguments: Vec<_> = arguments.collect();
        // SAFETY: this is private; each caller below lists the kernel's parameters as its text has them, and what was just
        // checked is what its loops touch. Spans borrow the memory, so it is alive, and the device frees memory only behind
        // what was asked for before.
        unsafe { self.device.launch(kernel, grid, threads, &arguments) }
    }

    /// Calls `ask`; if `is_together`, what it asks for may be put before the driver as one thing ([`Device::together`]).
    ///
    /// # Errors
    /// If it fails.
    pub fn together(&self, is_together: bool, mut ask: impl FnMut() -> Result<()>) -> Result<()> {
        if is_together { self.device.together(&mut ask) } else { ask() }
    }

    /// A product of row-major matrices: [`product::multiply`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn multiply<'a>(
        &self,
        c: Span<'a>,
        form: Form,
        factors: [Span<'a>; 2],
        shape: [usize; 3],
        end: End<'a>,
    ) -> Result<()> {
        product::multiply(self.device(), c, form, factors, shape, end)
    }
}
