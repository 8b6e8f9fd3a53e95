//! A checked view of a safetensors file. Once it is made, every tensor's bytes are known to be there.
//!
//! It accepts any valid file of the types of [`Dtype`] with one to three dimensions, whoever wrote it, in which every
//! tensor lies at a multiple of its type's size and the data begin at an address divisible by four: numbers are then read
//! as they lie. Where it is stricter than the format it is on purpose: no empty tensors, no unknown fields, no duplicate
//! names, and the header starts with `{`.

use bytemuck::AnyBitPattern;
use heapless::Vec;

use super::header::{Cursor, Text};
use super::matrix::{Matrix, Row};
use crate::error::ModelError;

/// Longest JSON header that is read, bytes.
pub const MAX_HEADER: usize = 1 << 16;
/// Most tensors a file may hold.
pub const MAX_TENSORS: usize = 48;
/// Most metadata entries a file may hold.
pub const MAX_METADATA: usize = 24;

/// What the numbers of a tensor are, all of them little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    /// IEEE 754, four bytes.
    F32,
    /// Signed, one byte.
    I8,
    /// Signed, two bytes.
    I16,
    /// Signed, four bytes.
    I32,
}

impl Dtype {
    fn named(name: Text<'_>) -> Option<Self> {
        [("F32", Self::F32), ("I8", Self::I8), ("I16", Self::I16), ("I32", Self::I32)]
            .into_iter()
            .find_map(|(known, dtype)| name.is(known).then_some(dtype))
    }

    /// Bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }
}

/// One tensor: its shape, filled with ones from the left to three dimensions, and its numbers as they lie in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensor<'m> {
    pub(crate) rank: usize,
    pub(crate) shape: [usize; 3],
    pub(crate) dtype: Dtype,
    pub(crate) bytes: &'m [u8],
}

impl<'m> Tensor<'m> {
    /// Its numbers, if they are `F32`.
    pub(crate) fn f32s(&self) -> Option<&'m [f32]> {
        self.numbers(Dtype::F32)
    }

    /// Its numbers, if they are `I8`.
    #[allow(dead_code)]
    pub(crate) fn i8s(&self) -> Option<&'m [i8]> {
        self.numbers(Dtype::I8)
    }

    /// Its numbers, if they are `I16`.
    #[allow(dead_code)]
    pub(crate) fn i16s(&self) -> Option<&'m [i16]> {
        self.numbers(Dtype::I16)
    }

    /// Its numbers, if they are `I32`.
    #[allow(dead_code)]
    pub(crate) fn i32s(&self) -> Option<&'m [i32]> {
        self.numbers(Dtype::I32)
    }

    fn numbers<T: AnyBitPattern>(&self, dtype: Dtype) -> Option<&'m [T]> {
        if self.dtype == dtype { bytemuck::try_cast_slice(self.bytes).ok() } else { None }
    }

    /// Rows and columns of the tensor as one matrix: all dimensions but the last are rows.
    pub(crate) fn rows_cols(&self) -> (usize, usize) {
        let [a, b, c] = self.shape;
        (a.saturating_mul(b), c)
    }

    /// An `F32` tensor as one matrix.
    pub(crate) fn matrix(&self) -> Option<Matrix<'m>> {
        let (rows, cols) = self.rows_cols();
        Some(Matrix::new(self.f32s()?, rows, cols))
    }

    /// All of an `F32` tensor in one row.
    pub(crate) fn row(&self) -> Option<Row<'m>> {
        self.f32s().map(Row)
    }
}

struct Entry<'m> {
    name: Text<'m>,
    rank: usize,
    shape: [usize; 3],
    dtype: Dtype,
    /// Bytes from the start of the data; once the file is checked, multiples of the type's size.
    begin: usize,
    end: usize,
}

/// The tensors and metadata of a file. Borrowed, never copied.
pub(crate) struct Archive<'m> {
    data: &'m [u8],
    tensors: Vec<Entry<'m>, MAX_TENSORS>,
    metadata: Vec<(Text<'m>, Text<'m>), MAX_METADATA>,
}

impl<'m> Archive<'m> {
    /// Checks `file` from its first byte to its last.
    ///
    /// # Errors
    /// For anything the format forbids, see [`ModelError`].
    pub(crate) fn from_bytes(file: &'m [u8]) -> Result<Self, ModelError> {
        let (length, rest) = file.split_first_chunk::<8>().ok_or(ModelError::HeaderLength)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| ModelError::HeaderLength)?;
        if length > MAX_HEADER {
            return Err(ModelError::HeaderLength);
        }
        let (header, data) = rest.split_at_checked(length).ok_or(ModelError::HeaderLength)?;
        let header = core::str::from_utf8(header).map_err(|_| ModelError::HeaderUtf8)?;
        if !header.starts_with('{') {
            return Err(ModelError::Json { at: 0 });
        }
        let mut archive = Self { data: &[], tensors: Vec::new(), metadata: Vec::new() };
        archive.read(&mut Cursor::new(header))?;
        archive.tile(data.len())?;
        if !data.as_ptr().addr().is_multiple_of(4) {
            return Err(ModelError::Alignment);
        }
        archive.data = data;
        Ok(archive)
    }

    /// The tensor called `name`.
    pub(crate) fn tensor(&self, name: &str) -> Option<Tensor<'m>> {
        self.tensor_by(|text| text.is(name))
    }

    /// The tensor called `layer.part`.
    pub(crate) fn part(&self, layer: &str, part: &str) -> Option<Tensor<'m>> {
        self.tensor_by(|text| text.chars().eq(layer.chars().chain(['.']).chain(part.chars())))
    }

    fn tensor_by(&self, matches: impl Fn(Text<'m>) -> bool) -> Option<Tensor<'m>> {
        let entry = self.tensors.iter().find(|entry| matches(entry.name))?;
        let bytes = self.data.get(entry.begin..entry.end)?;
        Some(Tensor { rank: entry.rank, shape: entry.shape, dtype: entry.dtype, bytes })
    }

    /// The metadata value of `key`.
    pub(crate) fn metadata(&self, key: &str) -> Option<Text<'m>> {
        self.metadata.iter().find(|(name, _)| name.is(key)).map(|&(_, value)| value)
    }

    fn read(&mut self, json: &mut Cursor<'m>) -> Result<(), ModelError> {
        json.expect(b'{')?;
        let mut seen_metadata = false;
        let mut more = !json.take(b'}');
        while more {
            let name = json.string()?;
            json.expect(b':')?;
            if name.is("__metadata__") {
                if seen_metadata {
                    return Err(ModelError::Duplicate { at: json.at() });
                }
                seen_metadata = true;
                self.read_metadata(json)?;
            } else {
                if self.tensors.iter().any(|entry| entry.name == name) {
                    return Err(ModelError::Duplicate { at: json.at() });
                }
                let entry = read_entry(json, name, self.tensors.len())?;
                self.tensors.push(entry).map_err(|_| ModelError::TooMany)?;
            }
            more = json.more(b'}')?;
        }
        json.end()
    }

    fn read_metadata(&mut self, json: &mut Cursor<'m>) -> Result<(), ModelError> {
        json.expect(b'{')?;
        let mut more = !json.take(b'}');
        while more {
            let key = json.string()?;
            json.expect(b':')?;
            let value = json.string()?;
            if self.metadata.iter().any(|&(name, _)| name == key) {
                return Err(ModelError::Duplicate { at: json.at() });
            }
            self.metadata.push((key, value)).map_err(|_| ModelError::TooMany)?;
            more = json.more(b'}')?;
        }
        Ok(())
    }

    /// Ranges that lie inside `len` bytes, do not overlap and sum to the whole leave no hole, so nothing needs sorting.
    fn tile(&self, len: usize) -> Result<(), ModelError> {
        let mut covered = 0_usize;
        for (index, entry) in self.tensors.iter().enumerate() {
            let fault = ModelError::Offsets { tensor: index };
            let count = entry.shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).ok_or(fault)?;
            let size = count.checked_mul(entry.dtype.size()).ok_or(fault)?;
            let fits = entry.end <= len && entry.end.checked_sub(entry.begin) == Some(size);
            let mut earlier = self.tensors.iter().take(index);
            if !fits || earlier.any(|other| entry.begin < other.end && other.begin < entry.end) {
                return Err(fault);
            }
            if !entry.begin.is_multiple_of(entry.dtype.size()) {
                return Err(ModelError::Alignment);
            }
            covered = covered.checked_add(size).ok_or(fault)?;
        }
        if covered == len { Ok(()) } else { Err(ModelError::Holes) }
    }
}

/// `{"dtype":"F32","shape":[…],"data_offsets":[begin,end]}`, fields in any order.
fn read_entry<'m>(json: &mut Cursor<'m>, name: Text<'m>, tensor: usize) -> Result<Entry<'m>, ModelError> {
    let (mut dtype, mut shape, mut offsets) = (None, None, None);
    json.expect(b'{')?;
    let mut more = true;
    while more {
        let field = json.string()?;
        json.expect(b':')?;
        let repeated = if field.is("dtype") {
            dtype.replace(json.string()?).is_some()
        } else if field.is("shape") {
            shape.replace(read_shape(json, tensor)?).is_some()
        } else if field.is("data_offsets") {
            json.expect(b'[')?;
            let begin = json.number()?;
            json.expect(b',')?;
            let end = json.number()?;
            json.expect(b']')?;
            offsets.replace((begin, end)).is_some()
        } else {
            return Err(json.error());
        };
        if repeated {
            return Err(ModelError::Duplicate { at: json.at() });
        }
        more = json.more(b'}')?;
    }
    let (Some(dtype), Some((rank, shape)), Some((begin, end))) = (dtype, shape, offsets) else {
        return Err(json.error());
    };
    let dtype = Dtype::named(dtype).ok_or(ModelError::Dtype { tensor })?;
    Ok(Entry { name, rank, shape, dtype, begin, end })
}

fn read_shape(json: &mut Cursor<'_>, tensor: usize) -> Result<(usize, [usize; 3]), ModelError> {
    json.expect(b'[')?;
    let mut shape = [1; 3];
    let mut rank = 0;
    let mut more = !json.take(b']');
    while more {
        let [_, b, c] = shape;
        shape = [b, c, json.number()?];
        rank += 1;
        more = json.more(b']')?;
    }
    if rank == 0 || rank > 3 || shape.contains(&0) {
        return Err(ModelError::Shape { tensor });
    }
    Ok((rank, shape))
}
