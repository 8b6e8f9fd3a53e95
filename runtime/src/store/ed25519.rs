//! Signatures with Ed25519 (RFC 8032, without prehash or context), through `ed25519-compact`.

use ed25519_compact::{PublicKey, Signature, VerifyingState};

use super::authority::Authority;

/// Takes the images that the owner of one key has signed.
///
/// Keys of small order, encodings of points that are not canonical and `S` not below the group's order are refused.
/// The crate behind it indexes arrays in a way the compiler does not prove, so an image with this feature does not link
/// under a proof that no panic can be reached.
#[derive(Clone, Copy, Debug)]
pub struct Ed25519(PublicKey);

impl Ed25519 {
    /// The holder of the private key to this public one; `None` if it is no key that can verify anything.
    pub fn new(public_key: [u8; 32]) -> Option<Self> {
        let key = PublicKey::new(public_key);
        key.validate().is_ok().then_some(Self(key))
    }
}

impl Authority for Ed25519 {
    type Reading = VerifyingState;

    fn start(&self, signature: &[u8; 64]) -> Option<VerifyingState> {
        self.0.verify_incremental(&Signature::new(*signature)).ok()
    }

    fn add(&self, reading: &mut VerifyingState, bytes: &[u8]) {
        reading.absorb(bytes);
    }

    fn accepts(&self, reading: VerifyingState) -> bool {
        reading.verify().is_ok()
    }
}
