//! Checkpoints: the whole state of a training run, so that it goes on as if it had never stopped.

pub mod store;
