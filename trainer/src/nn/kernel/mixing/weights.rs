//! The parameters of a mixing network as its op wants them, and room for what they make of a few rows.

use super::ROWS;
use crate::nn::kernel::{Real, transpose};

/// Sizes: N agents, a state of S, H hidden units in the networks that make weights, E in the mixing network.
#[derive(Clone, Copy)]
pub(super) struct Dims {
    pub n: usize,
    pub s: usize,
    pub h: usize,
    pub e: usize,
}

impl Dims {
    /// Outputs and inputs of all layers, in the order in which their parameters follow each other: the four that read
    /// the state, then the last layers of w1, wf and v.
    pub(super) fn layers(self) -> [(usize, usize); 7] {
        let Self { n, s, h, e } = self;
        [(h, s), (h, s), (e, s), (e, s), (n * e, h), (e, h), (1, e)]
    }

    /// F, what the layers that read the state make of a row: hidden units of w1, of wf and of v, then b1.
    pub(super) fn first(self) -> usize {
        2 * (self.h + self.e)
    }

    /// Numbers of all parameters.
    pub(super) fn parameters(self) -> usize {
        self.layers().iter().map(|(out, input)| out * (input + 1)).sum()
    }
}

/// An affine map `[I]` to `[O]`.
pub(super) struct Later<'a, T> {
    /// `[O, I]`
    pub weight: &'a [T],
    /// `[I, O]`
    pub turned: Vec<T>,
    /// `[O]`
    pub bias: &'a [T],
}

/// All parameters.
pub(super) struct Weights<'a, T> {
    /// Of the layers that read the state, side by side: `[S, F]`.
    pub first: Vec<T>,
    /// `[F]`
    pub first_bias: Vec<T>,
    pub w1: Later<'a, T>,
    pub wf: Later<'a, T>,
    pub v: Later<'a, T>,
}

impl<'a, T: Real> Weights<'a, T> {
    pub(super) fn new(mut flat: &'a [T], dims: Dims) -> Self {
        let mut cut = |(out, input): (usize, usize)| {
            let (weight, rest) = flat.split_at(out * input);
            let (bias, rest) = rest.split_at(out);
            flat = rest;
            (weight, bias)
        };
        let [a, b, c, d, w1, wf, v] = dims.layers();
        let first = [a, b, c, d].map(&mut cut);
        let mut later = |size: (usize, usize)| {
            let (weight, bias) = cut(size);
            Later { weight, turned: transpose(size.0, size.1, weight), bias }
        };
        let (w1, wf, v) = (later(w1), later(wf), later(v));
        let rows = first.map(|(weight, _)| weight).concat();
        Self {
            first: transpose(dims.first(), dims.s, &rows),
            first_bias: first.map(|(_, bias)| bias).concat(),
            w1,
            wf,
            v,
        }
    }
}

/// What is made of at most [`ROWS`] rows; of fewer, the first of each.
pub(super) struct Made<T> {
    /// `[ROWS, F]`
    pub first: Vec<T>,
    /// `[ROWS, N·E]`
    pub w1: Vec<T>,
    /// `[ROWS, E]`
    pub wf: Vec<T>,
    /// `[ROWS]`
    pub v: Vec<T>,
    /// What ELU reads, `[ROWS, E]`.
    pub sums: Vec<T>,
    /// What ELU makes of it, `[ROWS, E]`.
    pub hidden: Vec<T>,
}

impl<T: Real> Made<T> {
    pub(super) fn new(dims: Dims) -> Self {
        let room = |width: usize| vec![T::ZERO; ROWS * width];
        let Dims { n, e, .. } = dims;
        Self {
            first: room(dims.first()),
            w1: room(n * e),
            wf: room(e),
            v: room(1),
            sums: room(e),
            hidden: room(e),
        }
    }
}
