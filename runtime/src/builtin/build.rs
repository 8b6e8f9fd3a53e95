//! What a build script calls: a policy file becomes a Rust file with the policy as a static.

use core::fmt;
use core::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::string::String;
use std::{env, fs, io, vec, vec::Vec};

use super::VERSION;
use super::write::Writer;
use crate::error::{ModelError, VerifyError};
use crate::model::archive::Archive;
use crate::model::{Model, Text};

/// Why a policy cannot be built in.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The name is not one for a Rust module: small letters, digits and `_`, a letter first, no keyword.
    Name(String),
    /// Called from something else than a build script: Cargo has set no `OUT_DIR`.
    OutDir,
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// The policy file is not one.
    Model(PathBuf, ModelError),
    /// The policy file is damaged, or has no recorded answers.
    Verify(PathBuf, VerifyError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(
                    f,
                    "`{name}` cannot name a module: small letters, digits and `_`, a letter first, no keyword"
                )
            }
            Self::OutDir => f.write_str("OUT_DIR is not set: call this from a build script"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Model(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Verify(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl core::error::Error for BuildError {}

/// What Rust keeps for itself, of the names that would do.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Makes `$OUT_DIR/NAME.rs` of a policy file, for a build script.
///
/// The file is opened and verified as on a device, recorded answers included, and copied to `$OUT_DIR`. Then
/// `include!(concat!(env!("OUT_DIR"), "/NAME.rs"));` gives a module `NAME` with the static `POLICY`, a
/// [`BuiltIn`](crate::BuiltIn), and the constants `MEMORY` and `SCRATCH` (floats of the buffers), `OBS`, `ACTIONS`,
/// `AGENTS` and `CONTRACT`. It refers to this crate as `ddn_runtime`. `path` is relative to the folder of the package's
/// `Cargo.toml`; Cargo runs the script again when the file changes.
///
/// # Errors
/// If `name` cannot name a module, the file is no policy that verifies, or a file cannot be read or written.
pub fn policy(name: &str, path: impl AsRef<Path>) -> Result<(), BuildError> {
    let out = env::var_os("OUT_DIR").ok_or(BuildError::OutDir)?;
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let path = Path::new(&root).join(path);
    let path = fs::canonicalize(&path).map_err(|error| BuildError::File(path, error))?;
    // Cargo reads this from the script's output.
    let _ = writeln!(io::stdout(), "cargo::rerun-if-changed={}", path.display());
    let bytes = fs::read(&path).map_err(|error| BuildError::File(path.clone(), error))?;
    let source = source(name, &path, &bytes)?;
    let to = Path::new(&out).join(name);
    // The plan and what it was made for, whatever becomes of the original.
    for (ending, text) in [("safetensors", &bytes[..]), ("rs", source.as_bytes())] {
        let to = to.with_extension(ending);
        fs::write(&to, text).map_err(|error| BuildError::File(to, error))?;
    }
    Ok(())
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

/// Opens and verifies the bytes of the file at `path`.
#[doc(hidden)]
pub fn plan<'m>(path: &Path, file: &'m [u8]) -> Result<Planned<'m>, BuildError> {
    let not_one = |error| BuildError::Model(path.into(), error);
    let model = Model::open(file).map_err(not_one)?;
    let (mut memory, mut scratch) = (vec![0.0; model.memory_len()], vec![0.0; model.scratch_len()]);
    let verified = model.verify(&mut memory, &mut scratch);
    let model = verified.map_err(|error| BuildError::Verify(path.into(), error))?.into_model();
    let mut archive = Archive::new(file);
    archive.read().map_err(not_one)?;
    let mut plan = Writer::new(file);
    plan.word(VERSION);
    plan.count(file.len());
    archive.metadata("ddn.crc").unwrap_or(Text::EMPTY).plan(&mut plan);
    model.plan(&mut plan);
    let layers = model.graph.plans(file).collect();
    Ok(Planned { model, layers, numbers: plan.end() })
}

/// The Rust file for the bytes of the policy file at `path`, a copy of which lies beside it.
#[doc(hidden)]
pub fn source(name: &str, path: &Path, bytes: &[u8]) -> Result<String, BuildError> {
    let letters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !letters || !first || KEYWORDS.contains(&name) {
        return Err(BuildError::Name(name.into()));
    }
    // Aligned as in flash.
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    let file = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()];
    file.copy_from_slice(bytes);
    Ok(text(name, path, &plan(path, file)?))
}

/// The text of the Rust file.
fn text(name: &str, path: &Path, Planned { model, layers, numbers }: &Planned<'_>) -> String {
    let spec = model.spec();
    let contract: String = spec.contract().chars().collect();
    let mut rust = String::new();
    let mut line = |text: fmt::Arguments<'_>| {
        let _ = rust.write_fmt(text); // a string takes everything
        rust.push('\n');
    };
    line(format_args!("/// The policy of {:?}, built in.", path.file_name().unwrap_or_default()));
    line(format_args!("#[allow(dead_code, clippy::all, clippy::pedantic)]\npub mod {name} {{"));
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
    line(format_args!("        &::ddn_runtime::Aligned(*include_bytes!(\"{name}.safetensors\"));"));
    line(format_args!("    static LAYERS: [::ddn_runtime::builtin::Step<'static>; {}] = [", layers.len()));
    for (kind, numbers) in layers {
        line(format_args!("        ::ddn_runtime::builtin::layer(FILE, {kind:?}, &{numbers:?}),"));
    }
    line(format_args!("    ];"));
    line(format_args!("    /// The policy."));
    line(format_args!("    pub static POLICY: ::ddn_runtime::BuiltIn ="));
    line(format_args!("        ::ddn_runtime::BuiltIn::new(FILE, &LAYERS, &{numbers:?});"));
    line(format_args!("}}"));
    rust
}
