//! One agent on one board, behind a serial line: the protocol, and the board's end of it.
//!
//! ```text
//! bytes ── frame ──> checked frame ── message ──> request ── board ──> reply ── frame ──> bytes
//! ```
//!
//! The host says who the board is (hello), when an episode begins (reset) and what the agent sees (observe); the board
//! answers the last with an action. Observation and mask are all that ever reaches it: no state, no reward, nothing of
//! the other agents. The recurrent memory and the previous action stay on the board.
//!
//! [`Board::receive`] takes one byte at a time and is all that a firmware has to call. It runs on the host as well,
//! which is how the tests put noise on the line.
#![no_std]
#![forbid(unsafe_code)]

pub mod board;
pub mod frame;
pub mod message;

pub use board::Board;
pub use frame::{Frame, FrameError, Receiver};
pub use message::{Card, Refusal, Reply, Request};

/// Floats of the largest observation.
pub const MAX_OBS: usize = 512;
/// The most actions.
pub const MAX_ACTIONS: usize = 512;
/// Floats that an agent may remember between steps.
pub const MAX_MEMORY: usize = 256;
/// Floats that a step may need on the way.
pub const MAX_SCRATCH: usize = 2048;
