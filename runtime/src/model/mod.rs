//! From bytes to a model: everything that can be wrong with a file's structure is found here.
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
pub(crate) mod split;

pub use archive::{MAX_HEADER, MAX_METADATA, MAX_TENSORS};
pub use graph::{Built, Layers, MAX_LAYERS, MAX_SLOTS, Read};
pub use header::Text;
pub use matrix::Row;
pub use recording::{RecordedStep, Recording};
pub use spec::{AgentSpec, FORMAT, Part};

pub use crate::kernel::KINDS;

use crate::error::ModelError;

/// An opened file: its structure is checked, its numbers are not.
///
/// Whatever the numbers are, no use of it can panic or index wrongly. [`Model::verify`] makes a [`crate::Policy`], which
/// acts, of it.
///
/// ```text
/// bytes ── open ──> Model ── verify ──> Policy ── act ──> action
///          header             numbers
/// ```
#[derive(Clone, Debug)]
pub struct Model<'m, L = Read<'m>> {
    pub(crate) file: &'m [u8],
    pub(crate) spec: AgentSpec<'m>,
    pub(crate) graph: graph::Graph<L>,
    pub(crate) recording: Option<Recording<'m>>,
    pub(crate) range: Option<matrix::Matrix<'m>>,
}

impl<'m> Model<'m> {
    /// Opens the bytes of a file; [`flash!`](crate::flash) places one. Numbers stay where they are.
    ///
    /// Reads the header, some thousand bytes, and none of the data.
    ///
    /// # Errors
    /// If anything is wrong with the header, the layers do not chain, or a tensor has another size or type.
    ///
    /// Format: `docs/format.md`.
    #[inline(never)]
    pub fn open(file: &'m [u8]) -> Result<Self, ModelError> {
        // Made where it is returned, because copying it costs: one value, and one way out.
        let mut opened = Ok(Self::new(file));
        if let Ok(model) = &mut opened
            && let Err(error) = model.read()
        {
            opened = Err(error);
        }
        opened
    }

    /// Of a file that is not read yet.
    fn new(file: &'m [u8]) -> Self {
        Self { file, spec: AgentSpec::new(), graph: graph::Graph::new(), recording: None, range: None }
    }

    #[inline(never)]
    fn read(&mut self) -> Result<(), ModelError> {
        let mut archive = archive::Archive::new(self.file);
        archive.read()?;
        let archive = &archive;
        self.spec.read(archive)?;
        self.recording = Recording::read(archive, &self.spec)?;
        self.range = read_range(archive, self.spec.obs_dim())?;
        self.graph.read(archive, &self.spec)
    }

    /// Writes the numbers of everything but the layers, for [`BuiltIn::new`](crate::BuiltIn).
    #[cfg(feature = "build")]
    pub(crate) fn plan(&self, plan: &mut crate::builtin::write::Writer<'_>) {
        self.spec.plan(plan);
        if let Some(recording) = &self.recording {
            recording.plan(plan);
        }
        plan.flag(self.range.is_some());
        if let Some(range) = &self.range {
            plan.matrix(range);
        }
        self.graph.plan(plan);
    }

    /// Opens a file that was made for the same contract as its caller.
    ///
    /// `contract`: the [`AgentSpec::contract`] that the caller was compiled for, 64 hexadecimal digits. Two files of the
    /// same contract may replace one another: they see and name the same things in the same order.
    ///
    /// # Errors
    /// [`ModelError::Contract`] if the file names another contract or none; otherwise as [`Model::open`].
    pub fn open_for(file: &'m [u8], contract: &str) -> Result<Self, ModelError> {
        let model = Self::open(file)?;
        let same = !contract.is_empty() && model.spec.contract().is(contract);
        if same { Ok(model) } else { Err(ModelError::Contract) }
    }
}

impl<'m, L: Layers> Model<'m, L> {
    /// The sizes, names and contracts the policy was trained for.
    pub fn spec(&self) -> &AgentSpec<'m> {
        &self.spec
    }

    /// The steps the file carries to test itself with.
    pub fn recording(&self) -> Option<&Recording<'m>> {
        self.recording.as_ref()
    }

    /// The least and the greatest value that each element of the observation had while the file was made, `[obs_dim]`
    /// each; `None` if the file does not say. For [`Calibration`](crate::guard::Calibration).
    pub fn obs_range(&self) -> Option<(Row<'m>, Row<'m>)> {
        self.range.map(|range| (range.row(0), range.row(1)))
    }

    /// Floats of memory per agent.
    pub fn memory_len(&self) -> usize {
        self.graph.places.memory_len
    }

    /// Floats of scratch that a step needs.
    pub fn scratch_len(&self) -> usize {
        self.graph.places.scratch_len
    }
}

/// `obs.range` `[2, obs_dim]`, if it is there.
fn read_range<'m>(
    archive: &archive::Archive<'m>,
    obs_dim: usize,
) -> Result<Option<matrix::Matrix<'m>>, ModelError> {
    let Some(range) = archive.part(b"obs", "range") else { return Ok(None) };
    let fits = range.rank == 2 && range.shape == [1, 2, obs_dim];
    let range = range.matrix().filter(|_| fits);
    range.map(Some).ok_or(ModelError::Recording { name: "obs.range" })
}
