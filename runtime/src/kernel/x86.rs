//! What x86-64 processors can do at once. It needs `unsafe`: instructions that not every processor has may be used only
//! where it is known to have them, and rows are read by address, within bounds that are checked before.
#![allow(unsafe_code)]

mod columns;

pub(super) use columns::affine32;

use core::arch::x86_64::{
    __m128, __m256, __m256i, _MM_HINT_T0, _mm_add_ps, _mm_loadu_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_mul_ps,
    _mm_prefetch, _mm_setzero_ps, _mm_unpackhi_ps, _mm_unpacklo_ps, _mm256_add_ps, _mm256_cmpgt_epi32,
    _mm256_hadd_ps, _mm256_loadu_ps, _mm256_maskload_ps, _mm256_mul_ps, _mm256_permute2f128_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_setzero_ps,
};

use bytemuck::cast;

use super::batch::Lanes;
use super::work::Work;

/// What the processor can do.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// What every x86-64 processor can.
    Sse2,
    /// There is AVX2.
    Avx2(Avx2),
    /// There is AVX-512, and so AVX2.
    Avx512(Avx512),
}

/// The proof that there is AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// The proof that there is AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Does `work` with code compiled for what this processor can do.
#[inline]
pub(crate) fn widest<W: Work>(work: W) {
    #[target_feature(enable = "avx2")]
    fn run<W: Work>(work: W) {
        work.run(Level::Avx2(Avx2(())));
    }
    #[target_feature(enable = "avx512f")]
    fn run_512<W: Work>(work: W) {
        work.run(Level::Avx512(Avx512(())));
    }
    if wider() {
        // SAFETY: there is AVX-512.
        unsafe { run_512(work) }
    } else if wide() {
        // SAFETY: there is AVX2.
        unsafe { run(work) }
    } else {
        work.run(Level::Sse2);
    }
}

/// Whether there is AVX2.
#[inline]
pub(crate) fn wide() -> bool {
    #[cfg(any(test, feature = "std"))]
    return std::is_x86_feature_detected!("avx2");
    #[cfg(not(any(test, feature = "std")))]
    return cfg!(target_feature = "avx2");
}

/// Whether there are AVX-512 and AVX2.
#[inline]
fn wider() -> bool {
    #[cfg(any(test, feature = "std"))]
    return wide() && std::is_x86_feature_detected!("avx512f");
    #[cfg(not(any(test, feature = "std")))]
    return cfg!(target_feature = "avx512f");
}

/// Dot products with `x` of eight rows of as many floats, one row after another, in the order of
/// [`Matrix::dot4`](crate::model::matrix::Matrix::dot4). `None` if there are fewer rows.
///
/// A row's partial sums are one register or half of one. There are eight rows at once because then an addition is over
/// before the next one to the same sum.
#[inline(always)]
pub(crate) fn dot8(level: Level, rows: &[f32], x: &[f32]) -> Option<[f32; 8]> {
    let rows = rows.get(..x.len().checked_mul(8)?)?;
    let mut dots = [0.0; 8];
    // SAFETY: there are eight rows, and the processor is known to be able to.
    unsafe {
        match level {
            Level::Sse2 => dot8_sse2(rows, x, &mut dots),
            Level::Avx2(Avx2(())) | Level::Avx512(Avx512(())) => dot8_avx2(rows, x, &mut dots),
        }
    }
    Some(dots)
}

/// `a + b`, which a compiler that sees the elements apart would add one by one.
#[inline(always)]
pub(crate) fn sum8(level: Level, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
    // SAFETY: the processor is known to be able to.
    match level {
        Level::Sse2 => {
            let ([a, c], [b, d]): ([__m128; 2], [__m128; 2]) = (cast(a), cast(b));
            cast([unsafe { _mm_add_ps(a, b) }, unsafe { _mm_add_ps(c, d) }])
        }
        Level::Avx2(Avx2(())) | Level::Avx512(Avx512(())) => cast(unsafe { _mm256_add_ps(cast(a), cast(b)) }),
    }
}

/// # Safety
/// `rows` holds eight times as many floats as `x`.
#[inline]
#[target_feature(enable = "sse2")]
unsafe fn dot8_sse2(rows: &[f32], x: &[f32], dots: &mut [f32; 8]) {
    let width = x.len();
    let starts: [*const f32; 8] = core::array::from_fn(|row| rows.as_ptr().wrapping_add(row * width));
    let (chunks, tail) = x.as_chunks::<4>();
    let mut sums = [_mm_setzero_ps(); 8];
    for (chunk, x) in chunks.iter().enumerate() {
        let x = cast(*x);
        for (sum, start) in sums.iter_mut().zip(starts) {
            // SAFETY: these four floats are part of the row.
            let weights = unsafe { _mm_loadu_ps(start.add(4 * chunk)) };
            *sum = _mm_add_ps(*sum, _mm_mul_ps(x, weights));
        }
    }
    if !tail.is_empty() {
        let x = padded(tail);
        for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(width)) {
            let (_, tail) = row.as_chunks::<4>();
            *sum = _mm_add_ps(*sum, _mm_mul_ps(x, padded(tail)));
        }
    }
    *dots = totals(sums);
}

/// Up to four columns, and zeros: no sum is -0, and adding a zero to any other changes nothing.
#[inline(always)]
fn padded(columns: &[f32]) -> __m128 {
    let at = |index: usize| columns.get(index).copied().unwrap_or(0.0);
    cast([at(0), at(1), at(2), at(3)])
}

/// The same, two rows in a register.
///
/// # Safety
/// `rows` holds eight times as many floats as `x`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn dot8_avx2(rows: &[f32], x: &[f32], dots: &mut [f32; 8]) {
    let width = x.len();
    let starts: [*const f32; 8] = core::array::from_fn(|row| rows.as_ptr().wrapping_add(row * width));
    let next = rows.as_ptr().wrapping_add(8 * width);
    let (chunks, tail) = x.as_chunks::<8>();
    let mut sums = [_mm256_setzero_ps(); 4];
    for (chunk, x) in chunks.iter().enumerate() {
        for line in 0..4 {
            // What is read next; weights seldom fit the fastest cache.
            let ahead = next.wrapping_add(64 * chunk + 16 * line);
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
        }
        let x = cast(*x);
        // SAFETY: these eight floats are part of the row.
        let products = |row: usize| unsafe { _mm256_mul_ps(x, _mm256_loadu_ps(starts[row].add(8 * chunk))) };
        add(&mut sums, products);
    }
    if !tail.is_empty() {
        // Zeros beyond the last column: no sum is -0, and adding a zero to any other changes nothing.
        let first = width - tail.len();
        let mask = first_lanes(tail.len());
        // SAFETY: floats beyond the mask, which may be beyond the row, are not read.
        unsafe {
            let x = _mm256_maskload_ps(tail.as_ptr(), mask);
            add(&mut sums, |row| _mm256_mul_ps(x, _mm256_maskload_ps(starts[row].add(first), mask)));
        }
    }
    let [ae, bf, cg, dh] = sums;
    let (left, right) = (_mm256_hadd_ps(ae, bf), _mm256_hadd_ps(cg, dh)); // p0 + p1 and p2 + p3 of each
    *dots = cast(_mm256_hadd_ps(left, right));
}

/// `W x + b` of each lane for four rows of as many floats, one row after another, in the order of
/// [`Matrix::dot4`](crate::model::matrix::Matrix::dot4). Says whether it has computed them: there may be fewer rows, or
/// nothing to gain.
#[inline(always)]
pub(crate) fn affine4_lanes(
    level: Level,
    rows: &[f32],
    b: &[f32; 4],
    x: &[Lanes],
    output: &mut [Lanes; 4],
) -> bool {
    if matches!(level, Level::Sse2) {
        return false;
    }
    let Some(rows) = x.len().checked_mul(4).and_then(|floats| rows.get(..floats)) else { return false };
    // SAFETY: there are four rows, and there is AVX2.
    unsafe { affine4_lanes_avx2(rows, b, x, output) };
    true
}

/// # Safety
/// `rows` holds four times as many floats as `x` has elements.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn affine4_lanes_avx2(rows: &[f32], b: &[f32; 4], x: &[Lanes], output: &mut [Lanes; 4]) {
    let width = x.len();
    let next = rows.as_ptr().wrapping_add(4 * width);
    let mut partial = [[[_mm256_setzero_ps(); 2]; 4]; 4];
    for (first, partial) in partial.iter_mut().enumerate() {
        let mut sums = *partial;
        for column in (first..width).step_by(4) {
            // A quarter of what is read next.
            _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(first * width + 4 * column).cast());
            // SAFETY: the column is below the width.
            let [low, high]: [__m256; 2] = cast(unsafe { *x.get_unchecked(column) });
            for (row, [left, right]) in sums.iter_mut().enumerate() {
                // SAFETY: it is a column of one of four rows.
                let weight = _mm256_set1_ps(unsafe { *rows.get_unchecked(row * width + column) });
                *left = _mm256_add_ps(*left, _mm256_mul_ps(low, weight));
                *right = _mm256_add_ps(*right, _mm256_mul_ps(high, weight));
            }
        }
        *partial = sums;
    }
    let [p, q, r, s] = partial;
    for (row, (output, b)) in output.iter_mut().zip(b).enumerate() {
        let total = |half: usize| {
            let left = _mm256_add_ps(p[row][half], q[row][half]);
            let right = _mm256_add_ps(r[row][half], s[row][half]);
            _mm256_add_ps(_mm256_add_ps(left, right), _mm256_set1_ps(*b))
        };
        *output = cast([total(0), total(1)]);
    }
}

/// Adds the products of eight columns: first those of columns 0 to 3, then those of 4 to 7.
#[inline]
#[target_feature(enable = "avx2")]
fn add(sums: &mut [__m256; 4], products: impl Fn(usize) -> __m256) {
    for (pair, sum) in sums.iter_mut().enumerate() {
        let (a, b) = (products(pair), products(pair + 4));
        *sum = _mm256_add_ps(*sum, _mm256_permute2f128_ps::<0x20>(a, b));
        *sum = _mm256_add_ps(*sum, _mm256_permute2f128_ps::<0x31>(a, b));
    }
}

/// The mask of the first `count` of eight floats.
#[inline]
#[target_feature(enable = "avx2")]
fn first_lanes(count: usize) -> __m256i {
    let count = i32::try_from(count).unwrap_or(0);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// `(p0 + p1) + (p2 + p3)` of each row.
#[inline]
#[target_feature(enable = "sse2")]
fn totals([a, b, c, d, e, f, g, h]: [__m128; 8]) -> [f32; 8] {
    let four = |a, b, c, d| {
        let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d)); // p0 p0 p1 p1
        let left = _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
        let (ab, cd) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d)); // p2 p2 p3 p3
        let right = _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
        _mm_add_ps(left, right)
    };
    cast([four(a, b, c, d), four(e, f, g, h)])
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::super::batch::LANES;
    use super::{Avx2, Level, Work, affine4_lanes, affine32, dot8, wide, widest};
    use crate::model::matrix::Matrix;

    /// A number that differs from place to place, now and then a zero of either sign.
    fn number(i: usize) -> f32 {
        match i % 11 {
            0 => 0.0,
            1 => -0.0,
            _ => ((i * 7919 % 1009) as f32 - 504.0) / 97.0,
        }
    }

    fn numbers(first: usize, count: usize) -> Vec<f32> {
        (first..first + count).map(number).collect()
    }

    fn bits(floats: &[f32]) -> Vec<u32> {
        floats.iter().map(|float| float.to_bits()).collect()
    }

    struct Compare;

    impl Work for Compare {
        /// Every width up to some chunks and what remains, against the portable order.
        fn run(self, level: Level) {
            for width in 1..70 {
                let (rows, x) = (numbers(width, 8 * width), numbers(3 * width, width));
                let matrix = Matrix::new(&rows, 8, width);
                let want = [matrix.dot4(0, &x), matrix.dot4(4, &x)];
                let got = dot8(level, &rows, &x).expect("there are eight rows");
                assert_eq!(bits(&got), bits(want.as_flattened()), "width {width}");
                assert_eq!(dot8(level, &rows[1..], &x), None);

                let wide = numbers(5 * width, 32 * width);
                let mut wide = Matrix::new(&wide, 32, width);
                let mut room = vec![0.0; wide.arranged_len(32)];
                wide.arrange(32, &mut &mut room[..]);
                let columns = wide.group(0).expect("a whole group");
                let bias: [f32; 32] = core::array::from_fn(|row| number(7 * row));
                if let Some(got) = affine32(level, columns, &x, &bias) {
                    let dots = (0..8).flat_map(|block| wide.dot4(4 * block, &x));
                    let want: Vec<f32> = dots.zip(bias).map(|(dot, bias)| dot + bias).collect();
                    assert_eq!(bits(&got), bits(&want), "width {width}");
                    assert_eq!(affine32(level, columns, &x[1..], &bias), None);
                } else {
                    assert!(matches!(level, Level::Sse2));
                }

                let x: Vec<[f32; LANES]> =
                    x.iter().map(|x| core::array::from_fn(|lane| x * number(lane))).collect();
                let bias = [0.5, -0.0, 0.0, -3.0];
                let mut output = [[0.0; LANES]; 4];
                if affine4_lanes(level, &rows, &bias, &x, &mut output) {
                    for lane in 0..LANES {
                        let x: Vec<f32> = x.iter().map(|x| x[lane]).collect();
                        let dots = matrix.dot4(0, &x);
                        let want: Vec<f32> = dots.iter().zip(bias).map(|(dot, bias)| dot + bias).collect();
                        assert_eq!(
                            bits(&output.map(|row| row[lane])),
                            bits(&want),
                            "width {width}, lane {lane}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_level_keeps_the_order_of_operations() {
        #[target_feature(enable = "avx2")]
        fn avx2() {
            Compare.run(Level::Avx2(Avx2(())));
        }
        Compare.run(Level::Sse2);
        if wide() {
            // SAFETY: there is AVX2.
            unsafe { avx2() };
        }
        widest(Compare);
    }
}
