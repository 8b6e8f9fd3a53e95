//! One agent's step on x86-64: more rows, units and columns at a time than a microcontroller has registers for, in the
//! order of operations that all processors share.

use super::folded_block::FoldedBlock;
use super::gru::{Gru, gates};
use super::linear::Linear;
use super::work::{Level, Work, widest};
use super::x86::{affine32, dot8, sum8};
use crate::model::matrix::Matrix;
use crate::model::matrix::arranged::GROUP;

/// Rows, and hidden units, computed together.
const ROWS: usize = 8;

/// Computes the first rows of a linear layer, and says how many.
pub(super) fn linear(linear: &Linear<'_>, x: &[f32], output: &mut [f32]) -> usize {
    let (blocks, _) = output.as_chunks_mut::<ROWS>();
    let done = blocks.len() * ROWS;
    widest(LinearStep { linear, x, output: blocks.as_flattened_mut() });
    done
}

struct LinearStep<'a, 'm> {
    linear: &'a Linear<'m>,
    x: &'a [f32],
    output: &'a mut [f32],
}

impl Work for LinearStep<'_, '_> {
    #[inline(always)]
    fn run(self, level: Level) {
        let Self { linear: Linear { weight, bias }, x, output } = self;
        rows(level, weight, bias, (0, 0), x, output);
    }
}

/// Computes the first hidden units, and says how many.
pub(super) fn gru(gru: &Gru<'_>, x: &[f32], h: &[f32], output: &mut [f32]) -> usize {
    let (blocks, _) = output.as_chunks_mut::<ROWS>();
    let done = blocks.len() * ROWS;
    widest(GruStep { gru, x, h, output });
    done
}

struct GruStep<'a, 'm> {
    gru: &'a Gru<'m>,
    x: &'a [f32],
    h: &'a [f32],
    output: &'a mut [f32],
}

impl Work for GruStep<'_, '_> {
    /// As many units at a time as there are: reading much of a matrix at once is faster.
    #[inline(always)]
    fn run(self, level: Level) {
        let Self { gru, x, h, output } = self;
        let units = Units { level, gru, x, h };
        let rest = units.all::<64>(0, output);
        let rest = units.all::<32>(h.len().saturating_sub(rest.len()), rest);
        units.all::<ROWS>(h.len().saturating_sub(rest.len()), rest);
    }
}

struct Units<'a, 'm> {
    level: Level,
    gru: &'a Gru<'m>,
    x: &'a [f32],
    h: &'a [f32],
}

impl Units<'_, '_> {
    /// The units from `first` on, `N` at a time; returns those that are left.
    #[inline(always)]
    fn all<'o, const N: usize>(&self, first: usize, output: &'o mut [f32]) -> &'o mut [f32] {
        let (old, _) = self.h.get(first..).unwrap_or_default().as_chunks::<N>();
        let (blocks, rest) = output.as_chunks_mut::<N>();
        for (block, (output, old)) in blocks.iter_mut().zip(old).enumerate() {
            *output = *old;
            self.some(first + N * block, output);
        }
        rest
    }

    /// The units `first..first + N`; `h` holds their old states.
    #[inline(always)]
    fn some<const N: usize>(&self, first: usize, h: &mut [f32; N]) {
        let Self { level, gru, .. } = *self;
        let sources = [(&gru.weight_ih, &gru.bias_ih, self.x), (&gru.weight_hh, &gru.bias_hh, self.h)];
        let mut products = [[[0.0; N]; 3]; 2];
        for ((weight, bias, v), products) in sources.into_iter().zip(&mut products) {
            for (gate, products) in products.iter_mut().enumerate() {
                let place = (gate * gru.hidden + first, gate * (gru.hidden / GROUP) + first / GROUP);
                rows(level, weight, bias, place, v, products);
            }
        }
        gates(products.each_ref().map(|gates| gates.each_ref().map(|units| units.as_slice())), h);
    }
}

/// As many rows of `W v + b` as `output` has whole blocks for, from `first` on, whose groups begin with `place`.
#[inline(always)]
fn rows(
    level: Level,
    weight: &Matrix<'_>,
    bias: &Matrix<'_>,
    (first, place): (usize, usize),
    v: &[f32],
    output: &mut [f32],
) {
    let (groups, rest) = output.as_chunks_mut::<GROUP>();
    let done = first + GROUP * groups.len();
    for (group, output) in groups.iter_mut().enumerate() {
        let (first, group) = (first + GROUP * group, weight.group(place + group));
        let bias_of = bias.row(0).0.get(first..).and_then(|bias| bias.first_chunk::<GROUP>());
        let values = group.zip(bias_of).and_then(|(group, bias)| affine32(level, group, v, bias));
        if let Some(values) = values {
            *output = values;
        } else {
            blocks(level, weight, bias, first, v, output);
        }
    }
    blocks(level, weight, bias, done, v, rest);
}

/// The same by blocks alone.
#[inline(always)]
fn blocks(level: Level, weight: &Matrix<'_>, bias: &Matrix<'_>, first: usize, v: &[f32], output: &mut [f32]) {
    for (block, output) in output.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        affine(level, weight, bias, first + ROWS * block, v, output);
    }
}

/// Rows `first..first + 8` of `W v + b`.
#[inline(always)]
fn affine(
    level: Level,
    weight: &Matrix<'_>,
    bias: &Matrix<'_>,
    first: usize,
    v: &[f32],
    output: &mut [f32; ROWS],
) {
    let rows = weight.rows_from(first);
    let bias = bias.row(0).0.get(first..).unwrap_or_default();
    if let (Some(dots), Some(bias)) = (dot8(level, rows, v), bias.first_chunk::<ROWS>()) {
        *output = sum8(level, dots, *bias);
    }
}

/// Adds to the first columns of a folded block, and says how many they are.
pub(super) fn folded_block(block: &FoldedBlock<'_>, h: &[f32], x: &[f32], output: &mut [f32]) -> usize {
    let (columns, _) = output.as_chunks_mut::<ROWS>();
    let done = columns.len() * ROWS;
    widest(BlockStep { block, h, x, output: columns.as_flattened_mut() });
    done
}

struct BlockStep<'a, 'm> {
    block: &'a FoldedBlock<'m>,
    h: &'a [f32],
    x: &'a [f32],
    output: &'a mut [f32],
}

impl Work for BlockStep<'_, '_> {
    #[inline(always)]
    fn run(self, level: Level) {
        let Self { block: FoldedBlock { weight, width }, h, x, output } = self;
        for (k, &x) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            let (groups, rest) = output.as_chunks_mut::<GROUP>();
            let done = k * width + GROUP * groups.len();
            for (group, output) in groups.iter_mut().enumerate() {
                let first = k * width + GROUP * group;
                let group = weight.group(k * (width / GROUP) + group);
                // No sum is -0: adding 0 changes none.
                let dots = group.and_then(|group| affine32(level, group, h, &[0.0; GROUP]));
                if let Some(dots) = dots {
                    for (output, dot) in output.iter_mut().zip(dots) {
                        *output += x * dot;
                    }
                } else {
                    columns(level, weight, first, (h, x), output);
                }
            }
            columns(level, weight, done, (h, x), rest);
        }
    }
}

/// Adds `x` times as many rows of `W h` as `output` has whole blocks for, from `first` on.
#[inline(always)]
fn columns(level: Level, weight: &Matrix<'_>, first: usize, (h, x): (&[f32], f32), output: &mut [f32]) {
    for (block, output) in output.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        let rows = weight.rows_from(first + ROWS * block);
        for (output, dot) in output.iter_mut().zip(dot8(level, rows, h).unwrap_or_default()) {
            *output += x * dot;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::{FoldedBlock, Gru, Linear};
    use crate::kernel::Kernel;
    use crate::model::matrix::Matrix;

    fn numbers(first: usize, count: usize) -> Vec<f32> {
        (first..first + count).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 504.0).collect()
    }

    fn bits(floats: &[f32]) -> Vec<u32> {
        floats.iter().map(|float| float.to_bits()).collect()
    }

    /// Hands on a layer with its large matrices copied.
    fn arranged<'m, K: Kernel<'m>>(mut layer: K, run: impl FnOnce(&K)) {
        let mut room = Vec::leak(vec![0.0; layer.arranged_len()]);
        layer.arrange(&mut room);
        assert!(room.is_empty(), "the copies take as much as was said");
        run(&layer);
    }

    #[test]
    fn linear_layers_of_any_size_equal_the_portable_ones() {
        for (rows, cols) in [(1, 1), (7, 3), (8, 8), (9, 64), (24, 33), (32, 1), (64, 89), (70, 6), (96, 64)]
        {
            let (weight, bias, x) = (numbers(1, rows * cols), numbers(2, rows), numbers(3, cols));
            let linear =
                Linear { weight: Matrix::new(&weight, rows, cols), bias: Matrix::new(&bias, 1, rows) };
            let (mut got, mut want) = (vec![0.0; rows], vec![0.0; rows]);
            linear.run([&x, &[], &[], &[]], &mut [], &mut [], &mut got);
            linear.rows_from(0, &x, &mut want);
            assert_eq!(bits(&got), bits(&want), "{rows} x {cols}");
            got.fill(7.0);
            arranged(linear, |linear| linear.run([&x, &[], &[], &[]], &mut [], &mut [], &mut got));
            assert_eq!(bits(&got), bits(&want), "{rows} x {cols}, arranged");
        }
    }

    #[test]
    fn recurrent_units_of_any_number_equal_the_portable_ones() {
        for hidden in [1, 7, 8, 15, 32, 40, 48, 64, 71, 96, 100, 128, 173] {
            let input = hidden + 3;
            let (ih, hh) = (numbers(1, 3 * hidden * input), numbers(2, 3 * hidden * hidden));
            let (bias_ih, bias_hh) = (numbers(3, 3 * hidden), numbers(4, 3 * hidden));
            let gru = Gru {
                weight_ih: Matrix::new(&ih, 3 * hidden, input),
                weight_hh: Matrix::new(&hh, 3 * hidden, hidden),
                bias_ih: Matrix::new(&bias_ih, 1, 3 * hidden),
                bias_hh: Matrix::new(&bias_hh, 1, 3 * hidden),
                hidden,
            };
            let (x, mut memory) = (numbers(5, input), numbers(6, hidden));
            let (mut got, mut want, mut again) = (vec![0.0; hidden], vec![0.0; hidden], memory.clone());
            gru.units_from(0, &x, &memory, &mut want);
            gru.run([&x, &[], &[], &[]], &mut memory, &mut [], &mut got);
            assert_eq!(bits(&got), bits(&want), "{hidden} units");
            assert_eq!(bits(&memory), bits(&want), "the state of {hidden} units");
            got.fill(7.0);
            arranged(gru, |gru| gru.run([&x, &[], &[], &[]], &mut again, &mut [], &mut got));
            assert_eq!(bits(&got), bits(&want), "{hidden} units, arranged");
        }
    }

    #[test]
    fn folded_blocks_of_any_size_equal_the_portable_ones() {
        for (inputs, width, terms) in [(3, 1, 1), (5, 8, 4), (4, 13, 16), (6, 64, 21), (3, 40, 6), (9, 40, 6)]
        {
            let weight = numbers(1, inputs * width * terms);
            let block = FoldedBlock { weight: Matrix::new(&weight, inputs * width, terms), width };
            let (h, mut x, b) = (numbers(2, terms), numbers(3, inputs), numbers(4, width));
            x[1] = 0.0;
            let (mut got, mut want) = (vec![0.0; width], b.clone());
            block.run([&h, &x, &b, &[]], &mut [], &mut [], &mut got);
            block.columns_from(0, &h, &x, &mut want);
            assert_eq!(bits(&got), bits(&want), "{inputs} inputs, {width} columns, {terms} terms");
            got.fill(7.0);
            arranged(block, |block| block.run([&h, &x, &b, &[]], &mut [], &mut [], &mut got));
            assert_eq!(bits(&got), bits(&want), "{inputs} inputs, {width} columns, {terms} terms, arranged");
        }
    }
}
