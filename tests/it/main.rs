//! Contracts between the crates.

mod determinism;
mod firmware;
mod learning;
mod oracles;
mod read_by_tensorboard;
mod tidy;
