//! Each kernel against the formula in `f64`, through files and `Policy::act`, and `math` against the exact functions.
#![allow(missing_docs, clippy::unwrap_used)]

use ddn_runtime::AgentInput;
use ddn_runtime::math::{SIGMOID_ERROR, TANH_ERROR, sigmoid, tanh};
use fixture::{Random, Tensors, encode, metadata, policy};

#[path = "../fixture/mod.rs"]
mod fixture;

/// Runs `graph` on each of `inputs` in turn and returns the outputs.
fn run(graph: &str, tensors: &Tensors, inputs: &[Vec<f32>], outputs: usize) -> Vec<Vec<f32>> {
    let actions = vec!["a"; outputs].join(",");
    let file = encode(&metadata(graph, &format!("obs:{}", inputs[0].len()), 1, &actions), tensors);
    let policy = policy(&file);
    let (mut memory, mut scratch) = (vec![0.0; policy.memory_len()], vec![7.0; policy.scratch_len()]);
    let available = vec![true; outputs];
    let step = |obs: &Vec<f32>| {
        let input = AgentInput { obs, last_action: None, agent_id: 0, available: &available };
        policy.act(&mut memory, input, &mut scratch).unwrap().q.to_vec()
    };
    inputs.iter().map(step).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// `W x + b` of the named tensors.
fn affine(tensors: &Tensors, weight: &str, bias: &str, x: &[f64]) -> Vec<f64> {
    let (weight, bias) = (wide(&tensors[weight].1), wide(&tensors[bias].1));
    let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    weight.chunks(x.len()).map(dot).zip(bias).map(|(dot, b)| dot + b).collect()
}

#[track_caller]
fn close(got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((f64::from(*got) - want).abs() <= tolerance, "{got} is not {want}");
    }
}

fn vector(random: &mut Random, n: usize) -> Vec<f32> {
    (0..n).map(|_| random.uniform(1.0)).collect()
}

#[test]
fn linear() {
    for (input, output) in [(1, 1), (3, 2), (4, 4), (5, 7), (16, 9), (31, 10), (64, 66)] {
        let mut random = Random(input as u64);
        let mut tensors = Tensors::new();
        tensors.insert("l.weight".into(), random.tensor(&[output, input], 1.0));
        tensors.insert("l.bias".into(), random.tensor(&[output], 1.0));
        let x = vector(&mut random, input);
        let got = run("linear:0>1:l", &tensors, std::slice::from_ref(&x), output);
        close(&got[0], &affine(&tensors, "l.weight", "l.bias", &wide(&x)), 1e-5);
    }
}

#[test]
fn elementwise_in_place_and_not() {
    let x = vec![vec![-2.0, -0.0, 0.0, 3.0]];
    for graph in ["relu:0>0", "relu:0>1"] {
        assert_eq!(run(graph, &Tensors::new(), &x, 4), [[0.0, 0.0, 0.0, 3.0]]);
    }
    for graph in ["leaky_relu:0>0", "leaky_relu:0>3"] {
        assert_eq!(run(graph, &Tensors::new(), &x, 4), [[-0.02, 0.0, 0.0, 3.0]]);
    }
    assert_eq!(run("relu:0>1;concat:0,1>2", &Tensors::new(), &[vec![-1.0, 1.0]], 4), [[-1.0, 1.0, 0.0, 1.0]]);
}

/// h, x and b come from linear layers, so that each may be anything.
#[test]
fn block() {
    for (input, hyper, width) in [(4, 1, 1), (5, 3, 8), (9, 4, 11), (12, 16, 24)] {
        let mut random = Random(width as u64);
        let mut tensors = Tensors::new();
        for (name, rows) in [("h", hyper), ("b", width)] {
            tensors.insert(format!("{name}.weight"), random.tensor(&[rows, input], 1.0));
            tensors.insert(format!("{name}.bias"), random.tensor(&[rows], 1.0));
        }
        tensors.insert("w.weight".into(), random.tensor(&[input, hyper + 1, width], 1.0));
        let mut x = vector(&mut random, input);
        x[input / 2] = 0.0;
        let graph = "linear:0>1:h;relu:1>1;linear:0>2:b;block:1,0,2>3:w";
        let got = run(graph, &tensors, std::slice::from_ref(&x), width);

        let x = wide(&x);
        let h: Vec<_> = affine(&tensors, "h.weight", "h.bias", &x).into_iter().map(|h| h.max(0.0)).collect();
        let b = affine(&tensors, "b.weight", "b.bias", &x);
        let w = wide(&tensors["w.weight"].1);
        let at = |k: usize, m: usize, j: usize| w[(k * (hyper + 1) + m) * width + j];
        let term = |k: usize, j: usize| at(k, hyper, j) + (0..hyper).map(|m| h[m] * at(k, m, j)).sum::<f64>();
        let want: Vec<_> =
            (0..width).map(|j| b[j] + (0..input).map(|k| x[k] * term(k, j)).sum::<f64>()).collect();
        close(&got[0], &want, 1e-4);
    }
}

fn gru_tensors(random: &mut Random, input: usize, hidden: usize) -> Tensors {
    let mut tensors = Tensors::new();
    for (name, shape) in [
        ("g.weight_ih", &[3 * hidden, input][..]),
        ("g.weight_hh", &[3 * hidden, hidden]),
        ("g.bias_ih", &[3 * hidden]),
        ("g.bias_hh", &[3 * hidden]),
    ] {
        tensors.insert(name.into(), random.tensor(shape, 1.0));
    }
    tensors
}

#[test]
fn gru() {
    for (input, hidden) in [(1, 1), (3, 2), (5, 6), (7, 11), (8, 16)] {
        let mut random = Random(hidden as u64);
        let tensors = gru_tensors(&mut random, input, hidden);
        let inputs: Vec<_> = (0..10).map(|_| vector(&mut random, input)).collect();
        let got = run("gru:0>1:g", &tensors, &inputs, hidden);
        let mut h = vec![0.0_f64; hidden];
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (x, got) in inputs.iter().zip(got) {
            let i = affine(&tensors, "g.weight_ih", "g.bias_ih", &wide(x));
            let s = affine(&tensors, "g.weight_hh", "g.bias_hh", &h);
            for j in 0..hidden {
                let r = logistic(i[j] + s[j]);
                let z = logistic(i[hidden + j] + s[hidden + j]);
                let n = (i[2 * hidden + j] + r * s[2 * hidden + j]).tanh();
                h[j] = (1.0 - z) * n + z * h[j];
            }
            close(&got, &h, 1e-5);
        }
    }
}

/// Renaming hidden units renames outputs, to the bit for a permutation that keeps each sum's order.
#[test]
fn permuting_hidden_units_permutes_outputs() {
    let (input, hidden) = (5, 7);
    let mut random = Random(3);
    let tensors = gru_tensors(&mut random, input, hidden);
    let order: Vec<usize> = (0..hidden).map(|j| (3 * j + 2) % hidden).collect();
    let mut permuted = Tensors::new();
    for (name, (shape, values)) in &tensors {
        let cols = values.len() / (3 * hidden);
        let mut rows = Vec::new();
        for row in (0..3).flat_map(|gate| order.iter().map(move |j| gate * hidden + j)) {
            let row = &values[row * cols..(row + 1) * cols];
            match name.as_str() {
                "g.weight_hh" => rows.extend(order.iter().map(|&j| row[j])),
                _ => rows.extend(row),
            }
        }
        permuted.insert(name.clone(), (shape.clone(), rows));
    }
    let inputs: Vec<_> = (0..20).map(|_| vector(&mut random, input)).collect();
    let plain = run("gru:0>1:g", &tensors, &inputs, hidden);
    let other = run("gru:0>1:g", &permuted, &inputs, hidden);
    for (plain, other) in plain.iter().zip(&other) {
        // The sums over the permuted state run in another order, hence a tolerance.
        let want: Vec<f64> = order.iter().map(|&j| f64::from(plain[j])).collect();
        close(other, &want, 1e-5);
    }
    // At the first step the state is zero and no order is left to matter.
    assert_eq!(other[0], order.iter().map(|&j| plain[0][j]).collect::<Vec<_>>());
}

/// Leaving out zero inputs changes no value: a zero is the same as a number too small to matter, and as no input at all.
#[test]
fn skipping_zeros_equals_the_dense_sum() {
    let (input, hyper, width) = (6, 4, 9);
    let mut random = Random(5);
    let mut tensors = Tensors::new();
    for (name, rows) in [("h", hyper), ("b", width)] {
        tensors.insert(format!("{name}.weight"), (vec![rows, input], vec![0.0; rows * input]));
        tensors.insert(format!("{name}.bias"), random.tensor(&[rows], 1.0));
    }
    tensors.get_mut("h.bias").unwrap().1[1] = 0.0;
    tensors.insert("w.weight".into(), random.tensor(&[input, hyper + 1, width], 1.0));
    let mut x = vector(&mut random, input);
    x[0] = 0.0;
    x[3] = 0.0;
    let graph = "linear:0>1:h;linear:0>2:b;block:1,0,2>3:w";
    let got = run(graph, &tensors, std::slice::from_ref(&x), width);
    let (h, b, w) = (&tensors["h.bias"].1, &tensors["b.bias"].1, &tensors["w.weight"].1);
    for j in 0..width {
        let mut want = b[j];
        for (k, x) in x.iter().enumerate() {
            let at = |m: usize| w[(k * (hyper + 1) + m) * width + j];
            let mut sum = at(hyper);
            for (m, h) in h.iter().enumerate() {
                sum += h * at(m);
            }
            want += x * sum;
        }
        assert_eq!(got[0][j].to_bits(), want.to_bits());
    }
}

/// One float in 61 from 0 to beyond the clamp, all orders of magnitude of them.
#[test]
fn tanh_and_sigmoid_keep_their_bounds() {
    let (mut worst_tanh, mut worst_sigmoid) = (0.0_f64, 0.0_f64);
    let mut bits = 0;
    while f32::from_bits(bits) < 40.0 {
        let x = f32::from_bits(bits);
        let wide = f64::from(x);
        worst_tanh = worst_tanh.max((f64::from(tanh(x)) - wide.tanh()).abs());
        worst_sigmoid = worst_sigmoid.max((f64::from(sigmoid(x)) - 1.0 / (1.0 + (-wide).exp())).abs());
        assert!(tanh(x) <= 1.0 && sigmoid(x) <= 1.0);
        assert_eq!(tanh(-x).to_bits(), (-tanh(x)).to_bits());
        bits += if x < 1e-6 { 6_101 } else { 61 };
    }
    assert!(worst_tanh <= TANH_ERROR, "tanh is off by {worst_tanh:e}");
    assert!(worst_sigmoid <= SIGMOID_ERROR, "sigmoid is off by {worst_sigmoid:e}");
    assert!(tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    assert!((tanh(f32::INFINITY) - 1.0).abs() < 4e-7 && (tanh(f32::NEG_INFINITY) + 1.0).abs() < 4e-7);
    assert!(sigmoid(f32::NEG_INFINITY) < 3e-7 && sigmoid(f32::NEG_INFINITY) >= 0.0);
}

#[test]
fn the_crc_is_the_catalogued_one() {
    // The check value of CRC-32/ISO-HDLC, and of gzip for nothing and for one byte.
    assert_eq!(ddn_runtime::crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(ddn_runtime::crc32(b""), 0);
    assert_eq!(ddn_runtime::crc32(b"a"), 0xe8b7_be43);
    let pieces = ddn_runtime::Crc32::new().feed(b"1234").feed(b"").feed(b"56789");
    assert_eq!(pieces.value(), 0xcbf4_3926);
}
