//! What must hold for everything that learns: gradients of kernels and mixers against central
//! differences, and properties of every mixer, scheme and network that the registries name.

mod batches;
mod differences;
mod kernels;
mod mixers;
mod networks;
mod slow;
mod teams;
