"""Measures what policies cost on each board and compares it with tests/budget.toml.

`flash` is `.text`, `.rodata` and `.data` of the program `smallest`, less the policy file it carries: the runtime, startup
code, memcpy and its like. Not counted: the vector table, whose size the chip decides. Needs the component llvm-tools.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FIRMWARE = TOP / "examples/firmware"
SECTIONS = (".text", ".rodata", ".data")
TOLERANCE = 0.01


def output(*command, **environment):
    ran = subprocess.run(
        command, cwd=FIRMWARE, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    if ran.returncode != 0:
        sys.exit(f"{ran.stdout}\nfailed ({ran.returncode}): {' '.join(command)}")
    return ran.stdout


def llvm(tool):
    sysroot = Path(output("rustc", "--print", "sysroot").strip())
    (path,) = sysroot.glob(f"lib/rustlib/*/bin/llvm-{tool}")
    return str(path)


def flash():
    """Bytes of code and constants of `smallest`."""
    output("cargo", "build", "-q", "--release", "--bin", "smallest")
    image = FIRMWARE / "target/thumbv7em-none-eabihf/release/smallest"
    lines = output(llvm("size"), "-A", str(image)).splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(".")}
    policy = (FIRMWARE / "assets/reference.safetensors").stat().st_size
    return sum(sizes.get(section, 0) for section in SECTIONS) - policy


def measure(network):
    """Instructions and floats, as the network's program prints them."""
    files = {name: str(FIRMWARE / "assets" / file) for name, file in network["files"].items()}
    said = output("cargo", "run", "-q", "--release", "--bin", network["program"], **files)
    step = re.search(r"^instructions per step: min (\d+) mean (\d+) max (\d+)$", said, re.M)
    opening = re.search(r"^instructions to open the file: (\d+)$", said, re.M)
    buffers = re.search(r"^scratch (\d+) memory (\d+) floats$", said, re.M)
    if not (step and opening and buffers):
        sys.exit(f"{said}\n{network['program']} does not say what it costs")
    step, buffers = [int(count) for count in step.groups()], [int(count) for count in buffers.groups()]
    return step, int(opening[1]), buffers


def compare(what, measured, committed, limit=None):
    """Complaints about one count, and whether they are fatal."""
    if limit is not None and measured > limit:
        return [f"{what}: {measured}, above the limit of {limit}"], True
    if measured > committed * (1 + TOLERANCE):
        return [f"{what}: {measured}, above the budget of {committed}"], True
    if measured < committed * (1 - TOLERANCE):
        return [f"{what}: {measured}; lower the budget of {committed} in tests/budget.toml"], False
    return [], False


def main():
    budget = tomllib.loads((TOP / "tests/budget.toml").read_text())
    complaints, failed = [], False

    def check(*arguments):
        nonlocal failed
        said, fatal = compare(*arguments)
        complaints.extend(said)
        failed |= fatal

    row = "{:<7} {:<10} {:>9} {:>9} {:>9} {:>9} {:>6} {:>8} {:>7}"
    print(row.format("board", "network", "step: min", "mean", "max", "open", "flash", "scratch", "memory"))
    for board, costs in budget["board"].items():
        size = flash()
        check(f"{board}: flash", size, costs["flash"], costs.get("flash_limit"))
        for name, network in budget["network"].items():
            committed = costs.get(name)
            if committed is None:
                sys.exit(f"tests/budget.toml: [board.{board}] says nothing of {name}")
            step, opening, buffers = measure(network)
            print(row.format(board, name, *step, opening, size, *buffers), flush=True)
            for what, count, known in zip(("min", "mean", "max"), step, committed["step"]):
                check(f"{board}, {name}: step {what}", count, known, committed["limit"])
            check(f"{board}, {name}: open", opening, committed["open"], committed.get("open_limit"))
    print("steps and opening in instructions, flash in bytes, scratch and memory in floats")
    for complaint in complaints:
        print(complaint)
    return failed


sys.exit(main())
