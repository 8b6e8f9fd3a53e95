//! Whole updates against PyTorch in double precision (`tests/oracles/make_oracles.py`).
//!
//! All arithmetic is in `f64`.

mod mixers;

mod schemes;

mod statistics;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use ddn_trainer::env::EnvSpec;
use ddn_trainer::learner::edm::{DistillConfig, Reduce};
use ddn_trainer::learner::fusion::FusionConfig;
use ddn_trainer::learner::idm::IdmConfig;
use ddn_trainer::learner::scheme::{
    Ddn, DdnConfig, Metrics, Plain, PlainConfig, Scheme, SchemeKind, Setting,
};
use ddn_trainer::learner::td::TdConfig;
use ddn_trainer::nn::kernel::{Weights, recurrent};
use ddn_trainer::nn::{Params, Sparse};
use ddn_trainer::replay::Batch;
use safetensors::SafeTensors;

/// Of numbers relative to the larger of themselves and 1; of parameters after an update, absolute.
const CLOSE: f64 = 1e-9;

/// The mixers, and variants of them, that the script knows under the scheme `plain`.
const PLAIN: &[&str] =
    &["vdn", "qmix", "iql", "qtran", "qatten", "qatten_unweighted", "wqmix_ow", "wqmix_cw", "qplex"];

/// Those that it knows under the scheme `ddn`.
const DDN: &[&str] = &["vdn", "qmix", "wqmix_cw", "qplex"];

struct Oracle(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl Oracle {
    fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("oracles/{name}.safetensors"));
        let bytes = std::fs::read(path).expect("the oracle is committed");
        let file = SafeTensors::deserialize(&bytes).expect("written by safetensors");
        let numbers = |data: &[u8]| data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        Self(file.tensors().into_iter().map(|(k, v)| (k, (v.shape().to_vec(), numbers(v.data())))).collect())
    }

    fn get(&self, name: &str) -> &[f64] {
        &self.0.get(name).unwrap_or_else(|| panic!("the oracle lacks {name}")).1
    }

    fn tensor(&self, name: &str) -> Tensor {
        let (shape, data) = &self.0[name];
        Tensor::from_slice(data, shape.as_slice(), &Device::Cpu).expect("the shape fits")
    }

    fn shape(&self, name: &str) -> &[usize] {
        &self.0[name].0
    }

    fn spec(&self) -> EnvSpec {
        EnvSpec {
            name: "oracle".into(),
            n_agents: self.shape("obs")[2],
            actions: (0..self.shape("available")[3]).map(|action| action.to_string()).collect(),
            obs_dim: self.shape("obs")[3],
            state_dim: self.shape("state")[2],
            teacher_dim: self.0.get("teacher").map_or(0, |(shape, _)| shape[3]),
            episode_limit: self.shape("actions")[1],
            obs_layout: String::new(),
            best_return: None,
        }
    }

    fn batch(&self) -> Batch {
        let spec = self.spec();
        let [b, t, n] = self.shape("actions") else { panic!("actions are [B, T, N]") };
        let (b, t, n, a, o) = (*b, *t, *n, spec.n_actions(), spec.obs_dim);
        let (obs, actions) = (self.get("obs"), self.get("actions"));
        let mut inputs = Vec::new();
        for row in 0..b * (t + 1) * n {
            let (agent, step, episode) = (row % n, row / n % (t + 1), row / n / (t + 1));
            inputs.extend(obs[row * o..][..o].iter().map(|&v| v as f32));
            let last = (step > 0).then(|| actions[(episode * t + step - 1) * n + agent] as usize);
            inputs.extend((0..a).map(|action| f32::from(u8::from(last == Some(action)))));
            inputs.extend((0..n).map(|id| f32::from(u8::from(id == agent))));
        }
        let floats = |name: &str| self.get(name).iter().map(|&v| v as f32).collect::<Vec<_>>();
        Batch {
            episodes: b,
            steps: t,
            agents: n,
            actions_each: a,
            inputs: Sparse::from_dense(o + a + n, &inputs),
            state: Sparse::from_dense(spec.state_dim, &floats("state")),
            teacher: match spec.teacher_dim {
                0 => Sparse::from_dense(1, &[]),
                width => Sparse::from_dense(width, &floats("teacher")),
            },
            available: self.get("available").iter().map(|&v| v > 0.5).collect(),
            actions: actions.iter().map(|&v| v as u32).collect(),
            reward: floats("reward"),
            terminated: floats("terminated"),
            lengths: floats("mask").chunks(t).map(|mask| mask.iter().sum::<f32>() as usize + 1).collect(),
            mask: floats("mask"),
            kept: Vec::new(),
        }
    }

    fn check(&self, name: &str, got: f64) {
        let want = self.get(name)[0];
        assert!((got - want).abs() <= CLOSE * want.abs().max(1.0), "{name}: {got} instead of {want}");
    }

    /// Parameters after an update, but for the slow copies.
    fn check_parameters(&self, prefix: &str, scheme: &dyn Scheme) {
        let sets = scheme.params().into_iter().map(|(set, _)| set);
        self.check_sets(prefix, scheme, &sets.filter(|set| *set != "slow").collect::<Vec<_>>());
    }

    /// Those of `sets` after an update.
    fn check_sets(&self, prefix: &str, scheme: &dyn Scheme, sets: &[&str]) {
        for (_, params) in scheme.params().into_iter().filter(|(set, _)| sets.contains(set)) {
            for (name, var) in params.vars() {
                if name.starts_with("idm.target.") {
                    continue;
                }
                let got: Vec<f64> = var.flatten_all().and_then(|v| v.to_vec1()).expect("f64");
                let want = self.get(&format!("{prefix}{name}"));
                for (index, (got, want)) in got.iter().zip(want).enumerate() {
                    assert!((got - want).abs() < CLOSE, "{prefix}{name}[{index}]: {got} instead of {want}");
                }
            }
        }
    }

    /// All terms of the mixer's loss, stored with `prefix`.
    fn check_losses(&self, prefix: &str, metrics: &Metrics) {
        for term in ["td", "opt", "nopt", "attention", "central"] {
            let (name, metric) = (format!("{prefix}{term}"), metrics.get(&format!("loss_{term}")));
            assert_eq!(self.0.contains_key(&name), metric.is_some(), "{name}");
            metric.into_iter().for_each(|&value| self.check(&name, value));
        }
    }

    /// Sets all parameters to those stored with `prefix`.
    fn fill(&self, prefix: &str, params: &Params) {
        for (name, var) in params.vars() {
            let (shape, _) = &self.0[&format!("{prefix}{name}")];
            assert_eq!(shape, var.dims(), "{prefix}{name}");
            var.set(&self.tensor(&format!("{prefix}{name}"))).expect("f64 of that shape");
        }
    }

    fn load(&self, scheme: &dyn Scheme) {
        for (set, params) in scheme.params() {
            self.fill(if set == "slow" { "slow." } else { "" }, params);
        }
    }
}

fn setting<'a>(spec: &'a EnvSpec, mixer: &'a toml::Table) -> Setting<'a> {
    let td = TdConfig { gamma: 0.99, double_q: true, lambda: 0.0 };
    Setting { spec, mixer, seed: 1, dtype: DType::F64, td, clip: 10.0 }
}

/// The `[mixer]` table of a variant, with the sizes of the stored parameters.
fn mixer(oracle: &Oracle, variant: &str) -> toml::Table {
    let width = |name: &str| oracle.shape(&format!("mixer.{name}.bias"))[0];
    let kind = variant.split('_').next().expect("a name");
    let sizes = match kind {
        "qmix" => format!("embed = {}\nhyper = {}", width("b1"), width("w1.0")),
        "qtran" => format!("embed = {}", width("v.0")),
        "qatten" => format!(
            "heads = {}\nkey = {}\nhyper = {}\nembed = {}\nweighted = {}\nregularise = 0.01",
            width("key") / width("query.0.1"),
            width("query.0.1"),
            width("query.0.0"),
            width("c.0"),
            variant == "qatten",
        ),
        "wqmix" => format!(
            "weighting = \"{}\"\nembed = {}\nhyper = {}\ncentral_hidden = {}\ncentral_embed = {}",
            &variant["wqmix_".len()..],
            width("monotone.b1"),
            width("monotone.w1.0"),
            width("central.agent.fc1"),
            width("central.v.0"),
        ),
        "qplex" => {
            let keys = |layer: &str| {
                let ours = |name: &&String| {
                    name.starts_with("mixer.kernel.") && name.ends_with(&format!("key.{layer}.bias"))
                };
                oracle.0.keys().filter(ours).count()
            };
            format!(
                "kernels = {}\nlayers = 2\nembed = {}\nhyper = {}",
                keys("1"),
                width("kernel.0.key.0"),
                width("w.0")
            )
        }
        _ => String::new(),
    };
    toml::from_str(&format!("kind = \"{kind}\"\n{sizes}")).expect("a table")
}

#[test]
fn gru_sequences_and_their_gradients() {
    let oracle = Oracle::open("gru");
    let var = |name: &str| candle_core::Var::from_tensor(&oracle.tensor(name)).expect("a copy");
    let (x, w, b) = (var("x"), var("weight_hh"), var("bias_hh"));
    // The script gives projected inputs: the input map is the identity here, the output not used.
    let (gates, hidden) = w.dims2().expect("a matrix");
    let zeros = |len: usize| Tensor::zeros(len, DType::F64, &Device::Cpu).expect("zeros");
    let one = Tensor::eye(gates, DType::F64, &Device::Cpu).expect("a matrix");
    let output = (zeros(hidden).reshape((1, hidden)).expect("a row"), zeros(1));
    let weights = Weights { input: (&one, &zeros(gates)), hidden: (&w, &b), output: (&output.0, &output.1) };
    let (episodes, steps, _) = x.dims3().expect("sequences");
    let x_rows = x.flatten(0, 1).expect("rows");
    let (hidden, _) = recurrent(&x_rows, (episodes, steps, 1), weights, None, None).expect("the shapes fit");
    let hidden = hidden.squeeze(2).expect("one agent");
    let loss = (hidden * oracle.tensor("out_weights")).and_then(|v| v.sum_all()).expect("a scalar");
    let want = oracle.get("loss")[0];
    let got = loss.to_scalar::<f64>().expect("f64");
    assert!((got - want).abs() < 1e-12 * want.abs().max(1.0), "{got} instead of {want}");
    let grads = loss.backward().expect("a graph");
    for (name, var) in [("grad.x", x), ("grad.weight_hh", w), ("grad.bias_hh", b)] {
        let grad = grads.get(&var).expect("every input takes part");
        let grad: Vec<f64> = grad.flatten_all().and_then(|g| g.to_vec1()).expect("f64");
        for (index, (got, want)) in grad.iter().zip(oracle.get(name)).enumerate() {
            assert!((got - want).abs() < 1e-11, "{name}[{index}]: {got} instead of {want}");
        }
    }
}

#[test]
fn plain_agents_learn_as_in_pytorch() {
    for variant in PLAIN {
        let oracle = Oracle::open(&format!("plain_{variant}"));
        let (spec, mixer) = (oracle.spec(), mixer(&oracle, variant));
        let config = PlainConfig { hidden: oracle.shape("agent.fc1.bias")[0], ..PlainConfig::default() };
        let mut scheme = Plain::new(config, &setting(&spec, &mixer)).expect("a valid config");
        oracle.load(&scheme);
        let batch = oracle.batch();
        let mut rng = ddn_trainer::seed::stream(1, "unused");
        for (losses, parameters) in [("loss_", "step1."), ("loss2.", "step2.")] {
            let metrics = scheme.update(&batch, &mut rng).expect("an update");
            oracle.check_losses(losses, &metrics);
            if losses == "loss_" {
                oracle.check("norm.agent", metrics["grad_norm_agent"]);
            }
            oracle.check_parameters(parameters, &scheme);
        }
    }
}

#[test]
fn ddn_learns_as_in_pytorch() {
    for variant in DDN {
        let oracle = Oracle::open(&format!("ddn_{variant}"));
        let (spec, mixer) = (oracle.spec(), mixer(&oracle, variant));
        let fusion = |net: &str| FusionConfig {
            hyper: oracle.shape(&format!("{net}.hyper.bias"))[0],
            hidden: oracle.shape(&format!("{net}.fc1.bias"))[0],
            scale: oracle.get(&format!("{net}_scale"))[0],
            ..FusionConfig::default()
        };
        let config = DdnConfig {
            width: oracle.shape("ggn.shift.bias")[0],
            ggn: fusion("ggn"),
            lpn: fusion("lpn"),
            distill: DistillConfig { block_reduce: Reduce::Sum, ..DistillConfig::default() },
            idm: IdmConfig {
                hidden: oracle.shape("idm.predictor.0.bias")[0],
                features: oracle.shape("idm.predictor.1.bias")[0],
                ..IdmConfig::default()
            },
            ..DdnConfig::default()
        };
        let mut scheme = Ddn::new(config, &setting(&spec, &mixer)).expect("a valid config");
        oracle.load(&scheme);
        let batch = oracle.batch();
        let draws: Vec<bool> = oracle.get("mu_mask").iter().map(|&v| v > 0.5).collect();
        for (first, losses, parameters) in [(true, "loss_", "step1."), (false, "loss2.", "step2.")] {
            let metrics: Metrics = scheme.update_with(&batch, &draws).expect("an update");
            oracle.check_losses(losses, &metrics);
            let names = [("b", "distill_block"), ("f", "distill_features"), ("q", "distill_q"), ("i", "idm")];
            for (theirs, ours) in names {
                oracle.check(&format!("{losses}{theirs}"), metrics[&format!("loss_{ours}")]);
            }
            if first {
                for net in ["ggn", "lpn", "idm"] {
                    oracle.check(&format!("norm.{net}"), metrics[&format!("grad_norm_{net}")]);
                }
            }
            oracle.check_parameters(parameters, &scheme);
        }
    }
}
