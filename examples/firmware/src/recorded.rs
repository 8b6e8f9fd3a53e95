//! What an agent saw in the first recorded episode: a stand-in for sensors.

use ddn_runtime::{AgentSpec, Recording};

/// The observations and the masks of the first episode of the usual file, for a policy of `spec`. None if the sizes are
/// others.
pub fn episode<const OBS: usize, const ACTIONS: usize>(
    spec: &AgentSpec<'_>,
) -> impl Iterator<Item = ([f32; OBS], [bool; ACTIONS])> + use<OBS, ACTIONS> {
    let episodes = Recording::from_bytes(ddn_runtime::flash!(env!("DDN_EPISODES_FILE")), spec);
    let steps = episodes.ok().map(|episodes| episodes.steps());
    // Each episode begins without a last action.
    let steps = steps.into_iter().flatten().enumerate();
    steps.take_while(|(index, step)| *index == 0 || step.last_action.is_some()).filter_map(|(_, step)| {
        let (mut obs, mut available) = ([0.0; OBS], [false; ACTIONS]);
        for (to, value) in available.iter_mut().zip(step.available.iter()) {
            *to = value > 0.0;
        }
        step.obs.copy_to(&mut obs);
        (step.obs.len() == OBS && step.available.len() == ACTIONS).then_some((obs, available))
    })
}
