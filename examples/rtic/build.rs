//! The policy, and the linker script of `cortex-m-rt`; `ddn-firmware` hands the linker the memory map of the board.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    let built = ddn_runtime::build::policy("policy", "../firmware/assets/policy.safetensors");
    built.unwrap_or_else(|error| panic!("{error}"));
}
