//! How fast products of matrices are here: the bound for everything else.

use std::time::Instant;

use crate::nn::kernel::{ByRow, Every, SHARDS, each_shard, gemm};

/// Multiply-adds per second of `[64, 64] · [64, 192]` out of the cache on all threads, the best of
/// some tries.
pub(super) fn product_rate() -> f64 {
    const SIZE: (usize, usize, usize) = (64, 192, 64);
    const TIMES: usize = 200;
    let (m, n, k) = SIZE;
    let (a, b) = (vec![0.5_f32; m * k], vec![0.25_f32; k * n]);
    let once = || {
        let began = Instant::now();
        let sums = each_shard(|_| {
            let mut c = vec![0.0; m * n];
            (0..TIMES).for_each(|_| gemm(SIZE, &a, ByRow(Every(k)), &b, &mut c));
            c[0]
        });
        std::hint::black_box(sums);
        (SHARDS * TIMES * m * n * k) as f64 / began.elapsed().as_secs_f64()
    };
    (0..20).map(|_| once()).fold(0.0, f64::max)
}
