//! The two results of an op that, for candle, has one.
//!
//! The op itself gives a token of one number. Each result is an op on the token that picks up what
//! the op left for it, and on the way back leaves its gradient for the op. Cut out of one large
//! tensor instead, every result would cost a gradient of that tensor's size.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, WithDType};

/// What passes between an op and its results.
#[derive(Default)]
pub(super) struct Results {
    values: Mutex<[Option<CpuStorage>; 2]>,
    grads: Mutex<[Option<Tensor>; 2]>,
    /// Without its history, which holds this.
    hidden: Mutex<Option<Tensor>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Results {
    /// Called by the op: hidden states and outputs.
    pub(super) fn leave(&self, values: [CpuStorage; 2]) {
        *lock(&self.values) = values.map(Some);
    }

    /// Keeps the hidden states for the way back.
    pub(super) fn remember(&self, hidden: &Tensor) {
        *lock(&self.hidden) = Some(hidden.detach());
    }

    /// The hidden states that were remembered.
    pub(super) fn hidden(&self) -> Option<Tensor> {
        lock(&self.hidden).clone()
    }

    /// Called by the op on the way back: the gradients of hidden states and outputs, `None` where no
    /// loss depends on them.
    pub(super) fn take_grads(&self) -> [Option<Tensor>; 2] {
        std::mem::take(&mut *lock(&self.grads))
    }
}

/// What the op itself gives.
pub(super) fn token(dtype: DType) -> (CpuStorage, Shape) {
    let storage = match dtype {
        DType::F64 => f64::to_cpu_storage_owned(vec![0.0]),
        _ => f32::to_cpu_storage_owned(vec![0.0]),
    };
    (storage, 1.into())
}

/// One result.
pub(super) struct Part {
    results: Arc<Results>,
    which: usize,
    shape: Shape,
}

impl Part {
    pub(super) fn hidden(results: &Arc<Results>, shape: impl Into<Shape>) -> Self {
        Self { results: Arc::clone(results), which: 0, shape: shape.into() }
    }

    pub(super) fn output(results: &Arc<Results>, shape: impl Into<Shape>) -> Self {
        Self { results: Arc::clone(results), which: 1, shape: shape.into() }
    }
}

impl CustomOp1 for Part {
    fn name(&self) -> &'static str {
        "ddn-recurrent-part"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match lock(&self.results.values)[self.which].take() {
            Some(value) => Ok((value, self.shape.clone())),
            None => candle_core::bail!("recurrent: a result was asked for twice"),
        }
    }

    fn bwd(&self, token: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        lock(&self.results.grads)[self.which] = Some(grad.contiguous()?);
        Ok(Some(token.zeros_like()?))
    }
}
