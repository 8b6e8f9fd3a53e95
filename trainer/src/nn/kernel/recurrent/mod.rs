//! Gated recurrent unit and output layer over whole episodes, in one pass.
//!
//! ```text
//! features ─► W_i x + b_i ─┐
//!                          ├─► cell ─► hidden ─► W_o h + b_o
//! hidden   ─► W_h h + b_h ─┘     ▲________│
//! ```
//!
//! PyTorch's convention: gates in the order r, z, n; the reset gate acts after the recurrent
//! product: `n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn))`, `h' = (1 - z) ∘ n + z ∘ h`.
//!
//! The projected input exists for one time step of one shard at a time: it never leaves the cache.
//! Products for the weights' gradients are made for several steps at once.

mod backward;
mod cell;
mod forward;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};

use super::wire::{self, Slot};
use super::{Read, Real, ToWire, Wire, elements};
use crate::phases::timed;

/// Weight and bias of the three affine maps.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// `[3H, F]`, `[3H]`
    pub input: (&'a Tensor, &'a Tensor),
    /// `[3H, H]`, `[3H]`
    pub hidden: (&'a Tensor, &'a Tensor),
    /// `[A, H]`, `[A]`
    pub output: (&'a Tensor, &'a Tensor),
}

/// Runs all sequences of a batch: hidden states `[B, T, N, H]` and outputs `[B, T, N, A]`.
///
/// `features` `[B·T·N, F]`; `start` `[B, N, H]` is where the hidden state begins (zeros if `None`;
/// no gradient reaches it). `lengths` says how many steps exist, of each sequence `[B]` or of each of
/// its agents `[B·N]`: those after them cost nothing, come out as zeros and receive no gradient.
///
/// # Errors
/// If the shapes disagree.
pub fn recurrent(
    features: &impl ToWire,
    (b, t, n): (usize, usize, usize),
    weights: Weights<'_>,
    start: Option<&Tensor>,
    lengths: Option<&[usize]>,
) -> Result<(Wire, Wire)> {
    let features = features.to_wire()?;
    let (rows, f) = features.dims2()?;
    let (a, h) = weights.output.0.dims2()?;
    let want = [vec![3 * h, f], vec![3 * h], vec![3 * h, h], vec![3 * h], vec![a, h], vec![a]];
    let parts = [weights.input, weights.hidden, weights.output];
    let parts: Vec<&Tensor> = parts.into_iter().flat_map(|(weight, bias)| [weight, bias]).collect();
    let differ = |(part, want): (&&Tensor, &Vec<usize>)| part.dims() != want.as_slice();
    if rows != b * t * n || parts.iter().zip(&want).any(differ) {
        let shapes: Vec<_> = parts.iter().map(|part| part.shape()).collect();
        candle_core::bail!(
            "recurrent: features {:?} of [{b}, {t}, {n}], weights {shapes:?}",
            features.shape()
        );
    }
    let start = start.map(|start| start.to_dtype(DType::F64)?.flatten_all()?.to_vec1()).transpose()?;
    if start.as_ref().is_some_and(|start: &Vec<f64>| start.len() != b * n * h) {
        candle_core::bail!("recurrent: the first hidden state must be [{b}, {n}, {h}]");
    }
    let lengths = match lengths {
        Some(lengths) if lengths.len() == b => {
            lengths.iter().flat_map(|&length| std::iter::repeat_n(length, n)).collect()
        }
        Some(lengths) => lengths.to_vec(),
        None => vec![t; b * n],
    };
    if lengths.len() != b * n || lengths.iter().any(|&length| length > t) {
        candle_core::bail!("recurrent: {} lengths for {b} sequences of up to {t} steps", lengths.len());
    }
    // One tensor of all weights: an operation of candle takes three tensors at most.
    let flat = parts.iter().map(|part| part.flatten_all()).collect::<Result<Vec<_>>>()?;
    let flat = Tensor::cat(&flat, 0)?;
    let keep = features.tracks() || flat.track_op();
    let (hidden, output) = (Arc::new(Slot::default()), Arc::new(Slot::default()));
    let results = [&hidden, &output].map(Arc::clone);
    let dims = Dims { b, t, n, f, h, a };
    let token = features.token().clone();
    let token = token.apply_op2(
        &flat,
        Recurrent { dims, features, start, lengths, keep, kept: Mutex::default(), results },
    )?;
    Ok((Wire::new(token.clone(), &hidden, (b, t, n, h))?, Wire::new(token, &output, (b, t, n, a))?))
}

#[derive(Clone, Copy)]
struct Dims {
    b: usize,
    t: usize,
    n: usize,
    f: usize,
    h: usize,
    a: usize,
}

impl Dims {
    /// Where the six parts of the flat weights end.
    fn ends(self) -> [usize; 6] {
        let Self { f, h, a, .. } = self;
        let mut end = 0;
        [3 * h * f, 3 * h, 3 * h * h, 3 * h, a * h, a].map(|len| {
            end += len;
            end
        })
    }

    fn split<T>(self, flat: &[T]) -> [&[T]; 6] {
        let mut start = 0;
        self.ends().map(|end| {
            let part = &flat[start..end];
            start = end;
            part
        })
    }

    /// The columns of the outputs in vector code: whole groups of 8.
    fn wide(self) -> usize {
        self.a.next_multiple_of(8)
    }

    /// The row, in the order `(b, t, n)`, of a sequence, in the order `(b, n)`, at a step.
    #[inline(always)]
    fn row(self, sequence: usize, step: usize) -> usize {
        (sequence / self.n * self.t + step) * self.n + sequence % self.n
    }
}

struct Recurrent {
    dims: Dims,
    features: Wire,
    start: Option<Vec<f64>>,
    /// Steps that exist, `[B·N]`.
    lengths: Vec<usize>,
    /// Whether a backward pass may follow.
    keep: bool,
    /// Per shard r, z, n and W_hn h + b_hn, `4H` for every step of every sequence in the order of the
    /// forward pass.
    kept: Mutex<Vec<CpuStorage>>,
    /// Hidden states and outputs.
    results: [Arc<Slot>; 2],
}

impl Recurrent {
    /// Of the forward pass.
    fn multiply_adds(&self) -> usize {
        let Dims { f, h, a, .. } = self.dims;
        self.lengths.iter().sum::<usize>() * (3 * h * (f + h) + a * h)
    }

    fn first<T: Real>(&self, episodes: &Range<usize>) -> Vec<T> {
        let Dims { n, h, .. } = self.dims;
        match &self.start {
            Some(start) => {
                start[episodes.start * n * h..episodes.end * n * h].iter().map(|&v| T::from_f64(v)).collect()
            }
            None => vec![T::ZERO; episodes.len() * n * h],
        }
    }
}

type Grads = (Option<Tensor>, Option<Tensor>);

impl CustomOp2 for Recurrent {
    fn name(&self) -> &'static str {
        "ddn-recurrent"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        flat: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        timed!("recurrent forward", self.multiply_adds());
        let features = Read::new(&self.features)?;
        match flat {
            CpuStorage::F64(_) => self.forward::<f64>(features.slice()?, elements(flat, lw)?),
            _ => self.forward::<f32>(features.slice()?, elements(flat, lw)?),
        }
        Ok(wire::token_storage(flat.dtype()))
    }

    fn bwd(&self, _: &Tensor, flat: &Tensor, _: &Tensor, _: &Tensor) -> Result<Grads> {
        timed!("recurrent backward", 2 * self.multiply_adds());
        match flat.dtype() {
            DType::F64 => self.backward::<f64>(flat),
            _ => self.backward::<f32>(flat),
        }
    }
}
