//! Episodes that every rank plays its share of.

use serde::{Deserialize, Serialize};

use super::Team;
use crate::env::Env;
use crate::error::LearnError;
use crate::replay::{Episode, PackedRows};
use crate::rollout::{Plan, Played, Player, play, play_ids};

/// An episode on its way to the other ranks.
#[derive(Serialize, Deserialize)]
struct Sent {
    episode: Episode,
    teacher: Option<PackedRows>,
    won: Option<bool>,
}

/// The episodes of `plan` in their order, as [`play`] gives them, on all ranks alike.
///
/// `envs` are those of `slots` environments that this rank owns. Utilities are not recorded.
///
/// # Errors
/// As [`play`], and if another rank is gone.
pub fn play_together(
    team: &Team,
    player: Player<'_>,
    (envs, slots): (&mut [Box<dyn Env>], usize),
    plan: &Plan<'_>,
) -> Result<Vec<Played>, LearnError> {
    if team.is_alone() {
        return play(player, envs, plan);
    }
    let mut mine = Vec::new();
    for first in (0..plan.count).step_by(slots) {
        let open = (first..plan.count.min(first + slots)).filter(|slot| team.owns(*slot as u64));
        let ids: Vec<u64> = open.map(|slot| plan.first + slot as u64).collect();
        for (id, Played { mut episode, won, .. }) in
            ids.iter().zip(play_ids(player, &mut envs[..ids.len()], plan, &ids)?)
        {
            let teacher = episode.teacher.take();
            mine.push((*id, Sent { episode, teacher, won }));
        }
    }
    let all = team.share(mine)?;
    let played = all.into_iter().map(|(_, Sent { mut episode, teacher, won })| {
        episode.teacher = teacher;
        Played { episode, won, q: Vec::new() }
    });
    Ok(played.collect())
}
