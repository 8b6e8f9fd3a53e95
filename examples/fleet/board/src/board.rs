//! The board: an agent that answers requests.

use ddn_runtime::{AgentInput, Model, Policy, Recording, crc32};

use crate::frame::{Frame, Receiver};
use crate::message::{Card, PROTOCOL, Refusal, Reply, Request, unpack};
use crate::{MAX_ACTIONS, MAX_MEMORY, MAX_OBS, MAX_SCRATCH};

/// One agent of a team.
///
/// A request is done once: if its number comes again, because the reply was lost, the same reply is given again and
/// memory and last action stay as they are.
#[derive(Debug)]
pub struct Board<'m> {
    receiver: Receiver,
    seat: Seat<'m>,
}

/// Everything but the line.
#[derive(Debug)]
struct Seat<'m> {
    policy: Result<Policy<'m>, Refusal>,
    card: Card,
    memory: [f32; MAX_MEMORY],
    scratch: [f32; MAX_SCRATCH],
    obs: [f32; MAX_OBS],
    available: [bool; MAX_ACTIONS],
    /// Number of the last request, and what was answered; nothing before hello.
    answered: Option<(u16, Reply)>,
    playing: bool,
    last_action: Option<usize>,
}

impl<'m> Board<'m> {
    /// Opens and tests the policy in `file`. If it cannot be used, the board refuses every request and says why.
    pub fn new(file: &'m [u8]) -> Self {
        let mut seat = Seat {
            policy: Err(Refusal::File),
            card: Card {
                protocol: PROTOCOL,
                agent: 0,
                n_agents: 0,
                n_actions: 0,
                obs_dim: 0,
                tested: 0,
                file_len: u32::try_from(file.len()).unwrap_or(u32::MAX),
                file_crc: crc32(file),
                contract: [0; 32],
            },
            memory: [0.0; MAX_MEMORY],
            scratch: [0.0; MAX_SCRATCH],
            obs: [0.0; MAX_OBS],
            available: [false; MAX_ACTIONS],
            answered: None,
            playing: false,
            last_action: None,
        };
        seat.policy = seat.open(file);
        Self { receiver: Receiver::new(), seat }
    }

    /// Takes a byte from the line. Where it ends a request, the bytes of the reply go to `put`, one by one.
    pub fn receive(&mut self, byte: u8, put: impl FnMut(u8)) {
        let (sequence, reply) = match self.receiver.push(byte) {
            None => return,
            Some(Ok(frame)) => (frame.sequence, self.seat.answer(&frame)),
            Some(Err(_)) => (self.seat.answered.map_or(0, |(sequence, _)| sequence), Reply::Again),
        };
        let frame = Frame { kind: reply.kind(), sequence, payload: &reply.payload() };
        // Replies are shorter than the longest frame.
        let _ = frame.send(put);
    }
}

impl<'m> Seat<'m> {
    fn open(&mut self, file: &'m [u8]) -> Result<Policy<'m>, Refusal> {
        let model = Model::open(file).map_err(|_| Refusal::File)?;
        let large = model.spec().obs_dim() > MAX_OBS || model.spec().n_actions() > MAX_ACTIONS;
        if large || model.memory_len() > MAX_MEMORY || model.scratch_len() > MAX_SCRATCH {
            return Err(Refusal::Large);
        }
        let tested = model.recording().map_or(0, Recording::len);
        let policy = model.verify(&mut self.memory, &mut self.scratch).map_err(|_| Refusal::SelfTest)?;
        let spec = policy.spec();
        let short = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
        self.card.n_agents = short(spec.n_agents());
        self.card.n_actions = short(spec.n_actions());
        self.card.obs_dim = short(spec.obs_dim());
        self.card.tested = short(tested);
        let mut digits = spec.contract().chars();
        for byte in &mut self.card.contract {
            let mut digit = || digits.next().and_then(|c| c.to_digit(16)).and_then(|d| u8::try_from(d).ok());
            *byte = digit().unwrap_or(0) << 4 | digit().unwrap_or(0);
        }
        Ok(policy)
    }

    /// Does what a frame asks for, unless that was done already.
    fn answer(&mut self, frame: &Frame<'_>) -> Reply {
        let request = Request::parse(frame.kind, frame.payload);
        let reply = match (request, self.answered) {
            (Some(Request::Hello(agent)), _) => match self.hello(agent) {
                Err(refusal) => return Reply::Refuse(refusal),
                ready => ready,
            },
            (_, None) => return Reply::Refuse(*self.policy.as_ref().err().unwrap_or(&Refusal::NoHello)),
            (_, Some((before, reply))) if before == frame.sequence => return reply,
            (_, Some((before, _))) if before.wrapping_add(1) != frame.sequence => {
                return Reply::Refuse(Refusal::Sequence);
            }
            (None, _) => Err(Refusal::Unknown),
            (Some(Request::Reset), _) => Ok(self.reset()),
            (Some(Request::Observe(seen)), _) => self.act(seen),
        };
        let reply = reply.unwrap_or_else(Reply::Refuse);
        self.answered = Some((frame.sequence, reply));
        reply
    }

    /// Begins anew, whatever was before.
    fn hello(&mut self, agent: u16) -> Result<Reply, Refusal> {
        self.answered = None;
        let policy = self.policy.as_ref().map_err(|&refusal| refusal)?;
        if usize::from(agent) >= policy.spec().n_agents() {
            return Err(Refusal::Agent);
        }
        self.card.agent = agent;
        self.playing = false;
        Ok(Reply::Ready(self.card))
    }

    fn reset(&mut self) -> Reply {
        self.memory.fill(0.0);
        self.last_action = None;
        self.playing = true;
        Reply::Done
    }

    fn act(&mut self, seen: &[u8]) -> Result<Reply, Refusal> {
        let policy = self.policy.as_ref().map_err(|&refusal| refusal)?;
        if !self.playing {
            return Err(Refusal::NoReset);
        }
        let (obs_dim, n_actions) = (policy.spec().obs_dim(), policy.spec().n_actions());
        let obs = self.obs.get_mut(..obs_dim).ok_or(Refusal::Large)?;
        let available = self.available.get_mut(..n_actions).ok_or(Refusal::Large)?;
        if !unpack(seen, obs, available) {
            return Err(Refusal::Size);
        }
        let (last_action, agent_id) = (self.last_action, usize::from(self.card.agent));
        let input = AgentInput { obs, last_action, agent_id, available };
        let action = policy.act(&mut self.memory, input, &mut self.scratch)?;
        self.last_action = Some(action.index);
        let q = action.q.get(action.index).copied().unwrap_or(f32::NAN);
        Ok(Reply::Act { action: u16::try_from(action.index).map_err(|_| Refusal::Large)?, q })
    }
}
