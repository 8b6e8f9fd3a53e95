//! The schemes with a teacher: what their networks say, their losses, gradients and updates.

use candle_core::Tensor;
use ddn_trainer::learner::knowledge::KnowledgeConfig;
use ddn_trainer::learner::scheme::{
    Ctds, CtdsConfig, IgmDa, IgmDaConfig, Metrics, Noise, Ptde, PtdeConfig, Scheme, SchemeKind, Variant,
};
use ddn_trainer::nn::Sparse;
use ddn_trainer::replay::{Batch, Rows};
use ddn_trainer::seed::stream;

use super::{CLOSE, Oracle, mixer, setting};

/// Optimisers give their moments in single precision.
const SINGLE: f64 = 1e-6;

impl Oracle {
    /// The utilities of a network on the frames that exist.
    fn check_network(&self, name: &str, scheme: &dyn Scheme, network: &str, batch: &Batch) {
        let q = scheme.unroll(network, &batch.view(), None).expect("it takes the batch").q;
        let got: Vec<f64> = q.flatten_all().and_then(|q| q.to_vec1()).expect("f64");
        let (want, each) = (self.get(name), batch.agents * batch.actions_each);
        assert_eq!(got.len(), want.len(), "{name}");
        for (index, (got, want)) in got.iter().zip(want).enumerate() {
            let (frame, frames) = (index / each, batch.steps + 1);
            if frame % frames < batch.lengths[frame / frames] {
                let far = (got - want).abs() / want.abs().max(1.0);
                assert!(far <= CLOSE, "{name}[{index}]: {got} instead of {want}");
            }
        }
    }

    /// The gradients of the one update that the optimisers have made, which their moments hold after
    /// clipping: their squares with RMSprop, of whose signs the moved parameters tell, and they
    /// themselves with Adam.
    fn check_gradients(&self, scheme: &dyn Scheme, names: &[&str]) {
        let mut checked = 0;
        for (optimiser, norm) in names.iter().map(|name| (*name, self.get(&format!("norm.{name}"))[0])) {
            let factor = (10.0 / (norm + 1e-6)).min(1.0);
            let mut all = scheme.optimisers().into_iter();
            let (_, found) = all.find(|(name, _)| *name == optimiser).expect("the scheme has it");
            let (steps, moments) = found.state().expect("readable");
            assert_eq!(steps, 1);
            let is_adam = moments.keys().any(|key| key.starts_with("1."));
            for (key, (_, values)) in moments.iter().filter(|(key, _)| key.starts_with("0.")) {
                let want = self.get(&format!("grad.{}", &key[2..]));
                let largest = want.iter().map(|want| want.abs()).fold(0.0, f64::max);
                for (index, (&value, want)) in values.iter().zip(want).enumerate() {
                    let (value, want) = (f64::from(value), want * factor);
                    let (got, want) =
                        if is_adam { (value / 0.1, want) } else { ((value / 0.01).sqrt(), want.abs()) };
                    let far = (got - want).abs() / want.abs().max(1e-6 * largest * factor).max(1e-300);
                    assert!(far <= SINGLE, "grad.{}[{index}]: {got} instead of {want}", &key[2..]);
                    checked += 1;
                }
            }
        }
        assert!(checked > 100, "{checked}");
    }

    /// Losses of the script and ours.
    fn check_named_losses(&self, prefix: &str, names: &[(&str, &str)], metrics: &Metrics) {
        for (theirs, ours) in names {
            self.check(&format!("{prefix}{theirs}"), metrics[&format!("loss_{ours}")]);
        }
    }

    fn sparse(&self, name: &str) -> Sparse {
        let floats: Vec<f32> = self.get(name).iter().map(|&value| value as f32).collect();
        Sparse::from_dense(self.shape(name)[1], &floats)
    }

    /// Draws for every row of a batch, `[R, Z]`.
    fn draws(&self, name: &str) -> Tensor {
        let width = self.shape(name)[3];
        self.tensor(name).reshape(((), width)).expect("whole rows")
    }
}

#[test]
fn ctds_learns_as_in_pytorch() {
    for kind in ["vdn", "qmix"] {
        let oracle = Oracle::open(&format!("ctds_{kind}"));
        let (spec, mixer) = (oracle.spec(), mixer(&oracle, kind));
        let config = CtdsConfig { hidden: oracle.shape("teacher.fc1.bias")[0], ..CtdsConfig::default() };
        let mut scheme = Ctds::new(config, &setting(&spec, &mixer)).expect("a valid config");
        oracle.load(&scheme);
        let batch = oracle.batch();
        oracle.check_network("teacher_q", &scheme, "teacher", &batch);
        oracle.check_network("student_q", &scheme, "student", &batch);
        for (first, losses, parameters) in [(true, "loss_", "step1."), (false, "loss2.", "step2.")] {
            let metrics = scheme.update(&batch, &mut stream(1, "unused")).expect("an update");
            oracle.check_named_losses(losses, &[("td", "td"), ("kd", "distill_q")], &metrics);
            if first {
                oracle.check("norm.teacher", metrics["grad_norm_teacher"]);
                oracle.check("norm.student", metrics["grad_norm_student"]);
                oracle.check_gradients(&scheme, &["teacher", "student"]);
            }
            oracle.check_parameters(parameters, &scheme);
        }
    }
}

#[test]
fn igm_da_learns_as_in_pytorch() {
    let cases =
        [(Variant::Dagger, "dagger", "vdn"), (Variant::Dagger, "dagger", "qmix"), (Variant::Bc, "bc", "vdn")];
    for (variant, name, kind) in cases {
        let oracle = Oracle::open(&format!("igm_da_{name}_{kind}"));
        let (spec, mixer) = (oracle.spec(), mixer(&oracle, kind));
        let hidden = oracle.shape("expert.fc1.bias")[0];
        let config = IgmDaConfig { variant, hidden, ..IgmDaConfig::default() };
        let mut scheme = IgmDa::new(config, &setting(&spec, &mixer)).expect("a valid config");
        oracle.load(&scheme);
        let batch = oracle.batch();
        oracle.check_network("expert_q", &scheme, "expert", &batch);
        oracle.check_network("learner_q", &scheme, "learner", &batch);
        for (first, losses, parameters) in [(true, "loss_", "step1."), (false, "loss2.", "step2.")] {
            let metrics = scheme.update(&batch, &mut stream(1, "unused")).expect("an update");
            oracle.check_named_losses(losses, &[("td", "td"), ("imit", "imitation")], &metrics);
            if first {
                oracle.check("norm.all", metrics["grad_norm_all"]);
                oracle.check_gradients(&scheme, &["all"]);
            }
            oracle.check_parameters(parameters, &scheme);
        }
    }
}

#[test]
fn ptde_learns_as_in_pytorch_in_both_phases() {
    for kind in ["vdn", "qmix"] {
        let oracle = Oracle::open(&format!("ptde_{kind}"));
        let (spec, mixer) = (oracle.spec(), mixer(&oracle, kind));
        let knowledge = KnowledgeConfig {
            hyper: oracle.shape("coach.hyper.bias")[0],
            width: oracle.shape("coach.shift.bias")[0],
            scale: oracle.get("coach_scale")[0],
        };
        let hidden = oracle.shape("agent.fc1.bias")[0];
        let config = PtdeConfig { hidden, knowledge, ..PtdeConfig::default() };
        let mut scheme = Ptde::new(config, &setting(&spec, &mixer)).expect("a valid config");
        oracle.load(&scheme);
        let batch = oracle.batch();
        oracle.check_network("teacher_q", &scheme, "teacher", &batch);
        let noise = Noise { online: oracle.draws("noise"), slow: oracle.draws("slow_noise") };
        for (first, losses) in [(true, "loss_"), (false, "loss2.")] {
            let metrics = scheme.update_with(&batch, Some(&noise)).expect("an update");
            oracle.check_named_losses(losses, &[("td", "td")], &metrics);
            if first {
                oracle.check("norm.teacher", metrics["grad_norm_teacher"]);
                oracle.check_gradients(&scheme, &["teacher"]);
            }
            let prefix = if first { "step1." } else { "step2." };
            oracle.check_sets(prefix, &scheme, &["online"]);
        }
        // The agent as the updates have left it, told the guess of a student that knows nothing.
        oracle.check_network("student_q", &scheme, "student", &batch);
        let rows = Rows { inputs: oracle.sparse("rows_x"), state: oracle.sparse("rows_s") };
        for (first, losses, prefix) in [(true, "loss_", "distilled1."), (false, "loss2.", "distilled2.")] {
            if first {
                let error = scheme.distil_error(&rows).expect("it takes the rows") / rows.len() as f64;
                oracle.check("loss_z", error);
            }
            let metrics = scheme.distil(&rows).expect("a step");
            oracle.check_named_losses(losses, &[("z", "distill_z")], &metrics);
            if first {
                oracle.check("norm.student", metrics["grad_norm_student"]);
                oracle.check_gradients(&scheme, &["student"]);
            }
            oracle.check_sets(prefix, &scheme, &["student"]);
            oracle.check_sets("step2.", &scheme, &["online"]);
        }
    }
}
