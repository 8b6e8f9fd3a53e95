//! What `Guarded` promises: an action at each step, the policy's own where nothing is wrong, and rules that hold.
#![allow(missing_docs, clippy::unwrap_used)]

use ddn_runtime::guard::{Beyond, Calibration, Counters, Fault, Forget, Guarded, Rules, RulesError, Source};
use ddn_runtime::{ActError, AgentInput, Memory, Policy};
use fixture::{Random, SMALL, Tensors, agent_file, encode, metadata};
use proptest::prelude::*;

#[path = "../fixture/mod.rs"]
mod fixture;

const RULES: Rules<'static> =
    Rules { fallback: 2, forget: Forget::Never, max_age: u32::MAX, calibration: None };

const GOOD: AgentInput<'static> =
    AgentInput { obs: &[0.5, -0.25, 0.0, 1.0, 0.125], last_action: None, agent_id: 1, available: &[true; 3] };

/// Bounds for the observations of `SMALL`: the third element is bounded on one side, the last is not.
const LOW: [f32; 5] = [-1.0, -1.0, f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
const HIGH: [f32; 5] = [1.0, 1.0, 2.0, 1.0, f32::INFINITY];

fn within(beyond: Beyond) -> Option<Calibration<'static>> {
    Some(Calibration { low: &LOW, high: &HIGH, beyond })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn rules_that_do_not_fit_are_refused() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    let error = |rules| Guarded::new(&policy, Memory::<6>::new(), rules).map(|_| ()).unwrap_err();
    assert_eq!(error(Rules { fallback: 3, ..RULES }), RulesError::Fallback { actions: 3, got: 3 });
    assert_eq!(error(Rules { forget: Forget::After(0), ..RULES }), RulesError::Forget);
    let bounds = |low: &[f32], high: &[f32]| {
        let calibration = Some(Calibration { low, high, beyond: Beyond::Clamp });
        Guarded::new(&policy, Memory::<6>::new(), Rules { calibration, ..RULES }).map(|_| ()).unwrap_err()
    };
    assert_eq!(bounds(&LOW[..4], &HIGH), RulesError::Calibration { want: 5, got: 4 });
    assert_eq!(bounds(&LOW, &[1.0; 6]), RulesError::Calibration { want: 5, got: 6 });
    for (low, high) in [
        (1.0, 0.5),
        (f32::NAN, 1.0),
        (0.0, f32::NAN),
        (f32::INFINITY, f32::INFINITY),
        (f32::NEG_INFINITY, f32::NEG_INFINITY),
    ] {
        let [mut lows, mut highs] = [LOW, HIGH];
        (lows[3], highs[3]) = (low, high);
        assert_eq!(bounds(&lows, &highs), RulesError::Bounds { at: 3 }, "{low} {high}");
    }
    let short = Guarded::new(&policy, Memory::<5>::new(), RULES).map(|_| ()).unwrap_err();
    assert_eq!(short, RulesError::Memory { want: 6, got: 5 });

    let mut used = [7.0; 8];
    Guarded::new(&policy, &mut used[..], RULES).unwrap();
    assert_eq!(bits(&used), [0; 8], "a guard begins with an empty memory");
}

#[test]
fn without_faults_it_is_the_policy() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    for calibration in [None, within(Beyond::Count), within(Beyond::Clamp), within(Beyond::Fallback)] {
        let rules = Rules { calibration, max_age: 5, ..RULES };
        let mut guarded = Guarded::new(&policy, Memory::<6>::new(), rules).unwrap();
        let (mut memory, mut last_action) = (Memory::<6>::new(), None);
        let mut random = Random(3);
        for step in 0..200 {
            let obs: Vec<f32> = (0..5).map(|at| random.uniform(1.0).max(LOW[at])).collect();
            let mut available = [(); 3].map(|()| random.below(2) == 0);
            available[random.below(3)] = true;
            assert_eq!(guarded.last_action(), last_action);
            let input = AgentInput { obs: &obs, last_action, agent_id: step % 2, available: &available };
            let (mut plain, mut scratch) = ([0.0; 128], [f32::NAN; 133]);
            let want = policy.act(&mut memory, input, &mut plain).unwrap();
            let got = guarded.step(input, step as u32 % 6, &mut scratch);
            assert_eq!((got.action, got.source), (want.index, Source::Policy));
            assert_eq!(bits(got.q.unwrap()), bits(want.q));
            last_action = Some(want.index);
        }
        let counters = guarded.take_counters();
        assert_eq!((counters.steps, counters.fallbacks, counters.beyond), (200, 0, 0));
        assert_eq!(guarded.counters(), Counters::default());
        guarded.reset();
        assert_eq!(guarded.last_action(), None);
    }
}

/// Each fault alone: the reason, the counter, and a memory that does not move.
#[test]
fn each_fault_has_a_reason_a_counter_and_leaves_the_memory() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    let want = policy.scratch_len() + 5;
    let nan = [0.5, f32::NAN, 0.0, 1.0, 0.125];
    let infinite = [0.5, 0.0, 0.0, 1.0, f32::INFINITY];
    let far = [0.5, 0.0, 2.5, 1.0, 0.0];
    let far_and_nan = [0.5, -3.0, 0.0, 1.0, f32::NAN];
    type Count = fn(&Counters) -> u32;
    let cases: [(AgentInput<'_>, u32, usize, Fault, Count); 12] = [
        (GOOD, 6, want, Fault::Stale { age: 6, max_age: 5 }, |c| c.stale),
        (GOOD, u32::MAX, want, Fault::Stale { age: u32::MAX, max_age: 5 }, |c| c.stale),
        (AgentInput { obs: &nan, ..GOOD }, 0, want, ActError::NotFinite.into(), |c| c.not_finite),
        (AgentInput { obs: &infinite, ..GOOD }, 0, want, ActError::NotFinite.into(), |c| c.not_finite),
        (AgentInput { obs: &far_and_nan, ..GOOD }, 0, want, ActError::NotFinite.into(), |c| c.not_finite),
        (AgentInput { obs: &far, ..GOOD }, 0, want, Fault::Beyond { at: 2 }, |c| c.beyond),
        (AgentInput { obs: &far[..4], ..GOOD }, 0, want, ActError::Obs { want: 5, got: 4 }.into(), |c| {
            c.wrong_length
        }),
        (
            AgentInput { available: &[true; 2], ..GOOD },
            0,
            want,
            ActError::Available { want: 3, got: 2 }.into(),
            |c| c.wrong_length,
        ),
        (GOOD, 0, want - 6, ActError::Scratch { want: want - 5, got: want - 6 }.into(), |c| c.wrong_length),
        (AgentInput { agent_id: 2, ..GOOD }, 0, want, ActError::Index.into(), |c| c.wrong_index),
        (AgentInput { last_action: Some(3), ..GOOD }, 0, want, ActError::Index.into(), |c| c.wrong_index),
        (AgentInput { available: &[false; 3], ..GOOD }, 0, want, ActError::NoAction.into(), |c| c.no_action),
    ];
    let mut memory = Memory::<6>::new();
    for (case, (input, age, scratch_len, fault, count)) in cases.into_iter().enumerate() {
        let rules = Rules { max_age: 5, calibration: within(Beyond::Fallback), ..RULES };
        let mut guarded = Guarded::new(&policy, &mut memory[..], rules).unwrap();
        let mut scratch = vec![0.0; want];
        guarded.step(GOOD, 5, &mut scratch);
        let mut twin = guarded_twin(&policy, rules);
        let decision = guarded.step(input, age, &mut scratch[..scratch_len]);
        assert_eq!((decision.action, decision.source, decision.q), (2, Source::Fallback(fault), None));
        let counters = guarded.counters();
        assert_eq!((counters.steps, counters.fallbacks, count(&counters)), (2, 1, 1), "case {case}");
        let reasons = counters.stale
            + counters.missed
            + counters.wrong_length
            + counters.wrong_index
            + counters.not_finite
            + counters.beyond
            + counters.no_action
            + counters.not_a_number;
        assert_eq!((reasons, counters.resets), (1, 0), "case {case}");
        assert_eq!(guarded.last_action(), Some(2));
        let (mut left, mut right) = ([0.0; 128], [0.0; 128]);
        let (left, right) = (guarded.step(GOOD, 0, &mut left), twin.step(GOOD, 0, &mut right));
        assert_eq!(left, right, "case {case}");
        assert!(!fault.to_string().is_empty());
    }
}

/// A guard that has taken one good step.
fn guarded_twin<'p>(policy: &'p Policy<'p>, rules: Rules<'p>) -> Guarded<'p, Memory<6>> {
    let mut twin = Guarded::new(policy, Memory::new(), rules).unwrap();
    assert_eq!(twin.step(GOOD, 0, &mut [0.0; 128]).source, Source::Policy);
    twin
}

#[test]
fn beyond_the_range_it_counts_or_clamps() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    let obs = [1.5, -7.0, -1e6, -0.5, 1e6];
    let input = AgentInput { obs: &obs, ..GOOD };
    let clamped = AgentInput { obs: &[1.0, -1.0, -1e6, 0.0, 1e6], ..GOOD };
    for (beyond, seen) in [(Beyond::Count, input), (Beyond::Clamp, clamped)] {
        let rules = Rules { calibration: within(beyond), ..RULES };
        let mut guarded = Guarded::new(&policy, Memory::<6>::new(), rules).unwrap();
        let (mut memory, mut plain) = (Memory::<6>::new(), [0.0; 128]);
        let mut scratch = vec![0.0; guarded.scratch_len()];
        for _ in 0..5 {
            let got = guarded.step(input, 0, &mut scratch);
            let want = policy.act(&mut memory, seen, &mut plain).unwrap();
            assert_eq!((got.action, bits(got.q.unwrap())), (want.index, bits(want.q)));
        }
        assert_eq!((guarded.counters().beyond, guarded.counters().fallbacks), (5, 0));
    }
    // The bounds themselves are inside.
    let rules = Rules { calibration: within(Beyond::Fallback), ..RULES };
    let mut guarded = Guarded::new(&policy, Memory::<6>::new(), rules).unwrap();
    for obs in [[-1.0, -1.0, -1e6, 0.0, -1e6], [1.0, 1.0, 2.0, 1.0, 1e6]] {
        let source = guarded.step(AgentInput { obs: &obs, ..GOOD }, 0, &mut [0.0; 128]).source;
        assert_eq!(source, Source::Policy);
    }
}

/// Missing scratch shows at the first step, not at the first observation that must be clamped.
#[test]
fn scratch_to_clamp_in_is_always_needed() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    let rules = Rules { calibration: within(Beyond::Clamp), ..RULES };
    let mut guarded = Guarded::new(&policy, Memory::<6>::new(), rules).unwrap();
    let want = guarded.scratch_len();
    assert_eq!(want, policy.scratch_len() + 5);
    for got in [0, 4, 5, want - 1] {
        let source = guarded.step(GOOD, 0, &mut vec![0.0; got]).source;
        let Source::Fallback(Fault::Act(ActError::Scratch { got: short, .. })) = source else {
            panic!("{got} floats: {source:?}")
        };
        assert!(short <= got);
    }
    assert_eq!(guarded.step(GOOD, 0, &mut vec![0.0; want]).source, Source::Policy);
}

#[test]
fn the_fallback_obeys_the_mask_if_it_can() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    for fallback in 0..3 {
        let rules = Rules { fallback, ..RULES };
        let mut guarded = Guarded::new(&policy, Memory::<6>::new(), rules).unwrap();
        for mask in 0..8 {
            let available = [0, 1, 2].map(|action| mask >> action & 1 == 1);
            let lowest = available.iter().position(|&yes| yes);
            let want = if available[fallback] { fallback } else { lowest.unwrap_or(fallback) };
            let decision = guarded.miss(&available);
            assert_eq!((decision.action, decision.source), (want, Source::Fallback(Fault::Missed)));
            let blind = AgentInput { obs: &[f32::NAN; 5], available: &available, ..GOOD };
            assert_eq!(guarded.step(blind, 0, &mut [0.0; 128]).action, want);
        }
        assert_eq!(guarded.miss(&[]).action, fallback);
        assert_eq!(guarded.miss(&[true; 2]).action, fallback);
        assert_eq!(guarded.miss(&[true; 4]).action, fallback);
        assert_eq!(guarded.counters().missed, 8 + 3);
    }
}

/// All sequences of seven good and bad steps against the plainest possible account of the rule.
#[test]
fn the_memory_is_reset_with_the_nth_fault_in_a_row() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    for forget in [Forget::Never, Forget::After(1), Forget::After(2), Forget::After(3)] {
        for sequence in 0..1 << 7 {
            let rules = Rules { forget, ..RULES };
            let mut guarded = Guarded::new(&policy, Memory::<6>::new(), rules).unwrap();
            let (mut memory, mut last_action, mut in_a_row, mut resets) = (Memory::<6>::new(), None, 0, 0);
            for step in 0..7 {
                assert_eq!(guarded.last_action(), last_action);
                let good = sequence >> step & 1 == 1;
                let obs = if good { GOOD.obs } else { &[f32::NAN; 5] };
                let input = AgentInput { obs, last_action, ..GOOD };
                let (mut left, mut right) = ([0.0; 128], [0.0; 128]);
                let got = guarded.step(input, 0, &mut left);
                if good {
                    let want = policy.act(&mut memory, input, &mut right).unwrap();
                    assert_eq!((got.action, bits(got.q.unwrap())), (want.index, bits(want.q)));
                    (last_action, in_a_row) = (Some(want.index), 0);
                } else {
                    in_a_row += 1;
                    last_action = last_action.and(Some(2));
                    if forget == Forget::After(in_a_row) {
                        memory.reset();
                        (last_action, resets) = (None, resets + 1);
                    }
                }
            }
            assert_eq!(guarded.counters().resets, resets);
        }
    }
}

/// Values that are not numbers come with a memory that has advanced: it is reset whatever the rule says.
#[test]
fn what_is_not_a_number_resets_the_memory() {
    let mut random = Random(5);
    let mut tensors = Tensors::new();
    for (name, shape) in
        [("g.weight_ih", &[6, 2][..]), ("g.weight_hh", &[6, 2]), ("g.bias_ih", &[6]), ("g.bias_hh", &[6])]
    {
        tensors.insert(name.into(), random.tensor(shape, 0.5));
    }
    let opposite = vec![f32::MAX, -f32::MAX, f32::MAX, -f32::MAX];
    tensors.insert("l.weight".into(), (vec![2, 2], opposite));
    tensors.insert("l.bias".into(), (vec![2], vec![0.0; 2]));
    let file = encode(&metadata("gru:0>1:g;linear:0>2:l", "obs:2", 1, "a,b"), &tensors);
    let policy = fixture::policy(&file);
    let input = AgentInput { obs: &[2.0, 2.0], last_action: None, agent_id: 0, available: &[true; 2] };
    let mut memory = Memory::<2>::new();
    assert_eq!(policy.act(&mut memory, input, &mut [0.0; 16]), Err(ActError::NotANumber));
    assert_ne!(memory, Memory::new());

    let rules = Rules { fallback: 1, ..RULES };
    let mut guarded = Guarded::new(&policy, &mut memory[..], rules).unwrap();
    let mut scratch = [0.0; 16];
    let decision = guarded.step(input, 0, &mut scratch);
    assert_eq!((decision.action, decision.source), (1, Source::Fallback(ActError::NotANumber.into())));
    assert_eq!((guarded.counters().not_a_number, guarded.counters().resets), (1, 1));
    assert_eq!(guarded.last_action(), None);
    assert_eq!(memory, Memory::new());
}

/// A step in which anything may be wrong.
#[derive(Clone, Debug)]
struct Wild {
    obs: Vec<f32>,
    available: Vec<bool>,
    agent_id: usize,
    last_action: Option<usize>,
    age: u32,
    scratch: usize,
}

fn wild() -> impl Strategy<Value = Wild> {
    let mostly = |usual: usize| prop_oneof![9 => Just(usual), 1 => 0..2 * usual];
    let element = prop_oneof![
        30 => -1.2_f32..1.2,
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::NEG_INFINITY),
        1 => any::<f32>(),
    ];
    let obs = mostly(5).prop_flat_map(move |len| prop::collection::vec(element.clone(), len));
    let available = mostly(3).prop_flat_map(|len| prop::collection::vec(prop::bool::weighted(0.7), len));
    let last_action = prop_oneof![9 => prop::option::of(0..3_usize), 1 => any::<usize>().prop_map(Some)];
    let agent_id = prop_oneof![9 => 0..2_usize, 1 => any::<usize>()];
    let age = prop_oneof![9 => 0..5_u32, 1 => any::<u32>()];
    (obs, available, agent_id, last_action, age, mostly(128)).prop_map(
        |(obs, available, agent_id, last_action, age, scratch)| Wild {
            obs,
            available,
            agent_id,
            last_action,
            age,
            scratch,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, there is an action, an available one if there is one, and the policy behind the guard is in the
    /// state of one that never saw what went wrong.
    #[test]
    fn any_step_has_an_action(
        steps in prop::collection::vec(wild(), 1..30),
        fallback in 0..3_usize,
        forget in prop_oneof![Just(Forget::Never), (1..4_u32).prop_map(Forget::After)],
        beyond in prop_oneof![Just(Beyond::Count), Just(Beyond::Clamp), Just(Beyond::Fallback)],
    ) {
        let file = agent_file(SMALL, 1, 1);
        let policy = fixture::policy(&file);
        let rules = Rules { fallback, forget, max_age: 4, calibration: within(beyond) };
        let mut guarded = Guarded::new(&policy, Memory::<6>::new(), rules).unwrap();
        let (mut memory, mut in_a_row) = (Memory::<6>::new(), 0);
        for step in &steps {
            let Wild { obs, available, agent_id, last_action, age, scratch } = step.clone();
            let input = AgentInput { obs: &obs, last_action, agent_id, available: &available };
            let mut scratch = vec![0.0; scratch];
            let decision = guarded.step(input, age, &mut scratch);
            prop_assert!(decision.action < 3);
            if available.len() == 3 && available.contains(&true) {
                prop_assert!(available[decision.action]);
            }

            // The same by asking the policy, in plain words.
            let far = obs.iter().zip(LOW.iter().zip(&HIGH)).any(|(v, (low, high))| v < low || v > high);
            let far = far && obs.len() == 5 && obs.iter().all(|v| v.is_finite());
            let clamped: Vec<f32> = if far && beyond == Beyond::Clamp {
                obs.iter().zip(LOW.iter().zip(&HIGH)).map(|(v, (&low, &high))| v.clamp(low, high)).collect()
            } else {
                obs.clone()
            };
            let refused = age > 4 || (far && beyond == Beyond::Fallback) || step.scratch < guarded.scratch_len();
            let mut plain = [0.0; 128];
            let input = AgentInput { obs: &clamped, ..input };
            let want = if refused { None } else { Some(policy.act(&mut memory, input, &mut plain)) };
            let broken = want == Some(Err(ActError::NotANumber));
            let want = want.and_then(Result::ok);
            prop_assert_eq!(decision.source == Source::Policy, want.is_some(), "{:?}: {:?}", step, decision);
            if let Some(want) = want {
                prop_assert_eq!(decision.action, want.index);
                prop_assert_eq!(bits(decision.q.unwrap()), bits(want.q));
                in_a_row = 0;
            } else {
                prop_assert!(decision.q.is_none());
                in_a_row += 1;
                if broken || forget == Forget::After(in_a_row) {
                    memory.reset();
                }
            }
        }
        let counters = guarded.counters();
        prop_assert_eq!(counters.steps as usize, steps.len());
        let reasons = counters.stale + counters.missed + counters.wrong_length + counters.wrong_index
            + counters.not_finite + counters.no_action + counters.not_a_number;
        let beyond = if beyond == Beyond::Fallback { counters.beyond } else { 0 };
        prop_assert_eq!(reasons + beyond, counters.fallbacks);
    }
}
