//! Many agents at once, for hosts: a vector between layers holds one agent in each lane.
//!
//! ```text
//! one agent    x0 x1 x2 ...
//! lanes        x0 of agent 0, 1, ... 15; x1 of agent 0, 1, ... 15; ...
//! ```
//!
//! A weight is read once for all lanes, and each lane keeps the order of operations of a single step, to the bit.

use super::gru::{Gru, gates};
use super::linear::Linear;
use super::work::{Level, Work, widest};
use crate::model::matrix::Matrix;

/// Agents computed together.
pub(crate) const LANES: usize = 16;

/// One number of each agent.
pub(crate) type Lanes = [f32; LANES];

/// Rows computed together.
const ROWS: usize = 4;

/// A linear layer.
pub(super) fn linear(linear: &Linear<'_>, x: &[Lanes], output: &mut [Lanes]) {
    widest(LinearLanes { linear, x, output });
}

struct LinearLanes<'a, 'm> {
    linear: &'a Linear<'m>,
    x: &'a [Lanes],
    output: &'a mut [Lanes],
}

impl Work for LinearLanes<'_, '_> {
    #[inline(always)]
    fn run(self, level: Level) {
        let Self { linear: Linear { weight, bias }, x, output } = self;
        let (blocks, rest) = output.as_chunks_mut::<ROWS>();
        let done = ROWS * blocks.len();
        for (block, output) in blocks.iter_mut().enumerate() {
            *output = affine(level, weight, bias, ROWS * block, x);
        }
        for (row, output) in rest.iter_mut().enumerate() {
            [*output] = affine(level, weight, bias, done + row, x);
        }
    }
}

/// A gated recurrent unit; `memory` holds the states.
pub(super) fn gru(gru: &Gru<'_>, x: &[Lanes], memory: &mut [Lanes], output: &mut [Lanes]) {
    widest(GruLanes { gru, x, h: memory, output });
    for (memory, output) in memory.iter_mut().zip(output) {
        *memory = *output;
    }
}

struct GruLanes<'a, 'm> {
    gru: &'a Gru<'m>,
    x: &'a [Lanes],
    h: &'a [Lanes],
    output: &'a mut [Lanes],
}

impl Work for GruLanes<'_, '_> {
    /// The old states are needed until the last unit is done.
    #[inline(always)]
    fn run(self, level: Level) {
        let Self { gru, x, h, output } = self;
        for (to, old) in output.iter_mut().zip(h) {
            *to = *old;
        }
        let (blocks, rest) = output.as_chunks_mut::<ROWS>();
        let done = ROWS * blocks.len();
        for (block, output) in blocks.iter_mut().enumerate() {
            units(level, gru, ROWS * block, x, h, output);
        }
        for (unit, output) in rest.iter_mut().enumerate() {
            units(level, gru, done + unit, x, h, core::array::from_mut(output));
        }
    }
}

/// The hidden units `first..first + N`; `output` holds their old states.
#[inline(always)]
fn units<const N: usize>(
    level: Level,
    gru: &Gru<'_>,
    first: usize,
    x: &[Lanes],
    h: &[Lanes],
    output: &mut [Lanes; N],
) {
    let sources = [(&gru.weight_ih, &gru.bias_ih, x), (&gru.weight_hh, &gru.bias_hh, h)];
    let mut products = [[[[0.0; LANES]; N]; 3]; 2];
    for ((weight, bias, v), products) in sources.into_iter().zip(&mut products) {
        for (gate, products) in products.iter_mut().enumerate() {
            *products = affine(level, weight, bias, gate * gru.hidden + first, v);
        }
    }
    gates(
        products.each_ref().map(|gates| gates.each_ref().map(|lanes| lanes.as_flattened())),
        output.as_flattened_mut(),
    );
}

/// Rows `first..first + N` of `W v + b`.
#[inline(always)]
fn affine<const N: usize>(
    level: Level,
    weight: &Matrix<'_>,
    bias: &Matrix<'_>,
    first: usize,
    v: &[Lanes],
) -> [Lanes; N] {
    let rows = weight.rows_from(first);
    let bias = bias.row(0).0.get(first..).and_then(|bias| bias.first_chunk::<N>()).unwrap_or(&[0.0; N]);
    let mut output = [[0.0; LANES]; N];
    if !fast(level, rows, bias, v, &mut output) {
        for ((output, row), bias) in output.iter_mut().zip(rows.chunks(v.len().max(1))).zip(bias) {
            *output = dot(row, v).map(|dot| dot + bias);
        }
    }
    output
}

/// The same where the processor has something for it; says whether it has.
#[inline(always)]
fn fast(level: Level, rows: &[f32], bias: &[f32], v: &[Lanes], output: &mut [Lanes]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let (Ok(bias), Ok(output)) = (bias.try_into(), output.try_into()) {
        return super::x86::affine4_lanes(level, rows, bias, v, output);
    }
    let _ = (level, rows, bias, v, output);
    false
}

/// One row times `v`.
#[inline(always)]
fn dot(row: &[f32], v: &[Lanes]) -> Lanes {
    let mut sums = [[0.0; LANES]; 4];
    let (columns, tail) = v.as_chunks::<4>();
    let (weights, weights_tail) = row.as_chunks::<4>();
    for (v, weights) in columns.iter().zip(weights) {
        add_products(&mut sums, v, weights);
    }
    add_products(&mut sums, tail, weights_tail);
    let [p, q, r, s] = sums;
    add(add(p, q), add(r, s))
}

/// Up to four columns.
#[inline(always)]
fn add_products(sums: &mut [Lanes; 4], v: &[Lanes], weights: &[f32]) {
    for ((sums, v), weight) in sums.iter_mut().zip(v).zip(weights) {
        for (sum, v) in sums.iter_mut().zip(v) {
            *sum += v * weight;
        }
    }
}

#[inline(always)]
fn add(mut a: Lanes, b: Lanes) -> Lanes {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
    a
}
