//! What the losses between a teacher's rows and a student's share: value and gradient in one pass.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor};

use super::wire::Slot;
use super::{Read, Real, ToWire, Wire, make_shards, shard};
use crate::phases::timed;

/// A loss that is a weighted sum over rows.
pub(super) trait RowLoss: Sync {
    /// For messages.
    const NAME: &'static str;

    /// The sum over `rows`; the student's gradient of these rows goes to `slope`, which holds zeros.
    fn run<T: Real>(&self, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T;
}

/// `teacher`, `student` `[R, columns]`; `weight` `[R]`.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a, T> {
    pub(super) teacher: &'a [T],
    pub(super) student: &'a [T],
    pub(super) weight: &'a [f64],
    pub(super) columns: usize,
}

/// `loss` as a scalar, of which the student receives a gradient and the teacher none.
///
/// # Errors
/// If the shapes disagree.
pub(super) fn row_loss(
    teacher: &Tensor,
    student: &impl ToWire,
    weight: &[f64],
    loss: &impl RowLoss,
) -> Result<Tensor> {
    timed!("row loss");
    let student = &student.to_wire()?;
    match student.dtype() {
        DType::F64 => apply::<f64, _>(teacher, student, weight, loss),
        _ => apply::<f32, _>(teacher, student, weight, loss),
    }
}

fn apply<T: Real, L: RowLoss>(teacher: &Tensor, student: &Wire, weight: &[f64], loss: &L) -> Result<Tensor> {
    let (rows, columns) = student.dims2()?;
    if teacher.dims() != student.dims() || weight.len() != rows {
        let (teacher, student) = (teacher.shape(), student.shape());
        candle_core::bail!("{}: teacher {teacher:?}, student {student:?}, {} weights", L::NAME, weight.len());
    }
    let teacher = teacher.contiguous()?;
    let (slope, parts) = {
        let (teacher, student) = (Read::new(&teacher)?, Read::new(student)?);
        let pair = Pair { teacher: teacher.slice()?, student: student.slice()?, weight, columns };
        make_shards(rows, columns, |index, slope| loss.run(shard(rows, index), pair, slope))
    };
    let value = parts.into_iter().fold(T::ZERO, |total, part| total + part);
    let slope = Tensor::from_vec(slope, (rows, columns), &Device::Cpu)?;
    let (value, slot) = (T::to_cpu_storage_owned(vec![value]), Arc::clone(student.slot()));
    student.token().apply_op1(Known { name: L::NAME, value, slope, slot })
}

/// A scalar that is known already, with its gradient and where that goes.
struct Known {
    name: &'static str,
    value: CpuStorage,
    slope: Tensor,
    slot: Arc<Slot>,
}

impl CustomOp1 for Known {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((self.value.clone(), ().into()))
    }

    fn bwd(&self, token: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.slot.add(match grad.to_dtype(DType::F64)?.to_scalar::<f64>()? {
            1.0 => self.slope.clone(),
            factor => (&self.slope * factor)?,
        });
        Ok(Some(token.zeros_like()?))
    }
}
