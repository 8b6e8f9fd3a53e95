//! What the networks of a scheme may know, and what about them is a matter of names.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Result, Tensor, Var};
use ddn_trainer::env::EnvSpec;
use ddn_trainer::learner::edm::{DistillConfig, FeaturesLoss, distillation};
use ddn_trainer::learner::fusion::FusionConfig;
use ddn_trainer::learner::ggn::{Ggn, StateInput};
use ddn_trainer::learner::lpn::Lpn;
use ddn_trainer::learner::scheme::Scheme;
use ddn_trainer::learner::view::View;
use ddn_trainer::nn::{Params, Sparse};
use ddn_trainer::replay::{Batch, Rows, input_dim};
use ddn_trainer::seed::{Draw, stream};

use crate::differences::numbers;
use crate::teams::{Parameters, algorithms, batch, build, episodes, parameters, spec};

fn utilities(scheme: &dyn Scheme, network: &str, view: &View<'_>) -> Result<Vec<f64>> {
    let q = scheme.unroll(network, view, None)?.q;
    // What a network says on padding means nothing.
    let (agents, actions) = (q.dim(2)?, q.dim(3)?);
    let frames = view.span.frames;
    let lengths = view.span.lengths.expect("a batch knows them");
    let exists = |k: usize| {
        let frame = k / (agents * actions);
        frame % frames < lengths[frame / frames]
    };
    Ok(numbers(&q)?.into_iter().enumerate().filter(|&(k, _)| exists(k)).map(|(_, q)| q).collect())
}

/// The rows of `rows` in the reverse order.
fn reversed(rows: &Sparse) -> Sparse {
    rows.select((0..rows.rows()).rev().map(|row| row..row + 1))
}

/// A random order of `count` units.
fn order(count: usize, purpose: &str) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    stream(4, purpose).shuffle(&mut order);
    order
}

fn reorder(var: &Var, axis: usize, order: &[u32]) -> Result<()> {
    var.set(&var.index_select(&Tensor::new(order, &Device::Cpu)?, axis)?)
}

/// Renames the hidden units of every agent and every block in `params`.
fn rename_units(params: &Params) -> Result<usize> {
    let vars: BTreeMap<String, Var> = params.vars().into_iter().collect();
    let agents = vars.keys().filter_map(|name| name.strip_suffix("gru.weight_ih"));
    let blocks = vars.keys().filter_map(|name| name.strip_suffix("block.weight"));
    // Where an agent is told something at the end, its last layer does not read the hidden units.
    let reader =
        |at: &str| if vars.contains_key(&format!("{at}fc.weight")) { "fc.weight" } else { "fc2.weight" };
    let mut renamed = 0;
    for at in agents {
        let var = |name: &str| &vars[&format!("{at}{name}")];
        let count = var("gru.weight_hh").dim(1)?;
        let (features, hidden) = (order(count, "features"), order(count, "hidden"));
        let gates: Vec<u32> =
            (0..3).flat_map(|gate| hidden.iter().map(move |unit| gate * count as u32 + unit)).collect();
        for (name, axis, order) in [
            ("fc1.weight", 0, &features),
            ("fc1.bias", 0, &features),
            ("gru.weight_ih", 1, &features),
            ("gru.weight_ih", 0, &gates),
            ("gru.bias_ih", 0, &gates),
            ("gru.weight_hh", 0, &gates),
            ("gru.bias_hh", 0, &gates),
            ("gru.weight_hh", 1, &hidden),
            (reader(at), 1, &hidden),
        ] {
            reorder(var(name), axis, order)?;
        }
        renamed += 1;
    }
    for at in blocks {
        let var = |name: &str| &vars[&format!("{at}{name}")];
        let (_, extended, width) = var("block.weight").dims3()?;
        let (width, mut hyper) = (order(width, "width"), order(extended - 1, "hyper"));
        reorder(var("hyper.weight"), 0, &hyper)?;
        reorder(var("hyper.bias"), 0, &hyper)?;
        hyper.push(extended as u32 - 1);
        for (name, axis, order) in [
            ("block.weight", 1, &hyper),
            ("block.weight", 2, &width),
            ("shift.weight", 0, &width),
            ("shift.bias", 0, &width),
        ] {
            reorder(var(name), axis, order)?;
        }
        let readers = ["fc1.weight", "mean.0.weight", "variance.0.weight"];
        for reader in readers.iter().filter_map(|name| vars.get(&format!("{at}{name}"))) {
            reorder(reader, 1, &width)?;
        }
        renamed += 1;
    }
    Ok(renamed)
}

#[test]
fn the_names_of_hidden_units_do_not_matter() -> Result<()> {
    let batch = batch(&episodes(&[5, 2, 7]));
    for config in algorithms() {
        let scheme = build(&config);
        let all = || -> Result<Vec<Vec<f64>>> {
            let networks = scheme.networks().iter();
            networks.map(|network| utilities(&*scheme, network, &batch.view())).collect()
        };
        let before = all()?;
        let mut renamed = 0;
        for (_, params) in scheme.params() {
            renamed += rename_units(params)?;
        }
        assert!(renamed > 0, "{}: {renamed} renamed", config.algorithm());
        for (x, y) in before.iter().flatten().zip(all()?.iter().flatten()) {
            assert!((x - y).abs() <= 1e-12 * x.abs().max(1.0), "{}: {x}, {y}", config.algorithm());
        }
    }
    Ok(())
}

#[test]
fn what_ships_sees_neither_the_state_nor_the_view_of_a_teacher() -> Result<()> {
    let batch = batch(&episodes(&[5, 2, 7]));
    let (state, teacher) = (&reversed(&batch.state), &reversed(&batch.teacher));
    for config in algorithms() {
        let scheme = build(&config);
        let (ships, others) = scheme.networks().split_last().expect("a scheme has a network");
        let sees = |network: &str| -> Result<bool> {
            let (x, y) = (
                utilities(&*scheme, network, &batch.view())?,
                utilities(&*scheme, network, &View { state, teacher, ..batch.view() })?,
            );
            Ok(x.iter().zip(y).any(|(x, y)| x.to_bits() != y.to_bits()))
        };
        assert!(!sees(ships)?, "{}: {ships} sees more than an agent does", config.algorithm());
        for network in others {
            assert!(sees(network)?, "{}: {network} might as well ship", config.algorithm());
        }
    }
    Ok(())
}

#[test]
fn distillation_moves_the_follower_alone() -> Result<()> {
    let (spec, batch) = (spec(), batch(&episodes(&[5, 2, 7])));
    let (x, state, width) = (input_dim(&spec), spec.state_dim, 13);
    let config = FusionConfig { hyper: 5, hidden: 11, ..FusionConfig::default() };
    for state_input in [StateInput::Personalised, StateInput::Raw] {
        for features_loss in [FeaturesLoss::Kl, FeaturesLoss::Mse] {
            let (leaders, followers) = (Params::new(1, DType::F64), Params::new(2, DType::F64));
            let sizes = (x, state, spec.n_agents, width);
            let ggn = Ggn::new(&leaders.builder(), &config, state_input, sizes, spec.n_actions())?;
            let lpn = Lpn::new(&followers.builder(), &config, x, width, spec.n_actions())?;
            let leader = ggn.unroll(&batch.inputs, &batch.state, batch.span(), None)?;
            let follower = lpn.unroll(&batch.inputs, batch.span(), None)?;
            let distill = DistillConfig { features_loss, ..DistillConfig::default() };
            let terms = distillation(&batch, &leader, &follower, &distill)?;
            assert_eq!(terms.len(), if state_input == StateInput::Raw { 2 } else { 3 });
            let mut total = Tensor::zeros((), DType::F64, &Device::Cpu)?;
            for (name, _, term) in terms {
                total = (total + &term)?;
                let grads = term.backward()?;
                for (parameter, var) in leaders.vars() {
                    assert!(grads.get(&var).is_none(), "{name} reaches the leader's {parameter}");
                }
            }
            let grads = total.backward()?;
            for (parameter, var) in followers.vars() {
                assert!(grads.get(&var).is_some(), "nothing reaches the follower's {parameter}");
            }
        }
    }
    Ok(())
}

/// Names of the parameters that are not the same bits.
fn moved(before: &Parameters, after: &Parameters) -> BTreeSet<String> {
    let differs = |x: &[f64], y: &[f64]| x.iter().zip(y).any(|(x, y)| x.to_bits() != y.to_bits());
    let pairs = before.iter().zip(after);
    pairs.filter(|((_, x), (_, y))| differs(x, y)).map(|((name, _), _)| name.clone()).collect()
}

/// All agent steps of the first episode.
fn rows(spec: &EnvSpec, batch: &Batch) -> Rows {
    let rows = Rows::all(spec, &episodes(&[5])[0]);
    assert_eq!((rows.len(), rows.inputs.width()), (5 * batch.agents, batch.inputs.width()));
    rows
}

#[test]
fn updates_move_what_learns_and_nothing_else() -> Result<()> {
    let batch = batch(&episodes(&[5, 2, 7]));
    for config in algorithms() {
        let mut scheme = build(&config);
        let before = parameters(&*scheme)?;
        for index in 0..3 {
            scheme.update(&batch, &mut stream(index, "update")).expect("an update");
        }
        let between = parameters(&*scheme)?;
        for _ in 0..3 {
            scheme.distil(&rows(&spec(), &batch)).expect("a step of the second phase");
        }
        // The second phase moves the network that ships, and nothing that the first has made.
        let (first, second) = (moved(&before, &between), moved(&between, &parameters(&*scheme)?));
        assert!(first.is_disjoint(&second), "{}: {first:?}, {second:?}", config.algorithm());
        assert_eq!(second.is_empty(), scheme.second_phase().is_none(), "{}", config.algorithm());
        for ((name, before), (_, after)) in before.iter().zip(parameters(&*scheme)?) {
            let fixed = name.starts_with("slow/") || name.contains("/idm.target.");
            let moved = before.iter().zip(&after).any(|(x, y)| x.to_bits() != y.to_bits());
            assert_eq!(moved, !fixed, "{}: {name}", config.algorithm());
        }
    }
    Ok(())
}

/// After its last choice an agent is in no loss, so that its later rows need not exist.
#[test]
fn a_follower_is_not_unrolled_over_agents_that_have_no_choice_any_more() -> Result<()> {
    let config = algorithms().into_iter().find(|config| config.algorithm() == "ddn+vdn");
    let config = config.expect("there is DDN on VDN");
    let mut batch = batch(&episodes(&[7, 5, 12]));
    // The first agent of each episode freezes after two steps.
    let (frames, n, a) = (batch.steps + 1, batch.agents, batch.actions_each);
    for (row, available) in batch.available.chunks_exact_mut(a).enumerate() {
        if row % n == 0 && row / n % frames >= 2 {
            available.fill(false);
            available[0] = true;
        }
    }
    let lengths = batch.lengths_of_choice();
    assert!(lengths.iter().step_by(n).all(|&length| length <= 2));
    let mut scheme = build(&config);
    let whole = {
        let leader = scheme.unroll("ggn", &batch.view(), None)?;
        let follower = scheme.unroll("lpn", &batch.view(), None)?;
        let terms = distillation(&batch, &leader, &follower, &DistillConfig::default())?;
        let total =
            terms.iter().try_fold(Tensor::new(0.0, &Device::Cpu)?, |total, (_, _, term)| total + term)?;
        let grads = total.backward()?;
        let (_, follower) =
            scheme.params().into_iter().find(|(set, _)| *set == "follower").expect("DDN has one");
        let mut square = 0.0;
        for (_, var) in follower.vars() {
            if let Some(grad) = grads.get(&var) {
                square += grad.sqr()?.sum_all()?.to_scalar::<f64>()?;
            }
        }
        (total.to_scalar::<f64>()?, square.sqrt())
    };
    let metrics = scheme.update(&batch, &mut stream(1, "update")).expect("it learns");
    let total: f64 =
        ["block", "features", "q"].map(|term| metrics[&format!("loss_distill_{term}")]).iter().sum();
    for (got, want) in [(total, whole.0), (metrics["grad_norm_lpn"], whole.1)] {
        assert!((got - want).abs() < 1e-12 * want.abs().max(1.0), "{got} is not {want}");
    }
    Ok(())
}
