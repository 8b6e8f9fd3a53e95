//! Settings drawn at random.

use serde::Deserialize;
use toml::{Table, Value};

use crate::error::ConfigError;
use crate::seed::{Draw, stream};

/// `[random]` of a study.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSpec {
    /// How many settings.
    pub draws: usize,
    /// Where they come from; more draws of one seed begin with the same settings.
    #[serde(default = "one")]
    pub seed: u64,
    /// Key to where its values come from, one of `{ uniform = [a, b] }`, `{ log = [a, b] }`,
    /// `{ integer = [a, b] }` (both ends may come) and `{ choice = […] }`.
    pub keys: Table,
}

fn one() -> u64 {
    1
}

/// Where the values of one key come from.
#[derive(Clone, Debug)]
enum Source {
    Uniform(f64, f64),
    Log(f64, f64),
    Integer(i64, i64),
    Choice(Vec<Value>),
}

impl Source {
    /// `None` for a table that is not one, so that what nests deeper is looked at.
    fn of(key: &str, table: &Table) -> Option<Result<Self, ConfigError>> {
        let (kind, value) = table.iter().next().filter(|_| table.len() == 1)?;
        let wrong = |what: &str| {
            ConfigError::value(&format!("random.keys.{key}"), format!("{kind} = {value}: {what}"))
        };
        let list = value.as_array()?;
        let pair = || match list.as_slice() {
            [low, high] => Some((number(low)?, number(high)?)),
            _ => None,
        };
        Some(match kind.as_str() {
            "choice" if list.is_empty() => Err(wrong("there is nothing to choose from")),
            "choice" => Ok(Self::Choice(list.clone())),
            "uniform" => pair()
                .filter(|(low, high)| low < high && (high - low).is_finite())
                .map(|(low, high)| Self::Uniform(low, high))
                .ok_or_else(|| wrong("give two numbers, the lower first")),
            "log" => pair()
                .filter(|(low, high)| 0.0 < *low && low < high && high.is_finite())
                .map(|(low, high)| Self::Log(low, high))
                .ok_or_else(|| wrong("give two numbers above 0, the lower first")),
            "integer" => match list.as_slice() {
                [Value::Integer(low), Value::Integer(high)]
                    if low < high && high.checked_sub(*low).is_some_and(|range| range < 1 << 31) =>
                {
                    Ok(Self::Integer(*low, *high))
                }
                _ => Err(wrong("give two whole numbers, the lower first")),
            },
            _ => return None,
        })
    }

    fn value(&self, rng: &mut impl Draw) -> Value {
        let unit = |rng: &mut dyn FnMut() -> u64| (rng() >> 11) as f64 / (1_u64 << 53) as f64;
        match self {
            Self::Uniform(low, high) => Value::Float(low + (high - low) * unit(&mut || rng.next_u64())),
            Self::Log(low, high) => Value::Float(
                (low.ln() + (high / low).ln() * unit(&mut || rng.next_u64())).exp().clamp(*low, *high),
            ),
            Self::Integer(low, high) => Value::Integer(low + rng.below((high - low) as usize + 1) as i64),
            Self::Choice(list) => list[rng.below(list.len())].clone(),
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}

/// The keys of `table` with their sources, however they nest.
fn sources(prefix: &str, table: &Table) -> Result<Vec<(String, Source)>, ConfigError> {
    let mut out = Vec::new();
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let Some(inner) = value.as_table().filter(|inner| !inner.is_empty()) else {
            let reason =
                "give one of { uniform = [a, b] }, { log = [a, b] }, { integer = [a, b] }, { choice = […] }";
            return Err(ConfigError::value(&format!("random.keys.{key}"), reason));
        };
        match Source::of(&key, inner) {
            Some(source) => out.push((key, source?)),
            None => out.extend(sources(&key, inner)?),
        }
    }
    Ok(out)
}

impl RandomSpec {
    /// Refuses what cannot be drawn from.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=10_000).contains(&self.draws) {
            return Err(ConfigError::value("random.draws", format!("is {}; give 1 to 10000", self.draws)));
        }
        if sources("", &self.keys)?.is_empty() {
            return Err(ConfigError::value(
                "random.keys",
                "there is none; name a key and where its values come from",
            ));
        }
        Ok(())
    }

    /// The settings: keys and values of each.
    ///
    /// A value hangs on seed, draw and key alone: another key changes none of the others.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn settings(&self) -> Result<Vec<Table>, ConfigError> {
        let sources = sources("", &self.keys)?;
        let setting = |draw: usize| {
            let value = |(key, source): &(String, Source)| {
                (key.clone(), source.value(&mut stream(self.seed, &format!("setting/{draw}/{key}"))))
            };
            sources.iter().map(value).collect()
        };
        Ok((0..self.draws).map(setting).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(draws: usize, keys: &str) -> RandomSpec {
        RandomSpec { draws, seed: 3, keys: toml::from_str(keys).unwrap() }
    }

    #[test]
    fn values_stay_in_bounds_and_fill_them() {
        let keys = "a = { uniform = [-1.0, 2] }\nb.c = { log = [1e-4, 1e-2] }\nd = { integer = [3, 5] }\n\
            e = { choice = [\"x\", \"y\"] }\n";
        let settings = spec(4000, keys).settings().unwrap();
        let floats =
            |key: &str| settings.iter().map(|setting| setting[key].as_float().unwrap()).collect::<Vec<_>>();
        let (a, c) = (floats("a"), floats("b.c"));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        assert!(a.iter().all(|value| (-1.0..2.0).contains(value)) && (mean(&a) - 0.5).abs() < 0.05);
        let logs: Vec<_> = c.iter().map(|value| value.log10()).collect();
        assert!(c.iter().all(|value| (1e-4..=1e-2).contains(value)) && (mean(&logs) + 3.0).abs() < 0.04);
        for number in 3..=5 {
            let share = settings.iter().filter(|setting| setting["d"].as_integer() == Some(number)).count();
            assert!((1200..1470).contains(&share), "{number}: {share}");
        }
        assert!(
            settings.iter().any(|s| s["e"].as_str() == Some("x"))
                && settings.iter().any(|s| s["e"].as_str() == Some("y"))
        );
    }

    #[test]
    fn another_key_or_more_draws_change_no_value() {
        let few = spec(3, "a = { uniform = [0, 1] }").settings().unwrap();
        let more = spec(5, "a = { uniform = [0, 1] }\nb = { uniform = [0, 1] }").settings().unwrap();
        assert!(few.iter().zip(&more).all(|(few, more)| few["a"] == more["a"] && more["a"] != more["b"]));
    }

    #[test]
    fn mistakes_are_named() {
        for (keys, want) in [
            ("a = 3", "random.keys.a: give one of"),
            ("a.b = { uniform = [2, 1] }", "random.keys.a.b: uniform"),
            ("a = { log = [0, 1] }", "above 0"),
            ("a = { integer = [0.5, 1] }", "whole numbers"),
            ("a = { choice = [] }", "nothing to choose"),
            ("a = { gauss = [0, 1] }", "random.keys.a.gauss: give one of"),
            ("", "there is none"),
        ] {
            let message = spec(2, keys).check().unwrap_err().to_string();
            assert!(message.contains(want), "{message}");
        }
        assert!(spec(0, "a = { choice = [1] }").check().unwrap_err().to_string().contains("random.draws"));
    }
}
