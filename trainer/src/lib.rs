//! Learns the Double Distillation Network.
#![warn(missing_docs)]

pub mod env;
pub mod error;
pub mod nn;
pub mod seed;
