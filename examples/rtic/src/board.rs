//! What stands for the board: observations, and motors that print.

use core::sync::atomic::{AtomicUsize, Ordering};

use ddn_firmware::console::Line;

use crate::policy::{ACTIONS, OBS};

/// Of the processor, in Hz.
pub const FREQUENCY: u32 = 25_000_000;
/// Steps of the recorded episode.
const STEPS: usize = 15;

/// What the sensors saw, and when, in milliseconds.
#[derive(Clone, Copy)]
pub struct Seen {
    pub obs: [f32; OBS],
    pub available: [bool; ACTIONS],
    pub at: u32,
}

/// Prints the action, and ends the run after the episode.
pub fn motors(action: usize) {
    static STEP: AtomicUsize = AtomicUsize::new(0);
    let step = STEP.fetch_add(1, Ordering::Relaxed);
    Line::new().text("step ").number(step).text(" agent 0 action ").number(action).print();
    if step + 1 == STEPS {
        ddn_firmware::exit(Ok(()));
    }
}

/// Ends the run with a failure.
pub fn halt(reason: &'static str) -> ! {
    ddn_firmware::exit(Err(reason))
}
