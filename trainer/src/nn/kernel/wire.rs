//! A result that an op hands to the next one, and the way back for its gradient.
//!
//! candle adds up the gradients of a tensor on one thread, beginning with a tensor of zeros. Here an op gives
//! candle a token of one number and leaves its result in a [`Slot`]. An op that takes a [`Wire`] depends on
//! the token, reads the result, and leaves its gradient in the slot as it is.
//! Whatever else reads the wire finds a tensor: an op on the token that picks up the result.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, Var, WithDType, bail,
};

use super::{Read, Real, make_shards, shard};

/// A tensor, with a shortcut for kernels.
#[derive(Clone, Debug)]
pub struct Wire {
    /// `[1]`; what an op that takes the wire depends on.
    token: Tensor,
    tensor: Tensor,
    slot: Arc<Slot>,
}

/// Where an op leaves its result, and the ops that read it their gradients. A graph whose backward pass
/// failed must not be asked again: gradients of the first time may still lie here.
#[derive(Debug, Default)]
pub(super) struct Slot {
    value: Mutex<Option<CpuStorage>>,
    /// Without its history, which holds this.
    result: Mutex<Option<Tensor>>,
    grads: Mutex<Vec<Tensor>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    /// Called by the op on the way forward.
    pub(super) fn leave<T: Real>(&self, value: Vec<T>) {
        *lock(&self.value) = Some(T::to_cpu_storage_owned(value));
    }

    /// What the op left.
    ///
    /// # Errors
    /// Before there is a [`Wire`] to it.
    pub(super) fn result(&self) -> Result<Tensor> {
        match &*lock(&self.result) {
            Some(result) => Ok(result.clone()),
            None => bail!("the result of a kernel was asked for before it was made"),
        }
    }

    /// Called on the way back by every op that read the result.
    pub(super) fn add(&self, grad: Tensor) {
        lock(&self.grads).push(grad);
    }

    /// Called by the op on the way back: the sum of what was added, `None` where no loss depends on the
    /// result.
    ///
    /// # Errors
    /// If the gradients differ in shape.
    pub(super) fn take(&self) -> Result<Option<Tensor>> {
        let mut grads = std::mem::take(&mut *lock(&self.grads)).into_iter();
        let first = grads.next();
        first.map(|first| grads.try_fold(first, |sum, grad| added(&sum, &grad))).transpose()
    }

    /// As [`Slot::take`], for an op of one result: candle comes back to it by way of that result only.
    ///
    /// # Errors
    /// As [`Slot::take`], and if nothing was added.
    pub(super) fn gradient(&self) -> Result<Tensor> {
        match self.take()? {
            Some(grad) => Ok(grad),
            None => bail!("a kernel was asked for a backward pass without a gradient"),
        }
    }
}

/// `a + b` on all threads.
fn added(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.dims() != b.dims() {
        bail!("gradients of one result: {:?} and {:?}", a.shape(), b.shape());
    }
    match a.dtype() {
        DType::F64 => added_as::<f64>(a, b),
        _ => added_as::<f32>(a, b),
    }
}

fn added_as<T: Real>(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let len = a.elem_count();
    let (sum, _) = {
        let (a, b) = (Read::new(a)?, Read::new(b)?);
        let (a, b) = (a.slice::<T>()?, b.slice::<T>()?);
        make_shards(len, 1, |index, sum| {
            let part = shard(len, index);
            for ((sum, &a), &b) in sum.iter_mut().zip(&a[part.clone()]).zip(&b[part]) {
                *sum = a + b;
            }
        })
    };
    Tensor::from_vec(sum, a.shape(), &Device::Cpu)
}

/// What an op itself gives candle.
pub(super) fn token_storage(dtype: DType) -> (CpuStorage, Shape) {
    let storage = match dtype {
        DType::F64 => f64::to_cpu_storage_owned(vec![0.0]),
        _ => f32::to_cpu_storage_owned(vec![0.0]),
    };
    (storage, 1.into())
}

impl Wire {
    /// The wire to what the op behind `token` left in `slot`.
    pub(super) fn new(token: Tensor, slot: &Arc<Slot>, shape: impl Into<Shape>) -> Result<Self> {
        let pick = Pick { slot: Arc::clone(slot), shape: shape.into() };
        let tensor = token.apply_op1(pick)?;
        *lock(&slot.result) = Some(tensor.detach());
        Ok(Self { token, tensor, slot: Arc::clone(slot) })
    }

    /// A wire to a tensor that did not come out of a kernel.
    fn to(tensor: &Tensor) -> Result<Self> {
        let tensor = tensor.contiguous()?;
        let slot = Arc::new(Slot::default());
        *lock(&slot.result) = Some(tensor.detach());
        let token = if tensor.track_op() {
            tensor.apply_op1(Tap(Arc::clone(&slot)))?
        } else {
            Tensor::zeros(1, tensor.dtype(), tensor.device())?
        };
        Ok(Self { token, tensor, slot })
    }

    /// What an op that takes the wire depends on.
    pub(super) fn token(&self) -> &Tensor {
        &self.token
    }

    /// Where an op that takes the wire leaves its gradient.
    pub(super) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Whether a gradient may be asked for.
    pub(super) fn tracks(&self) -> bool {
        self.token.track_op()
    }
}

/// Reading a wire in any other way than a kernel does.
impl Deref for Wire {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl From<Wire> for Tensor {
    fn from(wire: Wire) -> Self {
        wire.tensor
    }
}

/// What a kernel accepts as its input: a wire, or any tensor.
pub trait ToWire {
    /// The wire to it.
    ///
    /// # Errors
    /// If candle fails to copy a tensor that is not contiguous.
    fn to_wire(&self) -> Result<Wire>;
}

impl ToWire for Wire {
    fn to_wire(&self) -> Result<Wire> {
        Ok(self.clone())
    }
}

impl ToWire for Tensor {
    fn to_wire(&self) -> Result<Wire> {
        Wire::to(self)
    }
}

impl ToWire for Var {
    fn to_wire(&self) -> Result<Wire> {
        Wire::to(self)
    }
}

/// The result as a tensor.
struct Pick {
    slot: Arc<Slot>,
    shape: Shape,
}

impl CustomOp1 for Pick {
    fn name(&self) -> &'static str {
        "ddn-pick"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match lock(&self.slot.value).take() {
            Some(value) => Ok((value, self.shape.clone())),
            None => bail!("a kernel left no result, or it was asked for twice"),
        }
    }

    fn bwd(&self, token: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.slot.add(grad.contiguous()?);
        Ok(Some(token.zeros_like()?))
    }
}

/// A token that depends on a tensor.
struct Tap(Arc<Slot>);

impl CustomOp1 for Tap {
    fn name(&self) -> &'static str {
        "ddn-tap"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(token_storage(candle_core::backend::BackendStorage::dtype(storage)))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        self.0.gradient().map(Some)
    }
}
