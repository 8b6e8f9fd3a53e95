//! Hands the linker its memory map and the compiler the board and the paths of the files to carry.

use std::path::Path;
use std::{env, fs};

fn main() {
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let board = env::var("DDN_BOARD").expect("a file of boards/, or .cargo/config.toml, sets DDN_BOARD");
    println!("cargo::rerun-if-env-changed=DDN_BOARD");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(board, values(any()))");
    println!("cargo::rustc-cfg=board=\"{board}\"");

    let map = format!("{here}/boards/{board}.x");
    println!("cargo::rerun-if-changed={map}");
    if Path::new(&map).exists() {
        fs::copy(&map, Path::new(&out).join("memory.x")).expect("the memory map can be copied");
        println!("cargo::rustc-link-search={out}");
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    }

    for (variable, default) in
        [("DDN_POLICY", "policy"), ("DDN_EPISODES", "episodes"), ("DDN_REFERENCE", "reference")]
    {
        let path = env::var(variable).unwrap_or_else(|_| format!("{here}/assets/{default}.safetensors"));
        let path = fs::canonicalize(&path).unwrap_or_else(|error| panic!("{variable}={path}: {error}"));
        println!("cargo::rustc-env={variable}_FILE={}", path.display());
        println!("cargo::rerun-if-changed={}", path.display());
        println!("cargo::rerun-if-env-changed={variable}");
        if variable == "DDN_REFERENCE" {
            ddn_runtime::build::policy("reference", path).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
