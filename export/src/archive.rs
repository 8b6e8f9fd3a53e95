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

/// The numbers of a tensor, row-major; in the file they are little endian.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// IEEE 754, four bytes each.
    F32(Vec<f32>),
    /// One byte each.
    I8(Vec<i8>),
    /// Two bytes each.
    I16(Vec<i16>),
    /// Four bytes each.
    I32(Vec<i32>),
}

impl Numbers {
    /// The name of the type in a header.
    #[must_use]
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::I8(_) => "I8",
            Self::I16(_) => "I16",
            Self::I32(_) => "I32",
        }
    }

    /// As they stand in the file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I8(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

/// Shape and numbers of tensors, by name.
pub type Typed = BTreeMap<String, (Vec<usize>, Numbers)>;

/// Tensors of floats.
#[must_use]
pub fn numbers(tensors: &BTreeMap<String, Tensor>) -> Typed {
    let typed = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), (tensor.shape.clone(), Numbers::F32(tensor.data.clone()))));
    typed.collect()
}

/// The key of the CRC among the metadata, and what its digits count as.
const CRC: (&str, &str) = ("ddn.crc", "00000000");

/// Writes metadata (in key order), with the CRC of the whole file among them, and tensors (in name order). Every tensor takes a multiple of four bytes, so all of them
/// are aligned.
#[must_use]
pub fn encode(metadata: &BTreeMap<&'static str, String>, tensors: &Typed) -> Vec<u8> {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut metadata = metadata.clone();
    metadata.insert(CRC.0, CRC.1.to_owned());
    let entries: Vec<String> =
        metadata.iter().map(|(key, value)| format!("{}:{}", quote(key), quote(value))).collect();
    let mut header = format!("{{\"__metadata__\":{{{}}}", entries.join(","));
    let mut data = Vec::new();
    for (name, (shape, numbers)) in tensors {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        let (name, dtype, shape) = (quote(name), numbers.dtype(), shape.join(","));
        let begin = data.len();
        data.extend(numbers.bytes());
        let end = data.len();
        header += &format!(
            ",{name}:{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{begin},{end}]}}"
        );
    }
    header.push('}');
    while !(8 + header.len()).is_multiple_of(ALIGNMENT) {
        header.push(' ');
    }
    let mut bytes = Vec::with_capacity(8 + header.len() + data.len());
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(data);
    // The key comes first of all that read like it: its quotes are not escaped, as those in a value are.
    let key = format!("{}:\"", quote(CRC.0));
    if let Some(at) = bytes.windows(key.len()).position(|window| window == key.as_bytes()) {
        let crc = format!("{:08x}", ddn_runtime::crc32(&bytes));
        bytes[at + key.len()..][..CRC.1.len()].copy_from_slice(crc.as_bytes());
    }
    bytes
}

/// Metadata and tensors, both by name.
pub type Content = (BTreeMap<String, String>, Typed);

/// Metadata and tensors of a safetensors file of the types of [`Numbers`].
///
/// # Errors
/// [`ExportError::Corrupt`] if the bytes are no such file.
pub fn decode(bytes: &[u8]) -> Result<Content, ExportError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| corrupt(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let file = SafeTensors::deserialize(bytes).map_err(|e| corrupt(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let data = view.data();
        let words = || data.as_chunks::<4>().0.iter();
        let numbers = match view.dtype() {
            Dtype::F32 => Numbers::F32(words().map(|word| f32::from_le_bytes(*word)).collect()),
            Dtype::I32 => Numbers::I32(words().map(|word| i32::from_le_bytes(*word)).collect()),
            Dtype::I16 => {
                let halves = data.as_chunks::<2>().0.iter();
                Numbers::I16(halves.map(|half| i16::from_le_bytes(*half)).collect())
            }
            Dtype::I8 => Numbers::I8(data.iter().map(|byte| byte.cast_signed()).collect()),
            other => return Err(corrupt(format!("tensor {name} is {other:?}"))),
        };
        tensors.insert(name.to_owned(), (view.shape().to_vec(), numbers));
    }
    Ok((metadata, tensors))
}

/// Tensors that hold floats, all of them.
///
/// # Errors
/// [`ExportError::Corrupt`] with the first that does not.
pub fn floats(tensors: Typed) -> Result<BTreeMap<String, Tensor>, ExportError> {
    let float = |(name, (shape, numbers)): (String, (Vec<usize>, Numbers))| match numbers {
        Numbers::F32(data) => Ok((name, Tensor { shape, data })),
        other => Err(corrupt(format!("tensor {name} is {}, expected F32", other.dtype()))),
    };
    tensors.into_iter().map(float).collect()
}

fn corrupt(reason: String) -> ExportError {
    ExportError::Corrupt { what: "safetensors".into(), reason }
}
