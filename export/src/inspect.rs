//! What is in an exported file, as text for a person.

use std::fmt::Write as _;

use crate::archive;
use crate::error::ExportError;
use crate::onnx::{self, proto};

/// Describes a model file or an ONNX file; the first bytes tell which.
///
/// # Errors
/// [`ExportError::Corrupt`] if the bytes are neither.
pub fn describe(bytes: &[u8]) -> Result<String, ExportError> {
    // A safetensors header begins with `{` right after its 8 bytes of length.
    if bytes.get(8) == Some(&b'{') { describe_archive(bytes) } else { describe_onnx(bytes) }
}

fn describe_archive(bytes: &[u8]) -> Result<String, ExportError> {
    let (metadata, tensors) = archive::decode(bytes)?;
    let mut text = format!("safetensors, {} bytes\n\nmetadata\n", bytes.len());
    for (key, value) in &metadata {
        line(&mut text, format_args!("  {key:<16} {value}"));
    }
    if let Some(layers) = metadata.get("ddn.graph") {
        text += "\ngraph\n";
        for layer in layers.split(';') {
            line(&mut text, format_args!("  {layer}"));
        }
    }
    text += "\ntensors\n";
    let (mut weights, mut answers) = (0, 0);
    for (name, (shape, numbers)) in &tensors {
        let (size, dtype) = (numbers.bytes().len(), numbers.dtype());
        *(if name.starts_with("kat.") { &mut answers } else { &mut weights }) += size;
        line(&mut text, format_args!("  {name:<16} {dtype:<4} {:<14} {size:>9} bytes", extent(shape)));
    }
    let steps = tensors.get("kat.action").and_then(|(shape, _)| shape.first().copied()).unwrap_or(0);
    let header = bytes.len() - weights - answers;
    line(
        &mut text,
        format_args!(
            "\nheader {header} bytes, weights {weights} bytes, known answers {answers} bytes ({steps} steps)"
        ),
    );
    Ok(text)
}

fn describe_onnx(bytes: &[u8]) -> Result<String, ExportError> {
    let model = onnx::decode(bytes).map_err(|error| ExportError::Corrupt {
        what: "this".into(),
        reason: format!("neither a model file nor an ONNX file ({error})"),
    })?;
    let graph = model.graph.unwrap_or_default();
    let mut text = format!("onnx, {} bytes, IR version {}", bytes.len(), model.ir_version);
    for set in &model.opset_import {
        let _ = write!(text, ", operators {} {}", or(&set.domain, "ai.onnx"), set.version);
    }
    text += "\n\nmetadata\n";
    for entry in &model.metadata_props {
        line(&mut text, format_args!("  {:<16} {}", entry.key, entry.value));
    }
    for (title, values) in [("inputs", &graph.input), ("outputs", &graph.output)] {
        line(&mut text, format_args!("\n{title}"));
        for value in values {
            line(&mut text, format_args!("  {:<16} {}", value.name, extents(value)));
        }
    }
    text += "\nnodes\n";
    for node in &graph.node {
        let (inputs, outputs) = (join(&node.input), join(&node.output));
        line(&mut text, format_args!("  {:<10} {inputs} -> {outputs}", node.op_type));
    }
    text += "\ninitializers\n";
    for tensor in &graph.initializer {
        let dims: Vec<usize> = tensor.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
        let (shape, size) = (extent(&dims), tensor.raw_data.len());
        line(&mut text, format_args!("  {:<16} {shape:<14} {size:>9} bytes", tensor.name));
    }
    Ok(text)
}

/// Appends one line; writing to a string cannot fail.
fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{content}");
}

fn extent(extents: &[usize]) -> String {
    format!("[{}]", extents.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}

fn join(names: &[String]) -> String {
    names.iter().map(|name| or(name, "_")).collect::<Vec<_>>().join(", ")
}

fn or<'t>(text: &'t str, empty: &'t str) -> &'t str {
    if text.is_empty() { empty } else { text }
}

/// The shape of a graph's input or output, symbols included.
fn extents(value: &proto::ValueInfoProto) -> String {
    let shape = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.shape.as_ref());
    let extents = shape.map_or(&[][..], |shape| &shape.dim).iter().map(|dim| match &dim.value {
        Some(proto::Extent::Value(extent)) => extent.to_string(),
        Some(proto::Extent::Symbol(name)) => name.clone(),
        None => "?".into(),
    });
    format!("[{}]", extents.collect::<Vec<_>>().join(", "))
}
