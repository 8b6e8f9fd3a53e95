//! What the net that recurrent policies are compared on costs: instructions per step and to open its file, and buffers.
//!
//! 64 observed, dense 64, rectified, GRU of 64, 4 actions; 28,928 multiplications.
#![no_std]
#![no_main]

use ddn_firmware::counter::{Counter, Range};
use ddn_firmware::report;
use ddn_runtime::{AgentInput, Memory, Model};

/// How many steps on random observations are measured.
const STEPS: usize = 32;

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    ddn_firmware::exit(run())
}

fn run() -> Result<(), &'static str> {
    let counter = Counter::new();
    let file = ddn_runtime::flash!(env!("DDN_REFERENCE_FILE"));
    let (model, open) = counter.count(|| Model::open(file));
    let model = model.map_err(|_| "the policy file is not valid")?;
    let mut memory = Memory::<64>::new();
    let mut scratch = [0.0; 512];
    let (policy, verify) = counter.count(|| model.verify(&mut memory, &mut scratch));
    let policy = policy.map_err(|_| "the policy file is damaged")?;
    let mut obs = [0.0_f32; 64];
    let mut cost = Range::default();
    let mut state = 1_u32;
    // After so many steps: nothing to see, everything at once, gates that are wide open or shut.
    let kinds = [0.0, 1.0, -1.0, 1e-30, 1e4, -1e4, 1e20, -1e20];
    let mut extremes = Range::default();
    for index in 0..STEPS + 3 * kinds.len() {
        let extreme = index.checked_sub(STEPS);
        let kind = extreme.and_then(|index| kinds.get(index / 3)).copied().unwrap_or_default();
        for (at, value) in obs.iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = match extreme.map(|index| index % 3) {
                None => (state >> 8) as f32 / 8_388_608.0 - 1.0,
                Some(0) => kind,
                Some(1) if at % 2 == 0 => kind,
                Some(2) if at == 0 => kind,
                Some(_) => -0.0,
            };
        }
        let input = AgentInput { obs: &obs, last_action: None, agent_id: 0, available: &[true; 4] };
        let (action, count) =
            counter.count(|| policy.act(&mut memory, input, &mut scratch).map(|action| action.index));
        action.map_err(|_| "a step cannot be taken")?;
        if extreme.is_some() { extremes.add(count) } else { cost.add(count) }
    }
    cost.print();
    extremes.print_extremes();
    report::open(open, verify);
    report::buffers(&policy);
    Ok(())
}
