//! Two engines in one environment.

use ddn_export::agree::agree;
use ddn_export::error::ExportError;
use ddn_export::record::TeamStep;
use ddn_export::verify::{Answer, Engine};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::train::build_envs;

/// Takes action 0, whatever it sees.
struct Stubborn;

impl Engine for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    fn begin(&mut self) {}

    fn step(&mut self, step: &TeamStep<'_>) -> Result<Answer, ExportError> {
        let agents = step.last_action.len();
        Ok(Answer { q: vec![0.0; step.available.len()], action: vec![0; agents] })
    }
}

#[test]
fn it_ends_where_no_agent_ever_has_a_choice() {
    let game = "t_max = 1\n[env]\nkind = \"matrix-game\"\nactions = 1\npayoffs = [2.0]\n\
                [scheme]\nkind = \"plain\"\n[mixer]\nkind = \"vdn\"\n";
    let config = ExperimentConfig::from_text(game, "a game without a choice", &[]).expect("is valid");
    let mut env = build_envs(&config, 1).expect("builds").remove(0);
    let agreement = agree(&mut *env, [&mut Stubborn, &mut Stubborn], (0, 3, 100)).expect("plays");
    assert_eq!((agreement.steps, agreement.first.episodes, agreement.second.episodes), (0, 3, 3));
    assert_eq!((agreement.share(), agreement.first.mean), (1.0, 2.0));
    agreement.refuse(0.995).expect("nothing differs");
}
