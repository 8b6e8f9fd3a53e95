//! How an `[env]` table becomes an environment.
//!
//! ```text
//! kind = "predator-prey"  ─► Entry ─► typed config (unknown keys refused) ─► Box<dyn Env>
//! rows = 12
//! ```
//!
//! A new environment implements [`Env`] and [`EnvKind`] and gets one line in [`REGISTRY`].

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{Env, combat, matrix_game, predator_prey, python, repeat};
use crate::error::EnvError;

/// The key that picks the environment.
const KIND: &str = "kind";

/// An environment that a config can ask for by name.
pub trait EnvKind: Env + Sized + 'static {
    /// What `kind` says.
    const NAME: &'static str;
    /// One line for lists.
    const ABOUT: &'static str;
    /// Whether it needs a program outside of this one.
    const OUTSIDE: bool = false;
    /// Keys that no result depends on: they may be changed between two parts of a run.
    const FREE: &'static [&'static str] = &[];
    /// The other keys of the table. Wants `#[serde(default, deny_unknown_fields)]`, and no key
    /// that is left out when it is written.
    type Config: DeserializeOwned + Serialize + Default + Clone;

    /// Adds to a config what is to be kept with the results of a run, such as digests of files.
    fn complete(config: Self::Config) -> Self::Config {
        config
    }

    /// Checks the values and builds.
    ///
    /// # Errors
    /// [`EnvError::Config`] with the key at fault.
    fn from_config(config: Self::Config) -> Result<Self, EnvError>;

    /// Builds `count` that are stepped together.
    ///
    /// # Errors
    /// As [`EnvKind::from_config`].
    fn many(config: &Self::Config, count: usize) -> Result<Vec<Self>, EnvError> {
        (0..count).map(|_| Self::from_config(config.clone())).collect()
    }
}

/// As many as are asked for, from the keys beside `kind`.
type Build = fn(&Table, usize) -> Result<Vec<Box<dyn Env>>, EnvError>;

/// One line of the registry.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What `kind` says.
    pub name: &'static str,
    /// One line for lists.
    pub about: &'static str,
    /// Whether it needs a program outside of this one.
    pub outside: bool,
    /// Keys that no result depends on.
    pub free: &'static [&'static str],
    build: Build,
    resolve: fn(&Table) -> Result<Table, EnvError>,
}

impl Entry {
    /// The line of `T`.
    #[must_use]
    pub const fn of<T: EnvKind>() -> Self {
        Self {
            name: T::NAME,
            about: T::ABOUT,
            outside: T::OUTSIDE,
            free: T::FREE,
            build: |table, count| {
                let envs = T::many(&typed::<T>(table)?, count)?;
                Ok(envs.into_iter().map(|env| -> Box<dyn Env> { Box::new(env) }).collect())
            },
            resolve: |table| written(&T::complete(typed::<T>(table)?)),
        }
    }

    /// A whole `[env]` table with every default, `kind` included.
    ///
    /// # Errors
    /// If the defaults cannot be written as TOML, which is a fault of the environment.
    pub fn example(&self) -> Result<Table, EnvError> {
        self.resolve(&Table::new())
    }

    /// Builds `count` from the keys beside `kind`, to be stepped together.
    ///
    /// # Errors
    /// [`EnvError::Config`] with the key at fault.
    pub fn build(&self, keys: &Table, count: usize) -> Result<Vec<Box<dyn Env>>, EnvError> {
        (self.build)(keys, count)
    }

    /// The keys beside `kind` with every default filled in, and `kind` in front.
    ///
    /// # Errors
    /// [`EnvError::Config`] with the key at fault.
    pub fn resolve(&self, keys: &Table) -> Result<Table, EnvError> {
        let mut whole = Table::new();
        whole.insert(KIND.into(), Value::from(self.name));
        whole.extend((self.resolve)(keys)?);
        Ok(whole)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every environment, in the order in which lists show them.
pub const REGISTRY: &[Entry] = &[
    Entry::of::<predator_prey::PredatorPrey>(),
    Entry::of::<combat::Combat>(),
    Entry::of::<matrix_game::MatrixGame>(),
    Entry::of::<repeat::Repeat>(),
    Entry::of::<python::PythonEnv>(),
];

/// The environment that an `[env]` table asks for.
///
/// # Errors
/// [`EnvError::Config`] for an unknown `kind`, an unknown key, or a value that cannot be.
pub fn build(table: &Table) -> Result<Box<dyn Env>, EnvError> {
    build_many(table, 1)?.pop().ok_or_else(|| bad(KIND, "was not built"))
}

/// `count` of them, to be stepped together.
///
/// # Errors
/// As [`build`].
pub fn build_many(table: &Table, count: usize) -> Result<Vec<Box<dyn Env>>, EnvError> {
    let (entry, keys) = find(table)?;
    entry.build(&keys, count)
}

/// The `[env]` table with all defaults filled in. Values are typed, not yet judged: [`build`] does.
///
/// # Errors
/// [`EnvError::Config`] for an unknown `kind`, an unknown key, or a value of the wrong type.
pub fn resolve(table: &Table) -> Result<Table, EnvError> {
    let (entry, keys) = find(table)?;
    entry.resolve(&keys)
}

/// Keys of an `[env]` table that no result depends on.
#[must_use]
pub fn free(table: &Table) -> &'static [&'static str] {
    find(table).map_or(&[], |(entry, _)| entry.free)
}

/// Takes `kind` out, so that the rest can be typed strictly.
fn find(table: &Table) -> Result<(&'static Entry, Table), EnvError> {
    let known = || REGISTRY.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    let mut keys = table.clone();
    let kind = match keys.remove(KIND) {
        Some(Value::String(kind)) => kind,
        Some(other) => {
            let reason = format!("must be a string, found {other}; known: {}", known());
            return Err(bad(KIND, reason));
        }
        None => return Err(bad(KIND, format!("is missing; known: {}", known()))),
    };
    let entry = REGISTRY
        .iter()
        .find(|entry| entry.name == kind)
        .ok_or_else(|| bad(KIND, format!("unknown environment {kind:?}; known: {}", known())))?;
    Ok((entry, keys))
}

/// An [`EnvError::Config`].
pub(crate) fn bad(key: impl Into<String>, reason: impl Into<String>) -> EnvError {
    EnvError::Config { key: key.into(), reason: reason.into() }
}

fn written<C: Serialize>(config: &C) -> Result<Table, EnvError> {
    Table::try_from(config).map_err(|error| bad(KIND, format!("cannot be written: {error}")))
}

/// Types the keys; an error names the key at fault.
fn typed<T: EnvKind>(keys: &Table) -> Result<T::Config, EnvError> {
    let defaults = written(&T::Config::default())?;
    if let Some(key) = keys.keys().find(|key| !defaults.contains_key(*key)) {
        let known = defaults.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(bad(key, format!("unknown key; {} knows {known}", T::NAME)));
    }
    keys.clone().try_into().map_err(|error: toml::de::Error| {
        // The message of a whole table does not always say which key it means: try them singly.
        let fault = keys.iter().find_map(|(key, value)| {
            let mut alone = Table::new();
            alone.insert(key.clone(), value.clone());
            let error = alone.try_into::<T::Config>().err()?;
            Some(bad(key, error.message().trim_end()))
        });
        fault.unwrap_or_else(|| bad(KIND, error.message().trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().expect("the test writes TOML")
    }

    fn complaint(text: &str) -> String {
        build(&table(text)).err().expect("this table cannot be built").to_string()
    }

    #[test]
    fn every_entry_builds_from_its_defaults_under_its_own_name() {
        for entry in REGISTRY {
            let example = entry.example().expect("defaults are written");
            // What needs another program is built where that was installed.
            if !entry.outside {
                let env = build(&example).expect("defaults build");
                assert_eq!(env.spec().name, entry.name);
            }
            assert!(!entry.about.is_empty() && !entry.about.contains('\n'));
            assert_eq!(resolve(&example).expect("resolves"), example, "{}", entry.name);
        }
        let mut names: Vec<_> = REGISTRY.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), REGISTRY.len());
    }

    #[test]
    fn resolve_fills_in_what_was_left_out() {
        let whole = resolve(&table("kind = 'predator-prey'\nrows = 12")).expect("resolves");
        assert_eq!(whole["rows"].as_integer(), Some(12));
        assert_eq!(whole["cols"].as_integer(), Some(10));
        assert_eq!(whole["miscapture_reward"].as_float(), Some(-2.0));
        assert_eq!(whole["kind"].as_str(), Some("predator-prey"));
    }

    #[test]
    fn whole_numbers_are_taken_for_floats() {
        let text = "kind = 'predator-prey'\nmiscapture_reward = -1";
        let whole = resolve(&table(text)).expect("resolves");
        assert_eq!(whole["miscapture_reward"].as_float(), Some(-1.0));
    }

    #[test]
    fn errors_name_the_key_and_what_is_known() {
        assert_eq!(
            complaint("rows = 3"),
            "[env] kind: is missing; known: predator-prey, combat, matrix-game, repeat, python"
        );
        assert_eq!(
            complaint("kind = 'chess'"),
            "[env] kind: unknown environment \"chess\"; known: predator-prey, combat, matrix-game, repeat, python"
        );
        let message = complaint("kind = 'repeat'\nsymbol = 3");
        assert!(message.starts_with("[env] symbol: unknown key; repeat knows"), "{message}");
        assert!(message.contains("symbols"), "{message}");
        let message = complaint("kind = 'predator-prey'\ncols = 9\nrows = 'ten'");
        assert!(message.starts_with("[env] rows: invalid type"), "{message}");
        let message = complaint("kind = 'predator-prey'\nrows = -1");
        assert!(message.starts_with("[env] rows: invalid value"), "{message}");
        assert!(complaint("kind = 3").starts_with("[env] kind: must be a string, found 3"));
    }
}
