//! QPLEX: utilities split into value and advantage, the advantages weighted by the joint action.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use candle_nn::ops::sigmoid;
use serde::{Deserialize, Serialize};

use super::{JointStep, Mixer, MixerKind, MixerShape};
use crate::error::ConfigError;
use crate::learner::check_width;
use crate::nn::{Mlp, Sparse};

/// Most kernels and layers that can be asked for.
const MOST: usize = 64;

/// Keeps weights that must be positive from being 0.
const POSITIVE: f64 = 1e-10;

/// With `Q̃_i = w_i(s) Q_i + b_i(s)` and `Ṽ_i = w_i(s) max_a Q_i + b_i(s)`, w positive:
///
/// ```text
/// Q_tot = Σ_i Q̃_i(u_i) + Σ_i (λ_i(s, u) - 1) [Q̃_i(u_i) - Ṽ_i]        [·]: without gradient
/// λ_i   = Σ_k |key_k(s)| σ(agents_k(s)_i) σ(actions_k([s; u])_i)
/// ```
///
/// As a number it is `Σ Ṽ_i + Σ λ_i A_i`, and as λ is positive and A never is, the best joint action
/// is made of the agents' best. Utilities and w learn through the plain sum alone.
///
/// Source: Wang et al., arXiv 2008.01062; the detached advantage and the sizes as in
/// the authors' code.
#[derive(Debug)]
pub struct Qplex {
    w: Mlp,
    b: Mlp,
    kernels: Vec<Kernel>,
    actions: usize,
}

/// One term of λ.
#[derive(Debug)]
struct Kernel {
    /// `[S] → [1]`
    key: Mlp,
    /// `[S] → [N]`
    agents: Mlp,
    /// `[S + N·A] → [N]`
    actions: Mlp,
}

/// Sizes. The authors' general config is the default (784,058 parameters on Predator-Prey); their
/// config for SMAC is `kernels = 4, layers = 1` (61,572).
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QplexConfig {
    /// Terms of λ.
    pub kernels: usize,
    /// Layers of the networks of λ.
    pub layers: usize,
    /// Hidden units of the networks of λ; 64.
    pub embed: usize,
    /// Hidden units of w and b; 64.
    pub hyper: usize,
}

impl Default for QplexConfig {
    fn default() -> Self {
        Self { kernels: 10, layers: 3, embed: 64, hyper: 64 }
    }
}

impl Qplex {
    /// λ, `[B·T, N]`.
    fn lambda(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let agents = step.q_taken.dim(2)?;
        let picks = Sparse::one_hot(self.actions, &step.actions.flatten_all()?.to_vec1()?);
        let both = step.state.beside(&picks.fold(agents));
        let term = |kernel: &Kernel| -> Result<Tensor> {
            let key = (kernel.key.sparse(step.state)?.abs()? + POSITIVE)?;
            let gate =
                (sigmoid(&*kernel.agents.sparse(step.state)?)? * sigmoid(&*kernel.actions.sparse(&both)?)?)?;
            gate.broadcast_mul(&key)
        };
        let mut lambda = term(&self.kernels[0])?;
        for kernel in &self.kernels[1..] {
            lambda = (lambda + term(kernel)?)?;
        }
        Ok(lambda)
    }
}

impl Mixer for Qplex {
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let (b, t, n) = step.q_taken.dims3()?;
        let w = (self.w.sparse(step.state)?.abs()? + POSITIVE)?;
        let bias = Tensor::from(self.b.sparse(step.state)?);
        let q = ((&w * step.q_taken.reshape((b * t, n))?)? + &bias)?;
        let v = ((&w * step.q_max.reshape((b * t, n))?)? + &bias)?;
        let advantage = (&q - v)?.detach();
        let weighted = ((self.lambda(step)? - 1.0)? * advantage)?;
        (q + weighted)?.sum(1)?.reshape((b, t, 1))
    }
}

impl MixerKind for Qplex {
    const NAME: &'static str = "qplex";
    const ABOUT: &'static str = "advantages weighted by state and joint action (Wang et al. 2020)";
    type Config = QplexConfig;

    fn check(config: &QplexConfig) -> std::result::Result<(), ConfigError> {
        for (key, count) in [("mixer.kernels", config.kernels), ("mixer.layers", config.layers)] {
            if !(1..=MOST).contains(&count) {
                return Err(ConfigError::value(key, format!("is {count}; give 1 to {MOST}")));
            }
        }
        check_width("mixer.embed", config.embed)?;
        check_width("mixer.hyper", config.hyper)
    }

    fn new(config: &QplexConfig, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self> {
        let MixerShape { agents, actions, state, .. } = shape;
        let net = |vb: VarBuilder<'_>, input: usize, out: usize| {
            let hidden = std::iter::repeat_n(config.embed, config.layers - 1);
            let widths: Vec<usize> = std::iter::once(input).chain(hidden).chain([out]).collect();
            Mlp::new(&vb, &widths)
        };
        let kernel = |k: usize| -> Result<Kernel> {
            let vb = vb.pp("kernel").pp(k);
            Ok(Kernel {
                key: net(vb.pp("key"), state, 1)?,
                agents: net(vb.pp("agents"), state, agents)?,
                actions: net(vb.pp("actions"), state + agents * actions, agents)?,
            })
        };
        Ok(Self {
            w: Mlp::new(&vb.pp("w"), &[state, config.hyper, agents])?,
            b: Mlp::new(&vb.pp("b"), &[state, config.hyper, agents])?,
            kernels: (0..config.kernels).map(kernel).collect::<Result<_>>()?,
            actions,
        })
    }
}
