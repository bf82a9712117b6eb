//! What a device is asked for, kept: calls that are put before a driver as one thing, and which of them come again.
//!
//! A layer asks for the same kernels with the same addresses whenever it stands in the same place of a layer path. Devices
//! recognise that by the calls themselves, every argument of them, so nothing can be forgotten in a key.
#![allow(unsafe_code)]

use std::collections::HashMap;

use anyhow::Result;

use super::device::{Argument, Columns, Device, Span};

/// Sequences of calls that are remembered, ready or not.
const MOST: usize = 4096;
/// Of those, the ones that are kept ready.
const MOST_READY: usize = 1024;

/// A kernel or a product, with all its arguments.
#[derive(Clone, Debug)]
pub struct Call(What);

#[derive(Clone, Debug)]
enum What {
    Kernel { name: &'static str, grid: [usize; 2], threads: usize, arguments: Vec<Argument> },
    Product(Columns<'static>),
}

impl Call {
    /// Of [`Device::launch`].
    pub fn launch(name: &'static str, grid: [usize; 2], threads: usize, arguments: &[Argument]) -> Self {
        Self(What::Kernel { name, grid, threads, arguments: arguments.to_vec() })
    }

    /// Of [`Device::multiply`].
    pub fn multiply(p: &Columns<'_>) -> Self {
        let forever = |span: Span<'_>| span.detached();
        Self(What::Product(Columns {
            factors: p.factors.map(forever),
            c: forever(p.c),
            bias: p.bias.map(forever),
            transposed: p.transposed,
            m: p.m,
            n: p.n,
            k: p.k,
            strides: p.strides,
            stride: p.stride,
            is_added: p.is_added,
        }))
    }

    /// Asks a device for it.
    ///
    /// # Safety
    /// As for [`Device::launch`] and [`Device::multiply`]; the memory that was named must still be alive.
    ///
    /// # Errors
    /// If the device fails.
    pub unsafe fn ask(&self, device: &dyn Device) -> Result<()> {
        match &self.0 {
            // SAFETY: by our own contract.
            What::Kernel { name, grid, threads, arguments } => unsafe {
                device.launch(name, *grid, *threads, arguments)
            },
            // SAFETY: by our own contract.
            What::Product(product) => unsafe { device.multiply(product) },
        }
    }

    /// All of it as numbers: equal for equal calls alone.
    fn words(&self, words: &mut Vec<u64>) {
        match &self.0 {
            What::Kernel { name, grid, threads, arguments } => {
                words.extend([name.as_ptr() as u64, name.len() as u64, grid[0] as u64, grid[1] as u64]);
                words.extend([*threads as u64, arguments.len() as u64]);
                for argument in arguments {
                    match argument {
                        Argument::Address(x) | Argument::Long(x) => words.push(*x),
                        Argument::Int(x) => words.push(u64::from(*x)),
                        Argument::Float(x) => words.push(u64::from(x.to_bits())),
                        Argument::Double(x) => words.push(x.to_bits()),
                        Argument::Struct(x) => {
                            words.push(x.len() as u64);
                            words.extend(x);
                        }
                    }
                }
            }
            What::Product(p) => {
                // No kernel's name is at address 0.
                words.push(0);
                words.extend([p.m, p.n, p.k, p.strides[0], p.strides[1], p.stride].map(|n| n as u64));
                words.extend([p.transposed[0], p.transposed[1], p.is_added, p.bias.is_some()].map(u64::from));
                for span in p.factors.into_iter().chain([p.c]).chain(p.bias) {
                    words.extend([span.address(), span.len() as u64, span.kind() as u64]);
                }
            }
        }
    }
}

/// What becomes of a sequence of calls.
pub enum Next<'a, T> {
    /// Ask for each of them.
    Plain,
    /// The same: but it comes again, so make something of it that can be asked for at once, and [`Repeats::keep`] that.
    Make,
    /// This was made of it.
    Ready(&'a T),
}

/// Which sequences have come before, and what was made of them.
pub struct Repeats<T> {
    /// By all their words; none: seen once, or not to be made into anything.
    known: HashMap<Vec<u64>, Known<T>>,
    ready: usize,
}

enum Known<T> {
    Seen,
    Refused,
    Ready(T),
}

impl<T> Default for Repeats<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), ready: 0 }
    }
}

impl<T> Repeats<T> {
    /// The key of a sequence.
    pub fn key(calls: &[Call]) -> Vec<u64> {
        let mut words = Vec::with_capacity(24 * calls.len());
        calls.iter().for_each(|call| call.words(&mut words));
        words
    }

    /// What to do with a sequence. The first time it is only asked for: what is made ready when a kernel first runs is ready
    /// then, and what never comes again costs nothing.
    pub fn next(&mut self, key: &[u64]) -> Next<'_, T> {
        if !self.known.contains_key(key) {
            if self.known.len() >= MOST {
                // As where factors change in every step: what has come once so far gives way.
                self.known.retain(|_, known| !matches!(known, Known::Seen));
            }
            self.known.insert(key.to_vec(), Known::Seen);
            return Next::Plain;
        }
        match &self.known[key] {
            Known::Ready(made) => Next::Ready(made),
            Known::Seen if self.ready < MOST_READY => Next::Make,
            _ => Next::Plain,
        }
    }

    /// Keeps what was made of it; none: nothing can be.
    pub fn keep(&mut self, key: Vec<u64>, made: Option<T>) {
        self.ready += usize::from(made.is_some());
        self.known.insert(key, made.map_or(Known::Refused, Known::Ready));
    }

    /// Everything that was made.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.ready = 0;
        self.known.drain().filter_map(|(_, known)| if let Known::Ready(made) = known { Some(made) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Kind;

    fn call(name: &'static str, x: f32, address: u64) -> Call {
        Call::launch(name, [3, 1], 128, &[Argument::Float(x), Argument::Address(address), Argument::Struct(vec![1, 2])])
    }

    #[test]
    fn every_argument_tells_calls_apart() {
        let product = |n: usize, is_added: bool| {
            let c = Span::empty(Kind::F32);
            Call::multiply(&Columns {
                transposed: [false; 2],
                m: 2,
                n,
                k: 4,
                factors: [c; 2],
                strides: [2, 4],
                c,
                stride: 2,
                bias: None,
                is_added,
            })
        };
        let all = [
            vec![call("a", 1.0, 8)],
            vec![call("b", 1.0, 8)],
            vec![call("a", -1.0, 8)],
            vec![call("a", 1.0, 16)],
            vec![call("a", 1.0, 8), call("a", 1.0, 8)],
            vec![product(3, false)],
            vec![product(3, true)],
            vec![product(5, false)],
        ];
        let keys: Vec<_> = all.iter().map(|calls| Repeats::<()>::key(calls)).collect();
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == key), Some(i));
        }
        assert_eq!(Repeats::<()>::key(&[call("a", 1.0, 8)]), keys[0]);
    }

    #[test]
    fn what_comes_again_is_made_once_and_then_ready() {
        let mut repeats = Repeats::<&str>::default();
        let key = Repeats::<&str>::key(&[call("a", 1.0, 8)]);
        assert!(matches!(repeats.next(&key), Next::Plain));
        assert!(matches!(repeats.next(&key), Next::Make));
        repeats.keep(key.clone(), Some("made"));
        assert!(matches!(repeats.next(&key), Next::Ready(&"made")));
        let other = Repeats::<&str>::key(&[call("b", 1.0, 8)]);
        assert!(matches!((repeats.next(&other), ()), (Next::Plain, ())));
        repeats.keep(other.clone(), None);
        assert!(matches!(repeats.next(&other), Next::Plain), "refused for good");
        // What never comes again doesn't fill the memory.
        for i in 0..2 * MOST as u64 {
            repeats.next(&[i]);
        }
        assert!(repeats.known.len() <= MOST);
        assert!(matches!(repeats.next(&key), Next::Ready(&"made")), "and pushes out nothing that was made");
        assert_eq!(repeats.drain().collect::<Vec<_>>(), ["made"]);
    }
}
