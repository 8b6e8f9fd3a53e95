//! Building blocks of the networks: parameters, kernels, optimisers.

pub mod kernel;
pub mod optim;
pub mod params;
pub mod sparse;

pub use optim::{Optimiser, OptimiserConfig};
pub use params::Params;
pub use sparse::Sparse;
