//! Turns recorded episodes into known answers, with an engine giving the answers.

use crate::error::ExportError;
use crate::kat::{KnownAnswers, Question, SELF_TEST_STEPS};
use crate::record::{Recording, TeamStep};
use crate::spec::AgentSpec;
use crate::verify::Engine;

/// [`SELF_TEST_STEPS`] consecutive steps of the last agent from the start of an episode.
///
/// The engine acts on its own last actions. A recording that is shorter begins again from its
/// first observation, without a new episode, so the recurrent state is tested over all steps.
///
/// # Errors
/// If the recording contradicts `spec`, or the engine fails.
pub fn self_test(
    engine: &mut dyn Engine,
    spec: &AgentSpec,
    recording: &Recording,
) -> Result<KnownAnswers, ExportError> {
    recording.check(spec, 0)?;
    engine.begin();
    let mut answers = KnownAnswers::default();
    let mut last_action = vec![None; spec.n_agents];
    for t in 0..SELF_TEST_STEPS {
        let seen = recording.step(spec, t % recording.n_steps);
        let seen = TeamStep { last_action: &last_action, ..seen };
        let answer = engine.step(&seen)?;
        let agent = spec.n_agents - 1;
        push(&mut answers, spec, &seen, agent, &answer.q, answer.action[agent]);
        last_action = answer.action.into_iter().map(Some).collect();
    }
    Ok(answers)
}

/// The first `count` agent episodes: every agent of the first recording in order, then those of
/// the next. The engine is fed the recorded last actions.
///
/// # Errors
/// If a recording contradicts `spec`, the engine fails, or there are too few recordings.
pub fn agent_episodes(
    engine: &mut dyn Engine,
    spec: &AgentSpec,
    recordings: &[Recording],
    count: usize,
) -> Result<KnownAnswers, ExportError> {
    let n = spec.n_agents;
    if recordings.len() * n < count {
        return Err(ExportError::Usage(format!(
            "{count} agent episodes need {} recorded episodes, got {}",
            count.div_ceil(n),
            recordings.len()
        )));
    }
    let mut answers = KnownAnswers::default();
    for (episode, recording) in recordings.iter().enumerate().take(count.div_ceil(n)) {
        recording.check(spec, episode)?;
        engine.begin();
        let answered = (0..recording.n_steps)
            .map(|t| engine.step(&recording.step(spec, t)))
            .collect::<Result<Vec<_>, _>>()?;
        for agent in 0..n.min(count - episode * n) {
            for (t, answer) in answered.iter().enumerate() {
                let seen = recording.step(spec, t);
                push(&mut answers, spec, &seen, agent, &answer.q, answer.action[agent]);
            }
        }
    }
    Ok(answers)
}

/// Appends one agent's row of a team step; `q`: `[N, A]`.
fn push(
    answers: &mut KnownAnswers,
    spec: &AgentSpec,
    seen: &TeamStep<'_>,
    agent: usize,
    q: &[f32],
    action: usize,
) {
    let (o, a) = (spec.obs_dim, spec.n_actions());
    let question = Question {
        obs: &seen.obs[agent * o..][..o],
        last_action: seen.last_action[agent],
        agent,
        available: &seen.available[agent * a..][..a],
    };
    answers.push(&question, &q[agent * a..][..a], action);
}
