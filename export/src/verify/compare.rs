//! Holds one engine to the recorded answers of the trained network.

use serde::Serialize;

use super::Engine;
use crate::error::ExportError;
use crate::record::{Recording, greedy};
use crate::spec::AgentSpec;

/// Largest difference of a Q-value that passes, relative to the row's largest magnitude and
/// absolute below 1.
pub const TOLERANCE: f32 = 1e-5;

/// How one engine did. Steps are agent steps: N per step of the environment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the engine.
    pub engine: String,
    /// Agent steps compared.
    pub steps: usize,
    /// Largest difference of any Q-value.
    pub largest_difference: f32,
    /// Agent steps with the same action.
    pub equal_actions: usize,
    /// Agent steps with another action, but where the trained network's two best available
    /// values are too close to tell apart within the tolerance.
    pub near_ties: usize,
    /// Agent steps that break the rule.
    pub mismatches: usize,
    /// The first of them.
    pub first_mismatch: Option<Difference>,
}

/// One agent step that breaks the rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Index of the episode.
    pub episode: usize,
    /// Index of the step in the episode.
    pub step: usize,
    /// Index of the agent.
    pub agent: usize,
    /// Largest difference of a Q-value in this row.
    pub difference: f32,
    /// What would have passed.
    pub tolerance: f32,
    /// The trained network's action.
    pub want: usize,
    /// The engine's action.
    pub got: usize,
}

impl Report {
    /// Share of agent steps with the same action, from 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn share_equal(&self) -> f64 {
        self.equal_actions as f64 / self.steps.max(1) as f64
    }
}

/// Replays every recording and counts.
///
/// A step is a mismatch if a Q-value differs by more than
/// [`TOLERANCE`]` · max(1, largest |Q| of the row)`, or is not a number, or if the action differs
/// although the two best available values are further apart than twice that.
///
/// # Errors
/// If a recording contradicts `spec`, or the engine fails.
pub fn compare(
    engine: &mut dyn Engine,
    spec: &AgentSpec,
    recordings: &[Recording],
) -> Result<Report, ExportError> {
    let mut report = Report {
        engine: engine.name().into(),
        steps: 0,
        largest_difference: 0.0,
        equal_actions: 0,
        near_ties: 0,
        mismatches: 0,
        first_mismatch: None,
    };
    let (n, a) = (spec.n_agents, spec.n_actions());
    for (episode, recording) in recordings.iter().enumerate() {
        recording.check(spec, episode)?;
        engine.begin();
        for step in 0..recording.n_steps {
            let seen = recording.step(spec, step);
            let answer = engine.step(&seen)?;
            if answer.q.len() != n * a || answer.action.len() != n {
                let reason = format!("gave {} values for {n} agents", answer.q.len());
                let (engine, during) = (engine.name(), "answering");
                return Err(ExportError::Engine { engine, during, reason });
            }
            for agent in 0..n {
                let row = step * n + agent;
                let want_q = &recording.q[row * a..][..a];
                let available = &seen.available[agent * a..][..a];
                let (want, got) = (recording.action[row], answer.action[agent]);
                let tolerance = TOLERANCE * want_q.iter().fold(1.0, |m: f32, q| m.max(q.abs()));
                let difference = largest_difference(want_q, &answer.q[agent * a..][..a]);
                let tied = top_two_gap(want_q, available) <= 2.0 * tolerance;
                report.steps += 1;
                report.largest_difference = report.largest_difference.max(difference);
                report.equal_actions += usize::from(want == got);
                report.near_ties += usize::from(want != got && tied);
                if difference > tolerance || (want != got && !tied) {
                    report.mismatches += 1;
                    report.first_mismatch.get_or_insert(Difference {
                        episode,
                        step,
                        agent,
                        difference,
                        tolerance,
                        want,
                        got,
                    });
                }
            }
        }
    }
    Ok(report)
}

/// Largest absolute difference; infinite where either side is not a finite number.
fn largest_difference(want: &[f32], got: &[f32]) -> f32 {
    want.iter().zip(got).fold(0.0, |largest: f32, (want, got)| {
        let difference = (want - got).abs();
        if difference.is_finite() { largest.max(difference) } else { f32::INFINITY }
    })
}

/// Distance of the two best available values; infinite where only one is available.
fn top_two_gap(q: &[f32], available: &[bool]) -> f32 {
    let Some(best) = greedy(q, available) else {
        return f32::INFINITY;
    };
    let others: Vec<bool> = available.iter().enumerate().map(|(k, &free)| free && k != best).collect();
    greedy(q, &others).map_or(f32::INFINITY, |second| q[best] - q[second])
}

#[cfg(test)]
mod tests {
    use super::{largest_difference, top_two_gap};

    #[test]
    fn a_value_that_is_no_number_is_infinitely_far() {
        assert!(largest_difference(&[1.0, 2.0], &[1.0, f32::NAN]).is_infinite());
        assert!((largest_difference(&[1.0, 2.0], &[1.5, 2.0]) - 0.5).abs() < f32::EPSILON);
    }

    #[test]
    fn only_available_values_can_tie() {
        let q = [3.0, 5.0, 2.0];
        assert!((top_two_gap(&q, &[true, false, true]) - 1.0).abs() < f32::EPSILON);
        assert!(top_two_gap(&q, &[true, false, false]).is_infinite());
    }
}
