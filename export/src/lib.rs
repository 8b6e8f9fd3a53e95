//! Freezes the local policy network of a trained team and writes it for other programs.
//!
//! ```text
//! checkpoint ─► Frozen ─► safetensors, ONNX ─► engines replay recorded episodes ─► files
//! ```
//!
//! Nothing is written unless every engine that was asked for agrees with the trained network.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use ddn_export::exporter;
//! use ddn_export::frozen::{Frozen, Tensor};
//! use ddn_export::graph;
//! use ddn_export::spec::{AgentSpec, InputKind};
//!
//! // One linear layer from two observed floats to two actions.
//! let frozen = Frozen {
//!     spec: AgentSpec {
//!         environment: "toy".into(),
//!         n_agents: 1,
//!         actions: vec!["stay".into(), "go".into()],
//!         obs_dim: 2,
//!         obs_layout: "position, velocity".into(),
//!         inputs: vec![InputKind::Obs],
//!     },
//!     config_sha256: "00".repeat(32),
//!     layers: graph::from_text("linear:0>1:out")?,
//!     tensors: BTreeMap::from([
//!         ("out.weight".into(), Tensor::new(&[2, 2], vec![1.0, 0.0, 0.0, 1.0])),
//!         ("out.bias".into(), Tensor::new(&[2], vec![0.0, 0.5])),
//!     ]),
//!     sparse: false,
//!     obs_range: None,
//!     known_answers: None,
//! };
//! let bytes = exporter::by_name("safetensors")?.encode(&frozen)?;
//! assert_eq!(bytes, exporter::by_name("safetensors")?.encode(&frozen)?);
//! # Ok::<(), ddn_export::error::ExportError>(())
//! ```

pub mod agree;
pub mod archive;
pub mod earn;
pub mod error;
pub mod exporter;
pub mod fold;
pub mod freeze;
pub mod frozen;
pub mod graph;
pub mod inspect;
pub mod job;
pub mod kat;
pub mod layout;
pub mod normalise;
pub mod onnx;
pub mod publish;
pub mod quantize;
pub mod record;
pub mod replay;
pub mod report;
pub mod safetensors;
pub mod shipped;
pub mod source;
pub mod spec;
pub mod verify;
