//! RMSprop and Adam with state that can be saved, after clipping the global gradient norm.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::kernel::{Read, Real, elements, vectorised};
use super::params::{Params, Values};
use crate::error::ConfigError;
use crate::phases::timed;

/// Which rule, with its constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimiserConfig {
    /// `v ← αv + (1-α)g²`, `p ← p - lr·g / (√v + ε)`; v starts at 0. PyMARL: α 0.99, ε 1e-5.
    Rmsprop {
        /// Learning rate.
        #[serde(default = "lr")]
        lr: f64,
        /// α, decay of the mean square.
        #[serde(default = "alpha")]
        alpha: f64,
        /// ε, outside the root.
        #[serde(default = "rms_eps")]
        eps: f64,
    },
    /// Kingma and Ba with bias correction.
    Adam {
        /// Learning rate.
        #[serde(default = "lr")]
        lr: f64,
        /// Decay of the mean.
        #[serde(default = "beta1")]
        beta1: f64,
        /// Decay of the mean square.
        #[serde(default = "beta2")]
        beta2: f64,
        /// Added to the root.
        #[serde(default = "adam_eps")]
        eps: f64,
    },
}

fn lr() -> f64 {
    5e-4
}
fn alpha() -> f64 {
    0.99
}
fn rms_eps() -> f64 {
    1e-5
}
fn beta1() -> f64 {
    0.9
}
fn beta2() -> f64 {
    0.999
}
fn adam_eps() -> f64 {
    1e-8
}

impl OptimiserConfig {
    /// Refuses constants that cannot work; `section` names the table.
    ///
    /// # Errors
    /// Names the key and what it may be.
    pub fn check(&self, section: &str) -> std::result::Result<(), ConfigError> {
        let below = |key: &str, value: f64, limit: f64, what: &str| {
            if value >= 0.0 && value < limit {
                return Ok(());
            }
            Err(ConfigError::value(&format!("{section}.{key}"), format!("is {value}; {what}")))
        };
        let decay = |key: &str, value| below(key, value, 1.0, "give 0 or more, and less than 1");
        let (lr, eps) = match *self {
            Self::Rmsprop { lr, alpha, eps } => {
                decay("alpha", alpha)?;
                (lr, eps)
            }
            Self::Adam { lr, beta1, beta2, eps } => {
                decay("beta1", beta1)?;
                decay("beta2", beta2)?;
                (lr, eps)
            }
        };
        below("lr", lr, 1e3, "give 0 or more, and less than 1000")?;
        below("eps", eps, 1e3, "give 0 or more, and less than 1000")
    }

    /// The same rule with another learning rate.
    #[must_use]
    pub fn with_lr(mut self, rate: f64) -> Self {
        match &mut self {
            Self::Rmsprop { lr, .. } | Self::Adam { lr, .. } => *lr = rate,
        }
        self
    }

    /// RMSprop as PyMARL sets it, learning rate 5e-4.
    #[must_use]
    pub fn rmsprop() -> Self {
        Self::Rmsprop { lr: 5e-4, alpha: alpha(), eps: rms_eps() }
    }

    /// Adam with its usual constants, learning rate 5e-4.
    #[must_use]
    pub fn adam() -> Self {
        Self::Adam { lr: 5e-4, beta1: beta1(), beta2: beta2(), eps: adam_eps() }
    }
}

/// One rule over one set of parameters, in name order.
#[derive(Debug)]
pub struct Optimiser {
    config: OptimiserConfig,
    /// Largest global L2 norm of a gradient; larger ones are scaled down to it.
    clip: f64,
    vars: Vec<(String, Var)>,
    /// Running means, one per moment and parameter: `moments[moment][parameter]`.
    moments: Vec<Vec<Tensor>>,
    steps: u64,
    /// Whether gradients wait for those of other parts of the batch, and the one that waits.
    holds: bool,
    held: Option<Vec<Tensor>>,
}

impl Optimiser {
    /// Over all parameters that exist in `params` now and whose name `takes` accepts.
    ///
    /// # Errors
    /// If candle cannot allocate.
    pub fn new(
        config: OptimiserConfig,
        clip: f64,
        params: &Params,
        takes: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let vars: Vec<_> = params.vars().into_iter().filter(|(name, _)| takes(name)).collect();
        let count = match config {
            OptimiserConfig::Rmsprop { .. } => 1,
            OptimiserConfig::Adam { .. } => 2,
        };
        let moments = (0..count)
            .map(|_| vars.iter().map(|(_, var)| var.zeros_like()).collect())
            .collect::<Result<_>>()?;
        Ok(Self { config, clip, vars, moments, steps: 0, holds: false, held: None })
    }

    /// Moves the parameters against the gradient of `loss`; gives the norm before clipping.
    ///
    /// A parameter that the loss does not reach has gradient 0. A norm that is not finite moves
    /// nothing.
    ///
    /// # Errors
    /// If candle's backward pass fails.
    pub fn step(&mut self, loss: &Tensor) -> Result<f64> {
        let grads = {
            timed!("backward");
            loss.backward()?
        };
        self.apply(&grads)
    }

    /// From now on [`Optimiser::step`] moves nothing: what it would move along is fetched with
    /// [`Optimiser::take_held`], and the sum over all parts of a batch goes to [`Optimiser::move_along`].
    pub fn hold(&mut self) {
        self.holds = true;
    }

    /// The gradient that waits, parameters in order of name; `None` where no step was asked for.
    ///
    /// # Errors
    /// If candle cannot read.
    pub fn take_held(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(held) = self.held.take() else { return Ok(None) };
        let mut values = Vec::new();
        for grad in held {
            values.extend(grad.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?);
        }
        Ok(Some(values))
    }

    /// Moves the parameters against `gradient`, as [`Optimiser::apply`] does.
    ///
    /// # Errors
    /// If it is of another length than the parameters.
    pub fn move_along(&mut self, gradient: &[f32]) -> Result<f64> {
        let (mut grads, mut rest) = (Vec::with_capacity(self.vars.len()), gradient);
        for (name, var) in &self.vars {
            let Some((values, others)) = rest.split_at_checked(var.elem_count()) else {
                candle_core::bail!("a gradient ends within {name}")
            };
            grads.push(Tensor::from_slice(values, var.dims(), var.device())?.to_dtype(var.dtype())?);
            rest = others;
        }
        self.move_by(&grads)
    }

    /// Like [`Optimiser::step`], with gradients at hand. Gives NaN where a finite gradient has moved
    /// a parameter to what is no finite number.
    ///
    /// # Errors
    /// If a gradient has another type than its parameter.
    pub fn apply(&mut self, grads: &GradStore) -> Result<f64> {
        timed!("optimiser");
        let grads = self
            .vars
            .iter()
            .map(|(_, var)| match grads.get(var) {
                Some(grad) => grad.contiguous(),
                None => var.zeros_like(),
            })
            .collect::<Result<Vec<_>>>()?;
        if self.holds {
            let norm = norm_of(&grads)?;
            self.held = Some(grads);
            return Ok(norm);
        }
        self.move_by(&grads)
    }

    fn move_by(&mut self, grads: &[Tensor]) -> Result<f64> {
        let norm = norm_of(grads)?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        let factor = (self.clip / (norm + 1e-6)).min(1.0);
        self.steps += 1;
        for (index, ((_, var), grad)) in self.vars.iter().zip(grads).enumerate() {
            match self.config {
                OptimiserConfig::Rmsprop { lr, alpha, eps } => {
                    let square = &self.moments[0][index];
                    square.inplace_op2(grad, &Decay { keep: alpha, factor, squared: true })?;
                    var.inplace_op3(grad, square, &Move { lr: lr * factor, root: 1.0, eps })?;
                }
                OptimiserConfig::Adam { lr, beta1, beta2, eps } => {
                    let (mean, square) = (&self.moments[0][index], &self.moments[1][index]);
                    mean.inplace_op2(grad, &Decay { keep: beta1, factor, squared: false })?;
                    square.inplace_op2(grad, &Decay { keep: beta2, factor, squared: true })?;
                    let age = self.steps as f64;
                    let lr = lr / (1.0 - beta1.powf(age));
                    let root = 1.0 / (1.0 - beta2.powf(age)).sqrt();
                    var.inplace_op3(mean, square, &Move { lr, root, eps })?;
                }
            }
        }
        for (_, var) in &self.vars {
            if !square_of(var)?.is_finite() {
                return Ok(f64::NAN);
            }
        }
        Ok(norm)
    }

    /// Steps made and moments, for a checkpoint.
    ///
    /// # Errors
    /// If candle cannot read.
    pub fn state(&self) -> Result<(u64, Values)> {
        let mut values = BTreeMap::new();
        for (moment, tensors) in self.moments.iter().enumerate() {
            for ((name, _), tensor) in self.vars.iter().zip(tensors) {
                let data = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
                values.insert(format!("{moment}.{name}"), (tensor.dims().to_vec(), data));
            }
        }
        Ok((self.steps, values))
    }

    /// Takes up what [`Optimiser::state`] gave.
    ///
    /// # Errors
    /// Names the moment that is missing or of another shape.
    pub fn restore(&mut self, steps: u64, values: &Values) -> Result<()> {
        for (moment, tensors) in self.moments.iter_mut().enumerate() {
            for ((name, _), tensor) in self.vars.iter().zip(tensors) {
                let key = format!("{moment}.{name}");
                match values.get(&key) {
                    Some((shape, data)) if shape == tensor.dims() => {
                        *tensor = Tensor::from_slice(data, shape.as_slice(), tensor.device())?
                            .to_dtype(tensor.dtype())?;
                    }
                    _ => candle_core::bail!("optimiser moment {key} is missing or has another shape"),
                }
            }
        }
        self.steps = steps;
        Ok(())
    }
}

/// The global L2 norm.
fn norm_of(grads: &[Tensor]) -> Result<f64> {
    let mut square = 0.0;
    for grad in grads {
        square += square_of(grad)?;
    }
    Ok(square.sqrt())
}

/// Σ x² of a tensor, whichever type it has.
fn square_of(tensor: &Tensor) -> Result<f64> {
    match tensor.dtype() {
        DType::F64 => sum_of_squares::<f64>(tensor),
        _ => sum_of_squares::<f32>(tensor),
    }
}

fn sum_of_squares<T: Real>(grad: &Tensor) -> Result<f64> {
    let read = Read::new(grad)?;
    let mut sums = [0.0_f64; 8];
    let (lanes, values) = (&mut sums, read.slice::<T>()?);
    vectorised!(<T>(lanes: &mut [f64; 8], values: &[T]) {
        let chunks = values.chunks_exact(8);
        for (lane, &value) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane += value.to_f64() * value.to_f64();
        }
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += value.to_f64() * value.to_f64();
            }
        }
    });
    Ok(sums.iter().sum())
}

/// `m ← keep·m + (1-keep)·(factor·g)^(1 or 2)`
struct Decay {
    keep: f64,
    factor: f64,
    squared: bool,
}

impl Decay {
    fn run<T: Real>(&self, mean: &mut [T], grad: &[T]) {
        let (keep, factor) = (T::from_f64(self.keep), T::from_f64(self.factor));
        let (rest, squared) = (T::from_f64(1.0 - self.keep), self.squared);
        vectorised!(<T>(mean: &mut [T], grad: &[T], keep: T, rest: T, factor: T, squared: bool) {
            for (mean, &grad) in mean.iter_mut().zip(grad) {
                let grad = factor * grad;
                let term = if squared { grad * grad } else { grad };
                *mean = keep * *mean + rest * term;
            }
        });
    }
}

impl InplaceOp2 for Decay {
    fn name(&self) -> &'static str {
        "ddn-decay"
    }

    fn cpu_fwd(&self, mean: &mut CpuStorage, _: &Layout, grad: &CpuStorage, lg: &Layout) -> Result<()> {
        match mean {
            CpuStorage::F32(mean) => self.run::<f32>(mean, elements(grad, lg)?),
            CpuStorage::F64(mean) => self.run::<f64>(mean, elements(grad, lg)?),
            _ => candle_core::bail!("optimisers work in f32 and f64"),
        }
        Ok(())
    }
}

/// `p ← p - lr·g / (root·√v + eps)`
struct Move {
    lr: f64,
    root: f64,
    eps: f64,
}

impl Move {
    fn run<T: Real>(&self, param: &mut [T], grad: &[T], square: &[T]) {
        let (lr, root, eps) = (T::from_f64(self.lr), T::from_f64(self.root), T::from_f64(self.eps));
        vectorised!(<T>(param: &mut [T], grad: &[T], square: &[T], lr: T, root: T, eps: T) {
            for ((param, &grad), &square) in param.iter_mut().zip(grad).zip(square) {
                *param += -(lr * grad / (root * square.root() + eps));
            }
        });
    }
}

impl InplaceOp3 for Move {
    fn name(&self) -> &'static str {
        "ddn-move"
    }

    fn cpu_fwd(
        &self,
        param: &mut CpuStorage,
        _: &Layout,
        grad: &CpuStorage,
        lg: &Layout,
        square: &CpuStorage,
        ls: &Layout,
    ) -> Result<()> {
        match param {
            CpuStorage::F32(param) => self.run::<f32>(param, elements(grad, lg)?, elements(square, ls)?),
            CpuStorage::F64(param) => self.run::<f64>(param, elements(grad, lg)?, elements(square, ls)?),
            _ => candle_core::bail!("optimisers work in f32 and f64"),
        }
        Ok(())
    }
}
