//! A recorded battle, from a file of numpy or from the packed ones of the repository.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::npy::{self, Array};

/// The arrays that are read: their names in a file of numpy and here. `pack.py` says what they hold.
const NAMES: &[(&str, &str)] = &[
    ("step_actions", "actions"),
    ("tick_order", "order"),
    ("step_pos", "place"),
    ("step_vel", "velocity"),
    ("step_scalars", "scalars"),
    ("step_target", "target"),
    ("step_prev_target", "last_target"),
    ("step_alive", "alive"),
    ("step_reward", "reward"),
    ("step_terminated", "terminated"),
    ("step_battle_won", "won"),
    ("step_obs", "obs"),
    ("step_state", "state"),
    ("step_avail", "available"),
];

/// One battle.
pub(super) struct Episode {
    /// For messages.
    pub(super) name: String,
    /// Of the scenario.
    pub(super) map: String,
    arrays: BTreeMap<&'static str, Array>,
}

impl Episode {
    /// Reads one file of numpy. It says itself which map it was played on.
    pub(super) fn npz(path: &Path) -> Self {
        let name = path.display().to_string();
        let mut file = npy::Archive::open(path).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let mut read = |key: &str| file.read(key).unwrap_or_else(|reason| panic!("{name}, {key}: {reason}"));
        let meta = read("meta").text;
        let meta: serde_json::Value =
            serde_json::from_str(&meta).unwrap_or_else(|error| panic!("{name}, meta: {error}"));
        let map = meta["map"].as_str().unwrap_or_else(|| panic!("{name}, meta: names no map")).to_owned();
        let mut arrays: BTreeMap<_, _> = NAMES.iter().map(|&(theirs, ours)| (ours, read(theirs))).collect();
        let frames = arrays["state"].shape[0];
        let seen = (0..frames).map(|step| step as f64).collect();
        arrays.insert("seen", Array { shape: vec![frames], numbers: seen, text: String::new() });
        Self { name, map, arrays }
    }

    /// All of a packed file.
    pub(super) fn packed(file: &SafeTensors<'_>) -> Vec<Self> {
        let mut names: Vec<_> =
            file.names().into_iter().filter_map(|name| name.strip_suffix("/reward")).collect();
        names.sort_unstable();
        let keys = || NAMES.iter().map(|&(_, key)| key).chain(["seen"]);
        let episode = |name: &str| Self {
            name: name.to_owned(),
            map: name.rsplitn(3, '_').last().expect("MAP_POLICY_epK").to_owned(),
            arrays: keys().map(|key| (key, tensor(file, &format!("{name}/{key}")))).collect(),
        };
        names.into_iter().map(episode).collect()
    }

    /// Length of the first axis.
    pub(super) fn len(&self, key: &str) -> usize {
        self.arrays[key].shape[0]
    }

    /// T
    pub(super) fn steps(&self) -> usize {
        self.len("reward")
    }

    /// N
    pub(super) fn agents(&self) -> usize {
        self.arrays["actions"].shape[1]
    }

    /// Of both sides.
    pub(super) fn units(&self) -> usize {
        self.arrays["alive"].shape[1]
    }

    /// Row `at` of the first axis.
    pub(super) fn row(&self, key: &str, at: usize) -> &[f64] {
        let array = &self.arrays[key];
        let size: usize = array.shape[1..].iter().product();
        &array.numbers[at * size..][..size]
    }

    /// Indices, where less than 0 is none.
    pub(super) fn indices(&self, key: &str, at: usize) -> Vec<Option<usize>> {
        self.row(key, at).iter().map(|&k| (k >= 0.0).then_some(k as usize)).collect()
    }

    /// `[N]`
    pub(super) fn actions(&self, step: usize) -> Vec<usize> {
        self.row("actions", step).iter().map(|&action| action as usize).collect()
    }
}

/// A tensor as numbers.
pub(super) fn tensor(file: &SafeTensors<'_>, name: &str) -> Array {
    let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let bytes = view.data();
    let numbers = match view.dtype() {
        Dtype::U8 => bytes.iter().map(|&x| f64::from(x)).collect(),
        Dtype::I8 => bytes.iter().map(|&x| f64::from(x.cast_signed())).collect(),
        Dtype::F32 => npy::numbers(bytes, f32::from_le_bytes),
        Dtype::F64 => npy::numbers(bytes, f64::from_le_bytes),
        other => panic!("{name}: {other:?}"),
    };
    Array { shape: view.shape().to_vec(), numbers, text: String::new() }
}
