//! What an agent perceives and can do: the contract between a policy and the device it runs on.

use sha2::{Digest, Sha256};

use crate::error::ExportError;

/// One part of the agent input; the parts are concatenated in the order of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// The observation, `[O]`.
    Obs,
    /// The previous action, one-hot `[A]`; all zeros at the first step of an episode.
    LastAction,
    /// The agent's index, one-hot `[N]`.
    AgentId,
    /// The action mask as zeros and ones, `[A]`.
    Available,
}

impl InputKind {
    /// Every kind, in the order in which the trainer concatenates them.
    pub const ALL: [Self; 4] = [Self::Obs, Self::LastAction, Self::AgentId, Self::Available];

    /// Its name in a model file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Obs => "obs",
            Self::LastAction => "last_action",
            Self::AgentId => "agent_id",
            Self::Available => "available",
        }
    }
}

/// Sizes and names that a device must agree with before it may use a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// Name of the environment.
    pub environment: String,
    /// N, agents in the team.
    pub n_agents: usize,
    /// Names of the A actions, in index order; no commas.
    pub actions: Vec<String>,
    /// O, floats of one observation.
    pub obs_dim: usize,
    /// How the observation is laid out, one line of text.
    pub obs_layout: String,
    /// The parts of the agent input, in order.
    pub inputs: Vec<InputKind>,
}

impl AgentSpec {
    /// A, the number of actions.
    #[must_use]
    pub fn n_actions(&self) -> usize {
        self.actions.len()
    }

    /// Floats of one part of the input.
    #[must_use]
    pub fn width(&self, part: InputKind) -> usize {
        match part {
            InputKind::Obs => self.obs_dim,
            InputKind::LastAction | InputKind::Available => self.n_actions(),
            InputKind::AgentId => self.n_agents,
        }
    }

    /// I, floats of the whole agent input.
    #[must_use]
    pub fn input_dim(&self) -> usize {
        self.inputs.iter().map(|&part| self.width(part)).sum()
    }

    /// The input parts as a model file spells them, `obs:75,last_action:6,agent_id:8`.
    #[must_use]
    pub fn inputs_text(&self) -> String {
        let parts: Vec<String> =
            self.inputs.iter().map(|&p| format!("{}:{}", p.name(), self.width(p))).collect();
        parts.join(",")
    }

    /// SHA-256, in lower-case hexadecimal, over five lines: environment, observation layout,
    /// inputs, number of agents, actions. Each ends with a line feed.
    ///
    /// Two policies with the same contract can replace one another on a device.
    #[must_use]
    pub fn contract(&self) -> String {
        let lines = [
            self.environment.clone(),
            self.obs_layout.clone(),
            self.inputs_text(),
            self.n_agents.to_string(),
            self.actions.join(","),
        ];
        let mut hash = Sha256::new();
        for line in lines {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        hex(&hash.finalize())
    }

    /// Checks that the description can be written and read back.
    ///
    /// # Errors
    /// [`ExportError::Spec`] names the field: a size of 0, a part named twice, a comma in an
    /// action's name, a control character in a text.
    pub fn check(&self) -> Result<(), ExportError> {
        let fail = |field, reason: String| Err(ExportError::Spec { field, reason });
        for (field, size) in [("agents", self.n_agents), ("actions", self.n_actions()), ("obs", self.obs_dim)]
        {
            if size == 0 {
                return fail(field, "is 0".into());
            }
        }
        if let Some(name) = self.actions.iter().find(|a| a.is_empty() || a.contains(',')) {
            return fail("actions", format!("`{name}` is empty or contains a comma"));
        }
        if self.inputs.is_empty() {
            return fail("inputs", "no part is named".into());
        }
        for (i, part) in self.inputs.iter().enumerate() {
            if self.inputs[..i].contains(part) {
                return fail("inputs", format!("{} is named twice", part.name()));
            }
        }
        let texts = [("environment", &self.environment), ("obs", &self.obs_layout)];
        for (field, text) in texts.into_iter().chain(self.actions.iter().map(|a| ("actions", a))) {
            if let Some(c) = text.chars().find(|c| c.is_control() || matches!(c, '"' | '\\')) {
                return fail(field, format!("contains the character {c:?}"));
            }
        }
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
