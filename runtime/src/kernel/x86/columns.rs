//! Products with weights that lie column by column, see
//! [`Matrix::arrange`](crate::model::matrix::Matrix::arrange): a register holds one column of many rows, and no sum has to
//! be put together from parts of a register.
//!
//! Unsafe, as its parent is: instructions that not every processor has.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256, __m512, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_mul_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm512_add_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use bytemuck::cast;

use super::{Avx2, Avx512, Level};

/// Rows that lie side by side.
const GROUP: usize = crate::model::matrix::arranged::GROUP;

/// How many columns before they are needed they are fetched: weights seldom fit the fastest cache.
const AHEAD: usize = 24;

/// `W x + b` for the rows of a group, of which it is given the columns, in the order of
/// [`Matrix::dot4`](crate::model::matrix::Matrix::dot4): column c goes to the partial sum c mod 4. `None` if the group has
/// another number of columns, or nothing is gained.
#[inline(always)]
pub(crate) fn affine32(
    level: Level,
    columns: &[[f32; GROUP]],
    x: &[f32],
    bias: &[f32; GROUP],
) -> Option<[f32; GROUP]> {
    if columns.len() != x.len() {
        return None;
    }
    match level {
        Level::Sse2 => None,
        // SAFETY: `Avx2` exists only where there is AVX2.
        Level::Avx2(Avx2(())) => Some(cast([0, 1].map(|half| unsafe { half_avx2(columns, half, x, bias) }))),
        // SAFETY: `Avx512` exists only where there is AVX-512.
        Level::Avx512(Avx512(())) => Some(unsafe { affine32_avx512(columns, x, bias) }),
    }
}

/// One half of the rows, whose sums fill half of the registers that there are.
#[inline]
#[target_feature(enable = "avx2")]
fn half_avx2(columns: &[[f32; GROUP]], half: usize, x: &[f32], bias: &[f32; GROUP]) -> [__m256; 2] {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(sums: &mut [[__m256; 2]; 4], columns: &[[f32; GROUP]], half: usize, x: &[f32]) {
        for ((sums, column), x) in sums.iter_mut().zip(columns).zip(x) {
            let halves: [[__m256; 2]; 2] = cast(*column);
            fetch(column, 16 * half);
            let x = _mm256_set1_ps(*x);
            for (sum, weights) in sums.iter_mut().zip(halves[half]) {
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(x, weights));
            }
        }
    }
    let mut sums = [[_mm256_setzero_ps(); 2]; 4];
    let ((fours, columns), (x_fours, x)) = (columns.as_chunks::<4>(), x.as_chunks::<4>());
    for (columns, x) in fours.iter().zip(x_fours) {
        add(&mut sums, columns, half, x);
    }
    add(&mut sums, columns, half, x);
    let ([p, q, r, s], bias): (_, [[__m256; 2]; 2]) = (sums, cast(*bias));
    [0, 1].map(|part| {
        let (left, right) = (_mm256_add_ps(p[part], q[part]), _mm256_add_ps(r[part], s[part]));
        _mm256_add_ps(_mm256_add_ps(left, right), bias[half][part])
    })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn affine32_avx512(columns: &[[f32; GROUP]], x: &[f32], bias: &[f32; GROUP]) -> [f32; GROUP] {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn add(sums: &mut [[__m512; 2]; 4], columns: &[[f32; GROUP]], x: &[f32]) {
        for ((sums, column), x) in sums.iter_mut().zip(columns).zip(x) {
            let x = _mm512_set1_ps(*x);
            for (half, (sum, weights)) in sums.iter_mut().zip(column.as_chunks::<16>().0).enumerate() {
                fetch(column, 16 * half);
                // SAFETY: these are sixteen floats.
                let weights = unsafe { _mm512_loadu_ps(weights.as_ptr()) };
                *sum = _mm512_add_ps(*sum, _mm512_mul_ps(x, weights));
            }
        }
    }
    let mut sums = [[_mm512_setzero_ps(); 2]; 4];
    let ((fours, columns), (x_fours, x)) = (columns.as_chunks::<4>(), x.as_chunks::<4>());
    for (columns, x) in fours.iter().zip(x_fours) {
        add(&mut sums, columns, x);
    }
    add(&mut sums, columns, x);
    let [p, q, r, s] = sums;
    let mut output = [0.0; GROUP];
    let places = output.as_chunks_mut::<16>().0.iter_mut().zip(bias.as_chunks::<16>().0);
    for (half, (output, bias)) in places.enumerate() {
        let (left, right) = (_mm512_add_ps(p[half], q[half]), _mm512_add_ps(r[half], s[half]));
        // SAFETY: either has sixteen floats.
        unsafe {
            let bias = _mm512_loadu_ps(bias.as_ptr());
            _mm512_storeu_ps(output.as_mut_ptr(), _mm512_add_ps(_mm512_add_ps(left, right), bias));
        }
    }
    output
}

/// Asks for the line of the cache that lies `row` floats into a later column; there need not be one.
#[inline(always)]
fn fetch(column: &[f32; GROUP], row: usize) {
    let ahead = column.as_ptr().wrapping_add(GROUP * AHEAD + row);
    // SAFETY: every x86-64 processor can, and nothing is read.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
}
