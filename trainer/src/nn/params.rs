//! The parameters of a network: named, ordered by name, initialised from the run's seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::seed::{Draw, stream};

/// Values of parameters as plain numbers: name to shape and row-major elements.
pub type Values = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A set of parameters. Clones share the same parameters.
///
/// A value at start is a function of `(seed, name)` alone, so the order of construction is free.
#[derive(Clone, Debug)]
pub struct Params {
    vars: Arc<Mutex<BTreeMap<String, Var>>>,
    seed: u64,
    dtype: DType,
    /// Whether building a network may create parameters.
    open: bool,
    /// Whether networks built from here take part in gradients.
    learns: bool,
    generation: Arc<AtomicU64>,
}

/// A number that no other set of values in this process has.
fn fresh_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Params {
    /// An empty set that networks fill when they are built.
    #[must_use]
    pub fn new(seed: u64, dtype: DType) -> Self {
        let generation = Arc::new(AtomicU64::new(fresh_generation()));
        Self { vars: Arc::default(), seed, dtype, open: true, learns: true, generation }
    }

    /// A set with equal values that receives no gradients: the slow copy of a network.
    ///
    /// # Errors
    /// If candle cannot copy.
    pub fn slow_copy(&self) -> Result<Self> {
        let mut vars = BTreeMap::new();
        for (name, var) in self.vars() {
            vars.insert(name, Var::from_tensor(&var.copy()?)?);
        }
        let generation = Arc::new(AtomicU64::new(fresh_generation()));
        let vars = Arc::new(Mutex::new(vars));
        Ok(Self { vars, open: false, learns: false, generation, ..self.clone() })
    }

    /// A builder at the root, for network constructors.
    #[must_use]
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), self.dtype, Device::Cpu)
    }

    /// All parameters in name order.
    #[must_use]
    pub fn vars(&self) -> Vec<(String, Var)> {
        self.lock().iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// How many numbers the parameters hold.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().values().map(|var| var.elem_count()).sum()
    }

    /// What number type the parameters have.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A number that changes with [`Self::copy_from`] and [`Self::set_values`], and that only clones share: as long as it
    /// is the same, so are the values, unless an optimiser or a holder of [`Self::vars`] changed them.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Overwrites the values with those of `other`, which has the same names.
    ///
    /// # Errors
    /// If a name or shape differs.
    pub fn copy_from(&self, other: &Self) -> Result<()> {
        self.generation.store(fresh_generation(), Ordering::Relaxed);
        let from = other.lock().clone();
        for (name, var) in self.lock().iter() {
            match from.get(name) {
                Some(source) => var.set(&source.copy()?)?,
                None => candle_core::bail!("parameter {name} is missing in the source"),
            }
        }
        Ok(())
    }

    /// The values as numbers.
    ///
    /// # Errors
    /// If candle cannot read them.
    pub fn values(&self) -> Result<Values> {
        self.vars()
            .into_iter()
            .map(|(name, var)| {
                let data = var.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
                Ok((name, (var.dims().to_vec(), data)))
            })
            .collect()
    }

    /// Overwrites the values; names and shapes must be exactly those of this set.
    ///
    /// # Errors
    /// Names the parameter that is missing, unknown, or of another shape.
    pub fn set_values(&self, values: &Values) -> Result<()> {
        self.generation.store(fresh_generation(), Ordering::Relaxed);
        let vars = self.lock();
        if let Some(name) = values.keys().find(|name| !vars.contains_key(*name)) {
            candle_core::bail!("parameter {name} is not part of this network");
        }
        for (name, var) in vars.iter() {
            let Some((shape, data)) = values.get(name) else {
                candle_core::bail!("parameter {name} is missing");
            };
            if shape != var.dims() {
                candle_core::bail!("parameter {name} has shape {shape:?}, expected {:?}", var.dims());
            }
            let tensor = Tensor::from_slice(data, shape.as_slice(), &Device::Cpu)?;
            var.set(&tensor.to_dtype(self.dtype)?)?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Var>> {
        self.vars.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn handle(&self, var: &Var) -> Tensor {
        if self.learns { var.as_tensor().clone() } else { var.as_detached_tensor() }
    }

    fn fresh(&self, shape: &Shape, name: &str, init: Init) -> Result<Var> {
        let count = shape.elem_count();
        let data: Vec<f64> = match init {
            Init::Const(value) => vec![value; count],
            Init::Uniform { lo, up } => {
                let mut rng = stream(self.seed, &format!("init/{name}"));
                (0..count).map(|_| lo + (up - lo) * f64::from(rng.unit())).collect()
            }
            other => candle_core::bail!("parameter {name}: {other:?} is not an initialisation in use here"),
        };
        let tensor = Tensor::from_vec(data, shape.clone(), &Device::Cpu)?;
        Var::from_tensor(&tensor.to_dtype(self.dtype)?)
    }
}

impl SimpleBackend for Params {
    fn get(&self, shape: Shape, name: &str, init: Init, _: DType, _: &Device) -> Result<Tensor> {
        if let Some(var) = self.lock().get(name) {
            if var.shape() != &shape {
                candle_core::bail!("parameter {name} has shape {:?}, asked for {shape:?}", var.shape());
            }
            return Ok(self.handle(var));
        }
        if !self.open {
            candle_core::bail!("parameter {name} does not exist in this copy");
        }
        let var = self.fresh(&shape, name, init)?;
        let tensor = self.handle(&var);
        self.lock().insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.lock().get(name) {
            Some(var) => Ok(self.handle(var)),
            None => candle_core::bail!("parameter {name} does not exist"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}

/// Input and hidden weights of a gated recurrent unit with `hidden` features in and out, each `[3H, H]`
/// with its bias `[3H]`, under `vb`.`gru`; drawn as PyTorch draws them.
///
/// # Errors
/// If they exist with another shape.
pub fn gru_params(vb: &VarBuilder<'_>, hidden: usize) -> Result<[(Tensor, Tensor); 2]> {
    let bound = 1.0 / (hidden as f64).sqrt();
    let init = Init::Uniform { lo: -bound, up: bound };
    let cell = vb.pp("gru");
    let gates = |name: &str| -> Result<(Tensor, Tensor)> {
        Ok((
            cell.get_with_hints((3 * hidden, hidden), &format!("weight_{name}"), init)?,
            cell.get_with_hints(3 * hidden, &format!("bias_{name}"), init)?,
        ))
    };
    Ok([gates("ih")?, gates("hh")?])
}

/// A linear layer's weight `[out, input]` and bias `[out]`, uniform in ±1/√input as PyTorch draws them.
///
/// # Errors
/// If the parameter exists with another shape.
pub fn linear_params(vb: &VarBuilder<'_>, input: usize, out: usize) -> Result<(Tensor, Tensor)> {
    let bound = 1.0 / (input.max(1) as f64).sqrt();
    let init = Init::Uniform { lo: -bound, up: bound };
    Ok((vb.get_with_hints((out, input), "weight", init)?, vb.get_with_hints(out, "bias", init)?))
}

/// A scalar as `f64`.
///
/// # Errors
/// If the tensor is not a scalar.
pub fn scalar(tensor: &Tensor) -> Result<f64> {
    tensor.to_dtype(DType::F64)?.to_scalar::<f64>()
}
