//! Parameters on the device: weights, AdamW's moments and the copy that products read, one flat buffer of each for what
//! stands before the layers, for each layer, and for what stands behind them.

use anyhow::Result;

use super::buffer::{Buffer, download, upload};
use crate::gpu::launch::{Factors, Kernels};
use crate::gpu::{Kind, Memory, Span};
use crate::optim::{Parameter, UpdateRule};

/// Parameters begin at multiples of this many elements: 256 bytes in bf16, as products like them best.
const ALIGNED: usize = 128;

/// Where parameters stand in a flat buffer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Places {
    starts: Vec<usize>,
    lens: Vec<usize>,
    /// Elements of the buffer.
    pub total: usize,
}

impl Places {
    pub fn new(lens: impl Iterator<Item = usize>) -> Self {
        let mut places = Self { starts: Vec::new(), lens: Vec::new(), total: 0 };
        for len in lens {
            places.starts.push(places.total);
            places.lens.push(len);
            places.total += len.next_multiple_of(ALIGNED);
        }
        places
    }

    /// Of parameters by name and shape; rows of the first are filled up to a multiple of `rows`.
    pub fn of_shapes(names: &[(String, Vec<usize>)], rows: usize) -> Self {
        Self::new(names.iter().enumerate().map(|(i, (_, shape))| match shape.as_slice() {
            [r, c] if i == 0 => r.next_multiple_of(rows) * c,
            _ => shape.iter().product(),
        }))
    }

    /// Parameter number `index` in a buffer.
    pub fn of<'a>(&self, buffer: Span<'a>, index: usize) -> Span<'a> {
        buffer.part(self.starts[index]..self.starts[index] + self.lens[index])
    }

    /// Where each ends, the gap behind it with it.
    pub fn ends(&self) -> Vec<u64> {
        self.starts.iter().skip(1).chain([&self.total]).map(|&end| end as u64).collect()
    }
}

/// Weights that layers compute with: as they are, and as products read them.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    single: Span<'a>,
    copy: Span<'a>,
    places: &'a Places,
}

impl<'a> Weights<'a> {
    pub fn new(single: Span<'a>, copy: Span<'a>, places: &'a Places) -> Self {
        Self { single, copy, places }
    }

    /// Parameter number `index` in f32.
    pub fn single(&self, index: usize) -> Span<'a> {
        self.places.of(self.single, index)
    }

    /// The same, as products read it.
    pub fn factor(&self, index: usize) -> Span<'a> {
        self.places.of(self.copy, index)
    }
}

/// Parameters that are updated together.
pub(super) struct Group {
    names: Vec<(String, Vec<usize>)>,
    pub places: Places,
    weight: Memory,
    first: Memory,
    second: Memory,
    /// Where products read bf16.
    copy: Option<Memory>,
    updates: Vec<u64>,
}

impl Group {
    /// Parameters by name and shape, all 0. Rows of the first are filled up to a multiple of `rows`.
    pub fn new(kernels: &Kernels, names: Vec<(String, Vec<usize>)>, rows: usize) -> Result<Self> {
        let places = Places::of_shapes(&names, rows);
        let device = kernels.device();
        let memory = |kind: Kind| device.allocate(places.total * kind.size());
        let store = kernels.shape().store;
        Ok(Self {
            weight: memory(Kind::F32)?,
            first: memory(Kind::F32)?,
            second: memory(Kind::F32)?,
            copy: if store == Kind::F32 { None } else { Some(memory(store)?) },
            updates: vec![0; names.len()],
            names,
            places,
        })
    }

    /// Names and shapes.
    pub fn names(&self) -> &[(String, Vec<usize>)] {
        &self.names
    }

    fn single(&self) -> Span<'_> {
        self.weight.span(Kind::F32, self.places.total)
    }

    fn moments(&self) -> [Span<'_>; 2] {
        [&self.first, &self.second].map(|memory| memory.span(Kind::F32, self.places.total))
    }

    /// Weights, first and second moments of parameter number `index`.
    pub fn all(&self, index: usize) -> [Span<'_>; 3] {
        let [first, second] = self.moments();
        [self.single(), first, second].map(|buffer| self.places.of(buffer, index))
    }

    fn copy(&self) -> Option<Span<'_>> {
        self.copy.as_ref().map(|memory| memory.span(Kind::Bf16, self.places.total))
    }

    /// To compute with.
    pub fn weights(&self) -> Weights<'_> {
        Weights { single: self.single(), copy: self.copy().unwrap_or(self.single()), places: &self.places }
    }

    /// Makes the copy anew.
    pub fn refresh(&self, kernels: &Kernels) -> Result<()> {
        self.copy().map_or(Ok(()), |copy| kernels.cast(copy, self.single()))
    }

    /// Takes over parameters of the same names and shapes.
    pub fn set(&mut self, kernels: &Kernels, parameters: &[Parameter]) -> Result<()> {
        for (index, p) in parameters.iter().enumerate() {
            let device = kernels.device();
            let [weight, first, second] = self.all(index);
            for (to, values) in [(weight, &p.weight), (first, &p.first_moment), (second, &p.second_moment)] {
                upload(device, to, values)?;
            }
            self.updates[index] = p.updates;
        }
        self.refresh(kernels)
    }

    /// Everything, in host memory.
    pub fn get(&self, kernels: &Kernels) -> Result<Vec<Parameter>> {
        let device = kernels.device();
        let each = self.names.iter().enumerate().map(|(index, (name, shape))| {
            let n: usize = shape.iter().product();
            let [weight, first_moment, second_moment] = self.all(index).map(|span| download(device, span.part(0..n)));
            Ok(Parameter {
                name: name.clone(),
                shape: shape.clone(),
                weight: weight?,
                first_moment: first_moment?,
                second_moment: second_moment?,
                updates: self.updates[index],
            })
        });
        each.collect()
    }

    /// One AdamW update with a gradient that stands as the parameters do; without, as with one of zeros. `control`: what the
    /// device itself has found about it ([`Kernels::judge`]).
    pub fn update(
        &mut self,
        kernels: &Kernels,
        gradient: Option<Span<'_>>,
        rule: &UpdateRule,
        control: Option<Span<'_>>,
    ) -> Result<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        let factors = self.factors(rule, self.places.ends());
        let [first, second] = self.moments();
        kernels.adamw([self.single(), first, second], gradient, self.copy(), control, &factors)
    }

    /// The newest update has changed nothing: it doesn't count.
    pub fn uncount_update(&mut self) {
        self.updates.iter_mut().for_each(|n| *n -= 1);
    }

    /// Counts one more update, and gives all parameters' factors in it, of a buffer in which they end there.
    pub fn factors(&mut self, rule: &UpdateRule, ends: Vec<u64>) -> Factors {
        self.updates.iter_mut().for_each(|n| *n += 1);
        let each = self.names.iter().zip(&self.updates);
        let scalars: Vec<_> = each.map(|((_, shape), &n)| rule.factors(shape.len(), n)).collect();
        let common = rule.factors(1, 1);
        Factors {
            ends,
            keep: scalars.iter().map(|f| f.keep).collect(),
            rate: scalars.iter().map(|f| f.rate).collect(),
            root: scalars.iter().map(|f| f.root).collect(),
            common: [common.betas[0], common.betas[1], common.gains[0], common.gains[1], common.epsilon, common.scale],
        }
    }
}

/// Gradients of one group, or of the parts of a layer that were computed.
#[derive(Default)]
pub(super) struct Gradients {
    buffer: Buffer,
    places: Option<Places>,
}

impl Gradients {
    /// Makes room; gaps between parameters are 0.
    pub fn fit(&mut self, kernels: &Kernels, places: &Places) -> Result<()> {
        if self.places.as_ref() != Some(places) {
            let span = self.buffer.fitted(kernels.device(), Kind::F32, places.total)?;
            // What was there may stand in what are gaps now.
            kernels.device().clear(span)?;
            self.places = Some(places.clone());
        }
        Ok(())
    }

    /// All of it.
    ///
    /// # Panics
    /// If it wasn't fitted.
    #[allow(clippy::expect_used)] // gradients are fitted before they are used: a fault of ours, not of the user's
    pub fn all(&self) -> Span<'_> {
        let places = self.places.as_ref().expect("gradients are fitted before they are used");
        self.buffer.span(Kind::F32, places.total)
    }

    /// That of parameter number `index`.
    pub fn of(&self, index: usize) -> Span<'_> {
        let all = self.all();
        self.places.as_ref().map_or(all, |places| places.of(all, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_begin_at_whole_lines() {
        let places = Places::new([5, 128, 129].into_iter());
        assert_eq!((places.starts.clone(), places.total), (vec![0, 128, 256], 512));
        assert_eq!(places.ends(), [128, 256, 512]);
    }
}
