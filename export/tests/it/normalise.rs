//! A network that was trained on scaled observations, given raw ones.

use ddn_export::exporter::Exporter;
use ddn_export::frozen::Frozen;
use ddn_export::normalise;
use ddn_export::record::Recording;
use ddn_export::safetensors::Safetensors;
use ddn_export::verify::{Engine, Runtime, compare};

use crate::common::{Formula, OBS, every_kind, lpn, plain, record};

/// Metres, pascals, radians and the like.
const MEAN: [f32; OBS] = [0.0, 100.0, -3.5, 0.02, 7.0, -40.0, 1.0];
const SCALE: [f32; OBS] = [1.0, 0.05, 2.0, 80.0, 0.5, 0.125, 3.0];
/// As `MEAN`, with a pressure at sea level.
const FAR: [f32; OBS] = [0.0, 101_325.0, -3.5, 0.02, 7.0, -40.0, 1.0];

/// The same steps with observations as a device measures them.
fn raw(scaled: &Recording, mean: &[f32; OBS]) -> Recording {
    let elements = scaled.obs.iter().enumerate();
    let obs = elements.map(|(k, &x)| x / SCALE[k % OBS] + mean[k % OBS]).collect();
    Recording { obs, ..scaled.clone() }
}

/// What the trained network answers to raw observations that it is given scaled, as the trainer does.
fn answered(trained: &Frozen, raw: &Recording, mean: &[f32; OBS]) -> Recording {
    let elements = raw.obs.iter().enumerate();
    let obs: Vec<f32> = elements.map(|(k, &o)| (o - mean[k % OBS]) * SCALE[k % OBS]).collect();
    let scaled = Recording { obs, ..raw.clone() };
    let mut formula = Formula::new(trained);
    let mut answered = Recording { q: Vec::new(), action: Vec::new(), ..raw.clone() };
    for t in 0..raw.n_steps {
        let answer = formula.step(&scaled.step(&trained.spec, t)).expect("a formula cannot fail");
        answered.q.extend(answer.q);
        answered.action.extend(answer.action);
    }
    answered
}

#[test]
fn the_folded_network_gives_raw_observations_the_answers_of_scaled_ones() {
    for (trained, mean) in [(plain(), MEAN), (lpn(), MEAN), (plain(), FAR), (lpn(), FAR)] {
        let scaled = record(&trained, 3, 12);
        let recordings: Vec<_> =
            scaled.iter().map(|scaled| answered(&trained, &raw(scaled, &mean), &mean)).collect();
        let mut folded = trained.clone();
        normalise::fold(&mut folded, &mean, &SCALE).expect("its layers can take it in");
        folded.check().expect("it is still a network");
        assert_eq!(folded.spec, trained.spec);
        // Only where it is needed.
        assert_eq!(folded.layers.len() > trained.layers.len(), mean == FAR);

        let answers = |network| {
            let bytes = Safetensors.encode(network).expect("encodes");
            let mut runtime = Runtime::load(&trained.spec, bytes).expect("loads");
            compare(&mut runtime, &trained.spec, &recordings).expect("runs")
        };
        let report = answers(&folded);
        assert_eq!(report.mismatches, 0, "{report:?}");
        // Unfolded, the same observations mean something else.
        assert!(answers(&trained).largest_difference > 0.1);
    }
}

#[test]
fn a_layer_that_cannot_take_the_scaling_in_is_named() {
    let error = normalise::fold(&mut every_kind(), &MEAN, &SCALE).expect_err("a concat reads the input");
    let message = error.to_string();
    assert!(message.contains("concat:0,1>2") && message.contains("learner.normalise"), "{message}");
}
