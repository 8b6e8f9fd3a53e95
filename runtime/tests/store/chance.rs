//! Long lives of devices: anything may be asked of the store at any time, and power is cut again and again.

use std::collections::BTreeSet;

use ddn_runtime::store::{Record, StoreError};

use crate::fixture::Random;
use crate::flash::Flash;
use crate::steps::{active, image, open, update, write};

const LEN: usize = 120;

/// What happened so far, as far as it is certain.
#[derive(Default)]
struct Life {
    /// Images that passed their tests.
    passed: BTreeSet<u32>,
    /// Images that were rolled back.
    revoked: BTreeSet<u32>,
    cuts: usize,
}

impl Life {
    /// One call of the store after power came back, with power cut at some moment of it, or not.
    fn go_on<const W: usize, const R: usize, const E: usize, const B: usize>(
        &mut self,
        flash: &mut Flash<W, R, E>,
        random: &mut Random,
    ) {
        let before = active(&mut open::<_, B>(&mut *flash), LEN);
        let within = 16 << random.below(8);
        flash.cut_at = (random.below(3) > 0).then(|| random.below(within));
        let mut store = open::<_, B>(&mut *flash);
        let _ = store.switch();
        let sequence = self.passed.last().unwrap_or(&0) + random.below(3) as u32;
        let (mut tested, mut rolled_back) = (None, false);
        match random.below(8) {
            0 if self.revoked.len() < 8 => {
                rolled_back = true;
                if store.rollback().is_ok() {
                    self.revoked.extend(before);
                }
            }
            1 => {
                let sent = image(sequence, LEN);
                let _ = write(&mut store, Record::new(&sent, sequence).unwrap(), &sent);
            }
            2 => {
                let sent = image(sequence + 1, LEN);
                let record = Record::new(&sent, sequence + 1).unwrap();
                let _ = write(&mut store, record, &sent)
                    .and_then(|image| store.activate(&image, &sent, |_| false));
            }
            3 => {
                if let Some(pending) = store.pending() {
                    let sequence = pending.sequence();
                    let _ = store.activate(&pending, &image(sequence, LEN), |_| {
                        self.passed.insert(sequence);
                        tested = Some(sequence);
                        true
                    });
                }
            }
            _ => {
                let sent = image(sequence, LEN);
                let told =
                    write(&mut store, Record::new(&sent, sequence).unwrap(), &sent).and_then(|image| {
                        store.activate(&image, &sent, |_| {
                            self.passed.insert(sequence);
                            tested = Some(sequence);
                            true
                        })
                    });
                let refused = matches!(told, Err(StoreError::Sequence { .. }));
                assert!(!(refused && tested.is_some()));
            }
        }
        let cut = flash.dead;
        self.cuts += usize::from(cut);
        flash.reboot();

        let now = active(&mut open::<_, B>(&mut *flash), LEN);
        assert!(now.is_none_or(|now| self.passed.contains(&now)), "{now:?} did not pass its test");
        assert!(now.is_none_or(|now| !self.revoked.contains(&now)), "{now:?} was rolled back");
        assert!(rolled_back || now >= before, "{before:?} became {now:?}");
        assert!(rolled_back || tested.is_some() || now == before, "{before:?} became {now:?} without a test");
        assert!(cut || tested.is_none() || now == tested, "{now:?} is active, {tested:?} was activated");
    }
}

fn live<const W: usize, const R: usize, const E: usize, const B: usize>(capacity: usize, lives: u64) {
    let (mut cuts, mut images) = (0, 0);
    for seed in 0..lives {
        let mut random = Random(seed);
        let mut flash = Flash::<W, R, E>::new(capacity);
        flash.ecc = seed % 2 == 1;
        let mut life = Life::default();
        for _ in 0..60 {
            life.go_on::<W, R, E, B>(&mut flash, &mut random);
        }
        update(&mut open::<_, B>(&mut flash), 1000, LEN).unwrap();
        cuts += life.cuts;
        images += life.passed.len();
    }
    eprintln!("words of {W}, sectors of {E}: {images} images in {lives} devices, {cuts} cuts");
    assert!(cuts > 10 * lives as usize && images > 5 * lives as usize);
}

#[test]
fn long_lives() {
    live::<1, 1, 512, 16>(1024, 100);
    live::<8, 1, 64, 32>(1024, 300);
    live::<16, 4, 1024, 64>(2048, 300);
    live::<32, 1, 512, 32>(2048, 300);
}
