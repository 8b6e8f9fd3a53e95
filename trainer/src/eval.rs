//! Greedy tests of a network, and recordings for other engines to replay.

use crate::checkpoint::Checkpoint;
use crate::env::Env;
use crate::error::{LearnError, TrainError};
use crate::learner::scheme::Scheme;
use crate::rollout::{Plan, Played, Player, play};

/// The purpose of the episodes that a finished run is tested on.
pub const FINAL: &str = "final";

/// What a test came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Episodes played.
    pub episodes: usize,
    /// Mean return.
    pub mean: f64,
    /// Half width of the 95 % interval of the mean (normal approximation).
    pub interval: f64,
    /// Lowest and highest return.
    pub range: (f64, f64),
    /// Mean length in steps.
    pub length: f64,
    /// Share of episodes won, where the environment knows winning.
    pub won: Option<f64>,
}

impl Score {
    /// Sums up finished episodes.
    #[must_use]
    pub fn of(played: &[Played]) -> Self {
        let returns: Vec<f64> = played.iter().map(|played| f64::from(played.episode.total())).collect();
        let count = returns.len().max(1) as f64;
        let mean = returns.iter().sum::<f64>() / count;
        let square = returns.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let known: Vec<bool> = played.iter().filter_map(|played| played.won).collect();
        Self {
            episodes: returns.len(),
            mean,
            interval: 1.96 * (square / (count - 1.0).max(1.0) / count).sqrt(),
            range: returns.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
                (low.min(value), high.max(value))
            }),
            length: played.iter().map(|played| played.episode.len() as f64).sum::<f64>() / count,
            won: (!known.is_empty())
                .then(|| known.iter().filter(|&&won| won).count() as f64 / known.len() as f64),
        }
    }
}

/// Plays `episodes` greedy episodes; `purpose` names the stream that they are drawn from.
///
/// # Errors
/// If an environment or the network fails.
pub fn greedy(
    scheme: &dyn Scheme,
    network: &str,
    envs: &mut [Box<dyn Env>],
    (seed, purpose, episodes): (u64, &str, usize),
) -> Result<Score, LearnError> {
    let plan = Plan { seed, purpose, first: 0, count: episodes, epsilon: 0.0, record: false };
    Ok(Score::of(&play(Player::Network(scheme, network), envs, &plan)?))
}

/// Uniform play over available actions.
///
/// # Errors
/// If an environment fails.
pub fn random(
    envs: &mut [Box<dyn Env>],
    (seed, purpose, episodes): (u64, &str, usize),
) -> Result<Score, LearnError> {
    let plan = Plan { seed, purpose, first: 0, count: episodes, epsilon: 1.0, record: false };
    Ok(Score::of(&play(Player::Random, envs, &plan)?))
}

/// Play of one of the environment's own policies, see [`Env::scripted`].
///
/// # Errors
/// If the environment has no such policy, or fails.
pub fn scripted(
    policy: &str,
    envs: &mut [Box<dyn Env>],
    (seed, purpose, episodes): (u64, &str, usize),
) -> Result<Score, LearnError> {
    let plan = Plan { seed, purpose, first: 0, count: episodes, epsilon: 0.0, record: false };
    Ok(Score::of(&play(Player::Scripted(policy), envs, &plan)?))
}

/// One greedy episode of the decentralised network as other engines must be able to replay it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEpisode {
    /// T
    pub n_steps: usize,
    /// `[T, N, O]`
    pub obs: Vec<f32>,
    /// `[T, N]`, `None` at the first step.
    pub last_action: Vec<Option<usize>>,
    /// `[T, N, A]`
    pub available: Vec<bool>,
    /// Utilities `[T, N, A]`.
    pub q: Vec<f32>,
    /// `[T, N]`
    pub action: Vec<usize>,
}

/// Plays `episodes` greedy episodes of the network that ships, and keeps everything it saw and said.
///
/// # Errors
/// If the environment or the network fails.
pub fn record(
    checkpoint: &Checkpoint,
    episodes: usize,
    seed: u64,
) -> Result<Vec<RecordedEpisode>, TrainError> {
    let scheme = checkpoint.scheme_built()?;
    let mut envs = checkpoint.envs(checkpoint.config().rollout.envs)?;
    let networks = scheme.networks();
    let network = networks[networks.len() - 1];
    let plan = Plan { seed, purpose: "record", first: 0, count: episodes, epsilon: 0.0, record: true };
    let played = play(Player::Network(&*scheme, network), &mut envs, &plan)?;
    let spec = checkpoint.spec();
    let (n, a, o) = (spec.n_agents, spec.n_actions(), spec.obs_dim);
    Ok(played
        .into_iter()
        .map(|Played { episode, q, .. }| {
            let n_steps = episode.len();
            let mut obs = vec![0.0; n_steps * n * o];
            let mut available = vec![false; n_steps * n * a];
            for t in 0..n_steps {
                episode.obs.for_each(t, |column, value| obs[t * n * o + column] = value);
                episode.available.for_each(t, |column, _| available[t * n * a + column] = true);
            }
            let action: Vec<usize> = episode.actions.iter().map(|&action| usize::from(action)).collect();
            let last_action =
                (0..n_steps * n).map(|k| k.checked_sub(n).map(|before| action[before])).collect();
            RecordedEpisode { n_steps, obs, last_action, available, q, action }
        })
        .collect())
}
