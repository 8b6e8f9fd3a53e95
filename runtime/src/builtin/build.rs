//! What a build script calls: a policy file becomes a Rust file with the policy as a static.

use core::fmt;
use core::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::{env, fs, io, vec, vec::Vec};

use super::write::Writer;
use crate::error::VerifyError;
use crate::model::archive::Archive;
use crate::model::{Model, Text};

/// Why a policy cannot be built in.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The name is no name of a Rust module.
    Name(String),
    /// Called from something else than a build script: Cargo has set no `OUT_DIR`.
    OutDir,
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// The policy file does not verify.
    Policy(PathBuf, VerifyError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(f, "`{name}` cannot be the name of a Rust module: letters, digits, `_`")
            }
            Self::OutDir => f.write_str("OUT_DIR is not set: call this from a build script"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Policy(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl core::error::Error for BuildError {}

/// Makes `$OUT_DIR/NAME.rs` of a policy file, for a build script.
///
/// The file is opened and verified as on a device, recorded answers included. Then
/// `include!(concat!(env!("OUT_DIR"), "/NAME.rs"));` gives a module `NAME` with the static `POLICY`, a
/// [`BuiltIn`](crate::BuiltIn), and the constants `MEMORY` and `SCRATCH` (floats of the buffers), `OBS`, `ACTIONS`,
/// `AGENTS` and `CONTRACT`. `path` is relative to the folder of the package's `Cargo.toml`; Cargo builds again when the
/// file changes.
///
/// # Errors
/// If the file is no policy that verifies, or cannot be read, or the Rust file cannot be written.
pub fn policy(name: &str, path: impl AsRef<Path>) -> Result<(), BuildError> {
    let out = env::var_os("OUT_DIR").ok_or(BuildError::OutDir)?;
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let path = Path::new(&root).join(path);
    let path = fs::canonicalize(&path).map_err(|error| BuildError::File(path, error))?;
    // Cargo reads this from the script's output.
    let _ = writeln!(io::stdout(), "cargo::rerun-if-changed={}", path.display());
    let source = source(name, &path)?;
    let to = Path::new(&out).join(name).with_extension("rs");
    fs::write(&to, source).map_err(|error| BuildError::File(to, error))
}

/// What a file is made of, as numbers.
#[doc(hidden)]
#[derive(Debug)]
pub struct Planned<'m> {
    model: Model<'m>,
    /// What each layer is called, and its numbers.
    pub layers: Vec<(&'static str, Vec<u32>)>,
    /// Of everything else.
    pub numbers: Vec<u32>,
}

/// Opens and verifies a file.
#[doc(hidden)]
pub fn plan(file: &[u8]) -> Result<Planned<'_>, VerifyError> {
    let model = Model::open(file).map_err(VerifyError::Model)?;
    let (mut memory, mut scratch) = (vec![0.0; model.memory_len()], vec![0.0; model.scratch_len()]);
    let model = model.verify(&mut memory, &mut scratch)?.into_model();
    let mut archive = Archive::new(file);
    archive.read().map_err(VerifyError::Model)?;
    let mut plan = Writer::new(file);
    plan.count(file.len());
    archive.metadata("ddn.crc").unwrap_or(Text::EMPTY).plan(&mut plan);
    model.plan(&mut plan);
    let layers = model.graph.plans(file).collect();
    Ok(Planned { model, layers, numbers: plan.end() })
}

/// The Rust file for the policy at an absolute `path`.
#[doc(hidden)]
pub fn source(name: &str, path: &Path) -> Result<String, BuildError> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !letters || name.bytes().next().is_none_or(|first| first.is_ascii_digit()) {
        return Err(BuildError::Name(name.into()));
    }
    let bytes = fs::read(path).map_err(|error| BuildError::File(path.into(), error))?;
    // Aligned as in flash.
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    let file = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()];
    file.copy_from_slice(&bytes);
    let planned = plan(file).map_err(|error| BuildError::Policy(path.into(), error))?;
    Ok(text(name, path, &planned))
}

/// The text of the Rust file.
fn text(name: &str, path: &Path, Planned { model, layers, numbers }: &Planned<'_>) -> String {
    let file = path.file_name().unwrap_or_default();
    let spec = model.spec();
    let contract: String = spec.contract().chars().collect();
    let mut rust = String::new();
    let mut line = |text: fmt::Arguments<'_>| {
        let _ = rust.write_fmt(text); // a string takes everything
        rust.push('\n');
    };
    line(format_args!("/// The policy of `{}`, built in.", file.display()));
    line(format_args!("#[allow(dead_code, missing_docs)]\npub mod {name} {{"));
    let sizes = [
        ("MEMORY", model.memory_len(), "Floats of memory per agent."),
        ("SCRATCH", model.scratch_len(), "Floats of scratch that a step needs."),
        ("OBS", spec.obs_dim(), "Floats of an observation."),
        ("ACTIONS", spec.n_actions(), "Number of actions."),
        ("AGENTS", spec.n_agents(), "Number of agents."),
    ];
    for (constant, size, what) in sizes {
        line(format_args!("    /// {what}\n    pub const {constant}: usize = {size};"));
    }
    line(format_args!("    /// What a caller must agree with, SHA-256; empty if the file does not say."));
    line(format_args!("    pub const CONTRACT: &str = {contract:?};"));
    line(format_args!("    static FILE: &::ddn_runtime::Aligned<[u8]> ="));
    line(format_args!("        &::ddn_runtime::Aligned(*include_bytes!({:?}));", path.display().to_string()));
    line(format_args!("    static LAYERS: [::ddn_runtime::builtin::Step<'static>; {}] =", layers.len()));
    line(format_args!("        ::ddn_runtime::builtin::layers(FILE, &["));
    for (kind, numbers) in layers {
        line(format_args!("            ({kind:?}, &{numbers:?}),"));
    }
    line(format_args!("        ]);"));
    line(format_args!("    /// The policy."));
    line(format_args!("    pub static POLICY: ::ddn_runtime::BuiltIn ="));
    line(format_args!("        ::ddn_runtime::BuiltIn::new(FILE, &LAYERS, &{numbers:?});"));
    line(format_args!("}}"));
    rust
}
