//! The reader against the `safetensors` crate, on files that are almost sound: it never accepts what the crate refuses, and
//! refuses what the crate accepts only for the reasons that `docs/format.md` gives.
#![allow(missing_docs, clippy::unwrap_used)]

use ddn_runtime::ModelError;
use mutate::{Counts, Mutator, container_error};
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../fixture/mutate.rs"]
mod mutate;

/// `cargo run -p ddn-runtime --release --example fuzz_reader -- 5000000` asks for more.
#[test]
fn twenty_thousand_changed_files() {
    let mut mutator = Mutator::new(1);
    let mut counts = Counts::default();
    for _ in 0..20_000 {
        counts.judge(mutator.next()).map_err(|file| String::from_utf8_lossy(&file).into_owned()).unwrap();
    }
    let classes: Vec<_> = counts.stricter.keys().copied().collect();
    let known = ["JSON", "alignment", "header length", "key twice", "shape", "too many entries", "type"];
    assert!(classes.iter().all(|class| known.contains(class)), "{counts:?}");
    // Enough of each kind, or the test asks nothing.
    assert!(counts.both_accept > 1000 && counts.both_refuse > 5000 && counts.policies > 20, "{counts:?}");
}

/// What is refused beyond the crate, one file each.
#[test]
fn what_only_the_reader_refuses() {
    let file = |header: &str, data: usize| {
        let header = header.to_owned() + &" ".repeat(header.len().next_multiple_of(8) - header.len());
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
    };
    let entry = |dtype: &str, shape: &str, end: usize| {
        format!("{{\"a\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[0,{end}]}}}}")
    };
    let many = |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<Vec<_>>().join(",");
    let is = |header: &str, data: usize, want: fn(ModelError) -> bool| {
        let file = file(header, data);
        assert!(SafeTensors::deserialize(&file).is_ok(), "the crate refuses {header}");
        assert!(container_error(&file).is_some_and(want), "{header}: {:?}", container_error(&file));
    };
    let json = |error| matches!(error, ModelError::Json { .. });
    let shape = |error| matches!(error, ModelError::Shape { .. });
    let twice = |error| matches!(error, ModelError::Duplicate { .. });
    for (dtype, size) in [("F16", 2), ("BF16", 2), ("U8", 1), ("F64", 8), ("I64", 8), ("BOOL", 1)] {
        is(&entry(dtype, "[1]", size), size, |error| matches!(error, ModelError::Dtype { .. }));
    }
    is(&entry("F32", "[]", 4), 4, shape);
    is(&entry("F32", "[1,1,1,1]", 4), 4, shape);
    is(&entry("F32", "[0]", 0), 0, shape);
    is(&entry("F32", "[1]", 4).replace("a\":{", "a\":{\"x\":[{}],"), 4, json); // a field that means nothing
    is(&entry("F32", "[1]", 4).replace("\"a\"", "\"\\u0061\""), 4, json); // a key with escapes
    is(&entry("F32", "[1]", 4).replace("F32", "\\u004632"), 4, json);
    is(r#"{"__metadata__":null}"#, 0, json);
    is(
        &entry("F32", "[1]", 4).replace('{', "{\"__metadata__\":{\"k\":\"\",\"k\":\"\"},").replacen(
            "\"a\":{\"__metadata__\":{\"k\":\"\",\"k\":\"\"},",
            "\"a\":{",
            1,
        ),
        4,
        twice,
    );
    let odd = r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I16","shape":[1],"data_offsets":[1,3]}}"#;
    is(odd, 3, |error| error == ModelError::Alignment);
    let tensors = |n| {
        let tensor =
            |i| format!("\"{i}\":{{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[{i},{}]}}", i + 1);
        format!("{{{}}}", many(n, &tensor))
    };
    let metadata = |n| format!("{{\"__metadata__\":{{{}}}}}", many(n, &|i| format!("\"{i}\":\"\"")));
    assert_eq!(container_error(&file(&tensors(48), 48)), None);
    is(&tensors(49), 49, |error| error == ModelError::TooMany);
    assert_eq!(container_error(&file(&metadata(24), 0)), None);
    is(&metadata(25), 0, |error| error == ModelError::TooMany);
    let long = |n| format!("{{\"__metadata__\":{{\"k\":\"{}\"}}}}", "v".repeat(n));
    assert_eq!(container_error(&file(&long(65_000), 0)), None);
    is(&long(65_536), 0, |error| error == ModelError::HeaderLength);
}

/// A tensor as the crate's writer takes it.
fn tensor() -> impl Strategy<Value = (String, Dtype, Vec<usize>)> {
    let name = prop_oneof!["[a-z]{1,3}", "[a-z]{1,2}\\.[a-z]{1,2}", "\\PC{0,3}"];
    let dtype = prop::sample::select(vec![Dtype::F32, Dtype::I32, Dtype::I16, Dtype::I8]);
    (name, dtype, prop::collection::vec(1_usize..5, 1..4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The crate's writer lays out by the size of the types, so what it writes is read.
    #[test]
    fn what_the_crate_writes_is_read(
        tensors in prop::collection::vec(tensor(), 1..12),
        metadata in prop::collection::hash_map("[a-z.]{1,6}", "\\PC{0,12}|[\"\\\\\n\t/]{1,3}", 0..8),
    ) {
        let size = |dtype: Dtype, shape: &[usize]| shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let data: Vec<Vec<u8>> = tensors.iter().map(|(_, dtype, shape)| vec![0; size(*dtype, shape)]).collect();
        let mut views = std::collections::BTreeMap::new();
        for ((name, dtype, shape), data) in tensors.iter().zip(&data) {
            views.insert(name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap());
        }
        let escaped = views.keys().any(|name| name.contains(['"', '\\']));
        let written = serialize(views, Some(metadata)).unwrap();
        let error = container_error(&written);
        prop_assert!(error.is_none() || escaped && matches!(error, Some(ModelError::Json { .. })), "{error:?}");
    }

    #[test]
    fn a_changed_file_is_judged_no_milder(seed in any::<u64>()) {
        let mut mutator = Mutator::new(seed);
        let mut counts = Counts::default();
        for _ in 0..10 {
            let verdict = counts.judge(mutator.next());
            prop_assert!(verdict.is_ok(), "{}", String::from_utf8_lossy(&verdict.unwrap_err()));
        }
    }
}
