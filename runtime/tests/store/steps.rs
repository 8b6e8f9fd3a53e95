//! Images that tell where they come from, and the steps of an update.

use ddn_runtime::store::{Authority, Image, Record, Store, StoreError, Unsigned};
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};

use crate::fixture::Random;
use crate::flash::Flash;

pub type Failure = StoreError<NorFlashErrorKind>;

/// The image of a sequence number; `len` is that of the largest.
pub fn image(sequence: u32, len: usize) -> Vec<u8> {
    let mut random = Random(u64::from(sequence));
    let len = len - random.below(len / 2);
    (0..len).map(|_| random.next() as u8).collect()
}

/// Two slots of half the flash each.
pub fn open<F: NorFlash, const B: usize>(flash: F) -> Store<F, Unsigned, B> {
    let half = flash.capacity() as u32 / 2;
    Store::open(flash, [0..half, half..2 * half], Unsigned, 0).ok().unwrap()
}

/// Sends `bytes` in chunks of many lengths.
pub fn write<F, A, const B: usize>(
    store: &mut Store<F, A, B>,
    record: Record,
    bytes: &[u8],
) -> Result<Image, StoreError<F::Error>>
where
    F: NorFlash,
    A: Authority,
{
    store.begin(record)?;
    let (mut rest, mut random) = (bytes, Random(bytes.len() as u64));
    while !rest.is_empty() {
        let (now, later) = rest.split_at(random.below(rest.len().min(70) + 1));
        store.write(now)?;
        rest = later;
    }
    store.finish()
}

/// The bytes of an image, wherever it lies.
pub fn bytes<F: NorFlash, A: Authority, const B: usize>(
    store: &mut Store<F, A, B>,
    image: &Image,
) -> Vec<u8> {
    let mut ram = vec![0; image.range().len()];
    store.load(image, &mut ram).ok().unwrap();
    ram
}

/// A whole update to the image of `sequence`.
pub fn update<F, const B: usize>(
    store: &mut Store<F, Unsigned, B>,
    sequence: u32,
    len: usize,
) -> Result<Image, StoreError<F::Error>>
where
    F: NorFlash,
{
    let sent = image(sequence, len);
    let written = write(store, Record::new(&sent, sequence).unwrap(), &sent)?;
    store.activate(&written, &sent, |bytes| bytes == sent)?;
    let _ = store.switch();
    Ok(written)
}

/// The sequence number of the active image, whose bytes are those of that number.
pub fn active<F: NorFlash, const B: usize>(store: &mut Store<F, Unsigned, B>, len: usize) -> Option<u32> {
    let active = store.active()?;
    let sequence = active.sequence();
    assert!(bytes(store, &active) == image(sequence, len), "image {sequence} is damaged and active");
    Some(sequence)
}

/// A flash whose store went through updates to `sequences`.
pub fn installed<const W: usize, const R: usize, const E: usize, const B: usize>(
    capacity: usize,
    sequences: &[u32],
    len: usize,
) -> Flash<W, R, E> {
    let mut flash = Flash::new(capacity);
    let mut store = open::<_, B>(&mut flash);
    for sequence in sequences {
        update(&mut store, *sequence, len).unwrap();
    }
    flash.reboot();
    flash
}
