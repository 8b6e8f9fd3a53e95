//! Linear layers with ReLU between them, the first of which may read rows that are mostly zero.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Sparse;
use super::kernel::{Activation, ToWire, Wire, linear, sparse_linear};
use super::params::linear_params;

/// Layers `0`, `1`, … with ReLU between them and nothing after the last.
#[derive(Clone, Debug)]
pub struct Mlp(Vec<(Tensor, Tensor)>);

impl Mlp {
    /// `widths`: of the input, of every hidden layer, of the output.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    pub fn new(vb: &VarBuilder<'_>, widths: &[usize]) -> Result<Self> {
        let layers = widths.windows(2).enumerate();
        layers.map(|(k, pair)| linear_params(&vb.pp(k), pair[0], pair[1])).collect::<Result<_>>().map(Self)
    }

    /// `x` `[R, I]`; gives `[R, O]`.
    ///
    /// # Errors
    /// If `x` has another width.
    pub fn sparse(&self, x: &Sparse) -> Result<Wire> {
        let (weight, bias) = &self.0[0];
        self.later_layers(sparse_linear(x, weight, bias, self.after(0))?)
    }

    /// `[x; y]`, `x` `[R, X]` and `y` `[R, Y]`; gives `[R, O]`.
    ///
    /// # Errors
    /// If the widths do not add up to that of the input.
    pub fn joint(&self, x: &Sparse, y: &Tensor) -> Result<Tensor> {
        let first = joint_linear(x, y, &self.0[0])?;
        self.later_layers(if self.0.len() > 1 { first.relu()? } else { first }.to_wire()?).map(Tensor::from)
    }

    fn after(&self, layer: usize) -> Activation {
        if layer + 1 < self.0.len() { Activation::Relu } else { Activation::None }
    }

    fn later_layers(&self, mut hidden: Wire) -> Result<Wire> {
        for (layer, (weight, bias)) in self.0.iter().enumerate().skip(1) {
            hidden = linear(&hidden, weight, bias, self.after(layer))?;
        }
        Ok(hidden)
    }
}

/// `[x; y] Wᵀ + b`, where zeros of `x` cost nothing: `x` `[R, X]`, `y` `[R, Y]`, `weight`
/// `[O, X + Y]`, `bias` `[O]`; gives `[R, O]`.
///
/// # Errors
/// If the widths do not add up.
pub fn joint_linear(x: &Sparse, y: &Tensor, (weight, bias): &(Tensor, Tensor)) -> Result<Tensor> {
    let left = weight.narrow(1, 0, x.width())?.contiguous()?;
    let right = weight.narrow(1, x.width(), weight.dim(1)? - x.width())?.contiguous()?;
    let left = sparse_linear(x, &left, bias, Activation::None)?;
    &*linear(y, &right, &bias.zeros_like()?, Activation::None)? + &*left
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::nn::Params;

    #[test]
    fn a_joint_input_is_one_row_in_two_parts() -> Result<()> {
        let params = Params::new(1, DType::F64);
        let mlp = Mlp::new(&params.builder(), &[5, 4, 3, 2])?;
        let whole = [0.0, 2.0, 0.0, -1.0, 0.5, 1.0, 0.0, 3.0, 0.25, 0.0];
        let part = |range: std::ops::Range<usize>| {
            whole.chunks(5).flat_map(|row| row[range.clone()].to_vec()).collect()
        };
        let (left, right): (Vec<f32>, Vec<f32>) = (part(0..3), part(3..5));
        let right = Tensor::from_vec(right, (2, 2), &Device::Cpu)?.to_dtype(DType::F64)?;
        let joint = mlp.joint(&Sparse::from_dense(3, &left), &right)?;
        let sparse = mlp.sparse(&Sparse::from_dense(5, &whole))?;
        assert_eq!(joint.dims(), [2, 2]);
        let far = (joint - &*sparse)?.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(far < 1e-14, "{far}");
        Ok(())
    }
}
