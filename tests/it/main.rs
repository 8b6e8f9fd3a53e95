//! Contracts between the crates.

mod read_by_tensorboard;
mod tidy;
