//! A batch on the device: ids, targets, what is predicted, and where each token stands.

use anyhow::{Result, ensure};

use super::buffer::Buffer;
use crate::gpu::{Device, Kind, Span};
use crate::objective::{Batch, NO_TARGET};

/// The buffers that a batch is copied into.
#[derive(Default)]
pub(super) struct OnDevice {
    inputs: Buffer,
    prefixes: Buffer,
    /// Rows that are predicted, their targets, and each row's place among them, or -1.
    rows: Buffer,
    targets: Buffer,
    place: Buffer,
    /// Distinct tokens, and behind one another the rows where each stands.
    ids: Buffer,
    first: Buffer,
    occurrences: Buffer,
    counts: Counts,
}

/// How long what was copied is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    rows: usize,
    predicted: usize,
    distinct: usize,
    has_prefixes: bool,
}

/// Bytes of all of it for `rows` positions of `sequences`, at most.
pub(super) fn most_bytes(rows: usize, sequences: usize) -> [usize; 8] {
    [rows, sequences, rows, rows, rows, rows, rows + 1, rows].map(|n| 4 * n)
}

impl OnDevice {
    /// Copies inputs and prefixes.
    pub fn take_inputs(&mut self, device: &dyn Device, batch: &Batch) -> Result<()> {
        self.counts = Counts { rows: batch.inputs.len(), ..Counts::default() };
        self.inputs.upload(device, &batch.inputs)?;
        self.counts.has_prefixes = !batch.prefixes.is_empty();
        if self.counts.has_prefixes {
            let prefixes: Vec<u32> = batch.prefixes.iter().map(|&p| p as u32).collect();
            self.prefixes.upload(device, &prefixes)?;
        }
        Ok(())
    }

    /// Copies where each token stands: for the token table's gradient, so late in a step, while the device is at work.
    pub fn take_occurrences(&mut self, device: &dyn Device, inputs: &[u32], vocabulary: usize) -> Result<()> {
        let (ids, first, rows) = occurrences(inputs, vocabulary);
        self.counts.distinct = ids.len();
        self.ids.upload(device, &ids)?;
        self.first.upload(device, &first)?;
        self.occurrences.upload(device, &rows)?;
        Ok(())
    }

    /// Copies what is predicted.
    ///
    /// # Errors
    /// If nothing is, or the device fails.
    pub fn take_targets(&mut self, device: &dyn Device, targets: &[i32]) -> Result<()> {
        let predicted = || targets.iter().enumerate().filter(|(_, t)| **t != NO_TARGET);
        let rows: Vec<u32> = predicted().map(|(row, _)| row as u32).collect();
        let of_rows: Vec<i32> = predicted().map(|(_, &t)| t).collect();
        ensure!(!rows.is_empty(), "a batch has no token to predict; raise objective.mask_share or train.batch");
        let mut place = vec![-1i32; targets.len()];
        rows.iter().enumerate().for_each(|(i, &row)| place[row as usize] = i as i32);
        self.counts.predicted = rows.len();
        self.rows.upload(device, &rows)?;
        self.targets.upload(device, &of_rows)?;
        self.place.upload(device, &place)?;
        Ok(())
    }

    /// How many positions are predicted.
    pub fn predicted(&self) -> usize {
        self.counts.predicted
    }

    /// Whether all are.
    pub fn is_all_predicted(&self) -> bool {
        self.counts.predicted == self.counts.rows
    }

    pub fn inputs(&self) -> Span<'_> {
        self.inputs.span(Kind::U32, self.counts.rows)
    }

    pub fn prefixes(&self, sequences: usize) -> Option<Span<'_>> {
        self.counts.has_prefixes.then(|| self.prefixes.span(Kind::U32, sequences))
    }

    /// (P)
    pub fn rows(&self) -> Span<'_> {
        self.rows.span(Kind::U32, self.counts.predicted)
    }

    /// (P)
    pub fn targets(&self) -> Span<'_> {
        self.targets.span(Kind::I32, self.counts.predicted)
    }

    /// (M)
    pub fn place(&self) -> Span<'_> {
        self.place.span(Kind::I32, self.counts.rows)
    }

    /// Distinct tokens (U), where their rows begin (U + 1), and the rows (M).
    pub fn occurrences(&self) -> [Span<'_>; 3] {
        let Counts { rows, distinct, .. } = self.counts;
        [(&self.ids, distinct), (&self.first, distinct + 1), (&self.occurrences, rows)]
            .map(|(buffer, n)| buffer.span(Kind::U32, n))
    }
}

/// Distinct ids in rising order, where the rows of each begin, and the rows, each token's in their order: sorted by
/// counting, each id below the vocabulary.
fn occurrences(inputs: &[u32], vocabulary: usize) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let mut next = vec![0u32; vocabulary];
    inputs.iter().for_each(|&id| next[id as usize] += 1);
    let (mut ids, mut first, mut total) = (Vec::new(), Vec::new(), 0);
    for (id, next) in next.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
        ids.push(id as u32);
        first.push(total);
        let count = std::mem::replace(next, total);
        total += count;
    }
    first.push(total);
    let mut rows = vec![0; inputs.len()];
    for (row, &id) in inputs.iter().enumerate() {
        let place = &mut next[id as usize];
        rows[*place as usize] = row as u32;
        *place += 1;
    }
    (ids, first, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_its_rows_in_order() {
        let (ids, first, rows) = occurrences(&[7, 3, 7, 9, 3, 7], 10);
        assert_eq!((ids, first, rows), (vec![3, 7, 9], vec![0, 2, 5, 6], vec![1, 4, 0, 2, 5, 3]));
    }
}
