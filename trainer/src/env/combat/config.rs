//! The keys of a `combat` table.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::rules::Rules;
use crate::env::registry::bad;
use crate::error::EnvError;

/// Which set of rules to start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleSet {
    /// [`Rules::smac`]
    #[default]
    Smac,
    /// [`Rules::smaclite`]
    Smaclite,
}

/// Map, rules and SMAC's own switches. Where a key has a name of SMAC's `StarCraft2Env`, it means the
/// same and has the same default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CombatConfig {
    /// Name of a map, or path of a TOML file with one.
    pub map: String,
    /// SHA-256 of that file, which must not have another one then; empty for any. A run fills it in.
    pub map_sha256: String,
    /// The rules to start from.
    pub rules: RuleSet,
    /// Single rules that are otherwise, by the names of the fields of [`Rules`].
    pub rule: Table,
    /// Steps after which an episode ends; 0 for the map's own number.
    pub episode_limit: usize,
    /// Whether nothing follows on the limit, as in SMAC. Otherwise the episode is cut there, and
    /// learners bootstrap.
    pub limit_is_end: bool,
    /// Only the end counts: 1 for a win, -1 for a defeat, before `reward_scale`.
    pub reward_sparse: bool,
    /// Whether own losses cost nothing.
    pub reward_only_positive: bool,
    /// For each enemy that falls, points.
    pub reward_death_value: f64,
    /// For a win, points.
    pub reward_win: f64,
    /// For a defeat, points.
    pub reward_defeat: f64,
    /// What own losses cost beside those of the enemies.
    pub reward_negative_scale: f64,
    /// Whether rewards are scaled so that a win without regeneration returns `reward_scale_rate`.
    pub reward_scale: bool,
    /// See `reward_scale`.
    pub reward_scale_rate: f64,
    /// Whether an observation has the last actions of the team mates in sight.
    pub obs_last_action: bool,
    /// Whether an observation ends with the share of the episode that is over.
    pub obs_timestep_number: bool,
    /// Whether the state has the last joint action.
    pub state_last_action: bool,
    /// Whether the state ends with the share of the episode that is over.
    pub state_timestep_number: bool,
}

impl Default for CombatConfig {
    fn default() -> Self {
        Self {
            map: "3s5z".into(),
            map_sha256: String::new(),
            rules: RuleSet::Smac,
            rule: Table::new(),
            episode_limit: 0,
            limit_is_end: true,
            reward_sparse: false,
            reward_only_positive: true,
            reward_death_value: 10.0,
            reward_win: 200.0,
            reward_defeat: 0.0,
            reward_negative_scale: 0.5,
            reward_scale: true,
            reward_scale_rate: 20.0,
            obs_last_action: false,
            obs_timestep_number: false,
            state_last_action: true,
            state_timestep_number: false,
        }
    }
}

impl CombatConfig {
    /// The set that was chosen, with the single rules put in.
    ///
    /// # Errors
    /// [`EnvError::Config`] with the key at fault.
    pub fn all_rules(&self) -> Result<Rules, EnvError> {
        let set = match self.rules {
            RuleSet::Smac => Rules::smac(),
            RuleSet::Smaclite => Rules::smaclite(),
        };
        let mut table = Table::try_from(set).map_err(|error| bad("rules", error.to_string()))?;
        for (key, value) in &self.rule {
            if !table.contains_key(key) {
                let known = table.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(bad(format!("rule.{key}"), format!("unknown rule; known: {known}")));
            }
            table.insert(key.clone(), value.clone());
            if let Err(error) = table.clone().try_into::<Rules>() {
                return Err(bad(format!("rule.{key}"), error.message().trim_end()));
            }
        }
        let rules: Rules = table.try_into().map_err(|error: toml::de::Error| bad("rule", error.message()))?;
        match rules.fault() {
            Some((key, reason)) => Err(bad(format!("rule.{key}"), reason)),
            None => Ok(rules),
        }
    }

    /// What no episode can be played with.
    pub(super) fn check(&self) -> Result<(), EnvError> {
        if self.episode_limit > 1_000_000 {
            let reason =
                format!("is {}; give 1 to 1000000 steps, or 0 for the map's own", self.episode_limit);
            return Err(bad("episode_limit", reason));
        }
        for (key, value, least) in [
            ("reward_death_value", self.reward_death_value, 0.0),
            ("reward_win", self.reward_win, 0.0),
            ("reward_defeat", self.reward_defeat, -1e6),
            ("reward_negative_scale", self.reward_negative_scale, 0.0),
            ("reward_scale_rate", self.reward_scale_rate, 1e-6),
        ] {
            if !(least..=1e6).contains(&value) {
                return Err(bad(key, format!("is {value}; give {least} to 1000000")));
            }
        }
        Ok(())
    }
}
