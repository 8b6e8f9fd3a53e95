//! Gradients against central differences, in f64.

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};
use ddn_trainer::nn::params::scalar;
use ddn_trainer::seed::{Draw, stream};
use rand_chacha::ChaCha8Rng;

/// Each number moves by this much, both ways. Truncation and rounding are then both near 1e-10.
const STEP: f64 = 1e-5;

/// Of a slope, relative to itself or to a thousandth of the gradient's largest coordinate.
const TOLERANCE: f64 = 1e-6;

/// Random directions per input.
const DIRECTIONS: usize = 4;

/// Single coordinates per input; all of them where there are fewer.
const COORDINATES: usize = 48;

/// Least distance of the data from where a ReLU bends: many steps.
pub(crate) const CLEAR: f64 = 1e-4;

/// Uniform in `[-1, 1)`.
pub(crate) fn random(rng: &mut ChaCha8Rng, shape: &[usize]) -> Result<Tensor> {
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| 2.0 * f64::from(rng.unit()) - 1.0).collect();
    Tensor::from_vec(data, shape, &Device::Cpu)
}

/// As [`random`], as a variable.
pub(crate) fn variable(rng: &mut ChaCha8Rng, shape: &[usize]) -> Result<Var> {
    Var::from_tensor(&random(rng, shape)?)
}

/// The elements of a tensor, row-major.
pub(crate) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_vec1()
}

/// Whether every number is far enough from 0 for a ReLU of it to be smooth here.
pub(crate) fn is_clear(before_relu: &Tensor) -> Result<bool> {
    Ok(numbers(before_relu)?.iter().all(|value| value.abs() > CLEAR))
}

/// A scalar that every element of `output` counts in, each with a weight of its own.
pub(crate) fn weighed(output: &Tensor) -> Result<Tensor> {
    let weights = random(&mut stream(5, "weights of outputs"), output.dims())?;
    (output * weights)?.sum_all()
}

/// Fails unless the gradient of `loss` by every input is what central differences make of it, and
/// is not 0 altogether.
pub(crate) fn check_gradients(
    what: &str,
    inputs: &[(&str, &Var)],
    loss: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    let grads = loss()?.backward()?;
    for (name, var) in inputs {
        let largest = check_gradient(&format!("{what}, {name}"), var, &grads, &loss)?;
        assert!(largest > 0.0, "{what}: no gradient reaches {name}");
    }
    Ok(())
}

/// Fails unless the gradient by `var` in `grads` is what central differences make of it; gives its
/// largest coordinate. An input that `grads` does not hold has gradient 0.
pub(crate) fn check_gradient(
    what: &str,
    var: &Var,
    grads: &GradStore,
    loss: impl Fn() -> Result<Tensor>,
) -> Result<f64> {
    let at = numbers(var)?;
    let grad = grads.get(var).map_or_else(|| Ok(vec![0.0; at.len()]), numbers)?;
    let largest = grad.iter().fold(0.0_f64, |largest, g| largest.max(g.abs()));
    let value = |step: f64, direction: &[f64]| -> Result<f64> {
        let moved: Vec<f64> = at.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu)?)?;
        scalar(&loss()?)
    };
    // What rounding of the loss alone makes of a difference.
    let noise = f64::EPSILON * scalar(&loss()?)?.abs() / STEP;
    let check = |label: &str, direction: &[f64]| -> Result<()> {
        let slope: f64 = grad.iter().zip(direction).map(|(g, d)| g * d).sum();
        let difference = (value(STEP, direction)? - value(-STEP, direction)?) / (2.0 * STEP);
        let size = slope.abs().max(difference.abs()).max(1e-3 * largest);
        assert!(
            (slope - difference).abs() <= TOLERANCE * size + noise,
            "{what}, {label}: gradient {slope:e}, central difference {difference:e}"
        );
        Ok(())
    };
    let mut rng = stream(9, what);
    for index in 0..DIRECTIONS {
        let direction = numbers(&random(&mut rng, var.dims())?)?;
        let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        let direction: Vec<f64> = direction.iter().map(|d| d / length).collect();
        check(&format!("direction {index}"), &direction)?;
    }
    let mut coordinates: Vec<usize> = (0..at.len()).collect();
    rng.shuffle(&mut coordinates);
    for &coordinate in coordinates.iter().take(COORDINATES) {
        let mut direction = vec![0.0; at.len()];
        direction[coordinate] = 1.0;
        check(&format!("coordinate {coordinate}"), &direction)?;
    }
    var.set(&Tensor::from_vec(at, var.shape(), &Device::Cpu)?)?;
    Ok(largest)
}
