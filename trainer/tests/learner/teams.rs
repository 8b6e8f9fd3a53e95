//! A small team with random episodes, and every algorithm that the registries can put together for
//! it.

use candle_core::{DType, Result};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::env::EnvSpec;
use ddn_trainer::learner::scheme::Scheme;
use ddn_trainer::learner::{mixer, scheme};
use ddn_trainer::replay::{Batch, Episode};
use ddn_trainer::seed::{Draw, stream};
use ddn_trainer::train::build_scheme_as;

use crate::differences::numbers;

pub(crate) fn spec() -> EnvSpec {
    EnvSpec {
        name: "random".into(),
        n_agents: 3,
        actions: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
        obs_dim: 6,
        state_dim: 9,
        teacher_dim: 7,
        episode_limit: 12,
        obs_layout: String::new(),
        best_return: None,
    }
}

/// Random frames, actions and rewards; what an agent did was available.
pub(crate) fn episode(length: usize, terminated: bool, seed: u64) -> Episode {
    let spec = spec();
    let (n, a) = (spec.n_agents, spec.n_actions());
    let mut rng = stream(seed, "episode");
    let mut episode = Episode::new(&spec).with_teacher(&spec);
    episode.terminated = terminated;
    for t in 0..=length {
        let actions: Vec<usize> = (0..n).map(|_| rng.below(a)).collect();
        let mut frame = spec.frame();
        for part in [&mut frame.obs, &mut frame.state, &mut frame.teacher] {
            part.iter_mut().for_each(|value| *value = if rng.below(2) == 0 { rng.unit() - 0.5 } else { 0.0 });
        }
        // One agent in four has no choice.
        for (agent, available) in frame.available.chunks_exact_mut(a).enumerate() {
            let idle = rng.below(4) == 0;
            for (action, yes) in available.iter_mut().enumerate() {
                *yes = action == actions[agent] || (!idle && rng.below(2) == 0);
            }
            frame.alive[agent] = !idle;
        }
        episode.push_frame(&frame);
        if t < length {
            episode.push_step(&actions, 4.0 * rng.unit() - 2.0);
        }
    }
    episode
}

/// Episodes of these lengths, every second one cut.
pub(crate) fn episodes(lengths: &[usize]) -> Vec<Episode> {
    let each = lengths.iter().enumerate();
    each.map(|(index, &length)| episode(length, index % 2 == 0, index as u64)).collect()
}

pub(crate) fn batch(episodes: &[Episode]) -> Batch {
    Batch::new(&spec(), &episodes.iter().collect::<Vec<_>>())
}

fn config(scheme: &str, mixer: &str, overrides: &[String]) -> ExperimentConfig {
    let text = format!(
        "t_max = 1\n[env]\nkind = \"matrix-game\"\n[scheme]\nkind = \"{scheme}\"\n[mixer]\nkind = \"{mixer}\"\n"
    );
    ExperimentConfig::from_text(&text, "test", overrides).expect("defaults are valid")
}

/// Every scheme with every mixer. Nothing is left to chance: where there is a μ, it is 1, and where
/// there is noise, there is none.
pub(crate) fn algorithms() -> Vec<ExperimentConfig> {
    let mut all = Vec::new();
    for scheme in scheme::REGISTRY {
        for mixer in mixer::REGISTRY {
            let plain = config(scheme.name, mixer.name, &[]);
            let certain = [("idm", "scheme.idm.mu=1.0"), ("noise", "scheme.noise=false")];
            let certain = certain.into_iter().filter(|(key, _)| plain.scheme.contains_key(*key));
            let certain: Vec<String> = certain.map(|(_, set)| set.to_owned()).collect();
            all.push(config(scheme.name, mixer.name, &certain));
        }
    }
    all
}

/// The networks of an algorithm for the small team, in f64.
pub(crate) fn build(config: &ExperimentConfig) -> Box<dyn Scheme> {
    build_scheme_as(config, &spec(), DType::F64).expect("defaults build")
}

/// Values by set and name.
pub(crate) type Parameters = Vec<(String, Vec<f64>)>;

/// All parameters of a scheme, slow copies included.
pub(crate) fn parameters(scheme: &dyn Scheme) -> Result<Parameters> {
    let sets = scheme.params().into_iter();
    sets.flat_map(|(set, params)| params.vars().into_iter().map(move |(name, var)| (set, name, var)))
        .map(|(set, name, var)| Ok((format!("{set}/{name}"), numbers(&var)?)))
        .collect()
}
