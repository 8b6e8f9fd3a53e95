//! What the store promises: on a flash that enforces its rules, and whose power is cut at every moment.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../../fixture/mod.rs"]
mod fixture;

mod bits;
mod chance;
mod flash;
mod power;
mod rules;
#[cfg(feature = "ed25519")]
mod signed;
mod steps;
