//! Layers of which only parts are computed: their weights gathered into a smaller layer, their gradients that layer's
//! alone, their update scattered back. Which elements those are is the CPU's `parts`'.

use anyhow::Result;

use super::buffer::{Buffer, download};
use super::state::{Gradients, Group, Places, Weights};
use crate::config::ModelConfig;
use crate::gpu::launch::Kernels;
use crate::gpu::{Kind, Span};
use crate::model::UpdateRule;
use crate::model::parts::Selection;
use crate::subnetwork::Parts;

/// A smaller layer.
#[derive(Default)]
pub(super) struct Compact {
    single: Buffer,
    copy: Buffer,
    /// Rows and columns of each parameter, one behind the other, and how many.
    indices: Buffer,
    counts: Vec<[usize; 2]>,
    places: Option<Places>,
    is_bf16: bool,
    /// For updates: the parts' moments, or the gradient in full.
    spare: [Buffer; 2],
}

impl Compact {
    /// Where its parameters stand.
    ///
    /// # Panics
    /// If nothing was gathered.
    #[allow(clippy::expect_used)] // gathered before it is used: a fault of ours, not of the user's
    pub fn places(&self) -> &Places {
        self.places.as_ref().expect("parts are gathered before they are used")
    }

    fn single(&self) -> Span<'_> {
        self.single.span(Kind::F32, self.places().total)
    }

    pub fn weights(&self) -> Weights<'_> {
        let copy = if self.is_bf16 { self.copy.span(Kind::Bf16, self.places().total) } else { self.single() };
        Weights::new(self.single(), copy, self.places())
    }

    /// Rows and columns of parameter number `index`.
    fn indices(&self, index: usize) -> [Span<'_>; 2] {
        let all = self.indices.span(Kind::U32, self.counts.iter().flatten().sum());
        let first: usize = self.counts[..index].iter().flatten().sum();
        let [rows, columns] = self.counts[index];
        [all.part(first..first + rows), all.part(first + rows..first + rows + columns)]
    }

    /// Takes the parts' weights out of a layer.
    pub fn gather(&mut self, kernels: &Kernels, m: &ModelConfig, of: &Parts, layer: &Group) -> Result<()> {
        let device = kernels.device();
        let mut indices: Vec<u32> = Vec::new();
        self.counts.clear();
        for (index, (_, shape)) in layer.names().iter().enumerate() {
            let [rows, columns] = Selection::new(m, of, index, shape).indices();
            self.counts.push([rows.len(), columns.len()]);
            indices.extend(rows.into_iter().chain(columns).map(|i| i as u32));
        }
        self.indices.upload(device, &indices)?;
        let places = Places::new(self.counts.iter().map(|[rows, columns]| rows * columns));
        self.is_bf16 = kernels.shape().store == Kind::Bf16;
        self.single.fit(device, Kind::F32, places.total)?;
        self.places = Some(places);
        // Gaps between parameters are zeros.
        device.clear(self.single())?;
        for (index, (_, shape)) in layer.names().iter().enumerate() {
            let [whole, ..] = layer.all(index);
            let part = self.places().of(self.single(), index);
            kernels.gather_part(part, whole, self.indices(index), Selection::width(shape))?;
        }
        if self.is_bf16 {
            let total = self.places().total;
            self.copy.fit(device, Kind::Bf16, total)?;
            kernels.cast(self.copy.span(Kind::Bf16, total), self.single())?;
        }
        Ok(())
    }

    /// Makes room for an update of a layer's parts, of whichever kind.
    pub fn fit_update(&mut self, kernels: &Kernels, layer: &Group) -> Result<()> {
        let totals = [layer.places.total.max(self.places().total), self.places().total];
        let spare = self.spare.iter_mut().zip(totals);
        spare.into_iter().try_for_each(|(buffer, total)| buffer.fit(kernels.device(), Kind::F32, total))
    }

    /// One AdamW update of the computed parts of a layer: of nothing else, or, where skipped parameters are fed zeros, of
    /// everything. As the CPU's `parts::update`; `control` as [`Group::update`]'s. There must be room ([`Self::fit_update`]).
    pub fn update(
        &self,
        kernels: &Kernels,
        layer: &mut Group,
        grads: &Gradients,
        rule: &UpdateRule,
        control: Option<Span<'_>>,
    ) -> Result<()> {
        let device = kernels.device();
        let widths: Vec<_> = layer.names().iter().map(|(_, shape)| Selection::width(shape)).collect();
        if rule.zero_gradient_for_skipped {
            let full = self.spare[0].span(Kind::F32, layer.places.total);
            device.clear(full)?;
            for (index, &width) in widths.iter().enumerate() {
                kernels.scatter_part(layer.places.of(full, index), grads.of(index), self.indices(index), width)?;
            }
            return layer.update(kernels, Some(full), rule, control);
        }
        let total = self.places().total;
        let moments = [0, 1].map(|i| self.spare[i].span(Kind::F32, total));
        // Gaps between parameters are zeros, and stay so.
        moments.into_iter().try_for_each(|span| device.clear(span))?;
        let factors = layer.factors(rule, self.places().ends());
        for (index, &width) in widths.iter().enumerate() {
            let [_, first, second] = layer.all(index);
            for (to, from) in moments.into_iter().zip([first, second]) {
                kernels.gather_part(self.places().of(to, index), from, self.indices(index), width)?;
            }
        }
        let [first, second] = moments;
        kernels.adamw([self.single(), first, second], Some(grads.all()), None, control, &factors)?;
        for (index, &width) in widths.iter().enumerate() {
            for (to, from) in layer.all(index).into_iter().zip([self.single(), first, second]) {
                kernels.scatter_part(to, self.places().of(from, index), self.indices(index), width)?;
            }
        }
        layer.refresh(kernels)
    }
}

/// A layer's gradients in full, by name: zeros where nothing was computed.
pub(super) fn widened(
    kernels: &Kernels,
    m: &ModelConfig,
    of: &Parts,
    layer: &Group,
    grads: &Gradients,
) -> Result<Vec<(String, Vec<f32>)>> {
    let each = layer.names().iter().enumerate().map(|(index, (name, shape))| {
        let mut full = vec![0.0; shape.iter().product()];
        let own = download(kernels.device(), grads.of(index))?;
        Selection::new(m, of, index, shape).scatter(&own, &mut full);
        Ok((name.clone(), full))
    });
    each.collect()
}
