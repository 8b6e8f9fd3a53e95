//! Learns the Double Distillation Network.
#![warn(missing_docs)]

pub mod env;
pub mod error;
pub mod learner;
pub mod nn;
pub mod registry;
pub mod replay;
pub mod seed;
