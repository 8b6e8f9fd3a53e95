//! How fast environments are stepped side by side, and where that time goes.

use std::time::{Duration, Instant};

use super::Env;
use super::check::random_actions;
use crate::error::EnvError;
use crate::seed::{number, stream};

/// Random play of several environments in lockstep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Environments.
    pub envs: usize,
    /// Steps of all of them.
    pub steps: usize,
    /// In total, resets left out.
    pub time: Duration,
    /// Per step inside of the environment's own code, where that runs in a process apart.
    pub inside: Option<Duration>,
    /// Per step between sending it and having its answer, less that.
    pub around: Option<Duration>,
}

impl Pace {
    /// Steps of all environments in a second.
    #[must_use]
    pub fn steps_per_second(&self) -> f64 {
        self.steps as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "  side by side  {} environments, {:.0} steps/s", self.envs, self.steps_per_second())?;
        if let (Some(inside), Some(around)) = (self.inside, self.around) {
            let micros = |time: Duration| time.as_secs_f64() * 1e6;
            write!(f, "; of a step {:.1} µs inside, {:.1} µs around it", micros(inside), micros(around))?;
        }
        writeln!(f)
    }
}

/// Plays at random until `least` steps are made.
///
/// # Errors
/// The environment's own.
pub fn pace(envs: &mut [Box<dyn Env>], seed: u64, least: usize) -> Result<Pace, EnvError> {
    let Some(first) = envs.first() else { return Err(EnvError::NotRunning) };
    let (spec, mut rng) = (first.spec().clone(), stream(seed, "pace"));
    let (mut frames, mut running) = (vec![spec.frame(); envs.len()], vec![false; envs.len()]);
    let mut actions = vec![Vec::new(); envs.len()];
    let before = spent(envs);
    let (mut steps, mut time, mut episode) = (0, Duration::ZERO, 0_u64);
    while steps < least {
        if !running.contains(&true) {
            let seed_of = |index: usize| number(seed, &format!("pace/{episode}/{index}"));
            for (index, env) in envs.iter_mut().enumerate() {
                env.begin_reset(seed_of(index))?;
            }
            for (index, (env, frame)) in envs.iter_mut().zip(&mut frames).enumerate() {
                env.reset(seed_of(index), frame)?;
            }
            running.fill(true);
            episode += 1;
        }
        let began = Instant::now();
        for (index, env) in envs.iter_mut().enumerate().filter(|(index, _)| running[*index]) {
            actions[index] = random_actions(&frames[index], spec.n_actions(), &mut rng);
            env.begin_step(&actions[index])?;
        }
        for (index, env) in envs.iter_mut().enumerate() {
            if running[index] {
                running[index] = env.step(&actions[index], &mut frames[index])?.end.is_none();
                steps += 1;
            }
        }
        time += began.elapsed();
    }
    let per_step = spent(envs).zip(before).map(|(after, before)| {
        let each = |time: Duration| time / u32::try_from(steps).unwrap_or(u32::MAX);
        let inside = after.0.saturating_sub(before.0);
        (each(inside), each(after.1.saturating_sub(before.1).saturating_sub(inside)))
    });
    let (inside, around) = per_step.unzip();
    Ok(Pace { envs: envs.len(), steps, time, inside, around })
}

/// Inside and waiting, of all processes.
fn spent(envs: &[Box<dyn Env>]) -> Option<(Duration, Duration)> {
    let all: Vec<_> = envs.iter().filter_map(|env| env.spent()).collect();
    let sum = |of: fn(&super::Spent) -> Duration| all.iter().map(of).sum();
    (!all.is_empty()).then(|| (sum(|spent| spent.inside), sum(|spent| spent.waiting)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_of_this_process_are_paced_without_an_inside() {
        let table = "kind = 'repeat'\nsteps = 7".parse().expect("TOML");
        let mut envs = crate::env::build_many(&table, 3).expect("builds");
        let pace = pace(&mut envs, 1, 40).expect("plays");
        // Whole rounds of three.
        assert_eq!((pace.envs, pace.steps), (3, 42));
        assert_eq!((pace.inside, pace.around), (None, None));
        assert!(pace.to_string().starts_with("  side by side  3 environments, "), "{pace}");
    }
}
