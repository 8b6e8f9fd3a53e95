//! Checks that an environment keeps what [`Env`] promises, and measures it along the way.
//!
//! ```text
//! random play, with wrong calls in between  ─► trace
//! the same seed and actions, without them   ─► must be the same trace
//! from a saved moment on                    ─► must be the same rest
//! ```

use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;

use super::{End, Env, EnvSpec, Frame, Step};
use crate::error::EnvError;
use crate::seed::{Draw, number, stream};

/// What was measured on the way, for a person to read.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// Name of the environment.
    pub env: String,
    /// Floats of an observation, of the state, and of a teacher view; 0 is "not offered".
    pub dims: [usize; 3],
    /// Episodes of random play.
    pub episodes: usize,
    /// Steps of random play.
    pub steps: usize,
    /// Speed of `step` alone, on this thread.
    pub steps_per_second: f64,
    /// Mean return of uniform random play.
    pub mean_return: f64,
    /// Mean length of an episode, steps.
    pub mean_length: f64,
    /// Shortest and longest episode, steps.
    pub lengths: (usize, usize),
    /// Every episode reached the limit and was cut there.
    pub always_cut: bool,
    /// Whether it can save and restore an episode.
    pub saves: bool,
    /// What is allowed, but looks like a slip.
    pub hints: Vec<String>,
}

impl std::fmt::Display for CheckReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { env, episodes, steps, .. } = self;
        writeln!(f, "{env}: {episodes} episodes, {steps} steps of random play, all checks passed")?;
        let [obs, state, teacher] = self.dims.map(|dim| match dim {
            0 => "not offered".to_owned(),
            dim => dim.to_string(),
        });
        writeln!(f, "  observation   {obs}")?;
        writeln!(f, "  state         {state}")?;
        writeln!(f, "  teacher view  {teacher}")?;
        writeln!(f, "  mean return   {:.3}", self.mean_return)?;
        let (shortest, longest) = self.lengths;
        writeln!(f, "  length        {:.1} ({shortest} to {longest})", self.mean_length)?;
        writeln!(f, "  steps/s       {:.0}", self.steps_per_second)?;
        writeln!(f, "  save, restore {}", if self.saves { "yes" } else { "not offered" })?;
        for hint in &self.hints {
            writeln!(f, "  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Plays `episodes` random episodes (at least one) and checks everything an environment must keep.
///
/// # Errors
/// [`EnvError::Contract`] at the first breach, with what to mend; or the environment's own error.
pub fn check_env(env: &mut dyn Env, seed: u64, episodes: usize) -> Result<CheckReport, EnvError> {
    let spec = env.spec().clone();
    check_spec(&spec)?;
    let mut check = Check { env, seed, hints: Vec::new(), spec };
    let mut report = CheckReport {
        env: check.spec.name.clone(),
        dims: [check.spec.obs_dim, check.spec.state_dim, check.spec.teacher_dim],
        episodes: episodes.max(1),
        steps: 0,
        steps_per_second: 0.0,
        mean_return: 0.0,
        mean_length: 0.0,
        lengths: (usize::MAX, 0),
        always_cut: false,
        saves: false,
        hints: Vec::new(),
    };
    let mut time = Duration::ZERO;
    let mut ends_at_limit = Vec::new();
    for episode in 0..report.episodes {
        let trace = check.play(episode)?;
        // Where the seed does not decide, nothing can be repeated.
        if check.env.seeded() {
            check.replay(&trace)?;
            report.saves |= check.restore(&trace)?;
        }
        let length = trace.moments.len();
        time += trace.time;
        report.steps += length;
        report.mean_return += trace.total() / report.episodes as f64;
        report.lengths = (report.lengths.0.min(length), report.lengths.1.max(length));
        if length == check.spec.episode_limit {
            ends_at_limit.extend(trace.moments.last().and_then(|moment| moment.step.end));
        }
    }
    if ends_at_limit.contains(&End::Terminated) && ends_at_limit.contains(&End::Truncated) {
        check.hint(
            "episodes that reach the limit are sometimes Terminated, sometimes Truncated; right \
             only if the task can be over at that very step"
                .into(),
        );
    }
    if !check.env.seeded() {
        check.hint(
            "reset takes no seed: episodes cannot be repeated, so a run that is resumed goes on with \
             other episodes than one that was never stopped"
                .into(),
        );
    }
    if report.lengths == (1, 1) && check.spec.episode_limit > 1 {
        check.hint(format!(
            "every episode ended with its first step, the limit is {}; is what step gives for the end right?",
            check.spec.episode_limit
        ));
    }
    report.always_cut = ends_at_limit.len() == report.episodes && !ends_at_limit.contains(&End::Terminated);
    report.mean_length = report.steps as f64 / report.episodes as f64;
    report.steps_per_second = report.steps as f64 / time.as_secs_f64().max(1e-9);
    report.hints = check.hints;
    Ok(report)
}

/// Sizes, names and texts of a description.
///
/// # Errors
/// [`EnvError::Contract`] names the field.
pub(super) fn check_spec(spec: &EnvSpec) -> Result<(), EnvError> {
    let breach = |what: &str| Err(EnvError::Contract(format!("{}: {what}", spec.name)));
    if spec.name.is_empty() {
        return breach("spec.name is empty; give the name in the registry");
    }
    for (field, size) in [
        ("n_agents", spec.n_agents),
        ("actions", spec.n_actions()),
        ("obs_dim", spec.obs_dim),
        ("state_dim", spec.state_dim),
        ("episode_limit", spec.episode_limit),
    ] {
        if size == 0 {
            return breach(&format!("spec.{field} is 0 or empty; there must be at least 1"));
        }
    }
    for (k, name) in spec.actions.iter().enumerate() {
        if name.trim().is_empty() || name.contains(',') || spec.actions[..k].contains(name) {
            return breach(&format!(
                "spec.actions[{k}] is {name:?}; names must differ, none blank, none with a comma"
            ));
        }
    }
    if spec.obs_layout.trim().is_empty() {
        return breach("spec.obs_layout is empty; say how an observation is laid out");
    }
    if spec.best_return.is_some_and(|best| !best.is_finite()) {
        return breach("spec.best_return is not finite; give a number or None");
    }
    Ok(())
}

/// One step and the frame that it led to.
struct Moment {
    actions: Vec<usize>,
    step: Step,
    frame: Frame,
}

/// One episode.
struct Trace {
    episode: usize,
    seed: u64,
    first: Frame,
    moments: Vec<Moment>,
    /// What [`Env::save`] gave after this many steps.
    saved: Option<(usize, Vec<u8>)>,
    /// Spent inside of `step`.
    time: Duration,
}

impl Trace {
    fn total(&self) -> f64 {
        self.moments.iter().map(|moment| f64::from(moment.step.reward)).sum()
    }

    /// The frame after `t` steps.
    fn frame(&self, t: usize) -> &Frame {
        t.checked_sub(1).map_or(&self.first, |last| &self.moments[last].frame)
    }
}

struct Check<'a> {
    env: &'a mut dyn Env,
    seed: u64,
    spec: EnvSpec,
    hints: Vec<String>,
}

impl Check<'_> {
    fn breach<T>(&self, what: impl std::fmt::Display) -> Result<T, EnvError> {
        Err(EnvError::Contract(format!("{}: {what}", self.spec.name)))
    }

    fn hint(&mut self, what: String) {
        if !self.hints.contains(&what) {
            self.hints.push(what);
        }
    }

    /// A frame that shows what the environment leaves unwritten: no value is a valid one.
    fn dirty(&self, flags: bool) -> Frame {
        let mut frame = self.spec.frame();
        for values in [&mut frame.obs, &mut frame.state, &mut frame.teacher] {
            values.fill(f32::NAN);
        }
        frame.available.fill(flags);
        frame.alive.fill(flags);
        frame
    }

    /// Random play, with a wrong call before every step.
    fn play(&mut self, episode: usize) -> Result<Trace, EnvError> {
        let seed = number(self.seed, &format!("check/{episode}"));
        let mut rng = stream(self.seed, &format!("check/actions/{episode}"));
        // Half of the episodes are saved early, the others later.
        let save_at = rng.below(if episode.is_multiple_of(2) { 3 } else { 40 });
        let mut frame = self.dirty(true);
        self.env.reset(seed, &mut frame)?;
        self.frame(&frame, episode, 0)?;
        let mut trace = Trace {
            episode,
            seed,
            first: frame.clone(),
            moments: Vec::new(),
            saved: None,
            time: Duration::ZERO,
        };
        let mut total = 0.0;
        loop {
            let t = trace.moments.len();
            if t <= save_at
                && let Some(saved) = self.env.save()
            {
                trace.saved = Some((t, saved));
            }
            let actions = random_actions(&frame, self.spec.n_actions(), &mut rng);
            self.wrong_calls(&actions, &frame, episode, t, &mut rng)?;
            frame = self.dirty(true);
            let start = Instant::now();
            let step = self.env.step(&actions, &mut frame)?;
            trace.time += start.elapsed();
            self.frame(&frame, episode, t + 1)?;
            self.step(&step, episode, t + 1)?;
            total += f64::from(step.reward);
            trace.moments.push(Moment { actions, step, frame: frame.clone() });
            if step.end.is_some() {
                break;
            }
        }
        if let Some(best) = self.spec.best_return {
            let slack = 1e-4 * f64::from(best.abs()).max(1.0);
            if total > f64::from(best) + slack {
                return self.breach(format_args!(
                    "episode {episode} returned {total}, above spec.best_return = {best}; raise \
                     it, or give None"
                ));
            }
        }
        self.refused_after_the_end(&trace)?;
        Ok(trace)
    }

    /// Sizes, finiteness, masks.
    fn frame(&mut self, frame: &Frame, episode: usize, t: usize) -> Result<(), EnvError> {
        if *self.env.spec() != self.spec {
            return self.breach(format_args!(
                "spec() changed in episode {episode}, step {t}; it must be the same at every call"
            ));
        }
        let (agents, actions) = (self.spec.n_agents, self.spec.n_actions());
        let place = format!("episode {episode}, step {t}");
        for (field, got, rows, cols) in [
            ("obs", frame.obs.len(), agents, self.spec.obs_dim),
            ("state", frame.state.len(), 1, self.spec.state_dim),
            ("available", frame.available.len(), agents, actions),
            ("alive", frame.alive.len(), agents, 1),
            ("teacher", frame.teacher.len(), agents, self.spec.teacher_dim),
        ] {
            if got != rows * cols {
                return self.breach(format_args!(
                    "{place}: frame.{field} has {got} values, spec() promises {}; its size must \
                     never change",
                    rows * cols
                ));
            }
        }
        for (field, values, dim) in [
            ("obs", &frame.obs, self.spec.obs_dim),
            ("state", &frame.state, self.spec.state_dim),
            ("teacher", &frame.teacher, self.spec.teacher_dim),
        ] {
            if let Some(k) = values.iter().position(|value| !value.is_finite()) {
                let whose = match field {
                    "state" => String::new(),
                    _ => format!(" of agent {}", k / dim),
                };
                return self.breach(format_args!(
                    "{place}: frame.{field}{whose}, index {}, is {} or was not written; fill the \
                     whole buffer with finite values",
                    k % dim,
                    values[k]
                ));
            }
        }
        for (agent, mask) in frame.available.chunks_exact(actions).enumerate() {
            let open = mask.iter().filter(|&&open| open).count();
            if open == 0 {
                return self.breach(format_args!(
                    "{place}: agent {agent} has no available action; leave at least one, for \
                     example one that does nothing"
                ));
            }
            if open > 1 && !frame.alive[agent] {
                self.hint(format!(
                    "agent {agent} is not alive but may choose among {open} actions ({place}); \
                     its choice can influence nothing, so one action is enough"
                ));
            }
        }
        Ok(())
    }

    fn step(&self, step: &Step, episode: usize, t: usize) -> Result<(), EnvError> {
        let place = format!("episode {episode}, step {t}");
        let limit = self.spec.episode_limit;
        if !step.reward.is_finite() {
            return self.breach(format_args!("{place}: the reward is {}; give a finite number", step.reward));
        }
        if step.end.is_none() && t >= limit {
            return self.breach(format_args!(
                "{place}: the episode goes on, spec.episode_limit is {limit}; end it by then"
            ));
        }
        if step.end == Some(End::Truncated) && t < limit {
            return self.breach(format_args!(
                "{place}: the episode is Truncated before its limit of {limit} steps; an end that \
                 the task itself brings is Terminated"
            ));
        }
        if step.end.is_none() && step.won.is_some() {
            return self.breach(format_args!(
                "{place}: won is {:?} while the episode runs; say so at its end only",
                step.won
            ));
        }
        Ok(())
    }

    /// Calls that must be refused. That they change nothing shows when the episode is repeated.
    fn wrong_calls(
        &mut self,
        actions: &[usize],
        frame: &Frame,
        episode: usize,
        t: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), EnvError> {
        let place = format!("episode {episode}, step {t}");
        let (agents, n_actions) = (self.spec.n_agents, self.spec.n_actions());
        let mut scratch = self.dirty(false);
        let agent = rng.below(agents);
        let mask = &frame.available[agent * n_actions..][..n_actions];
        // Among the closed actions there is always the one behind the last.
        let closed: Vec<_> =
            (0..=n_actions).filter(|&action| !mask.get(action).is_some_and(|open| *open)).collect();
        let action = closed[rng.below(closed.len())];
        let mut wrong = actions.to_vec();
        wrong[agent] = action;
        match self.env.step(&wrong, &mut scratch) {
            Err(EnvError::Unavailable { agent: a, action: b }) if (a, b) == (agent, action) => {}
            other => {
                return self.breach(format_args!(
                    "{place}: agent {agent} chose action {action}, which is not available; step \
                     must return Unavailable {{ agent: {agent}, action: {action} }}, it gave \
                     {other:?}"
                ));
            }
        }
        wrong[agent] = actions[agent];
        if t.is_multiple_of(2) {
            wrong.push(0);
        } else {
            wrong.pop();
        }
        let got = wrong.len();
        match self.env.step(&wrong, &mut scratch) {
            Err(EnvError::Actions { want, got: n }) if (want, n) == (agents, got) => Ok(()),
            other => self.breach(format_args!(
                "{place}: {got} actions for {agents} agents; step must return Actions {{ want: \
                 {agents}, got: {got} }}, it gave {other:?}"
            )),
        }
    }

    fn refused_after_the_end(&mut self, trace: &Trace) -> Result<(), EnvError> {
        let mut scratch = self.dirty(false);
        let Some(last) = trace.moments.last() else {
            return Ok(());
        };
        let n_actions = self.spec.n_actions();
        let first_open = |mask: &[bool]| mask.iter().position(|open| *open).unwrap_or(0);
        let actions: Vec<_> = last.frame.available.chunks_exact(n_actions).map(first_open).collect();
        match self.env.step(&actions, &mut scratch) {
            Err(EnvError::NotRunning) => Ok(()),
            other => self.breach(format_args!(
                "episode {}: step after the end must return NotRunning until the next reset, it \
                 gave {other:?}",
                trace.episode
            )),
        }
    }

    /// The same seed and actions, without wrong calls in between.
    fn replay(&mut self, trace: &Trace) -> Result<(), EnvError> {
        let mut frame = self.dirty(false);
        self.env.reset(trace.seed, &mut frame)?;
        if let Some(place) = difference(&trace.first, &frame, &self.spec) {
            return self.breach(format_args!(
                "episode {}: reset with the same seed gives another {place}; derive everything \
                 from the seed, forget the last episode, and write the whole frame",
                trace.episode
            ));
        }
        self.go_on(
            trace,
            0,
            "the same actions",
            "draw from the episode's own stream only, let refused calls change nothing, and write \
             the whole frame",
        )
    }

    /// Steps along the trace from `t`, where `env` stands.
    fn go_on(&mut self, trace: &Trace, t: usize, how: &str, mend: &str) -> Result<(), EnvError> {
        for (k, moment) in trace.moments.iter().enumerate().skip(t) {
            let place = format!("episode {}, step {}", trace.episode, k + 1);
            let mut frame = self.dirty(false);
            let step = match self.env.step(&moment.actions, &mut frame) {
                Ok(step) => step,
                Err(error) => {
                    return self.breach(format_args!("{place}: {how} are refused: {error}; {mend}"));
                }
            };
            if !same_step(&step, &moment.step) {
                return self.breach(format_args!(
                    "{place}: {how} lead to {step:?}, first it was {:?}; {mend}",
                    moment.step
                ));
            }
            if let Some(what) = difference(&moment.frame, &frame, &self.spec) {
                return self.breach(format_args!("{place}: {how} lead to another {what}; {mend}"));
            }
        }
        Ok(())
    }

    /// From the saved moment on; returns whether there was one.
    fn restore(&mut self, trace: &Trace) -> Result<bool, EnvError> {
        let Some((t, saved)) = &trace.saved else {
            return Ok(false);
        };
        let place = format!("episode {}, saved after {t} steps", trace.episode);
        // Another episode, so that nothing is right by chance.
        let mut frame = self.dirty(true);
        self.env.reset(number(trace.seed, "another"), &mut frame)?;
        let broken = [
            ("no bytes", Vec::new()),
            ("the bytes without the last one", saved[..saved.len().saturating_sub(1)].to_vec()),
            ("the bytes and one more", [saved.as_slice(), &[0]].concat()),
        ];
        for (what, bytes) in broken {
            match self.env.load(&bytes, &mut frame) {
                Err(EnvError::Restore { .. }) => {}
                other => {
                    return self.breach(format_args!(
                        "{place}: load with {what} must return Restore, it gave {other:?}"
                    ));
                }
            }
        }
        let mut frame = self.dirty(false);
        self.env.load(saved, &mut frame)?;
        let mend = "save everything that the rest of the episode depends on, the position of the \
                    random stream included";
        if let Some(what) = difference(trace.frame(*t), &frame, &self.spec) {
            return self.breach(format_args!("{place}: load gives another {what}; {mend}"));
        }
        if self.env.save().as_ref() != Some(saved) {
            return self.breach(format_args!("{place}: save after load gives other bytes; {mend}"));
        }
        self.go_on(trace, *t, "the same actions after load", mend)?;
        Ok(true)
    }
}

/// An available action for each agent, all equally likely; every mask leaves one.
pub(super) fn random_actions(frame: &Frame, n_actions: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let masks = frame.available.chunks_exact(n_actions);
    let pick = |mask: &[bool]| {
        let nth = rng.below(mask.iter().filter(|&&open| open).count());
        let mut open = (0..mask.len()).filter(|&action| mask[action]);
        open.nth(nth).expect("the mask was checked to leave an action")
    };
    masks.map(pick).collect()
}

fn same_step(a: &Step, b: &Step) -> bool {
    a.reward.to_bits() == b.reward.to_bits() && (a.end, a.won) == (b.end, b.won)
}

/// The first place where two frames differ.
fn difference(want: &Frame, got: &Frame, spec: &EnvSpec) -> Option<String> {
    let (obs, view, actions) = (spec.obs_dim, spec.teacher_dim, spec.n_actions());
    let of_agent =
        |field: &str, k: usize, dim: usize| format!("{field} of agent {}, index {}", k / dim, k % dim);
    None.or_else(|| Some(of_agent("obs", floats(&want.obs, &got.obs)?, obs)))
        .or_else(|| Some(format!("state, index {}", floats(&want.state, &got.state)?)))
        .or_else(|| Some(of_agent("mask", flags(&want.available, &got.available)?, actions)))
        .or_else(|| Some(format!("alive of agent {}", flags(&want.alive, &got.alive)?)))
        .or_else(|| Some(of_agent("teacher view", floats(&want.teacher, &got.teacher)?, view)))
}

/// Bit for bit.
fn floats(want: &[f32], got: &[f32]) -> Option<usize> {
    first(want, got, |a, b| a.to_bits() == b.to_bits())
}

fn flags(want: &[bool], got: &[bool]) -> Option<usize> {
    first(want, got, |a, b| a == b)
}

fn first<T>(want: &[T], got: &[T], same: impl Fn(&T, &T) -> bool) -> Option<usize> {
    let differs = want.iter().zip(got).position(|(a, b)| !same(a, b));
    differs.or((want.len() != got.len()).then_some(want.len().min(got.len())))
}

#[cfg(test)]
mod tests;
