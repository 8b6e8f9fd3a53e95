//! How much of a batch slow networks know already, in the place that an update has between two copies into them.
//!
//! Training draws from a replay of thousands of episodes and copies every few hundred updates; a bench has neither the
//! episodes nor the time. It leaves as much known as there would be on the mean with a full replay, to which none come.

use crate::config::ExperimentConfig;
use crate::replay::Sampled;

/// Forgets what is too much for update `number`, and tells how many episodes of the batch are known still.
pub(super) fn leave(config: &ExperimentConfig, sampled: &[Sampled<'_>], number: usize) -> usize {
    let wave = config.rollout.envs as u64;
    let between = config.learner.target_interval.div_ceil(wave) * wave;
    let draws = between as f64 * config.learner.updates_per_episode;
    let known = mean_seen(config.replay.batch as f64 / config.replay.capacity as f64, draws.max(1.0));
    let known = (known * sampled.len() as f64).round() as usize;
    // Others every time.
    let order = (0..sampled.len()).map(|index| (index + number * known) % sampled.len());
    order.skip(known).for_each(|index| sampled[index].kept.forget());
    sampled.iter().filter(|sampled| !sampled.kept.is_empty()).count()
}

/// The share of a replay that earlier batches have touched, each of which takes `part` of it, mean over `draws` batches.
fn mean_seen(part: f64, draws: f64) -> f64 {
    1.0 - (1.0 - (1.0 - part).powf(draws)) / (part * draws)
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
            known.push(sampled.iter().filter(|sampled| !sampled.kept.is_empty()).count() as f64);
            sampled.iter().for_each(|sampled| sampled.kept.keep(0, &[]));
        }
        for draws in [5, 20, 60] {
            let counted = known[..draws].iter().sum::<f64>() / (batch * draws) as f64;
            let want = mean_seen(32.0 / 500.0, draws as f64);
            assert!((counted - want).abs() < 0.03, "{draws}: {counted}, not {want}");
        }
    }
}
