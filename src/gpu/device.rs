//! The interface to a device: memory, launches of kernels, and matrix products as cuBLAS has them.
//!
//! Owns the types of addresses and arguments, and their contract. Never touches a driver.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;

/// What an element of device memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Single precision.
    F32,
    /// Half of a single: the upper 16 bits.
    Bf16,
    /// Double precision.
    F64,
    /// An index that is never negative.
    U32,
    /// An index, or -1.
    I32,
}

impl Kind {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 | Self::U32 | Self::I32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Gives memory back.
pub trait Release: Send + Sync {
    /// Frees what was allocated at `address`, after everything that was asked for before.
    fn release(&self, address: u64, bytes: usize);
}

/// A piece of device memory, freed when dropped.
pub struct Memory {
    address: u64,
    bytes: usize,
    owner: Arc<dyn Release>,
}

impl Memory {
    /// For devices: what they have allocated at an address that is a multiple of 256.
    pub fn new(address: u64, bytes: usize, owner: Arc<dyn Release>) -> Self {
        Self { address, bytes, owner }
    }

    /// Bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first `len` elements.
    ///
    /// # Panics
    /// If they don't fit.
    pub fn span(&self, kind: Kind, len: usize) -> Span<'_> {
        assert!(len * kind.size() <= self.bytes, "{len} elements of {kind:?} in {} bytes", self.bytes);
        Span { address: self.address, len, kind, memory: PhantomData }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.owner.release(self.address, self.bytes);
    }
}

/// Elements in device memory, one behind the other. The device reads and writes them in the order of its queue, so that
/// several may name the same memory.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    address: u64,
    len: usize,
    kind: Kind,
    memory: PhantomData<&'a Memory>,
}

impl Span<'_> {
    /// No elements at all.
    pub fn empty(kind: Kind) -> Self {
        Self { address: 0, len: 0, kind, memory: PhantomData }
    }

    /// Where it begins.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What they are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes.
    pub fn bytes(&self) -> usize {
        self.len * self.kind.size()
    }

    /// The same, of which nobody knows any more whether its memory is alive: for [`super::calls::Call`] alone.
    pub(super) fn detached(self) -> Span<'static> {
        Span { address: self.address, len: self.len, kind: self.kind, memory: PhantomData }
    }

    /// Some of its elements.
    ///
    /// # Panics
    /// If it has no such elements.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "elements {range:?} of {}", self.len);
        Self { address: self.address + (range.start * self.kind.size()) as u64, len: range.len(), ..self }
    }
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// An address, or 0 for none.
    Address(u64),
    /// `int` or `u32`.
    Int(u32),
    /// `u64`.
    Long(u64),
    /// `float`.
    Float(f32),
    /// `double`.
    Double(f64),
    /// A struct as it lies in memory; of eight-byte words, so that it is aligned as such.
    Struct(Vec<u64>),
}

impl Argument {
    /// The address of the value, as launches take it.
    pub fn pointer(&self) -> *mut std::ffi::c_void {
        match self {
            Self::Address(x) | Self::Long(x) => std::ptr::from_ref(x).cast_mut().cast(),
            Self::Int(x) => std::ptr::from_ref(x).cast_mut().cast(),
            Self::Float(x) => std::ptr::from_ref(x).cast_mut().cast(),
            Self::Double(x) => std::ptr::from_ref(x).cast_mut().cast(),
            Self::Struct(x) => x.as_ptr().cast_mut().cast(),
        }
    }
}

/// A product of matrices that stand column by column, as cuBLAS has them: `c = op(a) op(b) (+ c)`, and to each column of
/// `c` the bias. (m, n) = (m, k) (k, n)
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Whether a, b stand transposed.
    pub transposed: [bool; 2],
    /// Rows of c.
    pub m: usize,
    /// Columns of c.
    pub n: usize,
    /// What is summed over.
    pub k: usize,
    /// The factors.
    pub factors: [Span<'a>; 2],
    /// Elements from a column of a factor to its next.
    pub strides: [usize; 2],
    /// Where the product goes.
    pub c: Span<'a>,
    /// Elements from a column of c to its next.
    pub stride: usize,
    /// Added to each column // (m), of the kind of c
    pub bias: Option<Span<'a>>,
    /// Whether what was there is added.
    pub is_added: bool,
}

/// Bytes of a [`Device::request`], at most.
pub const MOST_REQUESTED: usize = 256;

/// A copy from the device that was asked for, by the device's own number.
#[derive(Debug)]
pub struct Request(pub usize);

/// Something that computes: one queue, memory, kernels by name.
pub trait Device: Send {
    /// Its name, for people.
    fn name(&self) -> String;

    /// Bytes that are free, and bytes there are.
    ///
    /// # Errors
    /// If the device fails.
    fn memory(&self) -> Result<[u64; 2]>;

    /// So many bytes, all 0.
    ///
    /// # Errors
    /// [`OutOfMemory`], or if the device fails.
    fn allocate(&self, bytes: usize) -> Result<Memory>;

    /// Sets all bits to 0.
    ///
    /// # Errors
    /// If the device fails.
    fn clear(&self, span: Span<'_>) -> Result<()>;

    /// Copies bytes to the device, behind what was asked for before; they may be dropped when this returns.
    ///
    /// # Errors
    /// If the device fails.
    fn upload(&self, to: Span<'_>, bytes: &[u8]) -> Result<()>;

    /// Waits for everything, and copies from the device.
    ///
    /// # Errors
    /// If the device, or something that was asked of it before, failed.
    fn download(&self, from: Span<'_>, bytes: &mut [u8]) -> Result<()>;

    /// Asks for a copy from the device, of at most [`MOST_REQUESTED`] bytes, that [`Self::collect`] gives later.
    ///
    /// # Errors
    /// If the device fails.
    fn request(&self, from: Span<'_>) -> Result<Request>;

    /// Waits until the device has come to a request, but for nothing behind it, and gives its bytes.
    ///
    /// # Errors
    /// If the device, or something that was asked of it before, failed.
    fn collect(&self, request: Request) -> Result<Vec<u8>>;

    /// Calls `ask`, which asks for kernels and products and for nothing else; what it asks for may be put before the driver as
    /// one thing, at the end.
    ///
    /// # Errors
    /// If the device or `ask` fails; then nothing may have been asked for.
    fn together(&self, ask: &mut dyn FnMut() -> Result<()>) -> Result<()>;

    /// Asks for one kernel: a grid of blocks of so many threads.
    ///
    /// # Safety
    /// The arguments must be those that the kernel of that name takes, in order and kind; every address must be of memory
    /// that is alive and as long as the kernel reads and writes it for this grid.
    ///
    /// # Errors
    /// If the device fails or has no such kernel.
    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: [usize; 2],
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()>;

    /// Asks for one product.
    ///
    /// # Safety
    /// The spans must cover what the shape and the strides say.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn multiply(&self, product: &Columns<'_>) -> Result<()>;
}

/// The device has not so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// That were asked for.
    pub asked: u64,
    /// That were free.
    pub free: u64,
    /// That there are.
    pub total: u64,
}

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [asked, free, total] = [self.asked, self.free, self.total].map(|b| b as f64 / f64::from(1 << 30));
        write!(f, "the GPU has {free:.2} of its {total:.2} GiB free, {asked:.2} GiB more are needed")
    }
}

impl std::error::Error for OutOfMemory {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Release for Nobody {
        fn release(&self, _: u64, _: usize) {}
    }

    #[test]
    fn parts_of_spans_are_where_their_elements_are() {
        let memory = Memory::new(4096, 64, Arc::new(Nobody));
        let part = memory.span(Kind::F32, 16).part(4..10).part(1..3);
        assert_eq!((part.address(), part.len(), part.bytes()), (4096 + 20, 2, 8));
        assert_eq!(memory.span(Kind::Bf16, 32).part(5..5).address(), 4096 + 10);
    }

    #[test]
    #[should_panic(expected = "17 elements of F32 in 64 bytes")]
    fn a_span_beyond_its_memory_is_refused() {
        let _ = Memory::new(4096, 64, Arc::new(Nobody)).span(Kind::F32, 17);
    }
}
