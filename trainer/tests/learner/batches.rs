//! What the shape of a batch must not matter for, with every scheme and every mixer.

use std::collections::BTreeSet;

use candle_core::Result;
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::learner::scheme::Metrics;
use ddn_trainer::nn::Sparse;
use ddn_trainer::nn::sparse::Builder;
use ddn_trainer::replay::{Batch, ReplayBuffer, Rows};
use ddn_trainer::seed::{Draw, stream};

use crate::teams::{Parameters, algorithms, batch, build, episodes, parameters, spec};

/// What one update of fresh networks comes to, and the parameters after it.
fn updated(config: &ExperimentConfig, batch: &Batch) -> Result<(Metrics, Parameters)> {
    let mut scheme = build(config);
    let metrics = scheme.update(batch, &mut stream(1, "update")).expect("an update");
    Ok((metrics, parameters(&*scheme)?))
}

fn check_metrics(what: &str, left: &Metrics, right: &Metrics) {
    assert!(left.keys().eq(right.keys()), "{what}: {left:?}, {right:?}");
    for ((name, left), right) in left.iter().zip(right.values()) {
        assert!((left - right).abs() <= 1e-12 * left.abs().max(1e-3), "{what}, {name}: {left}, {right}");
    }
}

/// Rows `[B, F, …]` with `extra` further frames of random entries behind each episode's own.
fn longer_rows(rows: &Sparse, per_episode: usize, extra: usize, rng: &mut impl Draw) -> Sparse {
    let mut builder = Builder::new(rows.width());
    for index in 0..rows.rows() {
        let (columns, values) = rows.row(index);
        columns.iter().zip(values).for_each(|(&column, &value)| builder.push(column as usize, value));
        builder.end_row();
        if (index + 1) % per_episode == 0 {
            for _ in 0..extra {
                (0..rows.width()).for_each(|column| builder.push(column, 4.0 * rng.unit()));
                builder.end_row();
            }
        }
    }
    builder.build()
}

/// `[B, F]` with `extra` further entries behind each episode's own.
fn longer<T: Copy>(data: &[T], per_episode: usize, extra: usize, mut padding: impl FnMut() -> T) -> Vec<T> {
    let mut out = Vec::new();
    for episode in data.chunks_exact(per_episode) {
        out.extend_from_slice(episode);
        out.extend((0..extra).map(|_| padding()));
    }
    out
}

/// The same episodes with `extra` steps that do not exist behind the longest: noise with mask 0.
fn with_padding(batch: &Batch, extra: usize) -> Batch {
    let mut rng = stream(2, "padding");
    let Batch { steps, agents: n, actions_each: a, .. } = *batch;
    let frames = steps + 1;
    Batch {
        steps: steps + extra,
        inputs: longer_rows(&batch.inputs, frames * n, extra * n, &mut rng),
        state: longer_rows(&batch.state, frames, extra, &mut rng),
        teacher: longer_rows(&batch.teacher, frames * n, extra * n, &mut rng),
        available: longer(&batch.available, frames * n * a, extra * n * a, || true),
        actions: longer(&batch.actions, steps * n, extra * n, || rng.below(a) as u32),
        reward: longer(&batch.reward, steps, extra, || 50.0),
        terminated: longer(&batch.terminated, steps, extra, || 0.0),
        mask: longer(&batch.mask, steps, extra, || 0.0),
        ..batch.clone()
    }
}

#[test]
fn padding_changes_neither_losses_nor_the_update() -> Result<()> {
    let batch = batch(&episodes(&[5, 2, 7, 1, 4]));
    let padded = with_padding(&batch, 3);
    assert_eq!(padded.inputs.rows(), 5 * 11 * 3);
    for config in algorithms() {
        let what = config.algorithm();
        let ((metrics, before), (padded_metrics, after)) =
            (updated(&config, &batch)?, updated(&config, &padded)?);
        check_metrics(&what, &metrics, &padded_metrics);
        for ((name, before), (_, after)) in before.iter().zip(after) {
            let far = before.iter().zip(after).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(far < 1e-10, "{what}, {name} differs by {far}");
        }
    }
    Ok(())
}

#[test]
fn losses_of_a_batch_are_means_over_the_steps_of_its_episodes() -> Result<()> {
    let episodes = episodes(&[2, 7, 4]);
    let together = batch(&episodes);
    for config in algorithms() {
        let (whole, _) = updated(&config, &together)?;
        let mut sums = Metrics::new();
        for episode in &episodes {
            // Alone, an episode needs no padding.
            let (alone, _) = updated(&config, &batch(std::slice::from_ref(episode)))?;
            for (name, value) in alone {
                *sums.entry(name).or_default() += value * episode.len() as f64 / together.filled();
            }
        }
        let losses = |metrics: &Metrics| -> Metrics {
            metrics
                .iter()
                .filter(|(name, _)| !name.starts_with("grad_norm"))
                .map(|(k, v)| (k.clone(), *v))
                .collect()
        };
        check_metrics(&config.algorithm(), &losses(&whole), &losses(&sums));
    }
    Ok(())
}

#[test]
fn the_order_of_episodes_does_not_matter() -> Result<()> {
    let mut episodes = episodes(&[5, 2, 7, 1, 4, 6, 3, 2, 5, 1]);
    let before = batch(&episodes);
    stream(3, "order").shuffle(&mut episodes);
    let after = batch(&episodes);
    assert_ne!(before.reward, after.reward);
    for config in algorithms() {
        let ((left, _), (right, _)) = (updated(&config, &before)?, updated(&config, &after)?);
        check_metrics(&config.algorithm(), &left, &right);
    }
    Ok(())
}

#[test]
fn single_steps_are_the_rows_of_a_batch_and_come_from_the_episodes_that_are_asked_for() {
    let episodes = episodes(&[4, 2, 7]);
    let (spec, batch) = (spec(), batch(&episodes));
    let (n, frames) = (batch.agents, batch.steps + 1);
    let mut replay = ReplayBuffer::new(3);
    for (b, episode) in episodes.iter().enumerate() {
        let rows = Rows::all(&spec, episode);
        assert_eq!(rows.len(), episode.len() * n);
        for k in 0..rows.len() {
            assert_eq!(rows.inputs.row(k), batch.inputs.row(b * frames * n + k));
            assert_eq!(rows.state.row(k), batch.state.row(b * frames + k / n));
        }
        replay.push(episode.clone());
    }
    let drawn = Rows::sample(&spec, &replay, 1..2, 500, &mut stream(5, "rows")).expect("there are steps");
    let asked = Rows::all(&spec, &episodes[1]);
    let place = |k: usize| (0..asked.len()).find(|&row| asked.inputs.row(row) == drawn.inputs.row(k));
    let places: BTreeSet<_> =
        (0..500).map(|k| place(k).expect("of the episode that was asked for")).collect();
    assert_eq!((drawn.len(), places.len()), (500, asked.len()), "each step can be drawn");
    assert!(Rows::sample(&spec, &replay, 3..9, 1, &mut stream(5, "rows")).is_none());
}
