//! Finds out whether the target has the DSP or the vector extension: the compiler knows, and on stable does not tell.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(ddn_dsp, ddn_mve)");
    let target = std::env::var("TARGET").unwrap_or_default();
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let named = |cores: &[&str]| cores.iter().any(|core| flags.contains(core));
    // A Cortex-M55 may be made without vectors.
    if named(&["cortex-m55", "cortex-m85", "cortex-m52", "+mve"]) && !named(&["-mve"]) {
        println!("cargo::rustc-cfg=ddn_mve");
    } else if target.starts_with("thumbv7em")
        // Of ARMv8-M Mainline only some cores have it.
        || target.starts_with("thumbv8m.main") && named(&["cortex-m33", "cortex-m35p", "+dsp"])
    {
        println!("cargo::rustc-cfg=ddn_dsp");
    }
}
