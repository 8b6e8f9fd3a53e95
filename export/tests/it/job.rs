//! The whole run, from a trained team to files, with the formulas in the place of a trainer.

use ddn_export::error::ExportError;
use ddn_export::frozen::Frozen;
use ddn_export::job::{self, Job, Quantize, Trained};
use ddn_export::record::Recording;
use ddn_export::verify::refuse;
use ddn_export::{archive, freeze, graph};

use ddn_trainer::env::Env;

use crate::common;
use crate::world::World;

/// `shown` is what the trainer recorded with, `frozen` what it hands over.
struct Team {
    frozen: Frozen,
    shown: Frozen,
}

impl Trained for Team {
    fn freeze(&self) -> Result<Frozen, ExportError> {
        Ok(self.frozen.clone())
    }

    fn record(&self, episodes: usize) -> Result<Vec<Recording>, ExportError> {
        Ok(common::record(&self.shown, episodes, 9))
    }

    fn env(&self) -> Result<Box<dyn Env>, ExportError> {
        Ok(Box::new(World::new(&self.frozen.spec)))
    }
}

fn job(record: usize, engines: &[&str]) -> Job {
    Job {
        formats: vec!["safetensors".into(), "onnx".into()],
        engines: engines.iter().map(|&e| e.to_owned()).collect(),
        episodes: 3,
        record,
        quantize: None,
    }
}

#[test]
fn a_team_becomes_files_that_pass() {
    for (name, frozen) in common::all() {
        let team = Team { shown: frozen.clone(), frozen };
        let outcome = job::run(&job(5, &["candle", "runtime", "tract"]), &team).expect(name);
        refuse(&outcome.reports).expect(name);
        let engines: Vec<&str> = outcome.reports.iter().map(|r| r.engine.as_str()).collect();
        assert_eq!(engines, ["runtime", "tract"]);
        assert!(outcome.reports.iter().all(|r| r.steps == 3 * 9 * common::AGENTS));
        let names: Vec<&str> = outcome.outputs.iter().map(|o| o.file_name).collect();
        assert_eq!(names, ["policy.safetensors", "policy.onnx", "episodes.safetensors"]);
        let (_, policy) = archive::decode(&outcome.outputs[0].bytes).expect("reads");
        assert_eq!(policy["obs.range"].0, [2, common::OBS]);
        let (_, episodes) = archive::decode(&outcome.outputs[2].bytes).expect("reads");
        assert_eq!(episodes["kat.action"].0, [5 * 9]);
    }
}

#[test]
fn a_team_becomes_integers_as_well() {
    let team = Team { shown: common::lpn(), frozen: common::lpn() };
    let quantize = Some(Quantize { steps: 500, episodes: 20 });
    let outcome = job::run(&Job { quantize, ..job(5, &[]) }, &team).expect("runs");
    let names: Vec<&str> = outcome.outputs.iter().map(|o| o.file_name).collect();
    let want = ["policy.safetensors", "policy.onnx", "episodes.safetensors"];
    assert_eq!(names, [&want[..], &["policy_int8.safetensors", "episodes_int8.safetensors"]].concat());
    let (metadata, _) = archive::decode(&outcome.outputs[3].bytes).expect("reads");
    assert_eq!(metadata["ddn.quantized"], "int8");
    assert_eq!(metadata["ddn.contract"], team.frozen.spec.contract());
    let agreement = outcome.agreement.expect("was asked for");
    assert!(agreement.steps >= 500 && agreement.equal <= agreement.steps, "{agreement:?}");
    assert_eq!((agreement.first.episodes, agreement.second.episodes), (20, 20));
    agreement.refuse(0.95).expect("agrees");
    let error = agreement.refuse(1.1).expect_err("never agrees that much").to_string();
    assert!(error.ends_with("110.00 % are wanted (--min-agreement); no file was written"), "{error}");
}

#[test]
fn the_bytes_do_not_depend_on_what_is_checked_or_recorded() {
    let team = Team { shown: common::lpn(), frozen: common::lpn() };
    let bare = job::run(&job(0, &[]), &team).expect("runs");
    let full = job::run(&job(4, &["tract"]), &team).expect("runs");
    assert_eq!(bare.outputs[..], full.outputs[..2]);
    assert!(bare.reports.is_empty());
}

#[test]
fn a_network_that_was_frozen_wrongly_is_refused() {
    let mut frozen = common::plain();
    // As if the reset and the update gate had been exchanged.
    let gates = &mut frozen.tensors.get_mut("gru.weight_hh").expect("is there").data;
    let third = gates.len() / 3;
    gates.rotate_left(third);
    let team = Team { shown: common::plain(), frozen };
    let outcome = job::run(&job(0, &["runtime", "tract"]), &team).expect("runs");
    let error = refuse(&outcome.reports).expect_err("differs").to_string();
    assert_eq!(error, "runtime, tract disagree with the trained network; no file was written");
}

#[test]
fn freezing_folds_the_scale_into_the_block() {
    let lpn = common::lpn();
    let parameters =
        lpn.tensors.iter().map(|(n, t)| (n.clone(), (t.shape.clone(), t.data.clone()))).collect();
    let network = freeze::network("ddn").expect("is known");
    let frozen = freeze::freeze(network, lpn.spec.clone(), "00".into(), 0.5, parameters);
    let frozen = frozen.expect("fits");
    assert_eq!(graph::to_text(&frozen.layers), graph::LPN);
    for (name, tensor) in &frozen.tensors {
        let scale = if name == "block.weight" { 0.5 } else { 1.0 };
        let want: Vec<f32> = lpn.tensors[name].data.iter().map(|v| scale * v).collect();
        assert_eq!(tensor.data, want, "{name}");
    }
    let missing = freeze::freeze(network, lpn.spec, "00".into(), 1.0, [].into());
    assert!(matches!(missing, Err(ExportError::MissingTensor { .. })));
    assert!(matches!(freeze::network("qmix"), Err(ExportError::Unknown { .. })));
}
