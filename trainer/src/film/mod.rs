//! One episode to look at: what a replay in a browser is made from.
//!
//! ```text
//! env, seed, actions ─► played again ─► Film: one Moment per frame ─► page.rs ─► one HTML file
//!                                                                     └─► still.rs ─► one SVG per moment
//! ```
//!
//! An environment is a function of its seed and the actions, so that a film needs no more than those
//! to be made, and shows exactly the episode that they came from.

mod page;
mod still;

use serde::Serialize;

use crate::env::scene::{Field, Figure, Scene, Unit};
use crate::env::{End, Env};
use crate::error::EnvError;

/// Who played what: the words above the picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Credits {
    /// The run or the config file.
    pub source: String,
    /// Name of the network or of the policy.
    pub player: String,
    /// The seed that the episode was asked for with.
    pub seed: u64,
}

/// An episode of T steps and T + 1 moments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Film {
    credits: Credits,
    /// Name of the environment in the registry.
    env: String,
    /// Names of the A actions.
    actions: Vec<String>,
    /// Where the environment draws scenes.
    stage: Option<Stage>,
    moments: Vec<Moment>,
    /// Why it stopped; absent where the actions ran out before.
    end: Option<&'static str>,
    won: Option<bool>,
}

/// What does not change during an episode.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Stage {
    title: String,
    field: Field,
    sides: Vec<String>,
    figures: Vec<Figure>,
}

/// One frame, and the step that led to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Moment {
    /// None at the start.
    step: Option<Done>,
    /// The return so far.
    total: f32,
    #[serde(flatten)]
    view: View,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Done {
    /// `[N]`
    actions: Vec<usize>,
    reward: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum View {
    /// As [`Scene::units`].
    Units(Vec<Unit>),
    /// As [`Env::render`] draws it, where there is no scene.
    Text(String),
}

impl Film {
    /// Plays `actions`, `[T, N]`, once more in an episode of `episode_seed`, and keeps what there is to see.
    ///
    /// # Errors
    /// If the environment refuses an action: then they are not those of this episode.
    pub fn of(
        env: &mut dyn Env,
        episode_seed: u64,
        actions: &[u16],
        credits: Credits,
    ) -> Result<Self, EnvError> {
        let spec = env.spec().clone();
        let mut frame = spec.frame();
        env.reset(episode_seed, &mut frame)?;
        let stage = env.scene().map(Stage::of);
        let mut moments = vec![Moment { step: None, total: 0.0, view: view(env) }];
        let (mut total, mut end, mut won) = (0.0, None, None);
        for actions in actions.chunks_exact(spec.n_agents) {
            let actions: Vec<usize> = actions.iter().map(|&action| usize::from(action)).collect();
            let step = env.step(&actions, &mut frame)?;
            total += step.reward;
            let done = Done { actions, reward: step.reward };
            moments.push(Moment { step: Some(done), total, view: view(env) });
            (end, won) = (step.end, step.won);
        }
        let end = end.map(|end| match end {
            End::Terminated => "terminated",
            End::Truncated => "truncated",
        });
        Ok(Self { credits, env: spec.name, actions: spec.actions, stage, moments, end, won })
    }
}

impl Stage {
    fn of(scene: Scene) -> Self {
        let figures = scene.units.into_iter().map(|unit| unit.figure).collect();
        Self { title: scene.title, field: scene.field, sides: scene.sides, figures }
    }
}

fn view(env: &dyn Env) -> View {
    env.scene().map_or_else(|| View::Text(env.render()), |scene| View::Units(scene.units))
}
