//! Every mixer of the registry: its gradients, and what it claims of joint and individual actions.

use candle_core::{DType, Device, Result, Tensor, Var};
use ddn_trainer::learner::mixer::{JointStep, LossTerms, Mixer, MixerShape, REGISTRY, TdBatch};
use ddn_trainer::nn::params::scalar;
use ddn_trainer::nn::{Params, Sparse};
use ddn_trainer::seed::{Draw, stream};
use rand_chacha::ChaCha8Rng;

use crate::differences::{check_gradient, check_gradients, numbers, random, variable, weighed};

const SHAPE: MixerShape = MixerShape { agents: 3, actions: 4, state: 11, hidden: 7, input: 9 };

/// A mixer, small, and what it promises whatever its parameters are.
struct Case {
    mixer: &'static str,
    /// Of its table, beside `kind`.
    keys: &'static str,
    /// The team's best joint action is made of the agents' best actions.
    igm: bool,
    /// The team's value never falls when one agent's rises.
    monotone: bool,
}

const fn case(mixer: &'static str, keys: &'static str, (igm, monotone): (bool, bool)) -> Case {
    Case { mixer, keys, igm, monotone }
}

/// `iql` has no value of the team; QTRAN's is only held to agree with the utilities; QPLEX's depends
/// on the utilities through their maximum as well.
const CASES: &[Case] = &[
    case("iql", "", (false, false)),
    case("vdn", "", (true, true)),
    case("qmix", "", (true, true)),
    case("qtran", "embed = 6", (false, false)),
    case("qatten", "heads = 2\nkey = 3\nhyper = 5\nembed = 4\nregularise = 0.5", (true, true)),
    case("qatten", "heads = 3\nkey = 2\nhyper = 5\nweighted = false", (true, true)),
    case("wqmix", "weighting = \"ow\"\ncentral_hidden = 4\ncentral_embed = 6", (true, true)),
    case("wqmix", "weighting = \"cw\"\ncentral_hidden = 4\ncentral_embed = 6", (true, true)),
    case("qplex", "kernels = 2\nlayers = 2\nembed = 5\nhyper = 6", (true, false)),
    case("qplex", "kernels = 3\nlayers = 1\nhyper = 6", (true, false)),
];

#[test]
fn every_mixer_is_here_and_says_what_it_claims() {
    let mut named: Vec<_> = CASES.iter().map(|case| case.mixer).collect();
    named.dedup();
    let registered: Vec<_> = REGISTRY.iter().map(|entry| entry.name).collect();
    assert_eq!(named, registered, "left: the list in this file; right: the registry");
}

/// Terms that an input does not change, or changes through parts that are held constant: what central
/// differences make of it is rounding, or not the gradient.
struct Held {
    mixer: &'static str,
    terms: &'static [&'static str],
    /// Beginnings of the names of the inputs.
    inputs: &'static [&'static str],
    /// Whether their gradient must be 0.
    whole: bool,
}

const HELD: &[Held] = &[
    // Both hold the joint value, which reads parameters and features.
    Held { mixer: "qtran", terms: &["opt", "nopt"], inputs: &["encoder.", "joint.", "hidden"], whole: true },
    // What is added to the keys of all agents alike does not change their shares.
    Held { mixer: "qatten", terms: &["td"], inputs: &["key.bias"], whole: true },
    // The advantage; see `utilities_of_qplex_learn_through_the_sum`.
    Held { mixer: "qplex", terms: &["td"], inputs: &["q_taken", "w."], whole: false },
];

/// The mixer of a case under `params`, as the registry builds it.
fn build(case: &Case, params: &Params) -> Box<dyn Mixer> {
    build_as(case, SHAPE, params)
}

fn build_as(case: &Case, shape: MixerShape, params: &Params) -> Box<dyn Mixer> {
    let table = toml::from_str(&format!("kind = \"{}\"\n{}", case.mixer, case.keys)).expect("a table");
    let entry = REGISTRY.iter().find(|entry| entry.name == case.mixer).expect("it is in the registry");
    (entry.build)(&table, shape, &params.builder()).expect("the keys are valid")
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
            lengths: None,
            q_taken: &self.q_taken,
            q_max: &self.q_max,
            actions: &self.actions,
            hidden: Some(&self.hidden),
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
    for case in CASES {
        let mut rng = stream(1, "gradients");
        let params = Params::new(1, DType::F64);
        let mixer = build(case, &params);
        // Larger than at the start of training, where attention is nearly uniform and slopes drown in rounding.
        for (_, var) in params.vars() {
            var.set(&(var.as_detached_tensor() * 2.0)?)?;
        }
        let others = Params::new(2, DType::F64);
        build(case, &others);
        let slow = build(case, &others.slow_copy()?);

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
                let what = format!("{} ({}), {term}, {name}", case.mixer, case.keys);
                let held = HELD.iter().find(|held| {
                    held.mixer == case.mixer
                        && held.terms.contains(term)
                        && held.inputs.iter().any(|input| name.starts_with(input))
                });
                let largest = match held {
                    None => check_gradient(&what, var, &grads, || Ok(losses()?.swap_remove(index).2))?,
                    Some(held) => {
                        let grad = grads.get(var).map_or_else(|| Ok(Vec::new()), numbers)?;
                        let largest = grad.iter().fold(0.0_f64, |largest, g| largest.max(g.abs()));
                        assert!(!held.whole || largest < 1e-15, "{what}: its gradient is {largest}");
                        largest
                    }
                };
                *reached = reached.max(largest);
            }
        }
        for ((name, _), reached) in inputs.iter().zip(reached) {
            let must = !["greedy q_taken", "hidden", "key.bias"].contains(&name.as_str());
            assert!(reached > 0.0 || !must, "{}: no term gives {name} a gradient", case.mixer);
        }
    }
    Ok(())
}

#[test]
fn utilities_of_qplex_learn_through_the_sum() -> Result<()> {
    // Where every agent does its best, the advantage is 0 however the utilities move: what is left
    // is the sum, and the gradient must be its slope.
    for case in CASES.iter().filter(|case| case.mixer == "qplex") {
        let params = Params::new(1, DType::F64);
        let mixer = build(case, &params);
        let play = Play::random(&mut stream(1, "best"), 3, 4)?;
        let loss = || weighed(&mixer.q_tot(&JointStep { q_max: &play.q_taken, ..play.step() })?);
        let mut inputs = params.vars();
        inputs.retain(|(name, _)| name.starts_with("w.") || name.starts_with("b."));
        inputs.push(("q_taken".to_owned(), play.q_taken.clone()));
        let inputs: Vec<_> = inputs.iter().map(|(name, var)| (name.as_str(), var)).collect();
        check_gradients("qplex", &inputs, loss)?;
    }
    Ok(())
}

#[test]
fn parameters_on_predator_prey_are_as_many_as_in_the_public_code() {
    let shape = MixerShape { agents: 8, actions: 6, state: 300, hidden: 64, input: 89 };
    for (mixer, keys, count) in [
        ("iql", "", 0),
        ("vdn", "", 0),
        ("qmix", "", 76_545),
        ("qtran", "", 61_398),
        ("qatten", "", 126_085),
        // QMIX, the central mixer, its agents.
        ("wqmix", "", 76_545 + 288_258 + 31_110),
        ("qplex", "", 784_058),
        ("qplex", "kernels = 4\nlayers = 1", 61_572),
        ("qplex", "kernels = 4\nlayers = 2", 287_444),
    ] {
        let params = Params::new(1, DType::F32);
        build_as(&case(mixer, keys, (false, false)), shape, &params);
        assert_eq!(params.count(), count, "{mixer} {keys}");
    }
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
        state: state.select((0..count).map(|_| 0..1)),
        agent_inputs: inputs.select((0..count).map(|_| 0..2 * n)),
    };
    Ok((play, greedy))
}

#[test]
fn the_best_joint_action_is_made_of_the_best_actions() -> Result<()> {
    for case in CASES.iter().filter(|case| case.igm) {
        for draw in 0..100 {
            let mixer = build(case, &Params::new(draw, DType::F64));
            let (play, greedy) = all_joint_actions(&mut stream(draw, "igm"))?;
            let values = numbers(&mixer.q_tot(&play.step())?)?;
            let best = (0..values.len()).max_by(|&x, &y| values[x].total_cmp(&values[y]));
            assert_eq!(best, Some(greedy), "{} at draw {draw}: {values:?}", case.mixer);
        }
    }
    Ok(())
}

#[test]
fn the_value_of_the_team_never_falls_when_that_of_an_agent_rises() -> Result<()> {
    for case in CASES.iter().filter(|case| case.monotone) {
        for draw in 0..20 {
            let mut rng = stream(draw, "monotone");
            let mixer = build(case, &Params::new(draw, DType::F64));
            let play = Play::random(&mut rng, 16, 2)?;
            let before = numbers(&mixer.q_tot(&play.step())?)?;
            let q = numbers(&play.q_taken)?;
            for agent in 0..SHAPE.agents {
                let raised = |k: usize, q: f64, by: f64| if k % SHAPE.agents == agent { q + by } else { q };
                let data = q.iter().enumerate().map(|(k, &q)| raised(k, q, f64::from(rng.unit()) * 4.0));
                let data = Tensor::from_vec(data.collect(), play.q_taken.shape(), &Device::Cpu)?;
                let after = numbers(&mixer.q_tot(&JointStep { q_taken: &data, ..play.step() })?)?;
                for (before, after) in before.iter().zip(after) {
                    assert!(after >= before - 1e-12, "{}: {before} fell to {after}", case.mixer);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn steps_that_do_not_exist_are_in_no_loss() -> Result<()> {
    for case in CASES {
        let mut rng = stream(3, "mask");
        let mixer = build(case, &Params::new(3, DType::F64));
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
        assert_eq!(losses(&play.q_taken, &target)?, changed, "{}", case.mixer);
    }
    Ok(())
}
