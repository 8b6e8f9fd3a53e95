//! The reader against the `safetensors` crate, and against anything at all: it never accepts what the crate rejects, and
//! never panics.
#![allow(missing_docs, clippy::unwrap_used)]

use ddn_runtime::error::LayerFault;
use ddn_runtime::model::{KINDS, MAX_HEADER};
use ddn_runtime::{Model, ModelError};
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};

#[path = "../fixture/mod.rs"]
mod fixture;

/// A header, filled up with spaces so that the data are aligned, and its data as a file.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let header = header.to_owned() + &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}

/// Where the header of a file ends.
fn data_begin(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize
}

/// What the reader accepts, the crate accepts too.
fn no_laxer_than_the_crate(file: &[u8]) -> bool {
    Model::open(file).is_err() || SafeTensors::deserialize(file).is_ok()
}

/// The reader's complaint, if it is about the container and not about what the metadata say.
fn container_error(file: &[u8]) -> Option<ModelError> {
    match Model::open(file) {
        Ok(_) => None,
        Err(
            ModelError::Missing { .. }
            | ModelError::Value { .. }
            | ModelError::Version
            | ModelError::Layer { .. }
            | ModelError::Recording { .. },
        ) => None,
        Err(error) => Some(error),
    }
}

#[test]
fn the_fixture_is_valid_for_both() {
    for file in [fixture::agent_file(fixture::SMALL, 1, 3), fixture::reference_file(1)] {
        Model::open(&file).unwrap();
        SafeTensors::deserialize(&file).unwrap();
        let header = u64::from_le_bytes(file[..8].try_into().unwrap());
        assert_eq!((header + 8) % 16, 0);
    }
}

/// The crate orders tensors and metadata as it likes; the answers stay.
#[test]
fn a_file_of_another_writer_is_read() {
    let (metadata, tensors) = fixture::agent(fixture::SMALL, 1);
    let recorded = fixture::agent_file(fixture::SMALL, 1, 3);
    let recorded = SafeTensors::deserialize(&recorded).unwrap();
    assert_eq!(recorded.len(), tensors.len() + 6);
    let views = recorded.iter().map(|(name, view)| {
        (name.to_owned(), TensorView::new(Dtype::F32, view.shape().to_vec(), view.data()).unwrap())
    });
    let written = serialize(views, Some(metadata.into_iter().collect())).unwrap();
    let policy = fixture::policy(&written);
    let (mut memory, mut scratch) = (vec![0.0; policy.memory_len()], vec![0.0; policy.scratch_len()]);
    assert_eq!(policy.self_test(&mut memory, &mut scratch), Ok(3));
}

/// A file that says so where its weights cannot be read as they lie, at every address.
#[test]
fn data_begin_at_a_multiple_of_four_or_the_file_is_refused() {
    let whole = fixture::agent_file(fixture::SMALL, 1, 2);
    let mut room = vec![0_u8; whole.len() + 16];
    let data = data_begin(&whole);
    let mut refused = 0;
    for offset in 0..16 {
        let file = &mut room[offset..][..whole.len()];
        file.copy_from_slice(&whole);
        let aligned = (file.as_ptr().addr() + data).is_multiple_of(4);
        match Model::open(file) {
            Ok(_) => assert!(aligned, "offset {offset}"),
            Err(error) => {
                assert_eq!((error, aligned), (ModelError::Alignment, false), "offset {offset}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 12);
}

#[test]
fn no_prefix_is_a_file() {
    let whole = fixture::agent_file(fixture::SMALL, 1, 2);
    for length in 0..whole.len() {
        assert!(Model::open(&whole[..length]).is_err(), "{length} bytes");
    }
    let mut longer = whole;
    longer.push(0);
    assert_eq!(Model::open(&longer).unwrap_err(), ModelError::Holes);
}

/// Every bit of the length and of the header.
#[test]
fn one_wrong_bit() {
    let whole = fixture::agent_file(fixture::SMALL, 1, 1);
    for at in 0..data_begin(&whole) {
        for bit in 0..8 {
            let mut bad = whole.clone();
            bad[at] ^= 1 << bit;
            assert!(no_laxer_than_the_crate(&bad), "byte {at}, bit {bit}");
        }
    }
}

/// Malformed headers, each with the same eight bytes of data.
#[test]
fn headers_that_both_refuse() {
    let entry = |fields: &str| format!("{{\"a\":{{{fields}}}}}");
    let sound = r#""dtype":"F32","shape":[2],"data_offsets":[0,8]"#;
    assert_eq!(container_error(&file(&entry(sound), &[0; 8])), None);
    for header in [
        "".into(),
        "{".into(),
        "{}".into(),
        "[]".into(),
        "null".into(),
        entry(""),
        entry(r#""dtype":"F32","shape":[2]"#),
        entry(r#""dtype":"F32","shape":[2],"data_offsets":[0,8,9]"#),
        entry(r#""dtype":"F32","shape":[2],"data_offsets":[8,0]"#),
        entry(r#""dtype":"F32","shape":[2],"data_offsets":[4,12]"#),
        entry(r#""dtype":"F32","shape":[3],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F32","shape":[2.0],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F32","shape":[-2],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F32","shape":[02],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F32","shape":[2,],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F32","shape":[2e0],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F32","shape":[18446744073709551618],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]"#),
        entry(r#""dtype":"F31","shape":[2],"data_offsets":[0,8]"#),
        format!("{}x", entry(sound)),
        format!("{{\"\\ud800\":{{{sound}}}}}"),
        format!("{{\"\\udc00\\ud800\":{{{sound}}}}}"),
        format!("{{\"\\x61\":{{{sound}}}}}"),
        format!("{{\"\u{1}\":{{{sound}}}}}"),
        format!("{{\"a\":{{{sound}}},\"b\":{{{sound}}}}}"),
        format!("{{\"__metadata__\":{{\"k\":1}},\"a\":{{{sound}}}}}"),
        format!("{{\"__metadata__\":{{}},\"__metadata__\":{{}},\"a\":{{{sound}}}}}"),
        "[".repeat(MAX_HEADER),
    ] {
        let file = file(&header, &[0; 8]);
        assert!(SafeTensors::deserialize(&file).is_err(), "the crate reads {header}");
        assert!(container_error(&file).is_some(), "{header}");
    }
}

/// Valid for the format, whatever the order and the white space.
#[test]
fn headers_that_both_read() {
    for header in [
        r#"{"a":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"},"b":{"dtype":"F32","shape":[1,1,1],"data_offsets":[4,8]}}"#,
        r#"{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        "{ \"a\" : {\t\"dtype\"\n:\r\"F32\" , \"shape\" : [ 2 ] , \"data_offsets\" : [ 0 , 8 ] } }  \n",
        r#"{"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"":"\ud83d\ude00 \u20ac"}}"#,
        r#"{"__metadata__":{"k":"\"\\\/\b\f\n\r\t\u0041"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
    ] {
        let file = file(header, &[0; 8]);
        SafeTensors::deserialize(&file).unwrap();
        assert_eq!(container_error(&file), None, "{header}");
    }
}

/// A name is written in one way, so equal names have equal bytes.
#[test]
fn keys_with_escapes_are_refused() {
    let sound = r#""dtype":"F32","shape":[2],"data_offsets":[0,8]"#;
    for header in [
        format!("{{\"\\u0061\":{{{sound}}}}}"),
        format!("{{\"a\":{{{}}}}}", sound.replace("dtype", "\\u0064type")),
        format!("{{\"a\":{{{}}}}}", sound.replace("F32", "F3\\u0032")),
        format!("{{\"__metadata__\":{{\"\\n\":\"\"}},\"a\":{{{sound}}}}}"),
        format!("{{\"\\u005f_metadata__\":{{\"k\":\"v\"}},\"a\":{{{sound}}}}}"),
    ] {
        let file = file(&header, &[0; 8]);
        assert!(SafeTensors::deserialize(&file).is_ok(), "{header}");
        assert!(matches!(container_error(&file), Some(ModelError::Json { .. })), "{header}");
    }
}

#[test]
fn names_occur_once() {
    for header in [
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
        r#"{"__metadata__":{"a":"","bc":"","a":""},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"shape":[2]}}"#,
    ] {
        let error = Model::open(&file(header, &[0; 8])).map(|_| ()).unwrap_err();
        assert!(matches!(error, ModelError::Duplicate { .. }), "{header}: {error}");
    }
}

/// The four types, each of its size, and no other; tensors lie at multiples of it.
#[test]
fn types_have_their_sizes_and_lie_at_multiples_of_them() {
    let header = |dtype: &str, begin: usize, end: usize| {
        let fields = |dtype: &str, n: usize, begin: usize, end: usize| {
            format!(r#"{{"dtype":"{dtype}","shape":[{n}],"data_offsets":[{begin},{end}]}}"#)
        };
        let pad =
            if begin == 0 { String::new() } else { format!(r#""a":{},"#, fields("I8", begin, 0, begin)) };
        format!(r#"{{{pad}"b":{}}}"#, fields(dtype, 3, begin, end))
    };
    for (dtype, size) in [("F32", 4), ("I32", 4), ("I16", 2), ("I8", 1)] {
        for begin in 0..8 {
            for length in 1..16 {
                let end = begin + length;
                let file = file(&header(dtype, begin, end), &vec![0; end]);
                let want = match (length == 3 * size, begin % size) {
                    (false, _) => Some(ModelError::Offsets { tensor: usize::from(begin > 0) }),
                    (true, 0) => None,
                    (true, _) => Some(ModelError::Alignment),
                };
                assert_eq!(container_error(&file), want, "{dtype} in {begin}..{end}");
                assert_eq!(SafeTensors::deserialize(&file).is_ok(), length == 3 * size);
            }
        }
    }
    for dtype in ["F16", "BF16", "F64", "U8", "I64", "BOOL", "i8", "F4"] {
        let file = file(&header(dtype, 0, 6), &[0; 6]);
        assert_eq!(container_error(&file), Some(ModelError::Dtype { tensor: 0 }), "{dtype}");
    }
}

/// Integers of the right size in the place of floats.
#[test]
fn a_layer_refuses_tensors_of_another_type() {
    let (metadata, tensors) = fixture::agent(fixture::SMALL, 1);
    let layers = metadata["ddn.graph"].split(';').collect::<Vec<_>>();
    for name in tensors.keys() {
        let key = format!("\"{name}\":{{\"dtype\":\"");
        let mut bytes = fixture::encode(&metadata, &tensors);
        let at = bytes.windows(key.len()).position(|window| window == key.as_bytes()).unwrap() + key.len();
        bytes.splice(at..at + 3, *b"I32");
        let of = name.split('.').next().unwrap();
        let layer = layers.iter().position(|layer| layer.ends_with(&format!(":{of}"))).unwrap();
        let want = ModelError::Layer { layer, fault: LayerFault::Dtype };
        assert_eq!(Model::open(&bytes).map(|_| ()).unwrap_err(), want, "{name}");
    }
}

/// Something that resembles a header.
fn header() -> impl Strategy<Value = String> {
    let number = prop_oneof![Just("0".into()), Just("4".into()), Just("8".into()), "[0-9.e-]{1,3}"];
    let text = prop_oneof![
        Just("F32".into()),
        Just("F16".into()),
        Just("a".into()),
        Just("dtype".into()),
        "\\PC{0,4}"
    ];
    let list = prop::collection::vec(number, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
    let field = prop_oneof![
        4 => Just("\"dtype\":\"F32\"".to_owned()),
        4 => list.clone().prop_map(|list| format!("\"data_offsets\":{list}")),
        4 => list.prop_map(|list| format!("\"shape\":{list}")),
        1 => (text.clone(), text.clone()).prop_map(|(key, value)| format!("\"{key}\":\"{value}\"")),
    ];
    let object = prop::collection::vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(",")));
    let name = prop_oneof![Just("__metadata__".into()), Just("b".into()), text];
    let entry = (name, object).prop_map(|(name, object)| format!("\"{name}\":{object}"));
    prop::collection::vec(entry, 0..4).prop_map(|entries| format!("{{{}}}", entries.join(",")))
}

/// Whether the reader got as far as the metadata while the crate refuses the file.
fn laxer(file: &[u8]) -> bool {
    container_error(file).is_none() && SafeTensors::deserialize(file).is_err()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_return(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!laxer(&bytes));
    }

    #[test]
    fn any_header_is_judged_no_milder(header in header(), size in 0_usize..12) {
        prop_assert!(!laxer(&file(&header, &vec![0; size])), "{header} with {size} bytes");
    }

    #[test]
    fn a_changed_header_is_judged_no_milder(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(b'"'), Just(b'\\'), Just(b','), Just(b'0'), any::<u8>()]), 1..4),
        insert in any::<bool>(),
    ) {
        let whole = fixture::agent_file(fixture::SMALL, 1, 1);
        let (length, rest) = whole.split_at(8);
        let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let mut header = header.to_vec();
        for (at, byte) in edits {
            let at = at.index(header.len());
            if insert { header.insert(at, byte) } else { header[at] = byte }
        }
        let mut bad = (header.len() as u64).to_le_bytes().to_vec();
        bad.extend_from_slice(&header);
        bad.extend_from_slice(data);
        prop_assert!(!laxer(&bad), "{}", String::from_utf8_lossy(&header));
    }
}

/// The document and the code name the same things.
#[test]
fn the_document_names_every_kind_and_the_version() {
    let document = include_str!("../../docs/format.md");
    for kind in KINDS {
        assert!(document.contains(&format!("`{kind}`")), "{kind} is not in docs/format.md");
    }
    let version = format!("Format version: **{}**", ddn_runtime::model::FORMAT);
    assert!(document.contains(&version), "docs/format.md does not say {version}");
}
