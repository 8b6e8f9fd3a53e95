//! Arrays of numpy in a zip archive: the little of the format that recordings use.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zip::ZipArchive;

/// An array, whatever its type was.
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    /// Row-major; empty for text.
    pub(super) numbers: Vec<f64>,
    /// Empty for numbers; the elements one after the other for text.
    pub(super) text: String,
}

/// A file as `numpy.savez` writes it.
pub(super) struct Archive(ZipArchive<File>);

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        ZipArchive::new(file).map(Self).map_err(|error| error.to_string())
    }

    pub(super) fn read(&mut self, name: &str) -> Result<Array, String> {
        let mut entry = self.0.by_name(&format!("{name}.npy")).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        parse(&bytes)
    }
}

/// Numbers of `W` bytes each.
pub(super) fn numbers<const W: usize, N: Into<f64>>(bytes: &[u8], number: impl Fn([u8; W]) -> N) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|&bytes| number(bytes).into()).collect()
}

/// What stands behind `key` in the header, up to the comma that ends it.
fn field<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let (_, rest) = header.split_once(&format!("'{key}':")).ok_or(format!("the header has no {key}"))?;
    let rest = rest.trim_start();
    let end = match rest.strip_prefix('(') {
        Some(inside) => inside.find(')').map(|end| end + 2),
        None => rest.find([',', '}']),
    };
    Ok(&rest[..end.ok_or("the header does not end")?])
}

fn parse(bytes: &[u8]) -> Result<Array, String> {
    let magic =
        bytes.get(..8).filter(|magic| magic.starts_with(b"\x93NUMPY")).ok_or("not an array of numpy")?;
    let (at, len) = match magic[6] {
        1 => (10, bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))),
        _ => (12, bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)),
    };
    let header = len.and_then(|len| bytes.get(at..at + len)).ok_or("the header is cut off")?;
    let data = &bytes[at + header.len()..];
    let header = std::str::from_utf8(header).map_err(|error| error.to_string())?;
    if field(header, "fortran_order")? != "False" {
        return Err("column-major arrays are not read".into());
    }
    let shape = field(header, "shape")?.trim_matches(['(', ')']).split(',').map(str::trim);
    let shape: Vec<usize> = shape
        .filter(|size| !size.is_empty())
        .map(|size| size.parse().map_err(|_| format!("a size of {size:?}")))
        .collect::<Result<_, _>>()?;
    let kind = field(header, "descr")?.trim_matches('\'');
    let (mut found, mut text) = (Vec::new(), String::new());
    match kind {
        "|b1" | "|u1" => found = data.iter().map(|&x| f64::from(x)).collect(),
        "|i1" => found = data.iter().map(|&x| f64::from(x.cast_signed())).collect(),
        "<i2" => found = numbers(data, i16::from_le_bytes),
        "<i4" => found = numbers(data, i32::from_le_bytes),
        "<f4" => found = numbers(data, f32::from_le_bytes),
        "<f8" => found = numbers(data, f64::from_le_bytes),
        "<i8" => found = data.as_chunks().0.iter().map(|&x| i64::from_le_bytes(x) as f64).collect(),
        _ if kind.starts_with("<U") => {
            let letters = data.as_chunks().0.iter().map(|&x| char::from_u32(u32::from_le_bytes(x)));
            let letters = letters.map(|letter| letter.ok_or("text that is no text"));
            text = letters.collect::<Result<String, _>>()?.trim_end_matches('\0').to_owned();
        }
        _ => return Err(format!("arrays of {kind} are not read")),
    }
    if text.is_empty() && found.len() != shape.iter().product::<usize>() {
        return Err(format!("{} numbers for a shape of {shape:?}", found.len()));
    }
    Ok(Array { shape, numbers: found, text })
}
