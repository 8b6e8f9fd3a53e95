//! Hands the linker its memory map and the compiler the paths of the files to carry.

use std::path::Path;
use std::{env, fs};

fn main() {
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    fs::copy("memory.x", Path::new(&out).join("memory.x")).expect("memory.x can be copied");
    println!("cargo::rustc-link-search={out}");
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rerun-if-changed=build.rs");
    for (variable, default) in
        [("DDN_POLICY", "policy"), ("DDN_EPISODES", "episodes"), ("DDN_REFERENCE", "reference")]
    {
        let path = env::var(variable).unwrap_or_else(|_| format!("{here}/assets/{default}.safetensors"));
        let path = fs::canonicalize(&path).unwrap_or_else(|error| panic!("{variable}={path}: {error}"));
        println!("cargo::rustc-env={variable}_FILE={}", path.display());
        println!("cargo::rerun-if-changed={}", path.display());
        println!("cargo::rerun-if-env-changed={variable}");
    }
}
