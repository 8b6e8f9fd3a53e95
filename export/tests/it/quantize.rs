//! Networks in integers against the formulas in floats.

use std::path::Path;

use ddn_export::archive::{self, Numbers};
use ddn_export::error::ExportError;
use ddn_export::frozen::{Frozen, Tensor};
use ddn_export::quantize::Quantized;
use ddn_export::spec::{AgentSpec, InputKind};
use ddn_export::verify::{Engine as _, Runtime};
use ddn_export::{graph, replay};

use crate::common::{self, record};

/// Every hand-made network stays within one per cent of its largest value over whole episodes, with a state of its own.
#[test]
fn integers_stay_close_over_whole_episodes() {
    for (name, frozen) in common::all() {
        let recordings = record(&frozen, 4, 40);
        let quantized = match Quantized::int8(&frozen, &recordings[..2]) {
            // Its block adds something that is not linear in what it sees.
            Err(ExportError::Unsupported { .. }) if name == "every kind" => continue,
            quantized => quantized.expect(name),
        };
        let mut engine = Runtime::load(&frozen.spec, quantized.encode().expect(name)).expect(name);
        for recording in &recordings {
            engine.begin();
            let largest = recording.q.iter().fold(0.0, |largest: f32, q| largest.max(q.abs()));
            for t in 0..recording.n_steps {
                let answer = engine.step(&recording.step(&frozen.spec, t)).expect(name);
                let want = &recording.q[t * answer.q.len()..][..answer.q.len()];
                for (got, want) in answer.q.iter().zip(want) {
                    assert!((got - want).abs() < 0.02 * largest, "{name}, step {t}: {got} for {want}");
                }
            }
        }
    }
}

#[test]
fn the_same_network_gives_the_same_bytes() {
    let frozen = common::lpn();
    let recordings = record(&frozen, 2, 10);
    let file = || Quantized::int8(&frozen, &recordings).and_then(|quantized| quantized.encode());
    assert_eq!(file().expect("rounds"), file().expect("rounds"));
}

/// Weights are a quarter of their size, and every row of padding is zero.
#[test]
fn the_tensors_are_what_the_format_says() {
    let frozen = common::lpn();
    let quantized = Quantized::int8(&frozen, &record(&frozen, 2, 10)).expect("rounds");
    let (metadata, tensors) = archive::decode(&quantized.encode().expect("encodes")).expect("reads");
    let input = frozen.spec.input_dim();
    let graph = &metadata["ddn.graph"];
    assert_eq!(
        graph,
        "quantize:0>7:input;linear_i8:7>1:hyper;relu:1>1;linear_i8:7>2:shift;block_i8:1,7,2>3:block;\
         linear_i8:3>4:fc1;relu:4>4;gru_i8:4>5:gru;values_i8:5>6:fc2"
    );
    let Some((shape, Numbers::I8(block))) = tensors.get("block.weight") else { panic!("int8 is there") };
    assert_eq!(shape, &[input, 8, 8], "6 outputs and 4 inputs are padded to 8");
    for (row, weights) in block.chunks_exact(8).enumerate() {
        let padding = row % 8 >= 6;
        assert_eq!(weights.iter().all(|weight| *weight == 0), padding, "row {row}");
        assert!(padding || weights.iter().any(|weight| weight.unsigned_abs() == 127), "row {row}");
    }
}

#[test]
fn what_cannot_be_expressed_is_refused_with_its_reason() {
    let mut wide = common::plain();
    let hidden = 260;
    for (name, shape) in [
        ("fc1.weight", vec![hidden, wide.spec.input_dim()]),
        ("fc1.bias", vec![hidden]),
        ("gru.weight_ih", vec![24, hidden]),
    ] {
        let data = vec![0.1; shape.iter().product()];
        wide.tensors.insert(name.into(), Tensor { shape, data });
    }
    let error = Quantized::int8(&wide, &record(&wide, 1, 3)).expect_err("is too wide");
    assert!(matches!(error, ExportError::Unsupported { .. }));
    let want = "int8 cannot express this graph: `gru:1>2:gru` sums 264 products, at most 256 fit";
    assert_eq!(error.to_string(), want);
}

/// `examples/firmware/assets/reference_int8.safetensors` is what comes of `reference.safetensors` and random observations.
/// `DDN_WRITE=1` writes it.
#[test]
fn the_reference_net_of_the_firmware_is_up_to_date() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/firmware/assets");
    let floats = std::fs::read(assets.join("reference.safetensors")).expect("is committed");
    let (metadata, mut tensors) = archive::decode(&floats).expect("reads");
    tensors.retain(|name, _| !name.starts_with("kat."));
    let spec = AgentSpec {
        environment: metadata["ddn.environment"].clone(),
        n_agents: 1,
        actions: metadata["ddn.actions"].split(',').map(str::to_owned).collect(),
        obs_dim: 64,
        obs_layout: metadata["ddn.obs"].clone(),
        inputs: vec![InputKind::Obs],
    };
    let layers = graph::from_text(&metadata["ddn.graph"]).expect("reads");
    let tensors = archive::floats(tensors).expect("are floats");
    let frozen = Frozen {
        spec,
        config_sha256: String::new(),
        layers,
        tensors,
        sparse: false,
        obs_range: None,
        known_answers: None,
    };
    let recordings = record(&frozen, 2, 50);
    let mut quantized = Quantized::int8(&frozen, &recordings).expect("rounds");
    let mut engine = Runtime::load(&frozen.spec, quantized.encode().expect("encodes")).expect("loads");
    quantized.known_answers =
        Some(replay::self_test(&mut engine, &frozen.spec, &recordings[0]).expect("records"));
    let bytes = quantized.encode().expect("encodes");
    let path = assets.join("reference_int8.safetensors");
    if std::env::var_os("DDN_WRITE").is_some() {
        std::fs::write(&path, &bytes).expect("can be written");
    }
    assert!(std::fs::read(&path).expect("is committed") == bytes, "run this test with DDN_WRITE=1");
}
