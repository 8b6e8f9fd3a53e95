//! Layers to ONNX operators, one arm per kind of layer.

use std::collections::BTreeMap;

use super::builder::Builder;
use crate::error::ExportError;
use crate::frozen::Frozen;
use crate::graph::{Layer, LayerKind};

/// Name of the value that holds the agent inputs, `[agents, I]`.
pub(super) const INPUT: &str = "input";
/// Name of the value that holds the recurrent states, `[agents, H]`.
pub(super) const HIDDEN: &str = "hidden";
/// Name of the recurrent states after the step, `[agents, H]`.
pub(super) const HIDDEN_NEXT: &str = "hidden_next";
/// Name of the value that holds the Q-values, `[agents, A]`.
pub(super) const Q: &str = "q";

/// Adds the nodes of every layer in order. `frozen` has passed its check and has exactly one
/// recurrent layer, whose new state is named [`HIDDEN_NEXT`].
///
/// # Errors
/// [`ExportError::MissingTensor`].
pub(super) fn lower(frozen: &Frozen, build: &mut Builder) -> Result<(), ExportError> {
    let mut slots = BTreeMap::from([(0, INPUT.to_owned())]);
    for (index, layer) in frozen.layers.iter().enumerate() {
        let inputs: Vec<String> = layer.inputs.iter().map(|slot| slots[slot].clone()).collect();
        let output = match layer.kind {
            LayerKind::Gru => HIDDEN_NEXT.to_owned(),
            _ if index + 1 == frozen.layers.len() => Q.to_owned(),
            _ => format!("{}_{index}", layer.kind.name()),
        };
        lower_layer(frozen, layer, &inputs, &output, build)?;
        slots.insert(layer.output, output);
    }
    Ok(())
}

fn lower_layer(
    frozen: &Frozen,
    layer: &Layer,
    inputs: &[String],
    output: &str,
    build: &mut Builder,
) -> Result<(), ExportError> {
    let inner = |suffix: &str| format!("{output}/{suffix}");
    match layer.kind {
        LayerKind::Linear => {
            let weight = build.tensor(frozen, &layer.tensor("weight"))?;
            let bias = build.tensor(frozen, &layer.tensor("bias"))?;
            build.node("Gemm", &[&inputs[0], &weight, &bias], output).int("transB", 1);
        }
        LayerKind::Relu => {
            build.node("Relu", &[&inputs[0]], output);
        }
        LayerKind::LeakyRelu => {
            build.node("LeakyRelu", &[&inputs[0]], output).float("alpha", 0.01);
        }
        LayerKind::Concat => {
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            build.node("Concat", &inputs, output).int("axis", 1);
        }
        // x W as [agents, M + 1, D], then the rows weighted by h and the constant term added:
        // the weights of one agent are never materialised.
        LayerKind::Block => {
            let (hyper, source, bias) = (&inputs[0], &inputs[1], &inputs[2]);
            let weight = frozen.tensor(&layer.tensor("weight"))?;
            let (i, m, d) = (weight.shape[0], weight.shape[1] - 1, weight.shape[2]);
            let name = layer.tensor("weight");
            let weight = build.floats(&name, &[i, (m + 1) * d], &weight.data);
            let rows = build.ints("shape", &[-1, dim(m + 1), dim(d)]);
            let flat = build.ints("shape", &[-1, dim(d)]);
            let product = inner("product");
            build.node("MatMul", &[source, &weight], &product);
            let split = inner("rows");
            build.node("Reshape", &[&product, &rows], &split);
            // The first M rows go with h; the last holds the constant terms.
            let (terms, constant) = (inner("terms"), inner("constant"));
            let (zero, last, end) = (
                build.ints("index", &[0]),
                build.ints("index", &[dim(m)]),
                build.ints("index", &[dim(m + 1)]),
            );
            let axis = build.ints("index", &[1]);
            build.node("Slice", &[&split, &zero, &last, &axis], &terms);
            build.node("Slice", &[&split, &last, &end, &axis], &constant);
            let row = inner("hyper");
            build.node("Unsqueeze", &[hyper, &axis], &row);
            let (mixed, summed, plain) = (inner("mixed"), inner("summed"), inner("flat"));
            build.node("MatMul", &[&row, &terms], &mixed);
            build.node("Add", &[&mixed, &constant], &summed);
            build.node("Reshape", &[&summed, &flat], &plain);
            build.node("Add", &[&plain, bias], output);
        }
        // ONNX orders the gates z, r, n; one step is a sequence of length 1.
        LayerKind::Gru => {
            let hidden = frozen.tensor(&layer.tensor("weight_hh"))?.shape[1];
            let gates = |part: &str| -> Result<Vec<f32>, ExportError> {
                Ok(reorder_gates(&frozen.tensor(&layer.tensor(part))?.data))
            };
            let (w, r) = (gates("weight_ih")?, gates("weight_hh")?);
            let mut b = gates("bias_ih")?;
            b.extend(gates("bias_hh")?);
            let width = w.len() / (3 * hidden);
            let w = build.floats(&layer.tensor("weight_ih"), &[1, 3 * hidden, width], &w);
            let r = build.floats(&layer.tensor("weight_hh"), &[1, 3 * hidden, hidden], &r);
            let b = build.floats(&layer.tensor("bias"), &[1, 6 * hidden], &b);
            let axis = build.ints("index", &[0]);
            let (x, h, y) = (inner("input"), inner("initial"), inner("sequence"));
            build.node("Unsqueeze", &[&inputs[0], &axis], &x);
            build.node("Unsqueeze", &[HIDDEN, &axis], &h);
            build
                .node_with_outputs("GRU", &[&x, &w, &r, &b, "", &h], &["", &y])
                .int("hidden_size", dim(hidden))
                .int("linear_before_reset", 1);
            build.node("Squeeze", &[&y, &axis], output);
        }
    }
    Ok(())
}

/// Gate rows from the order r, z, n to z, r, n. `rows`: `[3H, _]`, row-major, or `[3H]`.
pub(super) fn reorder_gates(rows: &[f32]) -> Vec<f32> {
    let (r, rest) = rows.split_at(rows.len() / 3);
    let (z, n) = rest.split_at(r.len());
    [z, r, n].concat()
}

/// An extent as ONNX counts; extents of a policy are far below the limit.
fn dim(extent: usize) -> i64 {
    i64::try_from(extent).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::reorder_gates;

    #[test]
    fn gates_go_from_rzn_to_zrn_in_whole_rows() {
        // H = 2, two columns: rows r0 r1 z0 z1 n0 n1.
        let rows: Vec<f32> = (0_u8..12).map(f32::from).collect();
        let want: Vec<f32> = [4_u8, 5, 6, 7, 0, 1, 2, 3, 8, 9, 10, 11].map(f32::from).to_vec();
        assert_eq!(reorder_gates(&rows), want);
    }
}
