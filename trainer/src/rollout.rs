//! Playing: several environments stepped together, one batched network call per step.

use candle_core::Tensor;

use crate::env::{End, Env, EnvSpec, Frame};
use crate::error::{During, EnvError, LearnError};
use crate::learner::agent::Span;
use crate::learner::scheme::Scheme;
use crate::learner::td::greedy_rows;
use crate::learner::view::View;
use crate::nn::sparse::Builder;
use crate::replay::{Episode, input_dim, push_input};
use crate::seed::{Draw, number, stream};

/// Which episodes to play, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The run's seed.
    pub seed: u64,
    /// Name of the streams: episodes of two purposes never share draws.
    pub purpose: &'a str,
    /// Index of the first episode; an episode is a function of seed, purpose, index and policy.
    pub first: u64,
    /// How many.
    pub count: usize,
    /// Chance of a random available action, per agent and step.
    pub epsilon: f64,
    /// Keep the utilities of every step.
    pub record: bool,
}

/// A finished episode.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its steps and frames.
    pub episode: Episode,
    /// Whether the team won, where the environment knows winning.
    pub won: Option<bool>,
    /// Utilities `[T, N, A]`; empty unless recorded.
    pub q: Vec<f32>,
}

/// Who chooses the actions.
#[derive(Clone, Copy)]
pub enum Player<'a> {
    /// A network of a scheme.
    Network(&'a dyn Scheme, &'a str),
    /// Uniform over available actions.
    Random,
    /// One of the environment's own policies, see [`Env::scripted`].
    Scripted(&'a str),
}

/// Plays the episodes of `plan` on `envs`, in waves of as many as there are environments.
///
/// An episode that an environment loses is played again from another seed.
///
/// # Errors
/// If an environment is gone or breaks its contract, or a network fails.
pub fn play(
    player: Player<'_>,
    envs: &mut [Box<dyn Env>],
    plan: &Plan<'_>,
) -> Result<Vec<Played>, LearnError> {
    let mut played = Vec::with_capacity(plan.count);
    while played.len() < plan.count {
        let wave = envs.len().min(plan.count - played.len());
        let first = plan.first + played.len() as u64;
        let ids: Vec<u64> = (first..first + wave as u64).collect();
        played.extend(play_ids(player, &mut envs[..wave], plan, &ids)?);
    }
    Ok(played)
}

/// One wave, whatever it takes: the episodes `ids`, one on each of `envs`; what `plan` says of which and
/// how many does not count.
///
/// # Errors
/// As [`play`].
pub fn play_ids(
    player: Player<'_>,
    envs: &mut [Box<dyn Env>],
    plan: &Plan<'_>,
    ids: &[u64],
) -> Result<Vec<Played>, LearnError> {
    let mut played: Vec<Option<Played>> = vec![None; envs.len()];
    for again in 0_u64.. {
        let open: Vec<usize> = (0..played.len()).filter(|&index| played[index].is_none()).collect();
        if open.is_empty() {
            break;
        }
        let seats = envs.iter_mut().enumerate().filter(|(index, _)| open.contains(index));
        let mut seats: Vec<_> = seats.map(|(index, env)| (ids[index], env)).collect();
        for (index, episode) in open.into_iter().zip(play_wave(player, &mut seats, plan, again)?) {
            played[index] = episode;
        }
    }
    Ok(played.into_iter().flatten().collect())
}

/// `None` for an episode that its environment lost, which is said and played again; other errors stay.
fn unless_lost<T>(result: Result<T, EnvError>, purpose: &str, id: u64) -> Result<Option<T>, EnvError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(EnvError::Lost { reason }) => {
            tracing::warn!("episode {purpose}/{id} is lost and will be played from another seed: {reason}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct Seat {
    id: u64,
    frame: Frame,
    last: Option<Vec<usize>>,
    rng: rand_chacha::ChaCha8Rng,
    running: bool,
    lost: bool,
    played: Played,
}

/// One episode on each of `envs`, which stand beside their episodes' indices; `again` counts how
/// often they were tried before. `None` for those that were lost.
fn play_wave(
    player: Player<'_>,
    envs: &mut [(u64, &mut Box<dyn Env>)],
    plan: &Plan<'_>,
    again: u64,
) -> Result<Vec<Option<Played>>, LearnError> {
    let Some(spec) = envs.first().map(|(_, env)| env.spec().clone()) else { return Ok(Vec::new()) };
    let (n, a) = (spec.n_agents, spec.n_actions());
    let mut seats = Vec::with_capacity(envs.len());
    let tries = if again == 0 { String::new() } else { format!("/again/{again}") };
    let seed_of = |id: u64| number(plan.seed, &format!("{}/{id}{tries}", plan.purpose));
    for (id, env) in &mut *envs {
        env.begin_reset(seed_of(*id))?;
    }
    for (id, env) in &mut *envs {
        let id = *id;
        let mut frame = spec.frame();
        let started = unless_lost(env.reset(seed_of(id), &mut frame), plan.purpose, id)?.is_some();
        let mut episode = Episode::new(&spec);
        if let Player::Network(scheme, _) = player
            && scheme.needs_teacher()
        {
            episode = episode.with_teacher(&spec);
        }
        episode.push_frame(&frame);
        let played = Played { episode, won: None, q: Vec::new() };
        let rng = stream(plan.seed, &format!("{}/explore/{id}{tries}", plan.purpose));
        seats.push(Seat { id, frame, last: None, rng, running: started, lost: !started, played });
    }
    let mut hidden: Option<Tensor> = None;
    while seats.iter().any(|seat| seat.running) {
        let q = utilities(player, &spec, &seats, &mut hidden).during("acting")?;
        // All begin before any is waited for: environments of several processes work side by side.
        for (index, (seat, (_, env))) in seats.iter_mut().zip(envs.iter_mut()).enumerate() {
            if !seat.running {
                continue;
            }
            let q = &q[index * n * a..][..n * a];
            let epsilon = if matches!(player, Player::Random) { 1.0 } else { plan.epsilon };
            let mut actions = choose(q, &seat.frame.available, a, epsilon, &mut seat.rng);
            if let Player::Scripted(policy) = player {
                env.choose(policy, &mut seat.rng, &mut actions)?;
            }
            env.begin_step(&actions)?;
            if plan.record {
                seat.played.q.extend(q.iter().map(|&q| q as f32));
            }
            seat.last = Some(actions);
        }
        for (seat, (_, env)) in seats.iter_mut().zip(envs.iter_mut()).filter(|(seat, _)| seat.running) {
            let Some(actions) = &seat.last else { continue };
            let Some(step) = unless_lost(env.step(actions, &mut seat.frame), plan.purpose, seat.id)? else {
                (seat.running, seat.lost) = (false, true);
                continue;
            };
            seat.played.episode.push_step(actions, step.reward);
            seat.played.episode.push_frame(&seat.frame);
            if let Some(end) = step.end {
                seat.running = false;
                seat.played.episode.terminated = end == End::Terminated;
                seat.played.won = step.won;
            }
        }
    }
    Ok(seats.into_iter().map(|seat| (!seat.lost).then_some(seat.played)).collect())
}

/// Utilities `[seats, N, A]` at the current frames; `hidden` goes on.
fn utilities(
    player: Player<'_>,
    spec: &EnvSpec,
    seats: &[Seat],
    hidden: &mut Option<Tensor>,
) -> candle_core::Result<Vec<f64>> {
    let (n, o, v) = (spec.n_agents, spec.obs_dim, spec.teacher_dim);
    let Player::Network(scheme, network) = player else {
        return Ok(vec![0.0; seats.len() * n * spec.n_actions()]);
    };
    let mut x = Builder::new(input_dim(spec));
    let mut state = Builder::new(spec.state_dim);
    let needs_teacher = scheme.needs_teacher();
    let mut teacher = Builder::new(if needs_teacher { v } else { 0 });
    let mut available = Vec::with_capacity(seats.len() * n * spec.n_actions());
    for seat in seats {
        for agent in 0..n {
            let last = seat.last.as_ref().map(|last| last[agent]);
            let obs = seat.frame.obs[agent * o..][..o].iter().copied().enumerate();
            push_input(&mut x, spec, agent, last, obs);
            if needs_teacher {
                let seen = seat.frame.teacher[agent * v..][..v].iter().enumerate();
                seen.for_each(|(column, &value)| teacher.push(column, value));
            }
            teacher.end_row();
        }
        available.extend_from_slice(&seat.frame.available);
        seat.frame.state.iter().enumerate().for_each(|(column, &value)| state.push(column, value));
        state.end_row();
    }
    let span = Span { episodes: seats.len(), frames: 1, agents: n, lengths: None };
    let (inputs, state, teacher) = (&x.build(), &state.build(), &teacher.build());
    let view = View { inputs, state, teacher, available: &available, span };
    let unroll = scheme.unroll(network, &view, hidden.as_ref())?;
    *hidden = Some(unroll.hidden.squeeze(1)?.detach());
    unroll.q.flatten_all()?.to_dtype(candle_core::DType::F64)?.to_vec1()
}

/// ε-greedy over available actions, agents in order. The only place that explores.
fn choose(q: &[f64], available: &[bool], actions: usize, epsilon: f64, rng: &mut impl Draw) -> Vec<usize> {
    let (greedy, _) = greedy_rows(q, available, actions);
    let available = available.chunks_exact(actions);
    greedy
        .into_iter()
        .zip(available)
        .map(|(greedy, available)| {
            if epsilon > 0.0 && f64::from(rng.unit()) < epsilon {
                let options = available.iter().filter(|&&yes| yes).count();
                let pick = rng.below(options);
                let mut left = available.iter().enumerate().filter(|(_, yes)| **yes);
                left.nth(pick).map_or(greedy as usize, |(action, _)| action)
            } else {
                greedy as usize
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exploring_is_uniform_over_available_actions_and_greedy_ties_go_low() {
        let mut rng = stream(3, "choose");
        let mut counts = [0; 4];
        for _ in 0..9000 {
            counts[choose(&[9.0, 1.0, 1.0, 1.0], &[false, true, true, true], 4, 1.0, &mut rng)[0]] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|&n| (2800..3200).contains(&n)), "{counts:?}");
        assert_eq!(choose(&[9.0, 2.0, 2.0, f64::NAN], &[false, true, true, true], 4, 0.0, &mut rng), [1]);
    }
}
