//! Power is cut at every moment of an update: before, within and after each word written and each sector erased.

use std::cell::RefCell;

use ddn_runtime::store::{Record, Store, Unsigned};

use crate::flash::Flash;
use crate::steps::{Failure, active, bytes, image, installed, open, update, write};

/// Bytes of the largest image.
const LEN: usize = 330;

type Opened<'f, const W: usize, const R: usize, const E: usize, const B: usize> =
    Store<&'f mut Flash<W, R, E>, Unsigned, B>;

/// What may be active if power is cut now.
type Allowed = RefCell<Vec<Option<u32>>>;

/// Sizes of a flash, and what is tried on it.
struct Bench<const W: usize, const R: usize, const E: usize, const B: usize> {
    capacity: usize,
    ecc: bool,
}

/// A story that a device can live through; says, as it goes, what may be active.
trait Story {
    /// The updates before it.
    const BEFORE: &'static [u32];
    /// The sequence number of a later update.
    const LATER: u32;

    fn tell<const W: usize, const R: usize, const E: usize, const B: usize>(
        store: &mut Opened<'_, W, R, E, B>,
        allowed: &Allowed,
    ) -> Result<(), Failure>;
}

/// Sends an image and activates it: from its test on, it may be active.
fn activate<const W: usize, const R: usize, const E: usize, const B: usize>(
    store: &mut Opened<'_, W, R, E, B>,
    sequence: u32,
    allowed: &Allowed,
) -> Result<(), Failure> {
    let sent = image(sequence, LEN);
    let written = write(store, Record::new(&sent, sequence).unwrap(), &sent)?;
    store.activate(&written, &sent, |_| {
        allowed.borrow_mut().push(Some(sequence));
        true
    })?;
    allowed.replace(vec![Some(sequence)]);
    let _ = store.switch();
    Ok(())
}

/// The first image of a device.
struct First;

impl Story for First {
    const BEFORE: &'static [u32] = &[];
    const LATER: u32 = 2;

    fn tell<const W: usize, const R: usize, const E: usize, const B: usize>(
        store: &mut Opened<'_, W, R, E, B>,
        allowed: &Allowed,
    ) -> Result<(), Failure> {
        activate(store, 1, allowed)
    }
}

/// The usual update: a good image, over an older one.
struct Usual;

impl Story for Usual {
    const BEFORE: &'static [u32] = &[3, 5];
    const LATER: u32 = 8;

    fn tell<const W: usize, const R: usize, const E: usize, const B: usize>(
        store: &mut Opened<'_, W, R, E, B>,
        allowed: &Allowed,
    ) -> Result<(), Failure> {
        activate(store, 6, allowed)
    }
}

/// An image that fails its test, then one that passes.
struct Failing;

impl Story for Failing {
    const BEFORE: &'static [u32] = &[1, 2];
    const LATER: u32 = 9;

    fn tell<const W: usize, const R: usize, const E: usize, const B: usize>(
        store: &mut Opened<'_, W, R, E, B>,
        allowed: &Allowed,
    ) -> Result<(), Failure> {
        let sent = image(3, LEN);
        let written = write(store, Record::new(&sent, 3).unwrap(), &sent)?;
        match store.activate(&written, &sent, |_| false) {
            Err(Failure::Test) => {}
            other => return other,
        }
        activate(store, 4, allowed)
    }
}

/// An image that is rolled back does not return while the next ones overwrite it.
struct RolledBack;

impl Story for RolledBack {
    const BEFORE: &'static [u32] = &[1, 2];
    const LATER: u32 = 6;

    fn tell<const W: usize, const R: usize, const E: usize, const B: usize>(
        store: &mut Opened<'_, W, R, E, B>,
        allowed: &Allowed,
    ) -> Result<(), Failure> {
        // Told again, it may begin after this.
        if active(store, LEN) == Some(2) {
            allowed.borrow_mut().push(Some(1));
            store.rollback()?;
            allowed.replace(vec![Some(1)]);
            let _ = store.switch();
        }
        activate(store, 4, allowed)?;
        // Image 2 was overwritten, so this returns to 1 again.
        allowed.borrow_mut().push(Some(1));
        store.rollback()?;
        allowed.replace(vec![Some(1)]);
        let _ = store.switch();
        activate(store, 5, allowed)
    }
}

/// Both images are rolled back: what overwrites the first must not bring back the second.
struct BothRolledBack;

impl Story for BothRolledBack {
    const BEFORE: &'static [u32] = &[1, 2];
    const LATER: u32 = 6;

    fn tell<const W: usize, const R: usize, const E: usize, const B: usize>(
        store: &mut Opened<'_, W, R, E, B>,
        allowed: &Allowed,
    ) -> Result<(), Failure> {
        for left in [Some(1), None] {
            allowed.borrow_mut().push(left);
            store.rollback()?;
            allowed.replace(vec![left]);
            let _ = store.switch();
        }
        activate(store, 3, allowed)?;
        // There is nothing older.
        allowed.borrow_mut().push(None);
        store.rollback()?;
        allowed.replace(vec![None]);
        let _ = store.switch();
        activate(store, 5, allowed)
    }
}

impl<const W: usize, const R: usize, const E: usize, const B: usize> Bench<W, R, E, B> {
    /// Cuts the power of a story at every moment; how many there were.
    fn cut<S: Story>(&self) -> usize {
        let before = self.before::<S>();
        for moment in 0.. {
            let mut flash = before.clone();
            let allowed = RefCell::new(vec![S::BEFORE.last().copied()]);
            if !Self::cut_once::<S>(&mut flash, moment, &allowed) {
                return moment;
            }
            Self::later_update_succeeds::<S>(flash);
        }
        0
    }

    /// Cuts the power of a story at moments `stride` apart, and that of the same story told again, at every moment of
    /// which there is one `stride` apart.
    fn cut_twice<S: Story>(&self, stride: usize) -> usize {
        let (before, mut cuts) = (self.before::<S>(), 0);
        for first in (0..).step_by(stride) {
            let mut once = before.clone();
            let allowed = RefCell::new(vec![S::BEFORE.last().copied()]);
            if !Self::cut_once::<S>(&mut once, first, &allowed) {
                break;
            }
            for second in (first % stride..).step_by(stride) {
                let (mut flash, allowed) = (once.clone(), RefCell::new(vec![]));
                allowed.borrow_mut().push(active(&mut open::<_, B>(&mut flash), LEN));
                if !Self::cut_once::<S>(&mut flash, second, &allowed) {
                    break;
                }
                Self::later_update_succeeds::<S>(flash);
                cuts += 1;
            }
        }
        cuts
    }

    fn before<S: Story>(&self) -> Flash<W, R, E> {
        let mut flash = if S::BEFORE.is_empty() {
            let mut random = crate::fixture::Random(1);
            Flash::full_of((0..self.capacity).map(|_| random.next() as u8).collect())
        } else {
            installed::<W, R, E, B>(self.capacity, S::BEFORE, LEN)
        };
        flash.ecc = self.ecc;
        flash
    }

    /// Tells a story until the power is cut at `moment`, and looks at what is active then; whether it was cut.
    fn cut_once<S: Story>(flash: &mut Flash<W, R, E>, moment: usize, allowed: &Allowed) -> bool {
        flash.cut_at = Some(moment);
        let mut store = open::<_, B>(&mut *flash);
        let _ = store.switch();
        let told = S::tell(&mut store, allowed);
        let cut = flash.dead;
        flash.reboot();
        let mut store = open::<_, B>(&mut *flash);
        let (found, allowed) = (active(&mut store, LEN), allowed.borrow());
        assert!(allowed.contains(&found), "cut at {moment}: {found:?} is active, not one of {allowed:?}");
        if let Some(pending) = store.pending() {
            assert!(bytes(&mut store, &pending) == image(pending.sequence(), LEN));
        }
        // Told again, a story may end early: its image was activated before.
        assert!(cut || told.is_ok() || matches!(told, Err(Failure::Sequence { .. })), "{told:?}");
        cut
    }

    fn later_update_succeeds<S: Story>(mut flash: Flash<W, R, E>) {
        let mut store = open::<_, B>(&mut flash);
        let _ = store.switch();
        update(&mut store, S::LATER, LEN).unwrap();
        assert_eq!(active(&mut store, LEN), Some(S::LATER));
        assert_eq!(active(&mut open::<_, B>(&mut flash), LEN), Some(S::LATER));
    }

    fn cut_all(&self) {
        let moments = [
            self.cut::<First>(),
            self.cut::<Usual>(),
            self.cut::<Failing>(),
            self.cut::<RolledBack>(),
            self.cut::<BothRolledBack>(),
        ];
        eprintln!("words of {W}, sectors of {E}, buffer of {B}, ecc {}: {moments:?} moments", self.ecc);
        assert!(moments.iter().all(|&moments| moments > 60));
    }
}

#[test]
fn words_of_one_byte() {
    for ecc in [false, true] {
        Bench::<1, 1, 256, 16> { capacity: 2048, ecc }.cut_all();
        Bench::<1, 1, 1024, 64> { capacity: 2048, ecc }.cut_all();
    }
}

#[test]
fn words_of_four_bytes() {
    for ecc in [false, true] {
        Bench::<4, 4, 128, 32> { capacity: 2048, ecc }.cut_all();
        Bench::<4, 1, 4096, 256> { capacity: 8192, ecc }.cut_all();
    }
}

#[test]
fn words_of_eight_bytes() {
    for ecc in [false, true] {
        Bench::<8, 1, 64, 16> { capacity: 2048, ecc }.cut_all();
        Bench::<8, 8, 2048, 64> { capacity: 8192, ecc }.cut_all();
    }
}

#[test]
fn words_of_sixteen_bytes() {
    for ecc in [false, true] {
        Bench::<16, 1, 512, 64> { capacity: 2048, ecc }.cut_all();
        Bench::<16, 4, 8192, 128> { capacity: 16384, ecc }.cut_all();
    }
}

#[test]
fn words_of_32_bytes_and_more() {
    for ecc in [false, true] {
        Bench::<32, 1, 128, 64> { capacity: 2048, ecc }.cut_all();
        Bench::<32, 32, 1024, 32> { capacity: 2048, ecc }.cut_all();
        Bench::<64, 1, 512, 128> { capacity: 4096, ecc }.cut_all();
    }
}

#[test]
fn power_that_is_cut_twice() {
    for ecc in [false, true] {
        let bench = Bench::<16, 1, 1024, 64> { capacity: 2048, ecc };
        let cuts =
            [bench.cut_twice::<Usual>(1), bench.cut_twice::<RolledBack>(5), bench.cut_twice::<Failing>(3)];
        eprintln!("ecc {ecc}: {cuts:?} pairs of moments");
        assert!(cuts.iter().all(|&cuts| cuts > 1000));
    }
}
