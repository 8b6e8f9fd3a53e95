//! Every mixer of the registry: its gradients, and what it claims of joint and individual actions.

use candle_core::{DType, Device, Result, Tensor, Var};
use ddn_trainer::learner::mixer::{JointStep, LossTerms, Mixer, MixerShape, REGISTRY, TdBatch};
use ddn_trainer::nn::params::scalar;
use ddn_trainer::nn::{Params, Sparse};
use ddn_trainer::seed::{Draw, stream};
use rand_chacha::ChaCha8Rng;

use crate::differences::{check_gradient, numbers, random, variable};

const SHAPE: MixerShape = MixerShape { agents: 3, actions: 4, state: 11, hidden: 7, input: 9 };

/// Mixers under `params`, as the registry builds them from `kind` alone.
fn build(kind: &str, params: &Params) -> Box<dyn Mixer> {
    let table = toml::Table::from_iter([("kind".to_owned(), toml::Value::from(kind))]);
    let entry = REGISTRY.iter().find(|entry| entry.name == kind).expect("it is in the registry");
    (entry.build)(&table, SHAPE, &params.builder()).expect("defaults build")
}

/// What a team did, with everything a mixer may look at.
struct Play {
    q_taken: Var,
    q_max: Tensor,
    actions: Tensor,
    hidden: Var,
    state: Sparse,
    agent_inputs: Sparse,
}

impl Play {
    /// Random values and actions over B episodes of T steps.
    fn random(rng: &mut ChaCha8Rng, b: usize, t: usize) -> Result<Self> {
        let MixerShape { agents: n, actions, state, hidden, input } = SHAPE;
        let taken: Vec<u32> = (0..b * t * n).map(|_| rng.below(actions) as u32).collect();
        let q_taken = variable(rng, &[b, t, n])?;
        Ok(Self {
            q_max: (q_taken.as_detached_tensor() + random(rng, &[b, t, n])?.abs()?)?,
            q_taken,
            actions: Tensor::from_vec(taken, (b, t, n), &Device::Cpu)?,
            hidden: variable(rng, &[b, t, n, hidden])?,
            state: rows(rng, b * t, state),
            agent_inputs: rows(rng, b * (t + 1) * n, input),
        })
    }

    fn step(&self) -> JointStep<'_> {
        JointStep {
            span: 0..self.actions.dims()[1],
            q_taken: &self.q_taken,
            q_max: &self.q_max,
            actions: &self.actions,
            hidden: &self.hidden,
            state: &self.state,
            agent_inputs: &self.agent_inputs,
        }
    }
}

/// Half of the numbers are 0.
fn rows(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Sparse {
    let dense: Vec<f32> =
        (0..rows * width).map(|_| if rng.below(2) == 0 { 2.0 * rng.unit() - 1.0 } else { 0.0 }).collect();
    Sparse::from_dense(width, &dense)
}

#[test]
fn gradients_of_every_loss_term() -> Result<()> {
    let (b, t) = (3, 5);
    for entry in REGISTRY {
        let mut rng = stream(1, "gradients");
        let params = Params::new(1, DType::F64);
        let mixer = build(entry.name, &params);
        let others = Params::new(2, DType::F64);
        build(entry.name, &others);
        let slow = build(entry.name, &others.slow_copy()?);

        let taken = Play::random(&mut rng, b, t)?;
        // The same frames with other actions: only these and their values differ.
        let other = Play::random(&mut rng, b, t)?;
        let greedy = || JointStep { q_taken: &other.q_taken, actions: &other.actions, ..taken.step() };
        let values = mixer.q_tot(&taken.step())?.dim(2)?;
        let target = random(&mut rng, &[b, t, values])?;
        // Episodes of 5, 4 and 3 steps.
        let mask: Vec<f64> = (0..b * t).map(|k| f64::from(u8::from(k % t < t - k / t))).collect();
        let mask = Tensor::from_vec(mask, (b, t, 1), &Device::Cpu)?;
        let losses = || -> Result<LossTerms> {
            let (taken, greedy) = (taken.step(), greedy());
            mixer.losses(&TdBatch { target: &target, mask: &mask, taken, greedy, slow: &*slow })
        };

        let mut inputs = params.vars();
        for (name, var) in
            [("q_taken", &taken.q_taken), ("greedy q_taken", &other.q_taken), ("hidden", &taken.hidden)]
        {
            inputs.push((name.to_owned(), var.clone()));
        }
        let mut reached = vec![0.0_f64; inputs.len()];
        for (index, (term, _, loss)) in losses()?.iter().enumerate() {
            let grads = loss.backward()?;
            for ((name, var), reached) in inputs.iter().zip(&mut reached) {
                let what = format!("{}, {term}, {name}", entry.name);
                let largest = check_gradient(&what, var, &grads, || Ok(losses()?.swap_remove(index).2))?;
                *reached = reached.max(largest);
            }
        }
        for ((name, _), reached) in inputs.iter().zip(reached) {
            let must = !["greedy q_taken", "hidden"].contains(&name.as_str());
            assert!(reached > 0.0 || !must, "{}: no term gives {name} a gradient", entry.name);
        }
    }
    Ok(())
}

/// What a mixer promises whatever its parameters are.
struct Claims {
    mixer: &'static str,
    /// The team's best joint action is made of the agents' best actions.
    igm: bool,
    /// The team's value never falls when one agent's rises.
    monotone: bool,
}

const CLAIMS: &[Claims] = &[
    Claims { mixer: "vdn", igm: true, monotone: true },
    Claims { mixer: "qmix", igm: true, monotone: true },
];

#[test]
fn every_mixer_says_what_it_claims() {
    let claimed: Vec<_> = CLAIMS.iter().map(|claims| claims.mixer).collect();
    let registered: Vec<_> = REGISTRY.iter().map(|entry| entry.name).collect();
    assert_eq!(claimed, registered, "left: the list in this file; right: the registry");
}

/// All joint actions of one moment, a row for each; and which of them is made of the best actions.
fn all_joint_actions(rng: &mut ChaCha8Rng) -> Result<(Play, usize)> {
    let MixerShape { agents: n, actions: a, state, hidden, input } = SHAPE;
    let count = a.pow(n as u32);
    let utilities: Vec<f64> = numbers(&random(rng, &[n * a])?)?.iter().map(|q| 3.0 * q).collect();
    let utility = |agent: usize, action: usize| utilities[agent * a + action];
    let best: Vec<usize> = (0..n)
        .map(|agent| (0..a).max_by(|&x, &y| utility(agent, x).total_cmp(&utility(agent, y))).expect("A > 0"))
        .collect();
    let action = |joint: usize, agent: usize| joint / a.pow(agent as u32) % a;
    let greedy = best.iter().enumerate().map(|(agent, best)| best * a.pow(agent as u32)).sum();
    let each = |value: &dyn Fn(usize, usize) -> f64| -> Result<Tensor> {
        let data: Vec<f64> = (0..count * n).map(|k| value(k / n, k % n)).collect();
        Tensor::from_vec(data, (count, 1, n), &Device::Cpu)
    };
    let q_taken = Var::from_tensor(&each(&|joint, agent| utility(agent, action(joint, agent)))?)?;
    let features = random(rng, &[1, 1, n, hidden])?.broadcast_as((count, 1, n, hidden))?.contiguous()?;
    let (state, inputs) = (rows(rng, 1, state), rows(rng, 2 * n, input));
    let play = Play {
        q_taken,
        q_max: each(&|_, agent| utility(agent, best[agent]))?,
        actions: each(&|joint, agent| action(joint, agent) as f64)?.to_dtype(DType::U32)?,
        hidden: Var::from_tensor(&features)?,
        state: state.select((0..count).map(|_| 0)),
        agent_inputs: inputs.select((0..count * 2 * n).map(|row| row % (2 * n))),
    };
    Ok((play, greedy))
}

#[test]
fn the_best_joint_action_is_made_of_the_best_actions() -> Result<()> {
    for claims in CLAIMS.iter().filter(|claims| claims.igm) {
        for draw in 0..100 {
            let mixer = build(claims.mixer, &Params::new(draw, DType::F64));
            let (play, greedy) = all_joint_actions(&mut stream(draw, "igm"))?;
            let values = numbers(&mixer.q_tot(&play.step())?)?;
            let best = (0..values.len()).max_by(|&x, &y| values[x].total_cmp(&values[y]));
            assert_eq!(best, Some(greedy), "{} at draw {draw}: {values:?}", claims.mixer);
        }
    }
    Ok(())
}

#[test]
fn the_value_of_the_team_never_falls_when_that_of_an_agent_rises() -> Result<()> {
    for claims in CLAIMS.iter().filter(|claims| claims.monotone) {
        for draw in 0..20 {
            let mut rng = stream(draw, "monotone");
            let mixer = build(claims.mixer, &Params::new(draw, DType::F64));
            let play = Play::random(&mut rng, 16, 2)?;
            let before = numbers(&mixer.q_tot(&play.step())?)?;
            let q = numbers(&play.q_taken)?;
            for agent in 0..SHAPE.agents {
                let raised = |k: usize, q: f64, by: f64| if k % SHAPE.agents == agent { q + by } else { q };
                let data = q.iter().enumerate().map(|(k, &q)| raised(k, q, f64::from(rng.unit()) * 4.0));
                let data = Tensor::from_vec(data.collect(), play.q_taken.shape(), &Device::Cpu)?;
                let after = numbers(&mixer.q_tot(&JointStep { q_taken: &data, ..play.step() })?)?;
                for (before, after) in before.iter().zip(after) {
                    assert!(after >= before - 1e-12, "{}: {before} fell to {after}", claims.mixer);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn steps_that_do_not_exist_are_in_no_loss() -> Result<()> {
    for entry in REGISTRY {
        let mut rng = stream(3, "mask");
        let mixer = build(entry.name, &Params::new(3, DType::F64));
        let (play, other) = (Play::random(&mut rng, 2, 3)?, Play::random(&mut rng, 2, 3)?);
        let mask = Tensor::from_vec(vec![1.0, 1.0, 0.0, 1.0, 0.0, 0.0], (2, 3, 1), &Device::Cpu)?;
        let values = mixer.q_tot(&play.step())?.dim(2)?;
        let target = random(&mut rng, &[2, 3, values])?;
        let losses = |q_taken: &Tensor, target: &Tensor| -> Result<Vec<f64>> {
            let step = || JointStep { q_taken, ..play.step() };
            let td = TdBatch { target, mask: &mask, taken: step(), greedy: step(), slow: &*mixer };
            mixer.losses(&td)?.iter().map(|(_, _, loss)| scalar(loss)).collect()
        };
        let swapped = |kept: &Tensor, padded: &Tensor| -> Result<Tensor> {
            kept.broadcast_mul(&mask)? + padded.broadcast_mul(&(1.0 - &mask)?)?
        };
        let changed =
            losses(&swapped(&play.q_taken, &other.q_taken)?, &swapped(&target, &(&target * 9.0)?)?)?;
        assert_eq!(losses(&play.q_taken, &target)?, changed, "{}", entry.name);
    }
    Ok(())
}
