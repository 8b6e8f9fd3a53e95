"""Prints what the example for Embassy has in flash and RAM: the memory map of docs/runtime.md."""

import sys

from firmware import ASSETS, TOP, llvm, output

IMAGE = TOP / "examples/embassy/target/thumbv7em-none-eabihf/release/ddn-embassy"
# Names of what stays in RAM.
POLICY, TASK = "ddn_embassy::POLICY", "ddn_embassy::agent::POOL"


def main():
    output("cargo", "build", "-q", "--release", "--locked", folder=TOP / "examples/embassy")
    sections = [line.split() for line in llvm("size", "-A", str(IMAGE)).splitlines()]
    sizes = {line[0]: int(line[1]) for line in sections if len(line) == 3 and line[1].isdigit()}
    symbols = [line.split(maxsplit=3) for line in llvm("nm", "-S", "-C", str(IMAGE)).splitlines()]
    named = {line[3].rsplit("::h", 1)[0]: int(line[1], 16) for line in symbols if len(line) == 4}
    policy, episodes = ((ASSETS / f"{name}.safetensors").stat().st_size for name in ("policy", "episodes"))
    flash = sum(sizes.get(name, 0) for name in (".vector_table", ".text", ".rodata", ".data"))
    ram = sum(sizes.get(name, 0) for name in (".data", ".bss", ".uninit"))
    for where, what, size in (
        ("flash", "policy file", policy),
        ("flash", "recorded observations, in place of sensors", episodes),
        ("flash", "code, tables, vectors, initial values", flash - policy - episodes),
        ("RAM", "opened policy", named[POLICY]),
        ("RAM", "task of the agent: memory, scratch, guard, executor, observation", named[TASK]),
        ("RAM", "everything else that is static", ram - named[POLICY] - named[TASK]),
    ):
        print(f"{where:<6} {what:<65} {size:>7}")


sys.exit(main())
