//! Hot kernels with hand-written backward passes, as candle custom ops.
//!
//! Plain candle would slice the time axis at every step of an unrolled network, and the backward
//! pass of each slice touches the whole tensor; these ops see a whole episode at once instead.
//!
//! * vector code: `vectorised!` compiles a loop once per instruction set and picks at run time;
//! * threads: work is cut into [`SHARDS`] parts whose number does not depend on the machine, and
//!   their partial sums are added in order, so the bits do not depend on the number of threads;
//! * between kernels, results and gradients go over a [`Wire`], past candle's own sums.

mod block;
mod distance;
mod elu;
mod gathered;
mod gemm;
mod kl;
mod linear;
mod mixing;
mod real;
mod recurrent;
mod row_loss;
mod shards;
mod sparse_linear;
mod wire;

pub use block::{BlockWeights, Source, block};
pub use distance::squared_distance;
pub use elu::elu;
pub use gemm::{
    At, ByColumn, ByRow, Every, Rows, Scaled, ShiftedScaled, Start, Within, affine, gemm, gemm_finished,
    gemm_rows, product, transpose,
};
pub use kl::kl;
pub use linear::{Activation, linear};
pub use mixing::{MixingWeights, mixing};
pub use real::{Read, Real, elements};
pub use recurrent::{Weights, recurrent};
pub use shards::{SHARDS, each_shard, make_shards, shard, shards_mut, sum_shards};
pub use sparse_linear::sparse_linear;
pub use wire::{ToWire, Wire};

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
