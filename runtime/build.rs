//! Finds out whether the target has the DSP or the vector extension: the compiler knows, and on stable does not tell.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(ddn_dsp, ddn_mve)");
    let target = std::env::var("TARGET").unwrap_or_default();
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // Of ARMv8-M Mainline only some cores have it. One with vectors (Cortex-M55) does better with plain loops.
    let named = ["cortex-m33", "cortex-m35p", "+dsp"].iter().any(|core| flags.contains(core));
    if target.starts_with("thumbv7em") || target.starts_with("thumbv8m.main") && named {
        println!("cargo::rustc-cfg=ddn_dsp");
    }
    if ["cortex-m55", "cortex-m85", "cortex-m52", "+mve"].iter().any(|core| flags.contains(core)) {
        println!("cargo::rustc-cfg=ddn_mve");
    }
}
