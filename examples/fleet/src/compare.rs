//! Two runs of one episode, step by step.

use std::fmt;

use crate::episode::Episode;

/// How far the boards' episode is the host's.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Returns, boards and host.
    pub returns: [f32; 2],
    /// Lengths in steps, boards and host.
    pub steps: [usize; 2],
    /// Actions of the longer one.
    pub actions: usize,
    /// Actions that are the same in both.
    pub equal_actions: usize,
    /// Of these, those whose Q-values have the same bits.
    pub equal_values: usize,
    /// Whether the rewards are the same bits, step by step.
    pub equal_rewards: bool,
}

impl Verdict {
    /// Compares.
    #[must_use]
    pub fn of(boards: &Episode, host: &Episode) -> Self {
        let pairs = boards.choices.iter().zip(&host.choices);
        let equal = pairs.filter(|(board, host)| board.action == host.action);
        let values = equal.clone().filter(|(board, host)| board.q.to_bits() == host.q.to_bits());
        Self {
            returns: [boards.total(), host.total()],
            steps: [boards.rewards.len(), host.rewards.len()],
            actions: boards.choices.len().max(host.choices.len()),
            equal_actions: equal.count(),
            equal_values: values.count(),
            equal_rewards: boards
                .rewards
                .iter()
                .map(|r| r.to_bits())
                .eq(host.rewards.iter().map(|r| r.to_bits())),
        }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.equal_rewards && self.equal_values == self.actions && self.steps[0] == self.steps[1]
    }

    /// The line above a table of verdicts.
    #[must_use]
    pub fn heading() -> &'static str {
        "episode  return boards  return host  steps   equal actions  equal Q-values"
    }

    /// Its line in the table.
    #[must_use]
    pub fn row(&self, episode: usize) -> impl fmt::Display {
        let Self { returns: [boards, host], steps, actions, .. } = self;
        let steps =
            if steps[0] == steps[1] { steps[0].to_string() } else { format!("{}/{}", steps[0], steps[1]) };
        let of = |equal: usize| format!("{equal}/{actions}");
        let (equal_actions, equal_values) = (of(self.equal_actions), of(self.equal_values));
        let mark = if self.equal() { "" } else { "  DIFFERENT" };
        format!(
            "{episode:>7}  {boards:>13.2}  {host:>11.2}  {steps:>5}  {equal_actions:>14}  {equal_values:>14}{mark}"
        )
    }
}

/// The line below the table.
#[must_use]
pub fn summary(verdicts: &[Verdict]) -> String {
    let (episodes, differ) = (verdicts.len(), verdicts.iter().filter(|verdict| !verdict.equal()).count());
    let actions: usize = verdicts.iter().map(|verdict| verdict.actions).sum();
    let count = verdicts.len().max(1) as f64;
    let mean = |side: usize| verdicts.iter().map(|v| f64::from(v.returns[side])).sum::<f64>() / count;
    if differ == 0 {
        format!(
            "{episodes} episodes, {actions} actions: every action, Q-value and reward equals the host's; mean return {:.2}",
            mean(0)
        )
    } else {
        format!(
            "DIFFERENT: {differ} of {episodes} episodes; mean return {:.2} on boards, {:.2} on the host",
            mean(0),
            mean(1)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episode::Choice;

    fn episode() -> Episode {
        let choices = (0..12).map(|i| Choice { action: i % 5, q: i as f32 / 3.0 }).collect();
        Episode { choices, rewards: vec![0.0, 10.0, -2.0] }
    }

    #[test]
    fn an_episode_equals_itself() {
        let verdict = Verdict::of(&episode(), &episode());
        assert!(verdict.equal());
        assert_eq!((verdict.actions, verdict.equal_actions, verdict.equal_values), (12, 12, 12));
        assert_eq!(
            verdict.row(3).to_string(),
            "      3           8.00         8.00      3           12/12           12/12"
        );
        assert!(summary(&[verdict]).starts_with("1 episodes, 12 actions: every action"));
    }

    #[test]
    fn any_one_change_is_a_difference() {
        let changes: [fn(&mut Episode); 5] = [
            |episode| episode.choices[7].action = 0,
            |episode| episode.choices[7].q = f32::from_bits(episode.choices[7].q.to_bits() ^ 1),
            |episode| episode.rewards[0] = -0.0,
            |episode| episode.rewards.push(0.0),
            |episode| episode.choices.truncate(11),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut other = episode();
            change(&mut other);
            for verdict in [Verdict::of(&other, &episode()), Verdict::of(&episode(), &other)] {
                assert!(!verdict.equal(), "change {index}");
                assert!(verdict.row(0).to_string().ends_with("DIFFERENT"));
                assert!(summary(&[verdict]).starts_with("DIFFERENT: 1 of 1 episodes"));
            }
        }
    }
}
