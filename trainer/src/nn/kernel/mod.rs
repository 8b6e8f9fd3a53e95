//! Hot kernels with hand-written backward passes, as candle custom ops.
//!
//! Plain candle would slice the time axis at every step of an unrolled network, and the backward
//! pass of each slice touches the whole tensor; these ops see a whole episode at once instead.
//!
//! * vector code: `vectorised!` compiles a loop once per instruction set and picks at run time;
//! * threads: work is cut into [`SHARDS`] parts whose number does not depend on the machine, and
//!   their partial sums are added in order, so the bits do not depend on the number of threads.

mod blend;
mod block;
mod distance;
mod gathered;
mod gemm;
mod kl;
mod linear;
mod real;
mod recurrent;
mod row_loss;
mod sparse_linear;

use rayon::prelude::*;

pub use blend::blend;
pub use block::{BlockWeights, Source, block};
pub use distance::squared_distance;
pub use gemm::{At, Every, Order, gemm, gemm_rows, transpose};
pub use kl::kl;
pub use linear::{Activation, linear};
pub use real::{Read, Real, elements};
pub use recurrent::{Weights, recurrent};
pub use sparse_linear::sparse_linear;

/// Parts into which every sum over a batch is cut.
pub const SHARDS: usize = 8;

/// Runs a loop compiled for the best instruction set of this processor.
///
/// `vectorised!(<T>(x: &[T], y: &mut [T]) -> R { … })` makes a function of the block, hands it the
/// variables of those names, and compiles it once per instruction set. What the block calls must
/// be `#[inline(always)]` to take part.
macro_rules! vectorised {
    (<$t:ident>($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        vectorised!(<$t>($($arg: $ty),*) -> () $body)
    };
    (<$t:ident>($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block) => {{
        struct Work<A>(A);
        impl<$t: $crate::nn::kernel::Real> pulp::WithSimd for Work<($($ty,)*)> {
            type Output = $ret;

            #[inline(always)]
            fn with_simd<S: pulp::Simd>(self, _: S) -> $ret {
                let ($($arg,)*) = self.0;
                $body
            }
        }
        pulp::Arch::new().dispatch(Work(($($arg,)*)))
    }};
}
pub(crate) use vectorised;

/// The rows of shard `index` out of [`SHARDS`] when `rows` are shared out evenly.
#[must_use]
pub fn shard(rows: usize, index: usize) -> std::ops::Range<usize> {
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

/// Like [`each_shard`], with the shard's own rows of an output to fill.
pub fn fill_shards<T: Send, R: Send>(
    output: &mut [T],
    rows: usize,
    width: usize,
    work: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Vec<R> {
    shards_mut(output, rows, width)
        .into_par_iter()
        .enumerate()
        .map(|(index, part)| work(index, part))
        .collect()
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
