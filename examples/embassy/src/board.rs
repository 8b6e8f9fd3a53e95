//! What stands for the board: a clock, which a HAL would bring, sensors that see what was recorded, and motors that print.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use critical_section::{Mutex, with};
use ddn_firmware::console::Line;
use ddn_runtime::Policy;
use embassy_time::{Duration, Instant, TICK_HZ, Ticker};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::{ACTION, SEEN, Seen};

/// Of the processor, in Hz.
const FREQUENCY: u32 = 25_000_000;
/// Steps of the recorded episode.
const STEPS: usize = 15;

/// Milliseconds since the start, and who waits for one of them.
struct Clock {
    now: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    now: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Driver for Clock {
    fn now(&self) -> u64 {
        with(|cs| self.now.borrow(cs).get())
    }

    /// The queue is looked through in every millisecond, so no alarm is set.
    fn schedule_wake(&self, at: u64, waker: &Waker) {
        with(|cs| self.queue.borrow(cs).borrow_mut().schedule_wake(at, waker));
    }
}

#[exception]
fn SysTick() {
    with(|cs| {
        let now = CLOCK.now.borrow(cs).get() + 1;
        CLOCK.now.borrow(cs).set(now);
        CLOCK.queue.borrow(cs).borrow_mut().next_expiration(now);
    });
}

/// Starts the clock.
pub fn start() {
    let Some(peripherals) = cortex_m::Peripherals::take() else { return };
    let mut timer = peripherals.SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(FREQUENCY / TICK_HZ as u32 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// Ten observations a second.
#[embassy_executor::task]
pub async fn sensors(policy: &'static Policy<'static>) {
    let mut ticker = Ticker::every(Duration::from_hz(10));
    for (obs, available) in ddn_firmware::recorded::episode(policy.spec()) {
        SEEN.signal(Seen { obs, available, at: Instant::now() });
        ticker.next().await;
    }
}

/// Prints the actions, and ends the run after the episode.
#[embassy_executor::task]
pub async fn motors() {
    for step in 0..STEPS {
        let action = ACTION.wait().await;
        Line::new().text("step ").number(step).text(" agent 0 action ").number(action).print();
    }
    ddn_firmware::exit(Ok(()))
}
