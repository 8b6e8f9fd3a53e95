//! How much of a batch slow networks know already, in the place that an update has between two copies into them.
//!
//! Training draws from a replay of thousands of episodes and copies every few hundred updates; a bench has neither the
//! episodes nor the time. It leaves as much known as there would be on the mean with a full replay.

use crate::config::ExperimentConfig;
use crate::replay::Sampled;

/// Forgets what is too much for update `number` out of `of` that are spread evenly between two copies, and tells how
/// many episodes of the batch are known still.
pub(super) fn leave(config: &ExperimentConfig, sampled: &[Sampled<'_>], number: usize, of: usize) -> usize {
    let between = config.learner.target_interval as f64 * config.learner.updates_per_episode;
    let before = between * (number as f64 - 0.5).max(0.0) / of as f64;
    let share = seen(config.replay.batch as f64 / config.replay.capacity as f64, before);
    let left = (share * sampled.len() as f64).round() as usize;
    sampled[left..].iter().for_each(|sampled| sampled.slow.forget());
    sampled.iter().filter(|sampled| !sampled.slow.is_empty()).count()
}

/// The share of a replay that `draws` batches have touched, each of which takes `part` of it.
fn seen(part: f64, draws: f64) -> f64 {
    1.0 - (1.0 - part).powf(draws)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{Episode, ReplayBuffer};
    use crate::seed::stream;

    /// Counted over the draws that training makes.
    #[test]
    fn the_share_is_that_of_a_replay_that_is_drawn_from() {
        let (capacity, batch) = (500, 32);
        let mut replay = ReplayBuffer::new(capacity);
        let table = toml::Table::from_iter([("kind".to_owned(), "matrix-game".into())]);
        let game = crate::env::build(&table).expect("the defaults build");
        (0..capacity).for_each(|_| replay.push(Episode::new(game.spec())));
        let mut known = Vec::new();
        for update in 0..60 {
            let sampled = replay.sample(batch, &mut stream(update, "kept")).expect("enough episodes");
            known.push(sampled.iter().filter(|sampled| !sampled.slow.is_empty()).count() as f64);
            sampled.iter().for_each(|sampled| sampled.slow.keep(0, &[]));
        }
        for (from, to) in [(0, 10), (20, 40), (40, 60)] {
            let counted: f64 = known[from..to].iter().sum();
            let want: f64 = (from..to).map(|draws| 32.0 * seen(32.0 / 500.0, draws as f64)).sum();
            assert!((counted / want - 1.0).abs() < 0.1, "{from}..{to}: {counted}, not {want}");
        }
    }
}
