//! What a call answers: one code for each thing that can be wrong, and its text.
#![allow(unsafe_code)] // exported names

use core::ffi::{CStr, c_char};

use ddn_runtime::{ActError, ModelError, SelfTestError, VerifyError};

/// The version of this interface. A library and a header of the same version fit together.
pub const DDN_ABI_VERSION: u32 = 1;

/// What a call answers. Codes keep their meaning in later versions; new ones may come.
///
/// 1 to 15: an argument; 16 to 47: a file; 48 to 63: a step; 64 to 79: a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum DdnStatus {
    /// Done.
    Ok = 0,
    /// A pointer is null. Where a length stands beside it, null and 0 together are an empty vector.
    Null = 1,
    /// A pointer is not aligned for what it points to.
    Misaligned = 2,
    /// A length leaves the address space.
    Length = 3,
    /// What is written overlaps something else that is used.
    Overlap = 4,
    /// The handle is not open.
    NotOpen = 5,
    /// There is no action or step of this index.
    NoSuchIndex = 6,
    /// A text of the file is written with escapes, and cannot be given as it lies there.
    Escaped = 7,
    /// The policy has not been verified.
    NotVerified = 8,
    /// The file is cut short within its header, or the header is too long.
    HeaderLength = 16,
    /// The header is not UTF-8.
    HeaderUtf8 = 17,
    /// The header is not the JSON of a safetensors file.
    Json = 18,
    /// A key occurs twice.
    Duplicate = 19,
    /// There are more tensors or metadata entries than fit.
    TooMany = 20,
    /// A tensor has a type that cannot be read.
    Dtype = 21,
    /// A tensor has a shape that cannot be read.
    Shape = 22,
    /// A tensor's offsets leave the file or its shape, or overlap another's. So it is with a file that was cut short.
    Offsets = 23,
    /// Bytes belong to no tensor.
    Holes = 24,
    /// The data of the file do not begin at a multiple of four bytes. Align the file to 16.
    FileMisaligned = 25,
    /// A metadata key is absent.
    Missing = 26,
    /// A metadata value cannot be understood.
    Value = 27,
    /// The file is of another version of the format.
    Version = 28,
    /// A layer cannot be built.
    Layer = 29,
    /// The recorded steps are absent or do not fit the policy.
    Recording = 30,
    /// The file was made for another contract.
    Contract = 31,
    /// The file is wrong in a way that has no code of its own.
    File = 47,
    /// The memory is too short.
    Memory = 48,
    /// The scratch is too short.
    Scratch = 49,
    /// The observation has another length.
    Obs = 50,
    /// The mask has another length.
    Available = 51,
    /// The mask holds a byte other than 0 and 1.
    Mask = 52,
    /// The agent or its last action is not below its count.
    Index = 53,
    /// An observed number is infinite or not a number.
    NotFinite = 54,
    /// The mask allows nothing.
    NoAction = 55,
    /// No allowed action has a Q-value that is a number. The memory has been advanced and needs a reset.
    NotANumber = 56,
    /// The step is wrong in a way that has no code of its own.
    Step = 63,
    /// The file carries no recorded steps.
    NoRecord = 64,
    /// A Q-value differs from the recorded one.
    SelfTestQ = 65,
    /// The Q-values agree with the recorded ones, and the chosen action does not.
    SelfTestAction = 66,
    /// The file carries no CRC.
    NoCrc = 67,
    /// The bytes of the file are not those that were written.
    Crc = 68,
    /// A weight is infinite or not a number.
    Weight = 69,
    /// The self-test failed in a way that has no code of its own.
    SelfTest = 79,
}

/// Every status and its text.
const TEXTS: &[(DdnStatus, &CStr)] = &[
    (DdnStatus::Ok, c"ok"),
    (DdnStatus::Null, c"a pointer is null"),
    (DdnStatus::Misaligned, c"a pointer is not aligned"),
    (DdnStatus::Length, c"a length leaves the address space"),
    (DdnStatus::Overlap, c"what is written overlaps something else that is used"),
    (DdnStatus::NotOpen, c"the handle is not open"),
    (DdnStatus::NoSuchIndex, c"no action or step of this index"),
    (DdnStatus::Escaped, c"a text of the file is written with escapes"),
    (DdnStatus::NotVerified, c"the policy has not been verified"),
    (DdnStatus::HeaderLength, c"file: header is cut short or too long"),
    (DdnStatus::HeaderUtf8, c"file: header is not UTF-8"),
    (DdnStatus::Json, c"file: header is not the JSON of a safetensors file"),
    (DdnStatus::Duplicate, c"file: a key occurs twice"),
    (DdnStatus::TooMany, c"file: more tensors or metadata entries than fit"),
    (DdnStatus::Dtype, c"file: a tensor of another type"),
    (DdnStatus::Shape, c"file: a tensor of a shape that cannot be read"),
    (DdnStatus::Offsets, c"file: a tensor's offsets leave the file or the shape, or overlap"),
    (DdnStatus::Holes, c"file: bytes that belong to no tensor"),
    (DdnStatus::FileMisaligned, c"file: data do not begin at a multiple of four bytes"),
    (DdnStatus::Missing, c"file: a metadata key is absent"),
    (DdnStatus::Value, c"file: a metadata value cannot be understood"),
    (DdnStatus::Version, c"file: another version of the format"),
    (DdnStatus::Layer, c"file: a layer cannot be built"),
    (DdnStatus::Recording, c"file: recorded steps are absent or do not fit the policy"),
    (DdnStatus::Contract, c"file: made for another contract"),
    (DdnStatus::File, c"file: not a policy that can be run"),
    (DdnStatus::Memory, c"memory is too short"),
    (DdnStatus::Scratch, c"scratch is too short"),
    (DdnStatus::Obs, c"observation has another length"),
    (DdnStatus::Available, c"mask has another length"),
    (DdnStatus::Mask, c"mask holds a byte other than 0 and 1"),
    (DdnStatus::Index, c"agent or last action is out of range"),
    (DdnStatus::NotFinite, c"observation is not finite"),
    (DdnStatus::NoAction, c"no action is available"),
    (DdnStatus::NotANumber, c"no available action has a Q-value that is a number"),
    (DdnStatus::Step, c"the step cannot be taken"),
    (DdnStatus::NoRecord, c"self-test: the file carries no recorded steps"),
    (DdnStatus::SelfTestQ, c"self-test: a Q-value differs"),
    (DdnStatus::SelfTestAction, c"self-test: another action was chosen"),
    (DdnStatus::NoCrc, c"file: carries no CRC"),
    (DdnStatus::Crc, c"file: bytes have changed"),
    (DdnStatus::Weight, c"file: a weight is not finite"),
    (DdnStatus::SelfTest, c"self-test: failed"),
];

impl From<Result<(), DdnStatus>> for DdnStatus {
    fn from(result: Result<(), DdnStatus>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(status) => status,
        }
    }
}

impl From<ModelError> for DdnStatus {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::HeaderLength => Self::HeaderLength,
            ModelError::HeaderUtf8 => Self::HeaderUtf8,
            ModelError::Json { .. } => Self::Json,
            ModelError::Duplicate { .. } => Self::Duplicate,
            ModelError::TooMany => Self::TooMany,
            ModelError::Dtype { .. } => Self::Dtype,
            ModelError::Shape { .. } => Self::Shape,
            ModelError::Offsets { .. } => Self::Offsets,
            ModelError::Holes => Self::Holes,
            ModelError::Alignment => Self::FileMisaligned,
            ModelError::Missing { .. } => Self::Missing,
            ModelError::Value { .. } => Self::Value,
            ModelError::Version => Self::Version,
            ModelError::Layer { .. } => Self::Layer,
            ModelError::Recording { .. } => Self::Recording,
            ModelError::Contract => Self::Contract,
            _ => Self::File,
        }
    }
}

impl From<ActError> for DdnStatus {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Memory { .. } => Self::Memory,
            ActError::Scratch { .. } => Self::Scratch,
            ActError::Obs { .. } => Self::Obs,
            ActError::Available { .. } => Self::Available,
            ActError::Index => Self::Index,
            ActError::NotFinite => Self::NotFinite,
            ActError::NoAction => Self::NoAction,
            ActError::NotANumber => Self::NotANumber,
            _ => Self::Step,
        }
    }
}

impl From<SelfTestError> for DdnStatus {
    fn from(error: SelfTestError) -> Self {
        match error {
            SelfTestError::NoRecord => Self::NoRecord,
            SelfTestError::Act { error, .. } => error.into(),
            SelfTestError::Q { .. } => Self::SelfTestQ,
            SelfTestError::Action { .. } => Self::SelfTestAction,
            _ => Self::SelfTest,
        }
    }
}

impl From<VerifyError> for DdnStatus {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Model(error) => error.into(),
            VerifyError::NoCrc => Self::NoCrc,
            VerifyError::Crc { .. } => Self::Crc,
            VerifyError::NotFinite { .. } => Self::Weight,
            VerifyError::Recording { .. } => Self::Recording,
            VerifyError::SelfTest(error) => error.into(),
            _ => Self::SelfTest,
        }
    }
}

/// The version of the library: `DDN_ABI_VERSION` of the header it was built with. Compare the two once, at the start.
#[unsafe(no_mangle)]
pub extern "C" fn ddn_abi_version() -> u32 {
    DDN_ABI_VERSION
}

/// What a status means, in English, ASCII, ending with NUL. The text is a constant; for other numbers it says so.
#[unsafe(no_mangle)]
pub extern "C" fn ddn_status_text(status: u32) -> *const c_char {
    let found = TEXTS.iter().find(|(known, _)| *known as u32 == status);
    found.map_or(c"unknown status", |(_, text)| *text).as_ptr()
}
