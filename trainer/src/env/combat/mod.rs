//! Combat: small battles of StarCraft II units, behind the interface of SMAC.
//!
//! ```text
//! actions ─► orders ─► 8 ticks of 1/16 s: targets, wishes, velocities, turns ─► reward, end, frame
//! ```
//!
//! Each agent commands one unit; the enemies march on the agents and shoot at whoever comes into
//! reach. Observations, state, availability, actions, rewards and episode limits are those of SMAC
//! (Samvelyan et al., "The StarCraft Multi-Agent Challenge", 2019) at its default settings; what
//! happens in between is simulated here, by one of the two sets of [`Rules`]. `docs/combat.md` lists
//! what still differs from the game.

mod avoid;
mod building;
mod config;
mod formation;
mod number;
mod observe;
mod picture;
mod plane;
mod playback;
mod program;
mod render;
mod reward;
mod rules;
mod saving;
mod scenario;
pub mod scripted;
mod target;
mod terrain;
#[cfg(test)]
mod tests;
mod turn;
mod unit;
mod wall;
mod wish;
mod world;

use rand_chacha::ChaCha8Rng;

pub use self::config::{CombatConfig, RuleSet};
use self::plane::vector;
pub use self::playback::{Played, UnitState};
pub use self::rules::{Figures, Rules};
use self::scenario::Scenario;
use self::world::{Order, World};
use super::registry::{EnvKind, bad};
use super::scene::Scene;
use super::{Env, EnvSpec, Frame, Step};
use crate::error::EnvError;
use crate::seed::{Draw, stream};

// Indices of the actions, as in SMAC; the moves lie between `STOP` and `ATTACK`.
const NO_OP: usize = 0;
const STOP: usize = 1;
/// The first of as many as there are enemies; for a healer the same numbers mean team mates.
const ATTACK: usize = 6;

/// Names and directions of the moves, in action order.
const MOVES: [(&str, f64, f64); 4] =
    [("north", 0.0, 1.0), ("south", 0.0, -1.0), ("east", 1.0, 0.0), ("west", -1.0, 0.0)];

/// Cells to where a move sends a unit. SMAC (`move_amount`).
const MOVE_AMOUNT: f64 = 2.0;
/// Game loops of a step. SMAC (`step_mul`).
const TICKS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    NotStarted,
    Running,
    Over,
}

/// The game; see the [module](self) for its rules.
#[derive(Clone, Debug)]
pub struct Combat {
    spec: EnvSpec,
    config: CombatConfig,
    world: World,
    medivac_alone_loses: bool,
    n_agents: usize,
    n_enemies: usize,
    n_actions: usize,
    enemies_first: bool,
    type_bits: usize,
    ally_shields: bool,
    enemy_shields: bool,
    /// `[M]`, which type bit a unit sets.
    bits: Vec<Option<usize>>,
    /// The return of a win in which nothing regenerates, before scaling.
    max_reward: f64,
    rng: ChaCha8Rng,
    phase: Phase,
    t: usize,
    won: bool,
    /// `[N]`, none before the first step.
    last_actions: Vec<Option<usize>>,
    /// `[M]`, hp and shield before the step. Scratch.
    before: Vec<f64>,
    /// The units in play, in the order of their turns. Scratch.
    turns: Vec<usize>,
}

impl EnvKind for Combat {
    const NAME: &'static str = "combat";
    const ABOUT: &'static str = "StarCraft II battles behind SMAC's interface, simulated here";
    type Config = CombatConfig;

    fn complete(mut config: CombatConfig) -> CombatConfig {
        if config.map_sha256.is_empty() {
            config.map_sha256 = scenario::digest(&config.map).unwrap_or_default();
        }
        config
    }

    fn from_config(config: CombatConfig) -> Result<Self, EnvError> {
        config.check()?;
        let digest = scenario::digest(&config.map);
        if !config.map_sha256.is_empty() && digest.is_some_and(|digest| digest != config.map_sha256) {
            let reason =
                format!("{} is not the file that it was; put that one back, or take the key out", config.map);
            return Err(bad("map_sha256", reason));
        }
        let rules = config.all_rules()?;
        let map = Scenario::find(&config.map, &rules).map_err(|reason| bad("map", reason))?;
        Ok(Self::new(config, &map, rules))
    }
}

impl Combat {
    /// The values it was built from.
    #[must_use]
    pub fn config(&self) -> &CombatConfig {
        &self.config
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.world.rules
    }

    /// Agents and enemies that have fallen in this episode.
    #[must_use]
    pub fn fallen(&self) -> (usize, usize) {
        let dead = |unit: usize| !self.world.units[unit].in_play;
        let agents = (0..self.n_agents).filter(|&k| dead(self.agent(k))).count();
        (agents, (0..self.n_enemies).filter(|&k| dead(self.enemy(k))).count())
    }

    /// The unit of an agent.
    fn agent(&self, agent: usize) -> usize {
        if self.enemies_first { self.n_enemies + agent } else { agent }
    }

    /// The unit of an enemy.
    fn enemy(&self, enemy: usize) -> usize {
        if self.enemies_first { enemy } else { self.n_agents + enemy }
    }

    fn alive(&self, agent: usize) -> bool {
        self.world.units[self.agent(agent)].in_play
    }

    fn last_action(&self, agent: usize) -> Option<usize> {
        self.last_actions[agent]
    }

    fn may(&self, agent: usize, action: usize) -> bool {
        if action >= self.n_actions {
            return false;
        }
        // Room for the largest number of actions of any map: no allocation in `step`.
        let mut mask = [false; ATTACK + scenario::MOST_UNITS];
        self.mask(agent, &mut mask[..self.n_actions]);
        mask[action]
    }

    /// Tells the unit of `agent` what to do for the ticks to come.
    fn command(&mut self, agent: usize, action: usize) {
        let me = self.agent(agent);
        let order = match action {
            NO_OP | STOP => Order::Stop,
            attack if attack >= ATTACK => {
                self.attackable(me, attack - ATTACK).map_or(Order::Stop, Order::Attack)
            }
            walk => {
                let (_, x, y) = MOVES[walk - STOP - 1];
                Order::Walk(self.world.units[me].place + vector(x, y) * MOVE_AMOUNT)
            }
        };
        self.world.units[me].order = order;
    }

    /// Everything of a step before its ticks.
    fn begin(&mut self, actions: &[usize]) -> Result<(), EnvError> {
        if self.phase != Phase::Running {
            return Err(EnvError::NotRunning);
        }
        if actions.len() != self.n_agents {
            return Err(EnvError::Actions { want: self.n_agents, got: actions.len() });
        }
        let forbidden = actions.iter().enumerate().find(|&(agent, &action)| !self.may(agent, action));
        if let Some((agent, &action)) = forbidden {
            return Err(EnvError::Unavailable { agent, action });
        }
        for (agent, &action) in actions.iter().enumerate() {
            self.command(agent, action);
            self.last_actions[agent] = Some(action);
        }
        self.note_strength();
        Ok(())
    }

    /// The units in play, in a fresh random order.
    fn shuffle_turns(&mut self) {
        self.turns.clear();
        let units = self.world.units.iter().enumerate();
        self.turns.extend(units.filter(|(_, unit)| unit.in_play).map(|(me, _)| me));
        self.rng.shuffle(&mut self.turns);
    }
}

impl Env for Combat {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, frame: &mut Frame) -> Result<(), EnvError> {
        self.rng = stream(seed, Self::NAME);
        self.phase = Phase::Running;
        (self.t, self.won) = (0, false);
        self.last_actions.fill(None);
        self.world.restart();
        self.observe(frame);
        Ok(())
    }

    fn step(&mut self, actions: &[usize], frame: &mut Frame) -> Result<Step, EnvError> {
        self.begin(actions)?;
        for _ in 0..TICKS {
            self.shuffle_turns();
            self.world.tick(&self.turns, &mut self.rng);
        }
        let (_, step) = self.conclude();
        self.observe(frame);
        Ok(step)
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.saved()
    }

    fn load(&mut self, saved: &[u8], frame: &mut Frame) -> Result<(), EnvError> {
        self.restore(saved)?;
        self.observe(frame);
        Ok(())
    }

    fn scripted(&self) -> Vec<(&'static str, &'static str)> {
        scripted::SCRIPTED.iter().map(|policy| (policy.name(), policy.about())).collect()
    }

    fn choose(&self, policy: &str, rng: &mut ChaCha8Rng, actions: &mut [usize]) -> Result<(), EnvError> {
        let Some(found) = scripted::SCRIPTED.iter().find(|known| known.name() == policy) else {
            let known = scripted::SCRIPTED.iter().map(|known| known.name()).collect();
            return Err(EnvError::Policy { policy: policy.into(), known });
        };
        found.choose(self, rng, actions);
        Ok(())
    }

    fn render(&self) -> String {
        self.drawn()
    }

    fn scene(&self) -> Option<Scene> {
        self.pictured()
    }
}
