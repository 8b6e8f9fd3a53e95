//! What writes a frozen policy: one entry of the registry per file format.

use crate::error::ExportError;
use crate::frozen::Frozen;
use crate::onnx::Onnx;
use crate::safetensors::Safetensors;

/// A file format. Encoding is a pure function: the same policy gives the same bytes.
pub trait Exporter: Sync {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// Name of the file in the output directory.
    fn file_name(&self) -> &'static str;

    /// The bytes of the file.
    ///
    /// # Errors
    /// If the policy contradicts itself, or the format cannot express its graph.
    fn encode(&self, frozen: &Frozen) -> Result<Vec<u8>, ExportError>;
}

/// Every format, in the order in which the command line lists them.
pub const REGISTRY: &[&dyn Exporter] = &[&Safetensors, &Onnx];

/// The format of that name.
///
/// # Errors
/// [`ExportError::Unknown`] with the names that exist.
pub fn by_name(name: &str) -> Result<&'static dyn Exporter, ExportError> {
    REGISTRY.iter().copied().find(|e| e.name() == name).ok_or_else(|| ExportError::Unknown {
        what: "format",
        name: name.into(),
        known: REGISTRY.iter().map(|e| e.name()).collect::<Vec<_>>().join(", "),
    })
}
