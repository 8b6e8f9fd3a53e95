//! Engines against the formulas, over many recurrent steps.

use ddn_export::error::ExportError;
use ddn_export::record::{Recording, TeamStep};
use ddn_export::verify::{self, compare};

use crate::common::{self, Formula, record};

#[test]
fn engines_follow_the_formulas_for_fifty_steps() {
    let pairs = common::all().into_iter().flat_map(|(name, f)| {
        ["runtime", "tract"].map(|engine| (format!("{engine}, {name}"), engine, f.clone()))
    });
    for (name, engine, frozen) in pairs {
        let recordings = record(&frozen, 4, 50);
        let mut engine = verify::load(engine, &frozen).expect("loads");
        let report = compare(engine.as_mut(), &frozen.spec, &recordings).expect("runs");
        assert_eq!(report.steps, 4 * 50 * common::AGENTS);
        assert_eq!(report.mismatches, 0, "{name}: {report:?}");
        assert_eq!(report.equal_actions + report.near_ties, report.steps, "{name}");
        verify::refuse(&[report]).expect("agrees");
    }
}

#[test]
fn one_wrong_weight_is_a_mismatch() {
    for (name, frozen) in common::all() {
        let recordings = record(&frozen, 1, 50);
        for tensor in frozen.tensors.keys() {
            let mut wrong = frozen.clone();
            let data = &mut wrong.tensors.get_mut(tensor).expect("is there").data;
            *data.last_mut().expect("has values") += 0.01;
            let mut engine = Formula::new(&wrong);
            let report = compare(&mut engine, &frozen.spec, &recordings).expect("runs");
            assert!(report.mismatches > 0, "{name}, {tensor}: {report:?}");
            let first = report.first_mismatch.clone().expect("is told");
            assert!(first.difference > first.tolerance || first.want != first.got);
            assert!(matches!(verify::refuse(&[report]), Err(ExportError::Mismatch { .. })));
        }
    }
}

#[test]
fn a_state_that_survives_an_episode_is_a_mismatch() {
    struct Forgetful(Formula);
    impl verify::Engine for Forgetful {
        fn name(&self) -> &'static str {
            "forgetful"
        }
        fn begin(&mut self) {}
        fn step(&mut self, step: &TeamStep<'_>) -> Result<verify::Answer, ExportError> {
            self.0.step(step)
        }
    }
    let frozen = common::plain();
    let recordings = record(&frozen, 2, 10);
    let mut engine = Forgetful(Formula::new(&frozen));
    let report = compare(&mut engine, &frozen.spec, &recordings).expect("runs");
    let first = report.first_mismatch.expect("is told");
    assert_eq!((first.episode, first.step), (1, 0));
}

/// Gives the same answer at every step.
struct Fixed(verify::Answer);

impl verify::Engine for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }
    fn begin(&mut self) {}
    fn step(&mut self, _: &TeamStep<'_>) -> Result<verify::Answer, ExportError> {
        Ok(self.0.clone())
    }
}

#[test]
fn near_ties_pass_and_are_counted_and_clear_choices_do_not() {
    let mut spec = common::spec();
    spec.n_agents = 1;
    for (gap, near_ties, mismatches) in [(1.5e-5, 1, 0), (1e-4, 0, 1)] {
        let recording = Recording {
            n_steps: 1,
            obs: vec![0.0; common::OBS],
            last_action: vec![None],
            available: vec![true, true, true, true, false],
            q: vec![0.5, 0.5 + gap, 0.0, 0.0, 1.0],
            action: vec![1],
        };
        // The values agree, the choice does not.
        let mut engine = Fixed(verify::Answer { q: recording.q.clone(), action: vec![0] });
        let report = compare(&mut engine, &spec, &[recording]).expect("runs");
        assert_eq!((report.near_ties, report.mismatches), (near_ties, mismatches), "gap {gap}");
    }
}

#[test]
fn unknown_engines_are_named_with_the_known_ones() {
    let error = verify::load("matlab", &common::plain()).err().expect("is unknown").to_string();
    assert_eq!(error, "unknown engine `matlab`; known: candle, runtime, onnxruntime, tract");
}
