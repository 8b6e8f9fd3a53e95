//! What `Executor` promises, on made-up clocks: the training rate and no more, no drift, and each irregularity reported.
#![allow(missing_docs, clippy::unwrap_used)]

use ddn_runtime::executor::{Executor, Overrun, Poll, Schedule, ScheduleError, Timing, Verdict};
use proptest::prelude::*;

/// 10 Hz, milliseconds, polled at 1 kHz.
const TEN: Schedule = Schedule { steps: 10, ticks: 1000, poll: 1, tolerated: 0, overrun: Overrun::Continue };

/// What the executor should say, worked out anew from the time since the first poll in numbers that cannot overflow.
struct Model {
    schedule: Schedule,
    time: i128,
    /// The last slot that was served, counted from the first poll.
    slot: i128,
}

impl Model {
    fn new(schedule: Schedule) -> Self {
        Self { schedule, time: 0, slot: 0 }
    }

    /// The verdict after `passed` more ticks, with the slots missed and the ticks late.
    fn poll(&mut self, passed: u32) -> (Verdict, u32, i32) {
        self.time += i128::from(passed);
        let Schedule { steps, ticks, poll, .. } = self.schedule;
        let [steps, ticks, poll] = [steps, ticks, poll].map(i128::from);
        // In units of which a period has `ticks`.
        let now = self.time * steps;
        let early = (poll * steps).min(ticks) / 2;
        if now < (self.slot + 1) * ticks - early {
            return (Verdict::Hold, 0, 0);
        }
        let nearest = (now + ticks / 2) / ticks;
        let served = nearest.max(self.slot + 1);
        let missed = served - self.slot - 1;
        self.slot = served;
        let verdict = if missed <= i128::from(self.schedule.tolerated) {
            Verdict::Step
        } else {
            match self.schedule.overrun {
                Overrun::Continue => Verdict::Step,
                Overrun::Reset => Verdict::ResetAndStep,
                Overrun::Fallback => Verdict::Fallback,
            }
        };
        (verdict, missed as u32, ((now - served * ticks) / steps) as i32)
    }
}

fn first(executor: &mut Executor, now: u32) {
    let poll = executor.poll(now);
    assert_eq!((poll.verdict, poll.late, poll.missed, poll.backwards), (Verdict::Step, 0, 0, 0));
}

fn verdicts(executor: &mut Executor, clock: impl IntoIterator<Item = u32>) -> Vec<Verdict> {
    clock.into_iter().map(|now| executor.poll(now).verdict).collect()
}

#[test]
fn schedules_that_cannot_be_kept_are_refused() {
    let error = |schedule| Executor::new(schedule).map(|_| ()).err();
    assert_eq!(error(TEN), None);
    assert_eq!(error(Schedule { steps: 0, ..TEN }), Some(ScheduleError::Zero));
    assert_eq!(error(Schedule { ticks: 0, ..TEN }), Some(ScheduleError::Zero));
    assert_eq!(error(Schedule { steps: 1001, poll: 0, ..TEN }), Some(ScheduleError::Period));
    assert_eq!(error(Schedule { steps: 1000, ..TEN }), None);
    assert_eq!(error(Schedule { steps: 1, ticks: 1 << 30, ..TEN }), None);
    assert_eq!(error(Schedule { steps: 1, ticks: (1 << 30) + 1, ..TEN }), Some(ScheduleError::Period));
    assert_eq!(error(Schedule { poll: 100, ..TEN }), None);
    assert_eq!(error(Schedule { poll: 101, ..TEN }), Some(ScheduleError::Poll));
    assert_eq!(error(Schedule { poll: u32::MAX, ..TEN }), Some(ScheduleError::Poll));
    // A loop at the training rate, whose interval was rounded up.
    assert_eq!(error(Schedule { ticks: 32_768, poll: 3277, ..TEN }), None);
    assert_eq!(error(Schedule { ticks: 32_768, poll: 3278, ..TEN }), Some(ScheduleError::Poll));
    for error in [ScheduleError::Zero, ScheduleError::Period, ScheduleError::Poll] {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_schedule_may_be_a_constant() {
    const EXECUTOR: Executor = match Executor::new(TEN) {
        Ok(executor) => executor,
        Err(_) => panic!("the schedule cannot be kept"),
    };
    first(&mut EXECUTOR.clone(), 5);
}

/// 10 Hz from a loop at 33 Hz, worked out by hand: the poll nearest to each tenth of a second.
#[test]
fn the_poll_nearest_to_a_slot_steps() {
    let mut executor = Executor::new(Schedule { poll: 30, ..TEN }).unwrap();
    let clock = (0..=14).map(|poll| (poll * 1000 + 16) / 33);
    let steps: Vec<u32> = clock.filter(|&now| executor.poll(now).verdict == Verdict::Step).collect();
    assert_eq!(steps, [0, 91, 212, 303, 394]);
    assert_eq!((executor.timing().earliest, executor.timing().latest), (-9, 12));
}

#[test]
fn without_a_poll_interval_the_first_poll_after_a_slot_steps() {
    let mut executor = Executor::new(Schedule { poll: 0, ..TEN }).unwrap();
    first(&mut executor, 7);
    use Verdict::{Hold, Step};
    assert_eq!(
        verdicts(&mut executor, [106, 107, 107, 206, 215, 306, 307]),
        [Hold, Step, Hold, Hold, Step, Hold, Step]
    );
}

/// Half a period late is missed; what is declared follows, once more slots are missed than tolerated.
#[test]
fn overruns_do_what_was_declared() {
    for (overrun, want) in [
        (Overrun::Continue, Verdict::Step),
        (Overrun::Reset, Verdict::ResetAndStep),
        (Overrun::Fallback, Verdict::Fallback),
    ] {
        let mut executor = Executor::new(Schedule { tolerated: 1, overrun, ..TEN }).unwrap();
        first(&mut executor, 0);
        let mut poll = |now| {
            let Poll { verdict, late, missed, .. } = executor.poll(now);
            (verdict, late, missed)
        };
        assert_eq!(poll(149), (Verdict::Step, 49, 0));
        assert_eq!(poll(250), (Verdict::Step, -50, 1), "the slot at 200 was missed, this is the one at 300");
        assert_eq!(poll(300), (Verdict::Hold, 0, 0));
        assert_eq!(poll(400), (Verdict::Step, 0, 0));
        assert_eq!(poll(720), (want, 20, 2), "the slots at 500 and 600 were missed");
        assert_eq!(poll(721), (Verdict::Hold, 0, 0));
        assert_eq!(poll(800), (Verdict::Step, 0, 0), "after an overrun it goes on as before");
        let timing = executor.take_timing();
        let fell_back = u32::from(overrun == Overrun::Fallback);
        assert_eq!((timing.polls, timing.steps, timing.fallbacks), (8, 6 - fell_back, fell_back));
        assert_eq!((timing.overruns, timing.missed, timing.backwards), (2, 3, 0));
        assert_eq!((timing.earliest, timing.latest), (-50, 49));
        assert_eq!(executor.timing(), Timing::default());
    }
}

#[test]
fn a_clock_that_goes_back_gives_no_credit() {
    let mut executor = Executor::new(TEN).unwrap();
    first(&mut executor, 50);
    assert_eq!(executor.poll(140).verdict, Verdict::Hold); // ten ticks to go
    let back = executor.poll(20);
    assert_eq!((back.verdict, back.backwards, back.late), (Verdict::Hold, 120, 0));
    assert_eq!(executor.poll(20).verdict, Verdict::Hold);
    assert_eq!(verdicts(&mut executor, [29, 30, 129, 130]), {
        use Verdict::{Hold, Step};
        [Hold, Step, Hold, Step]
    });
    // Across the wrap, and by as much as can be told from a jump ahead.
    first(&mut Executor::new(TEN).unwrap(), 3);
    let mut executor = Executor::new(TEN).unwrap();
    first(&mut executor, 3);
    assert_eq!(executor.poll(u32::MAX).backwards, 4);
    assert_eq!(executor.poll(u32::MAX.wrapping_add(1 << 31)).backwards, 1 << 31);
    assert_eq!(executor.poll(u32::MAX.wrapping_add(1 << 31).wrapping_sub(1)).backwards, 1);
    assert_eq!(executor.timing().backwards, 3);
}

#[test]
fn a_restart_begins_a_new_grid() {
    let mut executor = Executor::new(TEN).unwrap();
    first(&mut executor, 0);
    assert_eq!(executor.poll(90).verdict, Verdict::Hold);
    executor.restart();
    first(&mut executor, 93);
    assert_eq!(verdicts(&mut executor, [100, 192, 193]), [Verdict::Hold, Verdict::Hold, Verdict::Step]);
    executor.restart();
    first(&mut executor, 17); // a clock that goes back between episodes is none of its business
    assert_eq!(executor.timing().backwards, 0);
}

/// Two million ticks with rates that do not divide each other: exactly the slots that there are, each served by a poll
/// as near as the loop has one.
#[test]
fn nothing_drifts() {
    // Steps and polls in `second` ticks.
    for (steps, polls, second) in [
        (10, 33, 1000),
        (10, 33, 32_768),
        (30, 100, 1000),
        (3, 7, 1000),
        (60, 60, 1000),
        (60, 61, 32_768),
        (7, 1000, 1000),
        (999, 1000, 1000),
        (333, 1000, 1000),
    ] {
        let poll = second / polls;
        let schedule = Schedule { steps, ticks: second, poll, tolerated: 0, overrun: Overrun::Continue };
        let mut executor = Executor::new(schedule).unwrap();
        let start = u32::MAX - 1_000_000; // wraps around half-way
        let span = 2_000_000_u64;
        let count = span * u64::from(polls) / u64::from(second);
        let mut taken = 0;
        for index in 0..=count {
            let now = index * u64::from(second) / u64::from(polls);
            let poll = executor.poll(start.wrapping_add(now as u32));
            if poll.verdict == Verdict::Step {
                // The tick of the slot, from its number alone.
                let slot = taken * u64::from(second) / u64::from(steps);
                assert!(
                    slot.abs_diff(now) <= u64::from(second / polls / 2 + 2),
                    "{steps}/{polls}: {now} for {slot}"
                );
                taken += 1;
            } else {
                assert_eq!(poll.verdict, Verdict::Hold);
            }
        }
        let slots = span * u64::from(steps) / u64::from(second);
        assert!(taken.abs_diff(slots + 1) <= 1, "{steps}/{polls}: {taken} steps for {slots} periods");
        let timing = executor.timing();
        assert_eq!((timing.missed, timing.backwards, timing.fallbacks), (0, 0, 0), "{steps}/{polls}");
        assert_eq!((u64::from(timing.polls), u64::from(timing.steps)), (count + 1, taken));
    }
}

/// Schedules of all sizes, up to the largest there are.
fn schedule() -> impl Strategy<Value = Schedule> {
    let size = || prop_oneof![1..50_u32, 1..5000_u32, any::<u32>()];
    let overrun = prop_oneof![Just(Overrun::Continue), Just(Overrun::Reset), Just(Overrun::Fallback)];
    let scale = prop_oneof![Just(0_u32), 0..=1000_u32];
    (size(), size(), scale, 0..3_u32, overrun)
        .prop_map(|(a, b, scale, tolerated, overrun)| {
            let (steps, ticks) = (a.min(b), a.max(b));
            let poll = (u64::from(ticks / steps.max(1)) * u64::from(scale) / 1000) as u32;
            Schedule { steps, ticks, poll, tolerated, overrun }
        })
        .prop_filter("a schedule that can be kept", |&schedule| Executor::new(schedule).is_ok())
}

/// Times between polls, in thousandths of a training period: most like a loop, some like a stall.
fn gaps() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(prop_oneof![4 => 0..400_u32, 2 => 0..2000_u32, 1 => 0..20_000_u32], 1..200)
}

fn thousandths(schedule: Schedule, gap: u32) -> u32 {
    let ticks = u64::from(schedule.ticks / schedule.steps) * u64::from(gap) / 1000;
    ticks.min(i32::MAX as u64) as u32
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_clock_is_answered_as_by_the_model(schedule in schedule(), gaps in gaps(), start in any::<u32>()) {
        let mut executor = Executor::new(schedule).unwrap();
        let mut model = Model::new(schedule);
        first(&mut executor, start);
        let mut now = start;
        for gap in gaps {
            let passed = thousandths(schedule, gap);
            now = now.wrapping_add(passed);
            let got = executor.poll(now);
            let (verdict, missed, late) = model.poll(passed);
            prop_assert_eq!((got.verdict, got.missed, got.late, got.backwards), (verdict, missed, late, 0));
        }
        // No drift: steps, fallbacks and misses together are the slots the model has counted.
        let timing = executor.timing();
        let served = i128::from(timing.steps) + i128::from(timing.fallbacks) + i128::from(timing.missed);
        prop_assert_eq!(served, model.slot + 1);
    }

    /// The largest jumps there are, one after another.
    #[test]
    fn long_gaps_are_answered_as_by_the_model(
        schedule in schedule(),
        gaps in prop::collection::vec(prop_oneof![Just(i32::MAX as u32), 0..=i32::MAX as u32], 1..20),
    ) {
        let mut executor = Executor::new(schedule).unwrap();
        let mut model = Model::new(schedule);
        first(&mut executor, 0);
        let mut now = 0_u32;
        for gap in gaps {
            now = now.wrapping_add(gap);
            let got = executor.poll(now);
            prop_assert_eq!((got.verdict, got.missed, got.late), model.poll(gap));
        }
    }

    /// Where the clock starts does not matter, so neither does where it wraps.
    #[test]
    fn answers_do_not_depend_on_the_start(schedule in schedule(), gaps in gaps(), start in any::<u32>()) {
        let mut executors = [Executor::new(schedule).unwrap(), Executor::new(schedule).unwrap()];
        let mut clocks = [0, start];
        for gap in gaps {
            let [left, right] = [0, 1].map(|which| executors[which].poll(clocks[which]));
            prop_assert_eq!(left, right);
            clocks = clocks.map(|now: u32| now.wrapping_add(thousandths(schedule, gap)));
        }
    }

    /// Any `m` steps in a row span more than `m - 1.5` training periods less half a poll interval, whatever the clock
    /// does; and from the first poll on there are never more than the periods that began, half a poll interval early.
    #[test]
    fn never_faster_than_training(schedule in schedule(), gaps in gaps()) {
        let mut executor = Executor::new(schedule).unwrap();
        let mut times = vec![0_i128];
        first(&mut executor, 0);
        let mut now = 0_i128;
        let [steps, ticks, poll] = [schedule.steps, schedule.ticks, schedule.poll].map(i128::from);
        for gap in gaps {
            now += i128::from(thousandths(schedule, gap));
            if matches!(executor.poll(now as u32).verdict, Verdict::Step | Verdict::ResetAndStep) {
                times.push(now * steps);
                prop_assert!((times.len() as i128 - 1) * 2 * ticks <= 2 * now * steps + poll * steps);
            }
        }
        for (index, from) in times.iter().enumerate() {
            for (more, to) in times[index..].iter().enumerate() {
                let m = more as i128 + 1;
                prop_assert!(2 * (to - from) > (2 * m - 3) * ticks - poll * steps, "{m} steps in {}", to - from);
            }
        }
    }

    /// A loop at the training rate, each poll less than half a period away from its place: each poll is a step.
    #[test]
    fn jitter_below_half_a_period_costs_no_step(
        steps in 1..20_u32,
        period in 1..100_000_u32,
        rest in 0..20_u32,
        jitter in prop::collection::vec(-1.0..1.0_f64, 100),
        start in any::<u32>(),
    ) {
        let ticks = period * steps + rest % steps;
        let schedule = Schedule { steps, ticks, poll: ticks.div_ceil(steps), ..TEN };
        let mut executor = Executor::new(schedule).unwrap();
        first(&mut executor, start);
        let mut last = 0;
        for (index, jitter) in (1_i64..).zip(jitter) {
            let place = index as f64 * f64::from(ticks) / f64::from(steps);
            let half = f64::from(ticks) / f64::from(steps) / 2.0;
            // Rounded towards the place, so that it stays below half a period.
            let exact = place + jitter * half;
            let now = if jitter < 0.0 { exact.ceil().min(place.floor()) } else { exact.floor().max(place.ceil()) };
            let now = (now as i64).max(last);
            prop_assume!((now as f64 - place).abs() < half - 1e-6);
            last = now;
            let poll = executor.poll(start.wrapping_add(now as u32));
            prop_assert_eq!((poll.verdict, poll.missed), (Verdict::Step, 0), "poll {} at {}", index, now);
        }
    }

    /// A loop whose polls are never further apart than half a training period and half a poll interval misses nothing.
    #[test]
    fn a_loop_that_is_fast_enough_misses_nothing(schedule in schedule(), gaps in gaps()) {
        let Schedule { steps, ticks, poll, .. } = schedule;
        let most = ticks / 2 / steps + poll / 2;
        let mut executor = Executor::new(schedule).unwrap();
        let mut model = Model::new(schedule);
        first(&mut executor, 0);
        let mut now = 0_u32;
        for gap in gaps {
            let passed = (u64::from(most) * u64::from(gap) / 20_000) as u32;
            now = now.wrapping_add(passed);
            prop_assert_eq!(executor.poll(now).missed, 0);
            model.poll(passed);
        }
        prop_assert_eq!(i128::from(executor.timing().steps), model.slot + 1);
    }
}
