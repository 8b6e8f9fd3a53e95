//! Acts, called from C: the C ABI of [`ddn_runtime`], as a static library and `include/ddn_runtime.h`.
//!
//! ```text
//! C pointers ── pointer ──> slices ── ddn_runtime ──> DdnStatus
//!               checked      ^
//!                            handle: a policy in the caller's storage
//! ```
//!
//! Nothing is global and nothing is allocated: a firmware opens as many policies as it has storage for, and runs any
//! number of agents on each. What C can get wrong and a machine can see (null, misaligned, too short, overlapping, not
//! opened) is an error code; the rest is the contract at the top of the header, which every `unsafe` block here relies on:
//! pointers point to as many elements as the length next to them says, and a file stays where it is while its handle is open.
//!
//! The header is generated from this crate by cbindgen with `cbindgen.toml`; `tests/run capi` compares the two.
#![no_std]
#![deny(clippy::undocumented_unsafe_blocks)]
// The contract is one for all functions. It is stated above, and in the header.
#![allow(clippy::missing_safety_doc)]

// Brings the panic handler that a static library for an operating system needs.
#[cfg(not(target_os = "none"))]
extern crate std;

mod handle;
mod panic;
mod pointer;
mod policy;
mod recording;
mod status;

pub use handle::{DDN_POLICY_WORDS, DDN_RECORDING_WORDS, DdnPolicy, DdnRecording};
pub use policy::*;
pub use recording::*;
pub use status::*;
