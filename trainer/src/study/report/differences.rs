//! In which keys experiments differ.

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

use super::collection::Collection;
use crate::study::spec::flat;

/// Keys, but for the seed and what changes no result, whose values are not the same in all groups;
/// with the value of each group.
pub(super) fn differences(collection: &Collection) -> Vec<(String, Vec<Option<String>>)> {
    let tables: Vec<BTreeMap<String, String>> = collection
        .groups
        .iter()
        .filter_map(|group| group.members.first())
        .map(|member| {
            let table = Table::try_from(&member.config).unwrap_or_default();
            let plain = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            flat(&table).iter().map(|(key, value)| (key.clone(), plain(value))).collect()
        })
        .collect();
    let keys: BTreeSet<&String> = tables.iter().flat_map(BTreeMap::keys).collect();
    let of = |key: &String| tables.iter().map(|table| table.get(key).cloned()).collect::<Vec<_>>();
    keys.into_iter()
        .filter(|key| !["seed", "threads", "checkpoint.keep"].contains(&key.as_str()))
        .map(|key| (key.clone(), of(key)))
        .filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1]))
        .collect()
}
