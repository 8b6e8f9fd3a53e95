//! Hand-made policies, a plain implementation of every layer, and recordings made with it.

use std::collections::BTreeMap;

use ddn_export::error::ExportError;
use ddn_export::frozen::{Frozen, Tensor};
use ddn_export::graph::{self, Layer, LayerKind};
use ddn_export::record::{Recording, TeamStep, greedy, input_rows};
use ddn_export::spec::{AgentSpec, InputKind};
use ddn_export::verify::{Answer, Engine};

pub(crate) const AGENTS: usize = 3;
pub(crate) const OBS: usize = 7;
pub(crate) const ACTIONS: usize = 5;

/// A reproducible stream of numbers (xorshift).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// In [-1, 1).
    pub(crate) fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let top = u16::try_from(self.0 >> 48).expect("16 bits are left");
        f32::from(top) / 32768.0 - 1.0
    }

    pub(crate) fn tensor(&mut self, shape: &[usize], scale: f32) -> Tensor {
        let data = (0..shape.iter().product()).map(|_| scale * self.next()).collect();
        Tensor::new(shape, data)
    }
}

pub(crate) fn spec() -> AgentSpec {
    AgentSpec {
        environment: "toy".into(),
        n_agents: AGENTS,
        actions: ["noop", "stop", "north", "south", "attack"].map(String::from).to_vec(),
        obs_dim: OBS,
        obs_layout: "own[3] others[4]".into(),
        inputs: vec![InputKind::Obs, InputKind::LastAction, InputKind::AgentId],
    }
}

fn policy(graph: &str, tensors: &[(&str, &[usize])], seed: u64) -> Frozen {
    let mut numbers = Numbers::new(seed);
    let tensors = tensors.iter().map(|&(name, shape)| (name.to_owned(), numbers.tensor(shape, 0.6)));
    Frozen {
        spec: spec(),
        config_sha256: "ab".repeat(32),
        layers: graph::from_text(graph).expect("a graph of this test"),
        tensors: tensors.collect(),
        sparse: false,
        obs_range: None,
        known_answers: None,
    }
}

pub(crate) fn plain() -> Frozen {
    let (i, h, a) = (spec().input_dim(), 8, ACTIONS);
    let tensors: &[(&str, &[usize])] = &[
        ("fc1.weight", &[h, i]),
        ("fc1.bias", &[h]),
        ("gru.weight_ih", &[3 * h, h]),
        ("gru.weight_hh", &[3 * h, h]),
        ("gru.bias_ih", &[3 * h]),
        ("gru.bias_hh", &[3 * h]),
        ("fc2.weight", &[a, h]),
        ("fc2.bias", &[a]),
    ];
    policy(graph::PLAIN, tensors, 1)
}

pub(crate) fn lpn() -> Frozen {
    let (i, m, d, h, a) = (spec().input_dim(), 4, 6, 8, ACTIONS);
    let tensors: &[(&str, &[usize])] = &[
        ("hyper.weight", &[m, i]),
        ("hyper.bias", &[m]),
        ("shift.weight", &[d, i]),
        ("shift.bias", &[d]),
        ("block.weight", &[i, m + 1, d]),
        ("fc1.weight", &[h, d]),
        ("fc1.bias", &[h]),
        ("gru.weight_ih", &[3 * h, h]),
        ("gru.weight_hh", &[3 * h, h]),
        ("gru.bias_ih", &[3 * h]),
        ("gru.bias_hh", &[3 * h]),
        ("fc2.weight", &[a, h]),
        ("fc2.bias", &[a]),
    ];
    policy(graph::LPN, tensors, 2)
}

/// A graph with every kind of layer, and the action mask among the inputs.
pub(crate) fn every_kind() -> Frozen {
    let mut spec = spec();
    spec.inputs.push(InputKind::Available);
    let (i, h, a) = (spec.input_dim(), 6, ACTIONS);
    let tensors: &[(&str, &[usize])] = &[
        ("one.weight", &[4, i]),
        ("one.bias", &[4]),
        ("two.weight", &[5, i + 4]),
        ("two.bias", &[5]),
        ("mix.weight", &[i, 5, 5]),
        ("cell.weight_ih", &[3 * h, 5]),
        ("cell.weight_hh", &[3 * h, h]),
        ("cell.bias_ih", &[3 * h]),
        ("cell.bias_hh", &[3 * h]),
        ("out.weight", &[a, h + 5]),
        ("out.bias", &[a]),
    ];
    let graph = "linear:0>1:one;leaky_relu:1>1;concat:0,1>2;linear:2>3:two;relu:3>3;\
                 block:1,0,3>4:mix;gru:4>5:cell;concat:5,3>6;linear:6>7:out";
    Frozen { spec, ..policy(graph, tensors, 3) }
}

pub(crate) fn all() -> Vec<(&'static str, Frozen)> {
    let sparse = |frozen| Frozen { sparse: true, ..frozen };
    vec![
        ("plain", plain()),
        ("plain by columns", sparse(plain())),
        ("lpn", lpn()),
        ("lpn by columns", sparse(lpn())),
        ("every kind", every_kind()),
    ]
}

/// Every layer written as its formula reads, in f64.
pub(crate) struct Formula {
    frozen: Frozen,
    hidden: Vec<Vec<f64>>,
}

impl Formula {
    pub(crate) fn new(frozen: &Frozen) -> Self {
        let mut formula = Self { frozen: frozen.clone(), hidden: Vec::new() };
        formula.begin();
        formula
    }

    fn weights(&self, layer: &Layer, part: &str) -> Vec<f64> {
        let tensor = &self.frozen.tensors[&layer.tensor(part)];
        tensor.data.iter().map(|&v| f64::from(v)).collect()
    }

    fn matvec(&self, layer: &Layer, weight: &str, bias: &str, x: &[f64]) -> Vec<f64> {
        let (w, b) = (self.weights(layer, weight), self.weights(layer, bias));
        let rows = w.chunks(x.len()).zip(b);
        rows.map(|(row, b)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()).collect()
    }

    fn layer(&self, layer: &Layer, inputs: &[&[f64]], hidden: &[f64]) -> Vec<f64> {
        let x = inputs[0];
        match layer.kind {
            LayerKind::Linear => self.matvec(layer, "weight", "bias", x),
            LayerKind::Relu => x.iter().map(|v| v.max(0.0)).collect(),
            LayerKind::LeakyRelu => x.iter().map(|&v| if v > 0.0 { v } else { 0.01 * v }).collect(),
            LayerKind::Concat => inputs.concat(),
            LayerKind::Block => {
                let (h, x, b) = (inputs[0], inputs[1], inputs[2]);
                let w = self.weights(layer, "weight");
                let (m, d) = (h.len(), b.len());
                let at = |k: usize, m_: usize, j: usize| w[(k * (m + 1) + m_) * d + j];
                (0..d)
                    .map(|j| {
                        let term = |k: usize| {
                            let mixed: f64 = (0..m).map(|i| h[i] * at(k, i, j)).sum();
                            x[k] * (at(k, m, j) + mixed)
                        };
                        b[j] + (0..x.len()).map(term).sum::<f64>()
                    })
                    .collect()
            }
            LayerKind::Gru => {
                let n = hidden.len();
                let i = self.matvec(layer, "weight_ih", "bias_ih", x);
                let h = self.matvec(layer, "weight_hh", "bias_hh", hidden);
                let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
                (0..n)
                    .map(|k| {
                        let r = sigmoid(i[k] + h[k]);
                        let z = sigmoid(i[n + k] + h[n + k]);
                        let new = (i[2 * n + k] + r * h[2 * n + k]).tanh();
                        (1.0 - z) * new + z * hidden[k]
                    })
                    .collect()
            }
        }
    }
}

impl Engine for Formula {
    fn name(&self) -> &'static str {
        "formula"
    }

    fn begin(&mut self) {
        let width = self.frozen.hidden_dims().expect("has a gru").iter().sum();
        self.hidden = vec![vec![0.0; width]; self.frozen.spec.n_agents];
    }

    #[allow(clippy::cast_possible_truncation)]
    fn step(&mut self, step: &TeamStep<'_>) -> Result<Answer, ExportError> {
        let spec = &self.frozen.spec;
        let rows = input_rows(spec, step);
        let mut answer = Answer::default();
        for (agent, row) in rows.chunks(spec.input_dim()).enumerate() {
            let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
            let mut slots = BTreeMap::from([(0, row)]);
            for layer in &self.frozen.layers {
                let inputs: Vec<&[f64]> = layer.inputs.iter().map(|s| &slots[s][..]).collect();
                let output = self.layer(layer, &inputs, &self.hidden[agent]);
                if layer.kind == LayerKind::Gru {
                    self.hidden[agent].clone_from(&output);
                }
                slots.insert(layer.output, output);
            }
            let last = self.frozen.layers.last().expect("has layers").output;
            let q: Vec<f32> = slots[&last].iter().map(|&v| v as f32).collect();
            let available = &step.available[agent * spec.n_actions()..][..spec.n_actions()];
            answer.action.push(greedy(&q, available).expect("one is available"));
            answer.q.extend(q);
        }
        Ok(answer)
    }
}

/// Episodes of `n_steps` with the formula's answers.
pub(crate) fn record(frozen: &Frozen, episodes: usize, n_steps: usize) -> Vec<Recording> {
    let (spec, actions) = (&frozen.spec, frozen.spec.n_actions());
    let mut numbers = Numbers::new(7);
    let mut formula = Formula::new(frozen);
    (0..episodes)
        .map(|_| {
            formula.begin();
            let mut recording = Recording { n_steps, ..Recording::default() };
            let mut last = vec![None; spec.n_agents];
            for _ in 0..n_steps {
                let obs: Vec<f32> = (0..spec.n_agents * spec.obs_dim).map(|_| numbers.next()).collect();
                let available: Vec<bool> =
                    (0..spec.n_agents * actions).map(|k| k % actions == 1 || numbers.next() > 0.0).collect();
                let step = TeamStep { obs: &obs, last_action: &last, available: &available };
                let answer = formula.step(&step).expect("a formula cannot fail");
                recording.obs.extend(&obs);
                recording.last_action.extend(&last);
                recording.available.extend(&available);
                recording.q.extend(&answer.q);
                recording.action.extend(&answer.action);
                last = answer.action.into_iter().map(Some).collect();
            }
            recording
        })
        .collect()
}
