//! What slow networks made of an episode, kept: nothing changes but the time.

use candle_core::{DType, Result};
use ddn_trainer::config::{ExperimentConfig, LearnerConfig};
use ddn_trainer::learner::scheme::{Metrics, Scheme};
use ddn_trainer::nn::params::Values;
use ddn_trainer::replay::{Batch, ReplayBuffer};
use ddn_trainer::seed::stream;
use ddn_trainer::train::build_scheme_as;

use crate::teams::{algorithms, episode, spec};

/// As they are trained: of `f64` numbers nothing is kept.
fn build(config: &ExperimentConfig) -> Box<dyn Scheme> {
    build_scheme_as(config, &spec(), DType::F32).expect("defaults build")
}

/// Ten episodes of 1 to 9 steps, from which batches of 4 are drawn.
fn replay() -> ReplayBuffer {
    let mut replay = ReplayBuffer::new(10);
    (0..10).for_each(|seed| replay.push(episode(1 + (seed as usize * 4) % 9, seed % 2 == 0, seed)));
    replay
}

/// Metrics and parameters after every update; the slow networks follow in the middle.
fn learned(config: &ExperimentConfig, keep_slow: bool) -> Result<(Vec<Metrics>, Vec<Values>, usize)> {
    let (replay, spec) = (replay(), spec());
    let mut scheme = build(config);
    let (mut all, mut known) = (Vec::new(), 0);
    for update in 0..8 {
        let sampled = replay.sample(4, &mut stream(update, "replay")).expect("enough episodes");
        known += sampled.iter().filter(|sampled| !sampled.kept.is_empty()).count();
        let batch = LearnerConfig { keep_slow, ..LearnerConfig::default() }.batch(&spec, &sampled);
        all.push(scheme.update(&batch, &mut stream(update, "update")).expect("an update"));
        if update == 4 {
            scheme.sync_slow()?;
        }
    }
    let values = scheme.params().into_iter().map(|(_, set)| set.values()).collect::<Result<_>>()?;
    Ok((all, values, known))
}

#[test]
fn kept_values_change_no_bit() -> Result<()> {
    for config in algorithms() {
        let (made, kept) = (learned(&config, false)?, learned(&config, true)?);
        assert_eq!((made.0, made.1), (kept.0, kept.1), "{}", config.algorithm());
        assert_eq!(made.2, 0, "{}", config.algorithm());
        // PTDE keeps nothing, since its z is drawn anew unless a test forbids it; QTRAN wants the features, too.
        let (scheme, mixer) = (&config.scheme["kind"], &config.mixer["kind"]);
        let keeps = scheme.as_str() != Some("ptde") && mixer.as_str() != Some("qtran");
        assert_eq!(kept.2 > 8, keeps, "{}: {} known", config.algorithm(), kept.2);
    }
    Ok(())
}

/// Values that nobody made decide what is learned, until the slow networks change.
#[test]
fn what_is_kept_is_used_and_only_what_the_slow_networks_of_now_made() -> Result<()> {
    let spec = spec();
    for config in algorithms() {
        let kinds = (config.scheme["kind"].as_str(), config.mixer["kind"].as_str());
        if kinds.0 == Some("ptde") || kinds.1 == Some("qtran") {
            continue;
        }
        let replay = replay();
        let sampled = replay.sample(4, &mut stream(0, "replay")).expect("enough episodes");
        let batch = Batch::sampled(&spec, &sampled);
        let target = |forge: bool, sync: bool| -> Result<u64> {
            let mut scheme = build(&config);
            let slow = scheme.params().into_iter().find(|(name, _)| *name == "slow").expect("slow networks");
            let generation = slow.1.generation();
            for (kept, length) in batch.kept.iter().zip(&batch.lengths) {
                kept.forget();
                if forge {
                    kept.keep(generation, &vec![50.0; length * spec.n_agents * spec.n_actions()]);
                }
            }
            if sync {
                scheme.sync_slow()?;
            }
            let metrics = scheme.update(&batch, &mut stream(1, "update")).expect("an update");
            Ok(metrics["target_mean"].to_bits())
        };
        let honest = target(false, false)?;
        // WQMIX values the next step by agents of its own.
        if kinds.1 != Some("wqmix") {
            assert_ne!(target(true, false)?, honest, "{}", config.algorithm());
        }
        assert_eq!(target(true, true)?, honest, "{}", config.algorithm());
    }
    Ok(())
}
