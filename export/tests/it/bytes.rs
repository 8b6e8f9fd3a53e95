//! The bytes of both formats.

use ddn_export::error::ExportError;
use ddn_export::frozen::Tensor;
use ddn_export::graph::LayerKind;
use ddn_export::{archive, exporter, inspect, layout, onnx, replay, safetensors};

use crate::common::{self, Formula, record};

#[test]
fn the_same_policy_gives_the_same_bytes() {
    for (name, frozen) in common::all() {
        for exporter in exporter::REGISTRY {
            let bytes = exporter.encode(&frozen).expect("exports");
            assert_eq!(bytes, exporter.encode(&frozen.clone()).expect("exports"), "{name}");
        }
    }
}

#[test]
fn the_model_file_is_canonical_and_aligned() {
    let frozen = common::plain();
    let bytes = exporter::by_name("safetensors").and_then(|e| e.encode(&frozen)).expect("exports");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"));
    let length = usize::try_from(length).expect("fits");
    assert_eq!((8 + length) % archive::ALIGNMENT, 0);
    let header = std::str::from_utf8(&bytes[8..8 + length]).expect("text");
    assert!(
        header.starts_with(
            r#"{"__metadata__":{"ddn.actions":"noop,stop,north,south,attack","ddn.agents":"3","#
        )
    );
    assert!(header.contains(r#""ddn.graph":"linear:0>1:fc1;relu:1>1;gru:1>2:gru;linear:2>3:fc2""#));
    assert!(header.contains(r#""ddn.inputs":"obs:7,last_action:5,agent_id:3""#));
    assert!(
        header.contains(r#"},"fc1.bias":{"dtype":"F32","shape":[8],"data_offsets":[0,32]},"fc1.weight":"#)
    );
    let data: usize = frozen.tensors.values().map(|t| 4 * t.data.len()).sum();
    assert_eq!(bytes.len(), 8 + length + data);
}

#[test]
fn the_model_file_round_trips() {
    for (name, mut frozen) in common::all() {
        let recording = record(&frozen, 1, 5);
        let answers = replay::self_test(&mut Formula::new(&frozen), &frozen.spec, &recording[0]);
        frozen.known_answers = Some(answers.expect("records"));
        let bytes = exporter::by_name("safetensors").and_then(|e| e.encode(&frozen)).expect("exports");
        let (metadata, tensors) = archive::decode(&bytes).expect("reads");
        let mut tensors = archive::floats(tensors).expect("are floats");
        let answers = tensors.split_off("kat.");
        let mut weights = answers.clone();
        weights.retain(|key, _| !key.starts_with("kat."));
        weights.extend(tensors);
        let (graph, want) = layout::of(&frozen).expect("lays out");
        assert_eq!(weights, want, "{name}");
        assert_eq!(answers["kat.q"].shape, [16, common::ACTIONS]);
        assert_eq!(answers["kat.last_action"].data.iter().filter(|&&l| l < 0.0).count(), 1);
        assert_eq!(metadata["ddn.graph"], graph);
        assert_eq!(metadata["ddn.contract"], frozen.spec.contract());
    }
}

#[test]
fn recorded_agent_episodes_begin_without_a_last_action() {
    let frozen = common::plain();
    let recordings = record(&frozen, 2, 4);
    let answers = replay::agent_episodes(&mut Formula::new(&frozen), &frozen.spec, &recordings, 4);
    let answers = answers.expect("records");
    assert_eq!(answers.len(), 4 * 4);
    let starts: Vec<usize> = (0..answers.len()).filter(|&s| answers.last_action[s].is_none()).collect();
    assert_eq!(starts, [0, 4, 8, 12]);
    assert_eq!(answers.agent, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0]);
    let bytes = safetensors::episodes(&frozen, &answers).expect("encodes");
    let (metadata, tensors) = archive::decode(&bytes).expect("reads");
    assert_eq!(tensors["kat.obs"].0, [16, common::OBS]);
    assert_eq!(metadata["ddn.contract"], frozen.spec.contract());
    let few = replay::agent_episodes(&mut Formula::new(&frozen), &frozen.spec, &recordings, 7);
    assert!(matches!(few, Err(ExportError::Usage(_))));
}

#[test]
fn the_onnx_file_holds_the_gates_in_its_own_order() {
    let frozen = common::plain();
    let model = onnx::model(&frozen).expect("lowers").graph.expect("a graph");
    let find = |name: &str| {
        let tensor = model.initializer.iter().find(|t| t.name == name).expect("is there");
        let (words, _) = tensor.raw_data.as_chunks::<4>();
        (tensor.dims.clone(), words.iter().map(|w| f32::from_le_bytes(*w)).collect::<Vec<_>>())
    };
    let (dims, got) = find("gru.weight_ih");
    let rows = &frozen.tensors["gru.weight_ih"].data;
    let gate = 8 * 8;
    assert_eq!(dims, [1, 24, 8]);
    assert_eq!(got[..gate], rows[gate..2 * gate], "z comes first");
    assert_eq!(got[gate..2 * gate], rows[..gate], "then r");
    assert_eq!(got[2 * gate..], rows[2 * gate..], "then n");
}

#[test]
fn broken_policies_are_refused() {
    let mut frozen = common::plain();
    frozen.tensors.remove("fc2.bias");
    assert_eq!(frozen.check().expect_err("is missing").to_string(), "tensor fc2.bias is missing");

    let mut frozen = common::plain();
    frozen.tensors.insert("gru.bias_ih".into(), Tensor::new(&[8], vec![0.0; 8]));
    assert!(matches!(frozen.check(), Err(ExportError::Shape { .. })));

    let mut frozen = common::plain();
    frozen.tensors.insert("more".into(), Tensor::new(&[1], vec![0.0]));
    assert!(matches!(frozen.check(), Err(ExportError::Corrupt { .. })));

    let mut frozen = common::plain();
    frozen.tensors.get_mut("fc1.bias").expect("is there").data[0] = f32::NAN;
    assert!(matches!(frozen.check(), Err(ExportError::Corrupt { .. })));

    let mut frozen = common::plain();
    frozen.layers[3].inputs = vec![9];
    let error = frozen.check().expect_err("slot 9 is empty").to_string();
    assert_eq!(error, "layer 3 (linear:9>3:fc2): slot 9 is empty");

    let mut frozen = common::plain();
    frozen.layers.retain(|layer| layer.kind != LayerKind::Gru);
    frozen.layers[2].inputs = vec![1];
    frozen.tensors.retain(|name, _| !name.starts_with("gru."));
    assert!(matches!(onnx::model(&frozen), Err(ExportError::Unsupported { .. })));

    let mut frozen = common::plain();
    frozen.spec.actions[0] = "a,b".into();
    assert!(matches!(frozen.check(), Err(ExportError::Spec { field: "actions", .. })));
}

#[test]
fn files_can_be_inspected() {
    let frozen = common::lpn();
    for exporter in exporter::REGISTRY {
        let bytes = exporter.encode(&frozen).expect("exports");
        let text = inspect::describe(&bytes).expect("reads");
        assert!(text.contains("ddn.contract"), "{text}");
        assert!(text.contains("block.weight"), "{text}");
        for cut in [0, 7, 9, bytes.len() / 2] {
            assert!(inspect::describe(&bytes[..cut]).is_err(), "{} bytes", cut);
        }
    }
}
