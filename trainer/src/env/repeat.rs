//! Repeat what you see: each agent is shown a symbol at every step and has to name it.
//!
//! The return of every policy is known, so that a learner can be checked against it. With
//! `delay = d` an agent has to name the symbol that it was shown `d` steps ago, which no policy
//! without memory can do; nothing can be earned in the first `d` steps then.
//!
//! The best return is `steps - delay`, the mean of uniform play `(steps - delay) / symbols`.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::matrix_game::{check_actions, fill};
use super::registry::{EnvKind, bad};
use super::saved::{Reader, Writer, refuse};
use super::{End, Env, EnvSpec, Frame, Step};
use crate::error::EnvError;
use crate::seed::{Draw, stream};

/// First bytes of a saved episode; the last one is the version.
const TAG: &[u8; 8] = b"DDNrept\x01";

/// The keys of a `repeat` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepeatConfig {
    /// Agents.
    pub agents: usize,
    /// Symbols, and actions.
    pub symbols: usize,
    /// Steps of an episode.
    pub steps: usize,
    /// Which symbol is asked for: the one shown this many steps ago. 0 needs no memory.
    pub delay: usize,
}

impl Default for RepeatConfig {
    fn default() -> Self {
        Self { agents: 2, symbols: 3, steps: 10, delay: 0 }
    }
}

/// The game; see the [module](self).
#[derive(Clone, Debug)]
pub struct Repeat {
    spec: EnvSpec,
    config: RepeatConfig,
    rng: ChaCha8Rng,
    t: usize,
    running: bool,
    /// `[delay + 1, N]`: what was shown k steps ago, newest first; `symbols` before the start.
    shown: Vec<usize>,
}

impl EnvKind for Repeat {
    const NAME: &'static str = "repeat";
    const ABOUT: &'static str = "name the symbol you see, or saw some steps ago";
    type Config = RepeatConfig;

    fn from_config(config: RepeatConfig) -> Result<Self, EnvError> {
        let bounds = [
            ("agents", config.agents, 1, 1024),
            ("symbols", config.symbols, 1, 1024),
            ("steps", config.steps, 1, 100_000),
            ("delay", config.delay, 0, 1024),
        ];
        for (key, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(bad(key, format!("is {value}; give {least} to {most}")));
            }
        }
        if config.delay >= config.steps {
            let reason = format!(
                "is {}; it must be below steps = {}, or nothing can be earned",
                config.delay, config.steps
            );
            return Err(bad("delay", reason));
        }
        let spec = EnvSpec {
            name: Self::NAME.into(),
            n_agents: config.agents,
            actions: (0..config.symbols).map(|symbol| format!("symbol {symbol}")).collect(),
            obs_dim: config.symbols,
            state_dim: (config.delay + 1) * config.agents * config.symbols,
            teacher_dim: config.symbols,
            episode_limit: config.steps,
            obs_layout: "one-hot symbol".into(),
            best_return: Some((config.steps - config.delay) as f32),
        };
        Ok(Self {
            spec,
            rng: stream(0, Self::NAME),
            t: 0,
            running: false,
            shown: vec![config.symbols; (config.delay + 1) * config.agents],
            config,
        })
    }
}

impl Repeat {
    /// The newest symbols move in at the front, the oldest fall out.
    fn show(&mut self) {
        self.shown.rotate_right(self.config.agents);
        for symbol in &mut self.shown[..self.config.agents] {
            *symbol = self.rng.below(self.config.symbols);
        }
    }

    /// What each agent should name now.
    fn wanted(&self) -> &[usize] {
        &self.shown[self.config.delay * self.config.agents..]
    }

    /// Own newest symbol; the state holds all that are remembered; the teacher knows the answer.
    fn observe(&self, frame: &mut Frame) {
        let (agents, symbols) = (self.config.agents, self.config.symbols);
        one_hot(&mut frame.obs, &self.shown[..agents], symbols);
        one_hot(&mut frame.state, &self.shown, symbols);
        one_hot(&mut frame.teacher, self.wanted(), symbols);
        fill(&mut frame.available, agents * symbols, true);
        fill(&mut frame.alive, agents, true);
    }
}

/// A row per symbol; the row stays 0 where there was none.
fn one_hot(buffer: &mut Vec<f32>, shown: &[usize], symbols: usize) {
    fill(buffer, shown.len() * symbols, 0.0);
    for (row, &symbol) in buffer.chunks_exact_mut(symbols).zip(shown) {
        if let Some(value) = row.get_mut(symbol) {
            *value = 1.0;
        }
    }
}

impl Env for Repeat {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, frame: &mut Frame) -> Result<(), EnvError> {
        self.rng = stream(seed, Self::NAME);
        self.shown.fill(self.config.symbols);
        self.t = 0;
        self.running = true;
        self.show();
        self.observe(frame);
        Ok(())
    }

    fn step(&mut self, actions: &[usize], frame: &mut Frame) -> Result<Step, EnvError> {
        if !self.running {
            return Err(EnvError::NotRunning);
        }
        check_actions(&self.spec, actions)?;
        let right = actions.iter().zip(self.wanted()).filter(|(a, b)| a == b).count();
        let reward = right as f32 / self.config.agents as f32;
        self.t += 1;
        self.running = self.t < self.config.steps;
        self.show();
        self.observe(frame);
        let end = (!self.running).then_some(End::Terminated);
        Ok(Step { reward, end, won: None })
    }

    fn save(&self) -> Option<Vec<u8>> {
        let mut out = Writer::new(TAG);
        for (_, size) in sizes(&self.config) {
            out.number(size);
        }
        out.number(self.t);
        out.flag(self.running);
        for &symbol in &self.shown {
            out.number(symbol);
        }
        out.stream(&self.rng);
        Some(out.finish())
    }

    fn load(&mut self, saved: &[u8], frame: &mut Frame) -> Result<(), EnvError> {
        let mut fields = Reader::new(saved, TAG)?;
        for (name, size) in sizes(&self.config) {
            fields.same(name, size)?;
        }
        let t = fields.number("the step", self.config.steps)?;
        let running = fields.flag("whether the episode runs")?;
        if running && t == self.config.steps {
            return Err(refuse("the episode runs on after its last step"));
        }
        let shown = (0..self.shown.len())
            .map(|_| fields.number("a symbol", self.config.symbols))
            .collect::<Result<_, _>>()?;
        let rng = fields.stream()?;
        fields.finish()?;
        (self.t, self.running, self.shown, self.rng) = (t, running, shown, rng);
        self.observe(frame);
        Ok(())
    }

    fn render(&self) -> String {
        let sign = |symbol: &usize| match *symbol {
            symbol if symbol < self.config.symbols => symbol.to_string(),
            _ => "-".into(),
        };
        let line = |symbols: &[usize]| symbols.iter().map(sign).collect::<Vec<_>>().join(" ");
        format!(
            "step {}/{}\nshown  {}\nwanted {}\n",
            self.t,
            self.config.steps,
            line(&self.shown[..self.config.agents]),
            line(self.wanted())
        )
    }
}

/// What a saved episode must agree on with the environment that takes it up.
fn sizes(config: &RepeatConfig) -> [(&'static str, usize); 4] {
    [("agents", config.agents), ("symbols", config.symbols), ("steps", config.steps), ("delay", config.delay)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays one episode; `answer` sees the symbols that agent 0 was shown so far, newest last.
    fn play(config: RepeatConfig, seed: u64, answer: impl Fn(&[usize]) -> usize) -> f32 {
        let mut game = Repeat::from_config(config).expect("builds");
        let mut frame = game.spec().frame();
        game.reset(seed, &mut frame).expect("resets");
        let agents = game.config.agents;
        let mut seen = vec![Vec::new(); agents];
        let mut total = 0.0;
        loop {
            for (seen, obs) in seen.iter_mut().zip(frame.obs.chunks(game.config.symbols)) {
                seen.push(obs.iter().position(|&x| x > 0.5).expect("one symbol is shown"));
            }
            let actions: Vec<_> = seen.iter().map(|seen| answer(seen)).collect();
            let step = game.step(&actions, &mut frame).expect("steps");
            total += step.reward;
            if step.end.is_some() {
                return total;
            }
        }
    }

    #[test]
    fn the_right_answers_earn_the_best_return() {
        for delay in 0..4 {
            let config = RepeatConfig { delay, agents: 3, ..RepeatConfig::default() };
            let right = |seen: &[usize]| seen.len().checked_sub(delay + 1).map_or(0, |newest| seen[newest]);
            let total = play(config, 5, right);
            assert!((total - (10 - delay) as f32).abs() < 1e-5, "delay {delay}: {total}");
        }
    }

    #[test]
    fn a_guess_earns_its_share_and_a_delay_makes_seeing_a_guess() {
        for (config, want) in [
            (RepeatConfig { steps: 3000, ..RepeatConfig::default() }, 1000.0),
            (RepeatConfig { steps: 3001, delay: 1, ..RepeatConfig::default() }, 1000.0),
        ] {
            // 6000 draws at 1/3, each worth 1/2: standard deviation 18.3.
            let total = if config.delay == 0 {
                play(config, 1, |_| 0)
            } else {
                play(config, 1, |seen| seen[seen.len() - 1])
            };
            assert!((total - want).abs() < 4.0 * 18.3, "{total}");
        }
    }

    #[test]
    fn the_teacher_knows_the_answer_and_the_state_everything() {
        let config = RepeatConfig { delay: 1, agents: 1, symbols: 2, steps: 5 };
        let mut game = Repeat::from_config(config).expect("builds");
        let mut frame = game.spec().frame();
        game.reset(3, &mut frame).expect("resets");
        assert_eq!(frame.teacher, [0.0, 0.0]);
        assert_eq!(frame.state[2..], [0.0, 0.0]);
        let first = frame.obs.clone();
        assert_eq!(frame.state[..2], first);
        game.step(&[0], &mut frame).expect("steps");
        assert_eq!(frame.teacher, first);
        assert_eq!(frame.state[2..], first);
        assert_eq!(frame.state[..2], frame.obs);
        assert!(game.render().starts_with("step 1/5\nshown  "));
    }

    #[test]
    fn impossible_values_are_refused() {
        let says = |config| Repeat::from_config(config).expect_err("refused").to_string();
        let usual = RepeatConfig::default;
        assert_eq!(
            says(RepeatConfig { delay: 10, ..usual() }),
            "[env] delay: is 10; it must be below steps = 10, or nothing can be earned"
        );
        assert!(says(RepeatConfig { agents: 0, ..usual() }).starts_with("[env] agents: is 0"));
        assert!(says(RepeatConfig { symbols: 0, ..usual() }).starts_with("[env] symbols: is 0"));
        assert!(says(RepeatConfig { steps: 0, ..usual() }).starts_with("[env] steps: is 0"));
    }
}
