//! Acts: runs the frozen local policy network of one agent, on a microcontroller or anywhere else.
//!
//! ```text
//! bytes ── open ──> Model ── verify ──> Policy ── act ──> action
//!          header           numbers             once per agent and step
//! ```
//!
//! The bytes are a model file (`docs/format.md`): a safetensors file whose metadata says how its tensors chain.
//! [`Model::open`] checks the structure, which is quick and reads no weight; [`Model::verify`] checks the CRC and the
//! numbers and asks for the recorded answers. Only then is there a [`Policy`], and it cannot go wrong later:
//! [`Policy::act`] fails on what the *caller* hands it, never on what the file held. Weights stay where they are, in flash
//! for instance ([`flash!`] aligns a file for that). What changes from step to step, the recurrent memory, is the caller's
//! and exists once per agent.
//!
//! `kernel` holds one file per kind of layer. All arithmetic is addition, subtraction, multiplication and division of
//! `f32` in an order that is written down, so a Cortex-M4F and a workstation give the same bits; the file carries
//! recorded answers, and [`Model::verify`] compares them exactly.
//!
//! On x86-64, more is computed at once, to the same bits: many rows of a matrix, and many agents in
//! [`Policy::act_batch`]. The feature `std` lets a program find out whether its processor has AVX2.
//!
//! No heap, no panic, no recursion, two small dependencies; `unsafe` only where instructions are chosen by hand, and where
//! the compiler reads a policy that is built in.
//!
//! A firmware that always carries the same policy need not open it: see [`BuiltIn`].
//!
//! # Example
//!
//! ```
//! use ddn_runtime::{AgentInput, Memory, Model};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let header = concat!(
//! #     r#"{"__metadata__":{"ddn.actions":"left,right","ddn.agents":"2","ddn.crc":"00000000","ddn.format":"1","#,
//! #     r#""ddn.gates":"rzn","ddn.graph":"linear:0>1:fc","ddn.inputs":"obs:2"},"#,
//! #     r#""fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#,
//! #     r#""fc.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},"#,
//! #     r#""kat.action":{"dtype":"F32","shape":[1],"data_offsets":[24,28]},"#,
//! #     r#""kat.agent":{"dtype":"F32","shape":[1],"data_offsets":[28,32]},"#,
//! #     r#""kat.available":{"dtype":"F32","shape":[1,2],"data_offsets":[32,40]},"#,
//! #     r#""kat.last_action":{"dtype":"F32","shape":[1],"data_offsets":[40,44]},"#,
//! #     r#""kat.obs":{"dtype":"F32","shape":[1,2],"data_offsets":[44,52]},"#,
//! #     r#""kat.q":{"dtype":"F32","shape":[1,2],"data_offsets":[52,60]}}"#,
//! # );
//! # let header = format!("{header:0$}", header.len().next_multiple_of(8)); // aligns the data
//! # let mut file = (header.len() as u64).to_le_bytes().to_vec();
//! # file.extend_from_slice(header.as_bytes());
//! # let weights = [0.0_f32, 0.0, 1.0, 0.0, 0.0, 1.0];
//! # let recorded = [0.0_f32, 1.0, 1.0, 0.0, -1.0, 3.0, 4.0, 3.0, 4.0];
//! # file.extend(weights.iter().chain(&recorded).flat_map(|v| v.to_le_bytes()));
//! # let crc = format!("{:08x}", ddn_runtime::crc32(&file));
//! # let at = file.windows(8).position(|window| window == b"00000000").ok_or("no place for the CRC")?;
//! # file[at..][..8].copy_from_slice(crc.as_bytes());
//! // `file` holds a linear layer from two observed numbers to the values of two actions.
//! let model = Model::open(&file)?;
//! assert_eq!(model.spec().actions().collect::<Vec<_>>(), ["left", "right"]);
//!
//! let mut memory = Memory::<64>::new(); // one per agent
//! let mut scratch = [0.0; 256]; // one for all
//! assert!(model.memory_len() <= memory.len() && model.scratch_len() <= scratch.len());
//! let policy = model.verify(&mut memory, &mut scratch)?;
//!
//! let input = AgentInput { obs: &[0.25, 0.5], last_action: None, agent_id: 1, available: &[true, true] };
//! let action = policy.act(&mut memory, input, &mut scratch)?;
//! assert_eq!((action.index, action.q), (1, &[0.25, 0.5][..]));
//! # Ok(())
//! # }
//! ```
#![no_std]
#![deny(unsafe_code)]
// Without some kinds of layers, what they alone would use is left.
#![cfg_attr(
    not(all(feature = "f32", feature = "int8", feature = "block", feature = "branches")),
    allow(dead_code)
)]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("weights are read as they lie in the file, which is little-endian");

pub mod builtin;
mod crc;
pub mod error;
pub mod executor;
mod flash;
pub mod guard;
mod kernel;
pub mod model;
pub mod policy;
#[cfg(feature = "store")]
pub mod store;

/// For build scripts, feature `build`: a policy as a part of the firmware.
#[cfg(feature = "build")]
pub mod build {
    pub use crate::builtin::build::{BuildError, policy};
    #[doc(hidden)]
    pub use crate::builtin::build::{Planned, plan, source};
}

#[doc(inline)]
pub use builtin::{BuiltIn, BuiltInPolicy};
pub use crc::{Crc32, crc32};
#[doc(inline)]
pub use error::{ActError, BatchError, ModelError, SelfTestError, VerifyError};
#[doc(inline)]
pub use executor::Executor;
pub use flash::Aligned;
#[doc(inline)]
pub use guard::Guarded;
pub use kernel::{math, table};
#[doc(inline)]
pub use model::{AgentSpec, Model, Recording};
#[doc(inline)]
pub use policy::{Action, AgentInput, Memory, Policy};
