//! One-step payoff games: every agent picks an action at once, and a table says what that pays.
//!
//! The default is the game of the QTRAN paper (arXiv 1905.05408, Table 1a): the best joint action
//! is surrounded by heavy losses, so a team that averages over what the partner might do moves
//! away from it.

use serde::{Deserialize, Serialize};

use super::registry::{EnvKind, bad};
use super::saved::{Reader, Writer};
use super::{End, Env, EnvSpec, Frame, Step};
use crate::error::EnvError;

/// First bytes of a saved episode; the last one is the version.
const TAG: &[u8; 8] = b"DDNmatr\x01";

/// Longest payoff table.
const LONGEST_TABLE: usize = 1 << 20;

/// The keys of a `matrix-game` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatrixGameConfig {
    /// Agents.
    pub agents: usize,
    /// Actions of each agent.
    pub actions: usize,
    /// Reward of each joint action, `actions` to the power of `agents` numbers, the first agent's
    /// action changing slowest.
    pub payoffs: Vec<f64>,
}

impl Default for MatrixGameConfig {
    fn default() -> Self {
        let payoffs = vec![8.0, -12.0, -12.0, -12.0, 0.0, 0.0, -12.0, 0.0, 0.0];
        Self { agents: 2, actions: 3, payoffs }
    }
}

/// The game; see the [module](self).
#[derive(Clone, Debug)]
pub struct MatrixGame {
    spec: EnvSpec,
    payoffs: Vec<f32>,
    running: bool,
}

impl EnvKind for MatrixGame {
    const NAME: &'static str = "matrix-game";
    const ABOUT: &'static str = "one step, one table of payoffs (default: the QTRAN paper's)";
    type Config = MatrixGameConfig;

    fn from_config(config: MatrixGameConfig) -> Result<Self, EnvError> {
        let MatrixGameConfig { agents, actions, payoffs } = config;
        if agents == 0 {
            return Err(bad("agents", "is 0; give at least 1"));
        }
        if actions == 0 {
            return Err(bad("actions", "is 0; give at least 1"));
        }
        let want = u32::try_from(agents).ok().and_then(|n| actions.checked_pow(n));
        let too_long = |n: &usize| *n > LONGEST_TABLE || agents > LONGEST_TABLE;
        let Some(want) = want.filter(|n| !too_long(n)) else {
            let reason = format!(
                "{actions} actions of {agents} agents need more than {LONGEST_TABLE} payoffs; \
                 lower agents or actions"
            );
            return Err(bad("payoffs", reason));
        };
        if payoffs.len() != want {
            let reason =
                format!("holds {} numbers; {actions} actions of {agents} agents need {want}", payoffs.len());
            return Err(bad("payoffs", reason));
        }
        let payoffs: Vec<f32> = payoffs.into_iter().map(|payoff| payoff as f32).collect();
        if let Some(k) = payoffs.iter().position(|payoff| !payoff.is_finite()) {
            return Err(bad("payoffs", format!("number {k} is {}; give finite ones", payoffs[k])));
        }
        let spec = EnvSpec {
            name: Self::NAME.into(),
            n_agents: agents,
            actions: (0..actions).map(|action| format!("action {action}")).collect(),
            obs_dim: 1,
            state_dim: 1,
            teacher_dim: 0,
            episode_limit: 1,
            obs_layout: "constant 1".into(),
            best_return: payoffs.iter().copied().reduce(f32::max),
        };
        Ok(Self { spec, payoffs, running: false })
    }
}

impl MatrixGame {
    fn observe(&self, frame: &mut Frame) {
        let (agents, actions) = (self.spec.n_agents, self.spec.n_actions());
        fill(&mut frame.obs, agents, 1.0);
        fill(&mut frame.state, 1, 1.0);
        fill(&mut frame.available, agents * actions, true);
        fill(&mut frame.alive, agents, true);
        frame.teacher.clear();
    }
}

impl Env for MatrixGame {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, _seed: u64, frame: &mut Frame) -> Result<(), EnvError> {
        self.running = true;
        self.observe(frame);
        Ok(())
    }

    fn step(&mut self, actions: &[usize], frame: &mut Frame) -> Result<Step, EnvError> {
        if !self.running {
            return Err(EnvError::NotRunning);
        }
        check_actions(&self.spec, actions)?;
        let cell = actions.iter().fold(0, |cell, action| cell * self.spec.n_actions() + action);
        self.running = false;
        self.observe(frame);
        Ok(Step { reward: self.payoffs[cell], end: Some(End::Terminated), won: None })
    }

    fn save(&self) -> Option<Vec<u8>> {
        let mut out = Writer::new(TAG);
        out.flag(self.running);
        Some(out.finish())
    }

    fn load(&mut self, saved: &[u8], frame: &mut Frame) -> Result<(), EnvError> {
        let mut fields = Reader::new(saved, TAG)?;
        let running = fields.flag("whether the episode runs")?;
        fields.finish()?;
        self.running = running;
        self.observe(frame);
        Ok(())
    }

    fn render(&self) -> String {
        let row = self.payoffs.chunks(self.spec.n_actions());
        row.map(|row| format!("{row:?}\n")).collect()
    }
}

/// Refuses what can never be chosen in a game without a mask.
pub(super) fn check_actions(spec: &EnvSpec, actions: &[usize]) -> Result<(), EnvError> {
    if actions.len() != spec.n_agents {
        return Err(EnvError::Actions { want: spec.n_agents, got: actions.len() });
    }
    match actions.iter().enumerate().find(|(_, action)| **action >= spec.n_actions()) {
        Some((agent, &action)) => Err(EnvError::Unavailable { agent, action }),
        None => Ok(()),
    }
}

/// Sets the length and every value.
pub(super) fn fill<T: Copy>(buffer: &mut Vec<T>, len: usize, value: T) {
    buffer.clear();
    buffer.resize(len, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(agents: usize, actions: usize, payoffs: &[f64]) -> Result<MatrixGame, EnvError> {
        let payoffs = payoffs.to_vec();
        MatrixGame::from_config(MatrixGameConfig { agents, actions, payoffs })
    }

    fn pays(game: &mut MatrixGame, actions: &[usize]) -> f32 {
        let mut frame = game.spec().frame();
        game.reset(0, &mut frame).expect("resets");
        let step = game.step(actions, &mut frame).expect("steps");
        assert_eq!(step.end, Some(End::Terminated));
        assert!(matches!(game.step(actions, &mut frame), Err(EnvError::NotRunning)));
        step.reward
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "payoffs are copied")]
    fn the_default_is_the_game_of_the_qtran_paper() {
        let mut game = MatrixGame::from_config(MatrixGameConfig::default()).expect("builds");
        assert_eq!(game.spec().best_return, Some(8.0));
        let table: Vec<f32> = (0..9).map(|k| pays(&mut game, &[k / 3, k % 3])).collect();
        assert_eq!(table, [8.0, -12.0, -12.0, -12.0, 0.0, 0.0, -12.0, 0.0, 0.0]);
        assert_eq!(game.render().lines().next(), Some("[8.0, -12.0, -12.0]"));
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "payoffs are copied")]
    fn the_first_agent_changes_slowest() {
        let payoffs: Vec<f64> = (0..8).map(f64::from).collect();
        let mut game = game(3, 2, &payoffs).expect("builds");
        assert_eq!(pays(&mut game, &[1, 0, 0]), 4.0);
        assert_eq!(pays(&mut game, &[0, 0, 1]), 1.0);
    }

    #[test]
    fn a_table_of_the_wrong_size_is_refused() {
        let says = |result: Result<MatrixGame, EnvError>| result.expect_err("refused").to_string();
        assert_eq!(says(game(3, 3, &[1.0])), "[env] payoffs: holds 1 numbers; 3 actions of 3 agents need 27");
        assert!(says(game(0, 3, &[])).contains("agents: is 0"));
        assert!(says(game(3, 0, &[])).contains("actions: is 0"));
        assert!(says(game(usize::MAX, 1, &[1.0])).contains("need more than"));
        assert!(says(game(64, 2, &[])).contains("need more than"));
        assert!(says(game(1, 2, &[0.0, f64::NAN])).contains("number 1 is NaN"));
    }
}
