//! The networks that are timed, with random weights, and what their agents see.

use ddn_export::error::ExportError;
use ddn_export::frozen::{Frozen, Tensor};
use ddn_export::graph;
use ddn_export::spec::{AgentSpec, InputKind};

#[path = "../../../runtime/fixture/mod.rs"]
mod fixture;

use fixture::{EIGHT_AGENTS, Metadata, Random, Sizes, Tensors};

/// A network and how dense its observations are.
pub(crate) struct Network {
    pub(crate) name: &'static str,
    pub(crate) frozen: Frozen,
    /// One in so many observed floats is not zero.
    sparsity: usize,
}

/// What all agents see at one step.
pub(crate) struct Team {
    /// `[N, O]`
    pub(crate) obs: Vec<f32>,
    obs_dim: usize,
}

impl Team {
    pub(crate) fn agents(&self) -> usize {
        self.obs.len() / self.obs_dim
    }
}

/// The networks, in the order of the report.
pub(crate) fn all() -> Result<[Network; 3], ExportError> {
    let wide = Sizes { hyper: 64, ..EIGHT_AGENTS };
    Ok([
        network("reference: 64 observed, dense 64, GRU of 64, 4 actions", fixture::reference(13), 1)?,
        network("DDN's follower in Predator-Prey", fixture::agent(wide, 7), 16)?,
        network("the same with a hypernetwork of 16", fixture::agent(EIGHT_AGENTS, 7), 16)?,
    ])
}

fn network(
    name: &'static str,
    (metadata, tensors): (Metadata, Tensors),
    sparsity: usize,
) -> Result<Network, ExportError> {
    let value = |key: &str| metadata[key].as_str();
    let inputs = value("ddn.inputs");
    let obs = inputs.split(',').find_map(|part| part.strip_prefix("obs:")).expect("the fixture observes");
    let kinds = InputKind::ALL.into_iter();
    let frozen = Frozen {
        spec: AgentSpec {
            environment: "none".into(),
            n_agents: value("ddn.agents").parse().expect("a number"),
            actions: value("ddn.actions").split(',').map(str::to_owned).collect(),
            obs_dim: obs.parse().expect("a number"),
            obs_layout: "random numbers".into(),
            inputs: kinds.filter(|kind| inputs.contains(&format!("{}:", kind.name()))).collect(),
        },
        config_sha256: "00".repeat(32),
        layers: graph::from_text(value("ddn.graph"))?,
        tensors: tensors.into_iter().map(|(name, (shape, data))| (name, Tensor { shape, data })).collect(),
        sparse: sparsity > 1,
        obs_range: None,
        known_answers: None,
    };
    frozen.check()?;
    Ok(Network { name, frozen, sparsity })
}

impl Network {
    /// What `agents` agents see at each of `steps` steps: zeros, and ones where anything is dense random numbers.
    pub(crate) fn teams(&self, agents: usize, steps: usize) -> Vec<Team> {
        let obs_dim = self.frozen.spec.obs_dim;
        let mut random = Random(17);
        let mut value = || match self.sparsity {
            1 => random.uniform(1.0),
            sparsity => f32::from(u8::from(random.below(sparsity) == 0)),
        };
        (0..steps).map(|_| Team { obs: (0..agents * obs_dim).map(|_| value()).collect(), obs_dim }).collect()
    }
}
