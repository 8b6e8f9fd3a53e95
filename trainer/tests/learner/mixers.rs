//! Every mixer of the registry: its gradients.

use candle_core::{DType, Device, Result, Tensor, Var};
use ddn_trainer::learner::mixer::{JointStep, LossTerms, Mixer, MixerShape, REGISTRY, TdBatch};
use ddn_trainer::nn::{Params, Sparse};
use ddn_trainer::seed::{Draw, stream};
use rand_chacha::ChaCha8Rng;

use crate::differences::{check_gradient, random, variable};

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
