//! From bytes to a model: everything that can be wrong with a file is found here.
//!
//! ```text
//! bytes ── archive ──> tensors, metadata ── spec, graph, recording ──> Model
//!          (header)                         (matrix, kernel)
//! ```

pub(crate) mod archive;
pub(crate) mod graph;
pub(crate) mod header;
pub(crate) mod matrix;
pub(crate) mod recording;
pub(crate) mod spec;
mod split;

pub use archive::{MAX_HEADER, MAX_METADATA, MAX_TENSORS};
pub use graph::{MAX_LAYERS, MAX_SLOTS};
pub use header::Text;
pub use matrix::Row;
pub use recording::{RecordedStep, Recording};
pub use spec::{AgentSpec, FORMAT, Part};

pub use crate::kernel::KINDS;

use crate::error::ModelError;

/// A file whose layers are proven to chain from the agent input to the Q-values.
#[derive(Clone, Debug)]
pub(crate) struct Model<'m> {
    pub(crate) spec: AgentSpec<'m>,
    pub(crate) graph: graph::Graph<'m>,
    pub(crate) recording: Option<Recording<'m>>,
}

impl<'m> Model<'m> {
    /// Checks all of `file`; see [`crate::Policy::from_bytes`].
    pub(crate) fn from_bytes(file: &'m [u8]) -> Result<Self, ModelError> {
        let archive = archive::Archive::from_bytes(file)?;
        let spec = AgentSpec::read(&archive)?;
        let text = spec::required(&archive, "ddn.graph")?;
        let input_dim = spec.input_dim().ok_or(ModelError::Value { key: "ddn.inputs" })?;
        let graph = graph::Graph::read(text, &archive, input_dim, spec.n_actions())?;
        let recording = Recording::read(&archive, &spec)?;
        Ok(Self { spec, graph, recording })
    }
}
