//! A NOR flash in RAM that holds its users to the rules, and whose power can be cut at any moment.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

use crate::fixture::Random;

/// What a word of `W` bytes went through.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Erased,
    Written,
    /// Its write or its erasure was cut off.
    Torn,
}

/// Words of `W` bytes to write, `R` to read, sectors of `E`.
#[derive(Clone)]
pub struct Flash<const W: usize, const R: usize, const E: usize> {
    pub bytes: Vec<u8>,
    words: Vec<Word>,
    /// Whether words have a code that tells torn ones: they cannot be read.
    pub ecc: bool,
    /// How many moments have passed.
    pub moment: usize,
    /// The moment at which power is cut.
    pub cut_at: Option<usize>,
    /// Whether it was.
    pub dead: bool,
    /// Operations until one fails, once.
    pub fault_in: Option<usize>,
}

/// How a write of a word can be cut off.
const TORN_WRITES: usize = 4;

impl<const W: usize, const R: usize, const E: usize> Flash<W, R, E> {
    pub fn new(capacity: usize) -> Self {
        let (bytes, words) = (vec![0xff; capacity], vec![Word::Erased; capacity / W]);
        Self { bytes, words, ecc: false, moment: 0, cut_at: None, dead: false, fault_in: None }
    }

    /// As it was never used, but full of what its last user left.
    pub fn full_of(bytes: Vec<u8>) -> Self {
        let words = vec![Word::Torn; bytes.len() / W];
        Self { bytes, words, ..Self::new(0) }
    }

    /// Power is back.
    pub fn reboot(&mut self) {
        (self.dead, self.cut_at, self.moment) = (false, None, 0);
    }

    /// One of the moments at which power can be cut; whether it is.
    fn is_cut(&mut self) -> bool {
        self.dead |= self.cut_at == Some(self.moment);
        self.moment += 1;
        self.dead
    }

    fn may_go_on(&mut self) -> Result<(), NorFlashErrorKind> {
        let faulty = self.fault_in == Some(0);
        self.fault_in = self.fault_in.and_then(|left| left.checked_sub(1));
        if self.dead || faulty { Err(NorFlashErrorKind::Other) } else { Ok(()) }
    }

    /// Leaves a word as a write of `bytes` in the given way of being cut off does.
    fn tear(&mut self, word: usize, bytes: &[u8], way: usize) {
        let mut random = Random(self.moment as u64);
        for (to, from) in self.bytes[word * W..][..W].iter_mut().zip(bytes) {
            *to &= match way {
                0 => 0xff,
                1 => *from | 0x0f,
                2 => *from | random.next() as u8,
                _ => *from,
            };
        }
        let whole = self.bytes[word * W..][..W] == *bytes;
        self.words[word] = if way == 0 {
            Word::Erased
        } else if whole {
            Word::Written
        } else {
            Word::Torn
        };
    }

    /// What an erasure that is cut off leaves, erases or spoils as one.
    const UNIT: usize = if W > 16 { W } else { 16 };
    /// How many units of a sector are each spared, or alone erased, by an erasure that is cut off: those of a head.
    const HEADS: usize = if E / Self::UNIT < 20 { E / Self::UNIT } else { 20 };
    /// How an erasure of a sector can be cut off.
    const TORN_ERASURES: usize = 6 + 2 * Self::HEADS;

    /// Leaves a sector as an erasure in the given way of being cut off does.
    fn tear_sector(&mut self, sector: usize, way: usize) {
        let (mut random, units) = (Random(self.moment as u64), E / Self::UNIT);
        // What becomes of a unit: it stays, is erased, or anything.
        let mut fate = |unit: usize| match way {
            0 => 0,
            1 => usize::from(unit < units / 2),
            2 => usize::from(unit >= units / 2),
            3 => random.below(2),
            4 => random.below(3),
            5 => 2,
            way if way < 6 + Self::HEADS => usize::from(unit == way - 6),
            way => usize::from(unit != way - 6 - Self::HEADS),
        };
        let fates: Vec<usize> = (0..units).map(&mut fate).collect();
        for (unit, fate) in fates.into_iter().enumerate() {
            let at = sector * E + unit * Self::UNIT;
            let bytes = &mut self.bytes[at..at + Self::UNIT];
            match fate {
                0 => continue,
                1 => bytes.fill(0xff),
                _ => bytes.fill_with(|| random.next() as u8),
            }
            self.words[at / W..(at + Self::UNIT) / W].fill(if fate == 1 { Word::Erased } else { Word::Torn });
        }
    }
}

impl<const W: usize, const R: usize, const E: usize> ErrorType for Flash<W, R, E> {
    type Error = NorFlashErrorKind;
}

impl<const W: usize, const R: usize, const E: usize> ReadNorFlash for Flash<W, R, E> {
    const READ_SIZE: usize = R;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len()).expect("reads are aligned and inside");
        let range = offset as usize..offset as usize + bytes.len();
        let torn = self.words[range.start / W..range.end.div_ceil(W)].contains(&Word::Torn);
        if self.dead || (self.ecc && torn) {
            return Err(NorFlashErrorKind::Other);
        }
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const W: usize, const R: usize, const E: usize> NorFlash for Flash<W, R, E> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to).expect("erasures are aligned and inside");
        self.may_go_on()?;
        for sector in from as usize / E..to as usize / E {
            for way in 0..Self::TORN_ERASURES {
                if self.is_cut() {
                    self.tear_sector(sector, way);
                    return Err(NorFlashErrorKind::Other);
                }
            }
            self.bytes[sector * E..][..E].fill(0xff);
            self.words[sector * E / W..][..E / W].fill(Word::Erased);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len()).expect("writes are aligned and inside");
        self.may_go_on()?;
        for (index, bytes) in bytes.chunks(W).enumerate() {
            let word = offset as usize / W + index;
            assert!(self.words[word] == Word::Erased, "word {word} is written without having been erased");
            for way in 0..TORN_WRITES {
                if self.is_cut() {
                    self.tear(word, bytes, way);
                    return Err(NorFlashErrorKind::Other);
                }
            }
            self.tear(word, bytes, TORN_WRITES);
            self.words[word] = Word::Written;
        }
        Ok(())
    }
}
