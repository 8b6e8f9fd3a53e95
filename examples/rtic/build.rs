//! The linker script of `cortex-m-rt`; `ddn-firmware` hands the linker the memory map of the board.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
