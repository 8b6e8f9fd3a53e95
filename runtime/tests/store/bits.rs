//! Every bit of the active slot, turned over.

use crate::steps::{active, installed, open, update};

const LEN: usize = 200;

/// The bits of the slot of image 2, one by one; `earlier` is what is active if image 2 is not.
fn turn_over<const W: usize, const R: usize, const E: usize, const B: usize>(
    capacity: usize,
    before: &[u32],
) {
    let flash = installed::<W, R, E, B>(capacity, before, LEN);
    let earlier = before.split_last().unwrap().1.last().copied();
    let image = open::<_, B>(flash.clone()).active().unwrap();
    let unit = W.max(R).max(16);
    let slot = image.range().start as usize / (capacity / 2) * (capacity / 2);
    let record = slot..slot + 96;
    let marks = slot + 96_usize.next_multiple_of(unit);
    let [activation, revocation] = [marks..marks + 16, marks + unit..marks + 2 * unit];
    let bytes = image.range().start as usize..image.range().end as usize;
    let mut detected = 0;
    for bit in 8 * slot..8 * bytes.end {
        let (at, mut flash) = (bit / 8, flash.clone());
        flash.bytes[at] ^= 1 << (bit % 8);
        let mut store = open::<_, B>(flash);
        let found = active(&mut store, LEN);
        if [&record, &activation, &revocation, &bytes].iter().any(|range| range.contains(&at)) {
            assert_eq!(found, earlier, "bit {} of byte {}", bit % 8, at - slot);
            detected += 1;
        } else {
            // What fills units up, and blank marks of the other slot's past.
            assert_eq!(found, before.last().copied(), "bit {} of byte {}", bit % 8, at - slot);
        }
        update(&mut store, 9, LEN).unwrap();
        assert_eq!(active(&mut store, LEN), Some(9));
    }
    assert!(detected > 8 * (96 + 16 + 16 + LEN / 2));
    eprintln!("words of {W}: {detected} bits, all detected");
}

#[test]
fn the_older_image_takes_over() {
    turn_over::<1, 1, 1024, 64>(2048, &[1, 2]);
    turn_over::<4, 4, 256, 64>(2048, &[1, 2]);
    turn_over::<8, 1, 4096, 256>(8192, &[1, 2, 3]);
    turn_over::<16, 16, 512, 64>(2048, &[1, 2]);
    turn_over::<32, 1, 1024, 64>(2048, &[1, 2, 3]);
}

#[test]
fn none_is_active_if_there_is_no_older_image() {
    turn_over::<1, 1, 1024, 64>(2048, &[1]);
    turn_over::<4, 4, 256, 64>(2048, &[1]);
    turn_over::<8, 1, 4096, 256>(8192, &[1]);
    turn_over::<16, 16, 512, 64>(2048, &[1]);
    turn_over::<32, 1, 1024, 64>(2048, &[1]);
}

/// An image that was rolled back stays so, whichever bit of the head of either slot turns over.
#[test]
fn what_was_rolled_back_stays_so() {
    let mut store = open::<_, 64>(installed::<8, 1, 1024, 64>(2048, &[1, 2], LEN));
    let revoked = store.active().unwrap().range().start as usize / 1024 * 1024;
    store.rollback().unwrap();
    let flash = store.close();
    for bit in (0..8 * 256).flat_map(|bit| [bit, bit + 8 * 1024]) {
        let mut flash = flash.clone();
        flash.bytes[bit / 8] ^= 1 << (bit % 8);
        let found = active(&mut open::<_, 64>(flash), LEN);
        let in_head_of_first = bit / 8 / 1024 != revoked / 1024 && found.is_none();
        assert!(found == Some(1) || in_head_of_first, "bit {bit}: {found:?}");
    }
}
