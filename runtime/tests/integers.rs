//! Integer layers against a plain reading of `docs/format.md`, in 64 bits.

use ddn_runtime::table::{ARGUMENT, SIGMOID_ERROR, TANH_ERROR, sigmoid, tanh};
use ddn_runtime::{AgentInput, Model};
use fixture::Random;
use integers::{ACTIONS, AGENTS, HIDDEN, INPUT, Numbers, OBS, Tensors, WIDTH, file, network};

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../fixture/integers.rs"]
mod integers;

/// `ordinary(a b / 2^32)`, to nearest, ties up.
fn scaled(a: i64, b: i64) -> i64 {
    (a * b + (1 << 31)).div_euclid(1 << 32)
}

fn saturated(value: i64) -> i64 {
    value.clamp(-32_768, 32_767)
}

/// The network as the document reads.
struct Plain<'t>(&'t Tensors);

impl Plain<'_> {
    fn wide(&self, name: &str) -> Vec<i64> {
        self.0[name].1.wide()
    }

    fn rows(&self, name: &str, x: &[i64]) -> Vec<i64> {
        let weight = self.wide(name);
        weight.chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    fn affine(&self, layer: &str, sums: &[i64]) -> Vec<i64> {
        let (bias, scale) = (self.wide(&format!("{layer}.bias")), self.wide(&format!("{layer}.scale")));
        sums.iter()
            .zip(bias)
            .zip(scale)
            .map(|((sum, bias), scale)| saturated(bias + scaled(*sum, scale)))
            .collect()
    }

    fn columns(&self, layer: &str, x: &[i64]) -> Vec<i64> {
        let (shape, weight) = &self.0[&format!("{layer}.weight")];
        let weight = weight.wide();
        let sum =
            |j: usize| x.iter().take(shape[0]).enumerate().map(|(k, x)| x * weight[k * shape[1] + j]).sum();
        self.affine(layer, &(0..shape[1]).map(sum).collect::<Vec<i64>>())
    }

    fn step(&self, x: &[f32], h: &mut [i64]) -> Vec<f32> {
        let mut x: Vec<i64> =
            x.iter().map(|x| (x * 16_384.0).clamp(-32_767.0, 32_767.0).round() as i64).collect();
        x.resize(INPUT.1, 0);
        let hyper: Vec<i64> = self.columns("hyper", &x).into_iter().map(|v| v.max(0)).collect();
        let shift = self.columns("shift", &x);
        let gain = self.wide("block.gain");
        let dots = self.rows("block.weight", &hyper);
        let block = (0..WIDTH).map(|j| {
            let at = |k: usize| k * WIDTH + j;
            let sum = (0..INPUT.0).map(|k| scaled(dots[at(k)], x[k] * gain[at(k)])).sum();
            saturated(shift[j] + scaled(sum, self.wide("block.scale")[0]))
        });
        let block: Vec<i64> = block.collect();
        let fc1 = self.affine("fc1", &self.rows("fc1.weight", &block));
        let fc1: Vec<i64> =
            fc1.into_iter().map(|v| if v < 0 { (v * 655 + 32_768).div_euclid(65_536) } else { v }).collect();
        let gates = |weight: &str, scale: &str, x: &[i64]| -> Vec<i64> {
            self.rows(weight, x)
                .into_iter()
                .zip(self.wide(scale))
                .map(|(sum, scale)| scaled(sum, scale))
                .collect()
        };
        let (input, state) =
            (gates("gru.weight_ih", "gru.scale_ih", &fc1), gates("gru.weight_hh", "gru.scale_hh", h));
        let bias = self.wide("gru.bias");
        let narrow = |v: i64| i32::try_from(v).expect("fits");
        for j in 0..HIDDEN {
            let gate = |g: usize| {
                i64::from(sigmoid(narrow(
                    input[g * HIDDEN + j] + state[g * HIDDEN + j] + bias[g * HIDDEN + j],
                )))
            };
            let (r, z) = (gate(0), gate(1));
            let state = state[2 * HIDDEN + j] + bias[3 * HIDDEN + j];
            let n = input[2 * HIDDEN + j] + bias[2 * HIDDEN + j] + scaled(2 * state, r << 16);
            let n = i64::from(tanh(narrow(n)));
            h[j] = saturated(n + (z * (h[j] - n) + 16_384).div_euclid(32_768));
        }
        let (bias, scale) = (self.0["fc2.bias"].1.floats(), self.0["fc2.scale"].1.floats());
        let sums = self.rows("fc2.weight", h);
        bias.iter().zip(scale).zip(sums).map(|((bias, scale), sum)| bias + scale * sum as f32).collect()
    }
}

/// Observation, last action, agent, and the whole input they make.
type Question = (Vec<f32>, Option<usize>, usize, Vec<f32>);

/// Observations of which half is zero, with `last_action` and agent, and the whole input they make.
fn questions(steps: usize, seed: u64, bound: f32) -> Vec<Question> {
    let mut random = Random(seed);
    let mut question = |step: usize| {
        let mut zero_or = |_| if random.below(2) == 0 { 0.0 } else { random.uniform(bound) };
        let obs: Vec<f32> = (0..OBS).map(&mut zero_or).collect();
        let last = (step >= AGENTS).then(|| random.below(ACTIONS));
        let agent = step % AGENTS;
        let mut x = obs.clone();
        x.extend((0..ACTIONS).map(|action| f32::from(u8::from(last == Some(action)))));
        x.extend((0..AGENTS).map(|other| f32::from(u8::from(other == agent))));
        (obs, last, agent, x)
    };
    (0..steps).map(&mut question).collect()
}

/// Several agents in turns, each with a memory of its own: every bit of every value.
#[test]
fn integer_layers_do_what_the_document_says() {
    for seed in 0..4 {
        let tensors = network(seed);
        let bytes = file(&tensors);
        let policy = fixture::policy(&bytes);
        let plain = Plain(&tensors);
        let mut memories = vec![vec![0.0; policy.memory_len()]; AGENTS];
        let mut states = vec![vec![0; HIDDEN]; AGENTS];
        let mut scratch = vec![0.0; policy.scratch_len()];
        let mut seen = Vec::new();
        // Beyond the range, too: 3 is more than int16 holds at this scale.
        for (obs, last_action, agent_id, x) in questions(300, 10 + seed, 3.0) {
            let input = AgentInput { obs: &obs, last_action, agent_id, available: &[true; ACTIONS] };
            let action = policy.act(&mut memories[agent_id], input, &mut scratch).expect("acts");
            let want = plain.step(&x, &mut states[agent_id]);
            let bits = |q: &[f32]| q.iter().map(|q| q.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(action.q), bits(&want));
            seen.push(action.index);
        }
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 1, "a network that always acts alike shows little");
    }
}

/// Exactly: sums of integers do not depend on their order.
#[test]
fn permuting_hidden_units_changes_nothing() {
    let tensors = network(7);
    let order: Vec<usize> = (0..HIDDEN).map(|i| i * 7 % HIDDEN).collect();
    let mut permuted = tensors.clone();
    let row = |gate: usize, i: usize| gate * HIDDEN + order[i];
    for (name, gates, columns) in
        [("gru.weight_ih", 3, WIDTH), ("gru.weight_hh", 3, HIDDEN), ("fc2.weight", 0, HIDDEN)]
    {
        let weight = tensors[name].1.wide();
        let column = |c: usize| if name == "gru.weight_ih" { c } else { order[c] };
        let rows: Vec<usize> = if gates == 0 {
            (0..8).collect()
        } else {
            (0..gates * HIDDEN).map(|i| row(i / HIDDEN, i % HIDDEN)).collect()
        };
        let at = |r: usize, c: usize| weight[r * columns + column(c)] as i8;
        let values =
            rows.iter().flat_map(|r| (0..columns).map(move |c| (*r, c))).map(|(r, c)| at(r, c)).collect();
        permuted.get_mut(name).expect("is there").1 = Numbers::I8(values);
    }
    for (name, gates) in [("gru.scale_ih", 3), ("gru.scale_hh", 3), ("gru.bias", 4)] {
        let values = tensors[name].1.wide();
        let values = (0..gates * HIDDEN).map(|i| values[row(i / HIDDEN, i % HIDDEN)] as i32).collect();
        permuted.get_mut(name).expect("is there").1 = Numbers::I32(values);
    }
    let files = [file(&tensors), file(&permuted)];
    assert!(files[0] != files[1]);
    let mut answers = files.iter().map(|file| {
        let policy = fixture::policy(file);
        let mut memory = vec![0.0; policy.memory_len()];
        let mut scratch = vec![0.0; policy.scratch_len()];
        let step = |(obs, last_action, _, _): Question| {
            let input = AgentInput { obs: &obs, last_action, agent_id: 0, available: &[true; ACTIONS] };
            policy.act(&mut memory, input, &mut scratch).expect("acts").q.to_vec()
        };
        questions(100, 3, 1.0).into_iter().map(step).collect::<Vec<_>>()
    });
    assert_eq!(answers.next(), answers.next());
}

#[test]
fn tables_are_within_their_errors_for_every_argument() {
    let unit = f64::from(1 << ARGUMENT);
    // Beyond these the value stays what it is at the end.
    for (function, exact, bound, reach) in [
        (tanh as fn(i32) -> i32, f64::tanh as fn(f64) -> f64, TANH_ERROR, 9),
        (sigmoid, |x| 1.0 / (1.0 + (-x).exp()), SIGMOID_ERROR, 18),
    ] {
        let mut worst = 0.0_f64;
        let mut before = i32::MIN;
        for x in -(reach << ARGUMENT)..=reach << ARGUMENT {
            let value = function(x);
            worst = worst.max((f64::from(value) / 32_768.0 - exact(f64::from(x) / unit)).abs());
            assert!(value >= before, "grows with its argument");
            before = value;
        }
        assert!(worst <= bound && worst > 0.7 * bound, "{worst}");
        for (end, x) in [(-reach << ARGUMENT, i32::MIN), (reach << ARGUMENT, i32::MAX)] {
            assert_eq!(function(x), function(end));
        }
    }
    assert_eq!((tanh(0), sigmoid(0)), (0, 16_384));
}

#[test]
fn a_layer_whose_tensors_do_not_fit_is_refused() {
    for name in network(1).keys() {
        let mut tensors = network(1);
        let (shape, numbers) = tensors.get_mut(name).expect("is there");
        // Eight more rows, or numbers: more than padding could be.
        let (rest, more) = (shape[1..].iter().product::<usize>(), 8);
        shape[0] += more;
        match numbers {
            Numbers::F32(v) => v.extend(vec![1.0; more * rest]),
            Numbers::I8(v) => v.extend(vec![0; more * rest]),
            Numbers::I16(v) => v.extend(vec![0; more * rest]),
            Numbers::I32(v) => v.extend(vec![0; more * rest]),
        }
        assert!(Model::open(&file(&tensors)).is_err(), "{name}");
    }
    assert!(Model::open(&file(&network(1))).is_ok());
}
