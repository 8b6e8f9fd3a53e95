//! Work cut into parts whose number does not depend on the machine.
//!
//! Unsafe, since a large result is made in memory that nobody has written to: each thread fills its
//! own part with zeros right before it works there, while the part is in its cache.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::Real;

/// Parts into which every sum over a batch is cut.
pub const SHARDS: usize = 8;

/// The rows of shard `index` out of [`SHARDS`] when `rows` are shared out evenly.
#[must_use]
pub fn shard(rows: usize, index: usize) -> Range<usize> {
    rows * index / SHARDS..rows * (index + 1) / SHARDS
}

/// Cuts `data` (`rows` of `width`) into its shards.
pub fn shards_mut<T>(mut data: &mut [T], rows: usize, width: usize) -> Vec<&mut [T]> {
    (0..SHARDS)
        .map(|index| {
            let (head, tail) = std::mem::take(&mut data).split_at_mut(shard(rows, index).len() * width);
            data = tail;
            head
        })
        .collect()
}

/// Runs `work` for each shard on all threads; results in shard order.
pub fn each_shard<R: Send>(work: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    (0..SHARDS).into_par_iter().map(work).collect()
}

/// Like [`each_shard`], where each shard finds zeros in the place of its rows of a result `[rows, width]`, to
/// change as it likes.
pub fn make_shards<T: Real, R: Send>(
    rows: usize,
    width: usize,
    work: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let len = rows * width;
    let mut made = Vec::with_capacity(len);
    let parts = shards_mut(&mut made.spare_capacity_mut()[..len], rows, width);
    let results = parts.into_par_iter().enumerate().map(|(index, part)| work(index, zeros(part))).collect();
    // SAFETY: the shards together are the first `len` elements, and every one of them was filled above. Had
    // one panicked, this line would not have been reached.
    unsafe { made.set_len(len) };
    (made, results)
}

/// The same memory, full of zeros.
fn zeros<T: Real>(part: &mut [MaybeUninit<T>]) -> &mut [T] {
    part.fill(MaybeUninit::new(T::ZERO));
    // SAFETY: every element was written just now, and `MaybeUninit<T>` lies in memory as `T` does.
    unsafe { &mut *(std::ptr::from_mut(part) as *mut [T]) }
}

/// Adds partial sums in shard order.
#[must_use]
pub fn sum_shards<T: Real>(mut parts: Vec<Vec<T>>) -> Vec<T> {
    if parts.is_empty() {
        return Vec::new();
    }
    let mut total = parts.remove(0);
    let parts = parts.as_slice();
    let width = total.len().div_ceil(SHARDS).max(1);
    total.par_chunks_mut(width).enumerate().for_each(|(index, total)| {
        for part in parts {
            for (total, &part) in total.iter_mut().zip(&part[index * width..]) {
                *total += part;
            }
        }
    });
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_its_rows_in_order_and_zeros_where_nobody_wrote() {
        for rows in [0, 1, 7, 8, 29] {
            let (made, counts) = make_shards(rows, 3, |index, part: &mut [f32]| {
                for (row, part) in shard(rows, index).zip(part.chunks_exact_mut(3)) {
                    part[1] = row as f32 + 1.0;
                }
                part.len()
            });
            let want: Vec<f32> = (0..rows).flat_map(|row| [0.0, row as f32 + 1.0, 0.0]).collect();
            assert_eq!((made, counts.iter().sum::<usize>()), (want, 3 * rows));
        }
    }
}
