//! Weighted squared distance between two sets of rows, fused.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::{Read, Real, each_shard, elements, fill_shards, shard, vectorised};

/// `Σ_r weight_r · Σ_c (student_rc - teacher_rc)²`, a scalar.
///
/// `teacher`, `student` `[R, C]`; `weight` `[R]`. The teacher receives no gradient.
///
/// # Errors
/// If the shapes disagree.
pub fn squared_distance(teacher: &Tensor, student: &Tensor, weight: Vec<f64>) -> Result<Tensor> {
    let (rows, columns) = student.dims2()?;
    if teacher.dims2()? != (rows, columns) || weight.len() != rows {
        candle_core::bail!(
            "distance: teacher {:?}, student {:?}, {} weights",
            teacher.shape(),
            student.shape(),
            weight.len()
        );
    }
    let teacher = teacher.detach().contiguous()?;
    student.contiguous()?.apply_op1(Distance { teacher, weight })
}

struct Distance {
    teacher: Tensor,
    weight: Vec<f64>,
}

impl Distance {
    fn forward<T: Real>(&self, student: &[T], columns: usize) -> Result<T> {
        let teacher = Read::new(&self.teacher)?;
        let teacher = teacher.slice::<T>()?;
        let weights = self.weight.as_slice();
        let parts = each_shard(|index| {
            let rows = shard(weights.len(), index);
            vectorised!(<T>(rows: Range<usize>, weights: &[f64], student: &[T], teacher: &[T], columns: usize) -> T {
                let mut total = T::ZERO;
                let mut sums = vec![T::ZERO; columns];
                for row in rows {
                    let weight = T::from_f64(weights[row]);
                    let range = row * columns..(row + 1) * columns;
                    for ((sum, &s), &t) in sums.iter_mut().zip(&student[range.clone()]).zip(&teacher[range]) {
                        *sum = (weight * (s - t)).fma(s - t, *sum);
                    }
                }
                for sum in sums {
                    total += sum;
                }
                total
            })
        });
        Ok(parts.into_iter().fold(T::ZERO, |total, part| total + part))
    }

    fn backward<T: Real>(&self, student: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (rows, columns) = student.dims2()?;
        let grad = grad.to_dtype(DType::F64)?.to_vec0::<f64>()?;
        let (teacher, read) = (Read::new(&self.teacher)?, Read::new(student)?);
        let (teacher, values) = (teacher.slice::<T>()?, read.slice::<T>()?);
        let mut out = vec![T::ZERO; rows * columns];
        let weights = self.weight.as_slice();
        fill_shards(&mut out, rows, columns, |index, out| {
            let rows = shard(rows, index);
            vectorised!(<T>(rows: Range<usize>, weights: &[f64], values: &[T], teacher: &[T], out: &mut [T], columns: usize, grad: f64) {
                for (row, out) in rows.zip(out.chunks_exact_mut(columns)) {
                    let factor = T::from_f64(2.0 * grad * weights[row]);
                    let range = row * columns..(row + 1) * columns;
                    for ((out, &s), &t) in out.iter_mut().zip(&values[range.clone()]).zip(&teacher[range]) {
                        *out = factor * (s - t);
                    }
                }
            });
        });
        Tensor::from_vec(out, (rows, columns), &Device::Cpu)
    }
}

impl CustomOp1 for Distance {
    fn name(&self) -> &'static str {
        "ddn-squared-distance"
    }

    fn cpu_fwd(&self, student: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, columns) = layout.shape().dims2()?;
        let out = match student {
            CpuStorage::F64(_) => {
                f64::to_cpu_storage_owned(vec![self.forward::<f64>(elements(student, layout)?, columns)?])
            }
            _ => f32::to_cpu_storage_owned(vec![self.forward::<f32>(elements(student, layout)?, columns)?]),
        };
        Ok((out, ().into()))
    }

    fn bwd(&self, student: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(match student.dtype() {
            DType::F64 => self.backward::<f64>(student, grad)?,
            _ => self.backward::<f32>(student, grad)?,
        }))
    }
}
