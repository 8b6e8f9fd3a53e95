//! The bytes of a saved episode: a tag that names environment and version, then plain fields.
//!
//! ```text
//! tag (8 bytes) │ sizes of the environment │ fields, little-endian │ nothing more
//! ```
//!
//! Reading never trusts the bytes: each field is bounded when it is read, and what is left over at
//! the end is an error.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::error::EnvError;

/// Positions of a random stream at and above this are not read: no episode draws that far.
const FURTHEST_WORD: u128 = 1 << 60;

/// An [`EnvError::Restore`] that says `reason`.
pub(crate) fn refuse(reason: impl Into<String>) -> EnvError {
    EnvError::Restore { reason: reason.into() }
}

/// Collects the fields of a saved episode.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Starts with `tag`.
    pub(crate) fn new(tag: &[u8; 8]) -> Self {
        Self(tag.to_vec())
    }

    /// A count or an index, as a `u32`.
    pub(crate) fn number(&mut self, value: usize) {
        let value = u32::try_from(value).expect("sizes and counts of an environment fit in 32 bits");
        self.0.extend(value.to_le_bytes());
    }

    /// A yes or no.
    pub(crate) fn flag(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    /// A number with a fraction.
    pub(crate) fn float(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }

    /// A random stream with its position.
    pub(crate) fn stream(&mut self, rng: &ChaCha8Rng) {
        self.0.extend(rng.get_seed());
        self.0.extend(rng.get_word_pos().to_le_bytes());
    }

    /// The bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the fields of a saved episode back, in the same order.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks `tag` and stands behind it.
    pub(crate) fn new(saved: &'a [u8], tag: &[u8; 8]) -> Result<Self, EnvError> {
        let mut reader = Self { rest: saved };
        let found: [u8; 8] = reader.take("the tag")?;
        if &found != tag {
            return Err(refuse(format!(
                "the bytes start with {:?}, this environment writes {:?}",
                String::from_utf8_lossy(&found),
                String::from_utf8_lossy(tag)
            )));
        }
        Ok(reader)
    }

    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N], EnvError> {
        let (head, rest) =
            self.rest.split_first_chunk().ok_or_else(|| refuse(format!("the bytes end before {what}")))?;
        self.rest = rest;
        Ok(*head)
    }

    /// A count or an index in `0..=most`.
    pub(crate) fn number(&mut self, what: &str, most: usize) -> Result<usize, EnvError> {
        let value = u32::from_le_bytes(self.take(what)?) as usize;
        if value > most {
            return Err(refuse(format!("{what} is {value}, at most {most} is possible")));
        }
        Ok(value)
    }

    /// A size that must be the one of the running environment.
    pub(crate) fn same(&mut self, what: &str, want: usize) -> Result<(), EnvError> {
        let value = u32::from_le_bytes(self.take(what)?) as usize;
        if value != want {
            return Err(refuse(format!("saved with {what} = {value}, this environment has {want}")));
        }
        Ok(())
    }

    /// A yes or no.
    pub(crate) fn flag(&mut self, what: &str) -> Result<bool, EnvError> {
        match self.take(what)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(refuse(format!("{what} is {other}, only 0 and 1 are possible"))),
        }
    }

    /// A number with a fraction in `least..=most`.
    pub(crate) fn float(&mut self, what: &str, least: f64, most: f64) -> Result<f64, EnvError> {
        let value = f64::from_le_bytes(self.take(what)?);
        if !(least..=most).contains(&value) {
            return Err(refuse(format!("{what} is {value}, only {least} to {most} is possible")));
        }
        Ok(value)
    }

    /// A random stream at its position.
    pub(crate) fn stream(&mut self) -> Result<ChaCha8Rng, EnvError> {
        let mut rng = ChaCha8Rng::from_seed(self.take("the random stream")?);
        let word = u128::from_le_bytes(self.take("the position of the random stream")?);
        if word >= FURTHEST_WORD {
            return Err(refuse(format!("the random stream stands at word {word}: too far")));
        }
        rng.set_word_pos(word);
        Ok(rng)
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), EnvError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(refuse(format!("{extra} bytes are left over"))),
        }
    }
}
