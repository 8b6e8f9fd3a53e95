//! One episode, played by a team of which nothing is known but what it does.

use ddn_trainer::env::Env;

use crate::error::FleetError;

/// What one agent sees at one step. A team gets nothing else: no state, no reward.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// `[O]`
    pub obs: &'a [f32],
    /// Which actions may be chosen, `[A]`.
    pub available: &'a [bool],
}

/// What one agent does, and the Q-value it did it for.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Index of the action.
    pub action: usize,
    /// Its Q-value.
    pub q: f32,
}

/// Agents that act together.
pub trait Team {
    /// An episode begins.
    ///
    /// # Errors
    /// If an agent cannot be told.
    fn reset(&mut self) -> Result<(), FleetError>;

    /// What each agent does, `[N]`, given what each sees, `[N]`.
    ///
    /// # Errors
    /// If an agent gives no answer.
    fn act(&mut self, views: &[View<'_>]) -> Result<Vec<Choice>, FleetError>;
}

/// An episode that was played.
#[derive(Clone, Debug, Default)]
pub struct Episode {
    /// `[T, N]`
    pub choices: Vec<Choice>,
    /// `[T]`
    pub rewards: Vec<f32>,
}

impl Episode {
    /// The undiscounted sum of the rewards, as the trainer forms it.
    #[must_use]
    pub fn total(&self) -> f32 {
        self.rewards.iter().sum()
    }
}

/// Plays the episode of `seed` from its beginning to its end.
///
/// # Errors
/// If the environment or the team fails.
pub fn play(env: &mut dyn Env, seed: u64, team: &mut dyn Team) -> Result<Episode, FleetError> {
    let spec = env.spec().clone();
    let mut frame = spec.frame();
    let mut episode = Episode::default();
    env.reset(seed, &mut frame)?;
    team.reset()?;
    loop {
        let obs = frame.obs.chunks_exact(spec.obs_dim);
        let available = frame.available.chunks_exact(spec.n_actions());
        let views: Vec<_> = obs.zip(available).map(|(obs, available)| View { obs, available }).collect();
        let choices = team.act(&views)?;
        let actions: Vec<usize> = choices.iter().map(|choice| choice.action).collect();
        let step = env.step(&actions, &mut frame)?;
        episode.choices.extend(choices);
        episode.rewards.push(step.reward);
        if step.end.is_some() {
            return Ok(episode);
        }
    }
}
