//! Each engine as an agent would use it, in the fastest way found.

use std::path::Path;

use ddn_export::exporter::Exporter as _;
use ddn_export::onnx::Onnx;
use ddn_export::record::greedy;
use ddn_export::safetensors::Safetensors;
use ddn_export::spec::{AgentSpec, InputKind};
use ddn_runtime::{AgentInput, Model, Policy};
use ort::environment::Environment;
use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;
use tract_onnx::prelude::{
    DatumExt as _, Framework as _, InferenceFact, InferenceModelExt as _, IntoRunnable as _, State, TValue,
    tvec,
};

use crate::networks::{Network, Team};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One or many agents in an engine.
pub(crate) trait Engine {
    fn name(&self) -> &'static str;

    /// One step of all agents: reads what they see and keeps their states and actions.
    fn step(&mut self, team: &Team) -> Result<()>;

    /// The Q-values of the last step, `[N, A]`.
    fn q(&self) -> &[f32];
}

/// The embedded runtime.
pub(crate) struct Runtime {
    policy: Policy<'static>,
    /// `[N, memory_len]`
    memory: Vec<f32>,
    scratch: Vec<f32>,
    /// `[N]`
    chosen: Vec<usize>,
    common: Common,
}

impl Runtime {
    pub(crate) fn load(network: &Network, agents: usize) -> Result<Self> {
        // A policy borrows its file; here it lives as long as the process.
        let file = Vec::leak(Safetensors.encode(&network.frozen)?);
        let policy = Model::open(file)?.assume_verified();
        // As an engine that loads a model may do. In a batch, a weight is read once for many agents.
        let room = if agents == 1 { policy.arranged_len() } else { 0 };
        let policy = policy.arranged(Vec::leak(vec![0.0; room]));
        let memory = vec![0.0; agents * policy.memory_len()];
        let scratch = vec![0.0; policy.batch_scratch_len()];
        Ok(Self { policy, memory, scratch, chosen: vec![0; agents], common: Common::new(network, agents) })
    }
}

impl Engine for Runtime {
    fn name(&self) -> &'static str {
        "ddn-runtime"
    }

    fn step(&mut self, team: &Team) -> Result<()> {
        let Common { spec, last_action, q } = &mut self.common;
        let n_actions = spec.n_actions();
        let available = &[true; 16][..n_actions];
        if let [last_action] = &mut last_action[..] {
            let input = AgentInput { obs: &team.obs, last_action: *last_action, agent_id: 0, available };
            let action = self.policy.act(&mut self.memory, input, &mut self.scratch)?;
            *last_action = Some(action.index);
            q.copy_from_slice(action.q);
            return Ok(());
        }
        let seen = team.obs.chunks_exact(spec.obs_dim).zip(&*last_action).enumerate();
        let inputs = seen.map(|(agent, (obs, last_action))| {
            let agent_id = agent % spec.n_agents;
            AgentInput { obs, last_action: *last_action, agent_id, available }
        });
        self.policy.act_batch(&mut self.memory, inputs, &mut self.scratch, |agent, action| {
            self.chosen[agent] = action.index;
            q[agent * n_actions..][..n_actions].copy_from_slice(action.q);
        })?;
        for (last_action, chosen) in last_action.iter_mut().zip(&self.chosen) {
            *last_action = Some(*chosen);
        }
        Ok(())
    }

    fn q(&self) -> &[f32] {
        &self.common.q
    }
}

/// ONNX Runtime with all of its optimisations, for a known number of agents, with buffers bound once.
pub(crate) struct OnnxRuntime {
    session: Session,
    binding: IoBinding,
    input: Tensor<f32>,
    hidden: Tensor<f32>,
    common: Common,
}

impl OnnxRuntime {
    pub(crate) fn load(network: &Network, agents: usize) -> Result<Self> {
        let session = Session::builder(environment()?)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_dimension_override("agents", i64::try_from(agents)?)?
            .commit_from_memory(&Onnx.encode(&network.frozen)?)?;
        let tensor = |width: usize| Tensor::<f32>::new(&Allocator::default(), [agents, width]);
        let (width, hidden_dim) = widths(network)?;
        let (input, mut hidden) = (tensor(width)?, tensor(hidden_dim)?);
        hidden.extract_tensor_mut().1.fill(0.0);
        let mut binding = session.create_binding()?;
        binding.bind_input("input", &input)?;
        binding.bind_input("hidden", &hidden)?;
        binding.bind_output("q", tensor(network.frozen.spec.n_actions())?)?;
        binding.bind_output("hidden_next", tensor(hidden_dim)?)?;
        Ok(Self { session, binding, input, hidden, common: Common::new(network, agents) })
    }
}

impl Engine for OnnxRuntime {
    fn name(&self) -> &'static str {
        "ONNX Runtime"
    }

    fn step(&mut self, team: &Team) -> Result<()> {
        self.common.encode(team, self.input.extract_tensor_mut().1);
        let outputs = self.session.run_binding(&self.binding)?;
        let (_, next) = outputs["hidden_next"].try_extract_tensor::<f32>()?;
        self.hidden.extract_tensor_mut().1.copy_from_slice(next);
        let (_, q) = outputs["q"].try_extract_tensor::<f32>()?;
        self.common.choose(q)
    }

    fn q(&self) -> &[f32] {
        &self.common.q
    }
}

/// tract, optimised for a known number of agents; the state goes round without a copy.
pub(crate) struct Tract {
    state: Box<dyn State>,
    width: usize,
    hidden: TValue,
    common: Common,
}

impl Tract {
    pub(crate) fn load(network: &Network, agents: usize) -> Result<Self> {
        let (width, hidden_dim) = widths(network)?;
        let fact = |width: usize| InferenceFact::from(f32::fact([agents, width]));
        let model = tract_onnx::onnx()
            .model_for_read(&mut &Onnx.encode(&network.frozen)?[..])?
            .with_input_fact(0, fact(width))?
            .with_input_fact(1, fact(hidden_dim))?
            .into_optimized()?
            .into_runnable()?;
        let hidden = tract_onnx::prelude::Tensor::zero::<f32>(&[agents, hidden_dim])?.into();
        Ok(Self { state: Box::new(model.spawn()?), width, hidden, common: Common::new(network, agents) })
    }
}

impl Engine for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn step(&mut self, team: &Team) -> Result<()> {
        let mut input = tract_onnx::prelude::Tensor::zero::<f32>(&[team.agents(), self.width])?;
        self.common.encode(team, input.try_as_plain_ram_mut()?.as_slice_mut()?);
        let mut outputs = self.state.run(tvec![input.into(), self.hidden.clone()])?;
        self.hidden = outputs.remove(1);
        self.common.choose(outputs[0].try_as_plain_ram()?.as_slice::<f32>()?)
    }

    fn q(&self) -> &[f32] {
        &self.common.q
    }
}

/// What a caller of any engine keeps.
struct Common {
    spec: AgentSpec,
    /// `[N]`
    last_action: Vec<Option<usize>>,
    /// `[N, A]`
    q: Vec<f32>,
}

impl Common {
    fn new(network: &Network, agents: usize) -> Self {
        let spec = network.frozen.spec.clone();
        Self { last_action: vec![None; agents], q: vec![0.0; agents * spec.n_actions()], spec }
    }

    /// Writes the agent inputs, `[N, I]`.
    fn encode(&self, team: &Team, rows: &mut [f32]) {
        let spec = &self.spec;
        let agents = team.obs.chunks_exact(spec.obs_dim).zip(&self.last_action).enumerate();
        for (row, (agent, (obs, last_action))) in rows.chunks_exact_mut(spec.input_dim()).zip(agents) {
            let mut rest = row;
            for &part in &spec.inputs {
                let (slots, after) = rest.split_at_mut(spec.width(part));
                let mut one_hot = |hot: Option<usize>| {
                    slots.fill(0.0);
                    if let Some(hot) = hot {
                        slots[hot] = 1.0;
                    }
                };
                match part {
                    InputKind::Obs => slots.copy_from_slice(obs),
                    InputKind::LastAction => one_hot(*last_action),
                    InputKind::AgentId => one_hot(Some(agent % spec.n_agents)),
                    InputKind::Available => slots.fill(1.0),
                }
                rest = after;
            }
        }
    }

    /// Takes the Q-values, `[N, A]`, and chooses the actions.
    fn choose(&mut self, q: &[f32]) -> Result<()> {
        self.q.copy_from_slice(q);
        let available = &[true; 16][..self.spec.n_actions()];
        for (q, action) in q.chunks_exact(self.spec.n_actions()).zip(&mut self.last_action) {
            *action = Some(greedy(q, available).ok_or("no action")?);
        }
        Ok(())
    }
}

/// Floats of an agent's input and of its recurrent state.
fn widths(network: &Network) -> Result<(usize, usize)> {
    Ok((network.frozen.spec.input_dim(), network.frozen.hidden_dims()?.iter().sum()))
}

/// ONNX Runtime's environment, of which a process can have one only.
fn environment() -> Result<&'static Environment> {
    static ENVIRONMENT: std::sync::OnceLock<Environment> = std::sync::OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let path =
        std::env::var_os("ORT_DYLIB_PATH").ok_or("ORT_DYLIB_PATH is not set: bash tests/onnxruntime.sh")?;
    let environment = ort::init_from(Path::new(&path))?.with_name("latency").with_telemetry(false).build()?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}
