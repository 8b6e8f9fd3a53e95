//! Learns the Double Distillation Network.
pub mod env;
pub mod error;
pub mod seed;
