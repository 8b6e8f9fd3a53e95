//! Kullback-Leibler divergence between the softmaxes of two sets of rows, fused.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::{Read, Real, each_shard, elements, fill_shards, shard, vectorised};

/// `Σ_r weight_r · KL(softmax(teacher_r / τ) ‖ softmax(student_r / τ))`, a scalar.
///
/// `teacher`, `student` `[R, C]`; `weight` `[R]`; `allowed` `[R, C]` names the columns that take
/// part (all if `None`). The teacher receives no gradient; rows of weight 0 cost nothing.
///
/// # Errors
/// If the shapes disagree.
pub fn kl(
    teacher: &Tensor,
    student: &Tensor,
    weight: Vec<f64>,
    allowed: Option<Vec<bool>>,
    temperature: f64,
) -> Result<Tensor> {
    let (rows, columns) = student.dims2()?;
    if teacher.dims2()? != (rows, columns)
        || weight.len() != rows
        || allowed.as_ref().is_some_and(|allowed| allowed.len() != rows * columns)
    {
        candle_core::bail!(
            "kl: teacher {:?}, student {:?}, {} weights",
            teacher.shape(),
            student.shape(),
            weight.len()
        );
    }
    let teacher = teacher.detach().contiguous()?;
    student.contiguous()?.apply_op1(Kl { teacher, weight, allowed, temperature })
}

struct Kl {
    teacher: Tensor,
    weight: Vec<f64>,
    allowed: Option<Vec<bool>>,
    temperature: f64,
}

/// Log-softmax of one row over the allowed columns; the others get 0 and must not be read.
#[inline(always)]
fn log_softmax<T: Real>(row: &[T], inverse: T, allowed: Option<&[bool]>, out: &mut [T]) {
    let takes_part = |c: usize| allowed.is_none_or(|allowed| allowed[c]);
    let mut highest = T::from_f64(f64::MIN);
    for (c, &value) in row.iter().enumerate() {
        if takes_part(c) && value * inverse > highest {
            highest = value * inverse;
        }
    }
    let mut sum = T::ZERO;
    for (c, (out, &value)) in out.iter_mut().zip(row).enumerate() {
        *out = if takes_part(c) { value * inverse - highest } else { T::ZERO };
        sum += if takes_part(c) { Real::exp(*out) } else { T::ZERO };
    }
    let log = Real::ln(sum);
    for out in out {
        *out += -log;
    }
}

impl Kl {
    fn allowed(&self, row: usize, columns: usize) -> Option<&[bool]> {
        self.allowed.as_ref().map(|allowed| &allowed[row * columns..][..columns])
    }

    /// Calls `each` with row index, weight and both log-softmaxes for the rows that count.
    #[inline(always)]
    fn rows<T: Real>(
        &self,
        rows: std::ops::Range<usize>,
        columns: usize,
        (teacher, student): (&[T], &[T]),
        mut each: impl FnMut(usize, T, &[T], &[T]),
    ) {
        let inverse = T::from_f64(1.0 / self.temperature);
        let (mut p, mut q) = (vec![T::ZERO; columns], vec![T::ZERO; columns]);
        for row in rows {
            let weight = self.weight[row];
            if weight == 0.0 {
                continue;
            }
            let allowed = self.allowed(row, columns);
            log_softmax(&teacher[row * columns..][..columns], inverse, allowed, &mut p);
            log_softmax(&student[row * columns..][..columns], inverse, allowed, &mut q);
            each(row, T::from_f64(weight), &p, &q);
        }
    }

    fn forward<T: Real>(&self, student: &[T], columns: usize) -> Result<T> {
        let teacher = Read::new(&self.teacher)?;
        let teacher = teacher.slice::<T>()?;
        let rows = self.weight.len();
        let parts = each_shard(|index| {
            let (this, rows) = (self, shard(rows, index));
            vectorised!(<T>(this: &Kl, rows: Range<usize>, teacher: &[T], student: &[T], columns: usize) -> T {
                let mut total = T::ZERO;
                this.rows(rows, columns, (teacher, student), |row, weight, p, q| {
                    let allowed = this.allowed(row, columns);
                    let mut sum = T::ZERO;
                    for c in 0..columns {
                        if allowed.is_none_or(|allowed| allowed[c]) {
                            sum += Real::exp(p[c]) * (p[c] - q[c]);
                        }
                    }
                    total += weight * sum;
                });
                total
            })
        });
        Ok(parts.into_iter().fold(T::ZERO, |total, part| total + part))
    }

    fn backward<T: Real>(&self, student: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (rows, columns) = student.dims2()?;
        let grad = grad.to_dtype(DType::F64)?.to_vec0::<f64>()?;
        let factor = T::from_f64(grad / self.temperature);
        let (teacher, read) = (Read::new(&self.teacher)?, Read::new(student)?);
        let (teacher, values) = (teacher.slice::<T>()?, read.slice::<T>()?);
        let mut out = vec![T::ZERO; rows * columns];
        fill_shards(&mut out, rows, columns, |index, out| {
            let (this, rows) = (self, shard(rows, index));
            vectorised!(<T>(this: &Kl, rows: Range<usize>, teacher: &[T], values: &[T], out: &mut [T], columns: usize, factor: T) {
                let start = rows.start;
                this.rows(rows, columns, (teacher, values), |row, weight, p, q| {
                    let allowed = this.allowed(row, columns);
                    let out = &mut out[(row - start) * columns..][..columns];
                    for c in 0..columns {
                        if allowed.is_none_or(|allowed| allowed[c]) {
                            out[c] = factor * weight * (Real::exp(q[c]) - Real::exp(p[c]));
                        }
                    }
                });
            });
        });
        Tensor::from_vec(out, (rows, columns), &Device::Cpu)
    }
}

impl CustomOp1 for Kl {
    fn name(&self) -> &'static str {
        "ddn-kl"
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
