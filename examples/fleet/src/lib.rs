//! A team whose agents are boards: each in a QEMU of its own, each told only what it sees itself.
//!
//! ```text
//!            ┌─ view 0 ─► serial line ─► board 0 ─► action 0 ─┐
//! Env ─ frame┤     …                                          ├─► Env::step
//!            └─ view 7 ─► serial line ─► board 7 ─► action 7 ─┘
//! ```
//!
//! The same episodes are played by the same policy on the host, in an environment of its own, and the two must agree
//! in every action, every Q-value and every reward, bit for bit.

pub mod compare;
pub mod contract;
pub mod episode;
pub mod error;
pub mod fleet;
pub mod host;
pub mod link;
pub mod qemu;

pub use compare::Verdict;
pub use contract::Playable;
pub use episode::{Choice, Episode, Team, View, play};
pub use error::FleetError;
pub use fleet::Fleet;
pub use host::Hosted;
pub use link::{Line, Link, Patience};
pub use qemu::{Machine, Qemu};
