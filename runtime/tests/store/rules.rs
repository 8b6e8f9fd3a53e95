//! What the store takes, refuses, and says to the control loop.

use ddn_runtime::store::{Record, Store, StoreError, Switch, Unsigned, known_answers};
use ddn_runtime::{Aligned, Memory, Model};

use crate::fixture::{SMALL, agent_file};
use crate::flash::Flash;
use crate::steps::{Failure, active, bytes, image, installed, open, update, write};

const LEN: usize = 300;
/// Where the image begins in a slot of the flash below.
const HEAD: usize = 256;

type Nor = Flash<8, 4, 512>;

fn blank() -> Nor {
    Nor::new(2048)
}

fn record(bytes: &[u8], sequence: u32) -> Record {
    Record::new(bytes, sequence).unwrap()
}

#[test]
fn a_record_is_what_its_documentation_says() {
    let record = Record::new(b"123456789", 0x0102_0304).unwrap().signed([7; 64]);
    let bytes = *record.as_bytes();
    let mut want = b"ddn-slot\x01\0\0\0\x09\0\0\0\x04\x03\x02\x01".to_vec();
    want.extend(0xcbf4_3926_u32.to_le_bytes());
    want.extend([0; 4]);
    assert_eq!(record.head()[..], want);
    want.extend([7; 64]);
    want.extend(ddn_runtime::crc32(&want).to_le_bytes());
    assert_eq!(bytes[..], want);
    assert_eq!(Record::from_bytes(&bytes), Some(record));
    for bit in 0..8 * Record::LEN {
        let mut bytes = bytes;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Record::from_bytes(&bytes), None, "bit {bit}");
    }
    assert_eq!(Record::new(&[], 1), None);
}

#[test]
fn records_of_another_version_are_refused() {
    for (at, value) in [(8, 2), (24, 1)] {
        let mut bytes = *record(b"1", 1).as_bytes();
        bytes[at] = value;
        let crc = ddn_runtime::crc32(&bytes[..92]).to_le_bytes();
        bytes[92..].copy_from_slice(&crc);
        assert_eq!(Record::from_bytes(&bytes), None);
    }
}

#[test]
fn the_loop_hears_of_each_change_once() {
    let mut store = open::<_, 64>(blank());
    assert_eq!((store.active(), store.switch()), (None, Switch::Keep));
    let sent = image(1, LEN);
    let first = write(&mut store, record(&sent, 1), &sent).unwrap();
    assert_eq!((store.active(), store.switch()), (None, Switch::Keep));
    store.activate(&first, &sent, |bytes| bytes == sent).unwrap();
    assert_eq!(store.active(), Some(first));
    assert_eq!([store.switch(), store.switch()], [Switch::To(first), Switch::Keep]);
    assert_eq!(store.rollback(), Ok(None));
    assert_eq!([store.switch(), store.switch()], [Switch::BuiltIn, Switch::Keep]);
    assert_eq!(store.rollback(), Err(StoreError::NoneActive));
    // After a restart the loop begins with the built-in policy again.
    let mut store = open::<_, 64>(installed::<8, 4, 512, 64>(2048, &[1, 2], LEN));
    assert!(matches!(store.switch(), Switch::To(image) if image.sequence() == 2));
}

#[test]
fn a_slot_in_use_is_not_overwritten() {
    let mut store = open::<_, 64>(installed::<8, 4, 512, 64>(2048, &[1, 2], LEN));
    let Switch::To(running) = store.switch() else { panic!("an image is active") };
    let sent = image(3, LEN);
    let third = write(&mut store, record(&sent, 3), &sent).unwrap();
    store.activate(&third, &sent, |_| true).unwrap();
    // The loop still runs image 2.
    assert_eq!(store.begin(record(&sent, 4)), Err(StoreError::Busy));
    assert_eq!(bytes(&mut store, &running), image(2, LEN));
    assert_eq!(store.switch(), Switch::To(third));
    assert_eq!(store.begin(record(&sent, 4)), Ok(()));
    assert_eq!(active(&mut store, LEN), Some(3));
}

#[test]
fn images_of_every_length_fit_up_to_the_whole_slot() {
    for len in [1, 2, 7, 8, 9, 63, 64, 65, 255, 256, 257, 511, 512, 513, 767, 768] {
        let sent: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let mut store = open::<_, 64>(blank());
        let written = write(&mut store, record(&sent, 1), &sent).unwrap();
        assert_eq!(written.range(), HEAD as u32..(HEAD + len) as u32);
        assert_eq!(bytes(&mut store, &written), sent);
        assert_eq!(store.close().bytes[HEAD..][..len], sent);
    }
    let sent = [0; 769];
    let mut store = open::<_, 64>(blank());
    assert_eq!(store.begin(record(&sent, 1)), Err(StoreError::Length { want: 768, got: 769 }));
}

#[test]
fn wrong_lengths_and_checksums_end_an_update() {
    let sent = image(1, LEN);
    let mut other = sent.clone();
    other[17] ^= 4;
    let (len, record) = (sent.len() as u32, record(&sent, 1));
    let mut store = open::<_, 64>(blank());
    assert_eq!(store.write(&[]), Err(StoreError::NoUpdate));
    assert_eq!(store.finish(), Err(StoreError::NoUpdate));
    assert_eq!(write(&mut store, record, &other), Err(StoreError::Checksum));
    let short = write(&mut store, record, &sent[1..]);
    assert_eq!(short, Err(StoreError::Length { want: len, got: len - 1 }));
    store.begin(record).unwrap();
    store.write(&sent).unwrap();
    assert_eq!(store.write(&[0]), Err(StoreError::Length { want: len, got: len + 1 }));
    assert_eq!(store.finish(), Err(StoreError::NoUpdate));
    assert_eq!(store.pending(), None);
    update(&mut store, 1, LEN).unwrap();
}

#[test]
fn sequence_numbers_only_rise_and_end() {
    let mut store = open::<_, 64>(blank());
    let refused = |above| Err(Failure::Sequence { above });
    assert_eq!(update(&mut store, 0, LEN), refused(0));
    update(&mut store, 7, LEN).unwrap();
    assert_eq!(update(&mut store, 7, LEN), refused(7));
    assert_eq!(update(&mut store, 3, LEN), refused(7));
    update(&mut store, 9, LEN).unwrap();
    // What was rolled back was active all the same.
    store.rollback().unwrap();
    let _ = store.switch();
    assert_eq!(active(&mut store, LEN), Some(7));
    assert_eq!(update(&mut store, 9, LEN), refused(9));
    // Even when it is no longer there.
    store.begin(record(&[1], 10)).unwrap();
    assert_eq!(update(&mut store, 9, LEN), refused(9));
    update(&mut store, u32::MAX, LEN).unwrap();
    assert_eq!(update(&mut store, u32::MAX, LEN), refused(u32::MAX));
    assert_eq!(update(&mut store, 0, LEN), refused(u32::MAX));
}

#[test]
fn a_newer_firmware_brings_a_newer_policy() {
    let flash = installed::<8, 4, 512, 64>(2048, &[4, 6], LEN);
    for (built_in, want) in [(0, Some(6)), (4, Some(6)), (5, Some(6)), (6, None), (7, None)] {
        let mut store =
            Store::<_, _, 64>::open(flash.clone(), [0..1024, 1024..2048], Unsigned, built_in).unwrap();
        assert_eq!(active(&mut store, LEN), want);
        let above = built_in.max(6);
        assert_eq!(update(&mut store, above, LEN), Err(Failure::Sequence { above }));
        update(&mut store, above + 1, LEN).unwrap();
        assert_eq!(active(&mut store, LEN), Some(above + 1));
        // What is not newer than the built-in policy is not fallen back to either.
        store.rollback().unwrap();
        assert_eq!(active(&mut store, LEN), want);
    }
}

#[test]
fn a_failed_test_is_final() {
    let mut store = open::<_, 64>(installed::<8, 4, 512, 64>(2048, &[1], LEN));
    let sent = image(2, LEN);
    let second = write(&mut store, record(&sent, 2), &sent).unwrap();
    assert_eq!(store.activate(&second, &sent, |_| false), Err(StoreError::Test));
    assert_eq!(store.activate(&second, &sent, |_| true), Err(StoreError::NotPending));
    let mut store = open::<_, 64>(store.close());
    assert_eq!((store.pending(), active(&mut store, LEN)), (None, Some(1)));
    // It was never active, so its number is not spent.
    update(&mut store, 2, LEN).unwrap();
}

#[test]
fn an_image_waits_for_its_test_through_a_restart() {
    let mut store = open::<_, 64>(installed::<8, 4, 512, 64>(2048, &[1, 2], LEN));
    let sent = image(3, LEN);
    let third = write(&mut store, record(&sent, 3), &sent).unwrap();
    let mut store = open::<_, 64>(store.close());
    assert_eq!((store.pending(), active(&mut store, LEN)), (Some(third), Some(2)));
    let mut other = sent.clone();
    other[0] ^= 1;
    assert_eq!(store.activate(&third, &other, |_| true), Err(StoreError::Checksum));
    assert_eq!(store.activate(&third, &sent[1..], |_| true), Err(StoreError::Checksum));
    store.activate(&third, &sent, |_| true).unwrap();
    assert_eq!((store.pending(), active(&mut store, LEN)), (None, Some(3)));
    assert_eq!(store.activate(&third, &sent, |_| true), Err(StoreError::NotPending));
}

#[test]
fn many_updates_in_a_row_are_rolled_back() {
    let mut store = open::<_, 64>(installed::<8, 4, 512, 64>(2048, &[1], LEN));
    for sequence in 2..30 {
        update(&mut store, sequence, LEN).unwrap();
        store.rollback().unwrap();
        let _ = store.switch();
        assert_eq!(active(&mut store, LEN), Some(1));
    }
}

#[test]
fn an_image_that_decays_gives_way() {
    let mut store = open::<_, 64>(installed::<8, 4, 512, 64>(2048, &[1, 2], LEN));
    let Switch::To(second) = store.switch() else { panic!("an image is active") };
    store.flash().bytes[second.range().start as usize + 5] ^= 1;
    assert_eq!(store.active(), Some(second));
    let first = store.check().unwrap();
    assert_eq!(first.sequence(), 1);
    let mut ram = vec![0; LEN];
    assert_eq!(store.load(&second, &mut ram), Err(StoreError::Checksum));
    assert_eq!(store.verify(&second), Err(StoreError::Checksum));
    // The only good image is not given up, nor the one that is in use.
    assert_eq!(store.begin(record(&[1], 3)), Err(StoreError::Busy));
    assert_eq!(store.switch(), Switch::To(first));
    update(&mut store, 3, LEN).unwrap();
}

#[test]
fn slots_are_checked() {
    let good = [0..1024, 1024..2048];
    let swapped = [1024..2048, 0..1024];
    for slots in [good.clone(), swapped, [512..1024, 1024..2048]] {
        assert!(Store::<_, _, 64>::open(blank(), slots, Unsigned, 0).is_ok());
    }
    let bad = [
        [0..1024, 512..2048],
        [0..1024, 1024..2560],
        [0..1000, 1024..2048],
        [4..1024, 1024..2048],
        [0..0, 1024..2048],
        [0..1024, std::ops::Range { start: 1024, end: 512 }],
        [0..2048, 0..2048],
    ];
    for slots in bad {
        assert_eq!(Store::<_, _, 64>::open(blank(), slots, Unsigned, 0).err(), Some(StoreError::Slots));
    }
    // A sector that holds no more than the head.
    let tiny = Flash::<8, 1, 256>::new(512);
    assert_eq!(Store::<_, _, 64>::open(tiny, [0..256, 256..512], Unsigned, 0).err(), Some(StoreError::Slots));
}

#[test]
fn slots_do_not_depend_on_the_buffer() {
    let flash = installed::<8, 4, 512, 16>(2048, &[1, 2], LEN);
    assert_eq!(flash.bytes, installed::<8, 4, 512, 512>(2048, &[1, 2], LEN).bytes);
    assert_eq!(active(&mut open::<_, 512>(flash), LEN), Some(2));
}

#[test]
fn a_flash_that_fails_changes_nothing() {
    let before = installed::<8, 4, 512, 64>(2048, &[1, 2], LEN);
    for fault in 0.. {
        let mut flash = before.clone();
        flash.fault_in = Some(fault);
        let mut store = open::<_, 64>(flash);
        let told = update(&mut store, 3, LEN);
        if told.is_ok() {
            assert!(fault > 5);
            break;
        }
        assert!(matches!(told, Err(Failure::Flash(_))));
        assert_eq!(active(&mut store, LEN), Some(2));
        // At once, without a restart.
        update(&mut store, 3, LEN).unwrap();
        assert_eq!(active(&mut store, LEN), Some(3));
    }
}

#[test]
fn a_policy_runs_where_it_lies() {
    let files = [agent_file(SMALL, 1, 4), agent_file(SMALL, 2, 4)];
    let mut store = open::<_, 256>(Flash::<8, 4, 4096>::new(1 << 16));
    let mut memory = Memory::<6>::new();
    let mut scratch = [0.0; 256];
    for (sequence, file) in (1..).zip(&files) {
        let image = write(&mut store, record(file, sequence), file).unwrap();
        let mut ram = Box::new(Aligned([0; 1 << 14]));
        let bytes = store.load(&image, &mut ram.0).unwrap();
        let test = |bytes: &[u8]| known_answers(bytes, &mut memory, &mut scratch);
        store.activate(&image, bytes, test).unwrap();
        let Switch::To(image) = store.switch() else { panic!("the image is new") };
        assert_eq!(image.range().start % 16, 0);
        // As the memory of a flash that is mapped: aligned, from its first byte.
        let mut mapped = Box::new(Aligned([0; 1 << 16]));
        mapped.0.copy_from_slice(&store.flash().bytes);
        let range = image.range().start as usize..image.range().end as usize;
        assert!(image.is(&mapped.0[range.clone()]));
        let policy = Model::open(&mapped.0[range]).unwrap().assume_verified();
        assert_eq!(policy.self_test(&mut memory, &mut scratch), Ok(4));
    }
}

#[test]
fn the_usual_test_wants_answers_and_right_ones() {
    let (mut memory, mut scratch) = (Memory::<6>::new(), [0.0; 256]);
    let mut passes = |file: &[u8]| {
        let mut aligned = Box::new(Aligned([0; 1 << 14]));
        aligned.0[..file.len()].copy_from_slice(file);
        known_answers(&aligned.0[..file.len()], &mut memory, &mut scratch)
    };
    let file = agent_file(SMALL, 1, 4);
    assert!(passes(&file));
    let mut wrong = file.clone();
    *wrong.last_mut().unwrap() ^= 1;
    assert!(!passes(&wrong));
    let (metadata, tensors) = crate::fixture::agent(SMALL, 1);
    assert!(!passes(&crate::fixture::encode(&metadata, &tensors)));
    assert!(!passes(b"no policy"));
}
