//! ONNX Runtime against the formulas. Needs `ORT_DYLIB_PATH`, and says so where it is missing.

use ddn_export::verify::{self, compare};

use crate::common::{self, record};

#[test]
fn onnxruntime_follows_the_formulas_for_fifty_steps() {
    for (name, frozen) in common::all() {
        let recordings = record(&frozen, 4, 50);
        let mut engine = verify::load("onnxruntime", &frozen).unwrap_or_else(|e| panic!("{e}"));
        let report = compare(engine.as_mut(), &frozen.spec, &recordings).expect("runs");
        assert_eq!(report.mismatches, 0, "{name}: {report:?}");
    }
}
