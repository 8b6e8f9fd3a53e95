//! Predator-Prey: a grid on which two predators must choose to catch at the same moment.
//!
//! ```text
//! predators move, one after the other in random order
//!     ─► prey, one after the other in random order: is caught, or moves
//!         ─► team reward, end
//! ```
//!
//! A prey with two or more catching predators beside it (above, below, left, right) is caught:
//! the team gets the capture reward once, prey and *all* its catchers leave the grid, and those
//! predators are frozen for the rest of the episode. With exactly one catcher the team pays the
//! miscapture, and the prey walks on. The fear of paying alone is what makes the task hard: it
//! teaches never to catch, which earns 0.
//!
//! The episode is over once every predator is frozen or every prey caught. An episode that
//! reaches the limit counts as cut ([`End::Truncated`]), also when it is over at that very step:
//! the game that this one follows stores it so.

mod config;
mod observe;
pub mod scripted;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use rand_chacha::ChaCha8Rng;

pub use self::config::{PredatorPreyConfig, TeacherView};
use super::registry::EnvKind;
use super::saved::{Reader, Writer, refuse};
use super::{End, Env, EnvSpec, Frame, Step};
use crate::error::EnvError;
use crate::seed::{Draw, stream};

/// First bytes of a saved episode; the last one is the version.
const TAG: &[u8; 8] = b"DDNprey\x01";

/// Indices of the actions that are not moves; 0 to 3 are the [`DIRECTIONS`].
struct Action;

impl Action {
    const STAY: usize = 4;
    const CATCH: usize = 5;
}

const ACTIONS: [&str; 6] = ["right", "down", "left", "up", "stay", "catch"];

/// Row and column change of the moves, in action order.
const DIRECTIONS: [(isize, isize); 4] = [(0, 1), (1, 0), (0, -1), (-1, 0)];

// What a cell of the grid holds.
const FREE: u8 = 0;
const PREDATOR: u8 = 1;
const PREY: u8 = 2;
const OUTSIDE: u8 = 3;

/// A predator or a prey. Off the grid it is frozen or caught, and its place means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Body {
    row: usize,
    col: usize,
    on_grid: bool,
}

impl Body {
    fn towards(self, direction: usize) -> Self {
        let (down, right) = DIRECTIONS[direction];
        Self { row: self.row.wrapping_add_signed(down), col: self.col.wrapping_add_signed(right), ..self }
    }

    fn steps_to(self, other: Self) -> usize {
        self.row.abs_diff(other.row) + self.col.abs_diff(other.col)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    NotStarted,
    Running,
    Over,
}

/// The game; see the [module](self) for its rules.
#[derive(Clone, Debug)]
pub struct PredatorPrey {
    spec: EnvSpec,
    config: PredatorPreyConfig,
    rng: ChaCha8Rng,
    phase: Phase,
    t: usize,
    captures: usize,
    miscaptures: usize,
    predators: Vec<Body>,
    prey: Vec<Body>,
    /// `[rows + 2, cols + 2]`: the grid inside a ring of [`OUTSIDE`].
    cells: Vec<u8>,
    // Scratch of one step.
    order: Vec<usize>,
    catchers: Vec<usize>,
}

impl EnvKind for PredatorPrey {
    const NAME: &'static str = "predator-prey";
    const ABOUT: &'static str =
        "predators catch prey in pairs; catching alone costs (the paper's first task)";
    type Config = PredatorPreyConfig;

    fn from_config(config: PredatorPreyConfig) -> Result<Self, EnvError> {
        config.check()?;
        let window = 2 * config.sight + 1;
        let spec = EnvSpec {
            name: Self::NAME.into(),
            n_agents: config.predators,
            actions: ACTIONS.map(String::from).to_vec(),
            obs_dim: window * window * observe::CHANNELS,
            state_dim: config.rows * config.cols * observe::CHANNELS,
            teacher_dim: config.teacher_dim(),
            episode_limit: config.episode_limit,
            obs_layout: format!(
                "window {window}x{window} (row, col) centred on the agent, channels predator,prey,none"
            ),
            best_return: Some(config.best_return()),
        };
        let mut game = Self {
            spec,
            rng: stream(0, Self::NAME),
            phase: Phase::NotStarted,
            t: 0,
            captures: 0,
            miscaptures: 0,
            predators: vec![Body::default(); config.predators],
            prey: vec![Body::default(); config.prey],
            cells: vec![OUTSIDE; (config.rows + 2) * (config.cols + 2)],
            order: Vec::with_capacity(config.predators.max(config.prey)),
            catchers: Vec::with_capacity(config.predators),
            config,
        };
        game.fill_cells();
        Ok(game)
    }
}

impl PredatorPrey {
    /// The values it was built from.
    #[must_use]
    pub fn config(&self) -> &PredatorPreyConfig {
        &self.config
    }

    /// Prey caught so far in this episode.
    #[must_use]
    pub fn captures(&self) -> usize {
        self.captures
    }

    /// How often a prey had exactly one catcher in this episode.
    #[must_use]
    pub fn miscaptures(&self) -> usize {
        self.miscaptures
    }

    fn score(&self) -> f32 {
        self.reward_of(self.captures, self.miscaptures)
    }

    fn reward_of(&self, captures: usize, miscaptures: usize) -> f32 {
        captures as f32 * self.config.capture_reward as f32
            + miscaptures as f32 * self.config.miscapture_reward as f32
    }

    fn index(&self, body: Body) -> usize {
        (body.row + 1) * (self.config.cols + 2) + body.col + 1
    }

    /// What the four cells around hold, in action order.
    fn around(&self, body: Body) -> [u8; 4] {
        let (at, stride) = (self.index(body), self.config.cols + 2);
        [self.cells[at + 1], self.cells[at + stride], self.cells[at - 1], self.cells[at - stride]]
    }

    /// Draws the bodies that are on the grid into the cells.
    fn fill_cells(&mut self) {
        let stride = self.config.cols + 2;
        for row in 1..=self.config.rows {
            self.cells[row * stride + 1..][..self.config.cols].fill(FREE);
        }
        for (bodies, mark) in [(&self.predators, PREDATOR), (&self.prey, PREY)] {
            for body in bodies.iter().filter(|body| body.on_grid) {
                self.cells[(body.row + 1) * stride + body.col + 1] = mark;
            }
        }
    }

    /// Predators, then prey, each on a random free cell.
    fn place(&mut self) {
        self.predators.fill(Body::default());
        self.prey.fill(Body::default());
        self.fill_cells();
        for i in 0..self.predators.len() {
            self.predators[i] = self.random_free_cell();
            let at = self.index(self.predators[i]);
            self.cells[at] = PREDATOR;
        }
        for j in 0..self.prey.len() {
            self.prey[j] = self.random_free_cell();
            let at = self.index(self.prey[j]);
            self.cells[at] = PREY;
        }
    }

    /// Draws until the cell is free; there is always one, the config was checked.
    fn random_free_cell(&mut self) -> Body {
        loop {
            let cell = self.rng.below(self.config.rows * self.config.cols);
            let body = Body { row: cell / self.config.cols, col: cell % self.config.cols, on_grid: true };
            if self.cells[self.index(body)] == FREE {
                return body;
            }
        }
    }

    fn shuffled(&mut self, n: usize) {
        self.order.clear();
        self.order.extend(0..n);
        self.rng.shuffle(&mut self.order);
    }

    /// A body goes to a neighbouring cell that is free.
    fn go(&mut self, from: Body, direction: usize, mark: u8) -> Body {
        let to = from.towards(direction);
        let (old, new) = (self.index(from), self.index(to));
        self.cells[old] = FREE;
        self.cells[new] = mark;
        to
    }

    fn move_predators(&mut self, actions: &[usize]) {
        self.shuffled(self.predators.len());
        for turn in 0..self.order.len() {
            let i = self.order[turn];
            let (body, action) = (self.predators[i], actions[i]);
            if body.on_grid && action < Action::STAY && self.around(body)[action] == FREE {
                self.predators[i] = self.go(body, action, PREDATOR);
            }
        }
    }

    /// Returns how many prey were caught and how many had a single catcher.
    fn move_prey(&mut self, actions: &[usize]) -> (usize, usize) {
        let (mut captures, mut miscaptures) = (0, 0);
        self.catchers.clear();
        let catching = |&i: &usize| self.predators[i].on_grid && actions[i] == Action::CATCH;
        self.catchers.extend((0..actions.len()).filter(catching));
        self.shuffled(self.prey.len());
        for turn in 0..self.order.len() {
            let j = self.order[turn];
            if !self.prey[j].on_grid {
                continue;
            }
            match self.catchers_beside(j) {
                0 => {}
                1 => miscaptures += 1,
                _ => {
                    self.capture(j);
                    captures += 1;
                    continue;
                }
            }
            self.wander(j);
        }
        (captures, miscaptures)
    }

    fn catchers_beside(&self, j: usize) -> usize {
        let prey = self.prey[j];
        self.catchers.iter().filter(|&&i| self.predators[i].steps_to(prey) == 1).count()
    }

    /// The prey and every catcher beside it leave the grid.
    fn capture(&mut self, j: usize) {
        let prey = self.prey[j];
        let at = self.index(prey);
        self.cells[at] = FREE;
        self.prey[j].on_grid = false;
        for k in (0..self.catchers.len()).rev() {
            let i = self.catchers[k];
            let body = self.predators[i];
            if body.steps_to(prey) == 1 {
                let at = self.index(body);
                self.cells[at] = FREE;
                self.predators[i].on_grid = false;
                self.catchers.swap_remove(k);
            }
        }
    }

    /// A uniformly random free cell next to it; it stays only where there is none, or rests.
    fn wander(&mut self, j: usize) {
        let rest = self.config.prey_rest;
        if rest > 0.0 && f64::from(self.rng.unit()) < rest {
            return;
        }
        let around = self.around(self.prey[j]);
        let mut free = [0; 4];
        let mut n = 0;
        for (direction, &cell) in around.iter().enumerate() {
            if cell == FREE {
                free[n] = direction;
                n += 1;
            }
        }
        if n > 0 {
            let direction = free[self.rng.below(n)];
            self.prey[j] = self.go(self.prey[j], direction, PREY);
        }
    }

    fn all_frozen(&self) -> bool {
        self.predators.iter().all(|body| !body.on_grid)
    }

    fn all_caught(&self) -> bool {
        self.prey.iter().all(|body| !body.on_grid)
    }
}

impl Env for PredatorPrey {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, frame: &mut Frame) -> Result<(), EnvError> {
        self.rng = stream(seed, Self::NAME);
        self.phase = Phase::Running;
        (self.t, self.captures, self.miscaptures) = (0, 0, 0);
        self.place();
        self.observe(frame);
        Ok(())
    }

    fn step(&mut self, actions: &[usize], frame: &mut Frame) -> Result<Step, EnvError> {
        if self.phase != Phase::Running {
            return Err(EnvError::NotRunning);
        }
        if actions.len() != self.predators.len() {
            return Err(EnvError::Actions { want: self.predators.len(), got: actions.len() });
        }
        let forbidden = actions.iter().enumerate().find(|&(i, &action)| !self.may(i, action));
        if let Some((agent, &action)) = forbidden {
            return Err(EnvError::Unavailable { agent, action });
        }

        self.move_predators(actions);
        let (captures, miscaptures) = self.move_prey(actions);
        self.captures += captures;
        self.miscaptures += miscaptures;
        self.t += 1;

        let end = if self.t >= self.config.episode_limit {
            Some(End::Truncated)
        } else if self.all_caught() || self.all_frozen() {
            Some(End::Terminated)
        } else {
            None
        };
        if end.is_some() {
            self.phase = Phase::Over;
        }
        self.observe(frame);
        Ok(Step { reward: self.reward_of(captures, miscaptures), end, won: None })
    }

    fn save(&self) -> Option<Vec<u8>> {
        if self.phase == Phase::NotStarted {
            return None;
        }
        let mut out = Writer::new(TAG);
        for (_, size) in sizes(&self.config) {
            out.number(size);
        }
        out.flag(self.phase == Phase::Over);
        out.number(self.t);
        out.number(self.captures);
        out.number(self.miscaptures);
        for body in self.predators.iter().chain(&self.prey) {
            out.number(body.row);
            out.number(body.col);
            out.flag(body.on_grid);
        }
        out.stream(&self.rng);
        Some(out.finish())
    }

    fn load(&mut self, saved: &[u8], frame: &mut Frame) -> Result<(), EnvError> {
        let config = &self.config;
        let mut fields = Reader::new(saved, TAG)?;
        for (name, size) in sizes(config) {
            fields.same(name, size)?;
        }
        let over = fields.flag("whether the episode is over")?;
        let t = fields.number("the step", config.episode_limit)?;
        let captures = fields.number("the number of captures", config.prey)?;
        let most = config.prey.saturating_mul(config.episode_limit);
        let miscaptures = fields.number("the number of miscaptures", most)?;
        let mut bodies = Vec::with_capacity(config.predators + config.prey);
        for k in 0..config.predators + config.prey {
            let body = Body {
                row: fields.number("a row", config.rows - 1)?,
                col: fields.number("a column", config.cols - 1)?,
                on_grid: fields.flag("whether a body is on the grid")?,
            };
            let same = |other: &Body| other.on_grid && other.steps_to(body) == 0;
            if body.on_grid && bodies.iter().any(same) {
                let (row, col) = (body.row, body.col);
                return Err(refuse(format!("body {k} shares row {row}, column {col}")));
            }
            bodies.push(body);
        }
        let rng = fields.stream()?;
        fields.finish()?;

        let prey = bodies.split_off(config.predators);
        let (active, free) = (on_grid(&bodies), on_grid(&prey));
        if prey.len() - free != captures {
            let caught = prey.len() - free;
            return Err(refuse(format!("{captures} captures are noted, {caught} prey are gone")));
        }
        if over != (t == config.episode_limit || active == 0 || free == 0) {
            return Err(refuse("it says the episode is over where it is not, or the reverse"));
        }
        self.phase = if over { Phase::Over } else { Phase::Running };
        (self.t, self.captures, self.miscaptures) = (t, captures, miscaptures);
        (self.predators, self.prey, self.rng) = (bodies, prey, rng);
        self.fill_cells();
        self.observe(frame);
        Ok(())
    }

    fn scripted(&self) -> Vec<(&'static str, &'static str)> {
        scripted::SCRIPTED.iter().map(|policy| (policy.name(), policy.about())).collect()
    }

    fn choose(&self, policy: &str, rng: &mut ChaCha8Rng, actions: &mut [usize]) -> Result<(), EnvError> {
        let Some(found) = scripted::SCRIPTED.iter().find(|known| known.name() == policy) else {
            let known = scripted::SCRIPTED.iter().map(|known| known.name()).collect();
            return Err(EnvError::Policy { policy: policy.into(), known });
        };
        found.choose(self, rng, actions);
        Ok(())
    }

    /// Predators by their index, prey as `*`, free cells as `.`.
    fn render(&self) -> String {
        let config = &self.config;
        let frozen = config.predators - on_grid(&self.predators);
        let mut text = format!(
            "step {}/{}  score {}  caught {}/{}  miscaptures {}  frozen {frozen}/{}\n",
            self.t,
            config.episode_limit,
            self.score(),
            self.captures,
            config.prey,
            self.miscaptures,
            config.predators,
        );
        let width = (config.predators - 1).to_string().len();
        for row in 0..config.rows {
            for col in 0..config.cols {
                let here = |body: &Body| body.on_grid && (body.row, body.col) == (row, col);
                let gap = if col == 0 { "" } else { " " };
                let _ = if let Some(i) = self.predators.iter().position(here) {
                    write!(text, "{gap}{i:>width$}")
                } else {
                    let sign = if self.prey.iter().any(here) { '*' } else { '.' };
                    write!(text, "{gap}{sign:>width$}")
                };
            }
            text.push('\n');
        }
        text
    }
}

fn on_grid(bodies: &[Body]) -> usize {
    bodies.iter().filter(|body| body.on_grid).count()
}

/// What a saved episode must agree on with the environment that takes it up.
fn sizes(config: &PredatorPreyConfig) -> [(&'static str, usize); 5] {
    [
        ("rows", config.rows),
        ("cols", config.cols),
        ("predators", config.predators),
        ("prey", config.prey),
        ("episode_limit", config.episode_limit),
    ]
}
