use super::*;
use crate::env::{REGISTRY, Step};

#[test]
fn every_entry_of_the_registry_passes() {
    for entry in REGISTRY.iter().filter(|entry| !entry.outside) {
        let example = entry.example().expect("defaults are written");
        let mut env = crate::env::build(&example).expect("defaults build");
        let report = check_env(env.as_mut(), 1, 6).expect("a built-in environment passes");
        assert_eq!(report.env, entry.name);
        assert_eq!(report.hints, Vec::<String>::new(), "{}", entry.name);
        assert!(report.saves, "{}", entry.name);
        let text = report.to_string();
        assert!(text.contains("all checks passed") && text.contains("steps/s"), "{text}");
        let line = text.lines().find(|line| line.contains("teacher view")).expect("it is told");
        assert_eq!(line.ends_with("not offered"), env.spec().teacher_dim == 0, "{line}");
    }
}

/// What a broken environment does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    NoActions,
    TwinActions,
    SpecChanges,
    ObsGrows,
    ObsUnwritten,
    StateInfinite,
    NothingAvailable,
    MaskUnwritten,
    DeadMayChoose,
    RewardNan,
    NeverEnds,
    CutEarly,
    WonTooSoon,
    TakesUnavailable,
    RefusalMoves,
    TakesTooMany,
    StepsAfterEnd,
    ResetRemembers,
    UnseededDraws,
    BestTooLow,
    EndsBothWays,
    LoadTakesAnything,
    LoadForgets,
    LoadForgetsLater,
}

/// Counts to five: agent 0 may not do action 1 at even counts. The reward is the count.
struct Broken {
    fault: Fault,
    spec: EnvSpec,
    t: u32,
    running: bool,
    /// Never reset: what a faulty environment carries from episode to episode.
    ever: u32,
    seed: u64,
    /// Refused calls of this episode.
    refused: u32,
}

const LIMIT: u32 = 5;

impl Broken {
    fn new(fault: Fault) -> Self {
        let spec = EnvSpec {
            name: "count".into(),
            n_agents: 2,
            actions: match fault {
                Fault::NoActions => vec![],
                Fault::TwinActions => vec!["go".into(), "go".into()],
                _ => vec!["go".into(), "stay".into()],
            },
            obs_dim: 3,
            state_dim: 2,
            teacher_dim: 0,
            episode_limit: LIMIT as usize,
            obs_layout: "count, and two zeros".into(),
            best_return: Some(if fault == Fault::BestTooLow { 2.0 } else { 15.0 }),
        };
        Self { fault, spec, t: 0, running: false, ever: 0, refused: 0, seed: 0 }
    }

    fn closed(&self, agent: usize, action: usize) -> bool {
        action > 1 || (agent == 0 && action == 1 && self.t.is_multiple_of(2))
    }

    fn observe(&self, frame: &mut Frame) {
        if self.fault != Fault::ObsUnwritten {
            frame.obs.fill(0.0);
        }
        frame.obs[0] = self.t as f32;
        frame.obs[3] = self.t as f32;
        frame.state.fill(0.0);
        if self.fault == Fault::ObsGrows && self.t == 2 {
            frame.obs.push(0.0);
        }
        if self.fault == Fault::StateInfinite && self.t == 3 {
            frame.state[1] = f32::INFINITY;
        }
        for k in 0..4 {
            frame.available[k] = !self.closed(k / 2, k % 2);
        }
        if self.fault == Fault::NothingAvailable && self.t == 1 {
            frame.available[2..].fill(false);
        }
        frame.alive[0] = true;
        if self.fault != Fault::MaskUnwritten {
            frame.alive[1] = self.fault != Fault::DeadMayChoose;
        }
    }
}

impl Env for Broken {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, frame: &mut Frame) -> Result<(), EnvError> {
        let keeps = self.fault == Fault::ResetRemembers && self.ever > 0;
        self.t = u32::from(keeps);
        self.refused = 0;
        self.seed = seed;
        self.running = true;
        self.observe(frame);
        Ok(())
    }

    fn step(&mut self, actions: &[usize], frame: &mut Frame) -> Result<Step, EnvError> {
        if !self.running && self.fault != Fault::StepsAfterEnd {
            return Err(EnvError::NotRunning);
        }
        if actions.len() < 2 || (actions.len() > 2 && self.fault != Fault::TakesTooMany) {
            return Err(EnvError::Actions { want: 2, got: actions.len() });
        }
        let closed = (0..2).find(|&agent| self.closed(agent, actions[agent]));
        if let Some(agent) = closed
            && self.fault != Fault::TakesUnavailable
        {
            self.refused += 1;
            return Err(EnvError::Unavailable { agent, action: actions[agent] });
        }
        self.t += 1;
        self.ever += 1;
        if self.fault == Fault::SpecChanges && self.t == 2 {
            self.spec.obs_dim += 1;
        }
        self.observe(frame);
        let at_limit = match self.fault {
            Fault::EndsBothWays if self.seed.is_multiple_of(2) => End::Terminated,
            _ => End::Truncated,
        };
        let end = match self.fault {
            Fault::NeverEnds => None,
            Fault::CutEarly => (self.t >= 3).then_some(End::Truncated),
            _ => (self.t >= LIMIT).then_some(at_limit),
        };
        self.running = end.is_none();
        let reward = match self.fault {
            Fault::RewardNan if self.t == 4 => f32::NAN,
            Fault::RefusalMoves => -(self.refused as f32),
            Fault::UnseededDraws => self.ever as f32 / 1e3,
            _ => self.t as f32,
        };
        Ok(Step { reward, end, won: (self.fault == Fault::WonTooSoon).then_some(true) })
    }

    fn save(&self) -> Option<Vec<u8>> {
        // The two ends hang on the seed, which is not saved.
        (self.fault != Fault::EndsBothWays).then(|| vec![7, self.t as u8])
    }

    fn load(&mut self, saved: &[u8], frame: &mut Frame) -> Result<(), EnvError> {
        let &[7, t] = saved else {
            return match self.fault {
                Fault::LoadTakesAnything => Ok(()),
                _ => Err(EnvError::Restore { reason: "two bytes, the first a 7".into() }),
            };
        };
        self.t = u32::from(t);
        self.running = self.fault != Fault::LoadForgetsLater;
        if self.fault == Fault::LoadForgets {
            self.t = 4;
        }
        self.observe(frame);
        Ok(())
    }
}

#[test]
fn each_fault_is_found_and_named() {
    let says = |fault| match check_env(&mut Broken::new(fault), 3, 8) {
        Err(EnvError::Contract(message)) => message,
        other => panic!("{fault:?} was not found: {other:?}"),
    };
    for (fault, parts) in [
        (Fault::NoActions, ["spec.actions is 0", "at least 1"]),
        (Fault::TwinActions, ["spec.actions[1]", "differ"]),
        (Fault::SpecChanges, ["spec() changed in episode 0, step 2", "same at every call"]),
        (Fault::ObsGrows, ["frame.obs has 7 values", "promises 6"]),
        (Fault::ObsUnwritten, ["obs of agent 0, index 1, is NaN", "not written"]),
        (Fault::StateInfinite, ["step 3: frame.state, index 1, is inf", "finite"]),
        (Fault::NothingAvailable, ["step 1: agent 1 has no available action", "at least one"]),
        (Fault::MaskUnwritten, ["another alive of agent 1", "write the whole frame"]),
        (Fault::RewardNan, ["step 4: the reward is NaN", "finite"]),
        (Fault::NeverEnds, ["episode goes on", "episode_limit is 5"]),
        (Fault::CutEarly, ["step 3: the episode is Truncated before", "Terminated"]),
        (Fault::WonTooSoon, ["step 1: won is Some(true)", "at its end only"]),
        (Fault::TakesUnavailable, ["not available; step must return", "it gave Ok"]),
        (Fault::RefusalMoves, ["step 1: the same actions", "refused calls change nothing"]),
        (Fault::TakesTooMany, ["3 actions for 2 agents", "it gave Ok"]),
        (Fault::StepsAfterEnd, ["step after the end must return NotRunning", "it gave Ok"]),
        (Fault::ResetRemembers, ["reset with the same seed", "forget the last episode"]),
        (Fault::UnseededDraws, ["the same actions lead to", "own stream"]),
        (Fault::BestTooLow, ["returned 15, above spec.best_return = 2", "raise it"]),
        (Fault::LoadTakesAnything, ["load with no bytes must return Restore", "it gave Ok"]),
        (Fault::LoadForgets, ["load gives another obs of agent 0, index 0", "save everything"]),
        (Fault::LoadForgetsLater, ["after load are refused", "save everything"]),
    ] {
        let message = says(fault);
        assert!(message.starts_with("count: "), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{fault:?}: {message}");
    }
}

#[test]
fn what_is_allowed_but_odd_becomes_a_hint() {
    let hints = |fault| {
        let report = check_env(&mut Broken::new(fault), 3, 8).expect("no breach");
        report.hints.join("; ")
    };
    assert_eq!(hints(Fault::None), "");
    assert!(hints(Fault::DeadMayChoose).contains("agent 1 is not alive but may choose among 2"));
    assert!(hints(Fault::EndsBothWays).contains("sometimes Terminated, sometimes Truncated"));
}

#[test]
fn the_report_measures_random_play() {
    let report = check_env(&mut Broken::new(Fault::None), 3, 8).expect("no breach");
    assert_eq!((report.episodes, report.steps, report.lengths), (8, 40, (5, 5)));
    assert!(
        report.always_cut
            && !check_env(&mut Broken::new(Fault::EndsBothWays), 3, 8).expect("no breach").always_cut
    );
    assert!((report.mean_return - 15.0).abs() < 1e-9 && (report.mean_length - 5.0).abs() < 1e-9);
    assert!(report.steps_per_second > 0.0);
}
