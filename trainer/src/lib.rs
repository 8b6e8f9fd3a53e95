//! Learns the Double Distillation Network.
pub mod checkpoint;
pub mod env;
pub mod error;
pub mod metrics;
pub mod seed;
pub mod signal;
