//! Building blocks of the networks: parameters, kernels, optimisers.

mod distinct;
pub mod kernel;
pub mod mlp;
pub mod optim;
pub mod params;
pub mod sparse;

pub use distinct::Distinct;
pub use mlp::Mlp;
pub use optim::{Optimiser, OptimiserConfig};
pub use params::Params;
pub use sparse::Sparse;
