//! Acts: runs the frozen local policy network of one agent, on a microcontroller or anywhere else.
//!
//! ```text
//! bytes ── model ──> layers ── policy ──> action
//!          checked once        once per agent and step
//! ```
//!
//! The bytes are a model file (`docs/format.md`): a safetensors file whose metadata says how its tensors chain.
//! `model` checks all of it, and what it lets pass is a [`Policy`] that cannot go wrong later: [`Policy::act`] fails on
//! what the *caller* hands it, never on what the file held. Weights stay where they are, in flash for instance
//! ([`flash!`] aligns a file for that). What changes from step to step, the recurrent memory, is the caller's and exists once per agent.
//!
//! `kernel` holds one file per kind of layer. All arithmetic is addition, subtraction, multiplication and division of
//! `f32` in an order that is written down, so a Cortex-M4F and a workstation give the same bits; the file carries
//! recorded answers, and [`Policy::self_test`] compares them exactly.
//!
//! No heap, no panic, no recursion, no `unsafe`, two small dependencies.
//!
//! # Example
//!
//! ```
//! use ddn_runtime::{AgentInput, Memory, Policy};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let header = concat!(
//! #     r#"{"__metadata__":{"ddn.actions":"left,right","ddn.agents":"2","ddn.format":"1","ddn.gates":"rzn","#,
//! #     r#""ddn.graph":"linear:0>1:fc","ddn.inputs":"obs:2"},"#,
//! #     r#""fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#,
//! #     r#""fc.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]}}"#,
//! # );
//! # let header = format!("{header:0$}", header.len().next_multiple_of(8)); // aligns the data
//! # let mut file = (header.len() as u64).to_le_bytes().to_vec();
//! # file.extend_from_slice(header.as_bytes());
//! # file.extend([0.0_f32, 0.0, 1.0, 0.0, 0.0, 1.0].iter().flat_map(|v| v.to_le_bytes()));
//! // `file` holds a linear layer from two observed numbers to the values of two actions.
//! let policy = Policy::from_bytes(&file)?;
//! assert_eq!(policy.spec().actions().collect::<Vec<_>>(), ["left", "right"]);
//!
//! let mut memory = Memory::<64>::new(); // one per agent
//! let mut scratch = [0.0; 256]; // one for all
//! assert!(policy.memory_len() <= memory.len() && policy.scratch_len() <= scratch.len());
//!
//! let input = AgentInput { obs: &[0.25, 0.5], last_action: None, agent_id: 1, available: &[true, true] };
//! let action = policy.act(&mut memory, input, &mut scratch)?;
//! assert_eq!((action.index, action.q), (1, &[0.25, 0.5][..]));
//! # Ok(())
//! # }
//! ```
#![no_std]
#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("weights are read as they lie in the file, which is little-endian");

mod crc;
pub mod error;
pub mod executor;
mod flash;
pub mod guard;
mod kernel;
pub mod model;
pub mod policy;

pub use crc::{Crc32, crc32};
#[doc(inline)]
pub use error::{ActError, ModelError, SelfTestError};
#[doc(inline)]
pub use executor::Executor;
pub use flash::Aligned;
#[doc(inline)]
pub use guard::Guarded;
pub use kernel::{math, table};
#[doc(inline)]
pub use model::{AgentSpec, Recording};
#[doc(inline)]
pub use policy::{Action, AgentInput, Memory, Policy};
