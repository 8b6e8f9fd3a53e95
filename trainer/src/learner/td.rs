//! Temporal differences: greedy actions, targets, masks. The only place that bootstraps.

use candle_core::{DType, Device, Result, Tensor};

use super::agent::Unroll;
use super::mixer::{JointStep, LossTerms, Mixer, TdBatch, masked_mean};
use super::slow::SlowValues;
use crate::nn::Sparse;
use crate::nn::kernel::{Read, Real, each_shard, shard};
use crate::nn::params::scalar;
use crate::replay::Batch;

/// How targets are made.
#[derive(Clone, Copy, Debug)]
pub struct TdConfig {
    /// Discount per step.
    pub gamma: f64,
    /// The online network picks the next action, the slow one values it.
    pub double_q: bool,
    /// λ: how much of a target follows the rewards of the steps after, the rest being the slow network's value of
    /// the next step. 0 is the paper's.
    pub lambda: f64,
}

/// What a TD problem came to, for the log and for tests.
pub struct TdOutcome {
    /// Terms to minimise.
    pub losses: LossTerms,
    /// y, `[B, T, K]`.
    pub target: Tensor,
    /// Mean of y over existing steps and K.
    pub target_mean: f64,
}

/// Greedy choices per agent row: index and value of the highest available utility.
///
/// Ties go to the lowest index; NaN never wins.
#[must_use]
pub fn greedy_rows<T: Real>(q: &[T], available: &[bool], actions: usize) -> (Vec<u32>, Vec<T>) {
    q.chunks_exact(actions)
        .zip(available.chunks_exact(actions))
        .map(|(q, available)| {
            let mut best = (0, T::from_f64(f64::NEG_INFINITY));
            for (action, (&q, &yes)) in q.iter().zip(available).enumerate() {
                if yes && q > best.1 {
                    best = (action as u32, q);
                }
            }
            best
        })
        .unzip()
}

/// The greedy choices among utilities `[B, F, N, A]`, and their values `[B, F, N]`.
struct Choices {
    best: Vec<u32>,
    max: Tensor,
}

impl Choices {
    fn of(q: &Tensor, available: &[bool]) -> Result<Self> {
        match q.dtype() {
            DType::F64 => Self::read::<f64>(q, available),
            _ => Self::read::<f32>(q, available),
        }
    }

    fn read<T: Real>(q: &Tensor, available: &[bool]) -> Result<Self> {
        let (b, frames, n, a) = q.dims4()?;
        let q = q.contiguous()?;
        let read = Read::new(&q)?;
        let values = read.slice::<T>()?;
        let parts = each_shard(|index| {
            let rows = shard(b * frames * n, index);
            let range = rows.start * a..rows.end * a;
            greedy_rows(&values[range.clone()], &available[range], a)
        });
        let (best, max): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok(Self { best: best.concat(), max: Tensor::from_vec(max.concat(), (b, frames, n), &Device::Cpu)? })
    }
}

/// Of utilities `[B, F, N, A]`, the one of `action` `[B·F·N]` in each row, without a gradient; `[B, F, N]`.
fn picked(q: &Tensor, action: &[u32]) -> Result<Tensor> {
    let (b, frames, n, _) = q.dims4()?;
    let index = Tensor::from_slice(action, (b, frames, n, 1), &Device::Cpu)?;
    q.detach().contiguous()?.gather(&index, 3)?.squeeze(3)
}

/// The rows of frames `range` out of `frames` per episode, for one row per frame.
fn frames_of(state: &Sparse, frames: usize, range: std::ops::Range<usize>) -> Sparse {
    let episodes = state.rows() / frames.max(1);
    state.select((0..episodes).map(|b| b * frames + range.start..b * frames + range.end))
}

/// What stands for the value of the next step in each target: of `bootstrap` `[B, T, K]` the share 1 - λ, and λ of
/// the target of the step after, if there is one.
fn blended(mask: &[f32], reward: &[f64], keep: &[f64], bootstrap: Tensor, lambda: f64) -> Result<Tensor> {
    if lambda == 0.0 {
        return Ok(bootstrap);
    }
    let (b, t, k) = bootstrap.dims3()?;
    let mut values: Vec<f64> = bootstrap.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    for episode in 0..b {
        let steps = mask[episode * t..][..t].iter().take_while(|&&exists| exists > 0.0).count();
        for step in (0..steps.saturating_sub(1)).rev() {
            let (row, after) = (episode * t + step, episode * t + step + 1);
            for head in 0..k {
                let target = reward[after] + keep[after] * values[after * k + head];
                let value = &mut values[row * k + head];
                *value = (1.0 - lambda) * *value + lambda * target;
            }
        }
    }
    Tensor::from_vec(values, (b, t, k), &Device::Cpu)?.to_dtype(bootstrap.dtype())
}

/// Builds the TD problem of `batch` and asks the mixer for its losses.
///
/// `online` and `slow` are unrolled over all T + 1 frames; `reward` `[B, T]` includes intrinsic
/// reward. `y_t = r_t + γ · (1 - terminated_t) · ((1 - λ) · Q⁻_tot(s_{t+1}, greedy_{t+1}) + λ · y_{t+1})`; the last
/// existing step has no `y_{t+1}`, there λ is 0.
///
/// # Errors
/// If the shapes disagree.
///
/// Paper: arXiv 2502.03125, Eq. (1) and (5); `docs/paper.md`, reading 1.
pub fn td_losses(
    batch: &Batch,
    reward: &[f64],
    online: (&Unroll, &dyn Mixer),
    slow: (&SlowValues, &dyn Mixer),
    config: TdConfig,
) -> Result<TdOutcome> {
    td_losses_chosen(batch, reward, online, slow, config, None)
}

/// As [`td_losses`]; with double Q, the next action is the greedy one of `chooser`, `[B, T + 1, N, A]`,
/// in the place of the online network's.
///
/// # Errors
/// If the shapes disagree.
pub fn td_losses_chosen(
    batch: &Batch,
    reward: &[f64],
    (online, mixer): (&Unroll, &dyn Mixer),
    (slow, slow_mixer): (&SlowValues, &dyn Mixer),
    config: TdConfig,
    chooser: Option<&Tensor>,
) -> Result<TdOutcome> {
    let (b, t, n) = (batch.episodes, batch.steps, batch.agents);
    let frames = t + 1;
    let dtype = online.q.dtype();
    let cpu = &Device::Cpu;
    let floats =
        |data: Vec<f64>, shape: (usize, usize, usize)| Tensor::from_vec(data, shape, cpu)?.to_dtype(dtype);

    let Choices { best, max: q_max } = Choices::of(&online.q, &batch.available)?;
    let Choices { best: slow_best, max: slow_max } = Choices::of(&slow.q, &batch.available)?;

    // Next frames: the slow network's value of the chosen actions.
    let chosen = chooser.map(|q| Choices::of(q, &batch.available)).transpose()?;
    let chosen = chosen.as_ref().map_or(&best, |choices| &choices.best);
    let choice = if config.double_q { chosen } else { &slow_best };
    let next_q = picked(&slow.q, choice)?.narrow(1, 1, t)?.contiguous()?;
    let next_max = slow_max.narrow(1, 1, t)?.contiguous()?;
    let next_actions = Tensor::from_slice(choice, (b, frames, n), cpu)?.narrow(1, 1, t)?.contiguous()?;
    let next_state = frames_of(&batch.state, frames, 1..frames);
    let slow_hidden = slow.hidden.as_ref().filter(|_| slow_mixer.reads_hidden());
    let slow_hidden = slow_hidden.map(|hidden| hidden.narrow(1, 1, t)).transpose()?;
    let bootstrap = slow_mixer.bootstrap(&JointStep {
        span: 1..frames,
        lengths: Some(&batch.lengths),
        q_taken: &next_q,
        q_max: &next_max,
        actions: &next_actions,
        hidden: slow_hidden.as_ref(),
        state: &next_state,
        agent_inputs: &batch.inputs,
    })?;
    let keep: Vec<f64> = batch.terminated.iter().map(|&end| config.gamma * f64::from(1.0 - end)).collect();
    let bootstrap = blended(&batch.mask, reward, &keep, bootstrap, config.lambda)?;
    let reward = floats(reward.to_vec(), (b, t, 1))?;
    let target = floats(keep, (b, t, 1))?.broadcast_mul(&bootstrap)?.broadcast_add(&reward)?.detach();
    let mask = floats(batch.mask.iter().map(|&m| f64::from(m)).collect(), (b, t, 1))?;

    // Frames 0..T of the online network, with gradients where they matter.
    let mut taken = vec![0_u32; b * frames * n];
    for (taken, actions) in taken.chunks_exact_mut(frames * n).zip(batch.actions.chunks_exact(t * n)) {
        taken[..t * n].copy_from_slice(actions);
    }
    let pick = |index: Vec<u32>| -> Result<(Tensor, Tensor)> {
        let index = Tensor::from_vec(index, (b, frames, n, 1), cpu)?;
        let q = online.q.gather(&index, 3)?.squeeze(3)?.narrow(1, 0, t)?;
        Ok((q, index.squeeze(3)?.narrow(1, 0, t)?))
    };
    let (q_taken, actions) = pick(taken)?;
    let (q_greedy, greedy_actions) = pick(best)?;
    let q_max = q_max.narrow(1, 0, t)?;
    let hidden = online.hidden.narrow(1, 0, t)?;
    let state = frames_of(&batch.state, frames, 0..t);
    let step = |q_taken, actions| JointStep {
        span: 0..t,
        lengths: Some(&batch.lengths),
        q_taken,
        q_max: &q_max,
        actions,
        hidden: mixer.reads_hidden().then_some(&hidden),
        state: &state,
        agent_inputs: &batch.inputs,
    };
    let td = TdBatch {
        target: &target,
        mask: &mask,
        taken: step(&q_taken, &actions),
        greedy: step(&q_greedy, &greedy_actions),
        slow: slow_mixer,
    };
    let losses = mixer.losses(&td)?;
    let target_mean = if batch.filled() > 0.0 { scalar(&masked_mean(&target, &mask)?)? } else { 0.0 };
    Ok(TdOutcome { losses, target, target_mean })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Draw, stream};

    /// The forward view: the mean of the returns after 1, 2, … steps, by weights (1 - λ), (1 - λ) λ, …, the last of
    /// which takes what is left. A value of 0 after the last step is an end of the task.
    fn forward_view(reward: &[f64], value: &[f64], gamma: f64, lambda: f64) -> f64 {
        let last = reward.len() - 1;
        let (mut gain, mut left, mut mean) = (0.0, 1.0, 0.0);
        for (step, (reward, value)) in reward.iter().zip(value).enumerate() {
            let discount = gamma.powi(step as i32);
            gain += discount * reward;
            let weight = if step == last { left } else { left * (1.0 - lambda) };
            mean += weight * (gain + discount * gamma * value);
            left -= weight;
        }
        mean
    }

    #[test]
    fn targets_are_the_mean_of_the_returns_after_every_number_of_steps() -> Result<()> {
        let (t, k, gamma) = (6, 2, 0.9);
        // One episode whose task ends, one that is cut, one of one step; the rest is padding of any content.
        let (lengths, ends) = ([6, 4, 1], [true, false, true]);
        let mut rng = stream(1, "values");
        let mut random =
            |count: usize| (0..count).map(|_| 2.0 * f64::from(rng.unit()) - 1.0).collect::<Vec<_>>();
        let (reward, values) = (random(3 * t), random(3 * t * k));
        let mask: Vec<f32> = (0..3 * t).map(|i| f32::from(u8::from(i % t < lengths[i / t]))).collect();
        let ended = |i: usize| ends[i / t] && i % t + 1 == lengths[i / t];
        let keep: Vec<f64> = (0..3 * t).map(|i| if ended(i) { 0.0 } else { gamma }).collect();
        for lambda in [0.0, 0.3, 0.6, 1.0] {
            let bootstrap = Tensor::from_slice(&values, (3, t, k), &Device::Cpu)?;
            let follows: Vec<f64> =
                blended(&mask, &reward, &keep, bootstrap, lambda)?.flatten_all()?.to_vec1()?;
            for (i, _) in mask.iter().enumerate().filter(|&(_, &exists)| exists > 0.0) {
                let rest = i..i / t * t + lengths[i / t];
                for head in 0..k {
                    let target = reward[i] + keep[i] * follows[i * k + head];
                    let value: Vec<f64> =
                        rest.clone().map(|i| if ended(i) { 0.0 } else { values[i * k + head] }).collect();
                    let want = forward_view(&reward[rest.clone()], &value, gamma, lambda);
                    assert!((target - want).abs() < 1e-12, "λ {lambda}, step {i}: {target}, not {want}");
                }
            }
        }
        Ok(())
    }
}
