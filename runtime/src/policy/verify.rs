//! The way from a model to a policy: nothing acts before its numbers are checked.

use super::Policy;
use crate::crc::Crc32;
use crate::error::VerifyError;
use crate::model::archive::Archive;
use crate::model::header::Text;
use crate::model::split::{cut, split};
use crate::model::{Layers, Model, spec};

/// Digits of a CRC.
const DIGITS: usize = 8;

impl<'m, L: Layers> Model<'m, L> {
    /// Checks the numbers of the file, all of them, and makes the policy that acts.
    ///
    /// In this order: the CRC over every byte; every `F32` weight is finite; recorded steps name actions and agents that
    /// exist; the policy gives the recorded answers bit for bit, see [`Policy::self_test`]. `memory` and `scratch` as for
    /// [`Policy::act`]; the memory is reset before and after.
    ///
    /// # Errors
    /// If the file has no CRC (`ddn.crc`) or no recorded steps, or at the first check that fails.
    pub fn verify(self, memory: &mut [f32], scratch: &mut [f32]) -> Result<Policy<'m, L>, VerifyError> {
        let policy = Policy { model: self };
        policy.check(memory, scratch).map(|()| policy)
    }

    /// Makes the policy without a look at the numbers: for a file that the caller knows to be whole, because it was
    /// verified before and cannot have changed since, or because it is being made.
    ///
    /// If the caller is wrong, [`Policy::act`] still cannot panic, but its answers mean nothing: they are what the damaged
    /// numbers give. A weight that is not finite makes the Q-values it enters infinite or not numbers, except in a term of
    /// `block` whose other factor is 0, which is left out; Q-values that are not numbers are never chosen, and
    /// [`ActError::NotANumber`](crate::ActError::NotANumber) says that none was left.
    pub fn assume_verified(self) -> Policy<'m, L> {
        Policy { model: self }
    }
}

impl<L: Layers> Policy<'_, L> {
    #[inline(never)]
    fn check(&self, memory: &mut [f32], scratch: &mut [f32]) -> Result<(), VerifyError> {
        let Model { file, spec, recording, .. } = &self.model;
        let mut archive = Archive::new(file);
        archive.read().map_err(VerifyError::Model)?;
        self.check_crc(archive.metadata("ddn.crc"))?;
        check_finite(&archive)?;
        if let Some(name) = recording.as_ref().and_then(|recording| recording.check(spec)) {
            return Err(VerifyError::Recording { name });
        }
        self.self_test(memory, scratch).map_err(VerifyError::SelfTest).map(|_| ())
    }

    /// The CRC of the file against `stored`, which is a part of it.
    pub(crate) fn check_crc(&self, stored: Option<Text<'_>>) -> Result<(), VerifyError> {
        check_crc(self.model.file, stored)
    }
}

/// Compares `stored`, which is a part of `file`, with the CRC of the file when the digits of `stored` are zeros.
#[inline(never)]
fn check_crc(file: &[u8], stored: Option<Text<'_>>) -> Result<(), VerifyError> {
    let stored = stored.and_then(Text::bytes).unwrap_or_default();
    let mut want = 0_u32;
    for &byte in stored {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return Err(VerifyError::NoCrc),
        };
        want = want << 4 | u32::from(digit);
    }
    let at = stored.as_ptr().addr().wrapping_sub(file.as_ptr().addr());
    let parts = file.split_at_checked(at).and_then(|(before, rest)| Some((before, rest.get(DIGITS..)?)));
    let Some((before, after)) = parts.filter(|_| stored.len() == DIGITS) else {
        return Err(VerifyError::NoCrc);
    };
    let got = Crc32::new().feed(before).feed(&[b'0'; DIGITS]).feed(after).value();
    if got == want { Ok(()) } else { Err(VerifyError::Crc { want, got }) }
}

/// Looks at the `F32` tensors of all layers.
#[inline(never)]
fn check_finite(archive: &Archive<'_>) -> Result<(), VerifyError> {
    let graph = spec::bytes(archive, "ddn.graph").map_err(VerifyError::Model)?;
    for (layer, text) in split(graph, b';').enumerate() {
        let name = cut(text, b'>').and_then(|(_, rest)| cut(rest, b':')).map_or(&[][..], |(_, name)| name);
        if !archive.parts(name).filter_map(|tensor| tensor.row()).all(|row| row.is_finite()) {
            return Err(VerifyError::NotFinite { layer });
        }
    }
    Ok(())
}
