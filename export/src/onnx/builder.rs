//! Collects the nodes and constants of one ONNX graph.

use super::proto::{ATTRIBUTE_FLOAT, ATTRIBUTE_INT, AttributeProto, FLOAT, INT64, NodeProto, TensorProto};
use crate::error::ExportError;
use crate::frozen::Frozen;

/// A graph under construction. Nodes are named after what they give.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) initializers: Vec<TensorProto>,
}

impl Builder {
    /// Adds an operation with one output; the result takes its settings.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], output: &str) -> Settings<'_> {
        self.node_with_outputs(op, inputs, &[output])
    }

    /// Adds an operation; the last output gives it its name.
    pub(super) fn node_with_outputs(&mut self, op: &str, inputs: &[&str], outputs: &[&str]) -> Settings<'_> {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let node = NodeProto {
            input: own(inputs),
            output: own(outputs),
            name: format!("{op}:{}", outputs.last().unwrap_or(&"")),
            op_type: op.into(),
            attribute: Vec::new(),
        };
        let index = self.nodes.len();
        self.nodes.push(node);
        Settings(&mut self.nodes[index])
    }

    /// Adds a weight as it is, once, and gives its name.
    pub(super) fn tensor(&mut self, frozen: &Frozen, name: &str) -> Result<String, ExportError> {
        let tensor = frozen.tensor(name)?;
        Ok(self.floats(name, &tensor.shape, &tensor.data))
    }

    /// Adds a constant array, once, and gives its name.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], data: &[f32]) -> String {
        let raw = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        let dims = shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect();
        self.constant(TensorProto { dims, data_type: FLOAT, name: name.into(), raw_data: raw })
    }

    /// Adds a vector of integers, once; its name tells its values.
    pub(super) fn ints(&mut self, what: &str, values: &[i64]) -> String {
        let text: Vec<String> = values.iter().map(i64::to_string).collect();
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(TensorProto {
            dims: vec![i64::try_from(values.len()).unwrap_or(i64::MAX)],
            data_type: INT64,
            name: format!("{what}[{}]", text.join(",")),
            raw_data: raw,
        })
    }

    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone();
        if self.initializers.iter().all(|known| known.name != name) {
            self.initializers.push(tensor);
        }
        name
    }
}

/// The settings of the node added last.
pub(super) struct Settings<'b>(&'b mut NodeProto);

impl Settings<'_> {
    pub(super) fn int(self, name: &str, value: i64) -> Self {
        let (i, r#type) = (Some(value), ATTRIBUTE_INT);
        self.0.attribute.push(AttributeProto { name: name.into(), f: None, i, r#type });
        self
    }

    pub(super) fn float(self, name: &str, value: f32) -> Self {
        let (f, r#type) = (Some(value), ATTRIBUTE_FLOAT);
        self.0.attribute.push(AttributeProto { name: name.into(), f, i: None, r#type });
        self
    }
}
