//! What frames carry. A reply's kind is that of its request with the highest bit set.
//!
//! | Kind | From | Name | Payload |
//! |---|---|---|---|
//! | `01` | host | hello | agent u16 |
//! | `81` | board | ready | a [`Card`], 52 bytes |
//! | `02` | host | reset | none |
//! | `82` | board | done | none |
//! | `03` | host | observe | obs f32 `[O]`, then the mask of available actions, one bit each from bit 0 of the first byte |
//! | `83` | board | act | action u16, its Q-value f32 |
//! | `f0` | board | again | none: something came that is no frame |
//! | `f1` | board | refuse | code u8 of a [`Refusal`] |

use core::fmt;

use ddn_runtime::ActError;
use heapless::Vec;

use crate::frame::MAX_PAYLOAD;

/// Version of this protocol. Ends that speak different ones do not play together.
pub const PROTOCOL: u16 = 1;

const HELLO: u8 = 0x01;
const RESET: u8 = 0x02;
const OBSERVE: u8 = 0x03;
const REPLY: u8 = 0x80;
const AGAIN: u8 = 0xf0;
const REFUSE: u8 = 0xf1;

/// What the host asks of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// From now on the board is this agent of the team.
    Hello(u16),
    /// An episode begins: forget the one before.
    Reset,
    /// What the agent sees, as [`pack`] wrote it and [`unpack`] reads it.
    Observe(&'a [u8]),
}

impl<'a> Request<'a> {
    /// What a frame from the host asks for; `None` if it asks for nothing that there is.
    pub fn parse(kind: u8, payload: &'a [u8]) -> Option<Self> {
        match (kind, payload) {
            (HELLO, &[a0, a1]) => Some(Self::Hello(u16::from_le_bytes([a0, a1]))),
            (RESET, []) => Some(Self::Reset),
            (OBSERVE, seen) => Some(Self::Observe(seen)),
            _ => None,
        }
    }

    /// The kind of its frame.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Reset => RESET,
            Self::Observe(_) => OBSERVE,
        }
    }

    /// The payload of its frame.
    pub fn payload(&self) -> Vec<u8, MAX_PAYLOAD> {
        let number;
        let bytes: &[u8] = match self {
            Self::Hello(agent) => {
                number = agent.to_le_bytes();
                &number
            }
            Self::Reset => &[],
            Self::Observe(seen) => seen,
        };
        gather(bytes.iter().copied())
    }

    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Reset => "reset",
            Self::Observe(_) => "observe",
        }
    }
}

/// The bytes as a payload; what does not fit is left out.
fn gather<const N: usize>(bytes: impl Iterator<Item = u8>) -> Vec<u8, N> {
    let mut payload = Vec::new();
    for byte in bytes {
        let _ = payload.push(byte);
    }
    payload
}

/// Writes what an agent sees as the payload of [`Request::Observe`].
pub fn pack(obs: &[f32], available: &[bool], mut put: impl FnMut(u8)) {
    obs.iter().flat_map(|value| value.to_le_bytes()).for_each(&mut put);
    for eight in available.chunks(8) {
        put(eight.iter().rev().fold(0, |byte, &flag| byte << 1 | u8::from(flag)));
    }
}

/// Reads what [`pack`] wrote into slices of the same lengths; `false`, and nothing of use in them, if the payload has
/// another length, or bits beyond the last action.
pub fn unpack(payload: &[u8], obs: &mut [f32], available: &mut [bool]) -> bool {
    let numbers = obs.len().saturating_mul(4);
    let Some((numbers, mask)) = payload.split_at_checked(numbers) else { return false };
    if mask.len() != available.len().div_ceil(8) {
        return false;
    }
    for (value, bytes) in obs.iter_mut().zip(numbers.as_chunks().0) {
        *value = f32::from_le_bytes(*bytes);
    }
    let mut rest = 0;
    for (eight, &byte) in available.chunks_mut(8).zip(mask) {
        rest = byte;
        for flag in eight {
            *flag = rest & 1 == 1;
            rest >>= 1;
        }
    }
    rest == 0
}

/// Who a board is and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// [`PROTOCOL`] of the firmware.
    pub protocol: u16,
    /// Which agent it was told to be.
    pub agent: u16,
    /// N, agents of the policy's team.
    pub n_agents: u16,
    /// A, actions.
    pub n_actions: u16,
    /// O, floats of an observation.
    pub obs_dim: u16,
    /// Recorded steps that the policy repeated bit for bit on this board; 0 if the file carries none.
    pub tested: u16,
    /// Bytes of the policy's file.
    pub file_len: u32,
    /// CRC-32 of the policy's file.
    pub file_crc: u32,
    /// The file's `ddn.contract`, 32 bytes of SHA-256; zeros if it has none.
    pub contract: [u8; 32],
}

/// Bytes of a [`Card`].
const CARD: usize = 52;

impl Card {
    fn write(&self) -> Vec<u8, CARD> {
        let shorts = [self.protocol, self.agent, self.n_agents, self.n_actions, self.obs_dim, self.tested];
        let longs = [self.file_len, self.file_crc];
        let shorts = shorts.into_iter().flat_map(u16::to_le_bytes);
        let longs = longs.into_iter().flat_map(u32::to_le_bytes);
        gather(shorts.chain(longs).chain(self.contract))
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (shorts, rest) = payload.split_first_chunk::<12>()?;
        let (longs, contract) = rest.split_first_chunk::<8>()?;
        let &[protocol, agent, n_agents, n_actions, obs_dim, tested] =
            shorts.as_chunks().0.first_chunk::<6>()?;
        let &[file_len, file_crc] = longs.as_chunks().0.first_chunk::<2>()?;
        let (short, long) = (u16::from_le_bytes, u32::from_le_bytes);
        Some(Self {
            protocol: short(protocol),
            agent: short(agent),
            n_agents: short(n_agents),
            n_actions: short(n_actions),
            obs_dim: short(obs_dim),
            tested: short(tested),
            file_len: long(file_len),
            file_crc: long(file_crc),
            contract: contract.try_into().ok()?,
        })
    }
}

/// What a board answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply {
    /// To hello.
    Ready(Card),
    /// To reset.
    Done,
    /// To observe.
    Act {
        /// The chosen action.
        action: u16,
        /// Its Q-value.
        q: f32,
    },
    /// Something came that is no frame: say it again.
    Again,
    /// The request was understood and will not be done.
    Refuse(Refusal),
}

impl Reply {
    /// What a frame from a board says; `None` if it says nothing that there is.
    pub fn parse(kind: u8, payload: &[u8]) -> Option<Self> {
        match kind.checked_sub(REPLY)? {
            HELLO => Card::read(payload).map(Self::Ready),
            RESET if payload.is_empty() => Some(Self::Done),
            OBSERVE => {
                let &[a0, a1, q0, q1, q2, q3] = payload.first_chunk()?;
                let (action, q) = (u16::from_le_bytes([a0, a1]), f32::from_le_bytes([q0, q1, q2, q3]));
                (payload.len() == 6).then_some(Self::Act { action, q })
            }
            _ => match (kind, payload) {
                (AGAIN, []) => Some(Self::Again),
                (REFUSE, &[code]) => Refusal::ALL.get(usize::from(code)).copied().map(Self::Refuse),
                _ => None,
            },
        }
    }

    /// The kind of its frame.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Ready(_) => HELLO | REPLY,
            Self::Done => RESET | REPLY,
            Self::Act { .. } => OBSERVE | REPLY,
            Self::Again => AGAIN,
            Self::Refuse(_) => REFUSE,
        }
    }

    /// The payload of its frame.
    pub fn payload(&self) -> Vec<u8, CARD> {
        match self {
            Self::Ready(card) => card.write(),
            Self::Done | Self::Again => Vec::new(),
            Self::Act { action, q } => gather(action.to_le_bytes().into_iter().chain(q.to_le_bytes())),
            Self::Refuse(refusal) => gather([refusal.code()].into_iter()),
        }
    }
}

/// Why a board will not do what it was asked for. Its code is its place in [`Refusal::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The file in flash is no policy that the runtime can run.
    File,
    /// The policy needs more memory than the firmware keeps for it.
    Large,
    /// The policy does not repeat its recorded steps on this board.
    SelfTest,
    /// The policy's team has no such agent.
    Agent,
    /// There was no hello: the board was started anew.
    NoHello,
    /// There was no reset: no episode has begun.
    NoReset,
    /// The request's number does not follow the one before.
    Sequence,
    /// No such request.
    Unknown,
    /// Observation or mask have another length.
    Size,
    /// A number of the observation is infinite or none.
    NotFinite,
    /// The mask allows nothing.
    NoAction,
    /// The policy gave no number for any action.
    NotANumber,
}

impl Refusal {
    /// Every refusal, in the order of their codes.
    pub const ALL: [Self; 12] = [
        Self::File,
        Self::Large,
        Self::SelfTest,
        Self::Agent,
        Self::NoHello,
        Self::NoReset,
        Self::Sequence,
        Self::Unknown,
        Self::Size,
        Self::NotFinite,
        Self::NoAction,
        Self::NotANumber,
    ];

    fn code(self) -> u8 {
        let place = Self::ALL.iter().position(|&other| other == self);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
    }
}

impl From<ActError> for Refusal {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Memory { .. } | ActError::Scratch { .. } => Self::Large,
            ActError::Index => Self::Agent,
            ActError::NotFinite => Self::NotFinite,
            ActError::NoAction => Self::NoAction,
            ActError::NotANumber => Self::NotANumber,
            _ => Self::Size,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "the file in its flash is no policy",
            Self::Large => "the policy needs more memory than the firmware keeps for it",
            Self::SelfTest => "the policy is damaged, or does not repeat its recorded steps on it",
            Self::Agent => "the policy's team has no such agent",
            Self::NoHello => "it was started anew, and has not been told who it is",
            Self::NoReset => "no episode has begun",
            Self::Sequence => "the request's number does not follow the one before",
            Self::Unknown => "it knows no such request",
            Self::Size => "observation or mask have another length than the policy's",
            Self::NotFinite => "the observation is not finite",
            Self::NoAction => "no action is available",
            Self::NotANumber => "the policy gave no number for any action",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Card = Card {
        protocol: 1,
        agent: 2,
        n_agents: 3,
        n_actions: 4,
        obs_dim: 5,
        tested: 6,
        file_len: 7,
        file_crc: 8,
        contract: [9; 32],
    };

    #[test]
    fn replies_read_back_as_themselves_and_their_kinds_differ() {
        let refusals = Refusal::ALL.map(Reply::Refuse);
        let others = [Reply::Ready(CARD), Reply::Done, Reply::Act { action: 513, q: -2.5 }, Reply::Again];
        for reply in refusals.iter().chain(&others) {
            assert_eq!(Reply::parse(reply.kind(), &reply.payload()), Some(*reply));
            assert_eq!(Request::parse(reply.kind(), &reply.payload()), None);
            let longer: Vec<u8, 64> = reply.payload().into_iter().chain([0]).collect();
            assert_eq!(Reply::parse(reply.kind(), &longer), None, "{reply:?}");
        }
        assert_eq!(Reply::parse(REFUSE, &[12]), None);
    }

    #[test]
    fn requests_read_back_as_themselves() {
        for request in [Request::Hello(300), Request::Reset, Request::Observe(&[1, 2, 3])] {
            assert_eq!(Request::parse(request.kind(), &request.payload()), Some(request));
            assert_eq!(Reply::parse(request.kind(), &request.payload()), None);
        }
        assert_eq!(Request::parse(HELLO, &[1]), None);
        assert_eq!(Request::parse(RESET, &[1]), None);
    }

    #[test]
    fn what_is_seen_reads_back_bit_by_bit() {
        for count in 1..=17 {
            let mut available = [false; 17];
            available.iter_mut().enumerate().for_each(|(i, flag)| *flag = (i * i) % 3 == 1);
            let available = &available[..count];
            let mut payload = Vec::<u8, 32>::new();
            pack(&[1.5, f32::MIN_POSITIVE, -0.0], available, |byte| payload.push(byte).expect("it fits"));
            assert_eq!(payload.len(), 12 + count.div_ceil(8));
            let (mut obs, mut flags) = ([0.0; 3], [true; 17]);
            assert!(unpack(&payload, &mut obs, &mut flags[..count]));
            assert_eq!(obs.map(f32::to_bits), [1.5, f32::MIN_POSITIVE, -0.0].map(f32::to_bits));
            assert_eq!(flags[..count], *available);
            assert!(!unpack(&payload[1..], &mut obs, &mut flags[..count]));
            if count % 8 != 0 {
                *payload.last_mut().expect("a mask") |= 0x80;
                assert!(!unpack(&payload, &mut obs, &mut flags[..count]), "a bit beyond the last action");
            }
        }
    }
}
