//! A checked view of a safetensors file. Once it is made, every tensor's bytes are known to be there.
//!
//! It accepts any valid file of the types of [`Dtype`] with one to three dimensions, whoever wrote it, in which every
//! tensor lies at a multiple of its type's size and the data begin at an address divisible by four: numbers are then read
//! as they lie. Where it is stricter than the format it is on purpose: no empty tensors, no unknown fields, no duplicate
//! names, and the header starts with `{`.

use bytemuck::AnyBitPattern;
use heapless::Vec;

use super::header::{Cursor, Text, begins, same};
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
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"F32" => Some(Self::F32),
            b"I8" => Some(Self::I8),
            b"I16" => Some(Self::I16),
            b"I32" => Some(Self::I32),
            _ => None,
        }
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
    name: &'m [u8],
    rank: usize,
    shape: [usize; 3],
    dtype: Dtype,
    /// Bytes from the start of the data; once the file is checked, multiples of the type's size.
    begin: usize,
    end: usize,
}

/// The tensors and metadata of a file. Borrowed, never copied.
#[repr(C)] // side by side, the empty tables would be cleared as one
pub(crate) struct Archive<'m> {
    tensors: Vec<Entry<'m>, MAX_TENSORS>,
    data: &'m [u8],
    metadata: Vec<(&'m [u8], Text<'m>), MAX_METADATA>,
}

impl<'m> Archive<'m> {
    /// Of a file that is not read yet; [`Archive::read`] fills it where it stands, because copying it costs.
    pub(crate) fn new(file: &'m [u8]) -> Self {
        Self { data: file, tensors: Vec::new(), metadata: Vec::new() }
    }

    /// Checks the header, and that the data are what it says. The numbers are not looked at.
    ///
    /// # Errors
    /// For anything the format forbids, see [`ModelError`].
    pub(crate) fn read(&mut self) -> Result<(), ModelError> {
        let (length, rest) = self.data.split_first_chunk::<8>().ok_or(ModelError::HeaderLength)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| ModelError::HeaderLength)?;
        if length > MAX_HEADER {
            return Err(ModelError::HeaderLength);
        }
        let (header, data) = rest.split_at_checked(length).ok_or(ModelError::HeaderLength)?;
        if header.first() != Some(&b'{') {
            return Err(ModelError::Json { at: 0 });
        }
        let mut json = Cursor::new(header);
        self.object(&mut json).ok_or_else(|| json.error())?;
        self.tile(data.len())?;
        if !data.as_ptr().addr().is_multiple_of(4) {
            return Err(ModelError::Alignment);
        }
        self.data = data;
        Ok(())
    }

    /// The tensor called `layer.part`.
    #[inline(never)]
    pub(crate) fn part(&self, layer: &[u8], part: &str) -> Option<Tensor<'m>> {
        let len = layer.len() + 1 + part.len();
        let is_it = |name: &[u8]| after(name, layer).is_some_and(|rest| same(rest, part.as_bytes()));
        let mut entries = self.tensors.iter();
        entries.find(|entry| entry.name.len() == len && is_it(entry.name)).and_then(|entry| self.view(entry))
    }

    /// All tensors called `layer.…`.
    pub(crate) fn parts(&self, layer: &[u8]) -> impl Iterator<Item = Tensor<'m>> {
        self.tensors
            .iter()
            .filter(move |entry| after(entry.name, layer).is_some())
            .filter_map(|entry| self.view(entry))
    }

    fn view(&self, entry: &Entry<'m>) -> Option<Tensor<'m>> {
        let bytes = self.data.get(entry.begin..entry.end)?;
        Some(Tensor { rank: entry.rank, shape: entry.shape, dtype: entry.dtype, bytes })
    }

    /// The metadata value of `key`.
    #[inline(never)]
    pub(crate) fn metadata(&self, key: &str) -> Option<Text<'m>> {
        self.metadata
            .iter()
            .find(|(name, _)| name.len() == key.len() && same(name, key.as_bytes()))
            .map(|&(_, value)| value)
    }

    fn object(&mut self, json: &mut Cursor<'m>) -> Option<()> {
        json.expect(b'{')?;
        let mut seen_metadata = false;
        let mut more = !json.take(b'}');
        while more {
            let name = json.key()?;
            if same(name, b"__metadata__") {
                if seen_metadata {
                    return json.refuse_duplicate();
                }
                seen_metadata = true;
                self.read_metadata(json)?;
            } else {
                if self.tensors.iter().any(|entry| same(entry.name, name)) {
                    return json.refuse_duplicate();
                }
                self.read_tensor(json, name)?;
            }
            more = json.more(b'}')?;
        }
        json.end()
    }

    #[inline(never)]
    fn read_metadata(&mut self, json: &mut Cursor<'m>) -> Option<()> {
        json.expect(b'{')?;
        let mut more = !json.take(b'}');
        while more {
            let key = json.key()?;
            let value = json.string()?;
            if self.metadata.iter().any(|(name, _)| same(name, key)) {
                return json.refuse_duplicate();
            }
            if self.metadata.push((key, value)).is_err() {
                return json.refuse(ModelError::TooMany);
            }
            more = json.more(b'}')?;
        }
        Some(())
    }

    /// `{"dtype":"F32","shape":[…],"data_offsets":[begin,end]}`, fields in any order.
    #[inline(never)]
    fn read_tensor(&mut self, json: &mut Cursor<'m>, name: &'m [u8]) -> Option<()> {
        let tensor = self.tensors.len();
        let entry = Entry { name, rank: 0, shape: [1; 3], dtype: Dtype::F32, begin: 0, end: 0 };
        if self.tensors.push(entry).is_err() {
            return json.refuse(ModelError::TooMany);
        }
        let entry = self.tensors.last_mut()?;

        let mut before = b'{';
        let mut seen = 0;
        // Writers keep to one order and leave no space; whatever else is allowed takes longer.
        if let Some((_, dtype)) = HEADS.iter().find(|(head, _)| json.skip(head)) {
            entry.dtype = *dtype;
            (entry.rank, entry.shape) = read_shape(json, tensor)?;
            seen |= DTYPE | SHAPE;
            before = b',';
            if json.skip(br#","data_offsets":["#) {
                (entry.begin, entry.end) = read_offsets(json)?;
                seen |= OFFSETS;
            }
        }
        while !(before == b',' && json.take(b'}')) {
            json.expect(before)?;
            before = b',';
            let field = read_field(json, entry, tensor)?;
            if seen & field != 0 {
                return json.refuse_duplicate();
            }
            seen |= field;
        }
        (seen == DTYPE | SHAPE | OFFSETS).then_some(())
    }

    /// Ranges that lie inside `len` bytes, do not overlap and sum to the whole leave no hole, so nothing needs sorting.
    /// Where they follow one another, as writers lay them out, none can overlap.
    fn tile(&self, len: usize) -> Result<(), ModelError> {
        let mut covered = 0_usize;
        let mut follow = true;
        for (index, entry) in self.tensors.iter().enumerate() {
            let fault = ModelError::Offsets { tensor: index };
            let [a, b, c] = entry.shape;
            let count = a.checked_mul(b).and_then(|n| n.checked_mul(c)).ok_or(fault)?;
            let size = count.checked_mul(entry.dtype.size()).ok_or(fault)?;
            follow &= entry.begin == covered;
            let mut earlier = self.tensors.iter().take(index);
            let overlap = !follow && earlier.any(|other| entry.begin < other.end && other.begin < entry.end);
            if overlap || entry.end > len || entry.end.checked_sub(entry.begin) != Some(size) {
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

/// How writers begin a tensor.
const HEADS: [(&[u8], Dtype); 4] = [
    (br#"{"dtype":"F32","shape":["#, Dtype::F32),
    (br#"{"dtype":"I8","shape":["#, Dtype::I8),
    (br#"{"dtype":"I16","shape":["#, Dtype::I16),
    (br#"{"dtype":"I32","shape":["#, Dtype::I32),
];

/// The fields of a tensor, one bit each.
const DTYPE: u8 = 1;
const SHAPE: u8 = 2;
const OFFSETS: u8 = 4;

/// What follows `layer` and a dot, if `name` begins so.
fn after<'m>(name: &'m [u8], layer: &[u8]) -> Option<&'m [u8]> {
    match begins(name, layer)? {
        [b'.', part @ ..] => Some(part),
        _ => None,
    }
}

/// A field of a tensor, whichever comes next; returns its bit.
#[inline(never)]
fn read_field(json: &mut Cursor<'_>, entry: &mut Entry<'_>, tensor: usize) -> Option<u8> {
    let key = json.key()?;
    if same(key, b"dtype") {
        entry.dtype = read_dtype(json, tensor)?;
        return Some(DTYPE);
    }
    let shape = same(key, b"shape");
    if !shape && !same(key, b"data_offsets") {
        return None;
    }
    json.expect(b'[')?;
    if shape {
        (entry.rank, entry.shape) = read_shape(json, tensor)?;
        return Some(SHAPE);
    }
    (entry.begin, entry.end) = read_offsets(json)?;
    Some(OFFSETS)
}

#[inline(never)]
fn read_dtype(json: &mut Cursor<'_>, tensor: usize) -> Option<Dtype> {
    let dtype = Dtype::named(json.word()?);
    dtype.or_else(|| json.refuse(ModelError::Dtype { tensor }))
}

#[inline(never)]
fn read_offsets(json: &mut Cursor<'_>) -> Option<(usize, usize)> {
    let begin = json.number()?;
    json.expect(b',')?;
    let end = json.number()?;
    json.expect(b']')?;
    Some((begin, end))
}

#[inline(never)]
fn read_shape(json: &mut Cursor<'_>, tensor: usize) -> Option<(usize, [usize; 3])> {
    let mut shape = [1; 3];
    let mut rank = 0;
    let mut more = true;
    while more {
        let Some(dimension) = json.number() else {
            break;
        };
        let [_, b, c] = shape;
        shape = [b, c, dimension];
        rank += 1;
        more = json.more(b']')?;
    }
    if more || rank > 3 || shape.contains(&0) {
        return json.refuse(ModelError::Shape { tensor });
    }
    Some((rank, shape))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Archive, Dtype};

    /// Numbers of each type, written by hand, come out as they went in, and as no other type.
    #[test]
    fn views_are_typed() {
        let header = concat!(
            r#"{"l.f":{"dtype":"F32","shape":[1,2,1],"data_offsets":[0,8]},"#,
            r#""l.w":{"dtype":"I32","shape":[2],"data_offsets":[8,16]},"#,
            r#""l.h":{"dtype":"I16","shape":[1,2],"data_offsets":[16,20]},"#,
            r#""l.b":{"dtype":"I8","shape":[3],"data_offsets":[20,23]}}"#,
        );
        let header = std::format!("{header:0$}", header.len().next_multiple_of(8)); // aligns the data
        let mut file = Vec::from((header.len() as u64).to_le_bytes());
        file.extend_from_slice(header.as_bytes());
        file.extend([1.5_f32, -0.0].iter().flat_map(|value| value.to_le_bytes()));
        file.extend([i32::MIN, 7].iter().flat_map(|value| value.to_le_bytes()));
        file.extend([-300_i16, 300].iter().flat_map(|value| value.to_le_bytes()));
        file.extend([0xff, 0x80, 0x7f]);
        let mut archive = Archive::new(&file);
        assert_eq!(archive.read(), Ok(()));
        let tensor = |part| archive.part(b"l", part).unwrap();
        let (f, w, h, b) = (tensor("f"), tensor("w"), tensor("h"), tensor("b"));
        assert_eq!(f.f32s().map(|values| values[1].to_bits()), Some(1 << 31));
        assert_eq!(w.i32s(), Some(&[i32::MIN, 7][..]));
        assert_eq!(h.i16s(), Some(&[-300, 300][..]));
        assert_eq!(b.i8s(), Some(&[-1, -128, 127][..]));
        assert_eq!((f.rank, f.shape, f.rows_cols()), (3, [1, 2, 1], (2, 1)));
        assert_eq!((b.rank, b.shape, b.rows_cols()), (1, [1, 1, 3], (1, 3)));
        for (tensor, dtype) in [(f, Dtype::F32), (w, Dtype::I32), (h, Dtype::I16), (b, Dtype::I8)] {
            assert_eq!(tensor.dtype, dtype);
            assert_eq!(tensor.f32s().is_some(), dtype == Dtype::F32);
            assert_eq!(tensor.i32s().is_some(), dtype == Dtype::I32);
            assert_eq!(tensor.i16s().is_some(), dtype == Dtype::I16);
            assert_eq!(tensor.i8s().is_some(), dtype == Dtype::I8);
        }
        assert!(archive.part(b"l", "x").is_none() && archive.part(b"l.", "f").is_none());
    }
}
