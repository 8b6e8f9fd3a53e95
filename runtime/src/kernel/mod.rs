//! The layers a frozen network may have: one file per kernel, one line per kernel in [`layers!`].
//!
//! A kernel proves its shapes when it is loaded, and cannot fail when it runs.

mod block;
mod concat;
mod gru;
mod leaky_relu;
mod linear;
pub mod math;
mod relu;

use crate::error::LayerFault;
use crate::model::archive::Archive;
use crate::model::matrix::Matrix;

/// Most inputs a layer may have.
pub(crate) const MAX_INPUTS: usize = 4;

/// What a kernel is made from: the archive, the layer's name in it, and the widths of its inputs.
pub(crate) struct Parts<'a, 'm> {
    pub(crate) archive: &'a Archive<'m>,
    pub(crate) name: &'a str,
    pub(crate) inputs: &'a [usize],
}

impl<'m> Parts<'_, 'm> {
    /// The widths of exactly `N` inputs.
    fn widths<const N: usize>(&self) -> Result<[usize; N], LayerFault> {
        self.inputs.try_into().map_err(|_| LayerFault::Arity)
    }

    /// The `F32` tensor `NAME.part` of the given rank.
    fn tensor(&self, part: &str, rank: usize) -> Result<([usize; 3], Matrix<'m>), LayerFault> {
        let tensor = self.archive.part(self.name, part).ok_or(LayerFault::Tensor)?;
        if tensor.rank != rank {
            return Err(LayerFault::Width);
        }
        Ok((tensor.shape, tensor.matrix().ok_or(LayerFault::Dtype)?))
    }

    /// A matrix with any number of rows and `cols` columns.
    fn matrix(&self, part: &str, cols: usize) -> Result<Matrix<'m>, LayerFault> {
        let (_, matrix) = self.tensor(part, 2)?;
        if matrix.cols() == cols { Ok(matrix) } else { Err(LayerFault::Width) }
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

    /// Floats it writes.
    fn output_dim(&self) -> usize;

    /// Floats it carries from one step to the next.
    fn memory_dim(&self) -> usize {
        0
    }

    /// Computes `output` `[output_dim]`, and updates `memory` `[memory_dim]`. Inputs past the layer's own are empty.
    fn run(&self, inputs: [&[f32]; MAX_INPUTS], memory: &mut [f32], output: &mut [f32]);
}

/// Makes the enum of all kernels and its dispatch from one line each.
macro_rules! layers {
    ($($kernel:ident($type:ty),)+) => {
        /// A layer of any kind.
        #[derive(Clone, Debug)]
        pub(crate) enum Layer<'m> {
            $(
                #[doc = concat!("See `", stringify!($type), "`.")]
                $kernel($type),
            )+
        }

        impl<'m> Layer<'m> {
            const KINDS: &'static [&'static str] = &[$(<$type>::NAME),+];

            /// Loads the kernel called `kind`.
            pub(crate) fn load(kind: &str, parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
                $(
                    if kind == <$type>::NAME {
                        return <$type>::load(parts).map(Self::$kernel);
                    }
                )+
                Err(LayerFault::Kind)
            }

            pub(crate) fn in_place(&self) -> bool {
                match self {
                    $(Self::$kernel(_) => <$type>::IN_PLACE,)+
                }
            }

            pub(crate) fn output_dim(&self) -> usize {
                match self {
                    $(Self::$kernel(kernel) => kernel.output_dim(),)+
                }
            }

            pub(crate) fn memory_dim(&self) -> usize {
                match self {
                    $(Self::$kernel(kernel) => kernel.memory_dim(),)+
                }
            }

            pub(crate) fn run(&self, inputs: [&[f32]; MAX_INPUTS], memory: &mut [f32], output: &mut [f32]) {
                match self {
                    $(Self::$kernel(kernel) => kernel.run(inputs, memory, output),)+
                }
            }
        }
    };
}

layers! {
    Linear(linear::Linear<'m>),
    Relu(relu::Relu),
    LeakyRelu(leaky_relu::LeakyRelu),
    Block(block::Block<'m>),
    Gru(gru::Gru<'m>),
    Concat(concat::Concat),
}

/// The names of all kinds of layers, as `ddn.graph` writes them.
pub const KINDS: &[&str] = Layer::KINDS;
