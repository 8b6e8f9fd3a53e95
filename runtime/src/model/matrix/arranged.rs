//! A second copy of a matrix, for processors with registers for many rows.

use super::Matrix;

/// Rows that lie side by side: a column of them is two lines of the cache.
pub(crate) const GROUP: usize = 32;

impl<'m> Matrix<'m> {
    /// Floats of the copy: whole groups of rows.
    pub(crate) fn arranged_len(&self) -> usize {
        (self.rows / GROUP).saturating_mul(GROUP).saturating_mul(self.cols)
    }

    /// Copies whole groups of rows to the front of `room`, which loses what it took: of each group column by column, so
    /// that the rows of a column are loaded together. Nothing if there is too little room.
    pub(crate) fn arrange(&mut self, room: &mut &'m mut [f32]) {
        let whole = core::mem::take(room);
        let Some((to, rest)) = whole.split_at_mut_checked(self.arranged_len()) else { return };
        *room = rest;
        let width = self.cols.max(1);
        let groups = self.values.chunks_exact(GROUP * width);
        for (to, from) in to.as_chunks_mut::<GROUP>().0.chunks_exact_mut(width).zip(groups) {
            for (row, from) in from.chunks_exact(width).enumerate() {
                for (to, value) in to.iter_mut().zip(from) {
                    to[row] = *value;
                }
            }
        }
        self.arranged = to;
    }

    /// The columns of the rows `first..first + 32` in the copy, if they are a group of it.
    #[inline(always)]
    pub(crate) fn group(&self, first: usize) -> Option<&'m [[f32; GROUP]]> {
        let (columns, _) = self.arranged.as_chunks::<GROUP>();
        let begin = (first / GROUP).checked_mul(self.cols)?;
        let group = columns.get(begin..)?.get(..self.cols)?;
        (first.is_multiple_of(GROUP) && !group.is_empty()).then_some(group)
    }
}
