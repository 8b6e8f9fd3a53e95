//! Noise on the line: never a wrong action, never a lost board.

use ddn_fleet_board::frame::MAX_PAYLOAD;
use ddn_fleet_board::message::pack;
use ddn_fleet_board::{Board, Frame, FrameError, Receiver, Refusal, Reply, Request};
use ddn_runtime::{AgentInput, Model};
use proptest::prelude::*;

fn file() -> &'static [u8] {
    ddn_runtime::flash!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../firmware/assets/policy.safetensors"))
}

fn line(frame: Frame<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    frame.send(|byte| line.push(byte)).expect("it is short enough");
    line
}

fn asked(sequence: u16, request: Request<'_>) -> Vec<u8> {
    line(Frame { kind: request.kind(), sequence, payload: &request.payload() })
}

fn observe(sequence: u16, obs: &[f32], available: &[bool]) -> Vec<u8> {
    let mut seen = Vec::new();
    pack(obs, available, |byte| seen.push(byte));
    asked(sequence, Request::Observe(&seen))
}

/// Kind, sequence and payload, or what was wrong.
type Found = Result<(u8, u16, Vec<u8>), FrameError>;

/// Every frame that is found in `bytes`, and every error.
fn frames(receiver: &mut Receiver, bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for &byte in bytes {
        if let Some(frame) = receiver.push(byte) {
            found.push(frame.map(|frame| (frame.kind, frame.sequence, frame.payload.to_vec())));
        }
    }
    found
}

/// What a board answers to `bytes`.
fn replies(board: &mut Board<'_>, bytes: &[u8]) -> Vec<(u16, Reply)> {
    let mut line = Vec::new();
    for &byte in bytes {
        board.receive(byte, |byte| line.push(byte));
    }
    let found = frames(&mut Receiver::new(), &line).into_iter();
    found
        .map(|frame| {
            let (kind, sequence, payload) = frame.expect("a board sends whole frames");
            (sequence, Reply::parse(kind, &payload).expect("a board sends replies"))
        })
        .collect()
}

/// An observation of the committed policy, another one for each `step`.
fn obs(step: usize) -> Vec<f32> {
    (0..75).map(|column| if (column * 7 + step * 13).is_multiple_of(11) { 1.0 } else { 0.0 }).collect()
}

const AVAILABLE: [bool; 6] = [true, false, true, true, true, true];

/// A board that plays as agent 2; its next request has number 2.
fn playing() -> Board<'static> {
    let mut board = Board::new(file());
    let ready = replies(&mut board, &asked(0, Request::Hello(2)));
    assert!(matches!(ready[..], [(0, Reply::Ready(card))] if card.agent == 2 && card.tested == 16));
    assert_eq!(replies(&mut board, &asked(1, Request::Reset)), [(1, Reply::Done)]);
    board
}

/// What the policy does at each of `steps` steps, without a board.
fn alone(steps: usize) -> Vec<Reply> {
    let policy = Model::open(file()).expect("the committed policy").assume_verified();
    let (mut memory, mut scratch) = (vec![0.0; policy.memory_len()], vec![0.0; policy.scratch_len()]);
    let mut last_action = None;
    let act = |step| {
        let input = AgentInput { obs: &obs(step), last_action, agent_id: 2, available: &AVAILABLE };
        let action = policy.act(&mut memory, input, &mut scratch).expect("a good step");
        last_action = Some(action.index);
        Reply::Act { action: action.index as u16, q: action.q[action.index] }
    };
    (0..steps).map(act).collect()
}

#[test]
fn a_board_acts_as_the_policy_does_and_a_repeated_request_changes_nothing() {
    let want = alone(40);
    let mut board = playing();
    for episode in 0..2 {
        for (step, want) in want.iter().enumerate() {
            let sequence = (2 + episode * 41 + step) as u16;
            let request = observe(sequence, &obs(step), &AVAILABLE);
            for _ in 0..=step % 3 {
                assert_eq!(replies(&mut board, &request), [(sequence, *want)], "step {step}");
            }
        }
        // Another episode begins from nothing.
        let sequence = (42 + episode * 41) as u16;
        assert_eq!(replies(&mut board, &asked(sequence, Request::Reset)), [(sequence, Reply::Done)]);
    }
}

#[test]
fn numbers_go_round() {
    let mut board = Board::new(file());
    replies(&mut board, &asked(u16::MAX, Request::Hello(0)));
    assert_eq!(replies(&mut board, &asked(0, Request::Reset)), [(0, Reply::Done)]);
}

#[test]
fn no_single_flipped_bit_makes_a_frame_and_the_next_frame_is_understood() {
    let (first, second) = (observe(2, &obs(0), &AVAILABLE), observe(3, &obs(1), &AVAILABLE));
    let mut receiver = Receiver::new();
    let whole = frames(&mut receiver, &second);
    for bit in 0..8 * first.len() {
        let mut broken = first.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        broken.extend(&second);
        let found: Vec<_> = frames(&mut receiver, &broken).into_iter().filter(Result::is_ok).collect();
        assert_eq!(found, whole, "bit {bit}");
    }
}

#[test]
fn a_board_does_not_act_on_a_flipped_bit() {
    let request = observe(2, &obs(0), &AVAILABLE);
    let want = alone(1)[0];
    let mut board = playing();
    for bit in 8..8 * request.len() {
        let mut broken = request.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let mut said = replies(&mut board, &broken);
        // Where the last zero was hit, the frame ends with the next one.
        said.extend(replies(&mut board, &[0]));
        assert!(
            !said.is_empty() && said.iter().all(|(_, reply)| *reply == Reply::Again),
            "bit {bit}: {said:?}"
        );
    }
    assert_eq!(replies(&mut board, &request), [(2, want)]);
}

#[test]
fn a_frame_cut_anywhere_is_no_frame_and_the_next_is_understood() {
    let (first, second) = (observe(2, &obs(0), &AVAILABLE), observe(3, &obs(1), &AVAILABLE));
    let mut receiver = Receiver::new();
    let whole = frames(&mut receiver, &second);
    // All but the last zero is a whole frame: the zero of the next one ends it.
    for cut in 0..first.len() - 1 {
        let found = frames(&mut receiver, &[&first[..cut], &second[..]].concat());
        let found: Vec<_> = found.into_iter().filter(Result::is_ok).collect();
        assert_eq!(found, whole, "{cut} bytes of the first");
    }
}

#[test]
fn what_a_board_will_not_do_it_says() {
    let refused = |board: &mut Board<'_>, request: &[u8]| match replies(board, request)[..] {
        [(_, Reply::Refuse(refusal))] => refusal,
        ref other => panic!("{other:?}"),
    };
    let good = |sequence| observe(sequence, &obs(0), &AVAILABLE);
    let mut board = Board::new(file());
    assert_eq!(refused(&mut board, &good(0)), Refusal::NoHello);
    assert_eq!(refused(&mut board, &asked(0, Request::Hello(4))), Refusal::Agent);
    assert_eq!(refused(&mut board, &asked(1, Request::Reset)), Refusal::NoHello);
    replies(&mut board, &asked(0, Request::Hello(3)));
    assert_eq!(refused(&mut board, &good(1)), Refusal::NoReset);

    let mut board = playing();
    assert_eq!(refused(&mut board, &good(7)), Refusal::Sequence);
    assert_eq!(refused(&mut board, &line(Frame { kind: 9, sequence: 2, payload: &[] })), Refusal::Unknown);
    assert_eq!(refused(&mut board, &observe(3, &obs(0)[1..], &AVAILABLE)), Refusal::Size);
    assert_eq!(refused(&mut board, &observe(4, &obs(0), &[true; 9])), Refusal::Size);
    assert_eq!(refused(&mut board, &observe(5, &[f32::NAN; 75], &AVAILABLE)), Refusal::NotFinite);
    assert_eq!(refused(&mut board, &observe(6, &obs(0), &[false; 6])), Refusal::NoAction);
    // None of that was a step.
    assert_eq!(replies(&mut board, &good(7)), [(7, alone(1)[0])]);

    for (bad, want) in [(&file()[..1000], Refusal::File), (&[], Refusal::File)] {
        let mut board = Board::new(bad);
        for request in [asked(0, Request::Hello(0)), asked(1, Request::Reset), good(2)] {
            assert_eq!(refused(&mut board, &request), want);
        }
    }
}

#[test]
fn a_policy_that_does_not_repeat_its_answers_is_refused() {
    // The last tensor of a canonical file holds recorded Q-values.
    let mut file = file().to_vec();
    let last = file.len() - 1;
    file[last] ^= 0x40;
    let mut board = Board::new(&file);
    let said = replies(&mut board, &asked(0, Request::Hello(0)));
    assert_eq!(said, [(0, Reply::Refuse(Refusal::SelfTest))]);
}

proptest! {
    #[test]
    fn a_frame_is_found_after_anything(
        before in proptest::collection::vec(any::<u8>(), 0..3000),
        kind in any::<u8>(), sequence in any::<u16>(),
        payload in proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(255), any::<u8>()], 0..=MAX_PAYLOAD),
    ) {
        let mut receiver = Receiver::new();
        let frame = line(Frame { kind, sequence, payload: &payload });
        prop_assert!(frame[1..frame.len() - 1].iter().all(|&byte| byte != 0));
        let found = frames(&mut receiver, &[before, frame].concat());
        prop_assert_eq!(found.last(), Some(&Ok((kind, sequence, payload))));
    }

    #[test]
    fn what_was_changed_is_not_taken_for_something_else(
        payload in proptest::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..400),
        flips in proptest::collection::vec(any::<proptest::sample::Index>(), 1..40),
        cut in any::<proptest::sample::Index>(), cuts in any::<bool>(),
    ) {
        let frame = Frame { kind: 3, sequence: 77, payload: &payload };
        let mut broken = line(frame);
        for flip in flips {
            let bit = flip.index(8 * broken.len());
            broken[bit / 8] ^= 1 << (bit % 8);
        }
        if cuts {
            broken.truncate(cut.index(broken.len()));
        }
        broken.push(0);
        for found in frames(&mut Receiver::new(), &broken).into_iter().flatten() {
            prop_assert_eq!(found, (3, 77, payload.clone()));
        }
    }

    #[test]
    fn a_board_outlives_garbage(noise in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let mut board = playing();
        for (_, reply) in replies(&mut board, &noise) {
            prop_assert_eq!(reply, Reply::Again);
        }
        let said = replies(&mut board, &observe(2, &obs(0), &AVAILABLE));
        prop_assert_eq!(said.last(), Some(&(2, alone(1)[0])));
    }

    #[test]
    fn a_board_outlives_frames_of_any_content(
        requests in proptest::collection::vec(
            (0..5_u8, 0..4_u16, proptest::collection::vec(any::<u8>(), 0..4)), 0..40),
    ) {
        let mut board = playing();
        for (kind, sequence, payload) in &requests {
            let said = replies(&mut board, &line(Frame { kind: *kind, sequence: *sequence, payload }));
            prop_assert!(matches!(said[..], [(number, reply)] if number == *sequence
                && !matches!(reply, Reply::Act { .. } | Reply::Again)), "{:?}", said);
        }
        replies(&mut board, &asked(9, Request::Hello(2)));
        replies(&mut board, &asked(10, Request::Reset));
        prop_assert_eq!(replies(&mut board, &observe(11, &obs(0), &AVAILABLE)), [(11, alone(1)[0])]);
    }
}
