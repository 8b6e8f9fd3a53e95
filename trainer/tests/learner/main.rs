//! What must hold for everything that learns: gradients against central differences.

mod differences;
mod kernels;
mod mixers;
