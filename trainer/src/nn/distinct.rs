//! Equal rows found once, so that work on them is done once.

use super::kernel::{Real, make_shards, shard};
use super::sparse::Sparse;

/// The rows of a matrix that differ from all before them, and which row equals which of them.
///
/// Agents that see nothing look alike, and so does padding.
#[derive(Clone, Debug)]
pub struct Distinct {
    rows: usize,
    /// `None`: all rows count as distinct.
    found: Option<Found>,
}

#[derive(Clone, Debug)]
struct Found {
    /// First row of each kind, ascending.
    first: Vec<u32>,
    /// Which kind each row is.
    kind: Vec<u32>,
    /// All rows, those of one kind together.
    members: Vec<u32>,
    /// Where the members of each kind end.
    ends: Vec<u32>,
}

/// Matrices with a larger share of entries than one in so many are not searched.
const SPARSE: usize = 4;

impl Distinct {
    /// All of `rows` rows.
    #[must_use]
    pub fn all(rows: usize) -> Self {
        Self { rows, found: None }
    }

    /// Of pairs of rows of `a` and `b`, which have equally many.
    #[must_use]
    pub fn of(a: &Sparse, b: &Sparse) -> Self {
        let rows = a.rows();
        if a.entries() * SPARSE > rows * a.width() || u32::try_from(rows).is_err() {
            return Self::all(rows);
        }
        let same = a.is(b);
        let hash = |row| if same { hash(a, row, 0) } else { hash(b, row, hash(a, row, 0)) };
        let equal = |r: usize, s: usize| a.row(r) == a.row(s) && (same || b.row(r) == b.row(s));
        // Open addressing over a table that is never more than half full; 0 is an empty place.
        let mask = (2 * rows).next_power_of_two() - 1;
        let mut table = vec![0_u32; mask + 1];
        let (mut first, mut kind) = (Vec::new(), Vec::with_capacity(rows));
        for row in 0..rows {
            let mut place = hash(row) as usize & mask;
            let of = loop {
                match table[place] {
                    0 => {
                        first.push(row as u32);
                        table[place] = first.len() as u32;
                        break first.len() as u32 - 1;
                    }
                    other if equal(first[other as usize - 1] as usize, row) => break other - 1,
                    _ => place = (place + 1) & mask,
                }
            };
            kind.push(of);
        }
        let (members, ends) = sorted(&kind, first.len());
        Self { rows, found: Some(Found { first, kind, members, ends }) }
    }

    /// How many distinct rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.as_ref().map_or(self.rows, |found| found.first.len())
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The first row of a kind.
    #[must_use]
    #[inline(always)]
    pub fn row(&self, kind: usize) -> usize {
        self.found.as_ref().map_or(kind, |found| found.first[kind] as usize)
    }

    /// Rows of `width` numbers of the distinct rows, copied to all rows.
    #[must_use]
    pub fn spread<T: Real>(&self, distinct: Vec<T>, width: usize) -> Vec<T> {
        let Some(found) = &self.found else { return distinct };
        let (all, _) = make_shards(self.rows, width, |index, all: &mut [T]| {
            let kinds = &found.kind[shard(self.rows, index)];
            for (&kind, row) in kinds.iter().zip(all.chunks_exact_mut(width)) {
                row.copy_from_slice(&distinct[kind as usize * width..][..width]);
            }
        });
        all
    }

    /// Sums of rows of `width` numbers over equal rows, in their order; `None` where all rows count
    /// as distinct.
    #[must_use]
    pub fn gather<T: Real>(&self, all: &[T], width: usize) -> Option<Vec<T>> {
        let Found { ends, members, .. } = self.found.as_ref()?;
        let (sums, _) = make_shards(ends.len(), width, |index, sums: &mut [T]| {
            for (kind, sum) in shard(ends.len(), index).zip(sums.chunks_exact_mut(width)) {
                let start = if kind == 0 { 0 } else { ends[kind - 1] as usize };
                for &row in &members[start..ends[kind] as usize] {
                    let row = &all[row as usize * width..][..width];
                    sum.iter_mut().zip(row).for_each(|(sum, &row)| *sum += row);
                }
            }
        });
        Some(sums)
    }
}

/// The rows ordered by kind, and where each kind ends.
fn sorted(kind: &[u32], kinds: usize) -> (Vec<u32>, Vec<u32>) {
    let mut ends = vec![0_u32; kinds];
    kind.iter().for_each(|&kind| ends[kind as usize] += 1);
    let mut total = 0;
    for end in &mut ends {
        total += std::mem::replace(end, total);
    }
    // Each end is the kind's start now, and moves to its end as the rows come in.
    let mut members = vec![0_u32; kind.len()];
    for (row, &kind) in kind.iter().enumerate() {
        members[ends[kind as usize] as usize] = row as u32;
        ends[kind as usize] += 1;
    }
    (members, ends)
}

/// Of the entries of a row.
fn hash(rows: &Sparse, row: usize, seed: u64) -> u64 {
    let (columns, values) = rows.row(row);
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    columns
        .iter()
        .zip(values)
        .fold(seed, |hash, (&column, &value)| mix(hash, u64::from(column) << 32 | u64::from(value.to_bits())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::sparse::Builder;

    fn rows(rows: &[&[(usize, f32)]]) -> Sparse {
        let mut builder = Builder::new(40);
        for row in rows {
            row.iter().for_each(|&(column, value)| builder.push(column, value));
            builder.end_row();
        }
        builder.build()
    }

    #[test]
    fn equal_rows_are_one_and_their_sums_and_copies_agree() {
        let a = rows(&[&[(1, 1.0)], &[(2, 1.0)], &[(1, 1.0)], &[], &[(1, 2.0)], &[], &[(2, 1.0)]]);
        let distinct = Distinct::of(&a, &a);
        assert_eq!((distinct.len(), (0..4).map(|kind| distinct.row(kind)).collect()), (4, vec![0, 1, 3, 4]));
        assert_eq!(distinct.spread(vec![1.0, 2.0, 3.0, 4.0], 1), [1.0, 2.0, 1.0, 3.0, 4.0, 3.0, 2.0]);
        assert_eq!(distinct.gather(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 1), Some(vec![4.0, 9.0, 10.0, 5.0]));
    }

    #[test]
    fn a_pair_differs_where_either_row_does() {
        let a = rows(&[&[(1, 1.0)], &[(1, 1.0)], &[(1, 1.0)]]);
        let b = rows(&[&[(3, 1.0)], &[(4, 1.0)], &[(3, 1.0)]]);
        assert_eq!(Distinct::of(&a, &b).len(), 2);
    }

    #[test]
    fn dense_rows_are_not_searched() {
        let dense = Sparse::from_dense(2, &[1.0; 8]);
        let distinct = Distinct::of(&dense, &dense);
        assert_eq!((distinct.len(), distinct.gather(&[1.0], 1)), (4, None));
    }
}
