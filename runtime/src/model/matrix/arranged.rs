//! A second copy of a matrix, for processors with registers for many rows.

use super::Matrix;

/// Rows that lie side by side: a column of them is two lines of the cache.
pub(crate) const GROUP: usize = 32;

impl<'m> Matrix<'m> {
    /// Floats of the copy: the whole groups of each section of so many rows.
    pub(crate) fn arranged_len(&self, section: usize) -> usize {
        let groups = (self.rows / section.max(1)).saturating_mul(section / GROUP);
        groups.saturating_mul(GROUP).saturating_mul(self.cols)
    }

    /// Copies the whole groups of each section to the front of `room`, which loses what it took: of each group column by
    /// column, so that the rows of a column are loaded together. Nothing if there is too little room.
    pub(crate) fn arrange(&mut self, section: usize, room: &mut &'m mut [f32]) {
        let len = self.arranged_len(section);
        if len == 0 || room.len() < len {
            return;
        }
        let Some((to, rest)) = core::mem::take(room).split_at_mut_checked(len) else { return };
        *room = rest;
        let width = self.cols;
        let sections = self.values.chunks_exact(section * width);
        let groups = sections.flat_map(|section| section.chunks_exact(GROUP * width));
        for (to, from) in to.as_chunks_mut::<GROUP>().0.chunks_exact_mut(width).zip(groups) {
            for (row, from) in from.chunks_exact(width).enumerate() {
                for (to, value) in to.iter_mut().zip(from) {
                    to[row] = *value;
                }
            }
        }
        self.arranged = to;
    }

    /// The columns of a group of the copy; they are counted through all sections.
    #[inline(always)]
    pub(crate) fn group(&self, index: usize) -> Option<&'m [[f32; GROUP]]> {
        let (columns, _) = self.arranged.as_chunks::<GROUP>();
        let group = columns.get(index.checked_mul(self.cols)?..)?.get(..self.cols)?;
        (!group.is_empty()).then_some(group)
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::{GROUP, Matrix};

    /// Two sections of 70 rows, each with two whole groups and six rows that stay where they are.
    #[test]
    fn groups_are_those_of_the_sections() {
        let (section, cols) = (70, 3);
        let values: Vec<f32> = (0..2 * section * cols).map(|i| i as f32).collect();
        let mut matrix = Matrix::new(&values, 2 * section, cols);
        let len = matrix.arranged_len(section);
        assert_eq!(len, 4 * GROUP * cols);
        let mut room = vec![0.0; len + 5];
        let mut rest = &mut room[..];
        matrix.arrange(section, &mut rest);
        assert_eq!(rest.len(), 5);
        for (index, first) in [0, 32, 70, 102].into_iter().enumerate() {
            let group = matrix.group(index).unwrap();
            for (c, column) in group.iter().enumerate() {
                for (r, value) in column.iter().enumerate() {
                    assert_eq!(value.to_bits(), values[(first + r) * cols + c].to_bits());
                }
            }
        }
        assert!(matrix.group(4).is_none() && Matrix::new(&values, 140, 3).group(0).is_none());
    }

    /// A matrix that does not fit leaves the room to those that do.
    #[test]
    fn too_little_room_is_left_alone() {
        let values = vec![1.0; 64 * 4];
        let (mut large, mut small) = (Matrix::new(&values, 64, 4), Matrix::new(&values, 32, 4));
        let mut room = vec![0.0; 128];
        let mut rest = &mut room[..];
        large.arrange(64, &mut rest);
        small.arrange(32, &mut rest);
        assert!(large.group(0).is_none() && small.group(0).is_some() && rest.is_empty());
        assert_eq!(Matrix::new(&[], 64, 0).arranged_len(64), 0);
        assert_eq!(Matrix::new(&values, 31, 4).arranged_len(31), 0);
    }
}
