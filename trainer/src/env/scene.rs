//! A moment of an episode as a picture: plain data, for whoever draws it.
//!
//! ```text
//! Env::scene ─► Scene: a field, and units with place, bars and target ─► film, page
//! ```
//!
//! Lengths are in the environment's own unit, x to the right and y up, from the lower left corner of
//! the field. 32 bits are enough to draw.

use serde::Serialize;

/// What there is to see now. Within one episode only `place`, `in_play`, `bars` and `target` of the
/// units change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scene {
    /// What the field is called.
    pub title: String,
    /// The ground.
    pub field: Field,
    /// Names of the parties, the agents' own first.
    pub sides: Vec<String>,
    /// Everyone, the fallen included, always in the same order.
    pub units: Vec<Unit>,
}

/// The ground on which units move.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Width and height.
    pub size: [f32; 2],
    /// Rectangles without passage: left, bottom, width, height. They may overlap.
    pub blocked: Vec<[f32; 4]>,
    /// Whether the border is a wall.
    pub closed: bool,
}

/// One unit at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unit {
    /// What does not change about it. Written once for an episode.
    #[serde(skip)]
    pub figure: Figure,
    /// x, y of its centre; of the fallen, where it fell.
    pub place: [f32; 2],
    /// False once it has fallen.
    pub in_play: bool,
    /// One value for each of [`Figure::bars`].
    pub bars: Vec<f32>,
    /// Whom it acts on; nobody once it has fallen.
    pub target: Option<Target>,
}

/// What does not change about a unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// A few characters that fit into its circle; different for all units of a side.
    pub label: String,
    /// What kind of unit it is, in full.
    pub kind: String,
    /// Index into [`Scene::sides`].
    pub side: usize,
    /// The agent that commands it.
    pub agent: Option<usize>,
    /// Of its circle.
    pub radius: f32,
    /// What it has a stock of, the one that it lives by first.
    pub bars: Vec<Bar>,
}

/// Something that runs out and may recover.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// What it is a stock of.
    pub name: String,
    /// Its value when full.
    pub most: f32,
}

/// Whom a unit acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Index into [`Scene::units`].
    pub unit: usize,
    /// Whether that is for its good.
    pub helps: bool,
}
