//! Signatures: the vectors of RFC 8032, and updates that are signed, wrongly or not at all.

use ddn_runtime::store::{Authority, Ed25519, Record, Store, StoreError};
use ed25519_compact::{KeyPair, Seed};

use crate::flash::Flash;
use crate::steps::{bytes, image, write};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let bytes: Vec<u8> =
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

fn accepts(authority: &Ed25519, signature: &[u8; 64], message: &[u8], piece: usize) -> bool {
    let Some(mut reading) = authority.start(signature) else { return false };
    message.chunks(piece).for_each(|piece| authority.add(&mut reading, piece));
    authority.accepts(reading)
}

/// Public key, message and signature of the tests 1, 2, 3 and SHA(abc) of RFC 8032, section 7.1.
fn vectors() -> [([u8; 32], Vec<u8>, [u8; 64]); 4] {
    [
        (
            hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
            vec![],
            hex(concat!(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            )),
        ),
        (
            hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
            hex::<1>("72").to_vec(),
            hex(concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            )),
        ),
        (
            hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
            hex::<2>("af82").to_vec(),
            hex(concat!(
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            )),
        ),
        (
            hex("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"),
            hex::<64>(concat!(
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
                "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ))
            .to_vec(),
            hex(concat!(
                "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589",
                "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
            )),
        ),
    ]
}

#[test]
fn the_vectors_of_the_standard() {
    for (key, message, signature) in vectors() {
        let authority = Ed25519::new(key).unwrap();
        for piece in [1, 7, 1024] {
            assert!(accepts(&authority, &signature, &message, piece));
        }
    }
}

#[test]
fn one_bit_is_enough_to_refuse() {
    let [.., (key, message, signature)] = vectors();
    let authority = Ed25519::new(key).unwrap();
    assert!(accepts(&authority, &signature, &message, 64));
    for bit in 0..8 * 64 {
        let turned = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        assert!(
            !accepts(&authority, &turned(&signature).try_into().unwrap(), &message, 64),
            "signature {bit}"
        );
        assert!(!accepts(&authority, &signature, &turned(&message), 64), "message {bit}");
    }
    for (other, ..) in &vectors()[..3] {
        assert!(!accepts(&Ed25519::new(*other).unwrap(), &signature, &message, 64));
    }
}

#[test]
fn keys_that_verify_anything_are_refused() {
    // The neutral element, a point of order two, and no point at all.
    for (first, last) in [(1, 0), (0xec, 0x7f), (2, 0)] {
        let mut key = if first == 0xec { [0xff; 32] } else { [0; 32] };
        (key[0], key[31]) = (first, last);
        assert!(Ed25519::new(key).is_none(), "{first}");
    }
}

fn sign(seed: u8, record: Record, image: &[u8]) -> Record {
    let pair = KeyPair::from_seed(Seed::new([seed; 32]));
    record.signed(*pair.sk.sign([record.head(), image].concat(), None))
}

#[test]
fn only_what_its_owner_signed_is_taken() {
    type Nor = Flash<16, 1, 1024>;
    let key = *KeyPair::from_seed(Seed::new([1; 32])).pk;
    let sent = image(4, 500);
    let bare = Record::new(&sent, 4).unwrap();
    let good = sign(1, bare, &sent);
    let older = sign(1, Record::new(&sent, 3).unwrap(), &sent);
    let open =
        |flash| Store::<_, _, 64>::open(flash, [0..1024, 1024..2048], Ed25519::new(key).unwrap(), 0).unwrap();

    let wrong = [
        bare,
        sign(2, bare, &sent),
        // The signature of another sequence number.
        bare.signed(*older.signature()),
        // The signature of the image without its record.
        bare.signed(*KeyPair::from_seed(Seed::new([1; 32])).sk.sign(&sent, None)),
    ];
    let mut store = open(Nor::new(2048));
    for record in wrong {
        assert_eq!(write(&mut store, record, &sent), Err(StoreError::Signature));
        assert_eq!((store.pending(), store.active()), (None, None));
    }
    let written = write(&mut store, good, &sent).unwrap();
    store.activate(&written, &sent, |bytes| bytes == sent).unwrap();
    assert_eq!(store.verify(&written), Ok(()));
    assert_eq!(bytes(&mut store, &written), sent);

    // What another firmware has written without asking for signatures is not activated.
    let [a, b] = [0..1024, 1024..2048];
    let mut lax = Store::<_, _, 64>::open(Nor::new(2048), [a, b], ddn_runtime::store::Unsigned, 0).unwrap();
    let written = write(&mut lax, bare, &sent).unwrap();
    let mut store = open(lax.close());
    assert_eq!(store.activate(&written, &sent, |_| true), Err(StoreError::Signature));
    assert_eq!(store.active(), None);
}
