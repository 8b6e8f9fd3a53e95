//! What ships of every scheme in ONNX Runtime. Needs `ORT_DYLIB_PATH`, and says so where it is missing.

use ddn_trainer::learner::scheme::REGISTRY;

use crate::schemes::verify;

#[test]
fn what_ships_of_every_scheme_acts_as_it_was_trained() {
    for scheme in REGISTRY {
        verify(scheme.name, &["candle", "onnxruntime"]);
    }
}
