//! A policy: opened from a file, asked for its sizes, tested, and run.
#![allow(unsafe_code)] // exported names, pointers of the caller

use core::ffi::c_char;

use bytemuck::checked;
use ddn_runtime::{AgentInput, Model};

use crate::handle::{self, DdnPolicy, Opened};
use crate::pointer::{Lent, apart};
use crate::status::DdnStatus;

/// What stands for no last action, at the first step of an episode.
pub const DDN_NO_ACTION: u32 = u32::MAX;

/// The sizes a policy was trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DdnSizes {
    /// Floats of memory, once per agent.
    pub memory_len: usize,
    /// Floats of scratch, once for all agents that take their steps one after another.
    pub scratch_len: usize,
    /// Floats of one agent's observation.
    pub obs_dim: usize,
    /// Number of actions.
    pub n_actions: usize,
    /// Number of agents.
    pub n_agents: usize,
    /// Steps the file carries to test itself with; 0 if it carries none.
    pub recorded_steps: usize,
}

/// Text within the file: so many bytes of UTF-8, and no NUL after them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DdnText {
    /// The first byte.
    pub start: *const c_char,
    /// How many there are; may be 0.
    pub len: usize,
}

/// What one agent perceives at one step.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DdnInput {
    /// The observation, finite.
    pub obs: *const f32,
    /// Its length, obs_dim.
    pub obs_len: usize,
    /// One byte for each action: 1 if it may be chosen, else 0.
    pub available: *const u8,
    /// Its length, n_actions.
    pub available_len: usize,
    /// Which agent this is, below n_agents.
    pub agent: u32,
    /// The agent's previous action, DDN_NO_ACTION at the first step of an episode.
    pub last_action: u32,
}

/// What the agent does.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DdnAction {
    /// The Q-values of all actions, available or not. They lie in the scratch, until that is used again.
    pub q: *const f32,
    /// How many there are, n_actions.
    pub q_len: usize,
    /// The chosen action: the available one of the largest Q-value, the lowest among equals.
    pub index: u32,
}

/// Opens a policy on the bytes of a model file. Its header is checked; the bytes are used where they are, and not copied.
/// The policy acts after ddn_policy_verify, or after ddn_policy_assume_verified.
///
/// The handle may be open already, and is closed first. The file begins at an address divisible by four, at best by 16,
/// and stays there unchanged until the handle is closed.
///
/// Errors: 1 to 7, an argument; 16 to 47 if anything is wrong with the file. The handle is then closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_open(
    policy: *mut DdnPolicy,
    file: *const u8,
    file_len: usize,
) -> DdnStatus {
    let open = || {
        let policy = Lent::one(policy)?;
        // SAFETY: the contract of the header is that of `close`.
        unsafe { handle::close(policy) };
        let file = Lent::many(file, file_len)?;
        apart(&[policy.span()], &[file.span()])?;
        // SAFETY: the contract of the header is that of `open`.
        unsafe {
            handle::open(policy, file, |file| {
                let policy = Model::open(file)?.assume_verified();
                Ok(Opened { policy, verified: false })
            })
        }
    };
    open().into()
}

/// Closes a policy, so that the file may go away. A handle that is not open stays so.
///
/// Errors: 1 to 7, an argument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_close(policy: *mut DdnPolicy) -> DdnStatus {
    // SAFETY: the contract of the header is that of `close`.
    Lent::one(policy).map(|policy| unsafe { handle::close(policy) }).into()
}

/// Says what sizes the policy was trained for, in `sizes`.
///
/// Errors: 1 to 7, an argument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_sizes(policy: *const DdnPolicy, sizes: *mut DdnSizes) -> DdnStatus {
    // SAFETY: both are what the header says.
    unsafe {
        handle::answer(policy, sizes, |Opened { policy, .. }| {
            let spec = policy.spec();
            Ok(DdnSizes {
                memory_len: policy.memory_len(),
                scratch_len: policy.scratch_len(),
                obs_dim: spec.obs_dim(),
                n_actions: spec.n_actions(),
                n_agents: spec.n_agents(),
                recorded_steps: policy.recording().map_or(0, |recording| recording.len()),
            })
        })
    }
}

/// Gives the digest of everything a caller must agree with (inputs, actions, layout of the observation), in `text`: 64
/// hexadecimal digits, or no byte if the file does not say. A firmware compares it with the one it was written for.
///
/// Errors: 1 to 7, an argument; 7 if the digest is written with escapes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_contract(policy: *const DdnPolicy, text: *mut DdnText) -> DdnStatus {
    // SAFETY: both are what the header says.
    unsafe {
        handle::answer(policy, text, |Opened { policy, .. }| {
            policy.spec().contract().plain().map(give).ok_or(DdnStatus::Escaped)
        })
    }
}

/// Gives the name of an action, in `text`. `index` is below n_actions.
///
/// Errors: 1 to 7, an argument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_action_name(
    policy: *const DdnPolicy,
    index: u32,
    text: *mut DdnText,
) -> DdnStatus {
    // SAFETY: both are what the header says.
    unsafe {
        handle::answer(policy, text, |Opened { policy, .. }| {
            policy.spec().actions().nth(natural(index)).map(give).ok_or(DdnStatus::NoSuchIndex)
        })
    }
}

/// Checks every byte of the file, and replays the steps it carries, comparing every Q-value bit for bit. Then the policy may
/// act. `steps` becomes how many there were.
///
/// `memory`, `scratch`: as for ddn_policy_act. The memory is reset before and after.
///
/// Errors: 1 to 7, an argument; 16 to 79 if the file has no CRC or no recorded steps, or at the first check that fails. The
/// policy then may not act, and the memory needs a reset.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_verify(
    policy: *mut DdnPolicy,
    memory: *mut f32,
    memory_len: usize,
    scratch: *mut f32,
    scratch_len: usize,
    steps: *mut u32,
) -> DdnStatus {
    let test = || {
        let policy = Lent::one(policy)?;
        let memory = Lent::many(memory, memory_len)?;
        let scratch = Lent::many(scratch, scratch_len)?;
        let steps = Lent::one(steps)?;
        // SAFETY: the handle is what the header says.
        let file = unsafe { handle::get(policy) }?.file();
        apart(&[memory.span(), scratch.span(), steps.span()], &[policy.span(), file])?;
        // SAFETY: there is so much, and no two of them overlap.
        let (memory, scratch) = unsafe { (memory.as_mut_slice(), scratch.as_mut_slice()) };
        // SAFETY: the handle is what the header says, and this borrow ends before the handle is written to.
        let model = unsafe { handle::get(policy) }?.held().policy.clone().into_model();
        let count = model.recording().map_or(0, |recording| recording.len());
        let verified = model.verify(memory, scratch)?;
        // SAFETY: the handle is open, and nothing borrows it.
        unsafe { handle::put(policy, Opened { policy: verified, verified: true }) };
        // SAFETY: there is a place for the count.
        unsafe { steps.as_ptr().write(narrow(count)) };
        Ok(())
    };
    test().into()
}

/// Lets the policy act without a check: for a file that was verified before and cannot have changed since.
///
/// Errors: 1 to 7, an argument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_assume_verified(policy: *mut DdnPolicy) -> DdnStatus {
    let assume = || {
        let policy = Lent::one(policy)?;
        // SAFETY: the handle is what the header says, and this borrow ends before the handle is written to.
        let known = unsafe { handle::get(policy) }?.held().policy.clone();
        // SAFETY: the handle is open, and nothing borrows it.
        unsafe { handle::put(policy, Opened { policy: known, verified: true }) };
        Ok(())
    };
    assume().into()
}

/// Forgets an episode: fills the memory of one agent with zeros. To be called before the first step of each episode.
///
/// `memory`: at least memory_len floats.
///
/// Errors: 1 to 7, an argument; 48.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_reset(
    policy: *const DdnPolicy,
    memory: *mut f32,
    memory_len: usize,
) -> DdnStatus {
    let reset = || {
        let policy = Lent::one(policy)?;
        let memory = Lent::many(memory, memory_len)?;
        // SAFETY: the handle is what the header says.
        let sealed = unsafe { handle::get(policy) }?;
        if memory_len < sealed.held().policy.memory_len() {
            return Err(DdnStatus::Memory);
        }
        apart(&[memory.span()], &[policy.span(), sealed.file()])?;
        // SAFETY: there is so much, and it overlaps nothing.
        sealed.held().policy.reset(unsafe { memory.as_mut_slice() });
        Ok(())
    };
    reset().into()
}

/// The greedy action of one agent, in `action`. To be called once per control step, at the rate of training.
///
/// `memory`: at least memory_len floats, the agent's own, advanced by one step. `scratch`: at least scratch_len floats,
/// whatever they hold. Neither these two nor the action overlap each other or anything else that is named here.
///
/// Calls for different agents may run at the same time on one policy, each with a memory and a scratch of its own.
///
/// Errors: 1 to 8, an argument; 48 to 63 if a length or an index is wrong, the observation is not finite, or nothing is
/// available. Then nothing has been written, but for 56: no available action has a Q-value that is a number, and the
/// memory has been advanced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_policy_act(
    policy: *const DdnPolicy,
    memory: *mut f32,
    memory_len: usize,
    input: *const DdnInput,
    scratch: *mut f32,
    scratch_len: usize,
    action: *mut DdnAction,
) -> DdnStatus {
    let act = || {
        let (policy, input, action) = (Lent::one(policy)?, Lent::one(input)?, Lent::one(action)?);
        let memory = Lent::many(memory, memory_len)?;
        let scratch = Lent::many(scratch, scratch_len)?;
        // SAFETY: there is an input. Numbers and pointers may have any bits.
        let DdnInput { obs, obs_len, available, available_len, agent, last_action } =
            unsafe { input.as_ptr().read() };
        let obs = Lent::many(obs, obs_len)?;
        let available = Lent::many(available, available_len)?;
        // SAFETY: the handle is what the header says.
        let sealed = unsafe { handle::get(policy) }?;
        apart(
            &[memory.span(), scratch.span(), action.span()],
            &[policy.span(), sealed.file(), input.span(), obs.span(), available.span()],
        )?;
        // SAFETY: there is so much, and what is written overlaps nothing.
        let (memory, scratch) = unsafe { (memory.as_mut_slice(), scratch.as_mut_slice()) };
        // SAFETY: there is so much, and nothing that is written overlaps it.
        let (obs, available) = unsafe { (obs.as_slice(), available.as_slice()) };
        let input = AgentInput {
            obs,
            last_action: if last_action == DDN_NO_ACTION { None } else { Some(natural(last_action)) },
            agent_id: natural(agent),
            available: checked::try_cast_slice(available).map_err(|_| DdnStatus::Mask)?,
        };
        if !sealed.held().verified {
            return Err(DdnStatus::NotVerified);
        }
        let taken = sealed.held().policy.act(memory, input, scratch)?;
        let taken = DdnAction { q: taken.q.as_ptr(), q_len: taken.q.len(), index: narrow(taken.index) };
        // SAFETY: there is a place for the action.
        unsafe { action.as_ptr().write(taken) };
        Ok(())
    };
    act().into()
}

fn give(text: &str) -> DdnText {
    DdnText { start: text.as_ptr().cast(), len: text.len() }
}

/// A number of the caller as an index; one that is too large for an index is out of range.
pub(crate) fn natural(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// An index or a count as a number for the caller. Files hold indices below 2^16.
pub(crate) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
