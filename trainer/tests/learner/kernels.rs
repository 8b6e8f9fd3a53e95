//! The gradients of the hand-written kernels.
//!
//! Most batches are not multiples of the number of shards, and widths reach every block width of the
//! products, single columns included.

use candle_core::{DType, Result, Tensor, Var};
use ddn_trainer::nn::kernel::{
    Activation, BlockWeights, MixingWeights, Source, Weights, block, kl, linear, mixing, recurrent,
    sparse_linear, squared_distance,
};
use ddn_trainer::nn::{Distinct, Sparse};
use ddn_trainer::seed::{Draw, stream};
use rand_chacha::ChaCha8Rng;

use crate::differences::{CLEAR, check_gradients, is_clear, variable, weighed};

/// Two numbers of three are 0, and so is the whole second row.
fn sparse(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Sparse {
    let mut dense: Vec<f32> =
        (0..rows * width).map(|_| if rng.below(3) == 0 { 2.0 * rng.unit() - 1.0 } else { 0.0 }).collect();
    dense[width..2 * width].fill(0.0);
    Sparse::from_dense(width, &dense)
}

/// Rows of one or two entries, of which many are equal.
fn alike(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Sparse {
    let mut dense = vec![0.0; rows * width];
    for row in dense.chunks_exact_mut(width) {
        row[rng.below(3)] = 1.0;
        row[3 + rng.below(2)] = 0.5;
    }
    Sparse::from_dense(width, &dense)
}

#[test]
fn block_with_a_source_that_agents_share() -> Result<()> {
    let mut rng = stream(1, "block shared");
    let (x, source) = (sparse(&mut rng, 27, 4), sparse(&mut rng, 9, 5));
    check_block(&mut rng, &x, Source { rows: source, share: 3, scale: 0.7 })
}

#[test]
fn block_with_a_source_of_its_own_per_row() -> Result<()> {
    let mut rng = stream(1, "block own");
    let (x, source) = (sparse(&mut rng, 21, 4), sparse(&mut rng, 21, 5));
    check_block(&mut rng, &x, Source { rows: source, share: 1, scale: 0.7 })
}

#[test]
fn block_of_rows_that_are_equal() -> Result<()> {
    let mut rng = stream(1, "block alike");
    let x = alike(&mut rng, 45, 9);
    assert!(Distinct::of(&x, &x).len() <= 6);
    check_block(&mut rng, &x, Source { rows: x.clone(), share: 1, scale: 0.7 })
}

fn check_block(rng: &mut ChaCha8Rng, x: &Sparse, source: Source) -> Result<()> {
    let (i, k, m, d) = (x.width(), source.rows.width(), 11, 13);
    let dense = x.to_tensor(DType::F64)?;
    let (hyper, hyper_bias) = loop {
        let (w, b) = (variable(rng, &[m, i])?, variable(rng, &[m])?);
        if is_clear(&dense.matmul(&w.t()?)?.broadcast_add(&b)?)? {
            break (w, b);
        }
    };
    let mut part = |shape: &[usize]| variable(rng, shape);
    let (shift, shift_bias, product) = (part(&[d, i])?, part(&[d])?, part(&[k, m + 1, d])?);
    let weights =
        BlockWeights { hyper: (&hyper, &hyper_bias), shift: (&shift, &shift_bias), product: &product };
    let inputs = [
        ("hyper weight", &hyper),
        ("hyper bias", &hyper_bias),
        ("shift weight", &shift),
        ("shift bias", &shift_bias),
        ("product", &product),
    ];
    let share = source.share;
    check_gradients(&format!("block shared by {share}"), &inputs, || weighed(&*block(x, &source, weights)?))
}

/// No number is 0.
fn full(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Sparse {
    let dense: Vec<f32> = (0..rows * width).map(|_| 0.25 + rng.unit()).collect();
    Sparse::from_dense(width, &dense)
}

/// One number of a row is not 0.
fn rare(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Sparse {
    let mut dense = vec![0.0; rows * width];
    dense.chunks_exact_mut(width).for_each(|row| row[rng.below(width)] = 0.5 + rng.unit());
    Sparse::from_dense(width, &dense)
}

/// Half of the rows begin with some numbers that are not 0, in others every second number is 0, and some have none.
fn ragged(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Sparse {
    let mut dense = vec![0.0; rows * width];
    for row in dense.chunks_exact_mut(width) {
        let (empty, run) = (rng.below(9) == 0, rng.below(2) * rng.below(width + 1));
        if empty {
            continue;
        }
        for (column, number) in row.iter_mut().enumerate() {
            if column < run || column % 2 == 1 {
                *number = 0.25 + rng.unit();
            }
        }
    }
    Sparse::from_dense(width, &dense)
}

/// Fails unless both have the same gradients by every input, up to rounding.
fn check_alike(inputs: &[(&str, &Var)], ours: &Tensor, theirs: &Tensor) -> Result<()> {
    let apart = (ours - theirs)?.abs()?.max_all()?.to_scalar::<f64>()?;
    assert!(apart < 1e-12, "{apart}");
    let (ours, theirs) = (weighed(ours)?.backward()?, weighed(theirs)?.backward()?);
    for (name, var) in inputs {
        let (Some(ours), Some(theirs)) = (ours.get(var.as_tensor()), theirs.get(var.as_tensor())) else {
            candle_core::bail!("{name} has no gradient");
        };
        let apart = (ours - theirs)?.abs()?.max_all()?.to_scalar::<f64>()?;
        let largest = theirs.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(largest > 0.0 && apart < 1e-12 * largest.max(1.0), "{name}: {apart} of {largest}");
    }
    Ok(())
}

/// Against the formula as the paper has it, with the generated weights written out. Where nothing is 0, shards have
/// more rows than are looked at together, and columns more than meet their weights' gradients at once. In the last
/// case, they have more than one block of rows.
#[test]
fn block_is_what_the_generated_weights_give() -> Result<()> {
    let mut rng = stream(4, "block");
    for (rows, share, make) in [
        (24, 3, sparse as fn(&mut ChaCha8Rng, usize, usize) -> Sparse),
        (24, 1, sparse),
        (630, 3, rare),
        (630, 1, rare),
        (870, 3, full),
        (870, 1, full),
        (870, 3, ragged),
        (870, 1, ragged),
        (8900, 1, ragged),
    ] {
        let (i, k, m, d) = (5, 11, 19, 70);
        let (x, s) = (make(&mut rng, rows, i), make(&mut rng, rows / share, k));
        let mut part = |shape: &[usize]| variable(&mut rng, shape);
        let (hw, hb, sw, sb) = (part(&[m, i])?, part(&[m])?, part(&[d, i])?, part(&[d])?);
        let w = part(&[k, m + 1, d])?;
        let source = Source { rows: s.clone(), share, scale: 0.3 };
        let weights = BlockWeights { hyper: (&hw, &hb), shift: (&sw, &sb), product: &w };

        let dense = x.to_tensor(DType::F64)?;
        let h = dense.matmul(&hw.t()?)?.broadcast_add(&hb)?.relu()?;
        let extended = Tensor::cat(&[&h, &Tensor::ones((rows, 1), DType::F64, h.device())?], 1)?;
        let generated =
            extended.matmul(&w.transpose(0, 1)?.reshape((m + 1, k * d))?)?.reshape((rows, k, d))?;
        let s = s.to_tensor(DType::F64)?.unsqueeze(1)?.repeat((1, share, 1))?.reshape((rows, k, 1))?;
        let want = (generated.broadcast_mul(&s)?.sum(1)? * 0.3)?;
        let want = (want + dense.matmul(&sw.t()?)?.broadcast_add(&sb)?)?;
        let names = ["hyper weight", "hyper bias", "shift weight", "shift bias", "product"];
        let inputs: Vec<(&str, &Var)> = names.into_iter().zip([&hw, &hb, &sw, &sb, &w]).collect();
        check_alike(&inputs, &*block(&x, &source, weights)?, &want)?;
    }
    Ok(())
}

/// Against the formula written out in candle's own ops.
#[test]
fn mixing_with_weights_of_either_sign() -> Result<()> {
    for (rows, n, s, h, e) in [(11, 3, 7, 5, 4), (9, 1, 5, 3, 1), (9, 2, 6, 4, 19)] {
        check_mixing(&mut stream(3, "mixing"), rows, (n, s, h, e), sparse)?;
    }
    // Of the last, sums of weights have more terms than are summed in one go.
    for (rows, n, s, h, e) in [(3, 2, 9, 8, 4), (600, 2, 9, 8, 2), (110, 9, 40, 130, 20)] {
        check_mixing(&mut stream(4, "mixing"), rows, (n, s, h, e), rare)?;
    }
    check_mixing(&mut stream(5, "mixing"), 700, (2, 5, 8, 2), full)
}

/// Only a few rows are compared with differences: some unit of many is always at the bend of a ReLU.
fn check_mixing(
    rng: &mut ChaCha8Rng,
    rows: usize,
    (n, s, h, e): (usize, usize, usize, usize),
    make: fn(&mut ChaCha8Rng, usize, usize) -> Sparse,
) -> Result<()> {
    let few = (4..100).contains(&rows);
    let state = make(rng, rows, s);
    let dense = state.to_tensor(DType::F64)?;
    let wide = |x: &Tensor, (w, b): &(Tensor, Tensor)| x.matmul(&w.t()?)?.broadcast_add(b);
    let q = variable(rng, &[rows, n])?;
    let (vars, w1, b1, wf, v) = loop {
        let mut vars = Vec::new();
        let mut layer = |out, input| -> Result<(Tensor, Tensor)> {
            let (w, b) = (variable(rng, &[out, input])?, variable(rng, &[out])?);
            let pair = (w.as_tensor().clone(), b.as_tensor().clone());
            vars.extend([w, b]);
            Ok(pair)
        };
        let (w1, wf) = ([layer(h, s)?, layer(n * e, h)?], [layer(h, s)?, layer(e, h)?]);
        let (b1, v) = (layer(e, s)?, [layer(e, s)?, layer(1, e)?]);
        let mut clear = is_clear(&wide(&dense, &v[0])?)?;
        for [first, last] in [&w1, &wf] {
            let hidden = wide(&dense, first)?;
            clear = clear && is_clear(&hidden)? && is_clear(&wide(&hidden.relu()?, last)?)?;
        }
        if clear || !few {
            break (vars, w1, b1, wf, v);
        }
    };
    let net = |[first, last]: &[(Tensor, Tensor); 2]| wide(&wide(&dense, first)?.relu()?, last);
    let weights = net(&w1)?.abs()?.reshape((rows, n, e))?;
    let sums = (q.unsqueeze(2)?.broadcast_mul(&weights)?.sum(1)? + wide(&dense, &b1)?)?;
    let plain = ((sums.elu(1.0)? * net(&wf)?.abs()?)?.sum_keepdim(1)? + net(&v)?)?.squeeze(1)?;
    let parts = MixingWeights { w1: &w1, b1: &b1, wf: &wf, v: &v };
    let names = ["w1.0", "w1.1", "wf.0", "wf.1", "b1", "v.0", "v.1"];
    let of_two = names.iter().flat_map(|name| [*name, *name]).zip(&vars);
    let inputs: Vec<(&str, &Var)> = of_two.chain([("q", &q)]).collect();
    check_alike(&inputs, &mixing(&q, &state, parts)?, &plain)?;
    if few { check_gradients("mixing", &inputs, || weighed(&mixing(&q, &state, parts)?)) } else { Ok(()) }
}

#[test]
fn recurrent_from_zeros_and_from_a_start() -> Result<()> {
    // The last case has more rows in a shard than are collected for one product.
    for (b, t, n, f, h, a) in [(9, 4, 3, 4, 5, 3), (2, 3, 1, 9, 23, 11), (2, 50, 3, 2, 3, 1)] {
        let mut rng = stream(2, "recurrent");
        let features = variable(&mut rng, &[b * t * n, f])?;
        let mut part = |shape: &[usize]| variable(&mut rng, shape);
        let (wi, bi) = (part(&[3 * h, f])?, part(&[3 * h])?);
        let (wh, bh) = (part(&[3 * h, h])?, part(&[3 * h])?);
        let (wo, bo) = (part(&[a, h])?, part(&[a])?);
        let first = part(&[b, n, h])?;
        let weights = Weights { input: (&wi, &bi), hidden: (&wh, &bh), output: (&wo, &bo) };
        let lengths: Vec<usize> = (0..b).map(|episode| (7 * episode + 2) % (t + 1)).collect();
        let each: Vec<usize> = (0..b * n).map(|agent| (5 * agent + 1) % (t + 1)).collect();
        let start = Some(first.as_tensor());
        for (start, lengths) in
            [(None, None), (start, Some(lengths.as_slice())), (start, Some(each.as_slice()))]
        {
            let inputs = [
                ("features", &features),
                ("input weight", &wi),
                ("input bias", &bi),
                ("hidden weight", &wh),
                ("hidden bias", &bh),
                ("output weight", &wo),
                ("output bias", &bo),
            ];
            let what = format!("recurrent of {h}, start {}", start.is_some());
            let loss = || {
                let (hidden, output) = recurrent(&features, (b, t, n), weights, start, lengths)?;
                weighed(&hidden)? + weighed(&output)?
            };
            check_gradients(&what, &inputs, loss)?;
            assert!(loss()?.backward()?.get(&first).is_none(), "{what}: the start is a constant");
        }
    }
    Ok(())
}

#[test]
fn linear_with_each_activation() -> Result<()> {
    for (rows, i, o) in [(19, 13, 107), (9, 261, 5)] {
        for activation in [Activation::None, Activation::Relu] {
            let mut rng = stream(3, &format!("linear {rows}"));
            let (x, w, b) = loop {
                let (x, w) = (variable(&mut rng, &[rows, i])?, variable(&mut rng, &[o, i])?);
                let b = variable(&mut rng, &[o])?;
                if is_clear(&x.matmul(&w.t()?)?.broadcast_add(&b)?)? {
                    break (x, w, b);
                }
            };
            let inputs = [("x", &x), ("weight", &w), ("bias", &b)];
            check_gradients(&format!("linear {rows} {activation:?}"), &inputs, || {
                weighed(&*linear(&x, &w, &b, activation)?)
            })?;
        }
    }
    Ok(())
}

#[test]
fn sparse_linear_with_each_activation() -> Result<()> {
    for activation in [Activation::None, Activation::Relu] {
        let (rows, i, o) = (19, 13, 11);
        let mut rng = stream(4, "sparse linear");
        let x = sparse(&mut rng, rows, i);
        let (w, b) = loop {
            let (w, b) = (variable(&mut rng, &[o, i])?, variable(&mut rng, &[o])?);
            if is_clear(&x.to_tensor(DType::F64)?.matmul(&w.t()?)?.broadcast_add(&b)?)? {
                break (w, b);
            }
        };
        check_gradients(&format!("sparse linear {activation:?}"), &[("weight", &w), ("bias", &b)], || {
            weighed(&*sparse_linear(&x, &w, &b, activation)?)
        })?;
    }
    Ok(())
}

/// The result of a kernel, read by another one, by a loss and by candle.
#[test]
fn gradients_of_one_result_add_up_whoever_read_it() -> Result<()> {
    let (rows, i, o) = (9, 5, 7);
    let mut rng = stream(7, "wire");
    let mut part = |shape: &[usize]| variable(&mut rng, shape);
    let (x, w, b, w2, b2) = (part(&[rows, i])?, part(&[o, i])?, part(&[o])?, part(&[3, o])?, part(&[3])?);
    let teacher = part(&[rows, o])?;
    let weights = row_weights(&mut rng, rows);
    let inputs = [("x", &x), ("weight", &w), ("bias", &b), ("later weight", &w2), ("later bias", &b2)];
    check_gradients("one result", &inputs, || {
        let y = linear(&x, &w, &b, Activation::None)?;
        let later = weighed(&*linear(&y, &w2, &b2, Activation::None)?)?;
        later + squared_distance(&teacher, &y, &weights)? + weighed(&y.sqr()?)?
    })?;
    let read_twice = linear(&x, &w, &b, Activation::None)?;
    let grads = (weighed(&read_twice)?.backward()?, weighed(&read_twice)?.backward()?);
    let of = |grads: &candle_core::backprop::GradStore| grads.get(&w).map(Tensor::flatten_all);
    let [first, second] = [of(&grads.0), of(&grads.1)].map(|grad| grad.transpose());
    let (first, second) = (first?.expect("a gradient"), second?.expect("a gradient"));
    assert_eq!(first.to_vec1::<f64>()?, second.to_vec1::<f64>()?, "nothing is left over from the first pass");
    Ok(())
}

/// Weights of rows: every third is 0, as for a row that does not count.
fn row_weights(rng: &mut ChaCha8Rng, rows: usize) -> Vec<f64> {
    (0..rows).map(|row| if row % 3 == 0 { 0.0 } else { f64::from(rng.unit()) + CLEAR }).collect()
}

/// A factor on a loss, as a scheme's weight of a term is.
fn halved(loss: Tensor) -> Result<Tensor> {
    loss * 0.5
}

#[test]
fn divergence_with_and_without_a_mask_and_a_temperature() -> Result<()> {
    let (rows, columns) = (19, 7);
    for temperature in [1.0, 1.7] {
        for masked in [false, true] {
            let mut rng = stream(5, "divergence");
            let (teacher, student) =
                (variable(&mut rng, &[rows, columns])?, variable(&mut rng, &[rows, columns])?);
            let weights = row_weights(&mut rng, rows);
            // At least one column of each row.
            let allowed: Vec<bool> = (0..rows * columns)
                .map(|k| k % columns == k / columns % columns || rng.below(2) == 0)
                .collect();
            let allowed = masked.then_some(allowed);
            let what = format!("divergence, mask {masked}, temperature {temperature}");
            let loss = || halved(kl(&teacher, &student, &weights, allowed.as_deref(), temperature)?);
            check_gradients(&what, &[("student", &student)], loss)?;
            assert!(loss()?.backward()?.get(&teacher).is_none(), "{what}: the teacher is a constant");
        }
    }
    Ok(())
}

#[test]
fn squared_distance_of_weighted_rows() -> Result<()> {
    let (rows, columns) = (19, 7);
    let mut rng = stream(6, "distance");
    let (teacher, student) = (variable(&mut rng, &[rows, columns])?, variable(&mut rng, &[rows, columns])?);
    let weights = row_weights(&mut rng, rows);
    let loss = || halved(squared_distance(&teacher, &student, &weights)?);
    check_gradients("squared distance", &[("student", &student)], loss)?;
    assert!(loss()?.backward()?.get(&teacher).is_none(), "the teacher is a constant");
    Ok(())
}

#[test]
fn a_gradient_that_is_wrong_is_found() -> Result<()> {
    let x = variable(&mut stream(7, "wrong"), &[3, 5])?;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // Half of the dependence on x is hidden from the backward pass.
        check_gradients("hidden", &[("x", &x)], || weighed(&(x.sqr()? + x.detach().sqr()?)?))
    }));
    assert!(outcome.is_err());
    Ok(())
}
