//! A policy as an Embassy task: a control loop of 50 Hz around a network that was trained at 10 Hz.
//!
//! The part between the marks is in `docs/runtime.md`. What stands for a board is in `board.rs`.
#![no_std]
#![no_main]

mod board;

use embassy_executor::Spawner;

// begin: docs/runtime.md
use ddn_runtime::executor::{Executor, Overrun, Schedule, Verdict};
use ddn_runtime::guard::{Forget, Guarded, Rules};
use ddn_runtime::{AgentInput, Memory, Model, Policy};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Ticker};
use static_cell::StaticCell;

/// What the sensors saw, and when.
struct Seen {
    obs: [f32; 75],
    available: [bool; 6],
    at: Instant,
}

/// From the sensors and to the motors: only the newest counts.
static SEEN: Signal<CriticalSectionRawMutex, Seen> = Signal::new();
static ACTION: Signal<CriticalSectionRawMutex, usize> = Signal::new();

/// Milliseconds between two polls.
const PERIOD: u32 = 20;
/// Ten steps of the network in 1000 milliseconds.
const SCHEDULE: Schedule =
    Schedule { steps: 10, ticks: 1000, poll: PERIOD, tolerated: 0, overrun: Overrun::Fallback };
/// Action 4 is `stay`; observations may be 150 milliseconds old.
const RULES: Rules<'static> =
    Rules { fallback: 4, forget: Forget::After(3), max_age: 150, calibration: None };

static POLICY: StaticCell<Policy<'static>> = StaticCell::new();

/// The policy in flash, if every byte of it is right and it gives the recorded answers here.
fn policy(file: &'static [u8]) -> Option<&'static Policy<'static>> {
    let (mut memory, mut scratch) = (Memory::<64>::new(), [0.0; 512]);
    let policy = Model::open(file).ok()?.verify(&mut memory, &mut scratch).ok()?;
    Some(POLICY.init(policy))
}

#[embassy_executor::task]
async fn agent(policy: &'static Policy<'static>, agent_id: usize) {
    let mut scratch = [0.0; 512];
    let Ok(mut agent) = Guarded::new(policy, Memory::<64>::new(), RULES) else { return };
    let Ok(mut executor) = Executor::new(SCHEDULE) else { return };
    let mut seen = SEEN.wait().await;
    let mut ticker = Ticker::every(Duration::from_millis(PERIOD.into()));
    loop {
        ticker.next().await;
        seen = SEEN.try_take().unwrap_or(seen);
        let Seen { obs, available, at } = &seen;
        let now = Instant::now();
        let verdict = executor.poll(now.as_millis() as u32).verdict;
        if verdict == Verdict::ResetAndStep {
            agent.reset();
        }
        let action = match verdict {
            Verdict::Hold => continue, // the motors keep to the last action
            Verdict::Fallback => agent.miss(available).action,
            Verdict::Step | Verdict::ResetAndStep => {
                let input = AgentInput { obs, last_action: agent.last_action(), agent_id, available };
                agent.step(input, (now - *at).as_millis() as u32, &mut scratch).action
            }
        };
        ACTION.signal(action);
    }
}
// end

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let file = ddn_runtime::flash!("../../firmware/assets/policy.safetensors");
    let Some(policy) = policy(file) else { ddn_firmware::exit(Err("the policy is damaged")) };
    board::start();
    let (Ok(agent), Ok(sensors), Ok(motors)) = (agent(policy, 0), board::sensors(policy), board::motors())
    else {
        ddn_firmware::exit(Err("a task is started twice"))
    };
    spawner.spawn(agent);
    spawner.spawn(sensors);
    spawner.spawn(motors);
}
