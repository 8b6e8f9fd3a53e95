//! Frames between trainer and worker, little endian; the worker's side is `ddn_env/wire.py`.
//!
//! ```text
//! u32 bytes of the payload │ u16 kind │ u16 protocol │ u32 number │ payload
//! ```
//!
//! An answer carries the number of its command.

use crate::env::{EnvSpec, Frame};

/// Counts changes of this file that an older worker would not understand.
pub(super) const PROTOCOL: u16 = 1;

/// Bytes of a header.
pub(super) const HEADER: usize = 12;

/// Longest payload that is believed.
pub(super) const LONGEST: usize = 1 << 30;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Make the environments.
    Open = 1,
    /// Put their frames here.
    Map = 2,
    /// Reset and step some of them.
    Batch = 3,
    /// Give the whole state of one.
    Save = 4,
    /// Take it up again.
    Load = 5,
    /// Draw one.
    Render = 6,
    /// End.
    Close = 7,
    /// The worker is there.
    Hello = 101,
    /// What its environments are.
    Spec = 102,
    /// What came of it.
    Done = 103,
    /// A state, or a text.
    Bytes = 104,
    /// It could not be done.
    Error = 105,
}

impl Kind {
    fn of_answer(code: u16) -> Option<Self> {
        [Self::Hello, Self::Spec, Self::Done, Self::Bytes, Self::Error]
            .into_iter()
            .find(|kind| *kind as u16 == code)
    }
}

/// The header of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) length: usize,
}

impl Header {
    /// Reads a header; says what is wrong with one that cannot be.
    pub(super) fn read(bytes: [u8; HEADER]) -> Result<Self, String> {
        let [l0, l1, l2, l3, k0, k1, p0, p1, n0, n1, n2, n3] = bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (kind, protocol) = (u16::from_le_bytes([k0, k1]), u16::from_le_bytes([p0, p1]));
        match Kind::of_answer(kind) {
            Some(_) if protocol != PROTOCOL => Err(format!(
                "it speaks protocol {protocol}, this program {PROTOCOL}; install the ddn_env that belongs to it"
            )),
            Some(kind) if length <= LONGEST => {
                Ok(Self { kind, number: u32::from_le_bytes([n0, n1, n2, n3]), length })
            }
            _ => Err(format!("it sent {:?} where a frame should begin", String::from_utf8_lossy(&bytes))),
        }
    }
}

/// One command.
pub(super) fn frame(kind: Kind, number: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend((kind as u16).to_le_bytes());
    bytes.extend(PROTOCOL.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// One thing that an environment is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Begin an episode.
    Reset(u64),
    /// Take one action per agent.
    Step(Vec<usize>),
}

impl Deed {
    /// Adds this to the payload of a batch.
    pub(super) fn write(&self, seat: usize, payload: &mut Vec<u8>) {
        payload.extend((seat as u32).to_le_bytes());
        match self {
            Self::Reset(seed) => {
                payload.extend(0_u32.to_le_bytes());
                payload.extend(seed.to_le_bytes());
            }
            Self::Step(actions) => {
                payload.extend(1_u32.to_le_bytes());
                actions.iter().for_each(|&action| payload.extend((action as u32).to_le_bytes()));
            }
        }
    }
}

/// What came of a deed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Done {
    pub(super) seat: usize,
    pub(super) micros: u32,
    pub(super) reward: f64,
    pub(super) terminated: bool,
    pub(super) truncated: bool,
    pub(super) won: Option<bool>,
}

impl Done {
    /// Bytes of one.
    pub(super) const BYTES: usize = 24;

    /// Reads one; `None` where a flag is none.
    pub(super) fn read(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let [s0, s1, s2, s3, m0, m1, m2, m3, r @ .., terminated, truncated, won, _, _, _, _, _] = *bytes;
        let flag = |byte: u8| match byte {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        Some(Self {
            seat: u32::from_le_bytes([s0, s1, s2, s3]) as usize,
            micros: u32::from_le_bytes([m0, m1, m2, m3]),
            reward: f64::from_le_bytes(r),
            terminated: flag(terminated)?,
            truncated: flag(truncated)?,
            won: if won == 2 { None } else { Some(flag(won)?) },
        })
    }
}

/// Bytes of one environment's frame: `obs f32[N, O] | state f32[S] | available u8[N, A] | alive u8[N]`,
/// up to a multiple of eight.
pub(super) fn stride(spec: &EnvSpec) -> usize {
    let agents = spec.n_agents;
    (4 * (agents * spec.obs_dim + spec.state_dim) + agents * spec.n_actions() + agents).next_multiple_of(8)
}

/// Unpacks a frame of [`stride`] bytes; says where a value cannot be.
pub(super) fn unpack(bytes: &[u8], spec: &EnvSpec, frame: &mut Frame) -> Result<(), String> {
    let agents = spec.n_agents;
    let (obs, rest) = bytes.split_at(4 * agents * spec.obs_dim);
    let (state, rest) = rest.split_at(4 * spec.state_dim);
    let (available, rest) = rest.split_at(agents * spec.n_actions());
    floats(obs, &mut frame.obs);
    floats(state, &mut frame.state);
    flags(available, &mut frame.available);
    flags(&rest[..agents], &mut frame.alive);
    frame.teacher.clear();
    if let Some(at) = frame.obs.iter().position(|value| !value.is_finite()) {
        let (agent, index) = (at / spec.obs_dim, at % spec.obs_dim);
        return Err(format!("the observation of agent {agent} is {} at index {index}", frame.obs[at]));
    }
    if let Some(at) = frame.state.iter().position(|value| !value.is_finite()) {
        return Err(format!("the state is {} at index {at}", frame.state[at]));
    }
    match frame.available.chunks_exact(spec.n_actions()).position(|mask| !mask.contains(&true)) {
        Some(agent) => Err(format!("agent {agent} has no available action; leave at least one")),
        None => Ok(()),
    }
}

fn floats(bytes: &[u8], values: &mut Vec<f32>) {
    values.clear();
    values.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
}

fn flags(bytes: &[u8], values: &mut Vec<bool>) {
    values.clear();
    values.extend(bytes.iter().map(|&byte| byte != 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> EnvSpec {
        EnvSpec {
            name: "x".into(),
            n_agents: 2,
            actions: vec!["a".into(), "b".into(), "c".into()],
            obs_dim: 2,
            state_dim: 1,
            teacher_dim: 0,
            episode_limit: 5,
            obs_layout: "x".into(),
            best_return: None,
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_noise_is_refused() {
        let bytes = frame(Kind::Done, 7, b"abc");
        let header = Header::read(*bytes.first_chunk().expect("a header")).expect("reads");
        assert_eq!(header, Header { kind: Kind::Done, number: 7, length: 3 });
        let noise = Header::read(*b"hello world\n").expect_err("noise");
        assert!(noise.contains("where a frame should begin"), "{noise}");
        // A command is no answer; another protocol is named; an absurd length is noise.
        assert!(Header::read(*frame(Kind::Batch, 0, b"").first_chunk().expect("a header")).is_err());
        let mut other = frame(Kind::Done, 7, b"");
        other[6] = 9;
        let old = Header::read(*other.first_chunk().expect("a header")).expect_err("protocol 9");
        assert!(old.contains("protocol 9"), "{old}");
        let mut long = frame(Kind::Done, 7, b"");
        long[3] = 0xff;
        assert!(Header::read(*long.first_chunk().expect("a header")).is_err());
    }

    #[test]
    fn deeds_and_results_have_the_layout_that_the_worker_knows() {
        let mut payload = Vec::new();
        Deed::Reset(0x0102).write(3, &mut payload);
        Deed::Step(vec![4, 5]).write(1, &mut payload);
        assert_eq!(payload[..16], [3, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(payload[16..], [1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0]);

        let mut bytes = [0; Done::BYTES];
        (bytes[0], bytes[4]) = (2, 9);
        bytes[8..16].copy_from_slice(&(-1.5_f64).to_le_bytes());
        (bytes[17], bytes[18]) = (1, 2);
        let want = Done { seat: 2, micros: 9, reward: -1.5, terminated: false, truncated: true, won: None };
        assert_eq!(Done::read(&bytes), Some(want));
        bytes[16] = 3;
        assert_eq!(Done::read(&bytes), None);
    }

    #[test]
    fn a_frame_is_unpacked_and_its_faults_are_named() {
        let spec = spec();
        // Five floats, six flags for actions, two for agents: 28, up to 32.
        assert_eq!(stride(&spec), 32);
        let mut bytes: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0, 5.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        bytes.extend([1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
        let mut frame = Frame::default();
        unpack(&bytes, &spec, &mut frame).expect("it is whole");
        assert_eq!(
            (frame.obs.as_slice(), frame.state.as_slice()),
            ([1.0, 2.0, 3.0, 4.0].as_slice(), [5.0].as_slice())
        );
        assert_eq!(frame.available, [true, false, false, true, true, true]);
        assert_eq!(frame.alive, [true, false]);

        let mut damaged = bytes.clone();
        damaged[12..16].copy_from_slice(&f32::NAN.to_le_bytes());
        let said = unpack(&damaged, &spec, &mut frame).expect_err("not a number");
        assert_eq!(said, "the observation of agent 1 is NaN at index 1");
        damaged = bytes.clone();
        damaged[16..20].copy_from_slice(&f32::INFINITY.to_le_bytes());
        assert_eq!(unpack(&damaged, &spec, &mut frame).expect_err("infinite"), "the state is inf at index 0");
        bytes[20] = 0;
        let said = unpack(&bytes, &spec, &mut frame).expect_err("nothing to do");
        assert!(said.starts_with("agent 0 has no available action"), "{said}");
    }
}
