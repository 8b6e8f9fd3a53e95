"""Measures what policies cost on each board and compares it with tests/budget.toml.

Flash is what the program `smallest`, which reads its policy when it starts, or `builtin`, whose policy was read when it
was built, would take of it, less the policy file it carries: the runtime, startup code, memcpy and its like. Not counted: the vector table, whose size the chip decides.
"""

import re
import sys
import tomllib

from firmware import ASSETS, BOARDS, TOP, cargo, image, llvm

# The sections that are loaded; the last two are WebAssembly's.
LOADED = (".text", ".init.rust", ".rodata", ".eh_frame", ".data", "CODE", "DATA")
TOLERANCE = 0.01
# Networks whose layers leave nothing out: a step is the same work whatever it sees, but where software computes floats.
CONSTANT, SOFTWARE = ("reference", "reference_int8"), ("virt",)
# The timer counts ticks, not instructions.
ROUNDING = 1


def flash(board, layers=None, level=None, policy="reference.safetensors", program="smallest"):
    """Of a program with all kinds of layers, or with those of one feature, at the optimisation level of the firmware or another."""
    options = ("--no-default-features", "--features", layers) if layers else ()
    changed = {"CARGO_PROFILE_RELEASE_OPT_LEVEL": level} if level else {}
    cargo("build", board, program, *options, DDN_REFERENCE=str(ASSETS / policy), **changed)
    lines = [line.split() for line in llvm("size", "-A", image(board, program)).splitlines()]
    sizes = {line[0]: int(line[1]) for line in lines if len(line) == 3 and line[1].isdigit()}
    return sum(sizes.get(section, 0) for section in LOADED) - (ASSETS / policy).stat().st_size


def measure(board, network):
    """Instructions of a step (None where nothing counts them), to open the file and at the extremes, and floats of the buffers."""
    files = {name: str(ASSETS / file) for name, file in network.get("files", {}).items()}
    said = cargo("run", board, network["program"], **files)
    step = re.search(r"^instructions per step: min (\d+) mean (\d+) max (\d+)$", said, re.M)
    opening = re.search(r"^instructions to open the file: (\d+)$", said, re.M)
    extremes = re.search(r"^instructions at the extremes: min (\d+) max (\d+)$", said, re.M)
    buffers = re.search(r"^scratch (\d+) memory (\d+) floats$", said, re.M)
    if buffers is None or (step is None) != (opening is None) or (step is None) != (extremes is None):
        sys.exit(f"{said}\n{network['program']} does not say what it costs")
    counts = [int(count) for count in (*step.groups(), opening[1], *extremes.groups())] if step else None
    return counts, [int(count) for count in buffers.groups()]


def compare(what, measured, committed, limit=None):
    """A complaint about one count, or none, and whether it is fatal."""
    if limit is not None and measured > limit:
        return f"{what}: {measured}, above the limit of {limit}", True
    if measured > committed * (1 + TOLERANCE):
        return f"{what}: {measured}, above the budget of {committed}", True
    if measured < committed * (1 - TOLERANCE):
        return f"{what}: {measured}; lower the budget of {committed} in tests/budget.toml", False
    return None, False


def main():
    budget = tomllib.loads((TOP / "tests/budget.toml").read_text())
    if sorted(budget["board"]) != BOARDS:
        sys.exit(f"tests/budget.toml has {sorted(budget['board'])}, examples/firmware/boards has {BOARDS}")
    complaints, failed = [], False

    def check(*arguments):
        nonlocal failed
        complaint, fatal = compare(*arguments)
        complaints.extend([complaint] if complaint else [])
        failed |= fatal

    row = "{:<6} {:<14} {:>9} {:>9} {:>9} {:>8} {:>9} {:>9} {:>6} {:>8} {:>7}"
    print(row.format("board", "network", "step: min", "mean", "max", "open", "least", "most", "flash", "scratch", "memory"))
    for board, costs in budget["board"].items():
        size = flash(board)
        check(f"{board}: flash", size, costs["flash"], costs.get("flash_limit"))
        for name, network in budget["network"].items():
            counts, buffers = measure(board, network)
            print(row.format(board, name, *(counts or "------"), size, *buffers), flush=True)
            if counts is None:
                continue
            steps = counts[:3] + counts[4:]
            if name in CONSTANT and board not in SOFTWARE and max(steps) - min(steps) > ROUNDING:
                complaints.append(f"{board}, {name}: steps from {min(steps)} to {max(steps)}: it matters what is seen")
                failed = True
            committed = costs.get(name, {"step": [0, 0, 0], "open": 0})
            for what, count, known in zip(("min", "mean", "max"), counts, committed["step"]):
                check(f"{board}, {name}: step {what}", count, known, committed.get("limit"))
            check(f"{board}, {name}: open", counts[3], committed["open"], committed.get("open_limit"))
    print()
    for name, known in budget["flash"].items():
        board, layers, level, program = (known[key] for key in ("board", "layers", "level", "program"))
        size = flash(board, layers, level, known["policy"], program)
        print(f"{board:<6} flash of {program} with {layers} alone, opt-level {level}: {size}", flush=True)
        check(f"{board}: flash of {name}", size, known["bytes"], known.get("limit"))
    print("steps: min to max as recorded, least and most at the extremes; steps and opening in instructions, flash in bytes, scratch and memory in floats")
    for complaint in complaints:
        print(complaint)
    return failed


sys.exit(main())
