//! What can go wrong: [`ModelError`] when a file is opened, [`VerifyError`] when it is verified, [`SelfTestError`]
//! when it does not reproduce the answers it carries, and [`ActError`] when it is used.

use core::fmt;

// Errors begin with a whole word, `repr(u32)`, because they are moved in words.

/// Why a byte string is not a policy this crate can run.
///
/// `at` counts bytes from the start of the JSON header, `tensor` and `layer` count from zero in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum ModelError {
    /// The bytes end before the header does, or the header is longer than [`MAX_HEADER`](crate::model::MAX_HEADER).
    HeaderLength,
    /// A string in the header is not UTF-8.
    HeaderUtf8,
    /// The header is not the JSON that a safetensors header may be, or a key is written with escapes.
    Json {
        /// Where reading stopped.
        at: usize,
    },
    /// A key occurs twice in the object that ends here.
    Duplicate {
        /// Where the second one ends.
        at: usize,
    },
    /// More tensors or metadata entries than the fixed tables hold.
    TooMany,
    /// A tensor is none of `F32`, `I8`, `I16`, `I32`.
    Dtype {
        /// Which tensor.
        tensor: usize,
    },
    /// A tensor has more than three dimensions, none at all, or one of length zero.
    Shape {
        /// Which tensor.
        tensor: usize,
    },
    /// A tensor's offsets are not a range of the file of the size its shape asks for, or it overlaps another.
    Offsets {
        /// Which tensor.
        tensor: usize,
    },
    /// Bytes that belong to no tensor.
    Holes,
    /// The data do not begin at an address divisible by four, or a tensor not at a multiple of its type's size. Place
    /// the file with [`flash!`](crate::flash); what `ddn-export` writes may begin at any address divisible by four.
    Alignment,
    /// A metadata key is absent.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A metadata value cannot be understood, or contradicts another.
    Value {
        /// The key.
        key: &'static str,
    },
    /// The file was written for another version of the format.
    Version,
    /// The file names another contract than the caller's, or none.
    Contract,
    /// A layer of `ddn.graph` cannot be built.
    Layer {
        /// Which layer.
        layer: usize,
        /// What is wrong with it.
        fault: LayerFault,
    },
    /// A recorded tensor (`kat.…`) is absent while others are there, is not `F32`, or has another shape than the policy.
    Recording {
        /// The tensor.
        name: &'static str,
    },
}

/// What is wrong with one layer of `ddn.graph`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum LayerFault {
    /// Not `kind:inputs>output[:name]`.
    Syntax,
    /// No kernel has this name, or its kind was left out of this build (the features of this crate).
    Kind,
    /// The wrong number of inputs, or the same slot twice where the kernel cannot work in place.
    Arity,
    /// A slot is read before it is written, is out of range, or changes its width.
    Slot,
    /// A tensor of the layer is absent.
    Tensor,
    /// A tensor holds numbers of another type than the kernel reads.
    Dtype,
    /// A tensor's shape does not fit the layer's inputs.
    Width,
}

impl fmt::Display for LayerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "expected kind:inputs>output[:name]",
            Self::Kind => "unknown kind, or one that was left out of this build",
            Self::Arity => "wrong number of inputs, or one slot used twice",
            Self::Slot => "slot is out of range, not written yet, or of another width",
            Self::Tensor => "a tensor is absent",
            Self::Dtype => "a tensor or an input is of another type",
            Self::Width => "a tensor's shape does not fit the inputs",
        })
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeaderLength => f.write_str("header is cut short or too long"),
            Self::HeaderUtf8 => f.write_str("header is not UTF-8"),
            Self::Json { at } => {
                write!(f, "header byte {at}: not the JSON of a safetensors header")
            }
            Self::Duplicate { at } => write!(f, "header byte {at}: key occurs twice"),
            Self::TooMany => f.write_str("more tensors or metadata entries than fit"),
            Self::Dtype { tensor } => write!(f, "tensor {tensor}: not F32, I8, I16 or I32"),
            Self::Shape { tensor } => {
                write!(f, "tensor {tensor}: shape needs one to three non-zero dimensions")
            }
            Self::Offsets { tensor } => {
                write!(f, "tensor {tensor}: offsets leave the file, the shape, or overlap")
            }
            Self::Holes => f.write_str("bytes that belong to no tensor"),
            Self::Alignment => f.write_str(
                "data begin at no multiple of four, or a tensor at no multiple of its type's size",
            ),
            Self::Missing { key } => write!(f, "metadata: {key} is absent"),
            Self::Value { key } => write!(f, "metadata: {key} cannot be understood"),
            Self::Version => f.write_str("metadata: ddn.format is not the version this crate reads"),
            Self::Contract => f.write_str("metadata: ddn.contract is not the caller's"),
            Self::Layer { layer, fault } => write!(f, "layer {layer}: {fault}"),
            Self::Recording { name } => write!(f, "{name}: absent, or of another type or shape"),
        }
    }
}

impl core::error::Error for ModelError {}

/// Why no action was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum ActError {
    /// The memory is shorter than [`Policy::memory_len`](crate::Policy::memory_len).
    Memory {
        /// Floats needed.
        want: usize,
        /// Floats given.
        got: usize,
    },
    /// The scratch is shorter than [`Policy::scratch_len`](crate::Policy::scratch_len).
    Scratch {
        /// Floats needed.
        want: usize,
        /// Floats given.
        got: usize,
    },
    /// The observation has another length.
    Obs {
        /// Floats needed.
        want: usize,
        /// Floats given.
        got: usize,
    },
    /// The mask has another length.
    Available {
        /// Flags needed.
        want: usize,
        /// Flags given.
        got: usize,
    },
    /// The agent or its previous action is not below its count.
    Index,
    /// An observation is infinite or not a number.
    NotFinite,
    /// The mask allows nothing.
    NoAction,
    /// Every allowed action's Q-value is not a number. The memory has been advanced and needs a reset.
    NotANumber,
}

impl fmt::Display for ActError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { want, got } => write!(f, "memory: {want} floats needed, {got} given"),
            Self::Scratch { want, got } => write!(f, "scratch: {want} floats needed, {got} given"),
            Self::Obs { want, got } => write!(f, "observation: {want} floats needed, {got} given"),
            Self::Available { want, got } => {
                write!(f, "available: {want} flags needed, {got} given")
            }
            Self::Index => f.write_str("agent or last action out of range"),
            Self::NotFinite => f.write_str("observation is not finite"),
            Self::NoAction => f.write_str("no action is available"),
            Self::NotANumber => f.write_str("no available action has a Q-value that is a number"),
        }
    }
}

impl core::error::Error for ActError {}

/// Why an opened file is not to be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum VerifyError {
    /// The file cannot be opened any more: its bytes have changed.
    Model(ModelError),
    /// `ddn.crc` is absent, or not eight hexadecimal digits in lower case.
    NoCrc,
    /// The bytes are not those that were written.
    Crc {
        /// The value of `ddn.crc`.
        want: u32,
        /// The CRC of the bytes.
        got: u32,
    },
    /// A weight is infinite or not a number.
    NotFinite {
        /// Which layer, from zero in the order of `ddn.graph`.
        layer: usize,
    },
    /// A recorded tensor holds something else than natural numbers below their count.
    Recording {
        /// The tensor.
        name: &'static str,
    },
    /// The recorded answers are absent or are not reproduced.
    SelfTest(SelfTestError),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => write!(f, "opened before and not now: {error}"),
            Self::NoCrc => f.write_str("metadata: ddn.crc is absent or not eight hexadecimal digits"),
            Self::Crc { want, got } => write!(f, "CRC is {got:08x}, ddn.crc says {want:08x}"),
            Self::NotFinite { layer } => write!(f, "layer {layer}: a weight is not finite"),
            Self::Recording { name } => write!(f, "{name}: not a natural number below its count"),
            Self::SelfTest(error) => write!(f, "self-test: {error}"),
        }
    }
}

impl core::error::Error for VerifyError {}

/// Why a batch of agents did not act, or not all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchError {
    /// The row of the first agent that it is about; `None` if a buffer of all of them is too short.
    pub agent: Option<usize>,
    /// What is wrong.
    pub error: ActError,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.agent {
            Some(agent) => write!(f, "agent in row {agent}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl core::error::Error for BatchError {}

/// Why the self-test failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum SelfTestError {
    /// The file carries no recorded steps.
    NoRecord,
    /// A recorded step could not be taken.
    Act {
        /// Which step.
        step: usize,
        /// Why.
        error: ActError,
    },
    /// A Q-value differs in at least one bit.
    Q {
        /// Which step.
        step: usize,
        /// Which action's value.
        action: usize,
    },
    /// The Q-values agree and the chosen action does not.
    Action {
        /// Which step.
        step: usize,
    },
}

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord => f.write_str("the file carries no recorded steps"),
            Self::Act { step, error } => write!(f, "step {step}: {error}"),
            Self::Q { step, action } => {
                write!(f, "step {step}: Q-value of action {action} differs")
            }
            Self::Action { step } => write!(f, "step {step}: another action was chosen"),
        }
    }
}

impl core::error::Error for SelfTestError {}
