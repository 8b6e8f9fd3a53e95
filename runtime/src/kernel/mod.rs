//! The layers a frozen network may have: one file per kernel, one line per kernel in [`layers!`].
//!
//! A kernel proves its shapes when it is loaded, and cannot fail when it runs.

pub(crate) mod batch;
mod block;
mod block_i8;
mod concat;
mod dot_i8;
mod folded_block;
mod gru;
mod gru_i8;
#[cfg(target_arch = "x86_64")]
mod host;
mod leaky_relu;
mod linear;
mod linear_i8;
pub mod math;
mod quantize;
mod relu;
mod simd;
mod sparse;
mod sparse_i8;
pub mod table;
mod values_i8;
pub(crate) mod work;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;
use crate::model::archive::{Archive, Tensor};
use crate::model::header::same;
use crate::model::matrix::Matrix;
use batch::Lanes;
use dot_i8::{MAX_TERMS, Weights, padded};

/// Most inputs a layer may have.
pub(crate) const MAX_INPUTS: usize = 4;

/// The vectors a layer reads. Those past its own are empty.
pub(crate) type Inputs<'a> = [&'a [f32]; MAX_INPUTS];

/// The same for many agents.
pub(crate) type LaneInputs<'a> = [&'a [Lanes]; MAX_INPUTS];

/// What a vector between layers consists of. Buffers are made of words of 32 bits, whatever they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// So many `f32`.
    F32(usize),
    /// So many int16, a multiple of eight of them.
    I16(usize),
}

impl Slot {
    /// Words it takes.
    pub(crate) fn words(self) -> usize {
        match self {
            Self::F32(width) => width,
            Self::I16(width) => width / 2,
        }
    }

    /// From the numbers that [`Slot::plan`] writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        let (halves, width) = (plan.flag(), plan.count());
        if halves { Self::I16(width) } else { Self::F32(width) }
    }

    #[cfg(feature = "build")]
    pub(crate) fn plan(self, plan: &mut Writer<'_>) {
        let (Self::F32(width) | Self::I16(width)) = self;
        plan.flag(matches!(self, Self::I16(_)));
        plan.count(width);
    }
}

/// The int16 in a vector of words.
#[inline(always)]
fn halves(words: &[f32]) -> &[i16] {
    bytemuck::try_cast_slice(words).unwrap_or_default()
}

/// The int16 in a vector of words.
#[inline(always)]
fn halves_mut(words: &mut [f32]) -> &mut [i16] {
    bytemuck::try_cast_slice_mut(words).unwrap_or_default()
}

/// The int32 in a vector of words.
#[inline(always)]
fn words_mut(words: &mut [f32]) -> &mut [i32] {
    bytemuck::try_cast_slice_mut(words).unwrap_or_default()
}

/// What a kernel is made from: the archive, the layer's name in it, and its inputs.
pub(crate) struct Parts<'a, 'm> {
    pub(crate) archive: &'a Archive<'m>,
    pub(crate) name: &'a [u8],
    pub(crate) inputs: &'a [Slot],
}

impl<'m> Parts<'_, 'm> {
    /// The widths of exactly `N` inputs, all of them `f32`.
    fn widths<const N: usize>(&self) -> Result<[usize; N], LayerFault> {
        self.slots(|slot| if let Slot::F32(width) = slot { Some(width) } else { None })
    }

    /// The widths of exactly `N` inputs, all of them int16.
    fn halves<const N: usize>(&self) -> Result<[usize; N], LayerFault> {
        self.slots(|slot| if let Slot::I16(width) = slot { Some(width) } else { None })
    }

    /// The one input, whatever it consists of.
    fn only(&self) -> Result<Slot, LayerFault> {
        let &[slot] = self.inputs else { return Err(LayerFault::Arity) };
        Ok(slot)
    }

    fn slots<const N: usize>(&self, width: impl Fn(Slot) -> Option<usize>) -> Result<[usize; N], LayerFault> {
        let inputs: &[Slot; N] = self.inputs.try_into().map_err(|_| LayerFault::Arity)?;
        let mut widths = [0; N];
        for (to, slot) in widths.iter_mut().zip(inputs) {
            *to = width(*slot).ok_or(LayerFault::Dtype)?;
        }
        Ok(widths)
    }

    /// The tensor `NAME.part` of the given rank.
    fn typed(&self, part: &str, rank: usize) -> Result<Tensor<'m>, LayerFault> {
        let tensor = self.archive.part(self.name, part).ok_or(LayerFault::Tensor)?;
        if tensor.rank == rank { Ok(tensor) } else { Err(LayerFault::Width) }
    }

    /// The `F32` tensor `NAME.part` of the given rank.
    fn tensor(&self, part: &str, rank: usize) -> Result<([usize; 3], Matrix<'m>), LayerFault> {
        let tensor = self.typed(part, rank)?;
        Ok((tensor.shape, tensor.matrix().ok_or(LayerFault::Dtype)?))
    }

    /// A matrix with any number of rows and `cols` columns.
    fn matrix(&self, part: &str, cols: usize) -> Result<Matrix<'m>, LayerFault> {
        let (_, matrix) = self.tensor(part, 2)?;
        if matrix.cols() == cols { Ok(matrix) } else { Err(LayerFault::Width) }
    }

    /// `len` floats.
    fn numbers(&self, part: &str, len: usize) -> Result<&'m [f32], LayerFault> {
        Ok(self.vector(part, len)?.row(0).0)
    }

    /// Bytes of int8 and their shape.
    fn bytes(&self, part: &str, rank: usize) -> Result<([usize; 3], &'m [i8]), LayerFault> {
        let tensor = self.typed(part, rank)?;
        Ok((tensor.shape, tensor.i8s().ok_or(LayerFault::Dtype)?))
    }

    /// A matrix of int8 with `cols` columns, and its rows; both are multiples of eight.
    fn weights(&self, part: &str, cols: usize) -> Result<(usize, Weights<'m>), LayerFault> {
        let ([_, rows, width], values) = self.bytes(part, 2)?;
        let fits = width == cols && cols <= MAX_TERMS && padded(rows) == rows && padded(cols) == cols;
        if fits { Ok((rows, Weights::new(values, cols))) } else { Err(LayerFault::Width) }
    }

    /// `len` integers.
    fn integers(&self, part: &str, len: usize) -> Result<&'m [i32], LayerFault> {
        let values = self.typed(part, 1)?.i32s().ok_or(LayerFault::Dtype)?;
        if values.len() == len { Ok(values) } else { Err(LayerFault::Width) }
    }

    /// A matrix of int16.
    fn halves_of(&self, part: &str, [rows, cols]: [usize; 2]) -> Result<&'m [i16], LayerFault> {
        let tensor = self.typed(part, 2)?;
        let values = tensor.i16s().ok_or(LayerFault::Dtype)?;
        if tensor.shape == [1, rows, cols] { Ok(values) } else { Err(LayerFault::Width) }
    }

    /// A vector of `len` floats.
    fn vector(&self, part: &str, len: usize) -> Result<Matrix<'m>, LayerFault> {
        let (_, vector) = self.tensor(part, 1)?;
        if vector.cols() == len { Ok(vector) } else { Err(LayerFault::Width) }
    }
}

/// One layer of a frozen network. Shapes are proven once, by `load`.
pub(crate) trait Kernel<'m>: Sized {
    /// Its name in `ddn.graph`.
    const NAME: &'static str;
    /// Whether it only rewrites `output`, into which its one input has been copied. Input and output slot may be equal.
    const IN_PLACE: bool = false;

    /// Takes the layer's tensors.
    ///
    /// # Errors
    /// If a tensor is absent or does not fit the inputs.
    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault>;

    /// Writes the numbers that the kernel's own `built` takes, in the same order, so that a firmware can have the layer
    /// without reading it.
    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>);

    /// What it writes.
    fn output(&self) -> Slot;

    /// Words it carries from one step to the next.
    fn memory_dim(&self) -> usize {
        0
    }

    /// Words it needs while it runs.
    fn work_dim(&self) -> usize {
        0
    }

    /// Computes `output`, and updates `memory` `[memory_dim]`. What `work` `[work_dim]` holds does not matter.
    fn run(&self, inputs: Inputs<'_>, memory: &mut [f32], work: &mut [f32], output: &mut [f32]);

    /// Floats that [`Kernel::arrange`] takes.
    #[cfg(target_arch = "x86_64")]
    fn arranged_len(&self) -> usize {
        0
    }

    /// Copies weights to the front of `room`, which loses what it took, in the order in which this processor reads them
    /// fastest.
    #[cfg(target_arch = "x86_64")]
    fn arrange(&mut self, _: &mut &'m mut [f32]) {}

    /// Whether many agents at once are faster than one after the other.
    const HAS_LANES: bool = false;

    /// Does for the agent in each lane what `run` does for one; nothing where there are no lanes.
    fn run_lanes(&self, _: LaneInputs<'_>, _: &mut [Lanes], _: &mut [Lanes]) {}
}

/// Whether `a` and `b` are the same, for the compiler.
const fn equal(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let ([first, rest @ ..], [other, others @ ..]) = (a, b) {
        if *first != *other {
            return false;
        }
        (a, b) = (rest, others);
    }
    a.is_empty() && b.is_empty()
}

/// Makes the enum of all kernels and its dispatch from one line each.
macro_rules! layers {
    ($($(#[$cfg:meta])? $kernel:ident($type:ty),)+) => {
        /// A layer of any kind.
        #[derive(Clone, Debug)]
        pub(crate) enum Layer<'m> {
            $(
                $(#[$cfg])?
                #[doc = concat!("See `", stringify!($type), "`.")]
                $kernel($type),
            )+
        }

        impl<'m> Layer<'m> {
            const KINDS: &'static [&'static str] = &[$($(#[$cfg])? <$type>::NAME),+];

            /// Loads the kernel called `kind`.
            pub(crate) fn load(kind: &[u8], parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
                $(
                    $(#[$cfg])?
                    if same(kind, <$type>::NAME.as_bytes()) {
                        return <$type>::load(parts).map(Self::$kernel);
                    }
                )+
                Err(LayerFault::Kind)
            }

            /// From the numbers that [`Layer::plan`] writes for the kernel called `kind`.
            pub(crate) const fn built(kind: &str, plan: &mut Plan<'_>) -> Self {
                $(
                    $(#[$cfg])?
                    if equal(kind, <$type>::NAME) {
                        return Self::$kernel(<$type>::built(plan));
                    }
                )+
                panic!("a policy has a kind of layer that the features of ddn-runtime leave out")
            }

            /// Writes its numbers and says which kernel it has.
            #[cfg(feature = "build")]
            pub(crate) fn plan(&self, plan: &mut Writer<'_>) -> &'static str {
                match self {
                    $(
                        $(#[$cfg])?
                        Self::$kernel(kernel) => {
                            kernel.plan(plan);
                            <$type>::NAME
                        }
                    )+
                }
            }

            #[cfg(target_arch = "x86_64")]
            pub(crate) fn arranged_len(&self) -> usize {
                match self {
                    $($(#[$cfg])? Self::$kernel(kernel) => kernel.arranged_len(),)+
                }
            }

            #[cfg(target_arch = "x86_64")]
            pub(crate) fn arrange(&mut self, room: &mut &'m mut [f32]) {
                match self {
                    $($(#[$cfg])? Self::$kernel(kernel) => kernel.arrange(room),)+
                }
            }

            pub(crate) const fn in_place(&self) -> bool {
                match self {
                    $($(#[$cfg])? Self::$kernel(_) => <$type>::IN_PLACE,)+
                }
            }

            pub(crate) fn has_lanes(&self) -> bool {
                match self {
                    $($(#[$cfg])? Self::$kernel(_) => <$type>::HAS_LANES,)+
                }
            }

            pub(crate) fn run_lanes(&self, inputs: LaneInputs<'_>, memory: &mut [Lanes], output: &mut [Lanes]) {
                match self {
                    $($(#[$cfg])? Self::$kernel(kernel) => kernel.run_lanes(inputs, memory, output),)+
                }
            }

            pub(crate) fn output(&self) -> Slot {
                match self {
                    $($(#[$cfg])? Self::$kernel(kernel) => kernel.output(),)+
                }
            }

            pub(crate) fn work_dim(&self) -> usize {
                match self {
                    $($(#[$cfg])? Self::$kernel(kernel) => kernel.work_dim(),)+
                }
            }

            pub(crate) fn memory_dim(&self) -> usize {
                match self {
                    $($(#[$cfg])? Self::$kernel(kernel) => kernel.memory_dim(),)+
                }
            }

            pub(crate) fn run(
                &self,
                inputs: Inputs<'_>,
                memory: &mut [f32],
                work: &mut [f32],
                output: &mut [f32],
            ) {
                match self {
                    $($(#[$cfg])? Self::$kernel(kernel) => kernel.run(inputs, memory, work, output),)+
                }
            }
        }
    };
}

layers! {
    #[cfg(feature = "f32")]
    Linear(linear::Linear<'m>),
    Relu(relu::Relu<'m>),
    #[cfg(feature = "branches")]
    LeakyRelu(leaky_relu::LeakyRelu),
    #[cfg(all(feature = "f32", feature = "block"))]
    Block(block::Block<'m>),
    #[cfg(all(feature = "f32", feature = "block"))]
    Sparse(sparse::Sparse<'m>),
    #[cfg(all(feature = "f32", feature = "block"))]
    FoldedBlock(folded_block::FoldedBlock<'m>),
    #[cfg(feature = "f32")]
    Gru(gru::Gru<'m>),
    #[cfg(feature = "branches")]
    Concat(concat::Concat),
    #[cfg(feature = "int8")]
    Quantize(quantize::Quantize),
    #[cfg(feature = "int8")]
    LinearI8(linear_i8::LinearI8<'m>),
    #[cfg(all(feature = "int8", feature = "block"))]
    SparseI8(sparse_i8::SparseI8<'m>),
    #[cfg(all(feature = "int8", feature = "block"))]
    BlockI8(block_i8::BlockI8<'m>),
    #[cfg(feature = "int8")]
    GruI8(gru_i8::GruI8<'m>),
    #[cfg(feature = "int8")]
    ValuesI8(values_i8::ValuesI8<'m>),
}

/// The names of all kinds of layers, as `ddn.graph` writes them.
pub const KINDS: &[&str] = Layer::KINDS;
