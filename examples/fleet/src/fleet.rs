//! The boards as a team.

use ddn_fleet_board::message::{PROTOCOL, pack};
use ddn_fleet_board::{Card, Reply, Request};
use ddn_runtime::{Policy, crc32};

use crate::episode::{Choice, Team, View};
use crate::error::FleetError;
use crate::link::{Line, Link, Patience};

/// One board per agent.
pub struct Fleet<L> {
    links: Vec<Link<L>>,
    cards: Vec<Card>,
}

impl<L: Line> Fleet<L> {
    /// Tells each board behind `lines` which agent it is, and checks that it carries `policy`, which is `file`.
    ///
    /// # Errors
    /// If a board cannot be reached, refuses, speaks another protocol, or carries another file.
    pub fn meet(
        lines: Vec<L>,
        policy: &Policy<'_>,
        file: &[u8],
        patience: Patience,
    ) -> Result<Self, FleetError> {
        let links =
            lines.into_iter().enumerate().map(|(board, line)| Link::new(board, line, patience)).collect();
        let mut fleet = Self { links, cards: Vec::new() };
        for link in &mut fleet.links {
            let agent =
                u16::try_from(link.board()).map_err(|_| FleetError::Usage("too many boards".into()))?;
            link.begin(Request::Hello(agent))?;
        }
        for link in &mut fleet.links {
            let (board, during) = (link.board(), "hello");
            let Reply::Ready(card) = link.finish()? else { return Err(FleetError::Answer { board, during }) };
            check(board, &card, policy, file)?;
            fleet.cards.push(card);
        }
        Ok(fleet)
    }

    /// What each board said of itself.
    pub fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// The boards' lines.
    pub fn links(&mut self) -> &mut [Link<L>] {
        &mut self.links
    }
}

/// Whether a board is what it should be.
fn check(board: usize, card: &Card, policy: &Policy<'_>, file: &[u8]) -> Result<(), FleetError> {
    let spec = policy.spec();
    let contract: String = card.contract.iter().map(|byte| format!("{byte:02x}")).collect();
    let known = !spec.contract().is("");
    let hex = |crc: u32| format!("{crc:08x}");
    let rows = [
        ("protocol", card.protocol.to_string(), PROTOCOL.to_string()),
        ("agent", card.agent.to_string(), board.to_string()),
        ("agents of the team", card.n_agents.to_string(), spec.n_agents().to_string()),
        ("actions", card.n_actions.to_string(), spec.n_actions().to_string()),
        ("numbers of an observation", card.obs_dim.to_string(), spec.obs_dim().to_string()),
        ("contract", if known { contract } else { String::new() }, spec.contract().to_string()),
        ("bytes of the policy", card.file_len.to_string(), file.len().to_string()),
        ("CRC of the policy", hex(card.file_crc), hex(crc32(file))),
    ];
    let differ = rows.into_iter().find(|(_, board, host)| board != host);
    differ.map_or(Ok(()), |(what, has, wanted)| {
        Err(FleetError::Image { board, differ: format!("{what}: it has {has}, not {wanted}") })
    })
}

impl<L: Line> Team for Fleet<L> {
    fn reset(&mut self) -> Result<(), FleetError> {
        for link in &mut self.links {
            link.begin(Request::Reset)?;
        }
        for link in &mut self.links {
            let (board, during) = (link.board(), "reset");
            let Reply::Done = link.finish()? else { return Err(FleetError::Answer { board, during }) };
        }
        Ok(())
    }

    fn act(&mut self, views: &[View<'_>]) -> Result<Vec<Choice>, FleetError> {
        // All boards think at the same time.
        for (link, view) in self.links.iter_mut().zip(views) {
            let mut seen = Vec::new();
            pack(view.obs, view.available, |byte| seen.push(byte));
            link.begin(Request::Observe(&seen))?;
        }
        let act = |link: &mut Link<L>| {
            let (board, during) = (link.board(), "observe");
            match link.finish()? {
                Reply::Act { action, q } => Ok(Choice { action: usize::from(action), q }),
                _ => Err(FleetError::Answer { board, during }),
            }
        };
        self.links.iter_mut().map(act).collect()
    }
}
