//! What stands between a file and an action: one wrong bit anywhere, a weight that is no number, another contract.
#![allow(missing_docs, clippy::unwrap_used)]

use ddn_runtime::{ActError, AgentInput, Model, ModelError, Policy, Recording, SelfTestError, VerifyError};
use fixture::{SMALL, Tensors, agent, agent_file, encode, encode_without_crc, record};

#[path = "../fixture/mod.rs"]
mod fixture;

/// Opens and verifies, as a device does.
fn verify(file: &[u8]) -> Result<Policy<'_>, VerifyError> {
    let model = Model::open(file).map_err(VerifyError::Model)?;
    let (mut memory, mut scratch) = (vec![1.0; model.memory_len()], vec![1.0; model.scratch_len()]);
    let policy = model.verify(&mut memory, &mut scratch);
    assert!(policy.is_err() || memory.iter().all(|value| value.to_bits() == 0), "the memory is reset");
    policy
}

fn error(file: &[u8]) -> VerifyError {
    verify(file).map(|_| ()).unwrap_err()
}

/// A small policy that carries answers, as metadata and tensors.
fn parts() -> (fixture::Metadata, Tensors) {
    let (metadata, mut tensors) = agent(SMALL, 3);
    let bare = encode(&metadata, &tensors);
    tensors.extend(record(&bare, &[0, 1], 2, 5));
    (metadata, tensors)
}

#[test]
fn a_sound_file_is_verified() {
    let file = agent_file(SMALL, 1, 3);
    assert_eq!(verify(&file).unwrap().recording().map(Recording::len), Some(3));
    assert_eq!(verify(&fixture::reference_file(1)).unwrap().spec().n_actions(), 4);
}

/// Every bit of a complete file: length, header, weights, recorded answers.
#[test]
fn no_wrong_bit_passes() {
    let mut file = agent_file(SMALL, 1, 2);
    assert!(file.len() <= 16 << 10, "{} bytes", file.len());
    for at in 0..file.len() {
        for bit in 0..8 {
            file[at] ^= 1 << bit;
            assert!(verify(&file).is_err(), "byte {at}, bit {bit}");
            file[at] ^= 1 << bit;
        }
    }
    assert!(verify(&file).is_ok());
}

/// Where the CRC's digits begin.
fn digits(file: &[u8]) -> usize {
    let key = br#""ddn.crc":""#;
    file.windows(key.len()).position(|window| window == key).unwrap() + key.len()
}

#[test]
fn the_crc_is_that_of_the_whole_file_with_zeros_in_its_place() {
    let mut file = agent_file(SMALL, 1, 2);
    let at = digits(&file);
    let written = String::from_utf8(file[at..at + 8].to_vec()).unwrap();
    file[at..at + 8].copy_from_slice(b"00000000");
    assert_eq!(format!("{:08x}", ddn_runtime::crc32(&file)), written);
    let want = u32::from_str_radix(&written, 16).unwrap();
    assert_eq!(error(&file), VerifyError::Crc { want: 0, got: want });
}

#[test]
fn a_file_without_a_crc_opens_and_is_not_verified() {
    let (mut metadata, tensors) = parts();
    let file = encode_without_crc(&metadata, &tensors);
    assert!(Model::open(&file).is_ok());
    assert_eq!(error(&file), VerifyError::NoCrc);
    for crc in ["", "0", "0000000", "000000000", "0000000g", "0x000000", "ABCDEF01", "+0000000", "a\n000000"]
    {
        metadata.insert("ddn.crc".into(), crc.into());
        assert_eq!(error(&encode_without_crc(&metadata, &tensors)), VerifyError::NoCrc, "{crc:?}");
    }
}

/// The checks after the CRC, each with a file whose CRC is right.
#[test]
fn numbers_that_cannot_be_meant_are_refused() {
    let (metadata, tensors) = parts();
    let change = |name: &str, at: usize, value: f32| {
        let mut tensors = tensors.clone();
        let values = &mut tensors.get_mut(name).unwrap().1;
        let len = values.len();
        values[at % len] = value;
        error(&encode(&metadata, &tensors))
    };
    let layers: Vec<_> = metadata["ddn.graph"].split(';').collect();
    for name in tensors.keys().filter(|name| !name.starts_with("kat.")) {
        let of = name.split('.').next().unwrap();
        let layer = layers.iter().position(|layer| layer.ends_with(&format!(":{of}"))).unwrap();
        for at in 0..40 {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                assert_eq!(change(name, 7 * at, value), VerifyError::NotFinite { layer }, "{name} {at}");
            }
        }
    }
    for (name, value) in
        [("kat.agent", 2.0), ("kat.agent", -1.0), ("kat.action", 0.5), ("kat.last_action", -2.0)]
    {
        assert_eq!(change(name, 1, value), VerifyError::Recording { name });
    }
    let q = SelfTestError::Q { step: 1, action: 0 };
    assert_eq!(change("kat.q", 3, 9.0), VerifyError::SelfTest(q));
    let obs = SelfTestError::Act { step: 0, error: ActError::NotFinite };
    assert_eq!(change("kat.obs", 0, f32::NAN), VerifyError::SelfTest(obs));

    let (metadata, tensors) = agent(SMALL, 3);
    let none = SelfTestError::NoRecord;
    assert_eq!(error(&encode(&metadata, &tensors)), VerifyError::SelfTest(none));
}

/// Numbers that nothing refers to are covered by the CRC and else ignored.
#[test]
fn a_tensor_of_no_layer_may_hold_anything() {
    let (metadata, mut tensors) = parts();
    tensors.insert("gruesome.weight".into(), (vec![2], vec![f32::NAN, f32::INFINITY]));
    assert!(verify(&encode(&metadata, &tensors)).is_ok());
}

#[test]
fn too_little_room_is_an_error() {
    let file = agent_file(SMALL, 1, 3);
    let room = |memory: usize, scratch: usize| {
        let model = Model::open(&file).unwrap();
        model.verify(&mut vec![0.0; memory], &mut vec![0.0; scratch]).map(|_| ())
    };
    let (memory, scratch) = (SMALL.hidden, Model::open(&file).unwrap().scratch_len());
    assert_eq!(room(memory, scratch), Ok(()));
    for (memory, scratch) in [(memory - 1, scratch), (memory, scratch - 1), (0, 0)] {
        let error = room(memory, scratch).unwrap_err();
        assert!(matches!(error, VerifyError::SelfTest(SelfTestError::Act { step: 0, .. })), "{error}");
    }
}

#[test]
fn another_contract_is_refused() {
    let (mut metadata, tensors) = parts();
    let mine = "c0ffee".repeat(11)[..64].to_owned();
    let bare = encode(&metadata, &tensors);
    metadata.insert("ddn.contract".into(), mine.clone());
    let file = encode(&metadata, &tensors);
    assert_eq!(Model::open_for(&file, &mine).unwrap().spec().contract().plain(), Some(&mine[..]));
    for other in ["", "c0ffee", &mine.to_uppercase(), &"0".repeat(64)] {
        for file in [&file, &bare] {
            assert_eq!(Model::open_for(file, other).map(|_| ()), Err(ModelError::Contract), "{other}");
        }
    }
    assert_eq!(Model::open_for(&bare, &mine).map(|_| ()), Err(ModelError::Contract));
}

/// Whoever does not verify gets no panic for it: every weight in turn, and all at once, is no number.
#[test]
fn weights_that_are_no_numbers_never_panic() {
    let (metadata, tensors) = agent(SMALL, 3);
    let mut answers = [0, 0];
    let mut act = |tensors: &Tensors| {
        let file = encode(&metadata, tensors);
        let policy = fixture::policy(&file);
        let (mut memory, mut scratch) = (vec![0.0; policy.memory_len()], vec![0.0; policy.scratch_len()]);
        for obs in [[0.0; 5], [1.0, -1.0, 0.0, 0.5, 2.0]] {
            let input = AgentInput { obs: &obs, last_action: None, agent_id: 1, available: &[true; 3] };
            match policy.act(&mut memory, input, &mut scratch) {
                Ok(action) => {
                    assert!(!action.q[action.index].is_nan());
                    answers[0] += 1;
                }
                Err(error) => {
                    assert_eq!(error, ActError::NotANumber);
                    answers[1] += 1;
                }
            }
        }
    };
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let mut all = tensors.clone();
        for (name, (_, values)) in &tensors {
            for at in 0..values.len() {
                let mut tensors = tensors.clone();
                tensors.get_mut(name).unwrap().1[at] = value;
                act(&tensors);
            }
            all.get_mut(name).unwrap().1.fill(value);
        }
        act(&all);
    }
    assert!(answers.iter().all(|&count| count > 0), "{answers:?}");
}
