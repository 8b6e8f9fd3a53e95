//! Contracts between the crates.

mod combat_oracle;
mod determinism;
mod firmware;
mod learning;
mod onnxruntime;
mod oracles;
mod ranks;
mod read_by_tensorboard;
mod rewards;
mod schemes;
mod tidy;
