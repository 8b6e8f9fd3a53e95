//! Safetensors bytes in one canonical form: equal content gives equal bytes.
//!
//! ```text
//! u64 header length │ JSON header, padded with spaces │ tensors in name order, no gaps
//!                                                     └ offset is a multiple of 16
//! ```

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};

use crate::error::ExportError;
use crate::frozen::Tensor;

/// Alignment of the data in the file, in bytes.
pub const ALIGNMENT: usize = 16;

/// Writes metadata (in key order) and tensors (in name order), all of them little-endian `F32`.
#[must_use]
pub fn encode(metadata: &BTreeMap<&'static str, String>, tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let entries: Vec<String> =
        metadata.iter().map(|(key, value)| format!("{}:{}", quote(key), quote(value))).collect();
    let mut header = format!("{{\"__metadata__\":{{{}}}", entries.join(","));
    let mut begin = 0;
    for (name, tensor) in tensors {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        let (name, shape) = (quote(name), shape.join(","));
        let end = begin + 4 * tensor.data.len();
        header +=
            &format!(",{name}:{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[{begin},{end}]}}");
        begin = end;
    }
    header.push('}');
    while !(8 + header.len()).is_multiple_of(ALIGNMENT) {
        header.push(' ');
    }
    let mut bytes = Vec::with_capacity(8 + header.len() + begin);
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for value in tensors.values().flat_map(|tensor| &tensor.data) {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Metadata and tensors, both by name.
pub type Content = (BTreeMap<String, String>, BTreeMap<String, Tensor>);

/// Metadata and tensors of a safetensors file; the file must hold `F32` only.
///
/// # Errors
/// [`ExportError::Corrupt`] if the bytes are no such file.
pub fn decode(bytes: &[u8]) -> Result<Content, ExportError> {
    let corrupt = |reason: String| ExportError::Corrupt { what: "safetensors".into(), reason };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| corrupt(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let file = SafeTensors::deserialize(bytes).map_err(|e| corrupt(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(corrupt(format!("tensor {name} is {:?}, expected F32", view.dtype())));
        }
        let (words, _) = view.data().as_chunks::<4>();
        let data = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), data });
    }
    Ok((metadata, tensors))
}
