//! Recorded steps: what an agent saw, and what the policy answered. For replay on a device.
#![allow(unsafe_code)] // exported names, pointers of the caller

use ddn_runtime::Recording;

use crate::handle::{self, DdnPolicy, DdnRecording};
use crate::pointer::{Lent, apart};
use crate::policy::{DDN_NO_ACTION, narrow, natural};
use crate::status::DdnStatus;

/// One recorded step of one agent. The vectors lie in the file.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DdnStep {
    /// The observation.
    pub obs: *const f32,
    /// One number for each action: 1 if it might be chosen, else 0.
    pub available: *const f32,
    /// The Q-values the policy gave, one for each action.
    pub q: *const f32,
    /// Length of the observation, obs_dim.
    pub obs_len: usize,
    /// Length of the two others, n_actions.
    pub n_actions: usize,
    /// Which agent.
    pub agent: u32,
    /// The previous action. DDN_NO_ACTION begins an episode: the memory is reset before this step.
    pub last_action: u32,
    /// The action that was chosen.
    pub action: u32,
}

/// Opens the recorded steps of a file, for a policy of the same sizes. `steps` becomes how many there are.
///
/// `file`: an episode file, or a model file that carries steps; else as for ddn_policy_open. The policy may be closed
/// afterwards.
///
/// Errors: 1 to 7, an argument; 16 to 47 if anything is wrong with the file. The handle is then closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_recording_open(
    recording: *mut DdnRecording,
    policy: *const DdnPolicy,
    file: *const u8,
    file_len: usize,
    steps: *mut u32,
) -> DdnStatus {
    let open = || {
        let handle = Lent::one(recording)?;
        // SAFETY: the contract of the header is that of `close`.
        unsafe { handle::close(handle) };
        let (policy, steps) = (Lent::one(policy)?, Lent::one(steps)?);
        let file = Lent::many(file, file_len)?;
        // SAFETY: the handle is what the header says.
        let sealed = unsafe { handle::get(policy) }?;
        apart(&[handle.span(), steps.span()], &[policy.span(), sealed.file(), file.span()])?;
        let mut count = 0;
        let read = |file| {
            let recording = Recording::from_bytes(file, sealed.held().policy.spec())?;
            count = recording.len();
            Ok(recording)
        };
        // SAFETY: the contract of the header is that of `open`.
        unsafe { handle::open(handle, file, read) }?;
        // SAFETY: there is a place for the count.
        unsafe { steps.as_ptr().write(narrow(count)) };
        Ok(())
    };
    open().into()
}

/// Closes recorded steps, so that the file may go away. A handle that is not open stays so.
///
/// Errors: 1 to 7, an argument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_recording_close(recording: *mut DdnRecording) -> DdnStatus {
    // SAFETY: the contract of the header is that of `close`.
    Lent::one(recording).map(|recording| unsafe { handle::close(recording) }).into()
}

/// Gives one recorded step, in `step`. `index` is below the number of steps.
///
/// Errors: 1 to 7, an argument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddn_recording_step(
    recording: *const DdnRecording,
    index: u32,
    step: *mut DdnStep,
) -> DdnStatus {
    let find = |recording: &Recording<'static>| {
        let found = recording.step(natural(index)).ok_or(DdnStatus::NoSuchIndex)?;
        Ok(DdnStep {
            obs: found.obs.as_slice().as_ptr(),
            available: found.available.as_slice().as_ptr(),
            q: found.q.as_slice().as_ptr(),
            obs_len: found.obs.len(),
            n_actions: found.q.len(),
            agent: narrow(found.agent),
            last_action: found.last_action.map_or(DDN_NO_ACTION, narrow),
            action: narrow(found.action),
        })
    };
    // SAFETY: both are what the header says.
    unsafe { handle::answer(recording, step, find) }
}
