//! What a checkpoint holds, and how it becomes files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::store;
use crate::config::ExperimentConfig;
use crate::env::{Env, EnvSpec};
use crate::error::{CheckpointError, During, EnvError, TrainError};
use crate::learner::normaliser::Normaliser;
use crate::learner::scheme::Scheme;
use crate::metrics::Positions;
use crate::nn::params::Values;
use crate::replay::{Episode, PackedRows, ReplayBuffer};
use crate::train::build_envs;

/// First part of the names of the files with the replay's episodes.
const EPISODES: &str = "replay.";
/// And of those with their teacher views, of a scheme that looks at them.
const VIEWS: &str = "teacher.";
/// The set of what a normaliser has seen.
const NORMALISER: &str = "normaliser";
/// Episodes are added to a file of the replay until they take as many bytes in memory.
const FILE_BYTES: usize = 32 << 20;

/// Where a run stands.
///
/// There are no random streams in it: every stream is a function of the seed and of one of these
/// counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Environment steps.
    pub t_env: u64,
    /// Episodes collected.
    pub episode: u64,
    /// Gradient steps.
    pub update: u64,
    /// Episode count at the last copy into the slow networks.
    pub synced: u64,
    /// Environment steps from which the next test is due.
    pub next_test: u64,
    /// Environment steps from which the next checkpoint is due.
    pub next_checkpoint: u64,
    /// Highest test return of the network that ships, as bits of an `f64`.
    pub best: Option<u64>,
    /// Gradient steps at that test.
    pub best_update: Option<u64>,
    /// Sums since the last record, as bits, and how many values they are of.
    pub means: BTreeMap<String, (u64, u64)>,
    /// Lengths of the logs.
    pub positions: Positions,
    /// Whether training is over.
    pub done: bool,
    /// The second phase, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_phase: Option<SecondPhaseStart>,
}

/// Where a run stood when its second phase began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondPhaseStart {
    /// Environment steps.
    pub t_env: u64,
    /// Episodes.
    pub episode: u64,
    /// Gradient steps.
    pub update: u64,
}

/// Everything, as plain data.
#[derive(Clone, Debug)]
pub struct State {
    /// The resolved experiment.
    pub config: ExperimentConfig,
    /// Sizes of its environment.
    pub spec: EnvSpec,
    /// Where the run stands.
    pub counters: Counters,
    /// Parameter sets by name.
    pub params: BTreeMap<String, Values>,
    /// Optimisers by name: steps and moments.
    pub optimisers: BTreeMap<String, (u64, Values)>,
    /// Oldest first.
    pub replay: Vec<Arc<Episode>>,
}

impl State {
    /// Reads the networks and optimisers of a scheme.
    ///
    /// # Errors
    /// If candle cannot read.
    pub fn of_scheme(
        config: &ExperimentConfig,
        spec: &EnvSpec,
        counters: &Counters,
        scheme: &dyn Scheme,
        replay: &ReplayBuffer,
    ) -> Result<Self, TrainError> {
        let mut params = BTreeMap::new();
        for (name, set) in scheme.params() {
            params.insert(name.to_owned(), set.values().during("reading parameters")?);
        }
        if let Some(normaliser) = scheme.normaliser() {
            params.insert(NORMALISER.to_owned(), normaliser.values());
        }
        let mut optimisers = BTreeMap::new();
        for (name, optimiser) in scheme.optimisers() {
            optimisers.insert(name.to_owned(), optimiser.state().during("reading an optimiser")?);
        }
        let (config, spec, counters) = (config.clone(), spec.clone(), counters.clone());
        Ok(Self { config, spec, counters, params, optimisers, replay: replay.shared().cloned().collect() })
    }

    /// Puts parameters and optimisers back into a scheme of the same config.
    ///
    /// # Errors
    /// If something is missing, unknown, or of another shape.
    pub fn restore(&self, scheme: &mut dyn Scheme) -> Result<(), TrainError> {
        let missing = |what: &str, name: &str| {
            let reason = format!("lacks the {what} \"{name}\", which a run of this config has");
            CheckpointError::content(Path::new("checkpoint"), reason)
        };
        for (name, set) in scheme.params() {
            let values = self.params.get(name).ok_or_else(|| missing("parameters", name))?;
            set.set_values(values).during("restoring parameters")?;
        }
        for (name, optimiser) in scheme.optimisers_mut() {
            let (steps, values) = self.optimisers.get(name).ok_or_else(|| missing("optimiser", name))?;
            optimiser.restore(*steps, values).during("restoring an optimiser")?;
        }
        if let Some(normaliser) = scheme.normaliser_mut() {
            *normaliser = self.normaliser().ok_or_else(|| missing("set", NORMALISER))?;
        }
        Ok(())
    }

    /// What brings observations and states to a common scale, where the run has it.
    #[must_use]
    pub fn normaliser(&self) -> Option<Normaliser> {
        Normaliser::of_values(&self.spec, self.params.get(NORMALISER)?)
    }

    /// `count` environments of the experiment.
    ///
    /// # Errors
    /// If the environment cannot be built, or is another than the one that was learned: a file that it
    /// reads may have changed.
    pub fn envs(&self, count: usize) -> Result<Vec<Box<dyn Env>>, TrainError> {
        let envs = build_envs(&self.config, count)?;
        if envs.iter().any(|env| *env.spec() != self.spec) {
            let name = &self.spec.name;
            return Err(EnvError::Contract(format!(
                "{name} is not what this run began with (agents, actions, widths, limit or texts differ); put \
                 back the files that [env] names, as they were"
            ))
            .into());
        }
        Ok(envs)
    }

    /// The files of a checkpoint, made one at a time; equal states give equal bytes.
    ///
    /// # Errors
    /// If something cannot be encoded.
    pub fn files(&self) -> impl Iterator<Item = Result<(String, Vec<u8>), CheckpointError>> {
        self.small_files().into_iter().chain(self.replay_files())
    }

    fn small_files(&self) -> Vec<Result<(String, Vec<u8>), CheckpointError>> {
        let config = self.config.to_text().map_err(|error| unfit(&error)).map(String::into_bytes);
        let mut files = vec![
            ("config.toml".to_owned(), config),
            ("spec.json".to_owned(), json(&self.spec)),
            ("counters.json".to_owned(), json(&self.counters)),
        ];
        for (name, values) in &self.params {
            files.push((format!("params.{name}.safetensors"), encode(values).map_err(|error| unfit(&error))));
        }
        for (name, (steps, values)) in &self.optimisers {
            let mut values = values.clone();
            // Two floats of 24 bits each hold the count exactly.
            let halves = vec![(steps >> 24) as f32, (steps & 0xff_ffff) as f32];
            values.insert("steps".into(), (vec![2], halves));
            let bytes = encode(&values).map_err(|error| unfit(&error));
            files.push((format!("optimiser.{name}.safetensors"), bytes));
        }
        files.into_iter().map(|(name, bytes)| Ok((name, bytes?))).collect()
    }

    /// The replay in files of about [`FILE_BYTES`], then the teacher views of the same episodes.
    fn replay_files(&self) -> impl Iterator<Item = Result<(String, Vec<u8>), CheckpointError>> {
        let mut parts: Vec<&[Arc<Episode>]> = Vec::new();
        let (mut rest, mut bytes) = (self.replay.as_slice(), 0);
        while let Some(length) = rest.iter().position(|episode| {
            bytes += episode.bytes();
            bytes >= FILE_BYTES
        }) {
            let (part, others) = rest.split_at(length + 1);
            parts.push(part);
            (rest, bytes) = (others, 0);
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(rest);
        }
        let has_views = self.replay.iter().any(|episode| episode.teacher.is_some());
        let views = if has_views { parts.clone() } else { Vec::new() };
        let named = |stem: &str, index: usize| format!("{stem}{index:05}.bin");
        let episodes = parts.into_iter().enumerate().map(move |(index, part)| {
            let episodes: Vec<&Episode> = part.iter().map(|episode| &**episode).collect();
            Ok((named(EPISODES, index), postcard::to_stdvec(&episodes).map_err(|error| unfit(&error))?))
        });
        let views = views.into_iter().enumerate().map(move |(index, part)| {
            let views: Vec<&Option<PackedRows>> = part.iter().map(|episode| &episode.teacher).collect();
            Ok((named(VIEWS, index), postcard::to_stdvec(&views).map_err(|error| unfit(&error))?))
        });
        episodes.chain(views)
    }

    /// Reads the checkpoint at `path`, a file at a time.
    ///
    /// # Errors
    /// Names the file that is missing or wrong.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let wrong = |name: &str, error: &dyn std::fmt::Display| {
            CheckpointError::content(path, format!("{name}: {error}"))
        };
        let mut texts = BTreeMap::new();
        let (mut params, mut optimisers) = (BTreeMap::new(), BTreeMap::new());
        let (mut episodes, mut views): (Vec<Episode>, Vec<Option<PackedRows>>) = Default::default();
        store::for_each(path, |name, bytes| {
            if let Some(stem) = name.strip_suffix(".safetensors") {
                let mut values = decode(&bytes).map_err(|error| wrong(name, &error))?;
                if let Some(set) = stem.strip_prefix("params.") {
                    params.insert(set.to_owned(), values);
                } else if let Some(optimiser) = stem.strip_prefix("optimiser.") {
                    let (_, halves) =
                        values.remove("steps").ok_or_else(|| wrong(name, &"lacks its step count"))?;
                    let [high, low] = halves[..] else {
                        return Err(wrong(name, &"has a damaged step count"));
                    };
                    optimisers.insert(optimiser.to_owned(), (((high as u64) << 24) + low as u64, values));
                }
            } else if name.starts_with(EPISODES) {
                let part: Vec<Episode> = postcard::from_bytes(&bytes).map_err(|error| wrong(name, &error))?;
                episodes.extend(part);
            } else if name.starts_with(VIEWS) {
                let part: Vec<_> = postcard::from_bytes(&bytes).map_err(|error| wrong(name, &error))?;
                views.extend(part);
            } else {
                texts.insert(name.to_owned(), bytes);
            }
            Ok(())
        })?;
        let text = |name: &str| texts.get(name).map(Vec::as_slice).ok_or_else(|| wrong(name, &"is missing"));
        let config = "config.toml";
        let config =
            std::str::from_utf8(text(config)?).map_err(|error| wrong(config, &error)).and_then(|text| {
                ExperimentConfig::from_text(text, config, &[]).map_err(|error| wrong(config, &error))
            })?;
        let spec = serde_json::from_slice(text("spec.json")?).map_err(|error| wrong("spec.json", &error))?;
        let counters =
            serde_json::from_slice(text("counters.json")?).map_err(|error| wrong("counters.json", &error))?;
        if !views.is_empty() && views.len() != episodes.len() {
            return Err(wrong(VIEWS, &"is of another replay"));
        }
        episodes.iter_mut().zip(views).for_each(|(episode, view)| episode.teacher = view);
        let replay = episodes.into_iter().map(Arc::new).collect();
        Ok(Self { config, spec, counters, params, optimisers, replay })
    }
}

/// What cannot become a file.
fn unfit(error: &dyn std::fmt::Display) -> CheckpointError {
    CheckpointError::content(Path::new("checkpoint"), error.to_string())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, CheckpointError> {
    serde_json::to_vec_pretty(value).map_err(|error| unfit(&error))
}

/// As a safetensors file without metadata, whose writer orders tensors by name: equal values give
/// equal bytes.
fn encode(values: &Values) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = values
        .iter()
        .map(|(name, (shape, data))| {
            (name, shape, data.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, data)| Ok((name.as_str(), TensorView::new(Dtype::F32, (*shape).clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    safetensors::serialize(views, None)
}

fn decode(bytes: &[u8]) -> Result<Values, safetensors::SafeTensorError> {
    let file = safetensors::SafeTensors::deserialize(bytes)?;
    let numbers =
        |data: &[u8]| data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.shape().to_vec(), numbers(view.data()))))
        .collect())
}
