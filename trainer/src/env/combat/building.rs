//! From a config and a map to a game: sizes, names and widths.

use super::rules::Rules;
use super::scenario::{Placed, Scenario};
use super::world::World;
use super::{ATTACK, Combat, CombatConfig, MOVES, Phase};
use crate::env::{EnvKind, EnvSpec};
use crate::seed::stream;

impl Combat {
    /// The game on `map`, before any episode.
    pub(super) fn new(config: CombatConfig, map: &Scenario, rules: Rules) -> Self {
        let world = World::new(map, rules);
        let (n_agents, n_enemies) = (map.allies.len(), map.enemies.len());
        let heals = map.allies.iter().any(|placed| placed.kind.heals);
        let n_actions = ATTACK + if heals { n_agents.max(n_enemies) } else { n_enemies };
        let shields = |side: &[Placed]| side.iter().any(|placed| placed.kind.shield > 0.0);
        let (first, second) =
            if map.enemies_first { (&map.enemies, &map.allies) } else { (&map.allies, &map.enemies) };
        let strength: f64 = map.enemies.iter().map(|placed| placed.kind.hp + placed.kind.shield).sum();
        let moves = MOVES.map(|(name, ..)| name.to_owned());
        let mut actions = vec!["no-op".to_owned(), "stop".to_owned()];
        actions.extend(moves);
        actions.extend((0..n_actions - ATTACK).map(|k| format!("attack {k}")));
        let mut game = Self {
            max_reward: n_enemies as f64 * config.reward_death_value + config.reward_win + strength,
            spec: EnvSpec {
                name: Self::NAME.into(),
                n_agents,
                actions,
                obs_dim: 0,
                state_dim: 0,
                teacher_dim: 0,
                episode_limit: if config.episode_limit > 0 {
                    config.episode_limit
                } else {
                    map.episode_limit
                },
                obs_layout: String::new(),
                // Shields that recover, and the absolute value of SMAC's reward, pay without a bound.
                best_return: None,
            },
            medivac_alone_loses: map.medivac_alone_loses,
            n_agents,
            n_enemies,
            n_actions,
            enemies_first: map.enemies_first,
            type_bits: map.type_bits,
            ally_shields: shields(&map.allies),
            enemy_shields: shields(&map.enemies),
            bits: first.iter().chain(second).map(|placed| placed.bit).collect(),
            rng: stream(0, Self::NAME),
            phase: Phase::NotStarted,
            t: 0,
            won: false,
            last_actions: vec![None; n_agents],
            before: vec![0.0; n_agents + n_enemies],
            turns: Vec::with_capacity(n_agents + n_enemies),
            world,
            config,
        };
        game.measure();
        game
    }

    /// The widths of observation and state.
    fn measure(&mut self) {
        let [enemy, ally, own] = self.obs_widths();
        let clock = usize::from(self.config.obs_timestep_number);
        self.spec.obs_dim = 4 + self.n_enemies * enemy + (self.n_agents - 1) * ally + own + clock;
        self.spec.teacher_dim = self.spec.obs_dim;
        self.spec.obs_layout = format!(
            "SMAC: moves 4, {} enemies of {enemy}, {} team mates of {ally}, own {own}{}",
            self.n_enemies,
            self.n_agents - 1,
            if clock > 0 { ", time 1" } else { "" }
        );
        let [ally, enemy] = self.state_widths();
        let actions = if self.config.state_last_action { self.n_agents * self.n_actions } else { 0 };
        let clock = usize::from(self.config.state_timestep_number);
        self.spec.state_dim = self.n_agents * ally + self.n_enemies * enemy + actions + clock;
    }
}
