//! Every mixer alone: the joint value, the targets, each term of the loss and the gradient of every
//! parameter, mixer's and agents'.

use std::sync::Mutex;

use candle_core::{DType, Result, Tensor};
use ddn_trainer::learner::agent::{Agent, Input};
use ddn_trainer::learner::mixer::{JointStep, LossTerms, Mixer, TdBatch};
use ddn_trainer::learner::td::td_losses;
use ddn_trainer::nn::Params;
use ddn_trainer::replay::input_dim;

use super::{CLOSE, Oracle, PLAIN, mixer, setting};

/// A mixer that keeps the joint value of what was done.
struct Watched(Box<dyn Mixer>, Mutex<Option<Tensor>>);

impl Mixer for Watched {
    fn reads_hidden(&self) -> bool {
        self.0.reads_hidden()
    }

    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        self.0.q_tot(step)
    }

    fn losses(&self, td: &TdBatch<'_>) -> Result<LossTerms> {
        *self.1.lock().expect("one thread") = Some(self.0.q_tot(&td.taken)?);
        self.0.losses(td)
    }
}

/// Fails unless all numbers agree, relative to the largest of them.
fn check_all(what: &str, got: &Tensor, want: &[f64]) {
    let got: Vec<f64> = got.flatten_all().and_then(|got| got.to_vec1()).expect("f64");
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.0_f64, |largest, want| largest.max(want.abs()));
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= CLOSE * largest, "{what}[{index}]: {got} instead of {want}");
    }
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    for variant in PLAIN {
        let oracle = Oracle::open(&format!("plain_{variant}"));
        let (spec, table, batch) = (oracle.spec(), mixer(&oracle, variant), oracle.batch());
        let setting = setting(&spec, &table);
        let hidden = oracle.shape("agent.fc1.bias")[0];
        let build = |params: &Params| {
            let vb = params.builder();
            let agent = Agent::new(&vb.pp("agent"), input_dim(&spec), hidden, spec.n_actions());
            (agent.expect("fresh parameters"), setting.mixer(hidden, &vb.pp("mixer")).expect("a valid table"))
        };
        let online = Params::new(1, DType::F64);
        let (agent, mixer) = build(&online);
        let slow = online.slow_copy().expect("a copy");
        let (slow_agent, slow_mixer) = build(&slow);
        oracle.fill("", &online);
        oracle.fill("slow.", &slow);

        let mixer = Watched(mixer, Mutex::new(None));
        let input = Input::Sparse(&batch.inputs);
        let unroll = |agent: &Agent| agent.unroll(&input, batch.span(), None).expect("the rows fit");
        let (q, slow_q) = (unroll(&agent), unroll(&slow_agent).into());
        let reward: Vec<f64> = batch.reward.iter().map(|&reward| f64::from(reward)).collect();
        let outcome = td_losses(&batch, &reward, (&q, &mixer), (&slow_q, &*slow_mixer), setting.td);
        let outcome = outcome.expect("the shapes fit");

        let q_tot = mixer.1.into_inner().expect("one thread").expect("losses were asked for");
        // Past its end an episode is padding, where nothing has to agree.
        let exists: Vec<f64> = batch.mask.iter().map(|&mask| f64::from(mask)).collect();
        let exists =
            Tensor::new(exists, q_tot.device()).and_then(|v| v.reshape((batch.episodes, batch.steps, 1)));
        let exists = exists.expect("[B, T, 1]");
        for (name, got) in [("q_tot", &q_tot), ("targets", &outcome.target)] {
            let want = oracle.tensor(name).reshape(got.shape()).and_then(|want| want.broadcast_mul(&exists));
            let want: Vec<f64> = want.and_then(|want| want.flatten_all()?.to_vec1()).expect("f64");
            let got = got.broadcast_mul(&exists).expect("[B, T, K]");
            check_all(&format!("{variant}, {name}"), &got, &want);
        }
        let mut total = Tensor::zeros((), DType::F64, q_tot.device()).expect("a scalar");
        for (name, weight, term) in &outcome.losses {
            check_all(&format!("{variant}, loss_{name}"), term, oracle.get(&format!("loss_{name}")));
            total = (total + (term * *weight).expect("a scalar")).expect("a scalar");
        }
        let grads = total.backward().expect("a graph");
        for (name, var) in online.vars() {
            let grad = grads.get(&var).unwrap_or_else(|| panic!("{variant}: no gradient reaches {name}"));
            check_all(&format!("{variant}, gradient of {name}"), grad, oracle.get(&format!("grad.{name}")));
        }
    }
}
