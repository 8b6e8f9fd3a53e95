//! Learns the Double Distillation Network.

pub mod checkpoint;
pub mod commands;
pub mod config;
pub mod env;
pub mod error;
pub mod eval;
pub mod film;
pub mod learner;
pub mod memory;
pub mod metrics;
pub mod nn;
pub mod phases;
pub mod pictures;
pub mod ranks;
pub mod registry;
pub mod replay;
pub mod rollout;
pub mod seed;
pub mod signal;
pub mod stats;
pub mod study;
pub mod train;
mod whole_file;
