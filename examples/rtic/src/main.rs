//! A policy as an RTIC task: a control loop of 50 Hz around a network that was trained at 10 Hz, and is built in.
//!
//! The part between the marks is in `docs/runtime.md`. What stands for a board is in `board.rs` and at the end of this file.
#![no_std]
#![no_main]

mod board;

include!(concat!(env!("OUT_DIR"), "/policy.rs"));

#[rtic::app(device = lm3s6965, dispatchers = [UART0])]
mod app {
    use ddn_runtime::executor::{Executor, Overrun, Schedule, Verdict};
    use ddn_runtime::guard::{Forget, Guarded, Rules};
    use ddn_runtime::model::Built;
    use ddn_runtime::{AgentInput, Memory};
    use rtic_monotonics::systick::prelude::*;
    use rtic_sync::make_signal;
    use rtic_sync::signal::{SignalReader, SignalWriter};

    use crate::board::{self, FREQUENCY, Seen};
    use crate::policy::{MEMORY, POLICY, SCRATCH};

    // Ticks of a millisecond.
    systick_monotonic!(Mono, 1000);

    /// Milliseconds between two polls.
    const PERIOD: u32 = 20;
    /// Ten steps of the network in 1000 milliseconds.
    const SCHEDULE: Schedule =
        Schedule { steps: 10, ticks: 1000, poll: PERIOD, tolerated: 0, overrun: Overrun::Fallback };
    /// Action 4 is `stay`; observations may be 150 milliseconds old.
    const RULES: Rules<'static> =
        Rules { fallback: 4, forget: Forget::After(3), max_age: 150, calibration: None };

    #[shared]
    struct Shared {}

    // begin: docs/runtime.md
    #[local]
    struct Local {
        agent: Guarded<'static, Memory<MEMORY>, Built>,
        executor: Executor,
        seen: SignalReader<'static, Seen>, // only the newest counts
    }

    #[init]
    fn init(cx: init::Context) -> (Shared, Local) {
        let (mut memory, mut scratch) = (Memory::new(), [0.0; SCRATCH]);
        let Ok(policy) = POLICY.verify(&mut memory, &mut scratch) else {
            board::halt("the policy is damaged")
        };
        let Ok(agent) = Guarded::new(policy, memory, RULES) else { board::halt("rules") };
        let Ok(executor) = Executor::new(SCHEDULE) else { board::halt("schedule") };
        let (writer, seen) = make_signal!(Seen);
        Mono::start(cx.core.SYST, FREQUENCY);
        let started = control::spawn().is_ok() && sensors::spawn(writer).is_ok();
        if started { (Shared {}, Local { agent, executor, seen }) } else { board::halt("tasks") }
    }

    #[task(local = [agent, executor, seen, scratch: [f32; SCRATCH] = [0.0; SCRATCH]])]
    async fn control(cx: control::Context) {
        let control::LocalResources { agent, executor, seen: sensors, scratch, .. } = cx.local;
        let mut seen = sensors.wait().await;
        let mut next = Mono::now();
        loop {
            next += PERIOD.millis();
            Mono::delay_until(next).await;
            seen = sensors.try_read().unwrap_or(seen);
            let Seen { obs, available, at } = &seen;
            let now = Mono::now().as_ticks();
            let verdict = executor.poll(now).verdict;
            if verdict == Verdict::ResetAndStep {
                agent.reset();
            }
            let action = match verdict {
                Verdict::Hold => continue, // the motors keep to the last action
                Verdict::Fallback => agent.miss(available).action,
                Verdict::Step | Verdict::ResetAndStep => {
                    let input = AgentInput { obs, last_action: agent.last_action(), agent_id: 0, available };
                    agent.step(input, now.wrapping_sub(*at), scratch).action
                }
            };
            board::motors(action);
        }
    }
    // end

    /// Ten observations a second.
    #[task]
    async fn sensors(_: sensors::Context, mut writer: SignalWriter<'static, Seen>) {
        let mut next = Mono::now();
        for (obs, available) in ddn_firmware::recorded::episode(POLICY.assume_verified().spec()) {
            writer.write(Seen { obs, available, at: Mono::now().as_ticks() });
            next += 100.millis();
            Mono::delay_until(next).await;
        }
    }
}
