//! Writing to disk, and not writing.

use std::fs;

use ddn_export::error::ExportError;
use ddn_export::exporter;
use ddn_export::publish::{Output, publish};
use ddn_export::verify::compare;

use crate::common::{self, Formula, record};

#[test]
fn files_are_replaced_whole_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("new/export");
    let frozen = common::lpn();
    let outputs: Vec<Output> = exporter::REGISTRY
        .iter()
        .map(|e| Output { file_name: e.file_name(), bytes: e.encode(&frozen).expect("exports") })
        .collect();
    for _ in 0..2 {
        let paths = publish(&out, &outputs, &[]).expect("writes");
        assert_eq!(paths, [out.join("policy.safetensors"), out.join("policy.onnx")]);
        for (path, output) in paths.iter().zip(&outputs) {
            assert_eq!(fs::read(path).expect("is there"), output.bytes);
        }
        assert_eq!(fs::read_dir(&out).expect("is there").count(), 2);
    }
}

#[test]
fn a_mismatch_leaves_the_folder_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("export");
    let frozen = common::plain();
    let mut wrong = frozen.clone();
    wrong.tensors.get_mut("fc2.bias").expect("is there").data[0] += 1.0;
    let recordings = record(&frozen, 1, 5);
    let report = compare(&mut Formula::new(&wrong), &frozen.spec, &recordings).expect("runs");
    let outputs = [Output { file_name: "policy.onnx", bytes: vec![1] }];
    let error = publish(&out, &outputs, &[report]).expect_err("is refused");
    assert!(matches!(error, ExportError::Mismatch { .. }));
    assert_eq!(error.exit_code(), 1);
    assert!(!out.exists());
}

#[test]
fn one_place_that_is_taken_keeps_every_file_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("policy.onnx")).expect("a folder in the way");
    let outputs = ["policy.safetensors", "policy.onnx"].map(|file_name| Output { file_name, bytes: vec![1] });
    let error = publish(dir.path(), &outputs, &[]).expect_err("one of two cannot be written");
    assert_eq!(error.exit_code(), 5);
    assert_eq!(fs::read_dir(dir.path()).expect("is there").count(), 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_io_error() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = publish(file.path(), &[], &[]).expect_err("is a file");
    assert_eq!(error.exit_code(), 5);
}
