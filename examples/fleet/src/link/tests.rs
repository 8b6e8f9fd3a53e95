//! The host's end against the board's, over lines that go wrong.

use std::collections::VecDeque;
use std::path::Path;

use ddn_fleet_board::message::pack;
use ddn_fleet_board::{Board, Refusal};
use proptest::prelude::*;

use super::*;

/// What happens to the bytes of one direction: the n-th is dropped, doubled, changed, or let through.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Pass,
    Drop,
    Double,
    Change(u8),
}

/// A board at the end of a noisy line. It waits for nothing: what is not there now will not come.
struct Noisy<'m> {
    board: Board<'m>,
    fates: [VecDeque<Fate>; 2],
    to_host: VecDeque<u8>,
    sent: usize,
}

fn pass(fates: &mut VecDeque<Fate>, byte: u8, mut put: impl FnMut(u8)) {
    match fates.pop_front().unwrap_or(Fate::Pass) {
        Fate::Pass => put(byte),
        Fate::Drop => {}
        Fate::Double => [byte, byte].into_iter().for_each(put),
        Fate::Change(bits) => put(byte ^ bits),
    }
}

impl Line for Noisy<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.sent += 1;
        let [to_board, to_host] = &mut self.fates;
        for &byte in bytes {
            pass(to_board, byte, |byte| {
                self.board.receive(byte, |byte| pass(to_host, byte, |byte| self.to_host.push_back(byte)));
            });
        }
        Ok(())
    }

    fn receive(&mut self, _: Duration) -> Result<Option<u8>, Broken> {
        Ok(self.to_host.pop_front())
    }
}

fn file() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/assets/policy.safetensors");
    std::fs::read(path).expect("it is committed")
}

/// Which steps were taken, and why no more.
type Played = (Vec<(u16, u32)>, Option<FleetError>);

/// An episode of 12 steps, as agent 1.
fn played(file: &[u8], fates: [VecDeque<Fate>; 2], tries: u32) -> (Played, usize) {
    let line = Noisy { board: Board::new(file), fates, to_host: VecDeque::new(), sent: 0 };
    let mut link = Link::new(1, line, Patience { wait: Duration::from_secs(3600), tries });
    let mut actions = Vec::new();
    let mut steps = || -> Result<(), FleetError> {
        link.begin(Request::Hello(1))?;
        assert!(matches!(link.finish()?, Reply::Ready(card) if card.agent == 1));
        link.begin(Request::Reset)?;
        assert_eq!(link.finish()?, Reply::Done);
        for step in 0..12 {
            let obs: Vec<f32> = (0..75).map(|column| f32::from((column * 5 + step * 3) % 7 == 0)).collect();
            let mut seen = Vec::new();
            pack(&obs, &[true, true, step % 2 == 0, true, true, true], |byte| seen.push(byte));
            link.begin(Request::Observe(&seen))?;
            let Reply::Act { action, q } = link.finish()? else { panic!("another reply") };
            actions.push((action, q.to_bits()));
        }
        Ok(())
    };
    let error = steps().err();
    let sent = link.line().sent;
    ((actions, error), sent)
}

fn fates(dense: u32, bytes: usize) -> impl Strategy<Value = VecDeque<Fate>> {
    let fate = prop_oneof![
        1 => Just(Fate::Drop),
        1 => Just(Fate::Double),
        2 => (1..=255_u8).prop_map(Fate::Change),
        dense => Just(Fate::Pass),
    ];
    proptest::collection::vec(fate, bytes).prop_map(VecDeque::from)
}

fn quiet() -> [VecDeque<Fate>; 2] {
    [VecDeque::new(), VecDeque::new()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The noise ends after some thousands of bytes, the patience does not.
    #[test]
    fn through_noise_every_action_is_the_right_one(to_board in fates(400, 9000), to_host in fates(60, 900)) {
        let file = file();
        let ((want, none), _) = played(&file, quiet(), 1);
        prop_assert!(none.is_none());
        let ((got, error), sent) = played(&file, [to_board, to_host], 10_000);
        prop_assert!(error.is_none(), "{:?}", error);
        prop_assert_eq!(got, want);
        prop_assert!(sent >= 14);
    }

    /// With little patience a board may be given up, but what it did until then is right.
    #[test]
    fn a_board_that_is_given_up_did_nothing_wrong(to_board in fates(100, 9000), to_host in fates(20, 900)) {
        let file = file();
        let ((want, _), _) = played(&file, quiet(), 1);
        let ((got, error), _) = played(&file, [to_board, to_host], 3);
        prop_assert_eq!(&got[..], &want[..got.len()]);
        let given_up = matches!(error, Some(FleetError::Silent { board: 1, tries: 3, .. }));
        prop_assert!(given_up || error.is_none() && got.len() == want.len());
    }
}

#[test]
fn without_noise_nothing_is_sent_twice() {
    let ((actions, error), sent) = played(&file(), quiet(), 1);
    assert!(error.is_none());
    assert_eq!((actions.len(), sent), (12, 14));
}

#[test]
fn a_silent_board_is_named() {
    let dead = [VecDeque::from([Fate::Drop; 2000]), VecDeque::new()];
    let ((_, error), sent) = played(&file(), dead, 4);
    let message = error.expect("it cannot answer").to_string();
    assert!(message.starts_with("board 1 does not answer `hello`: asked 4 times, 0 broken"), "{message}");
    assert_eq!(sent, 4);
}

#[test]
fn a_board_without_a_policy_is_named_with_its_reason() {
    let ((_, error), sent) = played(b"no policy", quiet(), 4);
    assert!(matches!(error, Some(FleetError::Refused { board: 1, during: "hello", why: Refusal::File })));
    assert_eq!(sent, 1, "to ask again would not help");
}
