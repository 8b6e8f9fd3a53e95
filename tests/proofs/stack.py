"""Bounds how deep the stack gets when a policy is opened, tested and used, and compares with what QEMU saw.

The bound is read off the machine code of the image that runs: what each function takes from the stack, and which functions it
calls. It holds for every input, because there is no recursion and no call through a pointer; the proof fails if there is.

What was seen is a coat of paint that is gone (examples/firmware/src/stack.rs). It cannot be more than the bound.
"""

import re
import sys
import tomllib

from firmware import TOP, cargo, image, llvm

ROOTS = ("open", "test", "act")
FUNCTION = re.compile(r"^([0-9a-f]+) <(.*)>:$")
HASH = re.compile(r"::h[0-9a-f]{16}$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
TARGET = re.compile(r"0x([0-9a-f]+) <")


class Function:
    def __init__(self, name):
        self.name = name
        self.frame = 0
        self.targets = set()
        self.calls_itself = False
        self.doubts = []
        self.deepest = None


def registers(operands):
    """How many bytes the registers of a list like {r4, r5, d8-d11, lr} have."""
    names = []
    for item in re.search(r"\{(.*)\}", operands)[1].split(", "):
        first, _, last = item.partition("-")
        count = int(last[1:]) - int(first[1:]) + 1 if last else 1
        names += [first] * count
    return sum(8 if name[0] == "d" else 16 if name[0] == "q" else 4 for name in names)


def arm(function, mnemonic, operands):
    """Bytes that an instruction takes from the stack; an entry in `doubts` if that cannot be told."""
    base = mnemonic.split(".")[0]
    if base in ("push", "vpush") or base in ("stmdb", "vstmdb") and operands.startswith("sp!"):
        return registers(operands)
    if base in ("sub", "subw") and operands.startswith("sp,"):
        if found := re.fullmatch(r"sp, (?:sp, )?#(0x[0-9a-f]+|\d+)", operands):
            return int(found[1], 0)
        function.doubts.append(f"{mnemonic} {operands}")
    if found := re.search(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!", operands):
        return int(found[1], 0)
    if base in ("mov", "mvn", "ldr", "bic", "and", "msr") and operands.startswith("sp,"):
        function.doubts.append(f"{mnemonic} {operands}")
    # bx lr returns, tbb and tbh stay inside.
    if base == "blx" or base == "bx" and operands != "lr" or base in ("mov", "ldr") and operands.startswith("pc,"):
        function.doubts.append(f"{mnemonic} {operands}")
    return 0


def is_branch(mnemonic):
    base = mnemonic.split(".")[0]
    return base in ("bl", "b", "cbz", "cbnz") or re.fullmatch(r"b(eq|ne|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)", base)


def disassemble(path):
    """The functions of an image by address."""
    functions, current = {}, None
    for line in llvm("objdump", "-d", "--no-show-raw-insn", "-C", "--mcpu=cortex-m55", path).splitlines():
        if head := FUNCTION.match(line):
            ended = False
            start = int(head[1], 16)
            current = functions[start] = Function(HASH.sub("", head[2]))
        elif (found := INSTRUCTION.match(line)) and current:
            _, mnemonic, operands = found.groups()
            operands = operands.split(" @ ")[0].strip()
            if ended and mnemonic.startswith("bmi"):
                continue  # what the linker fills gaps between functions with
            ended = mnemonic in ("b", "b.n", "b.w", "bx") or mnemonic.startswith(("pop", "ldm")) and "pc" in operands
            current.frame += arm(current, mnemonic, operands)
            if is_branch(mnemonic) and (to := TARGET.search(operands)):
                current.targets.add(int(to[1], 16))
                current.calls_itself |= mnemonic == "bl" and int(to[1], 16) == start
    return functions


def deepest(functions, address, above=()):
    """Bytes of the deepest path from a function, and the path: names and frames."""
    function = functions[address]
    if address in above:
        sys.exit(f"recursion: {[functions[step].name for step in (*above, address)]}")
    if function.deepest is None:
        end = min((start for start in functions if start > address), default=address)
        found = (0, [])
        for target in function.targets:
            if address <= target < end and not (target == address and function.calls_itself):
                continue
            if target not in functions:
                function.doubts.append(f"a jump into the middle of something, {target:#x}")
                continue
            found = max(found, deepest(functions, target, (*above, address)), key=lambda path: path[0])
        if function.doubts:
            sys.exit(f"{function.name}: no bound, because of {function.doubts}")
        function.deepest = (function.frame + found[0], [(function.name, function.frame), *found[1]])
    return function.deepest


def main():
    limits = tomllib.loads((TOP / "tests/budget.toml").read_text())["stack"]
    failed = False
    print(f"{'board':<6} {'part':<5} {'bound':>6} {'seen':>6} {'limit':>6}")
    for board, parts in limits.items():
        said = cargo("run", board, "stack")
        functions = disassemble(image(board, "stack"))
        for part in ROOTS:
            (root,) = [at for at, function in functions.items() if function.name == f"stack::{part}"]
            bound, path = deepest(functions, root)
            seen = int(re.search(rf"^stack of {part} (\d+)$", said, re.M)[1])
            print(f"{board:<6} {part:<5} {bound:>6} {seen:>6} {parts[part]:>6}")
            if not 0 < seen <= bound <= parts[part]:
                failed = True
                print(f"{board}, {part}: seen <= bound <= limit does not hold")
            if "-v" in sys.argv:
                print(*[f"    {frame:>6} {name}" for name, frame in path], sep="\n")
    return failed


sys.exit(main())
