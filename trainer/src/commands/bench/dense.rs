//! Episodes in which no number is zero: what an update costs where nothing can be skipped.

use crate::env::EnvSpec;
use crate::replay::Episode;
use crate::seed::{Draw, stream};

/// `count` episodes of `steps` steps with the widths of `spec`; observations, states and what a
/// teacher sees are uniform in 0.5..1, every action is available and drawn at random.
pub(super) fn episodes(spec: &EnvSpec, steps: usize, count: usize, seed: u64) -> Vec<Episode> {
    let mut rng = stream(seed, "bench/dense");
    let mut frame = spec.frame();
    frame.available.fill(true);
    frame.alive.fill(true);
    let episode = |_| {
        let mut episode = Episode::new(spec);
        if spec.teacher_dim > 0 {
            episode = episode.with_teacher(spec);
        }
        for step in 0..=steps {
            for numbers in [&mut frame.obs, &mut frame.state, &mut frame.teacher] {
                numbers.fill_with(|| 0.5 + 0.5 * rng.unit());
            }
            episode.push_frame(&frame);
            if step < steps {
                let actions: Vec<usize> = (0..spec.n_agents).map(|_| rng.below(spec.n_actions())).collect();
                episode.push_step(&actions, rng.unit());
            }
        }
        episode
    };
    (0..count).map(episode).collect()
}
